//! The error for bytes that are not UTF-8, with a guess of their encoding.

use super::{decoding::char_boundary, guess, source::CorpusSource};
use crate::Error;

/// Number of bytes that the guess of an encoding reads.
const GUESSED_FROM: usize = 1 << 20;

/// The error for bytes that are not UTF-8.
pub(super) fn invalid_utf8(source: &CorpusSource, offset: usize) -> Error {
    let bytes = source.bytes();
    let start = char_boundary(bytes, offset.saturating_sub(GUESSED_FROM / 2));
    let near = &bytes[start..bytes.len().min(start + GUESSED_FROM)];
    let looks = guess::encoding(near).map(str::to_owned);
    Error::InvalidUtf8 { text: source.name.clone(), offset: offset + source.mark, looks }
}
