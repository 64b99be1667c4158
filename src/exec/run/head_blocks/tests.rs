//! The head by blocks has the bits of the head over the whole window.

use crate::exec::{
    Dropout, Engine, Executor, Extent, Goal, Inputs, LogitBlocks, MaskSource, Needs, Order, OutputSteps,
    Pass, detect,
};
use crate::loss::{Loss, Targets};
use crate::model::{CellStep, CellStepBackward, CustomCell, Model, RnnCell, Variable};
use crate::{InputKind, Layer, ModelSettings, Precision, Settings};
use unrolled_kernels::Isa;

const STEPS: usize = 9;
const ROWS: usize = 7;
const VOCABULARY: usize = 37;
const LENGTHS: [usize; ROWS] = [4, 9, 0, 7, 7, 1, 8];

/// A window, and how it is run.
#[derive(Clone, Copy, Debug)]
struct Run<'a> {
    precision: Precision,
    threads: usize,
    lengths: Option<&'a [usize]>,
    smoothing: f32,
    drops: bool,
}

/// The results of a window, as bits.
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

fn engine(model: &Model, precision: Precision, blocks: LogitBlocks, threads: usize) -> Engine {
    let mut engine = Engine::for_training(model.clone(), precision, Some(threads)).unwrap();
    engine.weights_mut().blocks = blocks;
    engine
}

fn extent(lengths: Option<&[usize]>) -> Extent<'_> {
    Extent { steps: STEPS, rows: ROWS, lengths, output_steps: OutputSteps::Every }
}

/// Trains on a window twice, the second time from its last state; then computes its losses and its
/// logits.
fn run(model: &Model, blocks: LogitBlocks, run: Run<'_>) -> Left {
    let engine = engine(model, run.precision, blocks, run.threads);
    let vocabulary = model.config().vocabulary;
    let (inputs, targets) = (ids(7, vocabulary), ids(11, vocabulary));
    let executor = |backward: bool| {
        let mut executor =
            Executor::new(engine.weights(), Needs { backward, dropout: backward && run.drops });
        executor.reshape(engine.weights(), extent(run.lengths), engine.pool());
        let (divides, division) = (engine.weights().divides, executor.window.division);
        assert_eq!(division.shards * division.members, if divides { run.threads } else { 1 });
        executor
    };
    let dropout = Dropout { probability: 0.3, seed: 5, step: 2 };
    let dropping = run.drops.then_some(MaskSource { dropout, given: None });
    let (inputs, order) = (Inputs::Ids(&inputs), Order::TimeMajor);
    let targets = Some((Targets::Ids(&targets), None));
    let mut gradient = vec![f32::NAN; model.parameters().values.len()];
    let mut training = executor(true);
    for fresh in [true, false] {
        let loss = Loss::CrossEntropy { label_smoothing: run.smoothing };
        let goal = Goal::Deltas { loss, scale: 0.25, gradient: &mut gradient };
        training.run(engine.packed(), Pass { inputs, order, targets, fresh, dropping, goal });
        training.gradients(engine.packed(), (&mut gradient, None), |_| ());
    }
    let mut reading = executor(false);
    let goal = Goal::Losses { loss: Loss::CROSS_ENTROPY, top_k: Some(3) };
    let pass = Pass { inputs, order, targets, fresh: true, dropping: None, goal };
    let within = reading.run(engine.packed(), pass);
    let tallies = [&training, &reading].map(|executor| executor.window.tally((0.0, 0)));
    let mut logits = vec![f32::NAN; STEPS * ROWS * vocabulary];
    let goal = Goal::Outputs(&mut logits);
    reading.run(engine.packed(), Pass { inputs, order, targets: None, fresh: true, dropping: None, goal });
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
    fn step(&self, variables: &[&[f32]], step: CellStep<'_>) {
        let width = step.inputs.len() / step.rows;
        for i in 0..step.rows * self.0 {
            let (row, unit) = (i / self.0, i % self.0);
            let sum = variables[0][unit] * step.state[i] + step.inputs[row * width + unit % width];
            (step.next_state[i], step.outputs[i]) = (sum, sum);
        }
    }
    fn step_backward(&self, variables: &[&[f32]], step: CellStepBackward<'_>) {
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
            // A block of bf16 has whole pairs of tokens.
            for (precision, sizes) in [(Precision::F32, [1, 8, 20]), (Precision::Bf16, [2, 8, 20])] {
                let at = |threads| Run { precision, threads, lengths, smoothing, drops };
                let expected = run(&model, LogitBlocks::default(), at(1));
                assert!(expected.within > 0 && expected.within < (STEPS * ROWS) as u64);
                for (threads, tokens) in (1..=4).flat_map(|threads| sizes.map(|tokens| (threads, tokens))) {
                    let found = run(&model, LogitBlocks::always(tokens), at(threads));
                    assert!(found == expected, "{:?}, {:?}, {tokens}", model.config().stack, at(threads));
                }
            }
        }
    }
}

/// `matrixmultiply` starts a new sum in each block.
fn portable_gradients_are_close() {
    for model in models() {
        let at = Run {
            precision: Precision::F32,
            threads: 2,
            lengths: Some(&LENGTHS),
            smoothing: 0.1,
            drops: true,
        };
        let [expected, found] =
            [LogitBlocks::default(), LogitBlocks::always(8)].map(|blocks| run(&model, blocks, at));
        assert_eq!((&found.logits, found.tallies), (&expected.logits, expected.tallies));
        for (found, expected) in found.gradient.iter().zip(&expected.gradient) {
            let [found, expected] = [found, expected].map(|bits| f32::from_bits(*bits));
            assert!((found - expected).abs() <= 1e-5 * (1.0 + expected.abs()), "{found}, {expected}");
        }
    }
}

#[test]
fn few_logits_are_kept_whole() {
    let blocks = LogitBlocks::default();
    assert!(blocks.keep(65, usize::MAX) && blocks.keep(12_000, 64) && blocks.keep(2048, 2048));
    assert!(!blocks.keep(12_000, 2048) && !blocks.keep(usize::MAX, 2048));
    assert_eq!((blocks.room(65, 2048), blocks.room(50_000, 2048)), (0, 512));
}

#[test]
fn a_window_without_a_token_has_logits_of_zero() {
    let engine = engine(&models()[0], Precision::F32, LogitBlocks::always(8), 2);
    let mut executor = Executor::new(engine.weights(), Needs::INFERENCE);
    executor.reshape(engine.weights(), extent(Some(&[0; ROWS])), engine.pool());
    let mut logits = vec![f32::NAN; STEPS * ROWS * VOCABULARY];
    let (inputs, order, goal) = (ids(3, VOCABULARY), Order::TimeMajor, Goal::Outputs(&mut logits));
    let inputs = Inputs::Ids(&inputs);
    executor.run(engine.packed(), Pass { inputs, order, targets: None, fresh: true, dropping: None, goal });
    assert!(!executor.window.keeps_outputs && logits.iter().all(|logit| *logit == 0.0));
}
