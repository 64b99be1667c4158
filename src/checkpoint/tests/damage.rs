//! Damaged files, and files of other programs.

use super::{load, refused, small};
use crate::{
    CheckpointError, Error,
    checkpoint::format::{AFTER_CHECKSUM, CHECKSUM_PLACE, PREFIX},
};
use safetensors::{
    SafeTensors,
    tensor::{Dtype, TensorView},
};
use std::collections::HashMap;

#[test]
fn every_flipped_bit_is_found() {
    let mut bytes = small().to_bytes().unwrap();
    for place in 0..bytes.len() {
        for bits in [0xff, 1, 2, 4, 8, 16, 32, 64, 128] {
            bytes[place] ^= bits;
            let error = load(&bytes).expect_err("a flipped bit");
            // A run falls back to another checkpoint if this one is damaged, but not if a user
            // changed it.
            assert!(
                !matches!(error, Error::Checkpoint(CheckpointError::Rewritten { .. })),
                "byte {place}, bits {bits:#x}: {error}"
            );
            bytes[place] ^= bits;
        }
    }
    load(&bytes).unwrap();
}

#[test]
fn a_flipped_byte_is_reported_with_its_tensor() {
    let mut bytes = small().to_bytes().unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    let text = refused(&bytes);
    assert!(
        text.starts_with("run/checkpoint.safetensors is damaged in its tensor state.h_l0: found checksum "),
        "{text}"
    );
    assert!(text.contains("use another copy"), "{text}");
}

#[test]
fn every_truncation_is_found() {
    let bytes = small().to_bytes().unwrap();
    for length in 0..bytes.len() {
        let text = refused(&bytes[..length]);
        let found = format!("is truncated: found {length} bytes, expected ");
        assert!(text.contains(&found), "{length}: {text}");
    }
    let text = refused(&bytes[..bytes.len() - 1]);
    assert!(text.contains(&format!("expected {} or more", bytes.len())), "{text}");
}

#[test]
fn bytes_after_the_end_are_found() {
    let bytes = [small().to_bytes().unwrap(), vec![0; 3]].concat();
    assert!(refused(&bytes).contains("is not a checkpoint: 3 bytes follow its last tensor"));
}

#[test]
fn a_text_is_not_a_checkpoint() {
    let text = refused(b"To be, or not to be, that is the question");
    assert!(text.contains("is not a checkpoint: it is not a safetensors file; name a file that"), "{text}");
    let mut bytes = 40u64.to_le_bytes().to_vec();
    bytes.extend([b'{'; 40]);
    assert!(refused(&bytes).contains("is not a checkpoint: invalid JSON in header"));
}

#[test]
fn a_header_with_a_wrong_length_allocates_nothing() {
    for length in [u64::MAX, u64::MAX - 7, 1 << 40, 100_000_001] {
        let bytes = [&length.to_le_bytes(), PREFIX].concat();
        assert!(refused(&bytes).contains("it is not a safetensors file"));
    }
    let bytes = [&100_000_000u64.to_le_bytes(), PREFIX].concat();
    assert!(refused(&bytes).contains("expected 100000008 or more"));
}

#[test]
fn a_safetensors_file_of_another_program_is_reported() {
    let data = [0; 24];
    let tensors = || [("rnn.weight_hh_l0", TensorView::new(Dtype::F32, vec![2, 3], &data).unwrap())];
    let expected =
        "differs from what `unrolled train` wrote: its metadata lacks format = unrolled; if another";
    for metadata in [None, Some(HashMap::from([("format".to_owned(), "pt".to_owned())]))] {
        let text = refused(&safetensors::serialize(tensors(), metadata).unwrap());
        assert!(text.contains(expected), "{text}");
    }
}

/// The safetensors library writes the metadata in an order that changes with each call.
#[test]
fn a_copy_by_another_program_is_not_reported_as_damage() {
    let bytes = small().to_bytes().unwrap();
    let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    assert!(bytes[CHECKSUM_PLACE.end..].starts_with(AFTER_CHECKSUM));
    for _ in 0..200 {
        let strings = header.metadata().clone().unwrap().into_iter().collect();
        let text = refused(&safetensors::serialize(file.tensors(), Some(strings)).unwrap());
        let expected = "its parts are in another order; if another program changed it on purpose, convert it with `unrolled import";
        assert!(text.contains(expected), "{text}");
    }
}
