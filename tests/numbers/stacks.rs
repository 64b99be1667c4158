//! Language models with layers of different kinds: the same bits in every way to run them, exact
//! resumes, gradients.

use super::Differentiate;
use super::bits;
use unrolled::checkpoint::Checkpoint;
use unrolled::corpus::{Batch, Corpus};
use unrolled::exec::{Dynamic, Plan, Stream};
use unrolled::model::{Model, Parameters};
use unrolled::network::{
    Bidirectional, Dropout, Highway, Layer, Masks, Merge, Network, Variational, Window, check_gradients,
};
use unrolled::train::Training;
use unrolled::{InputKind, Mode, ModelSettings, RunSettings, Settings, Unit};

fn dropping(layer: Layer) -> Layer {
    Layer { input_keep_prob: 0.75, output_keep_prob: 0.8, state_keep_prob: 0.7, ..layer }
}

/// Every wrapper at least once.
pub fn stacks() -> Vec<Vec<Layer>> {
    let shared = Variational::Shared;
    vec![
        vec![Layer::lstm(17), Layer::gru(9), Layer::rnn(21)],
        vec![dropping(Layer::gru(17)), Layer { variational: Variational::PerRow, ..dropping(Layer::rnn(9)) }],
        vec![
            Layer { variational: shared, ..dropping(Layer::lstm(19)) },
            Layer { variational: shared, ..dropping(Layer::gru_before(19)) },
            Layer { variational: Variational::PerRow, drop_cell_state: true, ..dropping(Layer::lstm(8)) },
        ],
        vec![Layer {
            drop_cell_state: true,
            keep_hidden_state: true,
            dropout_seed: Some(7),
            ..dropping(Layer::lstm(19))
        }],
        vec![
            Layer { zoneout: 0.25, zoneout_cell: 0.5, ..Layer::lstm(11) },
            Layer { zoneout: 0.5, residual: true, output_keep_prob: 0.5, ..Layer::gru(11) },
            Layer { zoneout: 0.5, state_keep_prob: 0.5, highway: Highway::Coupled, ..Layer::rnn(11) },
        ],
        vec![
            Layer { peepholes: true, projection: Some(7), cell_clip: Some(3.0), ..dropping(Layer::lstm(18)) },
            Layer { layer_norm: true, ..Layer::lstm(13) },
            Layer { coupled: true, peepholes: true, zoneout: 0.25, zoneout_cell: 0.25, ..Layer::lstm(21) },
        ],
        // The next step starts from other values than this step's output; peepholes and clips read
        // the output's.
        vec![Layer {
            peepholes: true,
            zoneout_cell: 0.25,
            state_keep_prob: 0.5,
            drop_cell_state: true,
            cell_clip: Some(0.75),
            ..Layer::lstm(18)
        }],
        vec![Layer { coupled: true, peepholes: true, zoneout: 0.25, zoneout_cell: 0.5, ..Layer::lstm(18) }],
        vec![
            Layer { residual: true, ..Layer::gru(12) },
            Layer { highway: Highway::Separate, output_keep_prob: 0.75, ..Layer::lstm(12) },
        ],
    ]
}

fn settings(stack: Vec<Layer>, mode: Mode, input: InputKind) -> Settings {
    let embedding = Some(12);
    Settings {
        model: ModelSettings { stack, input, embedding, ..ModelSettings::default() },
        run: RunSettings {
            mode,
            batch: 5,
            steps: 6,
            max_steps: Some(7),
            epochs: 99.0,
            ..RunSettings::default()
        },
        ..Settings::default()
    }
}

/// A text of twelve symbols, so that a residual layer can read them one-hot.
fn corpus() -> Corpus {
    let corpus = Corpus::from_text("the cat sat on the map. ".repeat(20), Unit::Char).unwrap();
    assert_eq!(corpus.vocabulary().len(), 12);
    corpus
}

fn finish(mut training: Training) -> Vec<u32> {
    while !training.is_done() {
        training.step().unwrap();
    }
    bits(&training.model().parameters().values)
}

#[test]
fn modes_threads_and_resumes_change_no_bit() {
    for (stack, input) in stacks()
        .into_iter()
        .flat_map(|stack| [(stack.clone(), InputKind::OneHot), (stack, InputKind::Embedding)])
    {
        let run = |mode, threads| {
            Training::new(corpus(), settings(stack.clone(), mode, input), Some(threads)).unwrap()
        };
        let expected = finish(run(Mode::Static, 1));
        for (mode, threads) in [(Mode::Dynamic, 1), (Mode::Static, 2), (Mode::Dynamic, 3)] {
            assert!(finish(run(mode, threads)) == expected, "{stack:?}: {mode:?}, {threads} threads");
        }
        let mut first = run(Mode::Static, 1);
        for _ in 0..3 {
            first.step().unwrap();
        }
        let bytes = first.checkpoint().to_bytes().unwrap();
        let checkpoint = Checkpoint::from_bytes(&bytes, "a file".as_ref()).unwrap();
        let settings = checkpoint.settings.clone();
        let resumed = Training::resume(corpus(), checkpoint, settings, Some(2)).unwrap();
        assert!(finish(resumed) == expected, "{stack:?}: resumed");
    }
}

#[test]
fn streams_plans_and_pieces_give_the_same_logits() {
    for stack in stacks() {
        for input in [InputKind::OneHot, InputKind::Embedding] {
            let model = Model::new(&settings(stack.clone(), Mode::Static, input).model, 12, 1).unwrap();
            let ids: Vec<u32> = (0..10).map(|i| i * 5 % 12).collect();
            let (mut logits, mut pieces) = (vec![0.0; 10 * 12], vec![0.0; 10 * 12]);
            Plan::new(model.clone(), 10, 1, Some(1)).unwrap().forward(&ids, &mut logits).unwrap();
            let mut dynamic = Dynamic::new(model.clone(), Some(1)).unwrap();
            for part in [0..3, 3..4, 4..10] {
                dynamic.forward(&ids[part.clone()], 1, &mut pieces[part.start * 12..part.end * 12]).unwrap();
            }
            assert_eq!(bits(&pieces), bits(&logits));
            let mut stream = Stream::new(model.clone()).unwrap();
            for (id, expected) in ids.iter().zip(logits.chunks(12)) {
                assert_eq!(bits(stream.step(id).unwrap()), bits(expected));
            }
        }
    }
}

#[test]
fn rows_that_end_early_are_as_alone() {
    for stack in stacks() {
        let model = Model::new(&settings(stack, Mode::Static, InputKind::Embedding).model, 12, 1).unwrap();
        let lengths = [4, 0, 6, 1];
        let ids: Vec<u32> = (0..24).map(|i| i * 7 % 12).collect();
        let mut logits = vec![f32::NAN; 24 * 12];
        let mut dynamic = Dynamic::new(model.clone(), Some(2)).unwrap();
        dynamic.forward_ragged(&ids, &lengths, &mut logits).unwrap();
        for (row, length) in lengths.into_iter().enumerate().filter(|(_, length)| *length > 0) {
            let own: Vec<u32> = ids.iter().skip(row).step_by(4).take(length).copied().collect();
            let mut expected = vec![0.0; length * 12];
            Dynamic::new(model.clone(), Some(1)).unwrap().forward(&own, 1, &mut expected).unwrap();
            for (step, expected) in expected.chunks(12).enumerate() {
                assert_eq!(bits(&logits[(step * 4 + row) * 12..][..12]), bits(expected), "row {row}");
            }
        }
        let batch = Batch { steps: 6, rows: 4, targets: ids.clone(), inputs: ids, fresh: true };
        let mut one = Network::new(model.clone(), Some(1)).unwrap();
        let mut three = Network::new(model, Some(3)).unwrap();
        let losses = [&mut one, &mut three].map(|d| d.run(&batch, Some(&lengths), None).unwrap());
        assert_eq!(losses[0].to_bits(), losses[1].to_bits());
        assert_eq!(bits(&one.gradient().values), bits(&three.gradient().values));
    }
}

/// Compares the gradient with extrapolated central differences of the loss in f32, which are within
/// 2e-3 of its norm. Dropout draws the same masks each time.
#[test]
fn gradients_of_embeddings_heads_and_layers_match_differences() {
    for (stack, input) in both_inputs(stacks()) {
        for dropout in [None, Some(Dropout { probability: 0.0, seed: 3, step: 5 })] {
            let model = Model::new(&settings(stack.clone(), Mode::Static, input).model, 12, 1).unwrap();
            let (_, gradient) = differentiate(&model, dropout);
            // The derivative along the gradient of one tensor is its norm.
            for (entry, values) in gradient.iter().filter(|(entry, _)| !is_constant(&stack, &entry.name)) {
                let norm = values.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt();
                assert!(norm > 0.0, "{} has no gradient", entry.name);
                let at = |distance: f64| {
                    let mut moved = model.parameters().clone();
                    let to = &mut moved.values[entry.range.clone()];
                    to.iter_mut()
                        .zip(values)
                        .for_each(|(to, v)| *to += (distance * f64::from(*v) / norm) as f32);
                    let model = Model::with_parameters(model.config().clone(), moved).unwrap();
                    differentiate(&model, dropout).0
                };
                let difference = |h: f64| (at(h) - at(-h)) / (2.0 * h);
                let found = (4.0 * difference(0.004) - difference(0.008)) / 3.0;
                let error = (found - norm).abs();
                assert!(error < 5e-5 + 2e-3 * norm, "{}: {found} for {norm} in {stack:?}", entry.name);
            }
        }
    }
}

fn both_inputs(stacks: Vec<Vec<Layer>>) -> impl Iterator<Item = (Vec<Layer>, InputKind)> {
    let both = |stack: Vec<Layer>| [(stack.clone(), InputKind::OneHot), (stack, InputKind::Embedding)];
    stacks.into_iter().flat_map(both)
}

/// Returns whether a tensor is a bias of a layer with layer normalization.
fn is_constant(stack: &[Layer], name: &str) -> bool {
    let normed = |l: usize| stack[l].layer_norm && name.ends_with(&format!("_l{l}"));
    name.starts_with("rnn.bias_") && (0..stack.len()).any(normed)
}

/// Returns loss and gradient of a window of twelve symbols.
fn differentiate(model: &Model, dropout: Option<Dropout>) -> (f64, Parameters) {
    let ids: Vec<u32> = (0..15).map(|i| i * 7 % 12).collect();
    let targets: Vec<u32> = (0..15).map(|i| i * 5 % 12).collect();
    let batch = Batch { steps: 5, rows: 3, inputs: ids, targets, fresh: true };
    let mut network = Network::new(model.clone(), Some(1)).unwrap();
    let loss = match dropout {
        None => network.run(&batch, None, None),
        Some(dropout) => network.run_with_dropout(&batch, None, None, dropout),
    };
    (loss.unwrap(), network.gradient().clone())
}

/// One mask for all symbols is applied to the input table. A stack on vectors masks each vector.
#[test]
fn a_masked_table_gives_the_loss_of_masked_vectors() {
    for input in [InputKind::OneHot, InputKind::Embedding] {
        let layer = Layer { input_keep_prob: 0.5, variational: Variational::Shared, ..Layer::gru(8) };
        let model = Model::new(&settings(vec![layer.clone()], Mode::Static, input).model, 12, 1).unwrap();
        let dropout = Dropout { probability: 0.0, seed: 3, step: 5 };
        let (loss, _) = differentiate(&model, Some(dropout));
        let plain = differentiate(&model, None).0;
        assert!((loss - plain).abs() > 1e-4, "nothing was dropped: {loss}, {plain}");
        let get = |name: &str| model.parameters().get(name).unwrap();
        let stack = Model::of_layers(&[layer], 12, None, 1).unwrap();
        let mut parameters = stack.parameters().clone();
        for name in ["weight_ih", "weight_hh", "bias_ih", "bias_hh"].map(|name| format!("rnn.{name}_l0")) {
            parameters.get_mut(&name).unwrap().copy_from_slice(get(&name));
        }
        let stack = Model::with_parameters(stack.config().clone(), parameters).unwrap();
        let vector = |id: usize| match input {
            InputKind::OneHot => (0..12).map(|v| f32::from(u8::from(v == id))).collect::<Vec<f32>>(),
            InputKind::Embedding => get("embedding.weight")[id * 12..][..12].to_vec(),
        };
        let inputs: Vec<f32> = (0..15).flat_map(|i| vector(i * 7 % 12)).collect();
        let mut outputs = vec![0.0; 15 * 8];
        let window = Window { dropout: Some(dropout), ..Window::new(5, 3, &inputs) };
        Network::new(stack, Some(1)).unwrap().forward(&window, &mut outputs).unwrap();
        let nats = |(i, output): (usize, &[f32])| {
            let rows = get("head.weight").chunks(8).zip(get("head.bias"));
            let logit = |(row, bias): (&[f32], &f32)| {
                f64::from(*bias)
                    + row.iter().zip(output).map(|(w, x)| f64::from(*w) * f64::from(*x)).sum::<f64>()
            };
            let logits: Vec<f64> = rows.map(logit).collect();
            logits.iter().map(|y| y.exp()).sum::<f64>().ln() - logits[i * 5 % 12]
        };
        let expected = outputs.chunks(8).enumerate().map(nats).sum::<f64>() / 15.0;
        assert!((loss - expected).abs() < 1e-6, "{loss} for {expected}");
    }
}

#[test]
fn every_layer_passes_the_gradient_checker() {
    let zoned = Layer { zoneout: 0.25, zoneout_cell: 0.5, ..Layer::lstm(4) };
    let stacks = [
        vec![Layer::rnn(4)],
        vec![Layer::lstm(4)],
        vec![Layer::gru(4)],
        vec![Layer::gru_before(4)],
        vec![zoned, Layer { zoneout: 0.5, ..Layer::gru(3) }],
        vec![Layer::lstm(4), Layer { residual: true, ..Layer::rnn(4) }],
        vec![Layer { highway: Highway::Coupled, ..Layer::gru(3) }],
        vec![Layer { highway: Highway::Separate, ..Layer::lstm(3) }],
        vec![Layer { peepholes: true, ..Layer::lstm(4) }],
        vec![Layer { peepholes: true, coupled: true, projection: Some(3), ..Layer::lstm(4) }],
        vec![Layer { projection: Some(6), ..Layer::lstm(4) }, Layer { layer_norm: true, ..Layer::lstm(5) }],
        vec![Layer { layer_norm: true, zoneout: 0.25, zoneout_cell: 0.5, ..Layer::lstm(5) }],
        vec![Layer { peepholes: true, projection: Some(3), zoneout: 0.25, ..Layer::lstm(5) }],
    ];
    for stack in stacks {
        for difference in check_gradients(&stack, 3, 5).unwrap() {
            assert!(difference.holds(), "{difference:?} of {stack:?}");
        }
    }
}

#[test]
fn an_invalid_option_is_an_error_when_the_model_is_made() {
    type Change = fn(&mut Layer);
    let changes: &[(&str, Change)] = &[
        ("hidden = 0", |l| l.hidden = 0),
        ("input-keep-prob = 0", |l| l.input_keep_prob = 0.0),
        ("output-keep-prob = 1.5", |l| l.output_keep_prob = 1.5),
        ("state-keep-prob = NaN", |l| l.state_keep_prob = f32::NAN),
        ("zoneout = 1", |l| l.zoneout = 1.0),
        ("zoneout-cell = -0.5", |l| l.zoneout_cell = -0.5),
        ("projection = 0", |l| l.projection = Some(0)),
        ("projection = 33", |l| l.projection = Some(33)),
        ("projection-clip = 1", |l| l.projection_clip = Some(1.0)),
        ("cell-clip = 0", |l| l.cell_clip = Some(0.0)),
        ("layer-norm = true", |l| (l.layer_norm, l.peepholes) = (true, true)),
        ("residual = true", |l| l.residual = true),
        ("highway = true", |l| l.highway = Highway::Coupled),
        ("input-size = 4", |l| l.input_size = Some(4)),
        ("forget-bias = inf", |l| l.forget_bias = f32::INFINITY),
        ("peepholes = true", |l| (l.cell, l.peepholes) = (unrolled::Cell::Gru, true)),
        ("coupled = true", |l| (l.cell, l.coupled) = (unrolled::Cell::Rnn, true)),
    ];
    for (expected, change) in changes {
        let mut layer = Layer::lstm(8);
        change(&mut layer);
        let text = Model::of_layers(&[layer], 3, None, 1).unwrap_err().to_string();
        assert!(text.starts_with(&format!("{expected} is invalid: ")), "{expected}: {text}");
    }
}

#[test]
fn a_window_goes_backward_once_and_wrong_shapes_are_errors() {
    let stack = [Layer::lstm(5)];
    let network = || Network::new(Model::of_layers(&stack, 4, None, 1).unwrap(), Some(1)).unwrap();
    let inputs = [0.5; 2 * 3 * 4];
    let window = Window::new(2, 3, &inputs);
    let mut outputs = [0.0; 2 * 3 * 5];
    let mut rnn = network();
    rnn.forward(&window, &mut outputs).unwrap();
    rnn.backward(&outputs, None).unwrap();
    // The deltas have replaced the gates, so a second backward pass would give wrong numbers.
    let message = rnn.backward(&outputs, None).unwrap_err().to_string();
    assert!(message.ends_with("one that went forward, and not backward yet"), "{message}");
    for probability in [1.0, f32::NAN, -0.1] {
        let dropout = Some(Dropout { probability, seed: 1, step: 1 });
        let message = network().forward(&Window { dropout, ..window }, &mut outputs).unwrap_err().to_string();
        assert!(message.starts_with(&format!("dropout = {probability} is invalid")), "{message}");
    }
    let reason = |lengths: [usize; 2], rows| {
        let steps = lengths.map(|length| vec![0.0; length]);
        network().forward_list(&steps, &Window::new(0, rows, &[0.0; 0])).unwrap_err().to_string()
    };
    assert!(reason([12, 11], 3).contains("found 11 inputs in step 1, expected 3 rows x 4 of them"));
    assert!(reason([12, 12], usize::MAX).contains("found 12 inputs in step 0"));
}

#[test]
fn two_directions_draw_different_masks() {
    let model = || Model::of_layers(&[Layer::gru(6)], 4, None, 1).unwrap();
    let mut both = Bidirectional::new(model(), model(), Merge::Concatenate, Some(1)).unwrap();
    // With one step both directions read the same input, so only the masks differ.
    let inputs = [0.5; 8 * 4];
    let dropout = Some(Dropout { probability: 0.5, seed: 1, step: 1 });
    let mut outputs = [0.0; 8 * 12];
    both.forward(&Window { dropout, ..Window::new(1, 8, &inputs) }, None, &mut outputs).unwrap();
    assert!(outputs.chunks(12).any(|row| row[..6] != row[6..]));
    both.forward(&Window::new(1, 8, &inputs), None, &mut outputs).unwrap();
    assert!(outputs.chunks(12).all(|row| row[..6] == row[6..]));
    let masks = Masks::default();
    let given = Window { masks: Some(&masks), dropout, ..Window::new(1, 8, &inputs) };
    let message = both.forward(&given, None, &mut outputs).unwrap_err().to_string();
    assert!(message.contains("found masks, expected none"), "{message}");
}

#[test]
fn a_layer_with_its_own_seed_ignores_the_seed_of_the_run() {
    let inputs = [0.5; 6 * 3 * 4];
    let outputs = |own: Option<u64>, variational, seed, step| {
        let layer = Layer { dropout_seed: own, variational, ..dropping(Layer::lstm(6)) };
        let model = Model::of_layers(&[layer], 4, None, 1).unwrap();
        let window =
            Window { dropout: Some(Dropout { probability: 0.0, seed, step }), ..Window::new(6, 3, &inputs) };
        let mut outputs = vec![0.0; 6 * 3 * 6];
        Network::new(model, Some(1)).unwrap().forward(&window, &mut outputs).unwrap();
        bits(&outputs)
    };
    for variational in [Variational::Off, Variational::Shared, Variational::PerRow] {
        let of = |own, seed, step| outputs(own, variational, seed, step);
        assert_eq!(of(Some(7), 1, 0), of(Some(7), 2, 0), "{variational:?}: the run's seed moves nothing");
        assert_eq!(of(Some(7), 1, 0), of(None, 7, 0), "{variational:?}: it stands in for the run's");
        assert_ne!(of(Some(7), 1, 0), of(Some(8), 1, 0), "{variational:?}: another seed, other masks");
        assert_ne!(of(Some(7), 1, 0), of(Some(7), 1, 1), "{variational:?}: another window, other masks");
        assert_ne!(of(None, 1, 0), of(None, 2, 0), "{variational:?}");
    }
}
