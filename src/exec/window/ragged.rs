//! Rows of different lengths: which shard has which rows, and where each token is.
//!
//! The rows are sorted, the longest first, and dealt to the shards in turn, back and forth, so that
//! all shards have nearly the same work. The active rows of a step are then the first rows of a
//! shard, and its tokens are packed step by step (see
//! [`WindowShape`](unrolled_kernels::WindowShape)): nothing is computed beyond the end of a row.
//! Sums over tokens (losses, weight gradients) follow `locations`, in the order (step, row) of the
//! caller, for any number of shards.

use super::shard::Shard;
use crate::exec::weights::PackedWeights;
use crate::model::cell::resize;
use crate::parallel::Threads;

/// The fewest and the most tokens that one thread copies at a time.
const FEWEST: usize = 1 << 9;
const MOST: usize = 1 << 12;

/// The lengths of a window's rows, and the places of its tokens.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ragged {
    /// `[B]`; empty if all rows have T steps.
    lengths: Vec<usize>,
    /// `[N]`: the place of each token, in the order (step, row).
    pub(crate) locations: Vec<TokenLocation>,
    /// `[N]`: the inputs in that order.
    inputs: Vec<u32>,
    /// `[B]`: the rows, the longest first.
    sorted: Vec<u32>,
    /// `[B]`: the shard of each row, and its index there.
    dealt: Vec<(u32, u32)>,
    /// [S, T], for S shards: the index in the shard of the first token of each step.
    starts: Vec<u32>,
    /// `[N]`: the index in `locations` of each token, shard by shard in the order of its tokens.
    numbers: Vec<u32>,
    /// `[S]`: the index in `numbers` of the first token of each shard.
    first_numbers: Vec<u32>,
    /// `[T]`: the active rows of one shard, while it is resized.
    active: Vec<u32>,
}

/// The place of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TokenLocation {
    /// Index of the shard.
    pub(crate) shard: u32,
    /// Index of the token in the shard.
    pub(crate) token: u32,
    /// Index in the shard of the hidden vector before the token's step.
    pub(crate) before: u32,
    /// Index among all [T, B] of the caller.
    pub(crate) source: u32,
}

impl Ragged {
    /// Returns true if these are the lengths of the rows.
    pub(crate) fn has_lengths(&self, lengths: &[usize]) -> bool {
        self.lengths == lengths
    }

    /// Returns true if some row ends before the window does.
    pub(crate) fn is_used(&self) -> bool {
        !self.lengths.is_empty()
    }

    pub(crate) fn set_lengths(&mut self, lengths: &[usize]) {
        self.lengths.clear();
        self.lengths.extend_from_slice(lengths);
    }

    /// The length of a row; `None` if all rows have T steps.
    pub(crate) fn length(&self, row: usize) -> Option<usize> {
        self.lengths.get(row).copied()
    }

    /// Number of tokens N.
    pub(crate) fn tokens(&self) -> usize {
        self.lengths.iter().sum()
    }

    /// Deals the rows to the shards, and finds the place of each token. `keeps` and `members`
    /// are for [`Shard::resize`].
    pub(crate) fn deal(
        &mut self,
        weights: &PackedWeights,
        steps: usize,
        shards: &mut [Shard],
        (keeps, members): (bool, usize),
    ) {
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
            shard.resize(weights, [steps, lengths.len()], active, (keeps, members));
        }
        self.locate(steps, shards);
    }

    fn locate(&mut self, steps: usize, shards: &[Shard]) {
        self.place_shards(steps, shards);
        let Self { lengths, locations, dealt, starts, numbers, first_numbers, .. } = self;
        locations.clear();
        locations.reserve_exact(steps * lengths.len());
        for t in 0..steps {
            let source = t * lengths.len();
            for (b, (shard, row)) in dealt.iter().enumerate().filter(|(b, _)| lengths[*b] > t) {
                let index = *shard as usize;
                let starts = &starts[index * steps..][..steps];
                let token = starts[t] + row;
                let before = t.checked_sub(1).map_or(0, |t| shards[index].rows() as u32 + starts[t]);
                numbers[(first_numbers[index] + token) as usize] = locations.len() as u32;
                locations.push(TokenLocation {
                    shard: *shard,
                    token,
                    before: before + row,
                    source: (source + b) as u32,
                });
            }
        }
    }

    /// Finds where the tokens of each shard and of each of its steps start.
    fn place_shards(&mut self, steps: usize, shards: &[Shard]) {
        let Self { lengths, starts, numbers, first_numbers, .. } = self;
        starts.clear();
        starts.reserve_exact(steps * lengths.len());
        first_numbers.clear();
        let mut tokens = 0;
        for shard in shards {
            first_numbers.push(tokens);
            let mut start = 0;
            for active in &shard.layers[0].buffers.active {
                starts.push(start);
                start += active;
            }
            tokens += start;
        }
        resize(numbers, tokens as usize, steps * lengths.len());
    }

    /// The shard of a batch row, and its index there.
    pub(crate) fn locate_row(&self, row: usize) -> (usize, usize) {
        let (shard, index) = self.dealt[row];
        (shard as usize, index as usize)
    }

    /// The shard of the token of a step and a row, and its index there; `None` beyond the end of
    /// the row. The window has `steps` steps.
    pub(crate) fn find(&self, steps: usize, step: usize, row: usize) -> Option<(usize, usize)> {
        let (shard, index) = self.locate_row(row);
        let start = || self.starts[shard * steps + step] as usize;
        (step < self.lengths[row]).then(|| (shard, start() + index))
    }

    /// The number of the token of a step and a row, in the order (step, row) without padding; `None`
    /// beyond the end of the row. The window has `steps` steps.
    pub(crate) fn number(&self, steps: usize, step: usize, row: usize) -> Option<usize> {
        let (shard, token) = self.find(steps, step, row)?;
        Some(self.numbers[self.first_numbers[shard] as usize + token] as usize)
    }

    /// The inputs of tokens, out of all [T, B].
    pub(crate) fn gather(&mut self, inputs: &[u32], threads: &Threads) -> &[u32] {
        let Self { inputs: gathered, locations, .. } = self;
        resize(gathered, locations.len(), inputs.len());
        let share = threads.share(locations.len(), FEWEST, MOST);
        threads.chunks(gathered, share, &|i, gathered| {
            let locations = &locations[i * share..];
            gathered.iter_mut().zip(locations).for_each(|(to, from)| *to = inputs[from.source as usize]);
        });
        gathered
    }

    /// Copies `ids` `[N]` and `targets` [T, B] to the shards, unless they are empty.
    pub(crate) fn load(&self, shards: &mut [Shard], ids: &[u32], targets: &[u32], threads: &Threads) {
        threads.chunks(shards, 1, &|s, shards| {
            for shard in shards {
                let numbers = &self.numbers[self.first_numbers[s] as usize..][..shard.tokens()];
                if !ids.is_empty() {
                    shard.ids.iter_mut().zip(numbers).for_each(|(to, m)| *to = ids[*m as usize]);
                }
                if !targets.is_empty() {
                    let sources = numbers.iter().map(|m| self.locations[*m as usize].source as usize);
                    shard.targets.iter_mut().zip(sources).for_each(|(to, from)| *to = targets[from]);
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use crate::exec::{Dropout, Window};
    use crate::loss::{Loss, Objective};
    use crate::model::Model;
    use crate::network::Network;
    use crate::{Activation, Cell, InputKind, ModelSettings, Reset, Settings};

    const STEPS: usize = 11;
    const LENGTHS: [usize; 8] = [4, 11, 0, 7, 7, 1, 11, 3];
    const VOCABULARY: usize = 19;

    /// The bits of a window's gradient, with these lengths, or with padding that takes part but
    /// weighs 0.
    fn gradient(model: &Model, ragged: bool, threads: usize, dropout: Option<Dropout>) -> Vec<u32> {
        let rows = LENGTHS.len();
        let ids: Vec<u32> = (0..STEPS * rows).map(|i| (i * 7 % VOCABULARY) as u32).collect();
        let targets: Vec<u32> = (0..STEPS * rows).map(|i| (i * 5 % VOCABULARY) as u32).collect();
        let is_token = |i: usize| i / rows < LENGTHS[i % rows];
        let weights: Vec<f32> = (0..STEPS * rows).map(|i| if is_token(i) { 1.0 } else { 0.0 }).collect();
        let lengths = ragged.then_some(&LENGTHS[..]);
        let window = Window { lengths, dropout, ..Window::new(STEPS, rows, &ids) };
        let weights = (!ragged).then_some(&weights[..]);
        let objective = Objective { weights, ..Objective::new(Loss::CROSS_ENTROPY, &targets) };
        let mut network = Network::new(model.clone(), Some(threads)).unwrap();
        network.differentiate(&window, &objective).unwrap();
        network.gradient().iter().flat_map(|(_, values)| values).map(|value| value.to_bits()).collect()
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
                    let expected = gradient(&model, false, 1, dropout);
                    for threads in [1, 2, 3] {
                        let found = gradient(&model, true, threads, dropout);
                        assert!(found == expected, "{settings:?}, {threads} threads, {dropout:?}");
                    }
                }
            }
        }
    }
}
