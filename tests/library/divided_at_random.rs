//! Runs of random settings that are divided, interrupted and resumed have the bits of one process.

use super::{divided_runs::timeless, local_ranks::run_ranks};
use proptest::prelude::*;
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};
use unrolled::{
    Bias, ClipMode, Exchange, Highway, InputKind, Layer, Mode, ModelSettings, OptimizerKind,
    OptimizerSettings, Reduction, RunSettings, Schedule, ScheduleSettings, Settings, Unit, Windows,
    checkpoint::Checkpoint,
    corpus::Corpus,
    train::{Ranks, Training},
};

/// Draws choices.
struct Draws(u64);

impl Draws {
    /// Returns a number below `end`.
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % end as u64) as usize
    }

    fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    fn coin(&mut self) -> bool {
        self.below(2) == 1
    }
}

/// Returns a layer with `inputs` inputs.
fn layer(draws: &mut Draws, (inputs, width): (usize, usize)) -> Layer {
    let mut layer = match draws.below(7) {
        0 => Layer::rnn(width),
        1 => Layer::gru(width),
        2 => Layer::gru_before(width),
        3 => Layer { peepholes: draws.coin(), coupled: draws.coin(), ..Layer::lstm(width) },
        4 => Layer { projection: Some(width / 2 + 1), ..Layer::lstm(width) },
        5 => Layer { layer_norm: true, ..Layer::lstm(width) },
        _ => Layer { zoneout: 0.2, ..Layer::lstm(width) },
    };
    match draws.below(5) {
        0 => layer.state_keep_prob = 0.7,
        1 => (layer.input_keep_prob, layer.output_keep_prob) = (0.9, 0.8),
        2 if layer.output_size() == inputs => layer.residual = true,
        3 if layer.output_size() == inputs => layer.highway = Highway::Coupled,
        _ => {}
    }
    layer
}

fn settings(draws: &mut Draws) -> Settings {
    let width = draws.pick(&[4, 17, 40, 64]);
    let layers = 1 + draws.below(3);
    let input = draws.pick(&[InputKind::Embedding, InputKind::OneHot]);
    let mut stack: Vec<Layer> = Vec::new();
    for _ in 0..layers {
        let symbols = if input == InputKind::Embedding { width } else { 0 };
        let inputs = stack.last().map_or(symbols, Layer::output_size);
        stack.push(layer(draws, (inputs, width)));
    }
    let model = ModelSettings {
        stack,
        input,
        embedding: (input == InputKind::Embedding).then_some(width),
        bias: draws.pick(&[Bias::Double, Bias::Single]),
        ..ModelSettings::default()
    };
    let optimizer = OptimizerSettings {
        kind: draws.pick(&[
            OptimizerKind::Adam,
            OptimizerKind::Adamw,
            OptimizerKind::Adagrad,
            OptimizerKind::Rmsprop,
            OptimizerKind::Sgd,
        ]),
        clip: draws.pick(&[0.01, 0.5, 5.0]),
        clip_mode: draws.pick(&[ClipMode::Norm, ClipMode::Value]),
        ..OptimizerSettings::default()
    };
    let run = RunSettings {
        batch: 1 + draws.below(4),
        steps: 1 + draws.below(9),
        accumulate: 2 + draws.below(9),
        windows: draws.pick(&[Windows::Stream, Windows::Stream, Windows::Random, Windows::Sliding]),
        exchange: draws.pick(&[Exchange::F32, Exchange::Bf16]),
        max_steps: Some(3 + draws.below(4) as u64),
        eval_every: Some(1 + draws.below(4) as u64),
        eval_symbols: draws.pick(&[None, Some(100)]),
        mode: draws.pick(&[Mode::Static, Mode::Dynamic]),
        loss_reduction: draws.pick(&[Reduction::Mean, Reduction::SumSteps]),
        label_smoothing: draws.pick(&[0.0, 0.1]),
        epochs: 100.0,
        seed: draws.below(1000) as u64,
        ..RunSettings::default()
    };
    let schedule = ScheduleSettings {
        kind: draws.pick(&[Schedule::Constant, Schedule::Cosine]),
        learning_rate: 0.01,
        ..ScheduleSettings::default()
    };
    Settings { model, optimizer, schedule, run, ..Settings::default() }
}

fn corpus() -> Corpus {
    let text: String = (0..2500u32).map(|n| char::from(97 + (n * n % 23 + n / 400) as u8)).collect();
    Corpus::from_text(text, Unit::Char).unwrap()
}

/// Runs up to `steps` steps on `count` ranks, of which one may be interrupted meanwhile.
fn part(
    settings: &Settings,
    from: Option<&Checkpoint>,
    (count, steps): (usize, u64),
    interrupted: Option<usize>,
) -> Checkpoint {
    let flag = Arc::new(AtomicBool::new(false));
    let results = run_ranks(count, |ranks| {
        let rank = ranks.rank();
        let training = match from {
            None => Training::new(corpus(), settings.clone(), Some(1)),
            Some(from) => Training::resume(corpus(), from.clone(), settings.clone(), Some(1)),
        };
        let mut training = training.unwrap().divide(ranks).unwrap();
        if interrupted == Some(rank) {
            training.interrupt_by(Arc::clone(&flag));
        }
        if rank > 0 {
            training.follow();
            return None;
        }
        let last = training.progress().step + steps;
        while training.progress().step < last && !training.is_done() {
            // A numerical error is one on any number of ranks, and ends the run.
            if training.step().is_err() {
                break;
            }
        }
        if interrupted.is_some() && !training.is_done() {
            flag.store(true, Ordering::Relaxed);
            training.step().unwrap_err();
        }
        Some(timeless(&training))
    });
    results.into_iter().flatten().next().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(8) })]

    #[test]
    fn divided_interrupted_and_resumed_runs_have_the_bits_of_one_process(seed: u64) {
        let mut draws = Draws(seed);
        let settings = settings(&mut draws);
        let windows = settings.run.accumulate;
        let whole = part(&settings, None, (1, 1000), None);
        let (first, second) = (1 + draws.below(windows), 1 + draws.below(windows));
        let interrupted = draws.coin().then(|| draws.below(first));
        let paused = part(&settings, None, (first, 1 + draws.below(3) as u64), interrupted);
        let found = part(&settings, Some(&paused), (second, 1000), None);
        prop_assert!(found == whole, "{first} and {second} ranks, {interrupted:?}: {settings:#?}");
    }
}
