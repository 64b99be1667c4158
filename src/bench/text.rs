//! Random text of any vocabulary.

use crate::corpus::Corpus;
use crate::random::{DrawPurpose, Draws};
use crate::{Error, Result, Unit};

/// The first symbol; those before it are control characters and the blank.
const FIRST: u32 = '!' as u32;
/// Code points that are no characters.
const SURROGATES: std::ops::Range<u32> = 0xD800..0xE000;
/// Characters from `FIRST` on.
const MOST: usize = (char::MAX as u32 - FIRST + 1 - (SURROGATES.end - SURROGATES.start)) as usize;

/// A text of `length` symbols or more in which each of `vocabulary` symbols occurs, equally likely everywhere: id i is the
/// i-th character from '!' on.
///
/// # Errors
/// [`Error::Setting`] when there are not that many characters.
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

/// Whether there are that many characters.
pub(super) fn check(vocabulary: usize) -> Result<()> {
    if (1..=MOST).contains(&vocabulary) {
        return Ok(());
    }
    let expected = format!("give a whole number from 1 to {MOST}, as many as there are characters");
    Err(Error::Setting { name: "vocab", found: vocabulary.to_string(), expected })
}

/// Character number `id`.
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
    fn surrogates_are_stepped_over() {
        assert_eq!((symbol(0), symbol(64)), ('!', 'a'));
        assert_eq!(symbol(0xD7FF - 0x21), '\u{d7ff}');
        assert_eq!(symbol(0xD800 - 0x21), '\u{e000}');
        assert_eq!(symbol(MOST - 1), char::MAX);
    }

    #[test]
    fn sizes_without_characters_are_refused() {
        let told = |vocabulary| synthetic(vocabulary, 10, 1).unwrap_err().to_string();
        let expected = "cannot work: give a whole number from 1 to 1112031, as many as there are characters";
        assert_eq!(told(0), format!("vocab = 0 {expected}"));
        assert_eq!(told(1_112_032), format!("vocab = 1112032 {expected}"));
    }
}
