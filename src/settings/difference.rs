//! Where two configurations differ, by the names of their keys.

use super::{Layer, Settings, decimal::Number};
use serde::Serialize;
use serde_json::{Map, Value};

/// A key that has two values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The key, as in the configuration file; of a layer of a stack with the layer before it: `layer 1: hidden`.
    pub key: String,
    /// The value found.
    pub found: String,
    /// The value expected.
    pub expected: String,
}

impl Settings {
    /// All keys that differ from those of other settings, sorted by name.
    pub fn differences(&self, expected: &Self) -> Vec<Difference> {
        differences(&keys(self), &keys(expected))
    }
}

impl Layer {
    /// All keys that differ from those of another layer, sorted by name.
    pub fn differences(&self, expected: &Self) -> Vec<Difference> {
        differences(&keys(self), &keys(expected))
    }
}

fn keys(value: &impl Serialize) -> Map<String, Value> {
    match serde_json::to_value(value) {
        Ok(Value::Object(map)) => map,
        _ => Map::new(),
    }
}

fn differences(found: &Map<String, Value>, expected: &Map<String, Value>) -> Vec<Difference> {
    let mut names: Vec<&String> = found.keys().chain(expected.keys()).collect();
    names.sort();
    names.dedup();
    let differing = names.into_iter().filter(|key| found.get(*key) != expected.get(*key));
    let difference = |key: &String| {
        let [found, expected] = [found.get(key), expected.get(key)].map(shown);
        Difference { key: key.clone(), found, expected }
    };
    differing.map(difference).collect()
}

/// A value as a configuration file has it; a key that is not there has its default.
fn shown(value: Option<&Value>) -> String {
    match value {
        None => "the default".to_owned(),
        Some(Value::Number(number)) if number.is_f64() => {
            Number(number.as_f64().unwrap_or(f64::NAN)).to_string()
        }
        Some(Value::String(text)) if !text.is_empty() => text.escape_debug().to_string(),
        Some(value) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DataSettings, ModelSettings, RunSettings};

    #[test]
    fn differing_keys_are_named_with_both_values() {
        let found = Settings {
            model: ModelSettings { hidden: 8, ..ModelSettings::default() },
            data: DataSettings { separator: "\n".into(), ..DataSettings::default() },
            run: RunSettings { max_steps: Some(3), ..RunSettings::default() },
            ..Settings::default()
        };
        let differences = found.differences(&Settings::default());
        let texts: Vec<_> =
            differences.iter().map(|d| format!("{} {} {}", d.key, d.found, d.expected)).collect();
        assert_eq!(texts, ["hidden 8 256", "max-steps 3 the default", "separator \\n the default"]);
        assert!(found.differences(&found).is_empty());
    }
}
