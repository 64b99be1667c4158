//! Bytes to symbols: characters, bytes or ids.

use super::{pages::Pages, unknown_id::UNKNOWN};
use crate::{IdWidth, Invalid, Unit};
use std::ops::Range;

/// The rules that turn bytes into symbols.
#[derive(Clone, Copy, Debug)]
pub(super) struct Decoding<'a> {
    pub unit: Unit,
    pub id_width: IdWidth,
    pub invalid: Invalid,
    /// The only symbols that are read; all others are skipped. `None` reads all.
    pub known: Option<&'a Pages<u32>>,
}

impl Decoding<'_> {
    /// Number of bytes of every symbol, in spans where all have the same number.
    pub fn symbol_bytes(self) -> usize {
        match self.unit {
            Unit::Char | Unit::Byte => 1,
            Unit::Ids => self.id_width.bytes(),
        }
    }

    /// Returns whether every symbol of `bytes` is read and has the same number of bytes.
    pub fn is_uniform(self, bytes: &[u8]) -> bool {
        match self.unit {
            Unit::Ids => true,
            Unit::Byte => self.knows_all(bytes),
            Unit::Char => bytes.is_ascii() && self.knows_all(bytes),
        }
    }

    fn knows_all(self, bytes: &[u8]) -> bool {
        self.known.is_none_or(|known| bytes.iter().all(|&byte| known.get(byte.into()) != UNKNOWN))
    }

    /// Calls `symbol` with the index in `symbols` and the value of each of these symbols. All
    /// symbols of `bytes` have the same number of bytes.
    #[inline]
    pub fn each_uniform(self, bytes: &[u8], symbols: Range<usize>, mut symbol: impl FnMut(usize, u32)) {
        let width = self.symbol_bytes();
        let bytes = &bytes[symbols.start * width..symbols.end * width];
        match (self.unit, self.id_width) {
            (Unit::Char | Unit::Byte, _) => {
                (0..).zip(bytes).for_each(|(at, &byte)| symbol(at, byte.into()));
            }
            (Unit::Ids, IdWidth::Bits16) => {
                let ids = bytes.as_chunks().0.iter().map(|&id| u16::from_le_bytes(id));
                (0..).zip(ids).for_each(|(at, id)| symbol(at, id.into()));
            }
            (Unit::Ids, IdWidth::Bits32) => {
                let ids = bytes.as_chunks().0.iter().map(|&id| u32::from_le_bytes(id));
                (0..).zip(ids).for_each(|(at, id)| symbol(at, id));
            }
        }
    }

    /// Calls `symbol` with the offset and the value of every symbol that is read. Returns whether
    /// all bytes are valid.
    #[inline]
    pub fn each(self, bytes: &[u8], symbol: impl FnMut(usize, u32)) -> bool {
        self.each_or(bytes, symbol, || ())
    }

    /// The same, and calls `skipped` for every symbol that is not read.
    #[inline]
    pub fn each_or(
        self,
        bytes: &[u8],
        mut symbol: impl FnMut(usize, u32),
        mut skipped: impl FnMut(),
    ) -> bool {
        // Most corpora skip no symbol: their loop has no further branch.
        let Some(known) = self.known else { return self.each_value(bytes, symbol) };
        self.each_value(bytes, |offset, value| match known.get(value) {
            UNKNOWN => skipped(),
            _ => symbol(offset, value),
        })
    }

    /// Calls `symbol` with the offset and the value of every symbol.
    #[inline]
    fn each_value(self, bytes: &[u8], mut symbol: impl FnMut(usize, u32)) -> bool {
        match self.unit {
            Unit::Char => each_char(bytes, self.invalid, |offset, c| symbol(offset, c.into())),
            Unit::Byte | Unit::Ids => {
                let width = self.symbol_bytes();
                self.each_uniform(bytes, 0..bytes.len() / width, |at, value| symbol(at * width, value));
                true
            }
        }
    }
}

/// Calls `symbol` with the byte offset of every character and the character. Returns whether all
/// bytes are valid.
///
/// If invalid bytes are replaced, each maximal sequence of them gives U+FFFD, as in
/// `String::from_utf8_lossy`. Otherwise they give nothing.
#[inline]
pub(super) fn each_char(bytes: &[u8], invalid: Invalid, mut symbol: impl FnMut(usize, char)) -> bool {
    // Text is usually valid, and one check of the whole is several times faster than of chunks.
    let whole = valid_utf8(bytes);
    let rest = if whole.is_some() { &[] } else { bytes };
    let mut at = 0;
    let pieces = rest.utf8_chunks().flat_map(|chunk| {
        let (valid, bad) = (at, at + chunk.valid().len());
        at = bad + chunk.invalid().len();
        let replaced = invalid == Invalid::Replace && at > bad;
        [(valid, chunk.valid()), (bad, if replaced { "\u{FFFD}" } else { "" })]
    });
    // One loop for both, so that `symbol` is inlined.
    for (start, text) in whole.map(|text| (0, text)).into_iter().chain(pieces) {
        for (offset, c) in text.char_indices() {
            symbol(start + offset, c);
        }
    }
    whole.is_some()
}

/// The bytes as text, if all of them are UTF-8.
fn valid_utf8(bytes: &[u8]) -> Option<&str> {
    #[cfg(feature = "files")]
    return simdutf8::basic::from_utf8(bytes).ok();
    #[cfg(not(feature = "files"))]
    std::str::from_utf8(bytes).ok()
}

/// The first offset from `at` on that is not inside a UTF-8 sequence.
///
/// A byte of the form 10xxxxxx continues a sequence, any other byte starts one, and a sequence has
/// at most three continuation bytes. Moving a cut past at most three of them therefore splits no
/// character: the pieces decode to the same symbols as the whole, invalid bytes included.
pub(super) fn char_boundary(bytes: &[u8], at: usize) -> usize {
    let rest = bytes.get(at..).unwrap_or_default();
    let inner = rest.iter().take(3).take_while(|&&byte| byte & 0xC0 == 0x80).count();
    (at + inner).min(bytes.len())
}

/// Number of bytes before the first that are not UTF-8.
pub(super) fn valid_up_to(bytes: &[u8]) -> usize {
    std::str::from_utf8(bytes).map_or_else(|error| error.valid_up_to(), str::len)
}
