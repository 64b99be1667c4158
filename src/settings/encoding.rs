//! Names of character encodings.

use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A character encoding, by its WHATWG name in lower case: `utf-8`, `utf-16le`, `windows-1252`, `shift_jis`, ...
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Encoding(String);

impl Encoding {
    /// The encoding with this WHATWG label. Labels are names and their aliases, in any case: `latin1` and `iso-8859-1`
    /// both name `windows-1252`. A library built without the feature `encodings` takes every name and resolves none.
    ///
    /// # Errors
    /// [`Error::Setting`] for a label that names no encoding, and for UTF-32, which is not read.
    pub fn new(label: &str) -> Result<Self> {
        let name = label.trim().to_ascii_lowercase();
        match resolve(&name) {
            Some(name) => Ok(Self(name)),
            None => Err(unknown(label, &name)),
        }
    }

    /// Its name in lower case.
    pub fn name(&self) -> &str {
        &self.0
    }

    /// Whether it is UTF-8, which needs no decoding.
    pub fn is_utf8(&self) -> bool {
        self.0 == "utf-8"
    }

    /// Whether a code unit has two bytes, so that NUL bytes are a part of ordinary text.
    #[cfg(feature = "files")]
    pub(crate) fn is_utf16(&self) -> bool {
        self.0.starts_with("utf-16")
    }
}

#[cfg(feature = "encodings")]
fn resolve(label: &str) -> Option<String> {
    let encoding = encoding_rs::Encoding::for_label_no_replacement(label.as_bytes())?;
    Some(encoding.name().to_ascii_lowercase())
}

#[cfg(not(feature = "encodings"))]
fn resolve(label: &str) -> Option<String> {
    (!label.is_empty()).then(|| if label == "utf8" { "utf-8" } else { label }.to_owned())
}

fn unknown(label: &str, name: &str) -> Error {
    let expected = if name.starts_with("utf-32") || name.starts_with("utf32") || name.starts_with("ucs-4") {
        "UTF-32 is not read; convert the text first: iconv -f UTF-32 -t UTF-8"
    } else {
        "give the WHATWG label of an encoding, such as utf-8, utf-16le, utf-16be, windows-1252, iso-8859-15, \
         koi8-r, shift_jis, euc-jp, gbk, gb18030, big5 or euc-kr"
    };
    Error::setting("encoding", label, expected)
}

impl fmt::Display for Encoding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl TryFrom<String> for Encoding {
    type Error = Error;

    fn try_from(label: String) -> Result<Self> {
        Self::new(&label)
    }
}

impl From<Encoding> for String {
    fn from(encoding: Encoding) -> Self {
        encoding.0
    }
}

#[cfg(all(test, feature = "encodings"))]
mod tests {
    use super::*;

    #[test]
    fn labels_become_names() {
        let name = |label| Encoding::new(label).unwrap().name().to_owned();
        assert_eq!(name("UTF8"), "utf-8");
        assert_eq!(name(" Latin1 "), "windows-1252");
        assert_eq!(name("iso-8859-1"), "windows-1252");
        assert_eq!(name("utf-16"), "utf-16le");
        assert_eq!(name("sjis"), "shift_jis");
        assert!(Encoding::new("utf8").unwrap().is_utf8());
        assert!(Encoding::new("utf-16be").unwrap().is_utf16());
    }

    #[test]
    fn what_is_no_encoding_is_refused() {
        let message = |label| Encoding::new(label).unwrap_err().to_string();
        assert!(message("latin-9000").starts_with("encoding = latin-9000 is invalid: give the WHATWG label"));
        assert!(message("utf-32le").contains("UTF-32 is not read; convert the text first: iconv"));
        assert!(message("").starts_with("encoding =  is invalid"));
    }
}
