//! Files that list a vocabulary: one symbol per line, or the JSON of char-rnn, torch-rnn and
//! nanoGPT.

use super::{Vocabulary, only_char};
use crate::{Error, Result, Unit};
use serde_json::{Map, Value};
use std::{collections::HashSet, path::Path};

/// Number of characters of a line that a message shows.
const MOST_SHOWN: usize = 24;
/// The keys of the tables of symbols of torch-rnn, nanoGPT and char-rnn.
const TABLES: [&str; 6] = ["token_to_idx", "idx_to_token", "stoi", "itos", "char_to_ix", "ix_to_char"];

impl Vocabulary {
    /// Reads a file that lists symbols, in any order:
    ///
    /// - one symbol per line, with the escapes of C: `\n`, `\t`, `\r`, `\0`, `\\`, `\xE9` (byte or
    ///   code point, two digits), `\u20AC` (four) and `\U0001F600` (eight);
    /// - a JSON array of one-character strings, or of numbers below 256, which are bytes;
    /// - a JSON object from symbol to number, or from number to symbol. It may be a part of a
    ///   larger object, under torch-rnn's key `token_to_idx`, nanoGPT's `stoi` and similar keys.
    ///
    /// `unit` is the kind of symbol. If `None`, numbers are bytes and everything else is
    /// characters.
    ///
    /// # Errors
    /// [`Error::Io`], and [`Error::VocabularyFile`] for a file that is not such a list, that names
    /// a symbol twice, or that has another unit.
    pub fn read(path: &Path, unit: Option<Unit>) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(|source| Error::unreadable(path, source))?;
        Self::from_list(&bytes, path, unit)
    }

    /// The same for the bytes of a file. `path` is only for messages.
    ///
    /// # Errors
    /// [`Error::VocabularyFile`], as for [`Vocabulary::read`].
    pub fn from_list(bytes: &[u8], path: &Path, unit: Option<Unit>) -> Result<Self> {
        let text = std::str::from_utf8(bytes);
        let text = text.map_err(|error| format!("the bytes at offset {} are not UTF-8", error.valid_up_to()));
        let listed = text.and_then(|text| Self::parse(text.strip_prefix('\u{feff}').unwrap_or(text), unit));
        listed.map_err(|problem| Error::VocabularyFile { path: path.to_owned(), problem })
    }

    fn parse(text: &str, unit: Option<Unit>) -> Result<Self, String> {
        if unit == Some(Unit::Ids) {
            return Err(
                "with unit = ids the vocabulary is a number of ids: pass --vocabulary-size".to_owned()
            );
        }
        let json = text.trim_start().starts_with(['[', '{']).then(|| serde_json::from_str(text));
        let (unit, symbols) = match json {
            Some(Ok(Value::Array(entries))) if !entries.is_empty() => of_array(&entries, unit)?,
            Some(Ok(Value::Object(map))) if !map.is_empty() => of_object(&map, unit)?,
            // A list may start with a line of one bracket. A longer first line is invalid JSON.
            Some(Err(error)) if text.lines().next().is_some_and(|line| line.trim().len() > 1) => {
                return Err(format!("it begins like JSON, but: {error}"));
            }
            _ => of_lines(text, unit.unwrap_or_default())?,
        };
        let mut seen = HashSet::new();
        if let Some((place, _)) = symbols.iter().find(|(_, symbol)| !seen.insert(*symbol)) {
            return Err(format!("{place} comes twice"));
        }
        let symbols = symbols.into_iter().map(|(_, symbol)| symbol).collect();
        Self::of_symbols(unit, symbols).map_err(|_| "it holds no symbol".to_owned())
    }
}

/// Symbols, each with the way the file writes it.
type NamedSymbols = Vec<(String, u32)>;
/// The symbols of a file, with their unit.
type ListedSymbols = (Unit, NamedSymbols);

fn of_lines(text: &str, unit: Unit) -> Result<ListedSymbols, String> {
    let lines = (1..).zip(text.split_terminator('\n'));
    let line = |(number, line): (usize, &str)| {
        let line = if line.len() > 1 { line.strip_suffix('\r').unwrap_or(line) } else { line };
        let symbol = unescaped(line).and_then(|(c, escaped)| in_unit(c, escaped, unit));
        let symbol = symbol.map_err(|problem| format!("line {number}: {problem}"))?;
        Ok((format!("the symbol {line:?} of line {number}"), symbol))
    };
    Ok((unit, lines.map(line).collect::<Result<_, String>>()?))
}

/// The only symbol of a line, and true if it is written as `\xHH`.
fn unescaped(line: &str) -> Result<(char, bool), String> {
    let expected = "expected one symbol";
    let Some(escape) = line.strip_prefix('\\') else {
        let found = || match line.is_empty() {
            true => format!("found nothing, {expected}: a newline is written \\n"),
            false => format!("found {}, {expected}", quoted(line)),
        };
        return only_char(line).map(|c| (c, false)).ok_or_else(found);
    };
    let digits = |count: usize| {
        let code = escape.get(1..).filter(|digits| digits.len() == count)?;
        let hexadecimal = code.bytes().all(|digit| digit.is_ascii_hexdigit());
        char::from_u32(u32::from_str_radix(code, 16).ok().filter(|_| hexadecimal)?)
    };
    let symbol = match (escape.chars().next(), only_char(escape)) {
        (_, Some('n')) => Some('\n'),
        (_, Some('t')) => Some('\t'),
        (_, Some('r')) => Some('\r'),
        (_, Some('0')) => Some('\0'),
        (_, Some('\\')) => Some('\\'),
        (Some('x'), _) => digits(2),
        (Some('u'), _) => digits(4),
        (Some('U'), _) => digits(8),
        _ => None,
    };
    let wrong = || {
        format!(
            "found {}, expected \\n, \\t, \\r, \\0, \\\\, \\xHH, \\uHHHH or \\UHHHHHHHH",
            quoted(line).replace("\\\\", "\\")
        )
    };
    symbol.map(|c| (c, escape.starts_with('x'))).ok_or_else(wrong)
}

/// The start of a line, in quotes.
fn quoted(line: &str) -> String {
    match line.char_indices().nth(MOST_SHOWN) {
        Some((end, _)) => format!("{:?}...", &line[..end]),
        None => format!("{line:?}"),
    }
}

fn in_unit(c: char, escaped: bool, unit: Unit) -> Result<u32, String> {
    match unit {
        Unit::Byte if !c.is_ascii() && !escaped => {
            Err(format!("{c:?} is {} bytes in UTF-8; write each byte as \\xHH", c.len_utf8()))
        }
        _ => Ok(c.into()),
    }
}

fn of_array(entries: &[Value], unit: Option<Unit>) -> Result<ListedSymbols, String> {
    let numbers = entries[0].is_number();
    let own = if numbers { Unit::Byte } else { unit.unwrap_or_default() };
    if unit.is_some_and(|unit| unit != own) {
        return Err("its numbers are bytes, but the unit is char".to_owned());
    }
    let symbol = |entry: &Value| {
        let symbol = match entry {
            Value::Number(number) if numbers => {
                let byte = number.as_u64().and_then(|number| u8::try_from(number).ok());
                byte.map(u32::from).ok_or_else(|| format!("found {entry}, expected a number below 256"))?
            }
            Value::String(text) if !numbers => of_string(text, own)?,
            _ if numbers => return Err(format!("found {entry}, expected a number below 256")),
            _ => return Err(format!("found {entry}, expected a string of one character")),
        };
        Ok((format!("the symbol {entry}"), symbol))
    };
    Ok((own, entries.iter().map(symbol).collect::<Result<_, String>>()?))
}

fn of_string(text: &str, unit: Unit) -> Result<u32, String> {
    let c = only_char(text).ok_or_else(|| format!("found {text:?}, expected a string of one character"))?;
    in_unit(c, false, unit).map_err(|_| format!("{c:?} is no byte; give bytes as an array of numbers"))
}

fn of_object(map: &Map<String, Value>, unit: Option<Unit>) -> Result<ListedSymbols, String> {
    if let Some(table) = TABLES.iter().find_map(|name| map.get(*name)) {
        return match table {
            Value::Object(map) => of_object(map, unit),
            Value::Array(entries) if !entries.is_empty() => of_array(entries, unit),
            _ => Err("its table of symbols is neither an object nor an array".to_owned()),
        };
    }
    let unit = unit.unwrap_or_default();
    let symbol = |(key, value): (&String, &Value)| {
        let text = match value {
            Value::Number(_) => key,
            Value::String(text) if key.parse::<u64>().is_ok() => text,
            _ => return Err(format!("found {key:?}: {value}, expected a symbol and its number")),
        };
        Ok((format!("the symbol {text:?}"), of_string(text, unit)?))
    };
    Ok((unit, map.iter().map(symbol).collect::<Result<_, String>>()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        /// Any bytes give a vocabulary or an error of one line.
        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>, text in "[\\[\\]{}\":,0-9a-c\n\\\\xuU]{0,40}") {
            for bytes in [&bytes[..], text.as_bytes()] {
                for unit in [None, Some(Unit::Char), Some(Unit::Byte)] {
                    if let Err(error) = Vocabulary::from_list(bytes, Path::new("list"), unit) {
                        let message = error.to_string();
                        assert!(message.starts_with("list is not a vocabulary: ") && !message.contains('\n'), "{message}");
                    }
                }
            }
        }
    }

    fn chars(text: &str, unit: Option<Unit>) -> Vocabulary {
        Vocabulary::parse(text, unit).expect(text)
    }

    #[test]
    fn lists_have_one_symbol_per_line() {
        let expected = Vocabulary::of_chars("\n\t\0\\ a\u{e9}\u{20ac}\u{1F600}[".chars()).unwrap();
        let list = "[\na\n \n\\n\n\\t\n\\0\n\\\\\n\\xe9\n\\u20AC\n\u{1F600}\n";
        assert_eq!(chars(list, None), expected);
        assert_eq!(chars(&list.replace('\n', "\r\n"), None), expected);
        assert_eq!(chars(list.trim_end(), Some(Unit::Char)), expected);
        let all: String = (0..=255).map(|byte| format!("\\x{byte:02X}\n")).collect();
        assert_eq!(chars(&all, Some(Unit::Byte)), Vocabulary::all_bytes());
        assert_eq!(chars("\r\n", None), Vocabulary::of_chars(['\r']).unwrap());
        assert_eq!(chars("[\n]\n", None), Vocabulary::of_chars(['[', ']']).unwrap());
    }

    #[test]
    fn the_json_of_other_programs_is_read() {
        let expected = Vocabulary::of_chars("ab1".chars()).unwrap();
        for json in [
            r#"["b", "1", "a"]"#,
            r#"{"a": 0, "1": 1, "b": 2}"#,
            r#"{"1": "a", "2": "b", "3": "1"}"#,
            r#"{"idx_to_token": {"1": "a", "2": "b", "3": "1"}}"#,
            r#"{"vocab_size": 3, "itos": ["a", "b", "1"]}"#,
            "[\n  \"a\",\n  \"b\",\n  \"1\"\n]\n",
        ] {
            assert_eq!(chars(json, None), expected, "{json}");
        }
        assert_eq!(chars("[97, 10]", None), Vocabulary::of_bytes([10, 97]).unwrap());
        assert_eq!(chars(r#"["a"]"#, Some(Unit::Byte)), Vocabulary::of_bytes([97]).unwrap());
    }

    #[test]
    fn a_file_that_is_not_a_vocabulary_is_refused_with_the_reason() {
        for (text, unit, problem) in [
            ("", None, "it holds no symbol"),
            ("a\n\nb", None, "line 2: found nothing, expected one symbol: a newline is written \\n"),
            ("a\nbc\n", None, "line 2: found \"bc\", expected one symbol"),
            ("\\q", None, "line 1: found \"\\q\", expected \\n"),
            ("\\x1", None, "line 1: found \"\\x1\", expected \\n"),
            ("\\uD800", None, "line 1: found \"\\uD800\""),
            ("\\x+1", None, "line 1: found \"\\x+1\""),
            ("a\nb\na\n", None, "the symbol \"a\" of line 3 comes twice"),
            ("\u{e9}", Some(Unit::Byte), "line 1: '\u{e9}' is 2 bytes in UTF-8; write each byte as \\xHH"),
            ("[97]", Some(Unit::Char), "its numbers are bytes, but the unit is char"),
            (
                "[97]",
                Some(Unit::Ids),
                "with unit = ids the vocabulary is a number of ids: pass --vocabulary-size",
            ),
            ("[\"a\", \"<unk>\"]", None, "found \"<unk>\", expected a string of one character"),
            ("[97, 256]", None, "found 256, expected a number below 256"),
            ("[\"a\", 3]", None, "found 3, expected a string of one character"),
            ("[\"\u{e9}\"]", Some(Unit::Byte), "give bytes as an array of numbers"),
            ("{\"a\": []}", None, "found \"a\": [], expected a symbol and its number"),
            ("{\"a\": ", None, "it begins like JSON, but: EOF"),
            (&"long".repeat(99), None, "found \"longlonglonglonglonglong\"..., expected one symbol"),
            ("{\"1\": \"a\", \"2\": \"a\"}", None, "the symbol \"a\" comes twice"),
        ] {
            let found = Vocabulary::parse(text, unit).expect_err(text);
            assert!(found.contains(problem), "{text:?}: {found}");
        }
    }
}
