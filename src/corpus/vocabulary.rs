//! Symbols and their ids.
use crate::{Result, Unit};

/// The distinct symbols of a text, sorted by code point (or byte value); a symbol's id is its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vocabulary {}
impl Vocabulary {
    /// Number of symbols V.
    pub fn len(&self) -> usize {
        unimplemented!()
    }
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        unimplemented!()
    }
    /// What a symbol is.
    pub fn unit(&self) -> Unit {
        unimplemented!()
    }
    /// The ids of a text; an unknown symbol is an error that names it and its place.
    pub fn encode(&self, _text: &str) -> Result<Vec<u32>> {
        unimplemented!()
    }
    /// Appends the bytes (UTF-8, or the byte itself) of symbol `id`.
    pub fn write(&self, _id: u32, _out: &mut Vec<u8>) {
        unimplemented!()
    }
    /// The text of some ids; bytes that are not UTF-8 become U+FFFD.
    pub fn decode(&self, _ids: &[u32]) -> String {
        unimplemented!()
    }
    /// As the JSON string kept in checkpoints: an array of strings (characters) or numbers (bytes), in id order.
    pub fn to_json(&self) -> String {
        unimplemented!()
    }
    /// The inverse of `to_json`, with every check.
    pub fn from_json(_json: &str) -> Result<Self> {
        unimplemented!()
    }
}
