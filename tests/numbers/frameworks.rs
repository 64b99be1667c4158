//! Windows, training traces and the softmax, compared with PyTorch and TensorFlow.

use super::fixture::Fixture;
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

fn windows() -> Vec<Fixture> {
    let all = Fixture::all(&WINDOWS);
    assert_eq!(all.len(), 32, "a fixture is missing");
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
pub fn a_plan_has_the_fixtures_logits_and_states() {
    for fixture in windows() {
        let (model, &Settings { run: RunSettings { steps, batch, .. }, .. }) =
            (fixture.model(), &fixture.settings);
        let mut plan = Plan::new(model.clone(), steps, batch, Some(1)).unwrap();
        plan.set_state(&fixture.state(START)).unwrap();
        let mut logits = vec![f32::NAN; fixture.floats("logits").len()];
        plan.forward(fixture.ids("inputs"), &mut logits).unwrap();
        assert_close(&fixture.name, &logits, fixture.floats("logits"));
        assert_state(&fixture.name, &plan.state(), &fixture.state(END));
    }
}

#[test]
pub fn the_dynamic_mode_has_the_fixtures_logits_and_states_in_any_pieces() {
    for fixture in windows() {
        let (model, rows) = (fixture.model(), fixture.settings.run.batch);
        let mut dynamic = Dynamic::new(model.clone(), Some(1)).unwrap();
        dynamic.set_state(&fixture.state(START)).unwrap();
        let (inputs, expected) = (fixture.ids("inputs"), fixture.floats("logits"));
        let mut logits = vec![f32::NAN; expected.len()];
        for steps in [0..4, 4..5, 5..7] {
            let [from, to] = [steps.start * rows, steps.end * rows];
            let part = &mut logits[from * fixture.symbols..to * fixture.symbols];
            dynamic.forward(&inputs[from..to], rows, part).unwrap();
        }
        assert_close(&fixture.name, &logits, expected);
        assert_state(&fixture.name, &dynamic.state().unwrap(), &fixture.state(END));
    }
}

/// One row of a state.
fn row(state: &State, row: usize, hidden: usize) -> State {
    let part = |values: &[f32]| values.chunks(hidden).nth(row).map_or(Vec::new(), <[f32]>::to_vec);
    let layer = |layer: &LayerState| LayerState { h: part(&layer.h), c: part(&layer.c) };
    State { rows: 1, layers: state.layers.iter().map(layer).collect() }
}

#[test]
pub fn a_stream_has_the_fixtures_logits_and_states() {
    for fixture in windows() {
        let (model, symbols) = (fixture.model(), fixture.symbols);
        let Settings { model: ModelSettings { hidden, .. }, run: RunSettings { batch: rows, .. }, .. } =
            fixture.settings;
        let mut stream = Stream::new(model.clone()).unwrap();
        for b in 0..rows {
            stream.set_state(&row(&fixture.state(START), b, hidden)).unwrap();
            let expected = fixture.floats("logits").chunks(symbols).skip(b).step_by(rows);
            for (id, expected) in fixture.ids("inputs").iter().skip(b).step_by(rows).zip(expected) {
                assert_close(&fixture.name, stream.step(id).unwrap(), expected);
            }
            assert_state(&fixture.name, &stream.state(), &row(&fixture.state(END), b, hidden));
        }
    }
}

#[test]
pub fn losses_states_and_gradients_match_the_fixtures() {
    for fixture in windows() {
        let (model, start) = (fixture.model(), fixture.state(START));
        let (loss, gradient, end) =
            gradients(model.clone(), &fixture.batch(), Some(&start), Some(1)).unwrap();
        assert!(close(loss, fixture.floats("loss")[0].into()), "{}: loss {loss}", fixture.name);
        assert_state(&fixture.name, &end, &fixture.state(END));
        for (entry, values) in gradient.iter() {
            let what = format!("{}: gradient of {}", fixture.name, entry.name);
            match fixture.find(&format!("grad.{}", entry.name)) {
                Some(expected) => assert_close(&what, values, expected),
                // TensorFlow has one bias.
                None => assert!(entry.name.contains("bias_hh") && values.iter().all(|&v| v == 0.0), "{what}"),
            }
        }
    }
}

#[test]
pub fn packed_sequences_match_the_fixtures() {
    let all = Fixture::all(&["torch-ragged"]);
    assert_eq!(all.len(), 3, "a fixture is missing");
    for (fixture, threads) in all.iter().flat_map(|fixture| [(fixture, 1), (fixture, 2)]) {
        let (model, start) = (fixture.model(), fixture.state(START));
        let lengths: Vec<usize> = fixture.ids("lengths").iter().map(|&length| length as usize).collect();
        let mut dynamic = Dynamic::new(model.clone(), Some(threads)).unwrap();
        dynamic.set_state(&start).unwrap();
        let mut logits = vec![f32::NAN; fixture.floats("logits").len()];
        dynamic.forward_ragged(fixture.ids("inputs"), &lengths, &mut logits).unwrap();
        assert_close(&fixture.name, &logits, fixture.floats("logits"));
        assert_state(&fixture.name, &dynamic.state().unwrap(), &fixture.state(END));
        let mut network = Network::new(model, Some(threads)).unwrap();
        let loss = network.run(&fixture.batch(), Some(&lengths), Some(&start)).unwrap();
        assert!(close(loss, fixture.floats("loss")[0].into()), "{}: loss {loss}", fixture.name);
        assert_state(&fixture.name, &network.state(), &fixture.state(END));
        for (entry, values) in network.gradient().iter() {
            let what = format!("{}: gradient of {}", fixture.name, entry.name);
            assert_close(&what, values, fixture.floats(&format!("grad.{}", entry.name)));
        }
    }
}

/// A text whose streams have a trace's windows [10, T, B] from the second window on. A run after
/// one step reads the trace's first window without resetting its state.
fn text_of(fixture: &Fixture, vocabulary: &Vocabulary) -> Corpus {
    let RunSettings { steps, batch: rows, .. } = fixture.settings.run;
    let (inputs, targets) = (fixture.ids("inputs"), fixture.ids("targets"));
    let mut ids = Vec::new();
    for b in 0..rows {
        ids.extend(vec![0; steps]);
        ids.extend(inputs.iter().skip(b).step_by(rows));
        ids.push(targets[targets.len() - rows + b]);
    }
    ids.push(0);
    Corpus::from_text_with(vocabulary.decode(&ids), vocabulary).unwrap()
}

fn trace(fixture: &Fixture, mode: Mode) -> Training {
    let settings = Settings {
        optimizer: OptimizerSettings {
            clip: fixture.settings.optimizer.clip,
            ..fixture.settings.optimizer.clone()
        },
        data: DataSettings { val_fraction: 0.0, ..fixture.settings.data.clone() },
        run: RunSettings { mode, ..fixture.settings.run.clone() },
        ..fixture.settings.clone()
    };
    let symbols: Vec<String> = ('a'..).take(fixture.symbols).map(String::from).collect();
    let vocabulary = Vocabulary::from_json(&serde_json::to_string(&symbols).unwrap()).unwrap();
    let corpus = text_of(fixture, &vocabulary);
    let parameters = fixture.parameters();
    let moments = vec![("momentum".to_owned(), vec![0.0; parameters.values.len()])];
    let corpus_fingerprint = corpus.fingerprint();
    let progress =
        Progress { step: 1, total_steps: 11, eval_every: 100, corpus_fingerprint, ..Progress::default() };
    let state = Some(fixture.state(START));
    let checkpoint = Checkpoint {
        settings: settings.clone(),
        vocabulary,
        parameters,
        moments,
        state,
        progress,
        quantized: false,
    };
    Training::resume(corpus, checkpoint, settings, Some(1)).unwrap()
}

#[test]
pub fn ten_training_steps_match_pytorch() {
    let all = Fixture::all(&["torch-trace"]);
    assert_eq!(all.len(), 2, "a fixture is missing");
    for (fixture, mode) in all.iter().flat_map(|fixture| [(fixture, Mode::Static), (fixture, Mode::Dynamic)])
    {
        let mut training = trace(fixture, mode);
        for (i, (&loss, &norm)) in fixture.floats("losses").iter().zip(fixture.floats("norms")).enumerate() {
            let report = training.step().unwrap();
            assert!(close(report.loss, loss.into()), "{} {i}: loss {} for {loss}", fixture.name, report.loss);
            let found = report.gradient_norm;
            assert!(close(found, norm.into()), "{} {i}: norm {found} for {norm}", fixture.name);
        }
        assert!(training.is_done());
        for (entry, values) in training.model().parameters().iter() {
            let expected = fixture.floats(&format!("final.{}", entry.name));
            assert_close(&format!("{}: {} in the end", fixture.name, entry.name), values, expected);
        }
        assert_state(&fixture.name, &training.checkpoint().state.unwrap(), &fixture.state(END));
    }
}

#[test]
pub fn the_softmax_loss_and_its_gradient_match_tensorflow() {
    let fixture = Fixture::load("tensorflow-softmax-cross-entropy");
    let (vocabulary, rows) = (65, 9);
    let stride = padded(vocabulary);
    for isa in Isa::all() {
        let mut logits = vec![f32::NEG_INFINITY; rows * stride];
        for (row, given) in logits.chunks_mut(stride).zip(fixture.floats("logits").chunks(vocabulary)) {
            row[..vocabulary].copy_from_slice(given);
        }
        let (mut losses, mut correct) = (vec![f64::NAN; rows], vec![false; rows]);
        let kernel = CrossEntropy {
            vocabulary,
            stride,
            logits: &mut logits,
            targets: fixture.ids("targets"),
            gradient_scale: Some(1.0),
            losses: &mut losses,
            correct: &mut correct,
        };
        kernel.run_on(isa);
        let losses: Vec<f32> = losses.iter().map(|&loss| loss as f32).collect();
        let what = format!("{} on {}", fixture.name, isa.name());
        assert_close(&format!("{what}: losses"), &losses, fixture.floats("losses"));
        for (row, expected) in logits.chunks(stride).zip(fixture.floats("grad").chunks(vocabulary)) {
            assert_close(&format!("{what}: gradient"), &row[..vocabulary], expected);
        }
    }
}
