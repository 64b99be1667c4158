//! Calls that train, with arguments that do not fit: an error, after which states, gradients and
//! parameters are as before.

use super::bits;
use super::invalid_calls::{
    Good, ROWS, STEPS, TOKENS, WIDTH, assert_batch, of_symbols, of_vectors, some_masks, wrong_inputs,
    wrong_states, wrong_windows,
};
use super::vectors::{some_state, values};
use unrolled::exec::{Dropout, Inputs, State, Window};
use unrolled::loss::{Loss, Objective, Targets};
use unrolled::model::Model;
use unrolled::network::{Layer, Network};
use unrolled::train::{Trainer, TrainerSettings};
use unrolled::{Error, ScheduleSettings};

/// The state and the gradients that a network has after its last pass.
struct Snapshot {
    state: State,
    gradient: Vec<u32>,
    d_inputs: Vec<u32>,
}

impl Snapshot {
    fn of(network: &Network) -> Self {
        let gradient = bits(&network.gradient().values);
        Self { state: network.state(), gradient, d_inputs: bits(network.d_inputs()) }
    }

    fn assert_same(&self, network: &Network) {
        let Self { state, gradient, d_inputs } = Self::of(network);
        assert!(state == self.state && gradient == self.gradient && d_inputs == self.d_inputs);
    }
}

/// Objectives that do not fit a window of a model, and their messages.
fn wrong_objectives(model: &Model) -> Vec<(Objective<'static>, String)> {
    let outputs = model.config().outputs;
    let ids = |ids: &'static [u32]| Objective::new(Loss::CROSS_ENTROPY, ids);
    let good = ids(&[0; TOKENS]);
    let weighted = |weights: &'static [f32]| Objective { weights: Some(weights), ..good };
    let all = [
        (ids(&[0; 5]), "found 5 targets, expected 6, 1 for each of 6".to_owned()),
        (
            ids(&[0, 0, 0, 9, 0, 0]),
            format!("found the id 9 among its targets at step 1 of row 1, expected ids below {outputs}"),
        ),
        (
            Objective::new(Loss::MeanSquared, &[0.0; 5][..]),
            format!("found 5 target values, expected {}, {outputs} for each of 6", TOKENS * outputs),
        ),
        (
            Objective { loss: Loss::MeanSquared, ..good },
            "found class ids as targets, expected values".to_owned(),
        ),
        (
            Objective { targets: Targets::Values(&[0.0; 6]), ..good },
            "found values as targets, expected one class id for each token".to_owned(),
        ),
        (weighted(&[1.0; 5]), "found 5 weights, expected 6, 1 for each of 6".to_owned()),
        (
            weighted(&[1.0, 1.0, -1.0, 1.0, 1.0, 1.0]),
            "found the weight -1, expected finite weights of at least 0".to_owned(),
        ),
        (
            weighted(&[1.0, f32::INFINITY, 1.0, 1.0, 1.0, 1.0]),
            "found the weight inf, expected finite weights of at least 0".to_owned(),
        ),
        (weighted(&[0.0; 6]), "found weights of 0 alone, expected at least one weight above 0".to_owned()),
    ];
    all.into()
}

/// Runs every invalid window, and asserts its error.
fn invalid_windows(network: &mut Network, model: &Model, good: &Good) {
    let (masks, width) = (some_masks(), model.config().output_width());
    let window = Window::new(STEPS, ROWS, good.of(model));
    let objective = Objective::new(Loss::CROSS_ENTROPY, &[0; TOKENS][..]);
    let mut outputs = vec![0.0; TOKENS * width];
    let mut all = |window: Window<'_>| {
        [
            network.forward(&window, &mut outputs).unwrap_err(),
            network.differentiate(&window, &objective).unwrap_err(),
            network.evaluate(&window, &objective).unwrap_err(),
        ]
    };
    let wrong =
        wrong_inputs(model).into_iter().map(|(inputs, expected)| (Window { inputs, ..window }, expected));
    for (window, expected) in wrong.chain(wrong_windows(window, &masks).into_iter().take(3)) {
        all(window).iter().for_each(|error| assert_batch(error, expected));
    }
    for state in wrong_states(model) {
        for error in all(Window { initial: Some(&state), ..window }) {
            assert!(matches!(error, Error::StateShape { .. }), "{error}");
        }
    }
    for probability in [-0.5, 1.0, f32::NAN] {
        let dropout = Some(Dropout { probability, seed: 1, step: 1 });
        for error in all(Window { dropout, ..window }) {
            assert!(matches!(error, Error::Setting { name: "dropout", .. }), "{error}");
        }
    }
    let few = format!("found 7 outputs, expected {}, {width} for each of {TOKENS}", TOKENS * width);
    assert_batch(&network.forward(&window, &mut outputs[..7]).unwrap_err(), &few);
}

/// Runs every invalid objective, and asserts its error.
fn invalid_objectives(network: &mut Network, model: &Model, good: &Good) {
    let window = Window::new(STEPS, ROWS, good.of(model));
    let objective = Objective::new(Loss::CROSS_ENTROPY, &[0; TOKENS][..]);
    let no_steps = "found 2 rows of length 0, expected at least one row with a step".to_owned();
    let no_steps = (Window { lengths: Some(&[0, 0]), ..window }, objective, no_steps);
    let wrong =
        wrong_objectives(model).into_iter().map(|(objective, expected)| (window, objective, expected));
    for (window, objective, expected) in wrong.chain([no_steps]) {
        assert_batch(&network.differentiate(&window, &objective).unwrap_err(), &expected);
        assert_batch(&network.evaluate(&window, &objective).unwrap_err(), &expected);
    }
    for loss in [Loss::CrossEntropy { label_smoothing: 1.0 }, Loss::Huber { delta: 0.0 }] {
        let objective = Objective { loss, ..objective };
        let error = network.differentiate(&window, &objective).unwrap_err();
        assert!(matches!(error, Error::Setting { .. }), "{error}");
        let error = network.evaluate(&window, &objective).unwrap_err();
        assert!(matches!(error, Error::Setting { .. }), "{error}");
    }
}

/// Starts every invalid backward pass, and asserts its error.
fn invalid_backward_passes(network: &mut Network, model: &Model) {
    let width = model.config().output_width();
    let d_outputs = vec![1.0; TOKENS * width];
    let few =
        format!("found 7 gradients of outputs, expected {}, {width} for each of {TOKENS}", TOKENS * width);
    assert_batch(&network.backward(&d_outputs[..7], None).unwrap_err(), &few);
    for state in wrong_states(model) {
        let error = network.backward(&d_outputs, Some(&state)).unwrap_err();
        assert!(matches!(error, Error::StateShape { .. }), "{error}");
    }
}

#[test]
fn an_invalid_call_of_a_network_is_an_error_and_keeps_the_last_window() {
    let good = Good::new();
    for model in [of_symbols(), of_vectors()] {
        let width = model.config().output_width();
        let window = Window::new(STEPS, ROWS, good.of(&model));
        let d_outputs = values(7, TOKENS * width);
        let mut outputs = vec![f32::NAN; TOKENS * width];
        let mut networks = [(); 2].map(|()| Network::new(model.clone(), Some(1)).unwrap());
        for network in &mut networks {
            network.forward(&window, &mut outputs).unwrap();
            network.backward(&d_outputs, None).unwrap();
            network.forward(&window, &mut outputs).unwrap();
        }
        let [found, untouched] = &mut networks;
        let before = Snapshot::of(found);
        invalid_windows(found, &model, &good);
        invalid_objectives(found, &model, &good);
        invalid_backward_passes(found, &model);
        before.assert_same(found);
        // The window that went forward before can still go backward.
        for network in [&mut *found, &mut *untouched] {
            network.backward(&d_outputs, Some(&some_state(&model, ROWS))).unwrap();
        }
        Snapshot::of(untouched).assert_same(found);
        for network in [found, &mut Network::new(model.clone(), Some(1)).unwrap()] {
            let error = network.backward(&d_outputs, None).unwrap_err();
            assert_batch(&error, "found no window, expected one that went forward, and not backward yet");
        }
    }
}

#[test]
fn a_planned_network_refuses_other_shapes() {
    let mut network = Network::planned(of_vectors(), STEPS, ROWS, Some(1)).unwrap();
    let inputs = values(3, 4 * ROWS * WIDTH);
    let error = network.forward(&Window::new(4, ROWS, &inputs), &mut [0.0; 24]).unwrap_err();
    let expected = "found 4 steps of 2 rows, expected 3 steps of 2 rows, as planned; Network::new takes any";
    assert_batch(&error, expected);
    network.forward(&Window::new(STEPS, ROWS, &inputs[..TOKENS * WIDTH]), &mut [0.0; 18]).unwrap();
}

#[test]
fn a_loss_without_a_head_is_an_error() {
    let stack = Model::of_layers(&[Layer::lstm(6)], WIDTH, None, 1).unwrap();
    let mut network = Network::new(stack, Some(1)).unwrap();
    let inputs = values(3, TOKENS * WIDTH);
    let window = Window::new(STEPS, ROWS, &inputs);
    let objective = Objective::new(Loss::MeanSquared, &[0.0; TOKENS * 6][..]);
    let expected = "found a model without a head, expected a model with a linear head";
    assert_batch(&network.differentiate(&window, &objective).unwrap_err(), expected);
    assert_batch(&network.evaluate(&window, &objective).unwrap_err(), expected);
}

#[test]
fn an_invalid_list_of_steps_is_an_error() {
    let mut network = Network::new(of_vectors(), Some(1)).unwrap();
    let message_of = |steps: &[Vec<f32>], window: &Window<'_>, network: &mut Network| {
        network.forward_list(steps, window).unwrap_err().to_string()
    };
    let window = Window::new(0, ROWS, &[0.0; 0]);
    let steps = vec![vec![0.5; ROWS * WIDTH]; STEPS];
    let mut short = steps.clone();
    short[1].pop();
    let message = message_of(&short, &window, &mut network);
    assert_eq!(message, "invalid batch: found 7 inputs in step 1, expected 2 rows x 4 of them");
    let message = message_of(&steps, &Window { lengths: Some(&[4, 1]), ..window }, &mut network);
    assert!(message.contains("found the length 4 of row 0"), "{message}");
    let state = network.zero_state(3);
    assert!(message_of(&steps, &Window { initial: Some(&state), ..window }, &mut network).contains("3 rows"));
    assert_eq!(network.forward_list(&steps, &window).unwrap().len(), STEPS);
    let mut symbols = Network::new(of_symbols(), Some(1)).unwrap();
    let steps = vec![vec![0.5; ROWS * 6]; STEPS];
    let message = message_of(&steps, &window, &mut symbols);
    assert!(message.contains("found vectors, expected ids below 5"), "{message}");
}

#[test]
fn an_invalid_setting_of_a_trainer_is_an_error() {
    let refused = |settings: TrainerSettings| Trainer::new(of_vectors(), settings).unwrap_err().to_string();
    let adam = || TrainerSettings::adam(1e-2);
    let cosine = refused(TrainerSettings { schedule: ScheduleSettings::cosine(1e-2), ..adam() });
    assert!(cosine.starts_with("total-steps = nothing is invalid: "), "{cosine}");
    let threads = refused(TrainerSettings { threads: Some(0), ..adam() });
    assert!(threads.starts_with("threads = 0 is invalid: "), "{threads}");
    let rate = refused(TrainerSettings::adam(f64::NAN));
    assert!(rate.starts_with("learning-rate = NaN is invalid: "), "{rate}");
}

#[test]
fn a_step_of_a_trainer_that_fails_leaves_it_as_it_was() {
    let [mut trainer, mut untouched] =
        [(); 2].map(|()| Trainer::new(of_vectors(), TrainerSettings::adam(1e-2)).unwrap());
    let (inputs, targets) = (values(3, TOKENS * WIDTH), values(4, TOKENS * 3));
    let window = Window::new(STEPS, ROWS, &inputs);
    let objective = Objective::new(Loss::MeanSquared, &targets);
    trainer.step(&window, &objective).unwrap();
    untouched.step(&window, &objective).unwrap();
    let few = Window { inputs: Inputs::from(&inputs[1..]), ..window };
    assert!(matches!(trainer.step(&few, &objective), Err(Error::Batch { .. })));
    let short = Objective::new(Loss::MeanSquared, &targets[1..]);
    assert!(matches!(trainer.step(&window, &short), Err(Error::Batch { .. })));
    // A loss that is not finite, and a gradient that is not although the loss is.
    let (wild, huge) = (vec![f32::NAN; inputs.len()], vec![1e38; targets.len()]);
    let wild = Window { inputs: Inputs::Vectors(&wild), ..window };
    let huge = Objective::new(Loss::MeanSquared, &huge);
    for (window, objective) in [(wild, objective), (window, huge)] {
        let error = trainer.step(&window, &objective).unwrap_err();
        assert!(matches!(error, Error::NotFinite { step: 2, .. }), "{error}");
    }
    assert_eq!((trainer.steps(), trainer.model()), (1, untouched.model()));
    let found = [&mut trainer, &mut untouched].map(|trainer| trainer.step(&window, &objective).unwrap());
    assert_eq!(found[0], found[1]);
    assert_eq!(trainer.model(), untouched.model());
}
