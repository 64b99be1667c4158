//! Gradients of windows whose rows end at different steps.

use super::ragged::{LENGTHS, padded};
use super::reference_model::ReferenceModel;
use super::{Differentiate, gradients};
use super::{batch, bits, cells, close, label, model, models};
use unrolled::corpus::Batch;
use unrolled::exec::{Dropout, State};
use unrolled::network::Network;
use unrolled::{Bias, InputKind, ModelSettings, Settings};

const DROPOUT: Dropout = Dropout { probability: 0.4, seed: 5, step: 0 };

fn ragged(steps: usize, lengths: &[usize], vocabulary: usize) -> Batch {
    let mut batch = batch(steps, lengths.len(), vocabulary);
    batch.inputs = padded(batch.inputs, lengths);
    batch.targets = padded(batch.targets, lengths);
    batch
}

fn run(network: &mut Network, batch: &Batch, lengths: &[usize], drops: bool) -> f64 {
    let loss = match drops {
        true => network.run_with_dropout(batch, Some(lengths), None, DROPOUT),
        false => network.run(batch, Some(lengths), None),
    };
    loss.unwrap()
}

#[test]
fn gradients_are_those_of_the_reference_model() {
    let lengths = [2, 0, 4, 1, 4];
    for cell in cells() {
        for (layers, input, drops) in
            [(2, InputKind::OneHot, false), (1, InputKind::Embedding, true), (2, InputKind::Embedding, true)]
        {
            let settings = Settings {
                model: ModelSettings { hidden: 6, layers, input, embedding: Some(3), ..cell.model.clone() },
                ..cell.clone()
            };
            let (model, batch) = (model(&settings, 5), ragged(4, &lengths, 5));
            let mut reference = ReferenceModel::new(&model);
            reference.lengths = lengths.to_vec();
            reference.dropout = drops.then_some((DROPOUT.probability, DROPOUT.seed));
            let mut network = Network::new(model, Some(1)).unwrap();
            let loss = run(&mut network, &batch, &lengths, drops);
            assert!(close(loss, reference.loss(&batch, None)), "{}: loss {loss}", label(&settings));
            for (entry, values) in network.gradient().iter() {
                for (&found, at) in values.iter().zip(entry.range.clone()) {
                    let expected = reference.derivative(at, &batch, None);
                    let what = format!("{}: {}[{at}]", label(&settings), entry.name);
                    assert!(close(found.into(), expected), "{what}: {found} for {expected}");
                }
            }
        }
    }
}

/// The bits of loss, gradient and state.
fn outcome(settings: &Settings, threads: usize, drops: bool) -> (u64, Vec<u32>, State) {
    let mut network = Network::new(model(settings, 40), Some(threads)).unwrap();
    let loss = run(&mut network, &ragged(13, &LENGTHS, 40), &LENGTHS, drops);
    (loss.to_bits(), bits(&network.gradient().values), network.state())
}

#[test]
fn trained_parameters_do_not_depend_on_threads() {
    for settings in models() {
        let settings = Settings {
            model: ModelSettings { hidden: 50, embedding: Some(7), ..settings.model },
            ..settings
        };
        for drops in [false, true] {
            let expected = outcome(&settings, 1, drops);
            for threads in [2, 3] {
                let same = outcome(&settings, threads, drops) == expected;
                assert!(same, "{}: {threads} threads, dropout {drops}", label(&settings));
            }
        }
    }
}

/// The same windows on a reused value, and through `gradients`.
#[test]
fn trained_parameters_do_not_depend_on_earlier_windows() {
    for settings in models() {
        let model = model(
            &Settings { model: ModelSettings { hidden: 33, ..settings.model.clone() }, ..settings.clone() },
            40,
        );
        let initial = State::zero(model.config(), LENGTHS.len());
        for threads in [1, 3] {
            let mut network = Network::new(model.clone(), Some(threads)).unwrap();
            let plain = batch(13, LENGTHS.len(), 40);
            let (loss, expected, end) = gradients(model.clone(), &plain, None, Some(1)).unwrap();
            let check = |network: &mut Network, lengths: Option<&[usize]>, initial| {
                let found = network.run(&plain, lengths, initial).unwrap();
                let same = bits(&network.gradient().values) == bits(&expected.values);
                assert!(found == loss && same, "{}: {lengths:?}", label(&settings));
                assert!(network.state() == end, "{}: state", label(&settings));
            };
            check(&mut network, None, None);
            run(&mut network, &ragged(20, &[3, 20, 1], 40), &[3, 20, 1], false);
            check(&mut network, Some(&[13; 9]), None);
            run(&mut network, &ragged(13, &LENGTHS, 40), &LENGTHS, false);
            check(&mut network, None, Some(&initial));
        }
    }
}

#[test]
fn gradients_follow_the_parameters() {
    let model = model(
        &Settings { model: ModelSettings { hidden: 8, ..ModelSettings::default() }, ..Settings::default() },
        40,
    );
    let mut network = Network::new(model, Some(1)).unwrap();
    let batch = ragged(13, &LENGTHS, 40);
    run(&mut network, &batch, &LENGTHS, false);
    let (parameters, gradient) = network.parameters_and_gradient();
    parameters.iter_mut().zip(gradient).for_each(|(parameter, slope)| *parameter -= slope);
    let loss = run(&mut network, &batch, &LENGTHS, false);
    let moved = network.gradient().values.clone();
    let mut fresh = Network::new(network.into_model(), Some(1)).unwrap();
    assert_eq!(run(&mut fresh, &batch, &LENGTHS, false), loss);
    assert!(bits(&fresh.gradient().values) == bits(&moved));
}

#[test]
fn gradients_of_the_second_bias_are_zero_with_a_single_bias() {
    let settings = Settings {
        model: ModelSettings { bias: Bias::Single, hidden: 3, ..ModelSettings::default() },
        ..Settings::default()
    };
    let mut network = Network::new(model(&settings, 40), Some(1)).unwrap();
    run(&mut network, &ragged(13, &LENGTHS, 40), &LENGTHS, false);
    assert!(network.gradient().get("rnn.bias_hh_l0").unwrap().iter().all(|&value| value == 0.0));
}

fn refusal(lengths: &[usize], change: impl FnOnce(&mut Batch)) -> String {
    let model = model(
        &Settings { model: ModelSettings { hidden: 3, ..ModelSettings::default() }, ..Settings::default() },
        5,
    );
    let mut batch = batch(3, 2, 5);
    change(&mut batch);
    let mut network = Network::new(model, Some(1)).unwrap();
    network.run(&batch, Some(lengths), None).expect_err("refused").to_string()
}

#[test]
fn invalid_lengths_are_errors() {
    let start = "invalid batch: found";
    let of_sizes = |lengths: &[usize]| refusal(lengths, |_| {});
    assert_eq!(of_sizes(&[3]), format!("{start} 1 lengths, expected one for each of 2 rows"));
    assert_eq!(
        of_sizes(&[1, 4]),
        format!("{start} the length 4 of row 1, expected lengths up to the window's 3 steps")
    );
    assert_eq!(
        of_sizes(&[0, 0]),
        format!("{start} 2 rows of length 0, expected at least one row with a step")
    );
    assert_eq!(
        refusal(&[3, 1], |batch| batch.inputs[2] = 5),
        format!("{start} the id 5 among its inputs at step 1 of row 0, expected ids below 5")
    );
    assert!(refusal(&[3, 1], |batch| batch.targets.truncate(5)).starts_with(&format!("{start} 5 targets")));
}

#[test]
fn an_invalid_dropout_is_an_error() {
    let model = model(
        &Settings { model: ModelSettings { hidden: 3, ..ModelSettings::default() }, ..Settings::default() },
        5,
    );
    let mut network = Network::new(model, Some(1)).unwrap();
    for probability in [-0.1, 1.0, f32::NAN] {
        let dropout = Dropout { probability, ..DROPOUT };
        let refused = network.run_with_dropout(&batch(3, 2, 5), None, None, dropout);
        let expected = format!("dropout = {probability} is invalid: give a number of at least 0 and below 1");
        assert_eq!(refused.expect_err("refused").to_string(), expected);
    }
}
