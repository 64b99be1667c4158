//! Runs that start from the weights of another run.

use super::bits;
use unrolled::checkpoint::Checkpoint;
use unrolled::corpus::Corpus;
use unrolled::sample::{Generator, Sampling};
use unrolled::train::{RangeTest, Training};
use unrolled::{
    Cell, DataSettings, Error, InputKind, Layer, ModelSettings, OptimizerSettings, RunSettings,
    ScheduleSettings, Settings, Unit, Unknown,
};

fn settings() -> Settings {
    Settings {
        model: ModelSettings { hidden: 12, ..ModelSettings::default() },
        data: DataSettings { val_fraction: 0.2, ..DataSettings::default() },
        run: RunSettings { batch: 3, steps: 8, max_steps: Some(9), ..RunSettings::default() },
        ..Settings::default()
    }
}

fn corpus(sentence: &str) -> Corpus {
    Corpus::from_text(sentence.repeat(40), Unit::Char).unwrap()
}

fn trained(settings: &Settings) -> Checkpoint {
    let mut training = Training::new(corpus("the cat sat on the mat. "), settings.clone(), Some(1)).unwrap();
    while !training.is_done() {
        training.step().unwrap();
    }
    training.checkpoint()
}

/// The text with the symbols of both vocabularies.
fn both(first: &Checkpoint, sentence: &str) -> Corpus {
    let text = corpus(sentence);
    let both = first.vocabulary.union(text.vocabulary()).unwrap();
    text.with_vocabulary(&both).unwrap()
}

#[test]
fn new_symbols_get_new_weights_and_known_symbols_keep_theirs() {
    for input in [InputKind::Embedding, InputKind::OneHot] {
        let first = trained(&Settings { model: ModelSettings { input, ..settings().model }, ..settings() });
        let run = Training::fine_tune(both(&first, "a big dog! "), &first, first.settings.clone(), Some(1));
        let run = run.unwrap();
        let (old, new) = (&first.vocabulary, run.vocabulary());
        assert!(new.len() > old.len());
        let places = old.places_in(new).unwrap();
        let bias =
            |parameters: &unrolled::model::Parameters, id: usize| parameters.get("head.bias").unwrap()[id];
        for (id, &place) in places.iter().enumerate() {
            assert_eq!(bias(&first.parameters, id), bias(run.model().parameters(), place));
        }
        let recurrent =
            |parameters: &unrolled::model::Parameters| bits(parameters.get("rnn.weight_hh_l0").unwrap());
        assert!(recurrent(&first.parameters) == recurrent(run.model().parameters()));
    }
}

#[test]
fn a_fine_tuned_run_resumes_to_the_same_bits() {
    let first = trained(&settings());
    let tune = Settings {
        model: ModelSettings { dropout: 0.3, ..first.settings.model.clone() },
        run: RunSettings { batch: 2, seed: 5, ..first.settings.run.clone() },
        ..first.settings.clone()
    };
    let begin = |threads| {
        Training::fine_tune(both(&first, "a big dog! "), &first, tune.clone(), Some(threads)).unwrap()
    };
    let mut whole = begin(1);
    (0..9).for_each(|_| _ = whole.step().unwrap());
    let mut half = begin(2);
    (0..4).for_each(|_| _ = half.step().unwrap());
    // The text has fewer symbols than the run. The checkpoint's vocabulary is used.
    let mut half = Training::resume(corpus("a big dog! "), half.checkpoint(), tune.clone(), Some(1)).unwrap();
    (0..5).for_each(|_| _ = half.step().unwrap());
    assert!(half.is_done() && whole.is_done());
    assert_eq!(half.vocabulary(), whole.vocabulary());
    let [half, whole] = [half, whole].map(|run| bits(&run.checkpoint().parameters.values));
    assert!(half == whole);
}

#[test]
fn a_new_run_may_change_training_settings_but_not_the_model() {
    let first = trained(&settings());
    let start = |settings: Settings| {
        Training::fine_tune(both(&first, "the mat "), &first, settings, Some(1)).map(drop)
    };
    let base = settings();
    start(Settings {
        model: ModelSettings { dropout: 0.5, ..base.model.clone() },
        optimizer: OptimizerSettings { clip: 0.0, ..base.optimizer.clone() },
        schedule: ScheduleSettings { learning_rate: 1.0, ..base.schedule.clone() },
        run: RunSettings { batch: 1, steps: 3, ..base.run.clone() },
        ..base.clone()
    })
    .unwrap();
    start(Settings {
        model: ModelSettings { init_scale: Some(0.3), forget_bias: 2.0, ..base.model.clone() },
        ..base.clone()
    })
    .unwrap();
    start(Settings {
        model: ModelSettings {
            stack: vec![Layer { output_keep_prob: 0.5, ..Layer::lstm(12) }],
            ..base.model.clone()
        },
        ..base.clone()
    })
    .unwrap();
    let reason = |settings| start(settings).unwrap_err();
    for (change, expected) in [
        (
            Settings { model: ModelSettings { hidden: 13, ..base.model.clone() }, ..base.clone() },
            "layer 0: hidden is 13, but the initial weights have 12;",
        ),
        (
            Settings { model: ModelSettings { layers: 2, ..base.model.clone() }, ..base.clone() },
            "layers is 2, but the initial weights have 1;",
        ),
        (
            Settings { model: ModelSettings { cell: Cell::Gru, ..base.model.clone() }, ..base.clone() },
            "layer 0: cell is gru",
        ),
        (
            Settings { model: ModelSettings { embedding: Some(5), ..base.model.clone() }, ..base.clone() },
            "embedding is 5",
        ),
    ] {
        let error = reason(change);
        assert!(matches!(error, Error::OtherModel { .. }), "{error}");
        assert!(error.to_string().starts_with(expected), "{error}");
    }
    let error = reason(Settings { data: DataSettings { unit: Unit::Byte, ..base.data }, ..base }).to_string();
    assert!(error.starts_with("unit = byte is invalid"), "{error}");
}

#[test]
fn a_text_without_the_checkpoints_symbols_is_an_error() {
    let first = trained(&settings());
    let reason = Training::fine_tune(corpus("other"), &first, settings(), Some(1)).unwrap_err().to_string();
    assert!(reason.contains("it lacks the symbol"), "{reason}");
}

#[test]
fn the_unit_of_the_settings_must_be_that_of_the_text() {
    let reason = Training::new(Corpus::from_text("abc".repeat(99), Unit::Byte).unwrap(), settings(), Some(1));
    let reason = reason.unwrap_err().to_string();
    assert!(
        reason.starts_with("unit = char is invalid: the vocabulary of the text has the unit byte"),
        "{reason}"
    );
}

#[test]
fn a_range_test_starts_from_the_weights_too() {
    let first = trained(&settings());
    let test = RangeTest { from: 1e-6, to: 1e-5, trials: 10 };
    let run = |from| test.run_from(from, both(&first, "the mat "), &settings(), Some(1)).unwrap()[0].loss;
    assert!(run(Some(&first)) < run(None));
}

#[test]
fn unknown_symbols_of_a_prompt_are_skipped() {
    let first = trained(&settings());
    let model = first.model().unwrap();
    let write = |text: &str, unknown| {
        let mut generator = Generator::new(model.clone(), &first.vocabulary, Sampling::default(), 0).unwrap();
        generator.prompt_as(text, unknown).map(|()| (0..9).map(|_| generator.next_id()).collect::<Vec<_>>())
    };
    let plain = |text| write(text, Unknown::Error).unwrap();
    assert_eq!(write("the \u{20ac}cat", Unknown::Skip).unwrap(), plain("the cat"));
    assert_eq!(write("the\u{20ac}cat", Unknown::Replace).unwrap(), plain("the cat"));
    assert!(matches!(write("\u{20ac}", Unknown::Error), Err(Error::UnknownSymbol { .. })));
}
