//! Repeats everything that runs in parallel on 1 to 16 threads, and compares the bits.
//!
//! `UNROLLED_STRESS=1000 cargo test --release --test main thread_stress` runs 1000 repeats instead
//! of the suite's few. The test starts processes of its own with `UNROLLED_OVERSUBSCRIBE=1`, which
//! starts more threads than there are cores, and with each value of `UNROLLED_DIVIDE`.

use super::Differentiate;
use super::ragged::{LENGTHS, padded};
use super::{batch, bits, ids, in_bf16, model, run_of, text};
use std::{env, process::Command};
use unrolled::corpus::Corpus;
use unrolled::exec::Dropout;
use unrolled::network::Network;
use unrolled::network::{Bidirectional, Merge, Window};
use unrolled::train::Training;
use unrolled::{
    Cell, ClipMode, DataSettings, InputKind, Layer, Mode, ModelSettings, OptimizerKind, OptimizerSettings,
    Reset, RunSettings, Settings, Unit, Variational, Windows, model::Model,
};

/// Repeats in the suite: each case on each number of threads.
const RUNS: usize = 24 * THREADS;
const THREADS: usize = 16;
const TEST: &str = "numbers::thread_stress::one_to_sixteen_threads_give_the_same_bits";

/// The result of a run: the bits of weights or gradients, and the bits of losses.
pub type Outcome = (Vec<u32>, Vec<u64>);
/// A case: a function of the number of threads.
pub type Case = (&'static str, Box<dyn Fn(usize) -> Outcome>);

/// A few steps with two evaluations. Windows have 17 rows, which no number of threads except one
/// divides evenly.
fn train(settings: &Settings, threads: usize) -> Outcome {
    let mut training = Training::new(text(4000), settings.clone(), Some(threads)).unwrap();
    let mut losses = Vec::new();
    while !training.is_done() {
        let report = training.step().unwrap();
        losses.extend([report.loss, report.gradient_norm]);
        losses.extend(report.record.and_then(|record| record.val_loss));
    }
    (bits(&training.model().parameters().values), losses.iter().map(|loss| loss.to_bits()).collect())
}

fn training(name: &'static str, settings: Settings) -> Case {
    let rows = Settings {
        run: RunSettings { batch: 17, steps: 12, ..run_of(&settings, settings.model.dropout).run },
        ..run_of(&settings, settings.model.dropout)
    };
    let rows = Settings {
        data: DataSettings { val_fraction: 0.2, ..rows.data },
        run: RunSettings { max_steps: Some(4), eval_every: Some(2), ..rows.run },
        ..rows
    };
    (name, Box::new(move |threads| train(&rows, threads)))
}

/// Wide enough that threads also divide packing, the norm and the update.
fn wide() -> Case {
    let wide = Settings {
        model: ModelSettings { cell: Cell::Lstm, ..ModelSettings::default() },
        optimizer: OptimizerSettings { kind: OptimizerKind::Rmsprop, ..OptimizerSettings::default() },
        ..Settings::default()
    };
    let settings = Settings {
        model: ModelSettings { hidden: 250, ..run_of(&wide, 0.0).model },
        run: RunSettings { batch: 3, steps: 4, max_steps: Some(2), ..run_of(&wide, 0.0).run },
        ..run_of(&wide, 0.0)
    };
    ("wide LSTM", Box::new(move |threads| train(&settings, threads)))
}

/// Rows of different lengths, with both kinds of weight gradients of the first layer.
fn ragged(input: InputKind) -> Case {
    let settings = Settings {
        model: ModelSettings { hidden: 50, layers: 2, input, ..ModelSettings::default() },
        ..Settings::default()
    };
    let model = model(&settings, 40);
    let mut window = batch(13, LENGTHS.len(), 40);
    window.inputs = padded(window.inputs, &LENGTHS);
    window.targets = padded(window.targets, &LENGTHS);
    let run = move |threads| {
        let mut network = Network::new(model.clone(), Some(threads)).unwrap();
        let dropout = Dropout { probability: 0.2, seed: 1, step: 2 };
        let loss = network.run_with_dropout(&window, Some(&LENGTHS), None, dropout).unwrap();
        (bits(&network.gradient().values), vec![loss.to_bits()])
    };
    ("ragged rows", Box::new(run))
}

/// A bidirectional stack on vectors.
fn bidirectional() -> Case {
    let [forward, backward] = [Layer::lstm(40), Layer::gru(24)]
        .map(|layer| Model::of_layers(&[layer.clone(), layer], 20, None, 1).unwrap());
    let inputs: Vec<f32> = ids(5, 15 * 17 * 20, 100).iter().map(|&id| id as f32 * 0.01).collect();
    let run = move |threads| {
        let pair = (forward.clone(), backward.clone());
        let mut rnn = Bidirectional::new(pair.0, pair.1, Merge::Concatenate, Some(threads)).unwrap();
        let mut outputs = vec![0.0; 15 * 17 * 64];
        rnn.forward(&Window::new(15, 17, &inputs), None, &mut outputs).unwrap();
        rnn.backward(&outputs, [None, None]).unwrap();
        let mut left = bits(&outputs);
        left.extend(bits(rnn.d_inputs()));
        rnn.directions().iter().for_each(|direction| left.extend(bits(&direction.gradient().values)));
        (left, Vec::new())
    };
    ("both directions", Box::new(run))
}

/// Bidirectional layers, rows of different lengths and dropout.
fn bidirectional_layers() -> Case {
    let layers = [Layer { projection: Some(21), ..Layer::lstm(40) }, Layer::gru(24), Layer::rnn(17)];
    let layers = layers.map(|layer| Layer { bidirectional: true, ..layer });
    let inputs: Vec<f32> = ids(5, 15 * 17 * 20, 100).iter().map(|&id| id as f32 * 0.01).collect();
    let lengths: Vec<usize> = (0..17).map(|row| row * 7 % 16).collect();
    let run = move |threads| {
        let model = Model::of_layers(&layers, 20, None, 1).unwrap();
        let mut network = Network::new(model, Some(threads)).unwrap();
        let dropout = Some(Dropout { probability: 0.3, seed: 1, step: 2 });
        let mut outputs = vec![0.0; 15 * 17 * 34];
        let window = Window { lengths: Some(&lengths), dropout, ..Window::new(15, 17, &inputs) };
        network.forward(&window, &mut outputs).unwrap();
        network.backward(&outputs, None).unwrap();
        let all = [&outputs, network.d_inputs(), &network.gradient().values];
        (all.into_iter().flat_map(bits).collect(), Vec::new())
    };
    ("bidirectional layers", Box::new(run))
}

/// A text of eight spans. Some of the cuts are inside characters. The scan uses the caller's
/// threads.
fn scan() -> Case {
    let text = "a caf\u{e9} \u{2014} ".repeat(150_000);
    let run = move |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let corpus = pool.install(|| Corpus::from_text(text.clone(), Unit::Char)).unwrap();
        let mut end = vec![0; 1000];
        corpus.read(corpus.len() - 1000, &mut end);
        (end, vec![corpus.fingerprint().into(), corpus.len() as u64, corpus.vocabulary().len() as u64])
    };
    ("scan", Box::new(run))
}

fn cases() -> Vec<Case> {
    use Cell::{Gru, Lstm, Rnn};
    use InputKind::{Embedding, OneHot};
    let of = |cell, input, layers| Settings {
        model: ModelSettings { cell, input, layers, ..ModelSettings::default() },
        ..Settings::default()
    };
    let dropping = |cell, dropout| Settings {
        model: ModelSettings { dropout, ..of(cell, Embedding, 2).model },
        ..Settings::default()
    };
    let dynamic =
        Settings { run: RunSettings { mode: Mode::Dynamic, ..RunSettings::default() }, ..dropping(Gru, 0.2) };
    let before = Settings {
        model: ModelSettings { reset: Reset::Before, ..of(Gru, OneHot, 2).model },
        run: RunSettings { windows: Windows::Random, ..RunSettings::default() },
        ..Settings::default()
    };
    let gathered = Settings {
        optimizer: OptimizerSettings {
            clip_mode: ClipMode::Value,
            clip: 0.01,
            ..OptimizerSettings::default()
        },
        run: RunSettings { accumulate: 2, ..RunSettings::default() },
        ..of(Rnn, OneHot, 1)
    };
    let masks = Layer { state_keep_prob: 0.7, variational: Variational::PerRow, ..Layer::lstm(33) };
    let peeping = Layer { peepholes: true, residual: true, ..Layer::lstm(33) };
    let masked = Settings {
        model: ModelSettings {
            stack: vec![masks, peeping, Layer { layer_norm: true, ..Layer::lstm(24) }],
            ..of(Lstm, Embedding, 2).model
        },
        ..Settings::default()
    };
    let mut cases = vec![
        training("LSTM", of(Lstm, OneHot, 1)),
        training("LSTM with dropout", dropping(Lstm, 0.3)),
        training("GRU, dynamic", dynamic),
        training("GRU, reset before", before.clone()),
        training("RNN, accumulated", gathered),
        training("RNN with dropout", dropping(Rnn, 0.3)),
        training("LSTM in bf16", in_bf16(dropping(Lstm, 0.3))),
        training("GRU, reset before, in bf16", in_bf16(before.clone())),
        training("stack with masks in bf16", in_bf16(masked.clone())),
        training("stack with masks", masked),
        wide(),
        ragged(OneHot),
        ragged(Embedding),
        bidirectional(),
        bidirectional_layers(),
        scan(),
    ];
    cases.extend(super::divided_windows::cases());
    assert_eq!(RUNS, cases.len() * THREADS);
    cases
}

fn stress(runs: usize) {
    let cases = cases();
    let expected: Vec<Outcome> = cases.iter().map(|(_, run)| run(1)).collect();
    for run in 0..runs {
        // Every case runs on every number of threads.
        let (case, threads) = (run % cases.len(), run / cases.len() % THREADS + 1);
        let (name, outcome) = &cases[case];
        assert!(outcome(threads) == expected[case], "{name}: run {run}, on {threads} threads");
    }
    println!("{runs} runs on 1 to {THREADS} threads: equal bits");
}

#[test]
fn one_to_sixteen_threads_give_the_same_bits() {
    if env::var_os("UNROLLED_OVERSUBSCRIBE").is_some_and(|value| value == "1") {
        return stress(
            env::var("UNROLLED_STRESS").map_or(RUNS, |runs| runs.parse().expect("a number of runs")),
        );
    }
    for divide in ["", "rows", "units", "both"] {
        again(divide);
    }
}

/// Runs the test in a process of its own, where `divide` forces what threads divide.
fn again(divide: &str) {
    let mut again = Command::new(env::current_exe().expect("this binary"));
    again.args([TEST, "--exact", "--nocapture"]).env("UNROLLED_OVERSUBSCRIBE", "1");
    again.env("UNROLLED_DIVIDE", divide);
    let output = again.output().expect("this binary runs");
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && printed.contains("equal bits"),
        "{printed}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    println!("dividing {divide}: {printed}");
}
