//! The settings that matter for a run: without those of another cell, optimizer or schedule.

use super::{
    failure::Failure,
    number_format,
    settings_table::{REPLACED_BY_STACK, table_of},
};
use toml::{Table, Value};
use unrolled::Settings;

/// A key and the choices that it belongs to: the key of the choice and its values.
type Condition = (&'static str, &'static str, &'static [&'static str]);

/// Keys that matter only with certain values of another key. All conditions of a key must hold.
const CONDITIONS: &[Condition] = &[
    ("activation", "cell", &["rnn"]),
    ("reset", "cell", &["gru"]),
    ("gate-bias", "cell", &["gru"]),
    ("forget-bias", "cell", &["lstm"]),
    ("forget-bias-at", "cell", &["lstm"]),
    ("embedding", "input", &["embedding"]),
    ("beta1", "optimizer", &["adam", "adamw"]),
    ("beta2", "optimizer", &["adam", "adamw"]),
    ("epsilon", "optimizer", &["adam", "adamw", "adagrad", "rmsprop"]),
    ("decay", "optimizer", &["rmsprop"]),
    ("centered", "optimizer", &["rmsprop"]),
    ("momentum", "optimizer", &["sgd", "rmsprop"]),
    ("nesterov", "optimizer", &["sgd"]),
    ("weight-decay", "optimizer", &["adamw"]),
    ("initial-accumulator", "optimizer", &["adagrad", "rmsprop"]),
    ("cosine-floor", "schedule", &["cosine"]),
    ("warmup-steps", "schedule", &["cosine"]),
    ("epoch-decay", "schedule", &["epoch-decay"]),
    ("epoch-decay-after", "schedule", &["epoch-decay"]),
    ("epoch-decay-every", "schedule", &["epoch-decay"]),
    ("invalid", "unit", &["char"]),
];

/// Keys that matter only if the number of another key is above zero.
const NEEDS_ABOVE_ZERO: &[(&str, &str)] =
    &[("clip-mode", "clip"), ("patience", "val-fraction"), ("eval-symbols", "val-fraction")];

/// Returns the settings by their keys, without those that have no effect on this run.
pub fn relevant_settings(settings: &Settings) -> Result<Table, Failure> {
    let mut table = table_of(settings)?;
    let all = table.clone();
    let has_stack = all.contains_key("stack");
    table.retain(|key, _| matters(key, &all) && !(has_stack && REPLACED_BY_STACK.contains(&key)));
    if let Some(Value::Array(layers)) = table.get_mut("stack") {
        for layer in layers.iter_mut().filter_map(Value::as_table_mut) {
            let all = layer.clone();
            layer.retain(|key, _| matters(key, &all) && !(key == "cell" && all.contains_key("custom")));
        }
    }
    Ok(table)
}

/// Returns whether `key` has an effect beside the other settings of `table`.
fn matters(key: &str, table: &Table) -> bool {
    let text = |key: &str| table.get(key).and_then(Value::as_str);
    let is_custom = table.contains_key("custom");
    let holds = |choice: &str, values: &[&str]| {
        text(choice).is_none_or(|value| values.contains(&value) && !(is_custom && choice == "cell"))
    };
    let number = |key: &str| table.get(key).and_then(Value::as_float);
    CONDITIONS.iter().filter(|(name, ..)| *name == key).all(|(_, choice, values)| holds(choice, values))
        && NEEDS_ABOVE_ZERO
            .iter()
            .filter(|(name, _)| *name == key)
            .all(|(_, other)| number(other).is_none_or(|value| value > 0.0))
}

/// Returns the keys and values as text, the layers of a stack last and below a heading each:
/// `("layer 0", "")`, `("  cell", "gru")`.
pub fn lines(table: &Table) -> Vec<(String, String)> {
    let mut lines: Vec<_> = table
        .iter()
        .filter(|(key, _)| *key != "stack")
        .map(|(key, value)| (key.clone(), plain(value)))
        .collect();
    let layers = table.get("stack").and_then(Value::as_array).into_iter().flatten();
    for (number, layer) in layers.enumerate() {
        lines.push((format!("layer {number}"), String::new()));
        let entries = layer.as_table().into_iter().flatten();
        lines.extend(entries.map(|(key, value)| (format!("  {key}"), plain(value))));
    }
    lines
}

/// Returns a value without the quotes of TOML, and numbers without superfluous digits.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.escape_debug().to_string(),
        Value::Float(number) => number_format::plain(*number),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{config_file::ConfigFile, settings_flags::SettingsFlags};

    fn shown(config: &str) -> Vec<String> {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), config).expect("written");
        let config = ConfigFile::read(file.path()).expect("valid");
        let settings = config.settings(None, &SettingsFlags::default()).expect("valid");
        relevant_settings(&settings).expect("a table").keys().cloned().collect()
    }

    #[test]
    fn settings_of_other_cells_optimizers_and_schedules_are_left_out() {
        let has = |config: &str, key: &str| shown(config).iter().any(|found| found == key);
        assert!(
            has("", "forget-bias") && has("", "beta1") && has("", "cosine-floor") && has("", "clip-mode")
        );
        for absent in ["reset", "activation", "momentum", "decay", "epoch-decay"] {
            assert!(!has("", absent), "{absent}");
        }
        let other = "cell = \"gru\"\noptimizer = \"sgd\"\nschedule = \"epoch-decay\"\nclip = 0\nval-fraction = 0\npatience = 3";
        for present in ["reset", "momentum", "epoch-decay", "epoch-decay-every"] {
            assert!(has(other, present), "{present}");
        }
        for absent in ["forget-bias", "beta1", "cosine-floor", "warmup-steps", "clip-mode", "patience"] {
            assert!(!has(other, absent), "{absent}");
        }
    }

    #[test]
    fn a_stack_replaces_the_keys_of_single_cells() {
        let stack =
            "[[stack]]\ncell = \"gru\"\nhidden = 7\n[[stack]]\ncell = \"lstm\"\nhidden = 9\npeepholes = true";
        let keys = shown(stack);
        assert!(keys.contains(&"stack".to_owned()) && !keys.iter().any(|key| key == "hidden"), "{keys:?}");
        let config: Table = toml::from_str(stack).expect("valid");
        let lines = lines(&config);
        assert_eq!(lines[0], ("layer 0".to_owned(), String::new()));
        assert!(lines.contains(&("  cell".to_owned(), "gru".to_owned())), "{lines:?}");
    }

    #[test]
    fn numbers_are_short() {
        let table: Table =
            toml::from_str("a = 5.0\nb = 0.00000001\nc = 0.1\nd = 7\ne = \"x\"").expect("valid");
        let values: Vec<_> = lines(&table).into_iter().map(|(_, value)| value).collect();
        assert_eq!(values, ["5", "1e-8", "0.1", "7", "x"]);
    }

    #[test]
    fn conditions_name_keys_and_values_that_exist() {
        let keys = CONDITIONS.iter().flat_map(|(key, choice, _)| [*key, *choice]);
        let more = NEEDS_ABOVE_ZERO.iter().flat_map(|(key, other)| [*key, *other]);
        keys.chain(more)
            .chain(REPLACED_BY_STACK)
            .for_each(|key| assert!(Settings::keys().any(|known| known == key), "{key}"));
        for (key, choice, values) in CONDITIONS {
            for value in *values {
                let table = Table::from_iter([((*choice).to_owned(), Value::from(*value))]);
                let parsed: Result<Settings, _> = table.try_into();
                assert!(parsed.is_ok(), "{key}: {choice} = {value}");
            }
        }
    }
}
