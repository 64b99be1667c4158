//! Packing of 8-bit integers.

use super::words::quad_words;
use crate::int8;
use core::ops::Range;

/// Writes the words of a vector of outputs: `to[i * stride + lane]` for word `words.start + i` of row
/// `lane`. `rows` are up to sixteen rows of `depth` weights; the other lanes are zero.
pub(super) fn pack_vector(rows: &[f32], depth: usize, words: Range<usize>, to: &mut [f32], stride: usize) {
    for at in 0..words.len() {
        to[at * stride..][..16].fill(0.0);
    }
    for (lane, row) in rows.chunks_exact(depth.max(1)).enumerate() {
        let scale = int8::scale(row);
        for (at, word) in words.clone().enumerate() {
            to[at * stride + lane] = word_of(row, scale, word);
        }
    }
}

/// Returns word `word` of a row with this scale.
fn word_of(row: &[f32], scale: f32, word: usize) -> f32 {
    let integer = |weight: &f32| int8::quantized(*weight, scale);
    let quads = quad_words(row.len());
    match word.checked_sub(quads) {
        None => {
            let quad = core::array::from_fn(|i| row.get(4 * word + i).map_or(0, integer) as u8);
            f32::from_bits(u32::from_ne_bytes(quad))
        }
        Some(0) => scale,
        Some(_) => {
            let sum: i32 = row.iter().map(|weight| i32::from(integer(weight))).sum();
            f32::from_bits((sum * -int8::OFFSET) as u32)
        }
    }
}
