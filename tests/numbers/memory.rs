//! The estimate of a run's memory compared with its allocations, and checkpoints without copies.
//!
//! The counter counts the calling thread only, so everything here runs on one thread. Packed
//! weights and blocks of logits are smaller than the size from which they are mapped instead of
//! allocated.

use super::{noise, text};
use allocation_counter::measure;
use unrolled::{
    Bias, Cell, Highway, InputKind, Layer, Mode, ModelSettings, OptimizerKind, OptimizerSettings, Precision,
    Reset, RunSettings, ScheduleSettings, Settings, Unit,
    checkpoint::Checkpoint,
    corpus::Corpus,
    model::memory_needed,
    sample::{Generator, Sampling},
    train::Training,
};

/// Runs like the command line: steps, evaluations, samples and checkpoints. Returns the peak number
/// of bytes.
fn peak(settings: &Settings, corpus: Corpus) -> f64 {
    let folder = tempfile::tempdir().unwrap();
    let used = measure(|| {
        let mut training = Training::new(corpus, settings.clone(), Some(1)).unwrap();
        for _ in 0..2 {
            training.step().unwrap();
            let mut generator =
                Generator::new(training.model().clone(), training.vocabulary(), Sampling::default(), 0)
                    .unwrap();
            generator.prompt("").unwrap();
            generator.next_id();
            drop(generator);
            training.save(&folder.path().join("run.safetensors")).unwrap();
        }
    });
    used.bytes_max as f64
}

/// The estimate without the memory of the process itself and without freed blocks that the
/// allocator keeps.
fn estimate(settings: &Settings, symbols: usize) -> f64 {
    let nothing = Settings {
        model: ModelSettings { hidden: 1, ..ModelSettings::default() },
        run: RunSettings { batch: 1, steps: 1, ..RunSettings::default() },
        ..Settings::default()
    };
    memory_needed(settings, symbols) - memory_needed(&nothing, 1)
}

fn base() -> Settings {
    Settings {
        model: ModelSettings { hidden: 320, ..ModelSettings::default() },
        run: RunSettings {
            batch: 24,
            steps: 24,
            eval_every: Some(1),
            max_steps: Some(2),
            ..RunSettings::default()
        },
        ..Settings::default()
    }
}

fn check(name: &str, settings: Settings) {
    check_on(name, settings, text(60_000));
}

fn check_on(name: &str, settings: Settings, corpus: Corpus) {
    let symbols = corpus.vocabulary().len();
    let (found, estimated) = (peak(&settings, corpus), estimate(&settings, symbols));
    let ratio = estimated / found;
    println!("{name}: {:.1} MiB, estimated {:.1}: {ratio:.3}", found / 1048576.0, estimated / 1048576.0);
    assert!((0.9..1.1).contains(&ratio), "{name}: {found} bytes, estimated {estimated}");
}

#[test]
fn the_estimate_is_right_for_cells_and_optimizers() {
    let cells = [
        (Cell::Rnn, Reset::After),
        (Cell::Lstm, Reset::After),
        (Cell::Gru, Reset::After),
        (Cell::Gru, Reset::Before),
    ];
    for (cell, reset) in cells {
        let single = Settings {
            model: ModelSettings { cell, reset, hidden: 480, bias: Bias::Single, ..base().model },
            ..base()
        };
        check(&format!("{} {}", cell.name(), reset.name()), single);
    }
    use OptimizerKind::*;
    for (optimizer, momentum) in [(Sgd, 0.0), (Sgd, 0.9), (Adagrad, 0.0), (Rmsprop, 0.9), (Adamw, 0.0)] {
        let learning_rate = 1e-4;
        check(
            optimizer.name(),
            Settings {
                optimizer: OptimizerSettings { kind: optimizer, momentum, ..base().optimizer },
                schedule: ScheduleSettings { learning_rate, ..base().schedule },
                ..base()
            },
        );
    }
}

#[test]
fn the_estimate_is_right_in_bf16() {
    let precision = Precision::Bf16;
    check("bf16", Settings { run: RunSettings { precision, ..base().run }, ..base() });
    let f32 = memory_needed(&base(), 65);
    let bf16 = memory_needed(&Settings { run: RunSettings { precision, ..base().run }, ..base() }, 65);
    assert!(bf16 < 0.9 * f32, "{bf16} and {f32}");
}

#[test]
fn the_estimate_is_right_for_windows_and_inputs() {
    check(
        "one-hot",
        Settings { model: ModelSettings { input: InputKind::OneHot, ..base().model }, ..base() },
    );
    check(
        "a narrow embedding",
        Settings { model: ModelSettings { embedding: Some(24), ..base().model }, ..base() },
    );
    check(
        "large windows",
        Settings {
            model: ModelSettings { hidden: 64, ..base().model },
            run: RunSettings { batch: 100, steps: 100, ..base().run },
            ..base()
        },
    );
    check(
        "small windows, two layers",
        Settings {
            model: ModelSettings { layers: 2, ..base().model },
            run: RunSettings { batch: 2, steps: 4, ..base().run },
            ..base()
        },
    );
    check("accumulated", Settings { run: RunSettings { accumulate: 3, ..base().run }, ..base() });
    check("dynamic", Settings { run: RunSettings { mode: Mode::Dynamic, ..base().run }, ..base() });
    check(
        "dropout",
        Settings {
            model: ModelSettings { dropout: 0.3, layers: 2, hidden: 200, ..base().model },
            run: RunSettings { batch: 50, ..base().run },
            ..base()
        },
    );
}

#[test]
fn the_estimate_is_right_for_options_of_layers() {
    let stacks = [
        ("projection and peepholes", Layer { projection: Some(96), peepholes: true, ..Layer::lstm(480) }),
        ("coupled", Layer { coupled: true, ..Layer::lstm(400) }),
        ("layer norm", Layer { layer_norm: true, ..Layer::lstm(320) }),
        ("zoneout", Layer { zoneout: 0.1, zoneout_cell: 0.1, ..Layer::lstm(320) }),
        ("state dropout", Layer { state_keep_prob: 0.9, drop_cell_state: true, ..Layer::lstm(320) }),
        ("input dropout", Layer { input_keep_prob: 0.9, ..Layer::lstm(320) }),
    ];
    for (name, layer) in stacks {
        let batch = 64;
        check(
            name,
            Settings {
                model: ModelSettings { stack: vec![layer], ..base().model },
                run: RunSettings { batch, ..base().run },
                ..base()
            },
        );
    }
    for (name, highway, residual) in [
        ("highway", Highway::Coupled, false),
        ("two gates", Highway::Separate, false),
        ("residual", Highway::Off, true),
    ] {
        let second = Layer { highway, residual, ..Layer::gru(256) };
        check(
            name,
            Settings {
                model: ModelSettings { stack: vec![Layer::lstm(256), second], ..base().model },
                run: RunSettings { batch: 64, ..base().run },
                ..base()
            },
        );
    }
}

/// The head works on blocks of tokens. The model is so large that the blocks which the allocator
/// keeps are a small share of the estimate.
#[test]
fn the_estimate_is_right_for_large_vocabularies() {
    let symbol = |id: u32| char::from_u32(0x4E00 + id).unwrap();
    for (name, input) in [("embedding", InputKind::Embedding), ("one-hot", InputKind::OneHot)] {
        let text = noise(7, 4000).take(60_000).map(symbol).collect::<String>();
        let corpus = Corpus::from_text(text, Unit::Char).unwrap();
        let settings = Settings {
            model: ModelSettings { input, hidden: 192, ..base().model },
            run: RunSettings { steps: 64, ..base().run },
            ..base()
        };
        check_on(&format!("4000 symbols, {name}"), settings, corpus);
    }
}

/// Returns the bytes of parameters and moments.
fn size(checkpoint: &Checkpoint) -> f64 {
    let floats = checkpoint.parameters.values.len() * (1 + checkpoint.moments.len());
    (floats * size_of::<f32>()) as f64
}

#[test]
fn checkpoints_are_written_and_read_without_copies() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.safetensors");
    let settings = Settings {
        model: ModelSettings { hidden: 400, ..ModelSettings::default() },
        run: RunSettings { batch: 2, steps: 4, max_steps: Some(9), ..RunSettings::default() },
        ..Settings::default()
    };
    let mut training = Training::new(text(60_000), settings.clone(), Some(1)).unwrap();
    training.step().unwrap();
    let size = size(&training.checkpoint());
    let most = |bytes: u64, of: f64| assert!((bytes as f64) < of * size, "{bytes} bytes of {size}");
    most(measure(|| training.save(&path).unwrap()).bytes_max, 0.1);
    most(measure(|| _ = Checkpoint::verify(&path).unwrap()).bytes_max, 0.1);
    most(measure(|| _ = Checkpoint::load(&path).unwrap()).bytes_max, 1.1);
    // Resuming uses the loaded buffers.
    let (checkpoint, corpus) = (Checkpoint::load(&path).unwrap(), text(60_000));
    let whole = measure(|| {
        _ = Training::new(text(60_000), settings.clone(), Some(1)).unwrap();
    });
    let resumed = measure(|| {
        _ = Training::resume(corpus, checkpoint, settings.clone(), Some(1)).unwrap();
    });
    let taken_over = whole.bytes_max as f64 - 0.9 * size;
    assert!((resumed.bytes_max as f64) < taken_over, "{resumed:?} where a new run takes {whole:?}");
}
