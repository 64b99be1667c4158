//! Random text of any vocabulary.

use crate::corpus::Corpus;
use crate::random::{DrawPurpose, Draws};
use crate::{Result, Unit, error::require};

/// The first symbol. The characters before it are control characters and the space.
const FIRST: u32 = '!' as u32;
/// Code points that are not characters.
const SURROGATES: std::ops::Range<u32> = 0xD800..0xE000;
/// Number of characters from `FIRST`.
const MOST: usize = (char::MAX as u32 - FIRST + 1 - (SURROGATES.end - SURROGATES.start)) as usize;

/// Returns a random text of at least `length` symbols with all of `vocabulary` symbols, equally
/// likely everywhere. Id i is character i, counted from '!'.
///
/// # Errors
/// [`Error::Setting`](crate::Error::Setting) if there are fewer characters.
pub fn synthetic(vocabulary: usize, length: usize, seed: u64) -> Result<Corpus> {
    check(vocabulary)?;
    let mut draws = Draws::new(seed, DrawPurpose::Sample, 0, 0);
    let mut below = |bound: usize| (draws.uniform_f64() * bound as f64) as usize;
    let mut ids: Vec<usize> = (0..vocabulary).collect();
    ids.extend((vocabulary..length).map(|_| below(vocabulary)));
    for last in (1..ids.len()).rev() {
        ids.swap(last, below(last + 1));
    }
    Corpus::from_text(ids.into_iter().map(symbol).collect::<String>(), Unit::Char)
}

/// Checks that there are enough characters.
pub(super) fn check(vocabulary: usize) -> Result<()> {
    let expected = format!("give a number from 1 to {MOST}, the number of Unicode characters");
    require((1..=MOST).contains(&vocabulary), "vocab", vocabulary, expected)
}

/// Returns the character of an id.
fn symbol(id: usize) -> char {
    let point = FIRST + id as u32;
    let skipped = if point < SURROGATES.start { 0 } else { SURROGATES.end - SURROGATES.start };
    char::from_u32(point + skipped).unwrap_or(char::REPLACEMENT_CHARACTER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_symbol_occurs() {
        for (vocabulary, length) in [(1, 1), (1, 30), (2, 9), (65, 10), (65, 1000), (70_000, 80_000)] {
            let corpus = synthetic(vocabulary, length, 1).unwrap();
            assert_eq!((corpus.vocabulary().len(), corpus.len()), (vocabulary, length.max(vocabulary)));
        }
    }

    #[test]
    fn surrogates_are_skipped() {
        assert_eq!((symbol(0), symbol(64)), ('!', 'a'));
        assert_eq!(symbol(0xD7FF - 0x21), '\u{d7ff}');
        assert_eq!(symbol(0xD800 - 0x21), '\u{e000}');
        assert_eq!(symbol(MOST - 1), char::MAX);
    }

    #[test]
    fn a_vocabulary_without_enough_characters_is_an_error() {
        let reason = |vocabulary| synthetic(vocabulary, 10, 1).unwrap_err().to_string();
        let expected = "is invalid: give a number from 1 to 1112031, the number of Unicode characters";
        assert_eq!(reason(0), format!("vocab = 0 {expected}"));
        assert_eq!(reason(1_112_032), format!("vocab = 1112032 {expected}"));
    }
}
