//! Windows, training traces and the softmax, against what PyTorch and TensorFlow compute.

use super::golden::Golden;
use super::{Differentiate, gradients};
use super::{assert_close, close};
use unrolled::checkpoint::Checkpoint;
use unrolled::corpus::{Corpus, Vocabulary};
use unrolled::exec::{Dynamic, LayerState, Plan, State, Stream};
use unrolled::network::Network;
use unrolled::train::{Progress, Training};
use unrolled::{DataSettings, Mode, ModelSettings, OptimizerSettings, RunSettings, Settings};
use unrolled_kernels::Isa;
use unrolled_kernels::pack::padded;
use unrolled_kernels::softmax::CrossEntropy;

const WINDOWS: [&str; 6] =
    ["torch-lstm", "torch-gru", "torch-rnn", "tensorflow-lstm", "tensorflow-gru", "tensorflow-rnn"];
const START: [&str; 2] = ["h0", "c0"];
const END: [&str; 2] = ["h_n", "c_n"];

fn windows() -> Vec<Golden> {
    let all = Golden::all(&WINDOWS);
    assert_eq!(all.len(), 32, "a golden is missing");
    all
}

fn assert_state(what: &str, found: &State, expected: &State) {
    assert_eq!((found.rows, found.layers.len()), (expected.rows, expected.layers.len()), "{what}");
    for (found, expected) in found.layers.iter().zip(&expected.layers) {
        assert_close(&format!("{what} h"), &found.h, &expected.h);
        assert_close(&format!("{what} c"), &found.c, &expected.c);
    }
}

#[test]
pub fn a_plan_gives_their_logits_and_states() {
    for golden in windows() {
        let (model, &Settings { run: RunSettings { steps, batch, .. }, .. }) =
            (golden.model(), &golden.settings);
        let mut plan = Plan::new(model.clone(), steps, batch, Some(1)).unwrap();
        plan.set_state(&golden.state(START)).unwrap();
        let mut logits = vec![f32::NAN; golden.floats("logits").len()];
        plan.forward(golden.ids("inputs"), &mut logits).unwrap();
        assert_close(&golden.name, &logits, golden.floats("logits"));
        assert_state(&golden.name, &plan.state(), &golden.state(END));
    }
}

#[test]
pub fn the_dynamic_mode_gives_their_logits_and_states_in_any_pieces() {
    for golden in windows() {
        let (model, rows) = (golden.model(), golden.settings.run.batch);
        let mut dynamic = Dynamic::new(model.clone(), Some(1)).unwrap();
        dynamic.set_state(&golden.state(START)).unwrap();
        let (inputs, expected) = (golden.ids("inputs"), golden.floats("logits"));
        let mut logits = vec![f32::NAN; expected.len()];
        for steps in [0..4, 4..5, 5..7] {
            let [from, to] = [steps.start * rows, steps.end * rows];
            let part = &mut logits[from * golden.symbols..to * golden.symbols];
            dynamic.forward(&inputs[from..to], rows, part).unwrap();
        }
        assert_close(&golden.name, &logits, expected);
        assert_state(&golden.name, &dynamic.state().unwrap(), &golden.state(END));
    }
}

/// One row of a state.
fn row(state: &State, row: usize, hidden: usize) -> State {
    let part = |values: &[f32]| values.chunks(hidden).nth(row).map_or(Vec::new(), <[f32]>::to_vec);
    let layer = |layer: &LayerState| LayerState { h: part(&layer.h), c: part(&layer.c) };
    State { rows: 1, layers: state.layers.iter().map(layer).collect() }
}

#[test]
pub fn a_stream_gives_their_logits_and_states_row_by_row() {
    for golden in windows() {
        let (model, symbols) = (golden.model(), golden.symbols);
        let Settings { model: ModelSettings { hidden, .. }, run: RunSettings { batch: rows, .. }, .. } =
            golden.settings;
        let mut stream = Stream::new(model.clone()).unwrap();
        for b in 0..rows {
            stream.set_state(&row(&golden.state(START), b, hidden)).unwrap();
            let expected = golden.floats("logits").chunks(symbols).skip(b).step_by(rows);
            for (id, expected) in golden.ids("inputs").iter().skip(b).step_by(rows).zip(expected) {
                assert_close(&golden.name, stream.step(id).unwrap(), expected);
            }
            assert_state(&golden.name, &stream.state(), &row(&golden.state(END), b, hidden));
        }
    }
}

#[test]
pub fn losses_states_and_all_gradients_are_theirs() {
    for golden in windows() {
        let (model, start) = (golden.model(), golden.state(START));
        let (loss, gradient, end) = gradients(model.clone(), &golden.batch(), Some(&start), Some(1)).unwrap();
        assert!(close(loss, golden.floats("loss")[0].into()), "{}: loss {loss}", golden.name);
        assert_state(&golden.name, &end, &golden.state(END));
        for (entry, values) in gradient.iter() {
            let what = format!("{}: gradient of {}", golden.name, entry.name);
            match golden.find(&format!("grad.{}", entry.name)) {
                Some(expected) => assert_close(&what, values, expected),
                // TensorFlow has one bias.
                None => assert!(entry.name.contains("bias_hh") && values.iter().all(|&v| v == 0.0), "{what}"),
            }
        }
    }
}

#[test]
pub fn packed_sequences_give_their_logits_states_and_gradients() {
    let all = Golden::all(&["torch-ragged"]);
    assert_eq!(all.len(), 3, "a golden is missing");
    for (golden, threads) in all.iter().flat_map(|golden| [(golden, 1), (golden, 2)]) {
        let (model, start) = (golden.model(), golden.state(START));
        let lengths: Vec<usize> = golden.ids("lengths").iter().map(|&length| length as usize).collect();
        let mut dynamic = Dynamic::new(model.clone(), Some(threads)).unwrap();
        dynamic.set_state(&start).unwrap();
        let mut logits = vec![f32::NAN; golden.floats("logits").len()];
        dynamic.forward_ragged(golden.ids("inputs"), &lengths, &mut logits).unwrap();
        assert_close(&golden.name, &logits, golden.floats("logits"));
        assert_state(&golden.name, &dynamic.state().unwrap(), &golden.state(END));
        let mut differentiator = Network::new(model, Some(threads)).unwrap();
        let loss = differentiator.run(&golden.batch(), Some(&lengths), Some(&start)).unwrap();
        assert!(close(loss, golden.floats("loss")[0].into()), "{}: loss {loss}", golden.name);
        assert_state(&golden.name, &differentiator.state(), &golden.state(END));
        for (entry, values) in differentiator.gradient().iter() {
            let what = format!("{}: gradient of {}", golden.name, entry.name);
            assert_close(&what, values, golden.floats(&format!("grad.{}", entry.name)));
        }
    }
}

/// A text whose streams read a trace's windows [10, T, B] from the second window on: a run that has done one step
/// takes the trace's first window without resetting its state.
fn text_of(golden: &Golden, vocabulary: &Vocabulary) -> Corpus {
    let RunSettings { steps, batch: rows, .. } = golden.settings.run;
    let (inputs, targets) = (golden.ids("inputs"), golden.ids("targets"));
    let mut ids = Vec::new();
    for b in 0..rows {
        ids.extend(vec![0; steps]);
        ids.extend(inputs.iter().skip(b).step_by(rows));
        ids.push(targets[targets.len() - rows + b]);
    }
    ids.push(0);
    Corpus::from_text_with(vocabulary.decode(&ids), vocabulary).unwrap()
}

fn trace(golden: &Golden, mode: Mode) -> Training {
    let settings = Settings {
        optimizer: OptimizerSettings {
            clip: golden.settings.optimizer.clip,
            ..golden.settings.optimizer.clone()
        },
        data: DataSettings { val_fraction: 0.0, ..golden.settings.data.clone() },
        run: RunSettings { mode, ..golden.settings.run.clone() },
        ..golden.settings.clone()
    };
    let symbols: Vec<String> = ('a'..).take(golden.symbols).map(String::from).collect();
    let vocabulary = Vocabulary::from_json(&serde_json::to_string(&symbols).unwrap()).unwrap();
    let corpus = text_of(golden, &vocabulary);
    let parameters = golden.parameters();
    let moments = vec![("momentum".to_owned(), vec![0.0; parameters.values.len()])];
    let corpus_fingerprint = corpus.fingerprint();
    let progress =
        Progress { step: 1, total_steps: 11, eval_every: 100, corpus_fingerprint, ..Progress::default() };
    let state = Some(golden.state(START));
    let checkpoint =
        Checkpoint { settings: settings.clone(), vocabulary, parameters, moments, state, progress };
    Training::resume(corpus, checkpoint, settings, Some(1)).unwrap()
}

#[test]
pub fn ten_steps_of_training_go_as_theirs() {
    let all = Golden::all(&["torch-trace"]);
    assert_eq!(all.len(), 2, "a golden is missing");
    for (golden, mode) in all.iter().flat_map(|golden| [(golden, Mode::Static), (golden, Mode::Dynamic)]) {
        let mut training = trace(golden, mode);
        for (i, (&loss, &norm)) in golden.floats("losses").iter().zip(golden.floats("norms")).enumerate() {
            let report = training.step().unwrap();
            assert!(close(report.loss, loss.into()), "{} {i}: loss {} for {loss}", golden.name, report.loss);
            let found = report.gradient_norm;
            assert!(close(found, norm.into()), "{} {i}: norm {found} for {norm}", golden.name);
        }
        assert!(training.is_done());
        for (entry, values) in training.model().parameters().iter() {
            let expected = golden.floats(&format!("final.{}", entry.name));
            assert_close(&format!("{}: {} in the end", golden.name, entry.name), values, expected);
        }
        assert_state(&golden.name, &training.checkpoint().state.unwrap(), &golden.state(END));
    }
}

#[test]
pub fn the_softmax_loss_and_its_gradient_are_theirs() {
    let golden = Golden::load("tensorflow-softmax-cross-entropy");
    let (vocabulary, rows) = (65, 9);
    let stride = padded(vocabulary);
    for isa in Isa::all() {
        let mut logits = vec![f32::NEG_INFINITY; rows * stride];
        for (row, given) in logits.chunks_mut(stride).zip(golden.floats("logits").chunks(vocabulary)) {
            row[..vocabulary].copy_from_slice(given);
        }
        let (mut losses, mut correct) = (vec![f64::NAN; rows], vec![false; rows]);
        let kernel = CrossEntropy {
            vocabulary,
            stride,
            logits: &mut logits,
            targets: golden.ids("targets"),
            gradient_scale: Some(1.0),
            losses: &mut losses,
            correct: &mut correct,
        };
        kernel.run_on(isa);
        let losses: Vec<f32> = losses.iter().map(|&loss| loss as f32).collect();
        let what = format!("{} on {}", golden.name, isa.name());
        assert_close(&format!("{what}: losses"), &losses, golden.floats("losses"));
        for (row, expected) in logits.chunks(stride).zip(golden.floats("grad").chunks(vocabulary)) {
            assert_close(&format!("{what}: gradient"), &row[..vocabulary], expected);
        }
    }
}
