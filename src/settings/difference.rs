//! The keys whose values differ between two configurations.

use super::{Layer, Settings, decimal::Number};
use serde::Serialize;
use serde_json::{Map, Value};

/// A setting whose value differs between two configurations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingDifference {
    /// The key, as in the configuration file. A key of a layer starts with the number of the layer:
    /// `layer 1: hidden`.
    pub key: String,
    /// The value found.
    pub found: String,
    /// The value expected.
    pub expected: String,
}

impl Settings {
    /// Returns all keys whose values differ, sorted by name.
    pub fn differences(&self, expected: &Self) -> Vec<SettingDifference> {
        differences(&keys(self), &keys(expected))
    }
}

impl Layer {
    /// Returns all keys whose values differ, sorted by name.
    pub fn differences(&self, expected: &Self) -> Vec<SettingDifference> {
        differences(&keys(self), &keys(expected))
    }
}

fn keys(value: &impl Serialize) -> Map<String, Value> {
    match serde_json::to_value(value) {
        Ok(Value::Object(map)) => map,
        _ => Map::new(),
    }
}

fn differences(found: &Map<String, Value>, expected: &Map<String, Value>) -> Vec<SettingDifference> {
    let mut names: Vec<&String> = found.keys().chain(expected.keys()).collect();
    names.sort();
    names.dedup();
    let differing = names.into_iter().filter(|key| found.get(*key) != expected.get(*key));
    let difference = |key: &String| {
        let [found, expected] = [found.get(key), expected.get(key)].map(shown);
        SettingDifference { key: key.clone(), found, expected }
    };
    differing.map(difference).collect()
}

/// Returns a value as in a configuration file; `None` means that the key has its default.
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
