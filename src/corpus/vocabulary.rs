//! Symbols and their ids.

mod json;
mod list;
mod numbered;
mod sets;

use super::{pages::Pages, span::SeenSymbols};
use crate::{Error, Result, Unit};

/// Means "no such symbol" in the table of ids.
pub(super) const UNKNOWN: u32 = u32::MAX;

/// The symbols that a model knows, and their ids.
///
/// The distinct characters or bytes of a corpus are sorted by code point or value; the id of a
/// symbol is its index. With [`Unit::Ids`] the symbols are the ids of a tokenizer, from 0 to V - 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vocabulary(SymbolTable);

#[derive(Clone, Debug, PartialEq, Eq)]
enum SymbolTable {
    /// Characters or bytes.
    Listed {
        unit: Unit,
        /// [V]: code points or bytes, ascending.
        symbols: Vec<u32>,
        /// The id of each symbol.
        ids: Pages<u32>,
    },
    /// The ids from 0 to V - 1.
    Ids { count: u32 },
}

impl Vocabulary {
    /// Creates a vocabulary from code points or bytes in ascending order.
    pub(super) fn from_sorted(unit: Unit, symbols: Vec<u32>) -> Self {
        debug_assert!(symbols.is_sorted_by(|a, b| a < b));
        let mut ids = Pages::new(UNKNOWN);
        (0..).zip(&symbols).for_each(|(id, &symbol)| ids.set(symbol, id));
        Self(SymbolTable::Listed { unit, symbols, ids })
    }

    /// The table from symbol to id, or `None` if the symbols are ids themselves.
    #[inline]
    pub(super) fn table(&self) -> Option<&Pages<u32>> {
        match &self.0 {
            SymbolTable::Listed { ids, .. } => Some(ids),
            SymbolTable::Ids { .. } => None,
        }
    }

    /// The symbols in id order.
    fn symbols(&self) -> Box<dyn Iterator<Item = u32> + '_> {
        match &self.0 {
            SymbolTable::Listed { symbols, .. } => Box::new(symbols.iter().copied()),
            SymbolTable::Ids { count } => Box::new(0..*count),
        }
    }

    /// The id of a symbol, or [`UNKNOWN`].
    #[inline]
    pub(super) fn id_of(&self, symbol: u32) -> u32 {
        match &self.0 {
            SymbolTable::Listed { ids, .. } => ids.get(symbol),
            SymbolTable::Ids { count } if symbol < *count => symbol,
            SymbolTable::Ids { .. } => UNKNOWN,
        }
    }

    /// Returns whether the vocabulary has all symbols that occur in a corpus of its unit.
    pub(super) fn has_all(&self, seen: &SeenSymbols) -> bool {
        match &self.0 {
            SymbolTable::Listed { ids, .. } => seen.listed.symbols().all(|symbol| ids.get(symbol) != UNKNOWN),
            SymbolTable::Ids { count } => seen.highest_id.is_none_or(|highest| highest < *count),
        }
    }

    /// Number of symbols (V).
    pub fn len(&self) -> usize {
        match &self.0 {
            SymbolTable::Listed { symbols, .. } => symbols.len(),
            SymbolTable::Ids { count } => *count as usize,
        }
    }

    /// Returns whether there is no symbol.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The kind of symbol.
    pub fn unit(&self) -> Unit {
        match &self.0 {
            SymbolTable::Listed { unit, .. } => *unit,
            SymbolTable::Ids { .. } => Unit::Ids,
        }
    }

    /// Returns the ids of a text. With [`Unit::Ids`] the text holds decimal numbers, separated by
    /// white space: `"12 7 9"`.
    ///
    /// # Errors
    /// [`Error::UnknownSymbol`] names the first symbol that is not in the vocabulary, and its byte
    /// offset. [`Error::IdText`] names the first word that is not an id.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        let id = |(offset, symbol)| match self.id_of(symbol) {
            UNKNOWN => Err(self.unknown("the text", symbol, offset)),
            id => Ok(id),
        };
        match self.unit() {
            Unit::Char => text.char_indices().map(|(offset, c)| (offset, u32::from(c))).map(id).collect(),
            Unit::Byte => text.bytes().map(u32::from).enumerate().map(id).collect(),
            Unit::Ids => self.parse_ids(text),
        }
    }

    /// Appends symbol `id`: its UTF-8, its byte, or with [`Unit::Ids`] its decimal digits.
    ///
    /// # Panics
    /// If `id` is not below V.
    pub fn write(&self, id: u32, out: &mut Vec<u8>) {
        assert!((id as usize) < self.len(), "symbol id {id} in a vocabulary of {}", self.len());
        match &self.0 {
            SymbolTable::Listed { unit: Unit::Byte, symbols, .. } => out.push(symbols[id as usize] as u8),
            SymbolTable::Listed { symbols, .. } => {
                let c = character(symbols[id as usize]);
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            }
            SymbolTable::Ids { .. } => out.extend_from_slice(id.to_string().as_bytes()),
        }
    }

    /// Returns the text between two symbols: a space with [`Unit::Ids`], otherwise nothing.
    pub fn separator(&self) -> &'static str {
        if self.unit() == Unit::Ids { " " } else { "" }
    }

    /// Returns the text of some ids. Bytes that are not UTF-8 become U+FFFD. With [`Unit::Ids`] the
    /// text is the ids themselves, separated by spaces.
    ///
    /// # Panics
    /// If an id is not below V.
    pub fn decode(&self, ids: &[u32]) -> String {
        let mut out = Vec::with_capacity(ids.len());
        for (index, &id) in ids.iter().enumerate() {
            if index > 0 {
                out.extend_from_slice(self.separator().as_bytes());
            }
            self.write(id, &mut out);
        }
        String::from_utf8_lossy(&out).into_owned()
    }

    /// The error for a symbol at a byte offset of a text that is not in this vocabulary.
    pub(super) fn unknown(&self, text: &str, symbol: u32, offset: usize) -> Error {
        Error::UnknownSymbol { text: text.into(), symbol: self.named(symbol), offset, known: self.len() }
    }
}

/// A symbol of the unit `Char`, which is always a valid `char`.
fn character(symbol: u32) -> char {
    char::from_u32(symbol).unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// The only character of a text that has exactly one.
fn only_char(text: &str) -> Option<char> {
    let mut chars = text.chars();
    chars.next().filter(|_| chars.as_str().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chars(text: &str) -> Vocabulary {
        Vocabulary::from_sorted(Unit::Char, text.chars().map(u32::from).collect())
    }

    #[test]
    fn text_is_encoded_and_decoded() {
        let v = chars("ab\u{e9}\u{1F600}");
        assert_eq!((v.len(), v.unit()), (4, Unit::Char));
        assert_eq!(v.encode("b\u{1F600}a\u{e9}").unwrap(), [1, 3, 0, 2]);
        assert_eq!(v.decode(&[1, 3, 0, 2]), "b\u{1F600}a\u{e9}");
        let v = Vocabulary::from_sorted(Unit::Byte, vec![0x61, 0xA9, 0xC3]);
        assert_eq!(v.encode("a\u{e9}").unwrap(), [0, 2, 1]);
        assert_eq!(v.decode(&[0, 2, 1]), "a\u{e9}");
        assert_eq!(v.decode(&[2, 0]), "\u{FFFD}a");
    }

    #[test]
    fn an_unknown_symbol_is_named_with_its_offset() {
        let message = chars("ab\u{e9}").encode("a\u{e9}\nb").unwrap_err().to_string();
        assert_eq!(
            message,
            "the text: the symbol '\\n' (U+000A) at offset 3 is not among the 3 symbols of the vocabulary; remove it, pass \
             --unknown skip or --unknown replace, or use a model or vocabulary that has it"
        );
        let bytes = Vocabulary::from_sorted(Unit::Byte, vec![0x61]);
        assert!(bytes.encode("a\u{e9}").unwrap_err().to_string().contains("byte 0xC3 at offset 1"));
    }

    #[test]
    #[should_panic(expected = "symbol id 3 in a vocabulary of 3")]
    fn an_id_beyond_the_vocabulary_panics() {
        chars("abc").decode(&[3]);
    }
}
