//! Text for a terminal. A corpus, a file name or a model may contain characters that control the
//! terminal: escape sequences that set its title or colors, a carriage return within a line, marks
//! that reverse the reading direction. They are shown as `\u{1b}`.

use std::str;

/// Makes control characters visible in bytes that arrive in pieces. A piece may end inside a
/// character.
#[derive(Debug, Default)]
pub struct Visible {
    /// The start of a character, or a carriage return whose next byte is unknown.
    held: Vec<u8>,
}

impl Visible {
    /// Returns the text for the next bytes.
    pub fn push(&mut self, bytes: &[u8]) -> String {
        let mut bytes = [std::mem::take(&mut self.held).as_slice(), bytes].concat();
        let shown = bytes.len() - undecided(&bytes);
        self.held = bytes.split_off(shown);
        show(&bytes)
    }

    /// Returns the text for the rest.
    pub fn finish(&mut self) -> String {
        show(&std::mem::take(&mut self.held))
    }
}

/// Makes control characters visible in a whole text.
pub fn visible(text: &str) -> String {
    show(text.as_bytes())
}

/// Makes control characters visible in a line of JSON, as JSON escapes: the value stays the same.
pub fn visible_json(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    for c in line.chars() {
        match is_control(c) {
            true => text.push_str(&format!("\\u{:04x}", u32::from(c))),
            false => text.push(c),
        }
    }
    text
}

/// Returns the number of bytes at the end whose meaning depends on the next bytes.
fn undecided(bytes: &[u8]) -> usize {
    if bytes.ends_with(b"\r") {
        return 1;
    }
    // No character has more than four bytes.
    let starts = (1..=bytes.len().min(3)).map(|count| (count, &bytes[bytes.len() - count..]));
    let is_start =
        |end: &[u8]| str::from_utf8(end).is_err_and(|e| e.valid_up_to() == 0 && e.error_len().is_none());
    starts.filter(|(_, end)| is_start(end)).map(|(count, _)| count).max().unwrap_or(0)
}

fn show(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        let mut characters = chunk.valid().chars().peekable();
        while let Some(c) = characters.next() {
            let ends_line = c == '\r' && characters.peek() == Some(&'\n');
            match is_control(c) && !ends_line {
                true => text.extend(c.escape_default()),
                false => text.push(c),
            }
        }
        chunk.invalid().iter().for_each(|byte| text.push_str(&format!("\\x{byte:02x}")));
    }
    text
}

/// Returns whether a character may control a terminal: control characters except line feed and tab,
/// and marks of the reading direction.
fn is_control(c: char) -> bool {
    let turns =
        matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    (c.is_control() && c != '\n' && c != '\t') || turns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_shown_as_escapes() {
        for (text, shown) in [
            ("\u{1b}]0;title\u{7}", "\\u{1b}]0;title\\u{7}"),
            ("\u{9b}31m and \u{9d}", "\\u{9b}31m and \\u{9d}"),
            ("a\u{202e}b\u{2066}c\u{200f}\u{61c}", "a\\u{202e}b\\u{2066}c\\u{200f}\\u{61c}"),
            ("over\rwritten \0 \u{8} \u{7f}", "over\\rwritten \\u{0} \\u{8} \\u{7f}"),
        ] {
            assert_eq!(visible(text), shown);
        }
    }

    #[test]
    fn json_stays_the_same_value() {
        let value = serde_json::json!({ "run": "\u{1b}[31m \u{9b} \u{202e} \u{7f} caf\u{e9}" });
        let line = visible_json(&value.to_string());
        assert!(!line.chars().any(is_control), "{line}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&line).expect("JSON"), value);
    }

    #[test]
    fn other_text_stays_the_same() {
        for text in ["caf\u{e9} \u{2014} \u{1f600}\n\ttab\r\nline", "", "\u{5d0}\u{5d1}\u{5d2}"] {
            assert_eq!(visible(text), text);
        }
    }

    #[test]
    fn pieces_give_the_same_text_as_the_whole() {
        let bytes = b"a\xc3\xa9\r\nb\rc\xff\xf0\x9f\x98\x80 \xe2\x80 \x9b \x1b[2J end\xe2\x80";
        let whole = show(bytes);
        assert_eq!(whole, "a\u{e9}\r\nb\\rc\\xff\u{1f600} \\xe2\\x80 \\x9b \\u{1b}[2J end\\xe2\\x80");
        for size in 1..bytes.len() {
            let mut pieces = Visible::default();
            let mut text: String = bytes.chunks(size).map(|piece| pieces.push(piece)).collect();
            text += &pieces.finish();
            assert_eq!(text, whole, "{size}");
        }
        let mut pieces = Visible::default();
        assert_eq!((pieces.push(b"x\r"), pieces.finish()), ("x".to_owned(), "\\r".to_owned()));
        assert_eq!(pieces.push(b"\xc3\xa9"), "\u{e9}", "a symbol is shown as soon as it is complete");
    }
}
