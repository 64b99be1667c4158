//! Text to ids, and ids to text.

use super::{SymbolTable, UNKNOWN, Vocabulary, character};
use crate::{Error, Result, Unit};

impl Vocabulary {
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
    pub(in crate::corpus) fn unknown(&self, text: &str, symbol: u32, offset: usize) -> Error {
        Error::UnknownSymbol { text: text.into(), symbol: self.named(symbol), offset, known: self.len() }
    }
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
