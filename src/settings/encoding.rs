//! Names of character encodings.

use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A character encoding: its [WHATWG](https://encoding.spec.whatwg.org/) name in lower case, such
/// as `utf-8`, `utf-16le`, `windows-1252` or `shift_jis`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Encoding(String);

impl Encoding {
    /// Returns the encoding with a WHATWG label: a name or an alias, in any case. `latin1` and
    /// `iso-8859-1` are both `windows-1252`. Without the feature `encodings`, every label is
    /// accepted and kept as it is.
    ///
    /// # Errors
    /// [`Error::Setting`] for an unknown label, and for UTF-32, which is not supported.
    pub fn new(label: &str) -> Result<Self> {
        let name = label.trim().to_ascii_lowercase();
        match resolve(&name) {
            Some(name) => Ok(Self(name)),
            None => Err(unknown(label, &name)),
        }
    }

    /// Returns the name in lower case.
    pub fn name(&self) -> &str {
        &self.0
    }

    /// Returns true for UTF-8, which needs no decoding.
    pub fn is_utf8(&self) -> bool {
        self.0 == "utf-8"
    }

    /// Returns true for UTF-16, in which ordinary text contains NUL bytes.
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
    fn labels_are_resolved_to_names() {
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
    fn an_unknown_encoding_is_an_error() {
        let message = |label| Encoding::new(label).unwrap_err().to_string();
        assert!(message("latin-9000").starts_with("encoding = latin-9000 is invalid: give the WHATWG label"));
        assert!(message("utf-32le").contains("UTF-32 is not read; convert the text first: iconv"));
        assert!(message("").starts_with("encoding =  is invalid"));
    }
}
