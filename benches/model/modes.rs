//! Training steps and forward passes of one shape, in both modes, on one thread.

use crate::measure::{Group, Peaks, Work};
use crate::shapes::{Shape, VOCABULARY};
use criterion::Criterion;
use std::sync::Arc;
use std::time::{Duration, Instant};
use unrolled::Mode;
use unrolled::bench::Cost;
use unrolled::corpus::Batch;
use unrolled::exec::{Dynamic, Plan};
use unrolled::model::Model;
use unrolled::train::Training;

const MODES: [Mode; 2] = [Mode::Static, Mode::Dynamic];
/// Width from which a step takes much longer than the build.
const WIDEST_BUILT: usize = 128;

pub fn run(criterion: &mut Criterion, peaks: &mut Peaks, shape: Shape) {
    let mut group = Group::new(criterion, peaks, shape.name);
    train(&mut group, &shape);
    let (model, window) = (Arc::new(shape.model()), shape.window());
    forward(&mut group, &shape, &model, &window);
}

fn train(group: &mut Group<'_>, shape: &Shape) {
    let operations = shape.arithmetic().training * shape.tokens() as f64;
    let steps = MODES.map(|mode| {
        let id = format!("train/{}/1", mode.name());
        let prepare = || checked_training(shape, mode);
        group.time(&id, Work::of(operations), prepare, |training| {
            training.step().expect("a finite loss");
        })
    });
    if shape.hidden <= WIDEST_BUILT {
        let builds = MODES.map(|mode| build_training(group, shape, mode));
        tell(shape, "training", builds, steps);
    }
}

/// Returns the mode that results are compared with.
fn other_than(mode: Mode) -> Mode {
    if mode == Mode::Static { Mode::Dynamic } else { Mode::Static }
}

/// A run whose first loss equals that of the other mode, and is near that of random guesses.
fn checked_training(shape: &Shape, mode: Mode) -> Training {
    let mut training = shape.training(shape.corpus(), mode, 1);
    let found = training.step().expect("a finite loss");
    let expected = shape.training(shape.corpus(), other_than(mode), 1).step().expect("a finite loss");
    let name = shape.name;
    assert_eq!(found.loss.to_bits(), expected.loss.to_bits(), "{name}: loss in {} mode", mode.name());
    let norms = (found.gradient_norm.to_bits(), expected.gradient_norm.to_bits());
    assert_eq!(norms.0, norms.1, "{name}: gradient norm in {} mode", mode.name());
    let guess = (VOCABULARY as f64).ln();
    assert!((found.loss - guess).abs() < 0.2, "{name}: first loss {}, that of guessing {guess}", found.loss);
    training
}

/// Measures the build and the first step together.
fn build_training(group: &mut Group<'_>, shape: &Shape, mode: Mode) -> Option<f64> {
    let id = format!("train, build and first step/{}", mode.name());
    time_parts(
        group,
        &id,
        || (),
        |()| {
            let corpus = shape.corpus();
            timed(|| {
                shape.training(corpus, mode, 1).step().expect("a finite loss");
            })
        },
    )
}

fn forward(group: &mut Group<'_>, shape: &Shape, model: &Arc<Model>, window: &Batch) {
    let operations = shape.arithmetic().forward * shape.tokens() as f64;
    let steps = MODES.map(|mode| {
        let id = format!("forward/{}/1", mode.name());
        let prepare = || Pass::checked(model, window, mode);
        group.time(&id, Work::of(operations), prepare, |pass| pass.run(window))
    });
    let builds = MODES.map(|mode| {
        let id = format!("forward, build and first pass/{}", mode.name());
        time_parts(
            group,
            &id,
            || vec![0.0; window.inputs.len() * VOCABULARY],
            |logits| {
                timed(|| {
                    let mut pass =
                        Pass { runner: Runner::new(model, window, mode), logits: std::mem::take(logits) };
                    pass.run(window);
                    *logits = pass.logits;
                })
            },
        )
    });
    tell(shape, "the forward pass", builds, steps);
}

/// A forward pass in one mode, with its logits [T, B, V].
struct Pass {
    runner: Runner,
    logits: Vec<f32>,
}

enum Runner {
    Static(Plan),
    Dynamic(Dynamic),
}

impl Runner {
    fn new(model: &Arc<Model>, window: &Batch, mode: Mode) -> Self {
        let plan = || Plan::new(model.clone(), window.steps, window.rows, Some(1));
        match mode {
            Mode::Static => Self::Static(plan().expect("one thread")),
            Mode::Dynamic => Self::Dynamic(Dynamic::new(model.clone(), Some(1)).expect("one thread")),
        }
    }
}

impl Pass {
    fn new(model: &Arc<Model>, window: &Batch, mode: Mode) -> Self {
        let logits = vec![0.0; window.inputs.len() * VOCABULARY];
        Self { runner: Runner::new(model, window, mode), logits }
    }

    /// One whose first logits are those of the other mode.
    fn checked(model: &Arc<Model>, window: &Batch, mode: Mode) -> Self {
        let (mut found, mut expected) =
            (Self::new(model, window, mode), Self::new(model, window, other_than(mode)));
        found.run(window);
        expected.run(window);
        let same = found.logits.iter().zip(&expected.logits).all(|(f, e)| f.to_bits() == e.to_bits());
        assert!(same, "the modes differ in their logits");
        assert!(found.logits.iter().all(|y| y.is_finite()) && found.logits.iter().any(|y| *y != 0.0));
        found
    }

    fn run(&mut self, window: &Batch) {
        let run = match &mut self.runner {
            Runner::Static(plan) => plan.forward(&window.inputs, &mut self.logits),
            Runner::Dynamic(dynamic) => dynamic.forward(&window.inputs, window.rows, &mut self.logits),
        };
        run.expect("ids of the vocabulary");
    }
}

/// Measures a `run` that returns the time of the part that counts.
fn time_parts<T>(
    group: &mut Group<'_>,
    id: &str,
    prepare: impl FnOnce() -> T,
    mut run: impl FnMut(&mut T) -> Duration,
) -> Option<f64> {
    let run = |prepared: &mut T, calls| (0..calls).map(|_| run(prepared)).sum();
    group.time_calls(id, Work::of(0.0), prepare, run)
}

fn timed(run: impl FnOnce()) -> Duration {
    let start = Instant::now();
    run();
    start.elapsed()
}

/// Prints the build time without the first step, and the number of steps that compensate it.
fn tell(shape: &Shape, what: &str, builds: [Option<f64>; 2], steps: [Option<f64>; 2]) {
    let cost = |mode: usize| {
        let (build, step) = (builds[mode]?, steps[mode]?);
        Some(Cost { setup_seconds: (build - step).max(0.0), step_seconds: step })
    };
    let (Some(planned), Some(looped)) = (cost(0), cost(1)) else { return };
    let pays = match planned.ahead_from(&looped) {
        Some(0) => "static is ahead or equal from the start".to_owned(),
        Some(steps) => format!("static has paid for its setup from step {steps} on"),
        None => "static never pays for its setup".to_owned(),
    };
    let ms = |seconds: f64| 1e3 * seconds;
    println!(
        "    {}, {what}: static {:.3} ms and {:.2} ms of setup, dynamic {:.3} ms and {:.2} ms of setup: {pays}",
        shape.name,
        ms(planned.step_seconds),
        ms(planned.setup_seconds),
        ms(looped.step_seconds),
        ms(looped.setup_seconds)
    );
}
