//! Settings as a flat TOML table of their keys.

use super::failure::Failure;
use toml::Table;
use unrolled::Settings;

/// The keys that the layers of `stack` replace.
pub const REPLACED_BY_STACK: [&str; 9] = [
    "cell",
    "activation",
    "reset",
    "forget-bias",
    "forget-bias-at",
    "gate-bias",
    "hidden",
    "layers",
    "dropout",
];

/// Returns the settings by their keys.
///
/// # Errors
/// A whole number of 2^63 or above, which the library accepts and TOML does not.
pub fn table_of(settings: &Settings) -> Result<Table, Failure> {
    Table::try_from(settings).map_err(|error| {
        Failure::Usage(format!(
            "cannot write the settings as TOML ({error}): found a whole number of 2^63 or above, expected a smaller one; check \
             the seed"
        ))
    })
}

/// Returns `base` with the keys of each of `tables` in its place, the last one winning.
pub fn overlay<'a>(base: &Settings, tables: impl Iterator<Item = &'a Table>) -> Result<Settings, Failure> {
    let mut table = table_of(base)?;
    for other in tables {
        table.extend(other.clone());
    }
    table.try_into().map_err(|error: toml::de::Error| Failure::Usage(plain_message(error.message())))
}

/// Type names in the messages of the TOML parser, and plain words for them.
const TYPES: [(&str, &str); 5] = [
    ("expected usize", "expected a whole number of 0 or above"),
    ("expected u32", "expected a whole number of 0 or above"),
    ("expected u64", "expected a whole number of 0 or above"),
    ("expected f32", "expected a number"),
    ("expected f64", "expected a number"),
];

/// Returns the first line of a message of the TOML parser, in plain words.
pub fn plain_message(message: &str) -> String {
    let line = message.lines().next().unwrap_or_default().trim().to_owned();
    match TYPES.iter().find_map(|(name, words)| Some(line.strip_suffix(name)?.to_owned() + words)) {
        Some(plain) => plain,
        None => line,
    }
}
