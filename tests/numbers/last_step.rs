//! Outputs of the last step of each row (many-to-one): the bits of the full outputs, losses and
//! gradients.

use super::vectors::{LENGTHS, ROWS, STEPS, WIDTH, ragged_inputs, some_state, transposed, values};
use super::{bits, ids, noise, vectors};
use std::sync::Arc;
use unrolled::exec::{Dynamic, Inputs, Order, OutputSteps, State, Window};
use unrolled::loss::{Loss, Objective, Targets};
use unrolled::model::Model;
use unrolled::network::Network;
use unrolled::{InputKind, ModelSettings};

const SHAPE: [usize; 2] = [STEPS, ROWS];
const NO_STEPS: [usize; ROWS] = [0; ROWS];

/// Rows of the same length, of different lengths, and without any step.
const ALL_LENGTHS: [Option<&[usize]>; 3] = [None, Some(&LENGTHS), Some(&NO_STEPS)];

/// A window of STEPS steps by ROWS rows, and how it runs.
#[derive(Clone, Copy, Debug)]
struct Case {
    order: Order,
    lengths: Option<&'static [usize]>,
    threads: usize,
}

fn cases() -> impl Iterator<Item = Case> {
    let orders = [Order::TimeMajor, Order::BatchMajor].into_iter();
    let shapes = orders.flat_map(|order| ALL_LENGTHS.map(|lengths| (order, lengths)));
    shapes.flat_map(|(order, lengths)| [1, 2, 3].map(|threads| Case { order, lengths, threads }))
}

impl Case {
    /// The index of the last token of a row in a window of all tokens; `None` for a row without
    /// steps.
    fn last_of(self, row: usize) -> Option<usize> {
        let length = self.lengths.map_or(STEPS, |lengths| lengths[row]);
        let step = length.checked_sub(1)?;
        Some(if self.order == Order::TimeMajor { step * ROWS + row } else { row * STEPS + step })
    }

    /// The last token of each row, out of a value of `width` floats for each token; zeros for a row
    /// without steps.
    fn last(self, all: &[f32], width: usize) -> Vec<f32> {
        let place = |row: usize| match self.last_of(row) {
            Some(token) => all[token * width..][..width].to_vec(),
            None => vec![0.0; width],
        };
        (0..ROWS).flat_map(place).collect()
    }

    /// The reverse of [`Case::last`]: zeros for all other tokens.
    fn filled(self, last: &[f32], width: usize) -> Vec<f32> {
        let mut all = vec![0.0; STEPS * ROWS * width];
        for (row, values) in last.chunks(width).enumerate() {
            if let Some(token) = self.last_of(row) {
                all[token * width..][..width].copy_from_slice(values);
            }
        }
        all
    }

    fn window<'a>(self, inputs: Inputs<'a>, initial: &'a State) -> Window<'a> {
        let Self { order, lengths, .. } = self;
        Window { order, lengths, initial: Some(initial), ..Window::new(STEPS, ROWS, inputs) }
    }
}

/// Inputs in the order of a case.
enum Given {
    Ids(Vec<u32>),
    Vectors(Vec<f32>),
}

impl Given {
    fn of(model: &Model, case: Case) -> Self {
        let ordered = |values: Vec<f32>| match case.order {
            Order::TimeMajor | Order::Packed => values,
            Order::BatchMajor => transposed(&values, SHAPE),
        };
        match model.config().vocabulary {
            0 if case.lengths == Some(&LENGTHS[..]) => Self::Vectors(ordered(ragged_inputs())),
            0 => Self::Vectors(ordered(values(3, STEPS * ROWS * WIDTH))),
            symbols => Self::Ids(ids(3, STEPS * ROWS, symbols)),
        }
    }

    fn inputs(&self) -> Inputs<'_> {
        match self {
            Self::Ids(ids) => ids.into(),
            Self::Vectors(vectors) => vectors.into(),
        }
    }
}

/// Models of vectors with and without a head, and models of symbols.
fn models() -> Vec<Arc<Model>> {
    let symbols = [(InputKind::OneHot, None), (InputKind::Embedding, None), (InputKind::Embedding, Some(4))];
    let symbols = symbols.map(|(input, outputs)| {
        let settings = ModelSettings { hidden: 50, input, outputs, ..ModelSettings::default() };
        Arc::new(Model::new(&settings, 40, 1).unwrap())
    });
    vectors::models().into_iter().chain(symbols).collect()
}

fn label(model: &Model, case: Case) -> String {
    format!("{case:?}, V = {}: {}", model.config().vocabulary, vectors::label(model))
}

fn only_last(window: Window<'_>) -> Window<'_> {
    Window { output_steps: OutputSteps::Last, ..window }
}

#[test]
fn outputs_are_the_last_steps_of_the_full_outputs() {
    for model in models() {
        let (initial, width) = (some_state(&model, ROWS), model.config().output_width());
        for case in cases() {
            let (given, what) = (Given::of(&model, case), label(&model, case));
            let window = case.window(given.inputs(), &initial);
            let mut network = Network::new(model.clone(), Some(case.threads)).unwrap();
            let mut all = vec![f32::NAN; STEPS * ROWS * width];
            network.forward(&window, &mut all).unwrap();
            let (expected, end) = (bits(&case.last(&all, width)), network.state());
            let mut found = vec![f32::NAN; ROWS * width];
            network.forward(&only_last(window), &mut found).unwrap();
            assert!(bits(&found) == expected && network.state() == end, "network, {what}");
            found.fill(f32::NAN);
            let mut dynamic = Dynamic::new(model.clone(), Some(case.threads)).unwrap();
            dynamic.forward_window(&only_last(window), &mut found).unwrap();
            assert!(bits(&found) == expected && dynamic.state() == Some(end), "dynamic, {what}");
        }
    }
}

/// The bits of all gradients that a backward pass leaves.
fn gradients(network: &Network) -> [Vec<u32>; 3] {
    let layers = network.d_initial().layers.iter();
    let initial = layers.flat_map(|layer| [bits(&layer.h), bits(&layer.c)].concat()).collect();
    let entries = network.gradient().iter();
    let parameters = entries.flat_map(|(_, values)| bits(values)).collect();
    [parameters, bits(network.d_inputs()), initial]
}

#[test]
fn gradients_are_those_of_a_full_backward_pass_that_is_zero_elsewhere() {
    for model in models() {
        let width = model.config().output_width();
        let (initial, d_state) = (some_state(&model, ROWS), some_state(&model, ROWS));
        let d_outputs = values(9, ROWS * width);
        for (case, d_state) in cases().flat_map(|case| [(case, None), (case, Some(&d_state))]) {
            let given = Given::of(&model, case);
            let window = case.window(given.inputs(), &initial);
            let mut network = Network::new(model.clone(), Some(case.threads)).unwrap();
            let mut outputs = vec![0.0; STEPS * ROWS * width];
            network.forward(&window, &mut outputs).unwrap();
            network.backward(&case.filled(&d_outputs, width), d_state).unwrap();
            let expected = gradients(&network);
            let moves = case.lengths != Some(&NO_STEPS);
            assert_eq!(expected[0].iter().any(|bits| *bits != 0), moves, "{}", label(&model, case));
            network.forward(&only_last(window), &mut outputs[..ROWS * width]).unwrap();
            network.backward(&d_outputs, d_state).unwrap();
            let same = gradients(&network) == expected;
            assert!(same, "state {}, {}", d_state.is_some(), label(&model, case));
        }
    }
}

/// Targets [B] or [B, O] for a loss.
enum Wanted {
    Ids(Vec<u32>),
    Values(Vec<f32>),
}

impl Wanted {
    fn of(model: &Model, loss: Loss) -> Self {
        let outputs = model.config().outputs;
        match loss {
            Loss::CrossEntropy { .. } => Self::Ids(ids(6, ROWS, outputs)),
            Loss::BinaryCrossEntropy => {
                Self::Values(noise(6, 11).take(ROWS * outputs).map(|n| n as f32 / 10.0).collect())
            }
            _ => Self::Values(values(6, ROWS * outputs)),
        }
    }

    fn targets(&self) -> Targets<'_> {
        match self {
            Self::Ids(ids) => ids.into(),
            Self::Values(values) => values.into(),
        }
    }

    /// Targets of all tokens, of which those that are not the last of a row have no meaning.
    fn filled(&self, case: Case) -> Self {
        match self {
            Self::Values(last) => Self::Values(case.filled(last, last.len() / ROWS)),
            Self::Ids(last) => {
                let last: Vec<f32> = last.iter().map(|id| *id as f32).collect();
                Self::Ids(case.filled(&last, 1).into_iter().map(|id| id as u32).collect())
            }
        }
    }
}

const LOSSES: [Loss; 6] = [
    Loss::CROSS_ENTROPY,
    Loss::CrossEntropy { label_smoothing: 0.1 },
    Loss::BinaryCrossEntropy,
    Loss::MeanSquared,
    Loss::MeanAbsolute,
    Loss::Huber { delta: 0.5 },
];

#[test]
fn losses_and_gradients_are_those_of_a_full_window_whose_other_tokens_weigh_nothing() {
    let token_weights: Vec<f32> = noise(8, 5).take(ROWS).map(|n| 0.25 + n as f32).collect();
    for model in models().into_iter().filter(|model| model.config().has_head()) {
        let initial = some_state(&model, ROWS);
        let cases = cases().filter(|case| case.lengths != Some(&NO_STEPS));
        for (case, loss) in cases.flat_map(|case| LOSSES.map(|loss| (case, loss))) {
            let (given, last) = (Given::of(&model, case), Wanted::of(&model, loss));
            let (window, all) = (case.window(given.inputs(), &initial), last.filled(case));
            let weights = case.filled(&token_weights, 1);
            let full = Objective { weights: Some(&weights), ..Objective::new(loss, all.targets()) };
            let mut network = Network::new(model.clone(), Some(case.threads)).unwrap();
            let (expected, what) = (
                network.differentiate(&window, &full).unwrap(),
                format!("{loss:?}, {}", label(&model, case)),
            );
            let expected_gradients = gradients(&network);
            let objective =
                Objective { weights: Some(&token_weights), ..Objective::new(loss, last.targets()) };
            let window = only_last(window);
            assert_eq!(network.differentiate(&window, &objective).unwrap(), expected, "{what}");
            assert!(gradients(&network) == expected_gradients, "{what}");
            assert_eq!(network.evaluate(&window, &objective).unwrap().loss, expected, "evaluated, {what}");
        }
    }
}

/// The head runs in blocks if its outputs for a window are many.
#[test]
fn a_large_head_gives_the_bits_of_the_full_window() {
    let (steps, rows, symbols) = (33, 16, 8000);
    let settings = ModelSettings { hidden: 6, embedding: Some(3), ..ModelSettings::default() };
    let model = Arc::new(Model::new(&settings, symbols, 1).unwrap());
    let (inputs, targets) = (ids(3, steps * rows, symbols), ids(4, rows, symbols));
    let window = Window::new(steps, rows, &inputs);
    let mut all = vec![f32::NAN; steps * rows * symbols];
    let mut network = Network::new(model, Some(2)).unwrap();
    network.forward(&window, &mut all).unwrap();
    let last = &all[(steps - 1) * rows * symbols..];
    let mut found = vec![f32::NAN; rows * symbols];
    network.forward(&only_last(window), &mut found).unwrap();
    assert!(bits(&found) == bits(last));
    let mut d_outputs = vec![0.0; all.len()];
    d_outputs[(steps - 1) * rows * symbols..].copy_from_slice(last);
    network.backward(last, None).unwrap();
    let expected = gradients(&network);
    network.forward(&window, &mut all).unwrap();
    network.backward(&d_outputs, None).unwrap();
    assert!(gradients(&network) == expected);
    let objective = Objective::new(Loss::CROSS_ENTROPY, &targets);
    let loss = network.differentiate(&only_last(window), &objective).unwrap();
    let found = gradients(&network);
    let filled: Vec<u32> = vec![0; (steps - 1) * rows].into_iter().chain(targets.iter().copied()).collect();
    let weights: Vec<f32> = (0..steps * rows).map(|i| f32::from(u8::from(i >= (steps - 1) * rows))).collect();
    let full = Objective { weights: Some(&weights), ..Objective::new(Loss::CROSS_ENTROPY, &filled) };
    assert_eq!(network.differentiate(&window, &full).unwrap(), loss);
    assert!(gradients(&network) == found);
}

/// Target values and weights of one window must not reach the next, which has more tokens and no
/// targets.
#[test]
fn outputs_after_a_loss_of_a_smaller_window_are_those_of_a_fresh_network() {
    let model = Model::of_vectors(&ModelSettings::gru(20).on_vectors(WIDTH, 3), 1).unwrap();
    let (inputs, targets, weights) = (values(3, STEPS * ROWS * WIDTH), values(4, 2 * 3), [0.5, 2.0]);
    let small = only_last(Window::new(2, 2, &inputs[..4 * WIDTH]));
    let objective = Objective { weights: Some(&weights), ..Objective::new(Loss::MeanSquared, &targets) };
    let mut outputs = [[0.0; ROWS * 3]; 2];
    let mut networks = [(); 2].map(|()| Network::new(model.clone(), Some(1)).unwrap());
    networks[0].differentiate(&small, &objective).unwrap();
    for (network, outputs) in networks.iter_mut().zip(&mut outputs) {
        network.forward(&only_last(Window::new(STEPS, ROWS, &inputs)), outputs).unwrap();
        network.backward(&[1.0; ROWS * 3], None).unwrap();
    }
    assert!(bits(&outputs[0]) == bits(&outputs[1]) && gradients(&networks[0]) == gradients(&networks[1]));
}
