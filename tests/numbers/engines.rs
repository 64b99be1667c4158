//! Engines: many views of one, and models that the caller shares with what trains them.

use super::vectors::{self, ROWS, STEPS, WIDTH, values};
use super::{batch, bits, ids, label, model, models, run_of, text};
use std::sync::Arc;
use unrolled::exec::{Dynamic, Engine, Inputs, Plan, Stream, Window};
use unrolled::loss::{Loss, Objective};
use unrolled::model::Model;
use unrolled::network::Network;
use unrolled::train::{Trainer, TrainerSettings, Training};
use unrolled::{ModelSettings, Settings};

/// The outputs of a window, from a view of each kind and from a second dynamic one, which take
/// turns.
fn from_views(engine: &Engine, inputs: Inputs<'_>) -> [Vec<u32>; 4] {
    let width = engine.model().config().output_width();
    let mut outputs = [(); 4].map(|()| vec![f32::NAN; STEPS * ROWS * width]);
    let [planned, whole, pieces, streamed] = &mut outputs;
    let mut plan = Plan::of(engine, STEPS, ROWS).unwrap();
    let (mut first, mut second) = (Dynamic::of(engine), Dynamic::of(engine));
    let mut streams = [(); ROWS].map(|()| Stream::of(engine).unwrap());
    for (step, out) in pieces.chunks_mut(ROWS * width).enumerate() {
        if step == 3 {
            plan.forward(inputs, planned).unwrap();
            first.forward(inputs, ROWS, whole).unwrap();
        }
        second.forward(part(inputs, step * ROWS, ROWS), ROWS, out).unwrap();
        for (row, stream) in streams.iter_mut().enumerate() {
            let token = step * ROWS + row;
            let out = &mut streamed[token * width..][..width];
            out.copy_from_slice(stream.step(part(inputs, token, 1)).unwrap());
        }
    }
    outputs.map(|outputs| bits(&outputs))
}

/// The inputs of `count` tokens from `first` on.
fn part(inputs: Inputs<'_>, first: usize, count: usize) -> Inputs<'_> {
    match inputs {
        Inputs::Ids(ids) => (&ids[first..][..count]).into(),
        Inputs::Vectors(values) => (&values[first * WIDTH..][..count * WIDTH]).into(),
    }
}

/// Models of symbols and of vectors.
fn all_models() -> Vec<Arc<Model>> {
    let hidden =
        |settings: Settings| Settings { model: ModelSettings { hidden: 48, ..settings.model }, ..settings };
    models().into_iter().map(|settings| model(&hidden(settings), 40)).chain(vectors::models()).collect()
}

#[test]
fn views_of_one_engine_give_the_bits_of_views_of_their_own() {
    let (ids, vectors) = (ids(3, STEPS * ROWS, 40), values(3, STEPS * ROWS * WIDTH));
    for model in all_models() {
        let inputs = if model.config().reads_symbols() { Inputs::from(&ids) } else { Inputs::from(&vectors) };
        let mut expected = vec![f32::NAN; STEPS * ROWS * model.config().output_width()];
        Dynamic::new(model.clone(), Some(1)).unwrap().forward(inputs, ROWS, &mut expected).unwrap();
        let expected = bits(&expected);
        for threads in [1, 2] {
            let engine = Engine::new(model.clone(), Some(threads)).unwrap();
            assert!(Arc::ptr_eq(engine.model(), &model), "an engine shares the model");
            assert_eq!(engine.threads(), threads);
            for found in from_views(&engine, inputs) {
                assert!(found == expected, "{threads} threads, {}", vectors::label(&model));
            }
        }
    }
}

#[test]
fn views_of_one_engine_run_at_the_same_time() {
    let inputs = values(3, STEPS * ROWS * WIDTH);
    for model in vectors::models() {
        let engine = Engine::new(model, Some(2)).unwrap();
        let expected = &from_views(&engine, Inputs::from(&inputs));
        std::thread::scope(|scope| {
            let run = |engine: Engine| from_views(&engine, Inputs::from(&inputs));
            let users = [(); 4].map(|()| engine.clone()).map(|engine| scope.spawn(move || run(engine)));
            users.into_iter().for_each(|user| assert!(user.join().unwrap() == *expected));
        });
    }
}

/// The logits of a window of a model of 40 symbols.
fn logits(model: &Arc<Model>) -> Vec<u32> {
    let mut logits = vec![f32::NAN; STEPS * ROWS * 40];
    let ids = ids(3, STEPS * ROWS, 40);
    Dynamic::new(model.clone(), Some(1)).unwrap().forward(&ids, ROWS, &mut logits).unwrap();
    bits(&logits)
}

#[test]
fn the_callers_model_stays_as_it_was_while_a_network_changes_its_own() {
    for settings in models() {
        let callers = model(&settings, 40);
        let (before, expected, what) = (Model::clone(&callers), logits(&callers), label(&settings));
        let mut view = Dynamic::new(callers.clone(), Some(1)).unwrap();
        let mut network = Network::new(callers.clone(), Some(1)).unwrap();
        assert!(Arc::ptr_eq(network.model(), &callers), "{what}");
        let batch = batch(STEPS, ROWS, 40);
        let window = Window::new(STEPS, ROWS, &batch.inputs);
        let objective = Objective::new(Loss::CROSS_ENTROPY, &batch.targets);
        let first = network.differentiate(&window, &objective).unwrap();
        let (parameters, gradient) = network.parameters_and_gradient();
        parameters.iter_mut().zip(gradient).for_each(|(parameter, slope)| *parameter -= 0.5 * slope);
        let snapshot = network.model().clone();
        assert!(*callers == before && *snapshot != before, "{what}");
        let second = network.differentiate(&window, &objective).unwrap();
        assert_ne!(second, first, "the network runs its own parameters: {what}");
        // What was packed before, and what is packed now.
        let mut found = vec![f32::NAN; STEPS * ROWS * 40];
        view.forward(&batch.inputs, ROWS, &mut found).unwrap();
        assert!(bits(&found) == expected && logits(&callers) == expected, "{what}");
        // A snapshot is the caller's model too.
        let (values, moved) = (snapshot.parameters().clone(), logits(&snapshot));
        network.parameters_and_gradient().0.fill(0.0);
        assert!(*snapshot.parameters() == values && logits(&snapshot) == moved, "{what}");
        assert!(moved != expected, "{what}");
    }
}

#[test]
fn a_model_that_nobody_else_holds_is_not_copied() {
    let model = model(&run_of(&Settings::default(), 0.0), 40);
    let place = model.parameters().values.as_ptr();
    let mut network = Network::new(model, Some(1)).unwrap();
    assert_eq!(network.parameters_and_gradient().0.as_ptr(), place);
    assert_eq!(network.into_model().parameters().values.as_ptr(), place);
}

#[test]
fn the_model_of_a_run_stays_as_it_was_while_the_run_goes_on() {
    let settings = run_of(&Settings::default(), 0.0);
    let mut alone = Training::new(text(2000), settings.clone(), Some(2)).unwrap();
    let mut training = Training::new(text(2000), settings, Some(2)).unwrap();
    training.step().unwrap();
    alone.step().unwrap();
    let held = training.model().clone();
    let (values, expected) = (held.parameters().clone(), logits(&held));
    let mut stream = Stream::new(held.clone()).unwrap();
    let mut rival = stream.clone();
    for id in 0..3 {
        training.step().unwrap();
        alone.step().unwrap();
        assert_eq!(bits(stream.step(&id).unwrap()), bits(rival.step(&id).unwrap()));
    }
    assert!(*held.parameters() == values && logits(&held) == expected);
    assert_ne!(*training.model().parameters(), values);
    assert_eq!(training.model(), alone.model(), "a model that is held changes nothing about the run");
}

#[test]
fn the_model_of_a_trainer_stays_as_it_was_while_the_trainer_goes_on() {
    let settings = ModelSettings::lstm(20).on_vectors(WIDTH, 2);
    let callers = Arc::new(Model::of_vectors(&settings, 1).unwrap());
    let before = Model::clone(&callers);
    let mut trainer = Trainer::new(callers.clone(), TrainerSettings::adam(1e-2)).unwrap();
    let (inputs, targets) = (values(3, STEPS * ROWS * WIDTH), values(4, STEPS * ROWS * 2));
    let window = Window::new(STEPS, ROWS, &inputs);
    let objective = Objective::new(Loss::MeanSquared, &targets);
    let mut losses = Vec::new();
    for _ in 0..3 {
        let held = trainer.model().clone();
        let values = held.parameters().clone();
        losses.push(trainer.step(&window, &objective).unwrap().loss);
        assert!(*held.parameters() == values && *trainer.model().parameters() != values);
    }
    assert!(losses.is_sorted_by(|before, after| before > after), "{losses:?}");
    assert!(*callers == before);
}
