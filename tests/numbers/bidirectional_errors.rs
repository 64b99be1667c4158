//! Invalid models, windows and files of bidirectional stacks are errors that change nothing.

use super::bidirectional_stacks::{INPUTS, inputs, layers, random_state, stack, window};
use super::bits;
use std::fs;
use unrolled::checkpoint::{TensorFile, save_state_dict};
use unrolled::exec::{Inputs, OutputSteps};
use unrolled::model::Model;
use unrolled::network::{BidirectionalStack, Dropout, Layer, Masks, Window};
use unrolled::{Bias, ModelSettings};

#[test]
fn a_saved_stack_loads_with_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("stack.safetensors");
    let (stack, layers) = (stack(&layers(), 1), layers());
    save_state_dict(&path, &[("encoder", stack.parameters())]).unwrap();
    let bytes = fs::read(&path).unwrap();
    let file = TensorFile::load(&path).unwrap();
    assert!(file.find("encoder.weight_peephole_l0_reverse").is_some());
    let configs = BidirectionalStack::configs(&layers, INPUTS, Bias::Double).unwrap();
    let models = file.bidirectional("encoder", &configs).unwrap();
    file.finish().unwrap();
    assert_eq!(BidirectionalStack::new(models, Some(1)).unwrap().parameters(), stack.parameters());
    // Fewer layers than in the file, and another width.
    let fresh = TensorFile::load(&path).unwrap();
    let text = fresh.bidirectional("encoder", &configs[..1]).unwrap_err().to_string();
    assert!(text.contains("no place in the model: encoder.bias_hh_l1 F32 [15], "), "{text}");
    let wrong = BidirectionalStack::configs(&layers, INPUTS + 1, Bias::Double).unwrap();
    let text = file.bidirectional("encoder", &wrong).unwrap_err().to_string();
    assert!(text.contains("tensor encoder.weight_ih_l0: found F32 [16, 3], expected F32 [16, 4]"), "{text}");

    let mut damaged = stack.parameters().clone();
    damaged.get_mut("bias_ih_l1_reverse").unwrap()[2] = f32::NAN;
    let text = save_state_dict(&path, &[("", &damaged)]).unwrap_err().to_string();
    assert_eq!(text, "tensor bias_ih_l1_reverse: found NaN, expected finite numbers");
    let twice = [("a", stack.parameters()), ("a.", stack.parameters())];
    let text = save_state_dict(&path, &twice).unwrap_err().to_string();
    assert!(text.starts_with("tensor a.weight_ih_l0: found two tensors with this name"), "{text}");
    assert_eq!(fs::read(&path).unwrap(), bytes, "the old file stays");
}

#[test]
fn an_invalid_window_is_an_error_and_leaves_the_stack_usable() {
    let [mut found, mut untouched] = [(); 2].map(|()| stack(&layers(), 1));
    let (inputs, mut outputs) = (inputs(), vec![0.0; 20 * 8]);
    let initial = random_state(&found, 9);
    let valid = Window { initial: Some(&initial), ..window(&inputs) };
    found.backward(&outputs, None).unwrap_err();
    for stack in [&mut untouched, &mut found] {
        stack.forward(&valid, &mut outputs).unwrap();
    }
    let (state, masks) = (found.state(), Masks::default());
    let [mut fewer, mut narrow] = [initial.clone(), initial.clone()];
    fewer.layers.truncate(3);
    narrow.layers[5].h.pop();
    let wrong = [
        (Window { inputs: Inputs::Vectors(&inputs[1..]), ..valid }, "found 59 values, expected 60"),
        (Window { inputs: Inputs::Ids(&[0; 20]), ..valid }, "found token ids"),
        (Window { masks: Some(&masks), ..valid }, "found masks, expected none"),
        (Window { lengths: Some(&[6, 1, 1, 1]), ..valid }, "the length 6 of row 0"),
        (Window { initial: Some(&found.zero_state(5)), ..valid }, "found 5 rows and 6 layers"),
        (Window { initial: Some(&fewer), ..valid }, "4 rows and 3 layers"),
        (Window { initial: Some(&narrow), ..valid }, "h of 15 and c of 0 values"),
        (Window { output_steps: OutputSteps::Last, ..valid }, "found 160 outputs, expected 32"),
        (
            Window { dropout: Some(Dropout { probability: 1.0, seed: 1, step: 1 }), ..valid },
            "dropout = 1 is invalid",
        ),
    ];
    for (window, expected) in wrong {
        let text = found.forward(&window, &mut outputs).unwrap_err().to_string();
        assert!(text.contains(expected), "{text}, expected {expected}");
    }
    for (d_outputs, d_state) in [(&outputs[1..], None), (&outputs[..], Some(&fewer))] {
        found.backward(d_outputs, d_state).unwrap_err();
    }
    assert_eq!(found.state(), state);
    for stack in [&mut untouched, &mut found] {
        stack.backward(&outputs, Some(&initial)).unwrap();
    }
    assert_eq!(bits(found.d_inputs()), bits(untouched.d_inputs()));
    assert_eq!(found.gradient(), untouched.gradient());
    assert_eq!(found.d_initial(), untouched.d_initial());
    let text = found.backward(&outputs, None).unwrap_err().to_string();
    assert!(text.ends_with("one that went forward, and not backward yet"), "{text}");
}

#[test]
fn models_that_do_not_fit_each_other_are_an_error() {
    let model =
        |layers: &[Layer], inputs| Model::of_stack(layers, inputs, &ModelSettings::default(), 1).unwrap();
    let [three, four] = [3, 4].map(|inputs| model(&[Layer::gru(2)], inputs));
    let deep = model(&[Layer::gru(2), Layer::gru(2)], 3);
    let head = Model::of_vectors(&ModelSettings::gru(2).on_vectors(3, 7), 1).unwrap();
    let fail = |models: &[[&Model; 2]]| {
        let models = models.iter().map(|pair| pair.map(Model::clone)).collect();
        BidirectionalStack::new(models, Some(1)).unwrap_err().to_string()
    };
    for (models, expected) in [
        (&[][..], "layers = 0 is invalid: give at least one pair of models"),
        (&[[&three, &deep]], "layers = 2 is invalid: give a pair of models for each layer"),
        (&[[&three, &head]], "outputs = 7 is invalid: a direction has no head"),
        (&[[&three, &four]], "inputs = 4 is invalid: the forward direction has 3"),
        (
            &[[&three, &three], [&four, &three]],
            "inputs = 3 is invalid: layer 1 reads 4 values, those of both directions below",
        ),
    ] {
        let text = fail(models);
        assert!(text.starts_with(expected), "{text}");
    }
    let settings = ModelSettings::default();
    let of_layers = |layers: &[Layer], inputs| {
        BidirectionalStack::of_layers(layers, inputs, &settings, 1, Some(1)).unwrap_err().to_string()
    };
    assert!(of_layers(&[], 3).starts_with("layers = 0 is invalid"));
    assert!(of_layers(&[Layer::gru(2)], 0).starts_with("inputs = 0 is invalid"));
    assert!(of_layers(&vec![Layer::lstm(60_000); 9], 3).contains("of memory"));
    assert!(of_layers(&[Layer::lstm(usize::MAX / 2)], 3).contains("memory"));
}
