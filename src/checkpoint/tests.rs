//! Round trips and invalid files.

mod damage;
mod quantized;

use super::{
    Checkpoint, Import, TensorFile,
    format::{CHECKSUM_PLACE, NO_CHECKSUM},
};
use crate::{
    Cell, InputKind, Layer, ModelSettings, Result, RunSettings, ScheduleSettings, Settings,
    corpus::Vocabulary,
    exec::{LayerState, State},
    model::{Model, ModelConfig, Parameters},
    progress::{Progress, Record},
    train::{Trainer, TrainerSettings},
};
use proptest::prelude::*;
use safetensors::SafeTensors;
use std::{fs, path::Path};

/// A run with a few different numbers.
fn checkpoint(settings: Settings, moments: &[&str]) -> Checkpoint {
    let vocabulary = Vocabulary::from_json(r#"["\n","a","\u00e9"]"#).unwrap();
    let config = ModelConfig::new(&settings.model, vocabulary.len()).unwrap();
    let mut next = 0.0;
    let mut number = || {
        next += 0.1f32;
        next
    };
    let mut buffer = || {
        let mut parameters = Parameters::zeros(config.layout());
        for entry in parameters.layout.entries() {
            parameters.values[entry.range.clone()].fill_with(&mut number);
        }
        parameters
    };
    let parameters = buffer();
    let moments = moments.iter().map(|name| (name.to_string(), buffer().values)).collect();
    let width = settings.run.batch * settings.model.hidden;
    let c = width * config.state_size(0)[1].min(1);
    let layer = || LayerState { h: vec![0.3; width], c: vec![0.7; c] };
    let layers = (0..settings.model.layers).map(|_| layer()).collect();
    let state = Some(State { layers, rows: settings.run.batch });
    Checkpoint { settings, vocabulary, parameters, moments, state, progress: progress(), quantized: false }
}

fn progress() -> Progress {
    let record = Record {
        step: 100,
        chars: 6400,
        seconds: 0.1 + 0.2,
        train_loss: 1.0 / 3.0,
        val_loss: None,
        val_accuracy: Some(0.1),
        learning_rate: 4e-3,
        chars_per_second: 12345.678,
    };
    Progress { step: 120, loss_sum: 0.1 + 0.7, history: vec![record], ..Progress::default() }
}

fn small() -> Checkpoint {
    let settings = Settings {
        model: ModelSettings { cell: Cell::Rnn, hidden: 2, embedding: Some(1), ..ModelSettings::default() },
        run: RunSettings { batch: 1, ..RunSettings::default() },
        ..Settings::default()
    };
    checkpoint(settings, &["m"])
}

fn load(bytes: &[u8]) -> Result<Checkpoint> {
    Checkpoint::from_bytes(bytes, Path::new("run/checkpoint.safetensors"))
}

/// Returns the error message, which must be one line and name the file.
fn refused(bytes: &[u8]) -> String {
    let text = load(bytes).expect_err("the bytes are bad").to_string();
    assert!(text.contains("run/checkpoint.safetensors") && !text.contains('\n'), "{text}");
    text
}

/// Changes a file's JSON header and corrects its checksum, as a bug or an attacker could.
fn forged(change: impl FnOnce(&mut String)) -> Vec<u8> {
    let bytes = small().to_bytes().unwrap();
    let (length, rest) = bytes.split_at(8);
    let (header, tensors) = rest.split_at(u64::from_le_bytes(length.try_into().unwrap()) as usize);
    let mut header = String::from_utf8(header.to_vec()).unwrap();
    change(&mut header);
    signed([&(header.len() as u64).to_le_bytes(), header.as_bytes(), tensors].concat())
}

fn signed(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes[CHECKSUM_PLACE].copy_from_slice(NO_CHECKSUM.as_bytes());
    let checksum = format!("{:08x}", crc32fast::hash(&bytes));
    bytes[CHECKSUM_PLACE].copy_from_slice(checksum.as_bytes());
    bytes
}

fn replaced(from: &str, to: &str) -> String {
    refused(&forged(|header| {
        assert!(header.contains(from), "{header}");
        *header = header.replacen(from, to, 1);
    }))
}

proptest! {
    #[test]
    fn a_saved_checkpoint_loads_as_equal(
        cell in prop::sample::select(vec![Cell::Rnn, Cell::Gru, Cell::Lstm]),
        one_hot: bool,
        hidden in 1usize..20,
        layers in 1usize..4,
        batch in 1usize..4,
        seed: u64,
        dropout in 0f32..1.0,
        learning_rate in 1e-9f64..1.0,
        moments in prop::sample::subsequence(vec!["v", "m", "accumulator"], 0..=3).prop_shuffle(),
        stateless: bool,
    ) {
        let input = if one_hot { InputKind::OneHot } else { InputKind::Embedding };
        let settings =
            Settings { model: ModelSettings { cell, input, hidden, layers, dropout, ..ModelSettings::default() }, schedule: ScheduleSettings { learning_rate, ..ScheduleSettings::default() }, run: RunSettings { batch, seed, ..RunSettings::default() }, ..Settings::default() };
        let mut saved = checkpoint(settings, &moments);
        if stateless {
            saved.state = None;
        }
        let bytes = saved.to_bytes().unwrap();
        let loaded = load(&bytes).unwrap();
        prop_assert_eq!(&loaded, &saved);
        prop_assert_eq!(loaded.to_bytes().unwrap(), bytes);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(load(&bytes).is_err());
    }
}

#[test]
fn a_checkpoint_is_replaced_by_an_equal_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint.safetensors");
    let saved = small();
    saved.save(&path).unwrap();
    saved.save(&path).unwrap();
    assert_eq!(fs::read(&path).unwrap(), saved.to_bytes().unwrap(), "the same content, the same bytes");
    assert_eq!(Checkpoint::load(&path).unwrap(), saved);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    assert_eq!(saved.model().unwrap().parameters(), &saved.parameters);
}

#[test]
fn the_tensors_have_the_documented_names_and_order() {
    let bytes = small().to_bytes().unwrap();
    let (_, metadata) = SafeTensors::read_metadata(&bytes).unwrap();
    let names = metadata.offset_keys();
    assert_eq!(names[0], "embedding.weight");
    assert_eq!(names[1], "rnn.weight_ih_l0");
    assert_eq!(names[7], "optimizer.m.embedding.weight");
    assert_eq!(names.last().unwrap(), "state.h_l0");
    let strings = metadata.metadata().as_ref().unwrap();
    let mut keys: Vec<_> = strings.keys().map(String::as_str).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["checksum", "checksums", "config", "format", "progress", "version", "vocabulary"]);
    assert_eq!(strings["vocabulary"], "[\"\\n\",\"a\",\"\u{e9}\"]");
}

#[test]
fn a_missing_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("missing.safetensors");
    let text = Checkpoint::load(&path).unwrap_err().to_string();
    assert!(text.starts_with(&format!("cannot read {}: ", path.display())), "{text}");
}

#[test]
fn another_version_is_an_error() {
    let text = replaced(r#""version":"1""#, r#""version":"2""#);
    assert_eq!(
        text,
        "run/checkpoint.safetensors has checkpoint version 2, expected 1; read it with the version of unrolled that \
         wrote it"
    );
    assert!(replaced(r#""version":"1","#, "").contains("has checkpoint version none, expected 1"));
}

#[test]
fn invalid_metadata_is_named() {
    let unknown = replaced(r#"\"hidden\":2"#, r#"\"hiden\\n\":2"#);
    assert!(
        unknown.contains("run/checkpoint.safetensors: its config is invalid: unknown field"),
        "{unknown}"
    );
    let zero = replaced(r#"\"hidden\":2"#, r#"\"hidden\":0"#);
    assert!(zero.contains("its config is invalid: hidden = 0 is invalid"), "{zero}");
    let huge = replaced(r#"\"hidden\":2"#, r#"\"hidden\":4611686018427387904"#);
    assert!(huge.contains("memory"), "{huge}");
    let missing = replaced(r#""vocabulary":"#, r#""words":"#);
    assert!(
        missing.contains("run/checkpoint.safetensors: its vocabulary is invalid: it is missing"),
        "{missing}"
    );
    assert!(replaced(r#"[\"\\n\""#, r#"[[\"\\n\""#).contains("its vocabulary is invalid: "));
    assert!(replaced(r#"\"step\":120"#, r#"\"step\":-1"#).contains("its progress is invalid: "));
}

#[test]
fn a_wrong_shape_is_named_with_both_shapes() {
    assert_eq!(
        replaced(r#"\"hidden\":2"#, r#"\"hidden\":3"#),
        "run/checkpoint.safetensors does not match its own configuration: tensor rnn.weight_ih_l0: found F32 [2, 1], \
         expected F32 [3, 1]; use another copy, or write it again"
    );
    let transposed = replaced(r#""shape":[2,1]"#, r#""shape":[1,2]"#);
    assert!(
        transposed.contains("tensor rnn.weight_ih_l0: found F32 [1, 2], expected F32 [2, 1]"),
        "{transposed}"
    );
    let integer = replaced(r#"{"dtype":"F32","shape":[2,1]"#, r#"{"dtype":"I32","shape":[2,1]"#);
    assert!(integer.contains("found I32 [2, 1], expected F32 [2, 1]"), "{integer}");
    let batch = replaced(r#"\"batch\":1"#, r#"\"batch\":9"#);
    assert!(batch.contains("tensor state.h_l0: found F32 [1, 2], expected F32 [9, 2]"), "{batch}");
}

#[test]
fn missing_and_surplus_tensors_are_named() {
    let renamed = replaced(r#""head.bias""#, r#""head.bias2""#);
    assert!(renamed.contains("tensor head.bias: found nothing, expected F32 [3]"), "{renamed}");
    let moment = replaced(r#""optimizer.m.head.bias""#, r#""optimizer.m2.head.bias""#);
    assert!(moment.contains("tensor optimizer.m.head.bias: found nothing"), "{moment}");
    let surplus = replaced(r#""state.h_l0""#, r#""state.h_l1""#);
    assert!(surplus.contains("tensor state.h_l1: found a tensor, expected none of that name"), "{surplus}");
    let layers = replaced(r#"\"layers\":1"#, r#"\"layers\":1000"#);
    assert!(layers.contains("tensor rnn.weight_ih_l1: found nothing"), "{layers}");
}

#[test]
fn a_non_finite_value_is_an_error() {
    let mut bytes = small().to_bytes().unwrap();
    // The last tensor is the state.
    let last = bytes.len() - 4;
    bytes[last..].copy_from_slice(&f32::NEG_INFINITY.to_le_bytes());
    let text = refused(&signed(bytes));
    assert!(text.contains("tensor state.h_l0: found -inf, expected finite numbers"), "{text}");
}

#[test]
fn a_checkpoint_that_could_not_be_loaded_is_not_saved() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("checkpoint.safetensors");
    let unfit = |change: fn(&mut Checkpoint), expected: &str| {
        let mut checkpoint = small();
        change(&mut checkpoint);
        let text = checkpoint.save(&path).unwrap_err().to_string();
        assert!(text.contains(expected), "{text}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    };
    unfit(|c| c.settings.schedule.learning_rate = f64::NAN, "learning-rate = NaN is invalid");
    unfit(
        |c| c.settings.model.hidden = 3,
        "tensor rnn.weight_ih_l0: found shape [2, 1], expected shape [3, 1]",
    );
    unfit(|c| c.moments[0].1.truncate(5), "moment m has length 5, expected 112");
    unfit(
        |c| c.moments[0].0 = "a.b".to_owned(),
        "the moment name \"a.b\" is empty, contains a dot or is repeated",
    );
    unfit(|c| c.moments.push(c.moments[0].clone()), "the moment name \"m\"");
    unfit(|c| c.progress.loss_sum = f64::NAN, "its progress has a non-finite value");
    unfit(|c| c.parameters.get_mut("head.bias").unwrap()[1] = f32::NAN, "head.bias has a non-finite value");
    unfit(|c| c.moments[0].1[0] = f32::INFINITY, "optimizer.m.embedding.weight has a non-finite value");
    unfit(|c| c.state.as_mut().unwrap().layers[0].h[0] = f32::NAN, "state.h_l0 has a non-finite value");
    unfit(|c| c.state.as_mut().unwrap().rows = 2, "found 2 rows and 1 layers");
    unfit(|c| c.state.as_mut().unwrap().rows = usize::MAX, "18446744073709551615 rows and 1 layers");
    unfit(|c| c.state.as_mut().unwrap().layers[0].c = vec![0.0; 2], "c of 2 values");
}

/// Earlier versions could store another unit than the vocabulary's. Such a run could not be
/// resumed.
#[test]
fn the_vocabulary_decides_the_unit() {
    let small = small();
    let symbols = small.vocabulary.len() as u8;
    let bytes = Vocabulary::of_bytes(0..symbols).unwrap();
    let written = Checkpoint { vocabulary: bytes, ..small };
    assert_eq!(written.settings.data.unit, crate::Unit::Char);
    let bytes = written.to_bytes().unwrap();
    assert_eq!(load(&bytes).unwrap().settings.data.unit, crate::Unit::Byte);
    let file = TensorFile::from_bytes(bytes, Path::new("changed.safetensors")).unwrap();
    let imported = Import::default().read(&file).unwrap().checkpoint;
    assert_eq!(imported.settings.data.unit, crate::Unit::Byte);
    assert_eq!(written.text_options().vocabulary, Some(&written.vocabulary));
}

/// A file of vectors with a head: its rows are the outputs, as there is no vocabulary.
#[test]
fn a_model_of_vectors_is_imported() {
    let both = Layer { bidirectional: true, ..Layer::gru(3) };
    let model = Model::of_layers(&[both, Layer::lstm(2)], 4, 2, 1).unwrap();
    let trainer = Trainer::new(model.clone(), TrainerSettings::adam(0.1)).unwrap();
    let bytes = trainer.checkpoint().unwrap().to_bytes().unwrap();
    let file = TensorFile::from_bytes(bytes, Path::new("changed.safetensors")).unwrap();
    let imported = Import::default().read(&file).unwrap().checkpoint;
    assert_eq!(imported.model().unwrap(), model);
}

proptest! {
    /// For any bytes an import is an error or a checkpoint that can be saved and loaded.
    #[test]
    fn an_imported_checkpoint_can_be_saved(at in 0usize..4000, byte: u8, flips in 1usize..4) {
        let like = small();
        let mut bytes = like.to_bytes().unwrap();
        let len = bytes.len();
        // An import ignores the checksums, so changes reach the code after their check.
        (0..flips).for_each(|flip| bytes[(at + flip * 97) % len] = byte.wrapping_add(flip as u8));
        let path = Path::new("run/checkpoint.safetensors");
        let Ok(file) = TensorFile::from_bytes(bytes, path) else { return Ok(()) };
        for like in [None, Some(&like)] {
            let Ok(imported) = (Import { like, ..Import::default() }).read(&file) else { continue };
            let saved = imported.checkpoint.to_bytes().unwrap();
            prop_assert_eq!(load(&saved).unwrap(), imported.checkpoint);
            prop_assert_eq!(imported.tensors.len(), file.tensors().len());
        }
    }
}
