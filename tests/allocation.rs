//! A training step allocates nothing after the first. Allocations of all threads are counted, so
//! this is a test binary of its own.
//!
//! On several threads a step enters the pool once, through rayon's queue, which allocates a block
//! for 63 steps. Threads that start or end meanwhile, such as those that scanned the corpus, allocate a
//! little; so the smallest count of several windows is used.

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;
use unrolled::corpus::{Batch, Corpus};
use unrolled::exec::{Dropout, Dynamic, Engine, Order, OutputSteps, Plan, State, Stream, Window};
use unrolled::loss::{Loss, Objective};
use unrolled::model::Model;
use unrolled::network::Network;
use unrolled::train::{Trainer, TrainerSettings, Training};
use unrolled::{
    Cell, ClipMode, InputKind, Layer, Mode, ModelSettings, OptimizerKind, OptimizerSettings, Precision,
    Reset, RunSettings, Settings, Unit, Windows,
};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Number of counted steps, and of steps before them.
const STEPS: u64 = 60;
const BEFORE: u64 = 2;
const REPETITIONS: u64 = 4;
const SYMBOLS: u32 = 65;

/// Counts the blocks that all threads allocate or enlarge while `f` runs.
fn count(f: impl FnOnce()) -> u64 {
    let region = Region::new(ALLOCATOR);
    f();
    let change = region.change();
    (change.allocations + change.reallocations) as u64
}

/// Checks that `run` allocates nothing in `STEPS` steps, each of which enters a pool up to
/// `entries` times.
fn check(what: &str, threads_and_entries: (usize, u64), run: impl FnMut()) {
    check_steps(STEPS, what, threads_and_entries, run);
}

fn check_steps(steps: u64, what: &str, (threads, entries): (usize, u64), mut run: impl FnMut()) {
    (0..BEFORE).for_each(|_| run());
    let least = (0..REPETITIONS).map(|_| count(|| (0..steps).for_each(|_| run()))).min().unwrap();
    let queue = if threads == 1 { 0 } else { (steps * entries).div_ceil(63) };
    assert!(least <= queue, "{least} blocks in {steps} steps on {threads} threads: {what}");
}

fn text() -> Corpus {
    let symbol = |i: u32| char::from(33 + (i.wrapping_mul(2_654_435_761) >> 16) as u8 % SYMBOLS as u8);
    Corpus::from_text((0..6000).map(symbol).collect::<String>(), Unit::Char).unwrap()
}

/// Settings that are large enough for two threads.
fn settings() -> Settings {
    Settings {
        model: ModelSettings { hidden: 40, ..ModelSettings::default() },
        run: RunSettings {
            batch: 16,
            steps: 10,
            epochs: 1e3,
            eval_every: Some(1 << 40),
            ..RunSettings::default()
        },
        ..Settings::default()
    }
}

fn check_training(settings: &Settings) {
    for threads in [1, 2, 3] {
        let mut training = Training::new(text(), settings.clone(), Some(threads)).unwrap();
        check(&format!("{settings:?}"), (threads, 1), || _ = training.step().unwrap());
        training.own_threads().run(|| {
            check(&format!("{settings:?}"), (threads, 0), || _ = training.step().unwrap());
        });
    }
}

/// A step of a caller's window enters the pool once.
fn trainers_allocate_nothing() {
    for threads in [1, 2] {
        let model = Model::new(&settings().model, 65, 1).unwrap();
        let trainer = TrainerSettings { threads: Some(threads), ..TrainerSettings::default() };
        let mut trainer = Trainer::new(model, trainer).unwrap();
        let ids: Vec<u32> = (0..160).map(|i| i * 17 % 65).collect();
        check("a trainer", (threads, 1), || {
            let objective = Objective::new(Loss::CROSS_ENTROPY, &ids);
            trainer.step(&Window::new(10, 16, &ids), &objective).unwrap();
        });
    }
}

fn training_allocates_nothing() {
    for accumulate in [1, 2] {
        check_training(&Settings { run: RunSettings { accumulate, ..settings().run }, ..settings() });
    }
    let cells = [
        (Cell::Rnn, Reset::After),
        (Cell::Lstm, Reset::After),
        (Cell::Gru, Reset::After),
        (Cell::Gru, Reset::Before),
    ];
    for (cell, reset) in cells {
        for (layers, input, optimizer) in
            [(1, InputKind::OneHot, OptimizerKind::Adagrad), (2, InputKind::Embedding, OptimizerKind::Adam)]
        {
            check_training(&Settings {
                model: ModelSettings { cell, reset, layers, input, ..settings().model },
                optimizer: OptimizerSettings { kind: optimizer, ..settings().optimizer },
                ..settings()
            });
        }
    }
    let optimizers = [OptimizerKind::Sgd, OptimizerKind::Rmsprop];
    for (optimizer, clip_mode) in optimizers.into_iter().zip([ClipMode::Norm, ClipMode::Value]) {
        for (mode, windows) in [(Mode::Static, Windows::Random), (Mode::Dynamic, Windows::Sliding)] {
            let dropout = if mode == Mode::Static { 0.3 } else { 0.0 };
            let settings = Settings {
                model: ModelSettings { dropout, ..settings().model },
                optimizer: OptimizerSettings {
                    kind: optimizer,
                    clip_mode,
                    clip: 0.1,
                    ..settings().optimizer
                },
                run: RunSettings { mode, windows, ..settings().run },
                ..settings()
            };
            check_training(&Settings {
                optimizer: OptimizerSettings { momentum: 0.9, ..settings.optimizer },
                run: RunSettings { label_smoothing: dropout, ..settings.run },
                ..settings
            });
        }
    }
}

/// Differentiates a batch.
fn run(network: &mut Network, batch: &Batch, lengths: Option<&[usize]>, dropout: Option<Dropout>) {
    let window = Window { lengths, dropout, ..Window::new(batch.steps, batch.rows, &batch.inputs) };
    network.differentiate(&window, &Objective::new(Loss::CROSS_ENTROPY, &batch.targets)).unwrap();
}

fn networks_allocate_nothing_while_shapes_repeat() {
    for (input, vocabulary) in
        [(InputKind::OneHot, 65), (InputKind::OneHot, 2000), (InputKind::Embedding, 2000)]
    {
        for threads in [1, 2] {
            let model = Model::new(&ModelSettings { input, ..settings().model }, vocabulary, 1).unwrap();
            let mut network = Network::new(model, Some(threads)).unwrap();
            let ids = |factor: usize| (0..160).map(|i| (i * factor % vocabulary) as u32).collect();
            let batch = Batch { steps: 10, rows: 16, inputs: ids(17), targets: ids(31), fresh: true };
            let lengths: Vec<usize> = (0..16).map(|row| row * 7 % 11).collect();
            let dropout = Dropout { probability: 0.2, seed: 1, step: 2 };
            check(&format!("{input:?}, V = {vocabulary}"), (threads, 2), || {
                run(&mut network, &batch, None, Some(dropout));
                run(&mut network, &batch, Some(&lengths), None);
                network.parameters_and_gradient().0[0] += 0.1;
            });
        }
    }
}

/// With this many symbols the head works on blocks of tokens.
fn large_vocabularies_allocate_nothing() {
    let (vocabulary, steps, rows) = (8000, 40, 16);
    for threads in [1, 2] {
        let model = Model::new(&ModelSettings { hidden: 8, ..settings().model }, vocabulary, 1).unwrap();
        let mut network = Network::new(model, Some(threads)).unwrap();
        let ids = |factor: usize| (0..steps * rows).map(|i| (i * factor % vocabulary) as u32).collect();
        let batch = Batch { steps, rows, inputs: ids(17), targets: ids(31), fresh: true };
        let lengths: Vec<usize> = (0..rows).map(|row| steps - row % 3).collect();
        check_steps(5, &format!("V = {vocabulary}"), (threads, 2), || {
            run(&mut network, &batch, None, None);
            run(&mut network, &batch, Some(&lengths), None);
            network.parameters_and_gradient().0[0] += 0.1;
        });
    }
}

/// A network on vectors of 40 floats, with a head of `outputs` outputs if there are any; with
/// `bidirectional` layers or not.
fn on_vectors(outputs: usize, bidirectional: bool) -> Model {
    let layers = [Layer::lstm(40), Layer::gru(24)].map(|layer| Layer { bidirectional, ..layer });
    Model::of_layers(&layers, 40, Some(outputs).filter(|outputs| *outputs > 0), 1).unwrap()
}

/// Outputs, threads, and whether layers are bidirectional.
const ON_VECTORS: [(usize, usize, bool); 6] =
    [(0, 1, false), (3, 1, false), (0, 2, false), (3, 2, false), (0, 1, true), (3, 2, true)];

/// Windows of 10 steps by 16 rows: every form of them.
fn forms<'a>(inputs: &'a [f32], lengths: &'a [usize], initial: &'a State) -> [Window<'a>; 4] {
    let (window, output_steps) = (Window::new(10, 16, inputs), OutputSteps::Last);
    let ragged = Window { lengths: Some(lengths), initial: Some(initial), ..window };
    [window, Window { order: Order::BatchMajor, ..ragged }, Window { output_steps, ..window }, {
        Window { output_steps, ..ragged }
    }]
}

fn networks_on_vectors_allocate_nothing_while_shapes_repeat() {
    let lengths: Vec<usize> = (0..16).map(|row| row * 7 % 11).collect();
    let (inputs, targets) = (vec![0.5; 10 * 16 * 40], vec![0.25; 10 * 16 * 3]);
    for (outputs, threads, both) in ON_VECTORS {
        let mut network = Network::new(on_vectors(outputs, both), Some(threads)).unwrap();
        let (initial, width) = (network.zero_state(16), network.model().config().output_width());
        let mut values = vec![0.0; 10 * 16 * width];
        check_steps(10, &format!("{outputs} outputs of vectors"), (threads, 16), || {
            for window in forms(&inputs, &lengths, &initial) {
                let tokens = if window.output_steps == OutputSteps::Last { 16 } else { 160 };
                network.forward(&window, &mut values[..tokens * width]).unwrap();
                network.backward(&values[..tokens * width], Some(&initial)).unwrap();
                if outputs > 0 {
                    let objective = Objective::new(Loss::MeanSquared, &targets[..tokens * outputs]);
                    network.differentiate(&window, &objective).unwrap();
                    network.evaluate(&window, &objective).unwrap();
                }
            }
            network.parameters_and_gradient().0[0] += 0.1;
        });
    }
}

fn views_on_vectors_allocate_nothing_while_shapes_repeat() {
    let lengths: Vec<usize> = (0..16).map(|row| row * 7 % 11).collect();
    let inputs = vec![0.5; 10 * 16 * 40];
    let precisions = [Precision::F32, Precision::Bf16, Precision::Int8];
    for (precision, (outputs, threads, both)) in
        precisions.into_iter().flat_map(|precision| ON_VECTORS.map(|views| (precision, views)))
    {
        let engine = Engine::with_precision(on_vectors(outputs, both), precision, Some(threads)).unwrap();
        let (initial, width) =
            (State::zero(engine.model().config(), 16), engine.model().config().output_width());
        let (mut plan, mut dynamic) = (Plan::of(&engine, 10, 16).unwrap(), Dynamic::of(&engine));
        let mut stream =
            (!both).then(|| Stream::of_rows(&engine.with_threads(Some(1)).unwrap(), 16).unwrap());
        let mut values = vec![0.0; 10 * 16 * width];
        check_steps(10, &format!("{outputs} outputs of views in {}", precision.name()), (threads, 6), || {
            for window in forms(&inputs, &lengths, &initial) {
                let tokens = if window.output_steps == OutputSteps::Last { 16 } else { 160 };
                dynamic.forward_window(&window, &mut values[..tokens * width]).unwrap();
            }
            dynamic.forward_ragged(&inputs, &lengths, &mut values).unwrap();
            plan.set_state(&initial).unwrap();
            plan.forward(&inputs, &mut values).unwrap();
            stream.iter_mut().for_each(|stream| _ = stream.step(&inputs[..16 * 40]).unwrap());
        });
    }
}

/// Allocations of a worker are counted. Otherwise the other tests could not fail.
fn the_counter_counts_on_all_threads() {
    assert_eq!(count(|| ()), 0);
    assert_eq!(count(|| drop(std::hint::black_box(vec![1u8; 10]))), 1);
    let (ask, asked) = std::sync::mpsc::sync_channel(0);
    let (answer, answered) = std::sync::mpsc::sync_channel(0);
    let worker = std::thread::spawn(move || {
        while asked.recv().is_ok() {
            (0..5).for_each(|_| drop(std::hint::black_box(vec![1u8; 10])));
            answer.send(()).unwrap();
        }
    });
    let exchange = || {
        ask.send(()).unwrap();
        answered.recv().unwrap();
    };
    (0..3).for_each(|_| exchange());
    assert_eq!(count(exchange), 5);
    drop(ask);
    worker.join().unwrap();
}

/// A single test, because the allocations of parallel tests would be counted.
#[test]
fn a_step_allocates_nothing_after_the_first() {
    the_counter_counts_on_all_threads();
    training_allocates_nothing();
    trainers_allocate_nothing();
    networks_allocate_nothing_while_shapes_repeat();
    large_vocabularies_allocate_nothing();
    networks_on_vectors_allocate_nothing_while_shapes_repeat();
    views_on_vectors_allocate_nothing_while_shapes_repeat();
}
