//! Parsers for other values than numbers on the command line.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use unrolled::{Encoding, Error, Layer, Precision, Unknown};

/// Returns the parser for the number of bits of an id in a file.
pub fn id_width() -> impl TypedValueParser<Value = u32> {
    PossibleValuesParser::new(["16", "32"]).map(|bits| bits.parse().unwrap_or_default())
}

/// Returns the parser for the number format of products.
pub fn precision() -> impl TypedValueParser<Value = Precision> {
    PossibleValuesParser::new(Precision::NAMES).map(|name| Precision::named(&name).unwrap_or_default())
}

/// Parses the content of an inline table of TOML.
pub fn layer(text: &str) -> Result<Layer, String> {
    let table: toml::Table = toml::from_str(&format!("layer = {{ {text} }}"))
        .map_err(|_| "expected a list of name = value, such as: cell = \"gru\", hidden = 96".to_owned())?;
    let layer = table.get("layer").cloned().unwrap_or(toml::Value::Boolean(false));
    layer.try_into().map_err(|error: toml::de::Error| error.message().to_owned())
}

/// Returns the name of an encoding for any of its labels.
pub fn encoding(label: &str) -> Result<String, String> {
    match Encoding::new(label) {
        Ok(encoding) => Ok(encoding.into()),
        Err(Error::Setting { expected, .. }) => Err(expected),
        Err(error) => Err(error.to_string()),
    }
}

/// Parses a text with the escapes of C.
pub fn unescaped(text: &str) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        out.push(match c {
            '\\' => match rest.next() {
                Some('n') => '\n',
                Some('t') => '\t',
                Some('r') => '\r',
                Some('0') => '\0',
                Some('\\') => '\\',
                other => {
                    let found = other.map_or("nothing".to_owned(), |c| format!("{c:?}"));
                    return Err(format!(
                        "after a backslash found {found}, expected n, t, r, 0 or a backslash"
                    ));
                }
            },
            c => c,
        });
    }
    Ok(out)
}

/// Returns the choice for a name that the argument parser has checked.
pub fn unknown(name: &str) -> Unknown {
    match name {
        "skip" => Unknown::Skip,
        "replace" => Unknown::Replace,
        _ => Unknown::Error,
    }
}
