//! Packed windows have the bits of the same windows with padding.

use super::bits;
use unrolled::exec::{Dropout, Dynamic, Inputs, Order, OutputSteps, Window};
use unrolled::loss::{Loss, Objective};
use unrolled::model::Model;
use unrolled::network::Network;
use unrolled::{InputKind, Layer, ModelSettings};

const STEPS: usize = 13;
const LENGTHS: [usize; 7] = [3, 13, 0, 13, 8, 1, 5];
const ROWS: usize = LENGTHS.len();

/// Returns the values of tokens, `width` for each, without padding.
fn pack<T: Copy>(padded: &[T], width: usize) -> Vec<T> {
    let places = (0..STEPS).flat_map(|step| (0..ROWS).map(move |row| (step, row)));
    let tokens = places.filter(|(step, row)| *step < LENGTHS[*row]);
    tokens.flat_map(|(step, row)| &padded[(step * ROWS + row) * width..][..width]).copied().collect()
}

fn values(count: usize) -> Vec<f32> {
    (0..count).map(|i| ((i * 7919 % 1000) as f32 - 500.0) / 700.0).collect()
}

fn vector_models() -> Vec<Model> {
    let both = Layer { bidirectional: true, projection: Some(5), ..Layer::lstm(20) };
    let stacks = [vec![Layer::gru(33)], vec![both, Layer::rnn(9)], vec![Layer::lstm(16), Layer::lstm(16)]];
    stacks.iter().map(|stack| Model::of_layers(stack, 6, None, 3).unwrap()).collect()
}

#[test]
fn outputs_states_and_gradients_of_packed_vectors_are_those_of_the_padded_window() {
    let inputs = values(STEPS * ROWS * 6);
    let packed_inputs = pack(&inputs, 6);
    let dropout = Some(Dropout { probability: 0.3, seed: 5, step: 1 });
    for model in vector_models() {
        let width = model.config().output_width();
        let d_outputs = values(STEPS * ROWS * width);
        let packed_d_outputs = pack(&d_outputs, width);
        for threads in [1, 3] {
            let [mut padded, mut packed] =
                [(); 2].map(|()| Network::new(model.clone(), Some(threads)).unwrap());
            let initial = padded.zero_state(ROWS);
            let window = Window::new(STEPS, ROWS, &inputs);
            let window = Window { lengths: Some(&LENGTHS), initial: Some(&initial), dropout, ..window };
            let (inputs, order) = (Inputs::Vectors(&packed_inputs), Order::Packed);
            let (mut outputs, mut packed_outputs) = (values(d_outputs.len()), values(packed_d_outputs.len()));
            padded.forward(&window, &mut outputs).unwrap();
            packed.forward(&Window { inputs, order, ..window }, &mut packed_outputs).unwrap();
            assert_eq!(bits(&packed_outputs), bits(&pack(&outputs, width)));
            assert_eq!(packed.state(), padded.state());
            padded.backward(&d_outputs, None).unwrap();
            packed.backward(&packed_d_outputs, None).unwrap();
            assert_eq!(bits(packed.d_inputs()), bits(&pack(padded.d_inputs(), 6)));
            assert_eq!(bits(&packed.gradient().values), bits(&padded.gradient().values));
            assert_eq!(packed.d_initial(), padded.d_initial());
        }
    }
}

/// Ids with an input table and with looked-up vectors, and a head that keeps its outputs or runs by
/// blocks.
#[test]
fn losses_and_gradients_of_packed_ids_are_those_of_the_padded_window() {
    for (vocabulary, input, output_steps) in [
        (11, InputKind::OneHot, OutputSteps::Every),
        (11, InputKind::Embedding, OutputSteps::Last),
        (7000, InputKind::Embedding, OutputSteps::Every),
    ] {
        let settings = ModelSettings { input, embedding: Some(4), ..ModelSettings::lstm(12) };
        let model = Model::new(&settings, vocabulary, 1).unwrap();
        let ids: Vec<u32> = (0..STEPS * ROWS).map(|i| (i * 31 % vocabulary) as u32).collect();
        let [mut padded, mut packed] = [(); 2].map(|()| Network::new(model.clone(), Some(2)).unwrap());
        let window = Window { lengths: Some(&LENGTHS), output_steps, ..Window::new(STEPS, ROWS, &ids) };
        let packed_ids = pack(&ids, 1);
        let packed_window = Window { inputs: Inputs::Ids(&packed_ids), order: Order::Packed, ..window };
        let every = output_steps == OutputSteps::Every;
        let targets = if every { ids.clone() } else { ids[..ROWS].to_vec() };
        let packed_targets = if every { pack(&targets, 1) } else { targets.clone() };
        let weights = values(targets.len()).iter().map(|value| value.abs()).collect::<Vec<_>>();
        let packed_weights = if every { pack(&weights, 1) } else { weights.clone() };
        for weighted in [false, true] {
            let of = |targets, weights| Objective {
                weights: weighted.then_some(weights),
                ..Objective::new(Loss::CROSS_ENTROPY, targets)
            };
            let expected = padded.differentiate(&window, &of(&targets, &weights)).unwrap();
            let objective = of(&packed_targets, &packed_weights);
            assert_eq!(
                packed.differentiate(&packed_window, &objective).unwrap().to_bits(),
                expected.to_bits()
            );
            assert_eq!(bits(&packed.gradient().values), bits(&padded.gradient().values));
        }
        let tokens = |targets: &[u32]| vec![0.0; targets.len() * vocabulary];
        let (mut outputs, mut packed_outputs) = (tokens(&targets), tokens(&packed_targets));
        Dynamic::new(model.clone(), Some(2)).unwrap().forward_window(&window, &mut outputs).unwrap();
        Dynamic::new(model, Some(2)).unwrap().forward_window(&packed_window, &mut packed_outputs).unwrap();
        let expected = if every { pack(&outputs, vocabulary) } else { outputs };
        assert_eq!(bits(&packed_outputs), bits(&expected));
    }
}

#[test]
fn packed_rows_of_one_length_are_a_time_major_window() {
    let (model, inputs) = (Model::of_layers(&[Layer::gru(8)], 2, 1, 1).unwrap(), values(12));
    let mut network = Network::new(model, Some(1)).unwrap();
    let window = Window::new(3, 2, &inputs);
    let (mut expected, mut outputs) = ([0.0; 6], [0.0; 6]);
    network.forward(&window, &mut expected).unwrap();
    for lengths in [None, Some(&[3, 3][..])] {
        network.forward(&Window { order: Order::Packed, lengths, ..window }, &mut outputs).unwrap();
        assert_eq!(outputs, expected);
    }
}

#[test]
fn errors_of_packed_windows_name_the_token() {
    let model = Model::new(&ModelSettings { hidden: 4, ..ModelSettings::default() }, 5, 1).unwrap();
    let mut network = Network::new(model, Some(1)).unwrap();
    let mut error = |ids: &[u32]| {
        let window = Window { lengths: Some(&[1, 3]), order: Order::Packed, ..Window::new(3, 2, ids) };
        network.forward(&window, &mut [0.0; 20]).unwrap_err().to_string()
    };
    assert!(
        error(&[0, 1, 9, 2]).contains("the id 9 among its inputs at step 1 of row 1"),
        "{}",
        error(&[0, 1, 9, 2])
    );
    assert!(error(&[0, 1, 2]).contains('3'), "{}", error(&[0, 1, 2]));
    assert!(error(&[0, 1, 2, 3, 4, 0]).contains('6'), "{}", error(&[0, 1, 2, 3, 4, 0]));
}
