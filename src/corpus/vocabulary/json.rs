//! The JSON form of a vocabulary in checkpoints.

use super::{SymbolTable, Vocabulary, character, only_char};
use crate::{Error, Result, Unit};
use serde_json::{Value, json};

/// The only key of the JSON form of a vocabulary of ids.
const IDS: &str = "ids";

impl Vocabulary {
    /// Returns the JSON string that checkpoints store: an array of strings (characters) or numbers
    /// (bytes), in id order, or with [`Unit::Ids`] an object with the number of ids:
    /// `{"ids":50257}`. Of [`Vocabulary::none`] it is `null`.
    pub fn to_json(&self) -> String {
        let value = match &self.0 {
            SymbolTable::Listed { unit: Unit::Byte, symbols, .. } => json!(symbols),
            SymbolTable::Listed { symbols, .. } => {
                symbols.iter().map(|&s| character(s).to_string()).collect()
            }
            SymbolTable::Ids { count: 0 } => Value::Null,
            SymbolTable::Ids { count } => json!({ IDS: count }),
        };
        value.to_string()
    }

    /// Parses the string of [`Vocabulary::to_json`].
    ///
    /// # Errors
    /// [`Error::Vocabulary`] if it is not an ascending array of one-character strings or of bytes,
    /// or an object with a number of ids.
    pub fn from_json(json: &str) -> Result<Self> {
        match serde_json::from_str(json) {
            Ok(Value::Null) => Ok(Self::none()),
            Ok(Value::Array(entries)) => from_entries(&entries),
            Ok(Value::Object(map)) if map.len() == 1 && map.contains_key(IDS) => from_count(&map[IDS]),
            Ok(_) => Err(damaged("not a JSON array or an object with ids".to_owned())),
            Err(error) => Err(damaged(format!("not a JSON array ({error})"))),
        }
    }
}

pub(super) fn damaged(problem: String) -> Error {
    Error::Vocabulary(problem)
}

fn from_count(value: &Value) -> Result<Vocabulary> {
    let count = value.as_u64().and_then(|count| usize::try_from(count).ok()).unwrap_or(0);
    Vocabulary::of_ids(count)
        .map_err(|_| damaged(format!("found {value} ids, expected a number from 1 to {}", u32::MAX)))
}

fn from_entries(entries: &[Value]) -> Result<Vocabulary> {
    let unit = match entries.first() {
        None => return Err(damaged("it holds no symbol".into())),
        Some(Value::String(_)) => Unit::Char,
        Some(_) => Unit::Byte,
    };
    let symbols = entries.iter().map(|entry| symbol(unit, entry)).collect::<Result<Vec<u32>>>()?;
    if let Some(at) = symbols.windows(2).position(|pair| pair[0] >= pair[1]) {
        let (one, next) = (&entries[at], &entries[at + 1]);
        return Err(damaged(format!("{next} follows {one}, but symbols must be ascending and distinct")));
    }
    Ok(Vocabulary::from_sorted(unit, symbols))
}

/// The symbol of one entry of the array.
fn symbol(unit: Unit, entry: &Value) -> Result<u32> {
    let (symbol, expected) = match unit {
        Unit::Char => (entry.as_str().and_then(only_char).map(u32::from), "a string of one character"),
        _ => (entry.as_u64().and_then(|n| u8::try_from(n).ok()).map(u32::from), "a number below 256"),
    };
    symbol.ok_or_else(|| damaged(format!("found {entry} where {expected} was expected")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_has_the_documented_form_and_is_parsed_again() {
        let v = Vocabulary::of_chars("\n\"a\u{e9}\u{1F600}".chars()).unwrap();
        assert_eq!(v.to_json(), "[\"\\n\",\"\\\"\",\"a\",\"\u{e9}\",\"\u{1F600}\"]");
        assert_eq!(Vocabulary::from_json(&v.to_json()).unwrap(), v);
        let v = Vocabulary::of_bytes([0, 10, 255]).unwrap();
        assert_eq!(v.to_json(), "[0,10,255]");
        assert_eq!(Vocabulary::from_json(&v.to_json()).unwrap(), v);
        assert_eq!(Vocabulary::from_json(&Vocabulary::none().to_json()).unwrap(), Vocabulary::none());
        let v = Vocabulary::of_ids(50_257).unwrap();
        assert_eq!(v.to_json(), "{\"ids\":50257}");
        assert_eq!(Vocabulary::from_json(&v.to_json()).unwrap(), v);
    }

    #[test]
    fn damaged_json_is_refused() {
        let cases = [
            ("", "not a JSON array"),
            ("{}", "not a JSON array"),
            ("5", "not a JSON array"),
            ("{\"ids\":5,\"more\":5}", "not a JSON array or an object with ids"),
            ("{\"ids\":0}", "found 0 ids, expected a number from 1 to 4294967295"),
            ("{\"ids\":4294967296}", "found 4294967296 ids"),
            ("{\"ids\":\"5\"}", "found \"5\" ids"),
            ("{\"ids\":-5}", "found -5 ids"),
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
}
