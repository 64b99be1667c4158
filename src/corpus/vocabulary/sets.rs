//! Creating, joining and comparing vocabularies, and texts with unknown symbols.

use super::{UNKNOWN, Vocabulary, json::damaged};
use crate::{Error, Result, Unit, Unknown, error::require};

impl Vocabulary {
    /// Creates the vocabulary of these characters, in any order. A character may occur more than
    /// once.
    ///
    /// # Errors
    /// [`Error::Vocabulary`] if there is none.
    pub fn of_chars(characters: impl IntoIterator<Item = char>) -> Result<Self> {
        Self::of_symbols(Unit::Char, characters.into_iter().map(u32::from).collect())
    }

    /// Creates the vocabulary of these bytes, in any order. A byte may occur more than once.
    ///
    /// # Errors
    /// [`Error::Vocabulary`] if there is none.
    pub fn of_bytes(bytes: impl IntoIterator<Item = u8>) -> Result<Self> {
        Self::of_symbols(Unit::Byte, bytes.into_iter().map(u32::from).collect())
    }

    /// Creates the vocabulary of all 256 bytes.
    pub fn all_bytes() -> Self {
        Self::from_sorted(Unit::Byte, (0..256).collect())
    }

    pub(super) fn of_symbols(unit: Unit, mut symbols: Vec<u32>) -> Result<Self> {
        symbols.sort_unstable();
        symbols.dedup();
        match symbols.is_empty() {
            true => Err(damaged("it holds no symbol".into())),
            false => Ok(Self::from_sorted(unit, symbols)),
        }
    }

    /// Creates the vocabulary of the symbols of both.
    ///
    /// # Errors
    /// [`Error::Setting`] if their units differ.
    pub fn union(&self, other: &Self) -> Result<Self> {
        self.check_unit(other)?;
        match self.unit() {
            Unit::Ids => Self::of_ids(self.len().max(other.len())),
            unit => Self::of_symbols(unit, self.symbols().chain(other.symbols()).collect()),
        }
    }

    /// Returns the id of each symbol of this vocabulary in a larger one, by its id here.
    ///
    /// # Errors
    /// [`Error::Setting`] if the larger one lacks a symbol of this one, or has another unit.
    pub fn places_in(&self, larger: &Self) -> Result<Vec<usize>> {
        self.check_unit(larger)?;
        let place = |symbol| match larger.id_of(symbol) {
            UNKNOWN => Err(Error::setting(
                "vocabulary",
                format!("{} symbols", larger.len()),
                format!("it lacks the symbol {}; add it", self.named(symbol)),
            )),
            id => Ok(id as usize),
        };
        self.symbols().map(place).collect()
    }

    pub(in crate::corpus) fn check_unit(&self, other: &Self) -> Result<()> {
        let expected =
            format!("the other vocabulary has the unit {}; take the same for both", self.unit().name());
        require(self.unit() == other.unit(), "unit", other.unit().name(), expected)
    }

    /// Returns the ids of a text. Symbols that are not in the vocabulary are an error, are skipped,
    /// or are replaced by U+FFFD, or by a space if the vocabulary has no U+FFFD.
    ///
    /// # Errors
    /// As for [`Vocabulary::encode`], and [`Error::Setting`] if a symbol must be replaced and the
    /// vocabulary has neither U+FFFD nor a space, and for [`Unit::Ids`], whose ids are not skipped
    /// or replaced.
    pub fn encode_as(&self, text: &str, unknown: Unknown) -> Result<Vec<u32>> {
        if unknown == Unknown::Error {
            return self.encode(text);
        }
        let ids: Vec<u32> = match self.unit() {
            Unit::Char => text.chars().map(|c| self.id_of(c.into())).collect(),
            Unit::Byte => text.bytes().map(|byte| self.id_of(byte.into())).collect(),
            Unit::Ids => return Err(unknown_ids(unknown)),
        };
        match unknown {
            Unknown::Replace if ids.contains(&UNKNOWN) => {
                let stand_in = self.stand_in(unknown)?;
                Ok(ids.into_iter().map(|id| if id == UNKNOWN { stand_in } else { id }).collect())
            }
            _ => Ok(ids.into_iter().filter(|&id| id != UNKNOWN).collect()),
        }
    }

    /// Returns the id for symbols that are not in the vocabulary. If they are not replaced, only a
    /// file that has changed since it was opened has any; they get the last id.
    pub(in crate::corpus) fn stand_in(&self, unknown: Unknown) -> Result<u32> {
        if unknown != Unknown::Replace {
            let expected = "a text needs a vocabulary with symbols; a model of vectors has none";
            let last = self.len().checked_sub(1).ok_or_else(|| Error::setting("vocabulary", 0, expected))?;
            return Ok(last as u32);
        }
        let replacement = u32::from(char::REPLACEMENT_CHARACTER);
        let wanted = match self.unit() {
            Unit::Char => &[replacement, u32::from(' ')][..],
            Unit::Byte => &[u32::from(' ')],
            Unit::Ids => return Err(unknown_ids(unknown)),
        };
        let found = wanted.iter().map(|&symbol| self.id_of(symbol)).find(|&id| id != UNKNOWN);
        let expected = "the vocabulary has neither U+FFFD nor a space to replace an unknown symbol; take skip, or add \
                        one of them to the vocabulary";
        found.ok_or_else(|| Error::setting("unknown", unknown.name(), expected))
    }
}

/// The error for ids that are to be skipped or replaced.
fn unknown_ids(unknown: Unknown) -> Error {
    let expected = "with unit = ids every id must be below the size of the vocabulary; leave it out";
    Error::setting("unknown", unknown.name(), expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chars(text: &str) -> Vocabulary {
        Vocabulary::of_chars(text.chars()).unwrap()
    }

    #[test]
    fn symbols_may_have_any_order() {
        assert_eq!(chars("banana"), chars("abn"));
        assert_eq!(Vocabulary::all_bytes(), Vocabulary::of_bytes((0..=255).rev()).unwrap());
        assert_eq!(Vocabulary::all_bytes().len(), 256);
        assert!(Vocabulary::of_chars([]).is_err() && Vocabulary::of_bytes([]).is_err());
    }

    #[test]
    fn a_union_has_the_symbols_of_both_vocabularies() {
        let (small, other) = (chars("bd"), chars("abe"));
        let both = small.union(&other).unwrap();
        assert_eq!(both, chars("abde"));
        assert_eq!(small.places_in(&both).unwrap(), [1, 2]);
        let message = both.places_in(&small).unwrap_err().to_string();
        assert!(message.contains("it lacks the symbol 'a' (U+0061)"), "{message}");
        let message = small.union(&Vocabulary::all_bytes()).unwrap_err().to_string();
        assert!(message.starts_with("unit = byte is invalid"), "{message}");
    }

    #[test]
    fn unknown_symbols_are_refused_skipped_or_replaced() {
        let spaced = chars("ab \u{e9}");
        let encode = |v: &Vocabulary, unknown| v.encode_as("a?b\u{20ac}", unknown);
        assert!(
            encode(&spaced, Unknown::Error).unwrap_err().to_string().contains("'?' (U+003F) at offset 1")
        );
        assert_eq!(spaced.decode(&encode(&spaced, Unknown::Skip).unwrap()), "ab");
        assert_eq!(spaced.decode(&encode(&spaced, Unknown::Replace).unwrap()), "a b ");
        let marked = chars("ab \u{fffd}");
        assert_eq!(marked.decode(&encode(&marked, Unknown::Replace).unwrap()), "a\u{fffd}b\u{fffd}");
        let message = encode(&chars("ab"), Unknown::Replace).unwrap_err().to_string();
        assert!(message.starts_with("unknown = replace is invalid: the vocabulary has neither"), "{message}");
        assert_eq!(chars("ab").encode_as("ab", Unknown::Replace).unwrap(), [0, 1]);
        let bytes = Vocabulary::of_bytes(*b"ab ").unwrap();
        assert_eq!(bytes.decode(&bytes.encode_as("a\u{e9}", Unknown::Replace).unwrap()), "a  ");
    }
}
