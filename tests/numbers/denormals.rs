//! Denormal numbers count as zero in training and inference, on all threads, and the caller's
//! floating-point mode is restored.
#![cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]

use super::custom_cells::pair;
use super::determinism::trained;
use super::{bits, cells, label, model, noise, run_of, underflowing};
use std::hint::black_box;
use std::sync::Mutex;
use unrolled::exec::{Dropout, Stream};
use unrolled::loss::{softmax_cross_entropy, sparse_softmax_cross_entropy};
use unrolled::model::Model;
use unrolled::network::{
    Bidirectional, CellStep, CellStepBackward, CustomCell, Highway, Layer, Merge, Network, RnnCell, State,
    Variable, Window,
};
use unrolled::optim::Optimizer;
use unrolled::{OptimizerSettings, Settings};

/// Returns whether denormal results and denormal operands count as zero on this thread.
fn mode() -> [bool; 2] {
    let result = black_box(f32::MIN_POSITIVE) * black_box(0.5);
    let product = black_box(1e-40f32) * black_box(1e20);
    [result.to_bits() == 0, product.to_bits() == 0]
}

#[track_caller]
fn assert_no_denormal(values: &[f32], what: &str) {
    let found = values.iter().filter(|value| value.is_subnormal()).count();
    assert_eq!(found, 0, "{what}: {found} of {} are denormal", values.len());
}

/// Normal numbers of both signs just above the smallest one: their halves and differences are often
/// denormal.
fn small(seed: u32, count: usize) -> Vec<f32> {
    let number = |i: u32| f32::MIN_POSITIVE * (1 + i % 8) as f32 * if i & 8 == 0 { 1.0 } else { -1.0 };
    noise(seed, 16).take(count).map(number).collect()
}

fn small_state(model: &Model, rows: usize) -> State {
    let mut state = State::zero(model.config(), rows);
    for (seed, layer) in (3..).zip(&mut state.layers) {
        (layer.h, layer.c) = (small(seed, layer.h.len()), small(seed + 50, layer.c.len()));
    }
    state
}

/// One layer of every kind that computes outside of kernels, on inputs of width 6.
fn layers() -> Vec<Layer> {
    let zoneout = |layer| Layer { zoneout: 0.25, ..layer };
    let dropped = |layer| Layer { state_keep_prob: 0.75, input_keep_prob: 0.75, ..layer };
    vec![
        Layer::gru(6),
        Layer { residual: true, ..Layer::gru(6) },
        Layer { highway: Highway::Coupled, ..Layer::gru(6) },
        Layer { highway: Highway::Separate, output_keep_prob: 0.75, ..Layer::lstm(6) },
        zoneout(Layer::gru(6)),
        zoneout(Layer { zoneout_cell: 0.5, drop_cell_state: true, ..dropped(Layer::lstm(6)) }),
        dropped(Layer::gru_before(6)),
        Layer { peepholes: true, projection: Some(6), residual: true, ..Layer::lstm(6) },
        zoneout(Layer::custom(pair(6))),
    ]
}

fn model_of(layer: &Layer) -> Model {
    Model::of_layers(std::slice::from_ref(layer), 6, None, 1).unwrap()
}

/// Sets all biases to zero, so that results are as small as the inputs.
fn clear_biases(network: &mut Network) {
    let entries = network.model().parameters().layout.entries().to_vec();
    for entry in entries.into_iter().filter(|entry| entry.name.contains("bias")) {
        network.parameters_and_gradient().0[entry.range].fill(0.0);
    }
}

#[test]
fn loops_outside_of_kernels_give_no_denormal_numbers() {
    let (steps, rows) = (5, 4);
    for layer in layers() {
        let model = model_of(&layer);
        let (initial, d_state) = (small_state(&model, rows), small_state(&model, rows));
        let mut network = Network::new(model, Some(1)).unwrap();
        clear_biases(&mut network);
        for dropout in [None, Some(Dropout { probability: 0.0, seed: 1, step: 0 })] {
            let what = format!("{layer:?}, {dropout:?}");
            let inputs = small(1, steps * rows * 6);
            let window = Window { initial: Some(&initial), dropout, ..Window::new(steps, rows, &inputs) };
            let mut outputs = vec![f32::NAN; steps * rows * layer.output_size()];
            network.forward(&window, &mut outputs).unwrap();
            network.backward(&small(2, outputs.len()), Some(&d_state)).unwrap();
            assert_no_denormal(&outputs, &format!("outputs of {what}"));
            assert_no_denormal(network.d_inputs(), &format!("gradients of inputs of {what}"));
            assert_no_denormal(&network.gradient().values, &format!("gradient of {what}"));
            for state in [&network.state(), network.d_initial()] {
                assert_no_denormal(&state.layers[0].h, &format!("h or its gradient of {what}"));
                assert_no_denormal(&state.layers[0].c, &format!("c or its gradient of {what}"));
            }
        }
    }
}

#[test]
fn both_directions_give_no_denormal_numbers() {
    let model = || model_of(&Layer::gru(6));
    let mut both = Bidirectional::new(model(), model(), Merge::Sum, Some(1)).unwrap();
    both.directions_mut().iter_mut().for_each(clear_biases);
    let (initial, inputs) = (small_state(&model(), 4), small(1, 5 * 4 * 6));
    let window = Window { initial: Some(&initial), ..Window::new(5, 4, &inputs) };
    let mut outputs = vec![f32::NAN; 5 * 4 * 6];
    both.forward(&window, Some(&initial), &mut outputs).unwrap();
    both.backward(&small(2, outputs.len()), [None, None]).unwrap();
    assert_no_denormal(&outputs, "outputs");
    assert_no_denormal(both.d_inputs(), "gradients of inputs");
}

#[test]
fn gradients_of_losses_have_no_denormal_numbers() {
    let logits = [0.0, -88.0, -95.0, 1.0];
    let losses = sparse_softmax_cross_entropy(&logits, &[0]).unwrap();
    assert_no_denormal(&losses.gradient(&[1.0]), "gradient of a softmax");
    let losses = softmax_cross_entropy(&logits, &[1.0, 0.0, 0.0, 0.0], 1).unwrap();
    assert_no_denormal(&losses.gradient(&[1e-30]), "scaled gradient of a softmax");
}

#[test]
fn underflowing_runs_have_the_same_bits_on_all_threads_and_no_denormal_numbers() {
    for cell in cells() {
        for scale in [1e-38, 1e-30] {
            let settings = underflowing(&cell, scale);
            let expected = trained(&settings, 1).checkpoint();
            let what = format!("{}, scale {scale:e}", label(&settings));
            assert_no_denormal(&expected.parameters.values, &what);
            for (name, moment) in &expected.moments {
                assert_no_denormal(moment, &format!("{name} of {what}"));
            }
            for threads in [2, 3] {
                let found = trained(&settings, threads).checkpoint();
                assert!(bits(&found.parameters.values) == bits(&expected.parameters.values), "{what}");
                for ((name, found), (_, expected)) in found.moments.iter().zip(&expected.moments) {
                    assert!(bits(found) == bits(expected), "{name} of {what}");
                }
            }
        }
    }
}

/// So many parameters that three threads divide the update.
#[test]
fn moments_of_adam_decay_to_zero_on_all_threads() {
    let parameters = 60_000;
    for threads in [1, 3] {
        let settings = OptimizerSettings { beta2: 0.9, ..OptimizerSettings::adam() };
        let mut optimizer = Optimizer::new(&settings, parameters, Some(threads)).unwrap();
        let mut values = vec![1.0; parameters];
        optimizer.step(1e-3, &vec![1e-15; parameters], &mut values);
        assert!(optimizer.moments().all(|(_, moment)| moment.iter().all(|value| *value > 0.0)));
        let zeros = vec![0.0; parameters];
        (0..1000).for_each(|_| _ = optimizer.step(1e-3, &zeros, &mut values));
        for (name, moment) in optimizer.moments() {
            assert!(moment.iter().all(|value| value.to_bits() == 0), "{name} on {threads} threads");
        }
    }
}

/// Notes the mode that its steps run in.
#[derive(Debug, Default)]
struct Witness {
    seen: Mutex<Vec<[bool; 2]>>,
}

impl RnnCell for &'static Witness {
    fn state_size(&self) -> Vec<usize> {
        vec![40]
    }
    fn output_size(&self) -> usize {
        40
    }
    fn variables(&self, _: usize) -> Vec<Variable> {
        vec![Variable::weight("weight", &[40, 40])]
    }
    fn step(&self, _: &[&[f32]], step: CellStep<'_>) {
        self.seen.lock().unwrap().push(mode());
        step.outputs.copy_from_slice(step.state);
        step.next_state.copy_from_slice(step.state);
    }
    fn step_backward(&self, _: &[&[f32]], step: CellStepBackward<'_>) {
        self.seen.lock().unwrap().push(mode());
        step.d_state.copy_from_slice(step.d_next_state);
        step.d_inputs.fill(0.0);
    }
}

#[test]
fn custom_cells_run_in_the_mode() {
    let witness: &'static Witness = Box::leak(Box::default());
    let layer = Layer::custom(CustomCell::new("witness", witness));
    let model = Model::of_layers(&[layer], 6, None, 1).unwrap();
    witness.seen.lock().unwrap().clear(); // The check of a new cell runs in the mode of the caller.
    for threads in [1, 2] {
        let (steps, rows) = (30, 20);
        let mut network = Network::new(model.clone(), Some(threads)).unwrap();
        let (inputs, mut outputs) = (vec![1.0; steps * rows * 6], vec![0.0; steps * rows * 40]);
        network.forward(&Window::new(steps, rows, &inputs), &mut outputs).unwrap();
        network.backward(&outputs, None).unwrap();
        let seen = std::mem::take(&mut *witness.seen.lock().unwrap());
        assert_eq!(seen, [[true; 2]; 60], "{threads} threads");
    }
}

#[test]
fn the_mode_of_the_caller_is_restored() {
    for threads in [1, 2] {
        let settings = run_of(&Settings::default(), 0.0);
        trained(&settings, threads);
        assert_eq!(mode(), [false; 2]);
        let mut stream = Stream::new(model(&settings, 40)).unwrap();
        stream.step(&3).unwrap();
        assert!(stream.step(&40).is_err());
        assert_eq!(mode(), [false; 2]);
    }
}
