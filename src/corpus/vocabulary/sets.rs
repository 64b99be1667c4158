//! Vocabularies that are given, joined, and compared; and texts with symbols that they lack.

use super::{UNKNOWN, Vocabulary, character};
use crate::{Error, Result, Unit, Unknown};

impl Vocabulary {
    /// The vocabulary of these characters, in any order; a character may come more than once.
    ///
    /// # Errors
    /// [`Error::Vocabulary`] when there is none.
    pub fn of_chars(characters: impl IntoIterator<Item = char>) -> Result<Self> {
        Self::of_symbols(Unit::Char, characters.into_iter().map(u32::from).collect())
    }

    /// The vocabulary of these bytes, in any order; a byte may come more than once.
    ///
    /// # Errors
    /// [`Error::Vocabulary`] when there is none.
    pub fn of_bytes(bytes: impl IntoIterator<Item = u8>) -> Result<Self> {
        Self::of_symbols(Unit::Byte, bytes.into_iter().map(u32::from).collect())
    }

    /// All 256 bytes: no text has a byte that this vocabulary lacks.
    pub fn all_bytes() -> Self {
        Self::from_sorted(Unit::Byte, (0..256).collect())
    }

    pub(super) fn of_symbols(unit: Unit, mut symbols: Vec<u32>) -> Result<Self> {
        symbols.sort_unstable();
        symbols.dedup();
        match symbols.is_empty() {
            true => Err(super::damaged("it holds no symbol".into())),
            false => Ok(Self::from_sorted(unit, symbols)),
        }
    }

    /// The symbols of both.
    ///
    /// # Errors
    /// [`Error::Setting`] when one has characters and the other bytes.
    pub fn union(&self, other: &Self) -> Result<Self> {
        self.check_unit(other)?;
        Self::of_symbols(self.unit, self.symbols.iter().chain(&other.symbols).copied().collect())
    }

    /// The id that each symbol of this vocabulary has in a larger one, by its id here.
    ///
    /// # Errors
    /// [`Error::Setting`] when the other one lacks a symbol of this one, or has the other unit.
    pub fn places_in(&self, larger: &Self) -> Result<Vec<usize>> {
        self.check_unit(larger)?;
        let place = |&symbol: &u32| match larger.ids.get(symbol) {
            UNKNOWN => Err(Error::setting(
                "vocabulary",
                format!("{} symbols", larger.len()),
                format!("it lacks the symbol {}; add it", self.named(symbol)),
            )),
            id => Ok(id as usize),
        };
        self.symbols.iter().map(place).collect()
    }

    pub(in crate::corpus) fn check_unit(&self, other: &Self) -> Result<()> {
        match self.unit == other.unit {
            true => Ok(()),
            false => Err(Error::setting(
                "unit",
                other.unit.name(),
                format!("the other vocabulary has the unit {}; take the same for both", self.unit.name()),
            )),
        }
    }

    /// The ids of a text, in which symbols that the vocabulary lacks are an error, left out or replaced by U+FFFD, or by a
    /// space where the vocabulary has no U+FFFD.
    ///
    /// # Errors
    /// [`Error::UnknownSymbol`] as for [`Vocabulary::encode`], and [`Error::Setting`] when a symbol is to be replaced and the
    /// vocabulary has neither U+FFFD nor a space.
    pub fn encode_as(&self, text: &str, unknown: Unknown) -> Result<Vec<u32>> {
        if unknown == Unknown::Error {
            return self.encode(text);
        }
        let ids: Vec<u32> = match self.unit {
            Unit::Char => text.chars().map(|c| self.ids.get(c.into())).collect(),
            Unit::Byte => text.bytes().map(|byte| self.ids.get(byte.into())).collect(),
        };
        match unknown {
            Unknown::Replace if ids.contains(&UNKNOWN) => {
                let stand_in = self.stand_in(unknown)?;
                Ok(ids.into_iter().map(|id| if id == UNKNOWN { stand_in } else { id }).collect())
            }
            _ => Ok(ids.into_iter().filter(|&id| id != UNKNOWN).collect()),
        }
    }

    /// The id of a symbol that the vocabulary lacks. Where such symbols are not replaced, only a file that was changed since it
    /// was opened has any: they get the last id.
    pub(in crate::corpus) fn stand_in(&self, unknown: Unknown) -> Result<u32> {
        if unknown != Unknown::Replace {
            return Ok(self.len() as u32 - 1);
        }
        let replacement = u32::from(char::REPLACEMENT_CHARACTER);
        let wanted = match self.unit {
            Unit::Char => &[replacement, u32::from(' ')][..],
            Unit::Byte => &[u32::from(' ')],
        };
        let found = wanted.iter().map(|&symbol| self.ids.get(symbol)).find(|&id| id != UNKNOWN);
        found.ok_or_else(|| Error::setting("unknown", "replace", "the vocabulary has neither U+FFFD nor a space to put in the place of a symbol that it lacks; \
                       take skip, or add one of them to the vocabulary"
                ))
    }

    /// A symbol, readable.
    pub(super) fn named(&self, symbol: u32) -> String {
        match self.unit {
            Unit::Char => format!("{:?} (U+{symbol:04X})", character(symbol)),
            Unit::Byte => format!("byte 0x{symbol:02X}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chars(text: &str) -> Vocabulary {
        Vocabulary::of_chars(text.chars()).unwrap()
    }

    #[test]
    fn symbols_come_in_any_order() {
        assert_eq!(chars("banana"), chars("abn"));
        assert_eq!(Vocabulary::all_bytes(), Vocabulary::of_bytes((0..=255).rev()).unwrap());
        assert_eq!(Vocabulary::all_bytes().len(), 256);
        assert!(Vocabulary::of_chars([]).is_err() && Vocabulary::of_bytes([]).is_err());
    }

    #[test]
    fn a_union_has_the_symbols_of_both_and_places_are_found_in_it() {
        let (small, other) = (chars("bd"), chars("abe"));
        let both = small.union(&other).unwrap();
        assert_eq!(both, chars("abde"));
        assert_eq!(small.places_in(&both).unwrap(), [1, 2]);
        let told = both.places_in(&small).unwrap_err().to_string();
        assert!(told.contains("it lacks the symbol 'a' (U+0061)"), "{told}");
        let told = small.union(&Vocabulary::all_bytes()).unwrap_err().to_string();
        assert!(told.starts_with("unit = byte is invalid"), "{told}");
    }

    #[test]
    fn unknown_symbols_are_refused_left_out_or_replaced() {
        let spaced = chars("ab \u{e9}");
        let encode = |v: &Vocabulary, unknown| v.encode_as("a?b\u{20ac}", unknown);
        assert!(
            encode(&spaced, Unknown::Error).unwrap_err().to_string().contains("'?' (U+003F) at offset 1")
        );
        assert_eq!(spaced.decode(&encode(&spaced, Unknown::Skip).unwrap()), "ab");
        assert_eq!(spaced.decode(&encode(&spaced, Unknown::Replace).unwrap()), "a b ");
        let marked = chars("ab \u{fffd}");
        assert_eq!(marked.decode(&encode(&marked, Unknown::Replace).unwrap()), "a\u{fffd}b\u{fffd}");
        let told = encode(&chars("ab"), Unknown::Replace).unwrap_err().to_string();
        assert!(told.starts_with("unknown = replace is invalid: the vocabulary has neither"), "{told}");
        assert_eq!(chars("ab").encode_as("ab", Unknown::Replace).unwrap(), [0, 1]);
        let bytes = Vocabulary::of_bytes(*b"ab ").unwrap();
        assert_eq!(bytes.decode(&bytes.encode_as("a\u{e9}", Unknown::Replace).unwrap()), "a  ");
    }
}
