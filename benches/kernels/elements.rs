//! Functions of elements: activations, softmax with its loss and gradient, optimizer updates.
//! Compare the times with those of the products; there is no peak for them.

use crate::isa;
use crate::measure::{Group, Peaks, Work};
use crate::values::{assert_close, numbers};
use criterion::Criterion;
use unrolled_kernels::activation::{Activate, Function};
use unrolled_kernels::reference;
use unrolled_kernels::softmax::CrossEntropy;
use unrolled_kernels::update::{Rule, Update};

/// Number of values of an activation. They fit in the first-level cache.
const VALUES: usize = 4096;
/// Number of parameters of an update, as in an LSTM 2x128.
const PARAMETERS: usize = 210_000;
/// Number of tokens of a window.
const TOKENS: usize = 2500;
/// Number of symbols.
const VOCABULARY: usize = 65;

pub fn run(criterion: &mut Criterion, peaks: &mut Peaks) {
    let mut group = Group::new(criterion, peaks, "activations of 4096 values");
    for (function, name, exact) in functions() {
        let prepare = || activation(function, name, exact);
        group.time(name, Work::of(0.0), prepare, |(from, to)| activate(function, from, to));
    }
    drop(group);
    let mut group = Group::new(criterion, peaks, "loss");
    let id = format!("softmax of {TOKENS} x {VOCABULARY}");
    group.time(&id, Work::of(0.0), Softmax::new, Softmax::run);
    drop(group);
    let mut group = Group::new(criterion, peaks, "update of 210,000 parameters");
    for (rule, name) in rules() {
        group.time(name, Work::of(0.0), || Moves::new(rule, name), Moves::run);
    }
}

type ExactFunction = fn(f32) -> f32;

fn functions() -> [(Function, &'static str, ExactFunction); 3] {
    let exp = |x: f32| f64::from(x).exp() as f32;
    [
        (Function::Exp, "exp", exp),
        (Function::Sigmoid, "sigmoid", reference::sigmoid),
        (Function::Tanh, "tanh", reference::tanh),
    ]
}

fn activate(function: Function, from: &[f32], to: &mut [f32]) {
    to.copy_from_slice(from);
    Activate { function, values: to }.run_on(isa());
}

fn activation(function: Function, name: &str, exact: ExactFunction) -> (Vec<f32>, Vec<f32>) {
    let from: Vec<f32> = numbers(VALUES, 1).iter().map(|x| 8.0 * x).collect();
    let mut to = vec![0.0; VALUES];
    activate(function, &from, &mut to);
    for (x, y) in from.iter().zip(&to) {
        assert!((y - exact(*x)).abs() <= 4e-7 * exact(*x).abs(), "{name}({x}) is {y}");
    }
    (from, to)
}

struct Softmax {
    first: Vec<f32>,
    logits: Vec<f32>,
    targets: Vec<u32>,
    losses: Vec<f64>,
    correct: Vec<bool>,
}

impl Softmax {
    const STRIDE: usize = VOCABULARY.next_multiple_of(16);

    fn new() -> Self {
        let first = numbers(TOKENS * Self::STRIDE, 2);
        let targets = (0..TOKENS).map(|token| (token % VOCABULARY) as u32).collect();
        let (losses, correct) = (vec![0.0; TOKENS], vec![false; TOKENS]);
        let mut softmax = Self { logits: first.clone(), first, targets, losses, correct };
        softmax.run();
        for token in [0, 70, TOKENS - 1] {
            let target = softmax.targets[token] as usize;
            let row = token * Self::STRIDE;
            let logits = &softmax.first[row..][..VOCABULARY];
            let (loss, correct, gradient) = reference::cross_entropy(logits, target);
            assert!((softmax.losses[token] - loss).abs() < 1e-6, "loss of token {token}");
            assert_eq!(softmax.correct[token], correct, "token {token}");
            let gradient: Vec<f32> = gradient.iter().map(|g| *g as f32).collect();
            assert_close(&softmax.logits[row..][..VOCABULARY], &gradient, 1e-6, "gradient of logits");
        }
        softmax
    }

    fn run(&mut self) {
        self.logits.copy_from_slice(&self.first);
        CrossEntropy {
            vocabulary: VOCABULARY,
            stride: Self::STRIDE,
            logits: &mut self.logits,
            targets: &self.targets,
            gradient_scale: Some(1.0),
            losses: &mut self.losses,
            correct: &mut self.correct,
        }
        .run_on(isa());
    }
}

fn rules() -> [(Rule, &'static str); 4] {
    let (rate, epsilon) = (1e-3, 1e-8);
    [
        (Rule::Sgd { rate, momentum: 0.9 }, "sgd with momentum"),
        (Rule::Adagrad { rate, epsilon }, "adagrad"),
        (Rule::Rmsprop { rate, decay: 0.9, momentum: 0.0, epsilon }, "rmsprop"),
        (Rule::Adam { rate, beta1: 0.9, beta2: 0.999, epsilon }, "adam"),
    ]
}

struct Moves {
    rule: Rule,
    gradient: Vec<f32>,
    parameters: Vec<f32>,
    moments: [Vec<f32>; 2],
}

impl Moves {
    fn new(rule: Rule, name: &str) -> Self {
        let gradient = numbers(PARAMETERS, 3);
        let moments = [vec![1.0; PARAMETERS], vec![1.0; PARAMETERS]];
        let mut moves = Self { rule, gradient, parameters: numbers(PARAMETERS, 4), moments };
        let before = moves.parameters.clone();
        moves.run();
        for i in [0, 12_345, PARAMETERS - 1] {
            let expected = reference::update(rule, (0.5, 1.0), moves.gradient[i], [before[i], 1.0, 1.0, 0.0]);
            let found = [moves.parameters[i], moves.moments[0][i], moves.moments[1][i], 0.0];
            assert_close(&found, &expected, 1e-6, name);
        }
        moves
    }

    fn run(&mut self) {
        let [first, second] = &mut self.moments;
        let (rule, scale, limit) = (self.rule, 0.5, 1.0);
        let (gradient, parameters) = (&self.gradient, &mut self.parameters);
        Update { rule, scale, limit, gradient, parameters, first, second, third: &mut [] }.run_on(isa());
    }
}
