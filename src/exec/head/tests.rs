//! The head by blocks has the bits of the head over the whole window.

use super::Blocks;
use crate::exec::{Dropout, Dropping, Executor, Goal, Packed, Pass, Purpose, Shape, Slope, Weights, detect};
use crate::model::{CustomCell, Model, RnnCell, Step, StepBackward, Variable};
use crate::parallel::Threads;
use crate::{InputKind, Layer, ModelSettings, Settings};
use unrolled_kernels::Isa;

const STEPS: usize = 9;
const ROWS: usize = 7;
const VOCABULARY: usize = 37;
const LENGTHS: [usize; ROWS] = [4, 9, 0, 7, 7, 1, 8];

/// A window, and how it is run.
#[derive(Clone, Copy, Debug)]
struct Run<'a> {
    threads: usize,
    lengths: Option<&'a [usize]>,
    smoothing: f32,
    drops: bool,
}

/// What a window leaves, as bits.
#[derive(Debug, Default, PartialEq)]
struct Left {
    gradient: Vec<u32>,
    logits: Vec<u32>,
    /// Sums of the losses, and numbers of right answers: when training and when not.
    tallies: [(u64, u64); 2],
    within: u64,
}

fn ids(factor: usize, vocabulary: usize) -> Vec<u32> {
    (0..STEPS * ROWS).map(|i| ((i * factor + i / 5) % vocabulary) as u32).collect()
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// Trains on a window twice, the second time going on from its state; then its losses and its logits.
fn run(model: &Model, blocks: Blocks, run: Run<'_>) -> Left {
    let threads = Threads::new(Some(run.threads)).unwrap();
    let mut weights = Weights::new(model.config(), detect().unwrap());
    weights.blocks = blocks;
    weights.pack(model.parameters(), true, &threads);
    let vocabulary = model.config().vocabulary;
    let (inputs, targets) = (ids(7, vocabulary), ids(11, vocabulary));
    let shape = Shape { steps: STEPS, rows: ROWS, lengths: run.lengths };
    let executor = |train: bool| {
        let purpose = Purpose { train, dropout: train && run.drops };
        let mut executor = Executor::new(&weights, STEPS, ROWS, purpose, &threads);
        executor.reshape(&weights, shape, &threads);
        let shards = if weights.divides { run.threads } else { 1 };
        assert_eq!(executor.shards.len(), shards, "rows are divided");
        executor
    };
    let packed = Packed { weights: &weights, parameters: model.parameters(), threads: &threads };
    let dropout = Dropout { probability: 0.3, seed: 5, step: 2 };
    let dropping = run.drops.then_some(Dropping { dropout, given: None });
    let mut gradient = vec![f32::NAN; model.parameters().values.len()];
    let mut training = executor(true);
    for fresh in [true, false] {
        let slope = Slope { scale: 0.25, smoothing: run.smoothing };
        let goal = Goal::Deltas { slope, gradient: &mut gradient };
        training.run(packed, Pass { inputs: &inputs, targets: &targets, fresh, dropping, goal });
        training.gradients(&weights, &mut gradient, &threads);
    }
    let mut reading = executor(false);
    let goal = Goal::Losses { top_k: Some(3) };
    reading.run(packed, Pass { inputs: &inputs, targets: &targets, fresh: true, dropping: None, goal });
    let (tallies, within) = ([&training, &reading].map(|executor| executor.tally((0.0, 0))), reading.within);
    let mut logits = vec![f32::NAN; STEPS * ROWS * vocabulary];
    let goal = Goal::Logits(&mut logits);
    reading.run(packed, Pass { inputs: &inputs, targets: &[], fresh: true, dropping: None, goal });
    let entries = model.parameters().layout.entries().iter();
    Left {
        gradient: entries.flat_map(|entry| bits(&gradient[entry.range.clone()])).collect(),
        logits: bits(&logits),
        tallies: tallies.map(|(sum, correct)| (sum.to_bits(), correct)),
        within,
    }
}

/// s' = u s + x, where x is repeated or cut off to the width of the state; s' is the output.
#[derive(Debug)]
struct Leaky(usize);

impl RnnCell for Leaky {
    fn state_size(&self) -> Vec<usize> {
        vec![self.0]
    }
    fn output_size(&self) -> usize {
        self.0
    }
    fn variables(&self, _: usize) -> Vec<Variable> {
        vec![Variable::weight("leak", &[self.0])]
    }
    fn step(&self, variables: &[&[f32]], step: Step<'_>) {
        let width = step.inputs.len() / step.rows;
        for i in 0..step.rows * self.0 {
            let (row, unit) = (i / self.0, i % self.0);
            let sum = variables[0][unit] * step.state[i] + step.inputs[row * width + unit % width];
            (step.next_state[i], step.outputs[i]) = (sum, sum);
        }
    }
    fn step_backward(&self, variables: &[&[f32]], step: StepBackward<'_>) {
        let width = step.inputs.len() / step.rows;
        for i in 0..step.rows * self.0 {
            let (row, unit) = (i / self.0, i % self.0);
            let d = step.d_next_state[i] + step.d_outputs[i];
            step.d_variables[0][unit] += d * step.state[i];
            step.d_state[i] = d * variables[0][unit];
            step.d_inputs[row * width + unit % width] += d;
        }
    }
}

fn models() -> Vec<Model> {
    let projected = Layer { projection: Some(19), peepholes: true, ..Layer::lstm(40) };
    let stacks = [
        (vec![], InputKind::OneHot, VOCABULARY),
        (vec![], InputKind::Embedding, 48),
        (vec![Layer::gru(60), projected], InputKind::Embedding, VOCABULARY),
        (
            vec![Layer { residual: true, zoneout: 0.2, ..Layer::lstm(VOCABULARY) }],
            InputKind::OneHot,
            VOCABULARY,
        ),
        (vec![Layer::custom(CustomCell::new("leaky", Leaky(20)))], InputKind::Embedding, VOCABULARY),
    ];
    let model = |(stack, input, vocabulary)| {
        let settings = Settings {
            model: ModelSettings {
                stack,
                input,
                hidden: 60,
                embedding: Some(13),
                ..ModelSettings::default()
            },
            ..Settings::default()
        };
        Model::new(&settings.model, vocabulary, settings.run.seed).unwrap()
    };
    stacks.into_iter().map(model).collect()
}

#[test]
fn blocks_have_the_bits_of_the_whole_window() {
    if detect().unwrap() == Isa::PORTABLE {
        return portable_gradients_are_close();
    }
    for model in models() {
        for (lengths, smoothing, drops) in [
            (None, 0.0, false),
            (None, 0.1, true),
            (Some(&LENGTHS[..]), 0.0, true),
            (Some(&LENGTHS[..]), 0.1, false),
        ] {
            let at = |threads| Run { threads, lengths, smoothing, drops };
            let expected = run(&model, Blocks::default(), at(1));
            assert!(expected.within > 0 && expected.within < (STEPS * ROWS) as u64);
            for threads in 1..=4 {
                for tokens in [1, 8, 20] {
                    let found = run(&model, Blocks::always(tokens), at(threads));
                    assert!(found == expected, "{:?}, {:?}, {tokens}", model.config().stack, at(threads));
                }
            }
        }
    }
}

/// `matrixmultiply` begins a sum anew in each block.
fn portable_gradients_are_close() {
    for model in models() {
        let at = Run { threads: 2, lengths: Some(&LENGTHS), smoothing: 0.1, drops: true };
        let [expected, found] = [Blocks::default(), Blocks::always(8)].map(|blocks| run(&model, blocks, at));
        assert_eq!((&found.logits, found.tallies), (&expected.logits, expected.tallies));
        for (found, expected) in found.gradient.iter().zip(&expected.gradient) {
            let [found, expected] = [found, expected].map(|bits| f32::from_bits(*bits));
            assert!((found - expected).abs() <= 1e-5 * (1.0 + expected.abs()), "{found}, {expected}");
        }
    }
}

#[test]
fn few_logits_are_kept_whole() {
    let blocks = Blocks::default();
    assert!(blocks.keep(65, usize::MAX) && blocks.keep(12_000, 64) && blocks.keep(2048, 2048));
    assert!(!blocks.keep(12_000, 2048) && !blocks.keep(usize::MAX, 2048));
    assert_eq!((blocks.room(65, 2048), blocks.room(50_000, 2048)), (0, super::BLOCK));
}

#[test]
fn a_window_without_a_token_has_logits_of_zero() {
    let (model, threads) = (&models()[0], Threads::new(Some(2)).unwrap());
    let mut weights = Weights::new(model.config(), detect().unwrap());
    weights.blocks = Blocks::always(8);
    weights.pack(model.parameters(), true, &threads);
    let purpose = Purpose { train: false, dropout: false };
    let mut executor = Executor::new(&weights, STEPS, ROWS, purpose, &threads);
    let shape = Shape { steps: STEPS, rows: ROWS, lengths: Some(&[0; ROWS]) };
    executor.reshape(&weights, shape, &threads);
    let packed = Packed { weights: &weights, parameters: model.parameters(), threads: &threads };
    let mut logits = vec![f32::NAN; STEPS * ROWS * VOCABULARY];
    let (inputs, goal) = (ids(3, VOCABULARY), Goal::Logits(&mut logits));
    executor.run(packed, Pass { inputs: &inputs, targets: &[], fresh: true, dropping: None, goal });
    assert!(!executor.keeps_logits && logits.iter().all(|logit| *logit == 0.0));
}
