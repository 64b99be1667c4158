//! Symbols and their ids.

mod list;
mod sets;

use super::pages::Pages;
use crate::{Error, Result, Unit};
use serde_json::Value;

/// Stands for "no such symbol" in the table of ids.
pub(super) const UNKNOWN: u32 = u32::MAX;

/// The distinct symbols of a text, sorted by code point (or byte value); a symbol's id is its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vocabulary {
    unit: Unit,
    /// [V]: code points or bytes, ascending.
    symbols: Vec<u32>,
    /// The inverse: symbol to id.
    ids: Pages<u32>,
}

impl Vocabulary {
    /// From code points (or bytes) in ascending order.
    pub(super) fn from_sorted(unit: Unit, symbols: Vec<u32>) -> Self {
        debug_assert!(symbols.is_sorted_by(|a, b| a < b));
        let mut ids = Pages::new(UNKNOWN);
        (0..).zip(&symbols).for_each(|(id, &symbol)| ids.set(symbol, id));
        Self { unit, symbols, ids }
    }

    /// Symbol to id.
    #[inline]
    pub(super) fn ids(&self) -> &Pages<u32> {
        &self.ids
    }

    /// Number of symbols V.
    pub fn len(&self) -> usize {
        self.symbols.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.symbols.is_empty()
    }

    /// What a symbol is.
    pub fn unit(&self) -> Unit {
        self.unit
    }

    /// The ids of a text.
    ///
    /// # Errors
    /// [`Error::UnknownSymbol`] names the first symbol that the vocabulary lacks, and its byte offset.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        let id = |(offset, symbol)| match self.ids.get(symbol) {
            UNKNOWN => Err(self.unknown("the text", symbol, offset)),
            id => Ok(id),
        };
        match self.unit {
            Unit::Char => text.char_indices().map(|(offset, c)| (offset, u32::from(c))).map(id).collect(),
            Unit::Byte => text.bytes().map(u32::from).enumerate().map(id).collect(),
        }
    }

    /// Appends the bytes (UTF-8, or the byte itself) of symbol `id`.
    ///
    /// # Panics
    /// If `id` is not below V.
    pub fn write(&self, id: u32, out: &mut Vec<u8>) {
        let symbol = *self.symbols.get(id as usize).unwrap_or_else(|| {
            panic!("symbol id {id} in a vocabulary of {}", self.len());
        });
        match self.unit {
            Unit::Char => out.extend_from_slice(character(symbol).encode_utf8(&mut [0; 4]).as_bytes()),
            Unit::Byte => out.push(symbol as u8),
        }
    }

    /// The text of some ids; bytes that are not UTF-8 become U+FFFD.
    ///
    /// # Panics
    /// If an id is not below V.
    pub fn decode(&self, ids: &[u32]) -> String {
        let mut out = Vec::with_capacity(ids.len());
        ids.iter().for_each(|&id| self.write(id, &mut out));
        String::from_utf8_lossy(&out).into_owned()
    }

    /// As the JSON string kept in checkpoints: an array of strings (characters) or numbers (bytes), in id order.
    pub fn to_json(&self) -> String {
        let symbols = self.symbols.iter();
        let symbols: Vec<Value> = match self.unit {
            Unit::Char => symbols.map(|&s| character(s).to_string().into()).collect(),
            Unit::Byte => symbols.map(|&s| s.into()).collect(),
        };
        Value::from(symbols).to_string()
    }

    /// The inverse of `to_json`.
    ///
    /// # Errors
    /// [`Error::Vocabulary`] when this is not an array of one-character strings or of bytes, ascending.
    pub fn from_json(json: &str) -> Result<Self> {
        let entries: Vec<Value> =
            serde_json::from_str(json).map_err(|e| damaged(format!("not a JSON array ({e})")))?;
        let unit = match entries.first() {
            None => return Err(damaged("it holds no symbol".into())),
            Some(Value::String(_)) => Unit::Char,
            Some(_) => Unit::Byte,
        };
        let symbols = entries.iter().map(|entry| parse(unit, entry)).collect::<Result<Vec<u32>>>()?;
        if let Some(at) = symbols.windows(2).position(|pair| pair[0] >= pair[1]) {
            let (one, next) = (&entries[at], &entries[at + 1]);
            return Err(damaged(format!("{next} follows {one}, but symbols must be ascending and distinct")));
        }
        Ok(Self::from_sorted(unit, symbols))
    }

    /// The error for a symbol that this vocabulary lacks.
    pub(super) fn unknown(&self, text: &str, symbol: u32, offset: usize) -> Error {
        Error::UnknownSymbol { text: text.into(), symbol: self.named(symbol), offset, known: self.len() }
    }
}

/// A symbol of the unit `Char`, which was a `char` when it entered.
fn character(symbol: u32) -> char {
    char::from_u32(symbol).unwrap_or(char::REPLACEMENT_CHARACTER)
}

fn damaged(problem: String) -> Error {
    Error::Vocabulary(problem)
}

/// One entry of the JSON form.
fn parse(unit: Unit, entry: &Value) -> Result<u32> {
    let (symbol, expected) = match unit {
        Unit::Char => (entry.as_str().and_then(only).map(u32::from), "a string of one character"),
        Unit::Byte => {
            (entry.as_u64().and_then(|n| u8::try_from(n).ok()).map(u32::from), "a number below 256")
        }
    };
    symbol.ok_or_else(|| damaged(format!("found {entry} where {expected} was expected")))
}

/// The only character of a text that has just one.
fn only(text: &str) -> Option<char> {
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
    fn encodes_and_decodes() {
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
    fn an_unknown_symbol_is_named_with_its_place() {
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
    fn json_is_as_documented_and_comes_back() {
        let v = chars("\n\"a\u{e9}\u{1F600}");
        assert_eq!(v.to_json(), "[\"\\n\",\"\\\"\",\"a\",\"\u{e9}\",\"\u{1F600}\"]");
        assert_eq!(Vocabulary::from_json(&v.to_json()).unwrap(), v);
        let v = Vocabulary::from_sorted(Unit::Byte, vec![0, 10, 255]);
        assert_eq!(v.to_json(), "[0,10,255]");
        assert_eq!(Vocabulary::from_json(&v.to_json()).unwrap(), v);
    }

    #[test]
    fn damaged_json_is_refused() {
        let cases = [
            ("", "not a JSON array"),
            ("{}", "not a JSON array"),
            ("[]", "it holds no symbol"),
            ("[\"a\",\"bc\"]", "found \"bc\" where a string of one character was expected"),
            ("[\"\"]", "found \"\" where a string of one character"),
            ("[\"a\",98]", "found 98 where a string"),
            ("[97,\"b\"]", "found \"b\" where a number below 256"),
            ("[97,256]", "found 256 where a number below 256"),
            ("[-1]", "found -1 where"),
            ("[1.5]", "found 1.5 where"),
            ("[null]", "found null where"),
            ("[\"b\",\"a\"]", "\"a\" follows \"b\", but symbols must be ascending and distinct"),
            ("[97,97]", "97 follows 97"),
        ];
        for (json, problem) in cases {
            let message = Vocabulary::from_json(json).unwrap_err().to_string();
            assert!(message.starts_with("the vocabulary is damaged: "), "{json}: {message}");
            assert!(message.contains(problem) && !message.contains('\n'), "{json}: {message}");
        }
    }

    #[test]
    #[should_panic(expected = "symbol id 3 in a vocabulary of 3")]
    fn an_id_beyond_the_vocabulary_panics() {
        chars("abc").decode(&[3]);
    }
}
