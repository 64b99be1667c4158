//! The speed of training and of the forward pass on 1, 2, 4, 8 and 16 threads, which take turns.
//!
//! Prints a table. With `UNROLLED_WRITE_THREADS=1` it also writes the figures to
//! `docs/threads.jsonl`, one JSON object a line, if all shapes were measured.

use crate::measure::{Group, Peaks, Work, only_tests};
use crate::shapes::{SHAPES, Shape, deep};
use criterion::Criterion;
use serde::Serialize;
use std::sync::Arc;
use std::time::Instant;
use std::{env, fs, path::Path};
use unrolled::bench::Machine;
use unrolled::exec::{Engine, Plan, Stream};
use unrolled::{Cell, Mode};

const THREADS: [usize; 5] = [1, 2, 4, 8, 16];
/// Approximate time of a turn, which has one call at least. Much longer than waking the threads.
const TURN_SECONDS: f64 = 0.01;
/// File of the figures, from the root of the package.
const FIGURES: &str = "docs/threads.jsonl";

/// Symbols per second of a shape on each number of threads; `None` if it was not measured.
struct Rates {
    shape: &'static str,
    train: Option<Vec<f64>>,
    forward: Option<Vec<f64>>,
}

/// One call of the measured work on some number of threads.
type Call = Box<dyn FnMut()>;
/// Returns calls of a forward pass on the threads of an engine, and the first logits.
type Forward = fn(&Engine, &Shape) -> (Call, Vec<f32>);

pub fn run(criterion: &mut Criterion, peaks: &mut Peaks) {
    let mut group = Group::new(criterion, peaks, "threads");
    let threads = thread_counts();
    let of_windows = windows().map(|shape| Rates {
        shape: shape.name,
        train: train(&mut group, &shape.for_this_run(), &threads),
        forward: forward(&mut group, &shape.for_this_run(), &threads, whole_window),
    });
    let trained = of_windows.iter().all(|rates| rates.train.is_some());
    let mut all: Vec<Rates> = of_windows.into();
    all.extend(single_steps().map(|shape| Rates {
        shape: shape.name,
        train: None,
        forward: forward(&mut group, &shape, &threads, single_step),
    }));
    print("training", &all, &threads, |rates| rates.train.as_ref());
    print("forward", &all, &threads, |rates| rates.forward.as_ref());
    let is_complete = trained && all.iter().all(|rates| rates.forward.is_some());
    if env::var_os("UNROLLED_WRITE_THREADS").is_some() && is_complete {
        write(&all, &threads);
    }
}

/// Returns the numbers of threads up to the number of cores; all of them if only results are
/// checked, or if more threads than cores may start.
fn thread_counts() -> Vec<usize> {
    let all = only_tests() || env::var_os("UNROLLED_OVERSUBSCRIBE").is_some_and(|value| value == "1");
    let most = if all { usize::MAX } else { Machine::here().expect("an instruction set").cores };
    THREADS.into_iter().filter(|threads| *threads <= most).collect()
}

fn windows() -> [Shape; 9] {
    let of_256 = deep("LSTM 1x256, B32 T64", Cell::Lstm, 1, 256, 64);
    let default = Shape { batch: 32, ..of_256 };
    [
        SHAPES[0],
        SHAPES[1],
        SHAPES[4],
        SHAPES[6],
        SHAPES[7],
        Shape { name: "LSTM 2x512, B256 T50", batch: 256, ..SHAPES[6] },
        SHAPES[8],
        default,
        Shape { name: "LSTM 1x256, B32 T64, V12000", vocabulary: 12_000, ..default },
    ]
}

/// Returns shapes whose forward pass is a single step of a `Stream`.
fn single_steps() -> [Shape; 2] {
    [deep("LSTM 1x1024, B1 T1", Cell::Lstm, 1, 1024, 1), deep("LSTM 2x512, B1 T1", Cell::Lstm, 2, 512, 1)]
}

fn train(group: &mut Group<'_>, shape: &Shape, threads: &[usize]) -> Option<Vec<f64>> {
    let prepare = || {
        let mut losses = Vec::new();
        let mut prepared = |threads: &usize| -> Call {
            let mut training = shape.training(shape.corpus(), Mode::Static, *threads);
            let mut step = move || training.step().expect("a finite loss");
            let reports = [step(), step()];
            losses.push(reports.map(|report| [report.loss, report.gradient_norm].map(f64::to_bits)));
            Box::new(move || _ = step())
        };
        let calls = threads.iter().map(&mut prepared).collect();
        assert!(
            losses.iter().all(|found| *found == losses[0]),
            "{}: losses and norms {losses:x?}",
            shape.name
        );
        calls
    };
    measure(group, shape, ("train", shape.arithmetic().training), threads, prepare)
}

fn forward(group: &mut Group<'_>, shape: &Shape, threads: &[usize], calls_of: Forward) -> Option<Vec<f64>> {
    let prepare = || {
        let model = Arc::new(shape.model());
        let mut expected = None;
        let mut prepared = |threads: &usize| -> Call {
            let engine = Engine::new(model.clone(), Some(*threads)).expect("the threads can be had");
            let (call, logits) = calls_of(&engine, shape);
            let bits: Vec<u32> = logits.iter().map(|logit| logit.to_bits()).collect();
            let same = *expected.get_or_insert_with(|| bits.clone()) == bits;
            assert!(same, "{}: {threads} threads change the logits", shape.name);
            call
        };
        threads.iter().map(&mut prepared).collect()
    };
    measure(group, shape, ("forward", shape.arithmetic().forward), threads, prepare)
}

fn whole_window(engine: &Engine, shape: &Shape) -> (Call, Vec<f32>) {
    let mut plan = Plan::of(engine, shape.steps, shape.batch).expect("a shape that works");
    let (window, mut logits) = (shape.window(), vec![0.0; shape.tokens() * shape.vocabulary]);
    plan.forward(&window.inputs, &mut logits).expect("ids of the vocabulary");
    let first = logits.clone();
    (Box::new(move || plan.forward(&window.inputs, &mut logits).expect("ids of the vocabulary")), first)
}

fn single_step(engine: &Engine, _: &Shape) -> (Call, Vec<f32>) {
    let mut stream = Stream::of(engine).unwrap();
    let first = stream.step(&0).expect("an id of the vocabulary").to_vec();
    (Box::new(move || _ = stream.step(&0).expect("an id of the vocabulary")), first)
}

/// Measures the calls that `prepare` makes for each number of threads. `what` is their name and the
/// operations per symbol. Returns symbols per second.
fn measure(
    group: &mut Group<'_>,
    shape: &Shape,
    (name, operations): (&str, f64),
    threads: &[usize],
    prepare: impl FnOnce() -> Vec<Call>,
) -> Option<Vec<f64>> {
    let (id, tokens) = (format!("{}/{name}", shape.name), shape.tokens() as f64);
    let mut best = vec![f64::INFINITY; threads.len()];
    group.time_calls(&id, Work::of(0.0), prepare, |calls, rounds| {
        let start = Instant::now();
        for _ in 0..rounds {
            calls.iter_mut().zip(&mut best).for_each(|(call, best)| turn(call, best));
        }
        start.elapsed()
    })?;
    for (threads, seconds) in threads.iter().zip(&best) {
        let work = Work { operations: operations * tokens, threads: *threads };
        group.tell(&format!("{id}/{threads}"), work, *seconds);
    }
    Some(best.iter().map(|seconds| tokens / seconds).collect())
}

/// Repeats a call for about `TURN_SECONDS`, and keeps the best seconds per call.
fn turn(call: &mut Call, best: &mut f64) {
    let count = ((TURN_SECONDS / *best) as u32).max(1);
    let start = Instant::now();
    (0..count).for_each(|_| call());
    *best = best.min(start.elapsed().as_secs_f64() / f64::from(count));
}

/// Prints the rates of the shapes that were measured, and their ratios to one thread.
fn print(what: &str, all: &[Rates], threads: &[usize], of: fn(&Rates) -> Option<&Vec<f64>>) {
    let measured: Vec<_> = all.iter().filter_map(|rates| Some((rates.shape, of(rates)?))).collect();
    if measured.is_empty() {
        return;
    }
    let heads: String = threads.iter().map(|threads| format!("{threads:>17}")).collect();
    println!("\n{:<30}{heads} threads", format!("{what}, 1000 characters/s"));
    for (shape, rates) in measured {
        let cell = |rate: &f64| format!("{:>11.1} {:>4.2}x", rate / 1e3, rate / rates[0]);
        println!("{shape:<30}{}", rates.iter().map(cell).collect::<String>());
    }
}

/// A line of the file.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    machine: &'a Machine,
    shape: &'a str,
    threads: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    train_chars_per_second: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    forward_chars_per_second: Option<u64>,
}

fn write(all: &[Rates], threads: &[usize]) {
    let machine = Machine::here().expect("an instruction set");
    let mut text = String::new();
    for (rates, (at, threads)) in
        all.iter().flat_map(|rates| threads.iter().enumerate().map(move |turn| (rates, turn)))
    {
        let rate = |rates: &Option<Vec<f64>>| rates.as_ref().map(|rates| rates[at].round() as u64);
        let line = Line {
            machine: &machine,
            shape: rates.shape,
            threads: *threads,
            train_chars_per_second: rate(&rates.train),
            forward_chars_per_second: rate(&rates.forward),
        };
        text += &(serde_json::to_string(&line).expect("numbers and names") + "\n");
    }
    fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join(FIGURES), text).expect("the file can be written");
}
