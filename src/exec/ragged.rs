//! Rows of different lengths in one window: which shard takes which rows, and where each token lies.
//!
//! The rows are sorted, the longest first, and dealt to the shards in turn, back and forth, so that all have nearly the
//! same work. In a shard the rows that take part in a step are then its first ones, and tokens lie packed, step by step
//! (see [`Window`](unrolled_kernels::Window)): nothing is computed beyond the end of a row. What adds tokens up (losses,
//! gradients of weights) goes through `places`, in the order (step, row) of the caller, whatever the shards.

use super::shard::Shard;
use super::weights::Weights;

/// The lengths of a window's rows, and what follows from them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ragged {
    /// `[B]`; empty where all rows have T steps.
    lengths: Vec<usize>,
    /// `[N]`, in the order (step, row).
    pub(crate) places: Vec<Place>,
    /// `[N]`: the inputs in that order.
    inputs: Vec<u32>,
    /// `[B]`: the rows, the longest first.
    sorted: Vec<u32>,
    /// `[B]`: the shard of each row, and its number there.
    dealt: Vec<(u32, u32)>,
    /// `[T]`: the active rows of one shard, while it is resized.
    active: Vec<u32>,
    /// For each shard, the first hidden vectors of the step before and of this one.
    firsts: Vec<(u32, u32)>,
}

/// Where a token lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The shard.
    pub(crate) shard: u32,
    /// Its number in the shard.
    pub(crate) token: u32,
    /// The hidden vector in the shard that it starts from.
    pub(crate) before: u32,
    /// Its number among all [T, B] of the caller.
    pub(crate) source: u32,
}

impl Ragged {
    /// Whether these are the lengths.
    pub(crate) fn is_of(&self, lengths: &[usize]) -> bool {
        self.lengths == lengths
    }

    pub(crate) fn set_lengths(&mut self, lengths: &[usize]) {
        self.lengths.clear();
        self.lengths.extend_from_slice(lengths);
    }

    /// Tokens N.
    pub(crate) fn tokens(&self) -> usize {
        self.lengths.iter().sum()
    }

    /// Deals the rows out, and finds the place of each token.
    pub(crate) fn deal(&mut self, weights: &Weights, steps: usize, shards: &mut [Shard]) {
        let Self { lengths, sorted, dealt, active, .. } = self;
        sorted.clear();
        sorted.extend(0..lengths.len() as u32);
        sorted.sort_unstable_by_key(|row| (std::cmp::Reverse(lengths[*row as usize]), *row));
        dealt.resize(lengths.len(), (0, 0));
        shards.iter_mut().for_each(|shard| shard.order.clear());
        for (i, row) in sorted.iter().enumerate() {
            let (round, turn) = (i / shards.len(), i % shards.len());
            let to = if round % 2 == 0 { turn } else { shards.len() - 1 - turn };
            shards[to].order.push(*row);
            dealt[*row as usize] = (to as u32, round as u32);
        }
        for shard in &mut *shards {
            active.clear();
            let mut going = shard.order.len();
            active.extend((0..steps).map(|t| {
                while going > 0 && lengths[shard.order[going - 1] as usize] <= t {
                    going -= 1;
                }
                going as u32
            }));
            shard.resize(weights, lengths.len(), steps, active);
        }
        self.find_places(steps, shards);
    }

    fn find_places(&mut self, steps: usize, shards: &[Shard]) {
        let Self { lengths, places, dealt, firsts, .. } = self;
        places.clear();
        places.reserve_exact(steps * lengths.len());
        firsts.clear();
        firsts.extend(shards.iter().map(|shard| (0, shard.rows() as u32)));
        for t in 0..steps {
            let source = t * lengths.len();
            for (b, (shard, row)) in dealt.iter().enumerate().filter(|(b, _)| lengths[*b] > t) {
                let (before, after) = firsts[*shard as usize];
                let token = after + row - shards[*shard as usize].rows() as u32;
                places.push(Place {
                    shard: *shard,
                    token,
                    before: before + row,
                    source: (source + b) as u32,
                });
            }
            for (shard, (before, after)) in shards.iter().zip(&mut *firsts) {
                (*before, *after) = (*after, *after + shard.layers[0].buffers.active[t]);
            }
        }
    }

    /// The inputs that are tokens, of all [T, B].
    pub(crate) fn gather(&mut self, inputs: &[u32]) -> &[u32] {
        self.inputs.clear();
        self.inputs.reserve_exact(inputs.len());
        self.inputs.extend(self.places.iter().map(|place| inputs[place.source as usize]));
        &self.inputs
    }

    /// Gives the shards their `ids` `[N]`, and those of all `targets` [T, B] that are theirs.
    pub(crate) fn load(&self, shards: &mut [Shard], ids: &[u32], targets: &[u32]) {
        for (place, id) in self.places.iter().zip(ids) {
            let (shard, token) = (&mut shards[place.shard as usize], place.token as usize);
            shard.ids[token] = *id;
            if !targets.is_empty() {
                shard.targets[token] = targets[place.source as usize];
            }
        }
    }

    /// Copies logits, `width` floats for each token, of which `vocabulary` count, to `out` [T, B, V]; zeros elsewhere.
    pub(crate) fn logits(&self, shards: &[Shard], (width, vocabulary): (usize, usize), out: &mut [f32]) {
        let mut done = 0;
        for place in &self.places {
            let (token, to) = (place.token as usize, place.source as usize * vocabulary);
            out[done..to].fill(0.0);
            let logits = &shards[place.shard as usize].logits[token * width..];
            done = to + vocabulary;
            out[to..done].copy_from_slice(&logits[..vocabulary]);
        }
        out[done..].fill(0.0);
    }
}

#[cfg(test)]
mod tests {
    use crate::exec::{
        Dropout, Dropping, Executor, Goal, Packed, Pass, Purpose, Shape, Slope, Weights, detect,
    };
    use crate::model::Model;
    use crate::parallel::Threads;
    use crate::{Activation, Cell, InputKind, ModelSettings, Reset, Settings};

    const STEPS: usize = 11;
    const LENGTHS: [usize; 8] = [4, 11, 0, 7, 7, 1, 11, 3];
    const VOCABULARY: usize = 19;

    /// The gradient of the padded window, where padding takes part in everything but has a loss of no slope.
    fn padded(executor: &mut Executor, weights: &Weights, scale: f32, dropping: Option<Dropping<'_>>) {
        let (rows, width) = (executor.rows, executor.logit_width);
        for shard in &mut executor.shards {
            shard.losses().descend(weights, Slope { scale, smoothing: 0.0 });
            let order = shard.order.clone();
            for (token, row) in shard.logits.chunks_exact_mut(width).enumerate() {
                let (step, row_of_batch) = (token / order.len(), order[token % order.len()] as usize);
                if step >= LENGTHS[row_of_batch] {
                    row.fill(0.0);
                }
            }
            shard.backward(weights, dropping);
        }
        assert_eq!(rows, LENGTHS.len());
    }

    fn gradient(
        model: &Model,
        lengths: Option<&[usize]>,
        threads: usize,
        dropout: Option<Dropout>,
    ) -> Vec<u32> {
        let threads = Threads::new(Some(threads)).unwrap();
        let mut weights = Weights::new(model.config(), detect().unwrap());
        weights.pack(model.parameters(), true, &threads);
        let rows = LENGTHS.len();
        let purpose = Purpose { train: true, dropout: dropout.is_some() };
        let mut executor = Executor::new(&weights, STEPS, rows, purpose, &threads);
        executor.reshape(&weights, Shape { steps: STEPS, rows, lengths }, &threads);
        let ids: Vec<u32> = (0..STEPS * rows).map(|i| (i * 7 % VOCABULARY) as u32).collect();
        let targets: Vec<u32> = (0..STEPS * rows).map(|i| (i * 5 % VOCABULARY) as u32).collect();
        let mut gradient = vec![f32::NAN; model.parameters().values.len()];
        let mut logits = vec![0.0; STEPS * rows * VOCABULARY];
        let slope = Slope { scale: 0.25, smoothing: 0.0 };
        let goal = match lengths {
            Some(_) => Goal::Deltas { slope, gradient: &mut gradient },
            None => Goal::Logits(&mut logits),
        };
        let packed = Packed { weights: &weights, parameters: model.parameters(), threads: &threads };
        let dropping = dropout.map(|dropout| Dropping { dropout, given: None });
        executor.run(packed, Pass { inputs: &ids, targets: &targets, fresh: true, dropping, goal });
        if lengths.is_none() {
            padded(&mut executor, &weights, 0.25, dropping);
        }
        executor.gradients(&weights, &mut gradient, &threads);
        let entries = model.parameters().layout.entries().iter();
        entries.flat_map(|entry| &gradient[entry.range.clone()]).map(|value| value.to_bits()).collect()
    }

    #[test]
    fn gradients_have_the_bits_of_the_padded_window() {
        let cells = [(Cell::Rnn, Reset::After), (Cell::Lstm, Reset::After), (Cell::Gru, Reset::After)];
        for (cell, reset) in cells.into_iter().chain([(Cell::Gru, Reset::Before)]) {
            for (layers, input) in [(1, InputKind::OneHot), (2, InputKind::Embedding)] {
                let activation = if layers == 1 { Activation::Relu } else { Activation::Tanh };
                let cell = Settings {
                    model: ModelSettings {
                        cell,
                        reset,
                        activation,
                        layers,
                        input,
                        ..ModelSettings::default()
                    },
                    ..Settings::default()
                };
                let settings = Settings {
                    model: ModelSettings { hidden: 50, embedding: Some(7), ..cell.model },
                    ..cell
                };
                let model = Model::new(&settings.model, VOCABULARY, settings.run.seed).unwrap();
                for dropout in [None, Some(Dropout { probability: 0.3, seed: 3, step: 4 })] {
                    let expected = gradient(&model, None, 1, dropout);
                    for threads in [1, 2, 3] {
                        let found = gradient(&model, Some(&LENGTHS), threads, dropout);
                        assert!(found == expected, "{settings:?}, {threads} threads, {dropout:?}");
                    }
                }
            }
        }
    }
}
