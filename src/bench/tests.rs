use super::{Arithmetic, Bench, checks, first_step::FirstStep};
use crate::corpus::Batch;
use crate::model::{Model, ModelConfig};
use crate::train::StepReport;
use crate::{
    Cell, DataSettings, InputKind, Layer, Mode, ModelSettings, Reset, RunSettings, Settings, Windows,
};
use std::sync::Arc;

fn bench(settings: Settings) -> Bench {
    Bench { settings, vocabulary: 20, threads: Some(2), seconds: 0.005 }
}

fn small() -> Settings {
    Settings {
        model: ModelSettings { hidden: 9, ..ModelSettings::default() },
        run: RunSettings { batch: 3, steps: 4, ..RunSettings::default() },
        ..Settings::default()
    }
}

#[test]
fn every_cell_is_measured_and_checked() {
    for cell in [Cell::Rnn, Cell::Lstm, Cell::Gru] {
        for (reset, input) in [(Reset::After, InputKind::OneHot), (Reset::Before, InputKind::Embedding)] {
            let figures = bench(Settings {
                model: ModelSettings { cell, reset, input, layers: 2, ..small().model },
                ..small()
            })
            .run()
            .unwrap();
            assert_eq!((figures.mode, figures.threads, figures.chars_per_window), ("static", 2, 12));
            let rates = [figures.train_chars_per_second, figures.forward_chars_per_second];
            assert!(rates.iter().all(|rate| rate.is_finite() && *rate > 0.0), "{figures:?}");
            assert!(figures.step_microseconds > 0.0 && figures.setup_seconds > 0.0, "{figures:?}");
        }
    }
}

#[test]
fn gflops_are_the_arithmetic_times_the_rate() {
    let figures = bench(small()).run().unwrap();
    let config = ModelConfig::new(&small().model, 20).unwrap();
    let Arithmetic { forward, training } = Arithmetic::of(&config);
    let near = |found: f64, expected: f64| (found - expected).abs() < 1e-9 * expected;
    assert!(near(figures.train_gflops, training * figures.train_chars_per_second / 1e9));
    assert!(near(figures.forward_gflops, forward * figures.forward_chars_per_second / 1e9));
    assert!(near(figures.training().step_seconds, 12.0 / figures.train_chars_per_second));
    assert!(near(figures.forward().step_seconds, 12.0 / figures.forward_chars_per_second));
}

#[test]
fn figures_are_in_the_order_of_the_modes() {
    let modes = [Mode::Dynamic, Mode::Static];
    let figures = bench(small()).compare(&modes).unwrap();
    assert_eq!(figures.iter().map(|f| f.mode).collect::<Vec<_>>(), ["dynamic", "static"]);
}

#[test]
fn settings_of_a_run_do_not_affect_a_measurement() {
    let settings = Settings {
        model: ModelSettings { dropout: 0.5, ..small().model },
        data: DataSettings { val_fraction: 0.9, ..small().data },
        run: RunSettings {
            max_steps: Some(1),
            windows: Windows::Sliding,
            eval_every: Some(1),
            ..small().run
        },
        ..small()
    };
    bench(settings).run().unwrap();
}

#[test]
fn layers_with_dropout_and_wrappers_are_measured_and_checked() {
    let layer = Layer { input_keep_prob: 0.5, state_keep_prob: 0.5, zoneout: 0.25, ..Layer::lstm(5) };
    let stack =
        vec![layer, Layer { peepholes: true, residual: true, output_keep_prob: 0.5, ..Layer::lstm(5) }];
    bench(Settings { model: ModelSettings { stack, ..small().model }, ..small() }).run().unwrap();
}

#[test]
fn an_invalid_value_is_an_error() {
    let reason = |change: fn(&mut Bench)| {
        let mut bench = bench(small());
        change(&mut bench);
        bench.run().unwrap_err().to_string()
    };
    assert_eq!(reason(|b| b.seconds = 0.0), "seconds = 0 is invalid: give a finite number above 0");
    assert!(reason(|b| b.seconds = f64::NAN).starts_with("seconds = NaN"));
    assert!(reason(|b| b.vocabulary = 0).starts_with("vocab = 0 is invalid"));
    assert!(reason(|b| b.settings.model.hidden = 0).starts_with("hidden = 0"));
    assert!(reason(|b| b.settings.run.batch = usize::MAX).starts_with("batch = "));
    assert!(reason(|b| b.threads = Some(0)).starts_with("threads = 0"));
    assert!(reason(|b| b.settings.model.hidden = 3_000_000).contains("memory"));
}

#[test]
fn a_wrong_loss_or_norm_is_an_error() {
    let batch = Batch { steps: 3, rows: 2, inputs: vec![0, 1, 2, 3, 4, 0], targets: vec![1; 6], fresh: true };
    let model = Arc::new(Model::new(&ModelSettings { hidden: 5, ..ModelSettings::default() }, 6, 1).unwrap());
    let options = bench(small()).options();
    let logits = checks::forward(&model, &batch, options).unwrap();
    let expected = FirstStep::of(&model, &batch, &logits, 1, options).unwrap();
    let FirstStep { loss, gradient_norm } = expected;
    let report = StepReport { step: 1, loss, gradient_norm, learning_rate: 0.1, record: None };
    expected.check(&report).unwrap();
    let reason = |report: StepReport| expected.check(&report).unwrap_err().to_string();
    assert!(reason(StepReport { loss: loss + 1e-3, ..report.clone() }).contains("the loss of the first"));
    assert!(reason(StepReport { loss: f64::NAN, ..report.clone() }).contains("is NaN"));
    assert!(reason(StepReport { gradient_norm: 2.0 * gradient_norm, ..report }).contains("gradient norm"));
}
