//! The precision of engines, networks, trainers and runs, and runs that change it.

use super::{bits, ids, label, model, models, text};
use unrolled::checkpoint::Checkpoint;
use unrolled::exec::{Dynamic, Engine, Plan, Stream, Window};
use unrolled::loss::{Loss, Objective};
use unrolled::model::Model;
use unrolled::network::{Bidirectional, Highway, Merge, Network};
use unrolled::train::{EvaluationOptions, Trainer, TrainerSettings, Training, evaluate_on};
use unrolled::{Layer, ModelSettings, Precision, RunSettings, Settings};

const BF16: Precision = Precision::Bf16;

fn settings(precision: Precision) -> Settings {
    let run = RunSettings { batch: 3, steps: 8, max_steps: Some(9), precision, ..RunSettings::default() };
    let run = RunSettings { epochs: 100.0, eval_every: Some(3), ..run };
    Settings { model: ModelSettings::lstm(12), run, ..Settings::default() }
}

#[test]
fn views_of_an_engine_have_its_precision_and_its_bits() {
    let ids = ids(3, 12, 40);
    for settings in models() {
        let model = model(&settings, 40);
        let mut all = Vec::new();
        for threads in [1, 2] {
            let engine = Engine::with_precision(model.clone(), BF16, Some(threads)).unwrap();
            assert_eq!((engine.precision(), engine.with_threads(Some(1)).unwrap().precision()), (BF16, BF16));
            let [mut planned, mut looped] = [(); 2].map(|()| vec![f32::NAN; 12 * 40]);
            Plan::of(&engine, 6, 2).unwrap().forward(&ids, &mut planned).unwrap();
            Dynamic::of(&engine).forward(&ids, 2, &mut looped).unwrap();
            let mut stream = Stream::of_rows(&engine, 2).unwrap();
            let streamed: Vec<f32> =
                ids.chunks(2).flat_map(|ids| stream.step(ids).unwrap().to_vec()).collect();
            all.extend([planned, looped, streamed].map(|outputs| bits(&outputs)));
        }
        assert!(all.iter().all(|outputs| *outputs == all[0]), "{}", label(&settings));
    }
}

/// The places behind the last unit of a state are multiplied too, by zeros.
#[test]
fn a_new_state_leaves_nothing_of_a_state_that_is_not_finite() {
    let reset = Layer::gru_before(9);
    for layer in
        [Layer::lstm(9), Layer::gru(21), reset, Layer::rnn(5), Layer { peepholes: true, ..Layer::lstm(9) }]
    {
        for precision in [Precision::F32, BF16] {
            let model = Model::of_layers(&[layer.clone(), layer.clone()], 3, None, 1).unwrap();
            let engine = Engine::with_precision(model, precision, Some(1)).unwrap();
            let (mut plan, mut stream) =
                (Plan::of(&engine, 3, 2).unwrap(), Stream::of_rows(&engine, 2).unwrap());
            let (zero, mut outputs) = (plan.state(), vec![0.0; 6 * layer.hidden]);
            let mut run = |value: f32| {
                let window = [[value; 6], [0.5, -1.0, 2.0, 0.25, value, -0.5], [value; 6]].concat();
                plan.forward(&window, &mut outputs).unwrap();
                let streamed =
                    window.chunks(6).map(|inputs| bits(stream.step(inputs).unwrap())).collect::<Vec<_>>();
                plan.set_state(&zero).unwrap();
                stream.set_state(&zero).unwrap();
                (bits(&outputs), streamed.concat())
            };
            let expected = run(0.75);
            for value in [f32::NAN, f32::INFINITY] {
                run(value);
                assert!(run(0.75) == expected, "{layer:?} in {precision:?} after {value}");
            }
        }
    }
}

/// Returns outputs and gradients of a window, all of whose inputs and gradients are scaled.
fn passes(network: &mut Network, scale: f32) -> Vec<u32> {
    let width = network.model().config().output_width();
    let values =
        |count: usize| -> Vec<f32> { (0..count).map(|i| scale * ((i * 7 % 11) as f32 - 5.0)).collect() };
    let (inputs, mut outputs) = (values(5 * 3 * 4), vec![0.0; 5 * 3 * width]);
    let window = Window { lengths: Some(&[5, 2, 4]), ..Window::new(5, 3, &inputs) };
    network.forward(&window, &mut outputs).unwrap();
    network.backward(&values(outputs.len()), None).unwrap();
    [bits(&outputs), bits(&network.gradient().values), bits(network.d_inputs())].concat()
}

#[test]
fn a_window_leaves_nothing_of_a_window_that_is_not_finite() {
    let projected = Layer { projection: Some(5), peepholes: true, ..Layer::lstm(9) };
    for stack in [
        vec![Layer::lstm(9), Layer::gru(21), Layer::gru_before(13), Layer::rnn(5)],
        vec![projected, Layer { layer_norm: true, ..Layer::lstm(21) }, Layer::lstm(9)],
        vec![Layer::gru(12), Layer { residual: true, ..Layer::gru(12) }, Layer::rnn(12)],
        vec![
            Layer { bidirectional: true, ..Layer::lstm(9) },
            Layer { highway: Highway::Coupled, ..Layer::gru(18) },
        ],
    ] {
        for (precision, threads) in [(Precision::F32, 1), (BF16, 1), (BF16, 2)] {
            let model = Model::of_layers(&stack, 4, Some(6), 1).unwrap();
            let mut network = Network::with_precision(model, precision, Some(threads)).unwrap();
            let expected = passes(&mut network, 0.1);
            for value in [f32::NAN, f32::INFINITY] {
                passes(&mut network, value);
                assert!(passes(&mut network, 0.1) == expected, "{stack:?} in {precision:?} after {value}");
            }
        }
    }
}

#[test]
fn networks_have_a_precision() {
    let model = Model::new(&ModelSettings::gru(9), 7, 1).unwrap();
    assert_eq!(Network::new(model.clone(), Some(1)).unwrap().precision(), Precision::F32);
    let planned = Network::planned_with_precision(model.clone(), BF16, [4, 2], Some(2)).unwrap();
    let networks = [Network::with_precision(model, BF16, Some(1)).unwrap(), planned];
    let (inputs, targets) = (ids(5, 8, 7), ids(6, 8, 7));
    let gradients = networks.map(|mut network| {
        assert_eq!(network.precision(), BF16);
        let objective = Objective::new(Loss::CROSS_ENTROPY, &targets);
        let loss = network.differentiate(&Window::new(4, 2, &inputs), &objective).unwrap();
        (loss.to_bits(), bits(&network.gradient().values))
    });
    assert!(gradients[0] == gradients[1]);
    let direction = || Model::of_layers(&[Layer::lstm(5)], 3, None, 1).unwrap();
    let pair = [direction(), direction()];
    let pair = Bidirectional::with_precision(pair, Merge::Concatenate, BF16, Some(1)).unwrap();
    assert!(pair.directions().iter().all(|network| network.precision() == BF16));
    let no_rows = Network::planned_with_precision(direction(), BF16, [4, 0], Some(1)).unwrap_err();
    assert!(no_rows.to_string().contains("a plan of 4 steps by 0 rows"), "{no_rows}");
}

#[test]
fn the_checkpoint_of_a_trainer_records_its_precision() {
    let model = Model::new(&ModelSettings::gru(9), 7, 1).unwrap();
    let settings = TrainerSettings { precision: BF16, threads: Some(1), ..TrainerSettings::adam(1e-2) };
    let (inputs, targets) = (ids(5, 8, 7), ids(6, 8, 7));
    let step = |trainer: &mut Trainer| {
        let objective = Objective::new(Loss::CROSS_ENTROPY, &targets);
        trainer.step(&Window::new(4, 2, &inputs), &objective).unwrap();
    };
    let mut trainer = Trainer::new(model, settings.clone()).unwrap();
    step(&mut trainer);
    let stored = trainer.checkpoint().unwrap();
    assert_eq!(stored.settings.run.precision, BF16);
    let mut resumed = Trainer::resume(&stored, settings.clone()).unwrap();
    [&mut trainer, &mut resumed].into_iter().for_each(step);
    assert_eq!(
        bits(&trainer.model().parameters().values),
        bits(&resumed.model().parameters().values),
        "the bits of the uninterrupted trainer"
    );
    let in_f32 = TrainerSettings { precision: Precision::F32, ..settings };
    let mut continued = Trainer::resume(&stored, in_f32).unwrap();
    step(&mut continued);
    assert_eq!(continued.checkpoint().unwrap().settings.run.precision, Precision::F32);
}

#[test]
fn a_run_evaluates_in_its_precision() {
    let mut training = Training::new(text(156), settings(BF16), Some(2)).unwrap();
    (0..3).for_each(|_| _ = training.step().unwrap());
    let own = training.evaluate().unwrap().unwrap();
    let options = EvaluationOptions { range: training.evaluated(), streams: 16, top_k: None };
    let engine = Engine::with_precision(training.model().clone(), BF16, Some(1)).unwrap();
    let loss = evaluate_on(&engine, training.corpus(), options).unwrap().loss;
    assert!((own.loss - loss).abs() < 1e-9, "{} and {loss}", own.loss);
}

/// Trains `steps` further steps of a checkpoint with another precision, and stores it again.
fn moved(stored: Checkpoint, precision: Precision, steps: u64) -> Checkpoint {
    let run = RunSettings { precision, ..stored.settings.run.clone() };
    let settings = Settings { run, ..stored.settings.clone() };
    let mut training = Training::extend(text(156), stored, settings, Some(1)).unwrap();
    (0..steps).for_each(|_| _ = training.step().unwrap());
    let bytes = training.checkpoint().to_bytes().unwrap();
    Checkpoint::from_bytes(&bytes, std::path::Path::new("stored")).unwrap()
}

#[test]
fn a_checkpoint_moves_between_precisions_and_records_it() {
    let mut training = Training::new(text(156), settings(Precision::F32), Some(1)).unwrap();
    (0..3).for_each(|_| _ = training.step().unwrap());
    let stored = training.checkpoint();
    let parameters = bits(&stored.parameters.values);
    let stored = moved(stored, BF16, 0);
    assert_eq!(bits(&stored.parameters.values), parameters, "a change of the precision rounds nothing");
    let stored = moved(moved(stored, BF16, 3), Precision::F32, 3);
    assert_eq!((stored.progress.step, stored.settings.run.precision), (9, Precision::F32));
    let changes = stored.progress.changes.iter();
    let texts: Vec<_> = changes.map(|c| format!("{} {} {} {}", c.step, c.key, c.from, c.to)).collect();
    assert_eq!(texts, ["3 precision the default bf16", "6 precision bf16 the default"]);
}

#[test]
fn only_an_extended_run_changes_its_precision() {
    let stored = Training::new(text(156), settings(BF16), Some(1)).unwrap().checkpoint();
    let error = Training::resume(text(156), stored, settings(Precision::F32), Some(1)).unwrap_err();
    let expected = "precision is the default, and the run has bf16; only an extended run may change it";
    assert!(error.to_string().contains(expected), "{error}");
}
