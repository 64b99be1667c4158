//! The TOML text that describes a network to train.

use crate::precision;
use crate::status::Failure;
use toml::{Table, Value};
use unrolled::{ModelSettings, Precision};

/// The keys of a model of vectors, as in a configuration file.
pub(crate) const MODEL_KEYS: [&str; 15] = [
    "activation",
    "bias",
    "cell",
    "dropout",
    "forget-bias",
    "forget-bias-at",
    "gate-bias",
    "hidden",
    "init",
    "init-scale",
    "inputs",
    "layers",
    "outputs",
    "reset",
    "stack",
];

/// The keys that the layers of `[[stack]]` replace.
const REPLACED_BY_STACK: [&str; 9] = [
    "activation",
    "cell",
    "dropout",
    "forget-bias",
    "forget-bias-at",
    "gate-bias",
    "hidden",
    "layers",
    "reset",
];

/// A network to train.
#[derive(Debug)]
pub(crate) struct Description {
    pub(crate) model: ModelSettings,
    pub(crate) seed: u64,
    pub(crate) precision: Precision,
    /// `None`: one for each core.
    pub(crate) threads: Option<usize>,
}

impl Description {
    /// Parses a text.
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        let mut table: Table = toml::from_str(text).map_err(|error| with_line(&error, text))?;
        let seed = table.remove("seed").map_or(Ok(1), |value| whole("seed", &value))?;
        let threads = table.remove("threads").map(|value| whole("threads", &value)).transpose()?;
        let precision =
            table.remove("precision").map_or(Ok(Precision::F32), |value| precision::of(&value))?;
        for (key, value) in &table {
            check_key(key, value)?;
        }
        let replaced = REPLACED_BY_STACK.iter().find(|key| table.contains_key(**key));
        match replaced.filter(|_| table.contains_key("stack")) {
            Some(key) => Err(Failure::argument(format!(
                "key {key}: it has no effect beside [[stack]]; leave it out, or set it in the layers"
            ))),
            None => {
                let threads = threads.map(|count| count as usize);
                Ok(Self { model: model(table)?, seed, precision, threads })
            }
        }
    }
}

fn model(table: Table) -> Result<ModelSettings, Failure> {
    table.try_into().map_err(|error: toml::de::Error| Failure::argument(first_line(error.message())))
}

/// Returns an error for a key that the description cannot have, or a value of the wrong type.
fn check_key(key: &str, value: &Value) -> Result<(), Failure> {
    if !MODEL_KEYS.contains(&key) {
        let known = MODEL_KEYS.join(", ");
        return Err(Failure::argument(format!(
            "unknown key {key}, expected seed, threads, precision or one of {known}"
        )));
    }
    let single = Table::from_iter([(key.to_owned(), value.clone())]);
    let parsed: Result<ModelSettings, toml::de::Error> = single.try_into();
    parsed.map(drop).map_err(|error| Failure::argument(format!("key {key}: {}", first_line(error.message()))))
}

fn whole(key: &str, value: &Value) -> Result<u64, Failure> {
    value.as_integer().and_then(|number| u64::try_from(number).ok()).ok_or_else(|| {
        Failure::argument(format!("key {key}: found {value}, expected a whole number of 0 or above"))
    })
}

/// Returns a syntax error with its line number.
fn with_line(error: &toml::de::Error, text: &str) -> Failure {
    let before = error.span().and_then(|span| text.get(..span.start));
    let line = before.map_or(0, |before| before.matches('\n').count()) + 1;
    Failure::argument(format!("line {line} of the description: {}", first_line(error.message())))
}

fn first_line(message: &str) -> &str {
    message.lines().next().unwrap_or_default()
}
