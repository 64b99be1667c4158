//! Runs divided among ranks have the bits of a run of one process.

use super::local_ranks::{LocalRanks, run_ranks};
use std::{
    fs,
    sync::{Arc, atomic::AtomicBool},
};
use unrolled::{
    ClipMode, Error, Exchange, InputKind, Layer, ModelSettings, OptimizerKind, OptimizerSettings,
    RunSettings, ScheduleSettings, Settings, Unit, Windows,
    checkpoint::Checkpoint,
    corpus::{Corpus, CorpusOptions},
    train::{Ranks, Training},
};

fn corpus() -> Corpus {
    let text: String = (0..6000u32).map(|n| char::from(97 + (n * n % 23 + n / 700) as u8)).collect();
    Corpus::from_text(text, Unit::Char).unwrap()
}

/// More than one block of parameters for each bucket.
fn settings() -> Settings {
    Settings {
        model: ModelSettings { hidden: 40, layers: 2, ..ModelSettings::lstm(40) },
        schedule: ScheduleSettings::constant(0.01),
        run: RunSettings {
            batch: 3,
            steps: 7,
            accumulate: 8,
            max_steps: Some(6),
            eval_every: Some(3),
            ..RunSettings::default()
        },
        ..Settings::default()
    }
}

fn training(settings: &Settings) -> Training {
    Training::new(corpus(), settings.clone(), Some(1)).unwrap()
}

/// The checkpoint with all measured times set to zero.
pub fn timeless(training: &Training) -> Checkpoint {
    let mut checkpoint = training.checkpoint();
    let progress = &mut checkpoint.progress;
    (progress.seconds, progress.seconds_at_record, progress.since_log.seconds) = (0.0, 0.0, 0.0);
    for record in &mut progress.history {
        (record.seconds, record.chars_per_second) = (0.0, 0.0);
    }
    checkpoint
}

/// Runs `lead` on rank 0 of a run divided among `count` ranks, and returns its result.
fn divided<R: Send>(
    count: usize,
    start: impl Fn() -> Training + Sync,
    lead: impl Fn(Training, &LocalRanks) -> R + Sync,
) -> R {
    let results = run_ranks(count, |ranks| {
        let mut training = start().divide(Arc::clone(&ranks) as Arc<dyn Ranks>).unwrap();
        if ranks.rank() > 0 {
            training.follow();
            return None;
        }
        Some(lead(training, &ranks))
    });
    results.into_iter().flatten().next().unwrap()
}

fn finish(mut training: Training) -> Checkpoint {
    while !training.is_done() {
        training.step().unwrap();
    }
    timeless(&training)
}

fn has_the_bits_of_one_process(name: &str, settings: &Settings, counts: &[usize]) {
    let expected = finish(training(settings));
    for &count in counts {
        let found = divided(count, || training(settings), |training, _| finish(training));
        assert!(found == expected, "{name}, {count} ranks");
    }
}

#[test]
fn any_number_of_ranks_gives_the_same_bits() {
    has_the_bits_of_one_process("default", &settings(), &[1, 2, 3, 4, 5, 8]);
    let run = RunSettings { accumulate: 7, ..settings().run };
    has_the_bits_of_one_process("7 windows", &Settings { run, ..settings() }, &[2, 3, 7]);
}

#[test]
fn all_optimizers_give_the_same_bits() {
    let rules = [
        OptimizerSettings {
            momentum: 0.9,
            kind: OptimizerKind::Sgd,
            clip: 0.1,
            ..OptimizerSettings::default()
        },
        OptimizerSettings { kind: OptimizerKind::Adagrad, ..OptimizerSettings::default() },
        OptimizerSettings {
            kind: OptimizerKind::Rmsprop,
            centered: true,
            momentum: 0.5,
            clip: 0.01,
            clip_mode: ClipMode::Value,
            ..OptimizerSettings::default()
        },
        OptimizerSettings { kind: OptimizerKind::Adamw, weight_decay: 0.1, ..OptimizerSettings::default() },
    ];
    for optimizer in rules {
        let name = format!("{:?}", optimizer.kind);
        has_the_bits_of_one_process(&name, &Settings { optimizer, ..settings() }, &[3]);
    }
}

#[test]
fn all_cells_windows_and_options_give_the_same_bits() {
    for (windows, layer, input) in [
        (Windows::Stream, Layer::gru(37), InputKind::OneHot),
        (
            Windows::Random,
            Layer { state_keep_prob: 0.7, output_keep_prob: 0.8, ..Layer::rnn(50) },
            InputKind::Embedding,
        ),
        (Windows::Sliding, Layer { projection: Some(9), ..Layer::lstm(33) }, InputKind::OneHot),
        (Windows::Stream, Layer { layer_norm: true, ..Layer::lstm(20) }, InputKind::Embedding),
    ] {
        let name = format!("{windows:?}, {input:?}");
        let model = ModelSettings { stack: vec![layer.clone(), layer], input, ..ModelSettings::default() };
        let run = RunSettings { windows, ..settings().run };
        has_the_bits_of_one_process(&name, &Settings { model, run, ..settings() }, &[2, 3]);
    }
}

#[test]
fn rounded_exchange_gives_the_same_bits_and_other_ones_than_f32() {
    let run = RunSettings { exchange: Exchange::Bf16, ..settings().run };
    let rounded = Settings { run, ..settings() };
    has_the_bits_of_one_process("bf16", &rounded, &[2, 3, 4, 8]);
    let (exact, rounded) = (finish(training(&settings())), finish(training(&rounded)));
    let [exact, rounded] = [exact, rounded].map(|found| found.progress.history.last().unwrap().train_loss);
    assert!(exact != rounded && (exact - rounded).abs() < 0.02 * exact, "{exact} and {rounded}");
}

#[test]
fn a_run_resumes_with_another_number_of_ranks() {
    let expected = finish(training(&settings()));
    let two_steps = |mut training: Training| {
        (0..2).for_each(|_| _ = training.step().unwrap());
        training.checkpoint()
    };
    let paused = divided(3, || training(&settings()), |training, _| two_steps(training));
    assert_eq!(paused.state.as_ref().map(|state| state.rows), Some(24));
    for count in [1, 2, 8] {
        let resume = || Training::resume(corpus(), paused.clone(), settings(), Some(1)).unwrap();
        assert!(divided(count, resume, |training, _| finish(training)) == expected, "{count} ranks");
    }
}

#[test]
fn a_rank_sends_at_most_its_part_of_the_parameters_twice() {
    for (exchange, size) in [(Exchange::F32, 4), (Exchange::Bf16, 2)] {
        let run = RunSettings { exchange, eval_every: Some(1000), ..settings().run };
        let settings = Settings { run, model: ModelSettings::lstm(200), ..settings() };
        for count in [2, 4, 8] {
            let sent = divided(
                count,
                || training(&settings),
                |mut training, ranks| {
                    training.step().unwrap();
                    let before = ranks.sent();
                    training.step().unwrap();
                    let parameters = training.model().parameters().values.len();
                    (ranks.sent() - before, parameters)
                },
            );
            let (sent, parameters) = sent;
            let most = 2 * (count - 1) * parameters * size / count;
            // A share is a whole number of blocks of 4096 values. Besides: losses and parts of the norm.
            let slack = count * 4096 * size + count * 8 * (2 + 8 / count + parameters / 4096 / count + 1);
            assert!(sent <= (most + slack) as u64, "{exchange:?}, {count} ranks: {sent} of {most} bytes");
        }
    }
}

#[test]
fn ranks_with_another_run_are_refused() {
    let other_text = || Corpus::from_text("another text ".repeat(500), Unit::Char).unwrap();
    let seed = Settings { run: RunSettings { seed: 2, ..settings().run }, ..settings() };
    let batch = Settings { run: RunSettings { batch: 4, ..settings().run }, ..settings() };
    let with = |settings: Settings| Training::new(corpus(), settings, Some(1)).unwrap();
    let cases: [(&str, &(dyn Fn() -> Training + Sync)); 3] = [
        ("rank 2: its seed is 2, and that of rank 0 is 1; ", &|| with(seed.clone())),
        ("rank 2: its batch is 4, and that of rank 0 is 3; ", &|| with(batch.clone())),
        ("rank 2: its text is not that of rank 0; ", &|| {
            Training::new(other_text(), settings(), Some(1)).unwrap()
        }),
    ];
    for (expected, other) in cases {
        let errors = run_ranks(3, |ranks| {
            let own = if ranks.rank() == 2 { other() } else { training(&settings()) };
            own.divide(ranks).unwrap_err().to_string()
        });
        assert!(errors.iter().all(|error| error.starts_with(expected)), "{errors:?}");
    }
}

#[test]
fn more_ranks_than_windows_are_refused() {
    let run = RunSettings { accumulate: 2, ..settings().run };
    let few = Settings { run, ..settings() };
    let errors = run_ranks(3, |ranks| training(&few).divide(ranks).unwrap_err().to_string());
    let expected = "accumulate = 2 is invalid: 3 ranks need at least 3 windows in a step; start at most 2 ranks, or give";
    assert!(errors.iter().all(|error| error.starts_with(expected)), "{errors:?}");
}

#[test]
fn an_interrupt_on_any_rank_stops_the_step_on_all() {
    let expected = finish(training(&settings()));
    for interrupted in 0..3 {
        let found = run_ranks(3, |ranks| {
            let rank = ranks.rank();
            let flag = Arc::new(AtomicBool::new(rank == interrupted));
            let mut training = training(&settings());
            training.interrupt_by(Arc::clone(&flag));
            let mut training = training.divide(ranks).unwrap();
            if rank > 0 {
                training.follow();
                return None;
            }
            assert!(matches!(training.step(), Err(Error::Interrupted)));
            let paused = training.checkpoint();
            drop(training);
            let resume = Training::resume(corpus(), paused, settings(), Some(1)).unwrap();
            Some(finish(resume))
        });
        assert!(found[0].as_ref() == Some(&expected), "rank {interrupted}");
    }
}

#[test]
fn a_text_that_changed_on_one_rank_is_named_on_rank_0() {
    let folder = tempfile::tempdir().unwrap();
    let path = |rank: usize| folder.path().join(format!("{rank}.txt"));
    let text = "some text of a file that changes. ".repeat(400);
    let errors = run_ranks(3, |ranks| {
        let rank = ranks.rank();
        fs::write(path(rank), &text).unwrap();
        let corpus = CorpusOptions::default().open(&[path(rank)]).unwrap();
        let training = Training::new(corpus, settings(), Some(1)).unwrap();
        let mut training = training.divide(ranks).unwrap();
        if rank > 0 {
            training.follow();
            return None;
        }
        training.check_text().unwrap();
        fs::write(path(2), "other text").unwrap();
        let error = training.check_text().unwrap_err().to_string();
        // The other ranks have ended, so only the files of this one are checked.
        training.end_followers();
        training.check_text().unwrap();
        Some(error)
    });
    let error = errors[0].as_ref().unwrap();
    assert!(error.starts_with("rank 2: ") && error.contains("2.txt was cut short"), "{error}");
}
