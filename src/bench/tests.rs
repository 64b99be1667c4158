use super::*;
use crate::{Cell, DataSettings, InputKind, Layer, ModelSettings, Reset, RunSettings};

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
fn every_cell_is_timed_and_its_answers_agree() {
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
    let config = crate::model::ModelConfig::new(&small().model, 20).unwrap();
    let Arithmetic { forward, training } = Arithmetic::of(&config);
    let near = |found: f64, expected: f64| (found - expected).abs() < 1e-9 * expected;
    assert!(near(figures.train_gflops, training * figures.train_chars_per_second / 1e9));
    assert!(near(figures.forward_gflops, forward * figures.forward_chars_per_second / 1e9));
    assert!(near(figures.training().step_seconds, 12.0 / figures.train_chars_per_second));
    assert!(near(figures.forward().step_seconds, 12.0 / figures.forward_chars_per_second));
}

#[test]
fn modes_are_compared_in_the_order_asked_for() {
    let modes = [Mode::Dynamic, Mode::Static];
    let figures = bench(small()).compare(&modes).unwrap();
    assert_eq!(figures.iter().map(|f| f.mode).collect::<Vec<_>>(), ["dynamic", "static"]);
}

#[test]
fn settings_of_a_run_do_not_disturb_a_timing() {
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
fn layers_with_every_wrapper_are_timed_and_checked() {
    let layer = Layer { input_keep_prob: 0.5, state_keep_prob: 0.5, zoneout: 0.25, ..Layer::lstm(5) };
    let stack =
        vec![layer, Layer { peepholes: true, residual: true, output_keep_prob: 0.5, ..Layer::lstm(5) }];
    bench(Settings { model: ModelSettings { stack, ..small().model }, ..small() }).run().unwrap();
}

#[test]
fn bad_values_are_named() {
    let told = |change: fn(&mut Bench)| {
        let mut bench = bench(small());
        change(&mut bench);
        bench.run().unwrap_err().to_string()
    };
    assert_eq!(told(|b| b.seconds = 0.0), "seconds = 0 cannot work: give a finite number above 0");
    assert!(told(|b| b.seconds = f64::NAN).starts_with("seconds = NaN"));
    assert!(told(|b| b.vocabulary = 0).starts_with("vocab = 0 cannot work"));
    assert!(told(|b| b.settings.model.hidden = 0).starts_with("hidden = 0"));
    assert!(told(|b| b.settings.run.batch = usize::MAX).starts_with("batch = "));
    assert!(told(|b| b.threads = Some(0)).starts_with("threads = 0"));
    assert!(told(|b| b.settings.model.hidden = 3_000_000).contains("memory"));
}
