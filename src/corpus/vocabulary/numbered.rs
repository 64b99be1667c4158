//! Vocabularies of a tokenizer's ids: a number of ids, written as decimal numbers.

use super::{SymbolTable, UNKNOWN, Vocabulary};
use crate::{Error, Result};

impl Vocabulary {
    /// Creates the vocabulary of the ids from 0 to `count` - 1.
    ///
    /// # Errors
    /// [`Error::Setting`] if `count` is 0 or above 2^32 - 1.
    pub fn of_ids(count: usize) -> Result<Self> {
        match u32::try_from(count) {
            Ok(count @ 1..=UNKNOWN) => Ok(Self(SymbolTable::Ids { count })),
            _ => {
                let expected = format!("give a number of ids from 1 to {UNKNOWN}");
                Err(Error::setting("vocabulary-size", count, expected))
            }
        }
    }

    /// The vocabulary of a model of vectors, which has no symbols.
    pub fn none() -> Self {
        Self(SymbolTable::Ids { count: 0 })
    }

    /// Parses decimal ids, separated by white space.
    pub(super) fn parse_ids(&self, text: &str) -> Result<Vec<u32>> {
        let id = |word: &str| match word.parse().map_or(UNKNOWN, |id| self.id_of(id)) {
            UNKNOWN => Err(Error::IdText {
                found: word.chars().take(24).collect(),
                offset: word.as_ptr().addr() - text.as_ptr().addr(),
                vocabulary: self.len(),
            }),
            id => Ok(id),
        };
        text.split_whitespace().map(id).collect()
    }

    /// Refuses an id that is not below V.
    pub(crate) fn check_ids(&self, ids: &[u32]) -> Result<()> {
        match (0..).zip(ids).find(|(_, id)| **id as usize >= self.len()) {
            None => Ok(()),
            Some((position, &id)) => {
                Err(Error::UnknownId { text: "the ids".to_owned(), id, position, vocabulary: self.len() })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Unit, Unknown};

    fn ids(count: usize) -> Vocabulary {
        Vocabulary::of_ids(count).unwrap()
    }

    #[test]
    fn ids_are_written_and_read_as_decimal_numbers() {
        let v = ids(50_257);
        assert_eq!((v.len(), v.unit()), (50_257, Unit::Ids));
        assert_eq!(v.encode(" 12 7\n9\t50256 ").unwrap(), [12, 7, 9, 50_256]);
        assert_eq!(v.encode("").unwrap(), [0; 0]);
        assert_eq!(v.decode(&[12, 7, 9]), "12 7 9");
        assert_eq!(v.encode(&v.decode(&[0, 50_256])).unwrap(), [0, 50_256]);
    }

    #[test]
    fn a_word_that_is_not_an_id_is_named_with_its_offset() {
        for (text, found, offset) in
            [("12 x", "x", 3), ("1 100 2", "100", 2), ("-1", "-1", 0), ("1,2", "1,2", 0), ("9e9 1", "9e9", 0)]
        {
            let message = ids(100).encode(text).unwrap_err().to_string();
            let expected = format!("found {found:?} at offset {offset}, expected ids from 0 to 99");
            assert!(message.contains(&expected), "{message}");
        }
        assert!(ids(5).encode("4294967295").is_err() && ids(5).encode("4294967296").is_err());
    }

    #[test]
    fn unknown_ids_are_not_skipped_or_replaced() {
        for unknown in [Unknown::Skip, Unknown::Replace] {
            let message = ids(5).encode_as("1 7", unknown).unwrap_err().to_string();
            assert!(message.starts_with(&format!("unknown = {} ", unknown.name())), "{message}");
        }
        assert_eq!(ids(5).encode_as("1 4", Unknown::Error).unwrap(), [1, 4]);
    }

    #[test]
    fn vocabularies_of_ids_are_joined_and_compared_by_their_size() {
        let (small, large) = (ids(5), ids(9));
        assert_eq!(small.union(&large).unwrap(), large);
        assert_eq!(small.places_in(&large).unwrap(), [0, 1, 2, 3, 4]);
        let message = large.places_in(&small).unwrap_err().to_string();
        assert!(message.contains("it lacks the symbol id 5"), "{message}");
        assert!(small.union(&Vocabulary::all_bytes()).is_err());
    }

    #[test]
    fn a_size_out_of_range_is_refused() {
        for count in [0, 1 << 32] {
            let message = Vocabulary::of_ids(count).unwrap_err().to_string();
            assert!(message.starts_with(&format!("vocabulary-size = {count} ")), "{message}");
        }
        assert_eq!(ids(u32::MAX as usize).len(), u32::MAX as usize);
    }
}
