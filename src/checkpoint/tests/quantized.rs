//! Quantized checkpoints.

use super::{load, refused, signed, small};
use crate::{
    Error, Layer, ModelSettings, Settings,
    checkpoint::{Checkpoint, Import, TensorFile},
    corpus::{Corpus, Vocabulary},
    model::Model,
    train::{Trainer, TrainerSettings, Training},
};
use proptest::prelude::*;
use safetensors::{SafeTensors, tensor::Dtype};
use std::path::Path;

fn quantized() -> Checkpoint {
    small().quantize().unwrap()
}

/// Returns the error for a file whose header was changed.
fn replaced(from: &str, to: &str) -> String {
    let bytes = quantized().to_bytes().unwrap();
    let (length, rest) = bytes.split_at(8);
    let (header, tensors) = rest.split_at(u64::from_le_bytes(length.try_into().unwrap()) as usize);
    let header = String::from_utf8(header.to_vec()).unwrap();
    assert!(header.contains(from), "{header}");
    let header = header.replacen(from, to, 1);
    refused(&signed([&(header.len() as u64).to_le_bytes(), header.as_bytes(), tensors].concat()))
}

/// Returns the error for a file in which the bytes of a tensor, from `at` on, were changed.
fn overwritten(tensor: &str, at: usize, bytes: &[u8]) -> String {
    let mut file = quantized().to_bytes().unwrap();
    let (header, metadata) = SafeTensors::read_metadata(&file).unwrap();
    let start = 8 + header + metadata.info(tensor).unwrap().data_offsets.0 + at;
    file[start..][..bytes.len()].copy_from_slice(bytes);
    refused(&signed(file))
}

#[test]
fn a_quantized_file_loads_as_equal_and_has_integers() {
    let saved = quantized();
    let bytes = saved.to_bytes().unwrap();
    let loaded = load(&bytes).unwrap();
    assert_eq!(loaded, saved);
    assert_eq!(loaded.to_bytes().unwrap(), bytes);
    assert!(loaded.model().unwrap().is_quantized());
    assert_eq!(loaded.model().unwrap(), small().model().unwrap().quantize().unwrap());
    assert_eq!(loaded.quantize().unwrap(), saved);
    let (_, metadata) = SafeTensors::read_metadata(&bytes).unwrap();
    let names = metadata.offset_keys();
    let types: Vec<_> = names.iter().map(|name| metadata.info(name).unwrap().dtype).collect();
    assert!(types.is_sorted_by_key(|dtype| *dtype == Dtype::I8), "floats stay aligned: {names:?}");
    let info = |name: &str| metadata.info(name).map(|info| (info.dtype, info.shape.clone()));
    assert_eq!(info("rnn.weight_hh_l0"), Some((Dtype::I8, vec![2, 2])));
    assert_eq!(info("rnn.weight_hh_l0_scale"), Some((Dtype::F32, vec![2, 1])));
    assert_eq!(info("embedding.weight"), Some((Dtype::F32, vec![3, 1])));
    assert_eq!(metadata.metadata().as_ref().unwrap()["quantized"], "int8");
}

#[test]
fn every_option_with_a_matrix_is_quantized() {
    let layers = [
        Layer { projection: Some(3), peepholes: true, ..Layer::lstm(4) },
        Layer { highway: crate::Highway::Separate, ..Layer::gru(3) },
        Layer { bidirectional: true, layer_norm: true, ..Layer::lstm(2) },
    ];
    let model = Model::of_layers(&layers, 4, 2, 1).unwrap();
    let trainer = Trainer::new(model, TrainerSettings::adam(0.1)).unwrap();
    let saved = trainer.checkpoint().unwrap().quantize().unwrap();
    assert_eq!(load(&saved.to_bytes().unwrap()).unwrap(), saved);
}

#[test]
fn dequantized_weights_keep_their_values() {
    let saved = quantized().dequantized();
    let loaded = load(&saved.to_bytes().unwrap()).unwrap();
    assert!(!loaded.quantized && !loaded.model().unwrap().is_quantized());
    assert_eq!(loaded.parameters, quantized().parameters);
}

#[test]
fn every_flipped_bit_is_found() {
    let mut bytes = quantized().to_bytes().unwrap();
    for place in 0..bytes.len() {
        for bit in 0..8 {
            bytes[place] ^= 1 << bit;
            load(&bytes).expect_err("a flipped bit");
            bytes[place] ^= 1 << bit;
        }
    }
    load(&bytes).unwrap();
}

#[test]
fn invalid_integers_and_scales_are_errors() {
    let text = overwritten("rnn.weight_hh_l0", 1, &[0x80]);
    assert!(
        text.contains("tensor rnn.weight_hh_l0: found -128, expected integers from -127 to 127"),
        "{text}"
    );
    for scale in [0.0f32, -0.5, 1e-40, f32::MAX, 0.1] {
        let text = overwritten("rnn.weight_hh_l0_scale", 4, &scale.to_le_bytes());
        let found =
            format!("tensor rnn.weight_hh_l0: found a row with the scale {scale:e} and integers up to 127");
        assert!(text.contains(&found) && text.contains("expected a positive scale of 16"), "{text}");
    }
    let text = overwritten("rnn.weight_hh_l0_scale", 0, &f32::NAN.to_le_bytes());
    assert!(text.contains("tensor rnn.weight_hh_l0_scale: found NaN, expected finite numbers"), "{text}");
    let text = overwritten("rnn.weight_hh_l0", 0, &[5, 7]);
    assert!(
        text.contains("integers up to 7, expected") && text.contains("a largest integer of 127"),
        "{text}"
    );
}

#[test]
fn tensors_of_other_types_and_marks_are_errors() {
    let text = replaced(r#""rnn.weight_hh_l0_scale""#, r#""rnn.weight_hh_l0_sizes""#);
    assert!(text.contains("tensor rnn.weight_hh_l0_scale: found nothing, expected F32 [2, 1]"), "{text}");
    let text = replaced(r#""dtype":"I8","shape":[2,2]"#, r#""dtype":"U8","shape":[2,2]"#);
    assert!(text.contains("found U8 [2, 2], expected I8 [2, 2]"), "{text}");
    let text = replaced(r#""quantized":"int8""#, r#""quantized":"int4""#);
    assert!(text.contains(r#"its quantized is invalid: found "int4", expected "int8""#), "{text}");
    let text = replaced(r#","quantized":"int8""#, "");
    assert!(text.contains("found I8 ") && text.contains("expected F32 "), "{text}");
    let text = replaced(r#""head.bias""#, r#""optimizer.m.head.bias""#);
    assert!(text.contains("tensor head.bias: found nothing"), "{text}");
}

#[test]
fn weights_off_the_grid_and_training_state_are_not_saved() {
    let unfit = |change: fn(&mut Checkpoint), expected: &str| {
        let mut checkpoint = quantized();
        change(&mut checkpoint);
        let text = checkpoint.to_bytes().unwrap_err().to_string();
        assert!(text.contains(expected), "{text}");
    };
    unfit(|c| c.parameters.get_mut("head.weight").unwrap()[1] *= 1.001, "head.weight is not quantized");
    unfit(
        |c| c.parameters.get_mut("head.weight").unwrap()[1] = f32::NAN,
        "head.weight has a non-finite value",
    );
    unfit(|c| c.moments = small().moments, "it is quantized, so it cannot have training state");
    unfit(|c| c.state = small().state, "it is quantized, so it cannot have training state");
}

#[test]
fn a_quantized_model_cannot_be_trained() {
    let corpus = || Corpus::from_text("a\n\u{e9}".repeat(60), crate::Unit::Char).unwrap();
    let small = quantized();
    let vocabulary = Vocabulary::from_json(r#"["\n","a","\u00e9"]"#).unwrap();
    assert_eq!(corpus().vocabulary(), &vocabulary);
    let model = || small.model().unwrap();
    let settings = || Settings { model: small.settings.model.clone(), ..small.settings.clone() };
    let is_refused = |error: Error| assert!(matches!(error, Error::Quantized), "{error}");
    is_refused(Trainer::new(model(), TrainerSettings::adam(0.1)).unwrap_err());
    is_refused(Trainer::resume(&small, TrainerSettings::adam(0.1)).unwrap_err());
    is_refused(Training::from_model(corpus(), settings(), model(), Some(1)).unwrap_err());
    is_refused(Training::fine_tune(corpus(), &small, settings(), Some(1)).unwrap_err());
    let with_dropout = ModelSettings { dropout: 0.5, ..settings().model };
    let settings = Settings { model: with_dropout, ..settings() };
    is_refused(Training::from_model(corpus(), settings.clone(), model(), Some(1)).unwrap_err());
    let mut own = small.clone();
    own.progress.corpus_fingerprint = corpus().fingerprint();
    let text =
        Training::resume(corpus(), own.clone(), own.settings.clone(), Some(1)).unwrap_err().to_string();
    assert_eq!(
        text,
        "cannot resume this run: its checkpoint is quantized, so it cannot be trained; use a checkpoint of the run itself"
    );
}

#[test]
fn a_program_that_reads_tensors_is_told_how_to_convert_them() {
    let bytes = quantized().to_bytes().unwrap();
    let file = TensorFile::from_bytes(bytes, Path::new("q.safetensors")).unwrap();
    let text = file.floats("rnn.weight_hh_l0", &[2, 2]).unwrap_err().to_string();
    assert!(
        text.contains("found I8 [2, 2], expected F32 [2, 2] (the file is quantized: `unrolled export"),
        "{text}"
    );
    let text = Import::default().read(&file).unwrap_err().to_string();
    assert!(text.contains("I8"), "{text}");
}

proptest! {
    /// Bytes that load as a quantized checkpoint can be saved, and load as equal again.
    #[test]
    fn a_changed_file_is_an_error_or_can_be_saved(at in 0usize..4000, byte: u8, flips in 1usize..4) {
        let mut bytes = quantized().to_bytes().unwrap();
        let len = bytes.len();
        (0..flips).for_each(|flip| bytes[(at + flip * 97) % len] = byte.wrapping_add(flip as u8));
        let Ok(loaded) = load(&signed(bytes)) else { return Ok(()) };
        let saved = loaded.to_bytes().unwrap();
        prop_assert_eq!(load(&saved).unwrap(), loaded);
    }
}
