//! How files become symbols, and the sizes of the held-out splits.

use super::{
    Encoding, IdWidth, Invalid, SplitBy, Unit, Unknown,
    decimal::Number,
    defaults,
    range::{below_one, require},
};
use crate::Result;
use serde::{Deserialize, Serialize};

/// How files become symbols, and the sizes of the held-out splits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct DataSettings {
    /// Kind of symbol: a character, a byte or a token id. Default `char`.
    pub unit: Unit,
    /// Number of bits of an id in the files: 16 or 32, in little-endian order. Default 16. Unit
    /// `ids` only.
    #[serde(skip_serializing_if = "defaults::is_default")]
    pub id_width: IdWidth,
    /// Treatment of bytes that are not UTF-8. Default `error`. Unit `char` only.
    pub invalid: Invalid,
    /// Treatment of symbols that are not in a given vocabulary. Default: an error; in fine-tuning
    /// ([`Training::fine_tune`](crate::train::Training::fine_tune)) they become new symbols.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unknown: Option<Unknown>,
    /// Encoding of the files. Default: the encoding of a byte-order mark, otherwise UTF-8. Unit
    /// `char` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoding: Option<Encoding>,
    /// Patterns in `.gitignore` syntax: in folders, only matching files are read. Default: all
    /// files.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub include: Vec<String>,
    /// Patterns in `.gitignore` syntax: in folders, matching files are not read. Default: none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<String>,
    /// True if files that a `.gitignore` or `.ignore` excludes are also read. Default false.
    #[serde(skip_serializing_if = "defaults::is_default")]
    pub no_ignore: bool,
    /// True if the documents (files, or sections that end with `document-marker`) are shuffled by
    /// the random seed. Default false.
    #[serde(skip_serializing_if = "defaults::is_default")]
    pub shuffle_documents: bool,
    /// Text inserted between two files. Default: none. Without `document-marker` only.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub separator: String,
    /// Text that ends each document in a file, and belongs to the document. Default: each file is
    /// one document.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub document_marker: String,
    /// Start of the validation and test splits. Default `tail`.
    #[serde(skip_serializing_if = "defaults::is_default")]
    pub split_by: SplitBy,
    /// Share of the corpus held out for validation, from 0 to below 1. Default 0.1.
    pub val_fraction: f64,
    /// Share of the corpus held out for a final test, from 0 to below 1. Default 0.
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
    /// Checks each value, and combinations of values.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) names the first invalid setting, its value and its
    /// range.
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

    /// Checks that options for text are not set for token ids.
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
