//! Quantized models: products of 8-bit integers.

use super::{bits, ids, label, model, models, text};
use std::path::Path;
use unrolled::checkpoint::Checkpoint;
use unrolled::exec::{Dynamic, Engine, Plan, Stream, Window};
use unrolled::model::{CellStep, CellStepBackward, CustomCell, Model, RnnCell, Variable};
use unrolled::network::Network;
use unrolled::train::{EvaluationOptions, Trainer, TrainerSettings, Training, evaluate_on};
use unrolled::{Highway, Layer, ModelSettings, Precision, Reset, RunSettings, Settings};

const INT8: Precision = Precision::Int8;

/// Stacks of vectors with all options that have products.
fn stacks() -> Vec<Vec<Layer>> {
    let both = |layer: Layer| Layer { bidirectional: true, ..layer };
    let options = Layer { peepholes: true, projection: Some(20), cell_clip: Some(2.0), ..Layer::lstm(33) };
    let highway = Layer { highway: Highway::Separate, ..Layer::rnn(20) };
    vec![
        vec![both(Layer::lstm(33)), both(Layer::gru(20)), Layer::rnn(17)],
        vec![options, highway, Layer { layer_norm: true, ..Layer::lstm(18) }],
        vec![
            both(Layer { reset: Reset::Before, ..Layer::gru(40) }),
            Layer { residual: true, ..Layer::gru(80) },
        ],
    ]
}

#[test]
fn views_of_a_quantized_model_have_equal_bits() {
    let ids = ids(3, 12, 40);
    for settings in models() {
        let model = model(&settings, 40);
        let mut all = Vec::new();
        for threads in [1, 2, 5] {
            let quantized = Engine::new(model.quantize().unwrap(), Some(threads)).unwrap();
            let engine = Engine::with_precision(model.clone(), INT8, Some(threads)).unwrap();
            assert_eq!((quantized.precision(), engine.precision()), (INT8, INT8));
            assert!(engine.model().is_quantized());
            for engine in [quantized, engine] {
                let [mut planned, mut looped] = [(); 2].map(|()| vec![f32::NAN; 12 * 40]);
                Plan::of(&engine, 6, 2).unwrap().forward(&ids, &mut planned).unwrap();
                Dynamic::of(&engine).forward(&ids, 2, &mut looped).unwrap();
                let mut stream = Stream::of_rows(&engine, 2).unwrap();
                let streamed: Vec<f32> =
                    ids.chunks(2).flat_map(|ids| stream.step(ids).unwrap().to_vec()).collect();
                all.extend([planned, looped, streamed].map(|outputs| bits(&outputs)));
            }
        }
        assert!(all.iter().all(|outputs| *outputs == all[0]), "{}", label(&settings));
    }
}

/// Rows of different lengths and sizes, with every option, for every number of threads.
#[test]
fn a_row_has_the_bits_of_a_window_of_its_own() {
    const LENGTHS: [usize; 4] = [2, 7, 1, 5];
    let value = |i: usize| ((i * 37 % 101) as f32 - 50.0) * [0.01, 1.0, 30.0, 0.0][i / 20 % 4];
    let x: Vec<f32> = (0..7 * 4 * 20).map(value).collect();
    let wide = vec![Layer { reset: Reset::Before, ..Layer::gru(200) }, Layer::lstm(190), Layer::rnn(170)];
    for (number, layers) in stacks().into_iter().chain([wide]).enumerate() {
        let model = Model::of_layers(&layers, 20, 5, 1).unwrap();
        let engines =
            [1, 2, 5].map(|threads| Engine::with_precision(model.clone(), INT8, Some(threads)).unwrap());
        let alone = LENGTHS.iter().enumerate().map(|(row, steps)| {
            let x: Vec<f32> = (0..*steps).flat_map(|t| x[(t * 4 + row) * 20..][..20].to_vec()).collect();
            let mut outputs = vec![f32::NAN; steps * 5];
            Plan::of(&engines[0], *steps, 1).unwrap().forward(&x, &mut outputs).unwrap();
            bits(&outputs)
        });
        let alone: Vec<Vec<u32>> = alone.collect();
        for engine in &engines {
            let mut outputs = vec![f32::NAN; 7 * 4 * 5];
            let window = Window { lengths: Some(&LENGTHS), ..Window::new(7, 4, &x) };
            Dynamic::of(engine).forward_window(&window, &mut outputs).unwrap();
            for (row, steps) in LENGTHS.iter().enumerate() {
                let found: Vec<u32> =
                    (0..*steps).flat_map(|t| bits(&outputs[(t * 4 + row) * 5..][..5])).collect();
                assert_eq!(found, alone[row], "stack {number}, row {row}, {} threads", engine.threads());
            }
        }
    }
}

#[test]
fn outputs_are_near_those_of_the_same_weights_in_f32() {
    let x: Vec<f32> = (0..7 * 3 * 20).map(|i| ((i * 37 % 101) as f32 - 50.0) / 50.0).collect();
    for (number, layers) in stacks().iter().enumerate() {
        let model = Model::of_layers(layers, 20, 5, 1).unwrap().quantize().unwrap();
        let outputs = [Precision::F32, INT8].map(|precision| {
            let engine = Engine::with_precision(model.clone(), precision, Some(2)).unwrap();
            let mut outputs = vec![f32::NAN; 7 * 3 * 5];
            Dynamic::of(&engine).forward(&x, 3, &mut outputs).unwrap();
            outputs
        });
        let differences = outputs[0].iter().zip(&outputs[1]).map(|(exact, found)| (exact - found).abs());
        let largest = differences.fold(0.0, f32::max);
        assert!((1e-7..0.02).contains(&largest), "stack {number}: {largest}");
    }
}

#[test]
fn a_file_runs_as_the_model_that_it_was_made_from() {
    let run =
        RunSettings { batch: 4, steps: 8, max_steps: Some(60), epochs: 100.0, ..RunSettings::default() };
    let settings = Settings { model: ModelSettings::lstm(24), run, ..Settings::default() };
    let mut training = Training::new(text(400), settings, Some(1)).unwrap();
    (0..60).for_each(|_| _ = training.step().unwrap());
    let bytes = training.checkpoint().quantize().unwrap().to_bytes().unwrap();
    let loaded = Checkpoint::from_bytes(&bytes, Path::new("small.safetensors")).unwrap();
    assert_eq!((loaded.precision(), loaded.dequantized().precision()), (INT8, Precision::F32));
    let loaded = Checkpoint::from_bytes(&bytes, Path::new("small.safetensors")).unwrap().model().unwrap();
    let loss = |engine: &Engine| {
        let options = EvaluationOptions { range: training.evaluated(), streams: 4, top_k: None };
        evaluate_on(engine, training.corpus(), options).unwrap().loss
    };
    let found = loss(&Engine::new(loaded, Some(1)).unwrap());
    let trained = training.model().clone();
    assert_eq!(found, loss(&Engine::with_precision(trained.clone(), INT8, Some(2)).unwrap()));
    let exact = loss(&Engine::new(trained, Some(1)).unwrap());
    assert!((found - exact).abs() < 0.01, "{found} and {exact}");
}

/// A cell whose state is its input. Its variable has the name of a matrix, but is a vector.
#[derive(Debug)]
struct Echo;

impl RnnCell for Echo {
    fn state_size(&self) -> Vec<usize> {
        vec![4]
    }
    fn output_size(&self) -> usize {
        4
    }
    fn variables(&self, _inputs: usize) -> Vec<Variable> {
        vec![Variable::weight("weight_hr", &[3])]
    }
    fn step(&self, _variables: &[&[f32]], step: CellStep<'_>) {
        step.next_state.copy_from_slice(step.inputs);
        step.outputs.copy_from_slice(step.inputs);
    }
    fn step_backward(&self, _variables: &[&[f32]], _step: CellStepBackward<'_>) {}
}

#[test]
fn int8_is_for_inference_without_custom_cells() {
    let model = Model::new(&ModelSettings::gru(9), 7, 1).unwrap();
    let refused = "precision = int8 is invalid: int8 is for inference only: train in f32 or bf16";
    let error = Network::with_precision(model, INT8, Some(1)).unwrap_err().to_string();
    assert!(error.starts_with(refused), "{error}");
    let run = RunSettings { precision: INT8, ..RunSettings::default() };
    let error = Settings { run, ..Settings::default() }.validate().unwrap_err().to_string();
    assert!(error.starts_with(refused), "{error}");
    let echo = Layer::custom(CustomCell::new("echo", Echo));
    let model = Model::of_layers(&[echo, Layer::gru(3)], 4, 2, 1).unwrap();
    let expected = "custom = echo is invalid: a custom cell cannot be quantized; use a model of rnn, lstm and gru layers";
    assert_eq!(model.quantize().unwrap_err().to_string(), expected);
    assert_eq!(Engine::with_precision(model.clone(), INT8, Some(1)).unwrap_err().to_string(), expected);
    let checkpoint = Trainer::new(model, TrainerSettings::adam(0.1)).unwrap().checkpoint().unwrap();
    let marked = Checkpoint { quantized: true, ..checkpoint.without_training_state() };
    assert_eq!(marked.to_bytes().unwrap_err().to_string(), expected);
}

#[test]
fn a_product_with_too_many_terms_is_an_error() {
    let model = Model::of_layers(&[Layer::rnn(1)], 130_001, 1, 1).unwrap();
    let error = Engine::with_precision(model, INT8, Some(1)).unwrap_err().to_string();
    assert_eq!(
        error,
        "number of terms of a product = 130001 is invalid: in int8 at most 130000; use f32 or bf16"
    );
    let model = Model::of_layers(&[Layer::rnn(1)], 130_000, 1, 1).unwrap();
    let engine = Engine::with_precision(model, INT8, Some(1)).unwrap();
    let mut stream = Stream::of(&engine).unwrap();
    assert!(stream.step(&vec![1.0; 130_000]).unwrap()[0].is_finite());
}

#[test]
fn values_that_are_not_finite_stay_visible() {
    for layers in stacks() {
        let model = Model::of_layers(&layers, 20, 5, 1).unwrap();
        let engine = Engine::with_precision(model, INT8, Some(1)).unwrap();
        for value in [f32::NAN, f32::INFINITY] {
            let mut x = vec![0.5; 2 * 2 * 20];
            x[20 + 7] = value;
            let mut outputs = vec![0.0; 2 * 2 * 5];
            Dynamic::of(&engine).forward(&x, 2, &mut outputs).unwrap();
            let is_nan: Vec<bool> = outputs.chunks(5).map(|row| row.iter().all(|sum| sum.is_nan())).collect();
            assert_eq!(is_nan, [false, true, false, true], "{outputs:?}");
        }
    }
}
