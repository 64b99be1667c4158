//! Sixteen threads divide every phase of a training step, except those that overlap with others.
//!
//! The test starts a process of its own with `UNROLLED_OVERSUBSCRIBE=1`, which starts more threads
//! than there are cores.

use std::collections::BTreeMap;
use std::{env, process::Command};
use unrolled::bench::Bench;
use unrolled::{InputKind, Layer, Mode, ModelSettings, RunSettings, Settings};

const TEST: &str = "numbers::divided_phases::threads_divide_every_phase";
const THREADS: usize = 16;
/// The phase that one thread runs: the next window is read beside the weight gradients.
const ALONE: &str = "fill";
/// The most measurements until two threads have taken part in every phase in some step. Threads
/// that start late may find a short phase done.
const ATTEMPTS: usize = 200;

/// Configurations with all phases, and the sizes of their vocabularies: the input table of all
/// symbols, of one-hot and of embedded ones; a table of the window's symbols and the head by
/// blocks; and embeddings without a table.
fn configurations() -> Vec<(Settings, usize)> {
    let of = |model: ModelSettings, [batch, steps]: [usize; 2]| Settings {
        model,
        run: RunSettings { batch, steps, ..RunSettings::default() },
        ..Settings::default()
    };
    let one_hot = ModelSettings { hidden: 100, input: InputKind::OneHot, ..ModelSettings::default() };
    let embedded = ModelSettings { hidden: 100, ..ModelSettings::default() };
    let large = ModelSettings { hidden: 64, ..ModelSettings::default() };
    let residual = ModelSettings {
        stack: vec![Layer { residual: true, peepholes: true, ..Layer::lstm(64) }; 2],
        embedding: Some(64),
        ..ModelSettings::default()
    };
    vec![
        (of(one_hot, [50, 5]), 65),
        (of(embedded, [32, 5]), 65),
        (of(large, [17, 37]), 7000),
        (of(residual, [20, 5]), 65),
    ]
}

/// The fewest pieces of a phase.
fn fewest(name: &str) -> usize {
    match name {
        ALONE => 1,
        // Sixteen rows of the smallest head at a time, beside other weight gradients.
        "head gradient" => 5,
        // Sixteen columns of the narrowest embedding, and then sixteen symbols, at a time.
        "input gradient" => 4 + 5,
        _ => THREADS,
    }
}

/// Checks that threads divide the phases of a configuration: each has enough pieces, and in some
/// step two threads took part in it.
fn check(settings: Settings, vocabulary: usize) {
    let bench = Bench { settings: settings.clone(), vocabulary, threads: Some(THREADS), seconds: 0.02 };
    let mut most: BTreeMap<(&str, Option<usize>), usize> = BTreeMap::new();
    for _ in 0..ATTEMPTS {
        for row in bench.phases(Mode::Static, 1.0).unwrap().rows {
            let (Some(threads), Some(pieces)) = (row.threads, row.pieces) else { continue };
            let what = || format!("{} {:?}: {threads} threads, {pieces} pieces", row.name, row.layer);
            assert!(threads >= 1 && pieces >= fewest(row.name), "{} of {settings:?}", what());
            let seen = most.entry((row.name, row.layer)).or_default();
            *seen = threads.max(*seen);
        }
        if most.iter().all(|((name, _), threads)| *threads > usize::from(*name != ALONE)) {
            return;
        }
    }
    panic!("one thread alone in {ATTEMPTS} measurements: {most:?} of {settings:?}");
}

#[test]
fn threads_divide_every_phase() {
    if env::var_os("UNROLLED_OVERSUBSCRIBE").is_some_and(|value| value == "1") {
        configurations().into_iter().for_each(|(settings, vocabulary)| check(settings, vocabulary));
        return println!("all phases are divided");
    }
    let mut again = Command::new(env::current_exe().expect("this binary"));
    again.args([TEST, "--exact", "--nocapture"]).env("UNROLLED_OVERSUBSCRIBE", "1");
    let output = again.output().expect("this binary runs");
    let printed = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && printed.contains("all phases are divided"), "{printed}{errors}");
}
