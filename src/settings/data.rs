//! How files become symbols, and which of them are held out.

use super::{
    Encoding, IdWidth, Invalid, SplitBy, Unit, Unknown,
    decimal::Number,
    layer,
    range::{below_one, require},
};
use crate::Result;
use serde::{Deserialize, Serialize};

/// How files become symbols, and which of them are held out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct DataSettings {
    /// What a symbol is.
    pub unit: Unit,
    /// Number of bits of an id in the files of a corpus, with unit `ids`.
    #[serde(skip_serializing_if = "layer::is_default")]
    pub id_width: IdWidth,
    /// What to do with bytes that are not UTF-8.
    pub invalid: Invalid,
    /// What to do with symbols that a given vocabulary lacks. When absent they are an error, or become new symbols of a model
    /// that [`Training::fine_tune`](crate::train::Training::fine_tune) starts from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unknown: Option<Unknown>,
    /// The encoding of the text, which is decoded as it is opened. When absent: UTF-8, or what a byte-order mark says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoding: Option<Encoding>,
    /// Below folders, only files that one of these patterns names, as in a `.gitignore`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub include: Vec<String>,
    /// Below folders, no file that one of these patterns names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<String>,
    /// Below folders, also files that a `.gitignore` or `.ignore` names.
    #[serde(skip_serializing_if = "layer::is_default")]
    pub no_ignore: bool,
    /// Whether the documents of the text (its files, or what `document_marker` ends) are shuffled, each as a whole, by the
    /// seed.
    #[serde(skip_serializing_if = "layer::is_default")]
    pub shuffle_documents: bool,
    /// What stands between one file of the text and the next.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub separator: String,
    /// The text at the end of each document within a file; when empty, each file is one document. It is a part of the text.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub document_marker: String,
    /// Where the held-out parts begin.
    #[serde(skip_serializing_if = "layer::is_default")]
    pub split_by: SplitBy,
    /// Share of the text held out for validation.
    pub val_fraction: f64,
    /// Share of the text held out for a final test.
    pub test_fraction: f64,
}

impl Default for DataSettings {
    fn default() -> Self {
        Self {
            unit: Unit::Char,
            id_width: IdWidth::Bits16,
            invalid: Invalid::Error,
            unknown: None,
            encoding: None,
            include: Vec::new(),
            exclude: Vec::new(),
            no_ignore: false,
            shuffle_documents: false,
            separator: String::new(),
            document_marker: String::new(),
            split_by: SplitBy::Tail,
            val_fraction: 0.1,
            test_fraction: 0.0,
        }
    }
}

impl DataSettings {
    /// Checks every value by itself and against the others.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) names the first setting that is invalid, what was found, and the range.
    pub fn validate(&self) -> Result<()> {
        below_one("val-fraction", self.val_fraction)?;
        below_one("test-fraction", self.test_fraction)?;
        let held_out = self.val_fraction + self.test_fraction;
        let expected = "with the test-fraction it leaves no text to train on; their sum must be below 1";
        require(held_out < 1.0, "val-fraction", Number(self.val_fraction), expected)?;
        if let Some(encoding) = &self.encoding {
            let expected = "the bytes of a text are decoded only with unit = char; leave one of the two out";
            require(self.unit == Unit::Char, "encoding", encoding, expected)?;
        }
        self.validate_ids()?;
        let expected =
            "the marker ends every document already, also the last of a file; leave the separator out";
        let one = self.separator.is_empty() || self.document_marker.is_empty();
        require(one, "separator", format_args!("{:?}", self.separator), expected)
    }

    /// Options for text have no meaning for ids.
    fn validate_ids(&self) -> Result<()> {
        if self.unit != Unit::Ids {
            return Ok(());
        }
        let expected = "it is an option for text, and with unit = ids the corpus has token ids; leave it out";
        let quoted = |text: &str| format!("{text:?}");
        let is_error = self.unknown.is_none_or(|unknown| unknown == Unknown::Error);
        require(self.invalid == Invalid::Error, "invalid", self.invalid.name(), expected)?;
        require(is_error, "unknown", self.unknown.map_or("", Unknown::name), expected)?;
        require(self.separator.is_empty(), "separator", quoted(&self.separator), expected)?;
        require(self.document_marker.is_empty(), "document-marker", quoted(&self.document_marker), expected)
    }
}
