//! Reads settings from one flat table of keys. An unknown key is an error.

use super::{DataSettings, ModelSettings, OptimizerSettings, RunSettings, ScheduleSettings, Settings};
use serde::{
    Deserialize, Deserializer,
    de::{Error, IgnoredAny, Visitor, value},
    forward_to_deserialize_any,
};
use std::collections::BTreeMap;

/// The groups of [`Settings`], and the unknown keys.
#[derive(Deserialize)]
struct Table {
    #[serde(flatten)]
    model: ModelSettings,
    #[serde(flatten)]
    optimizer: OptimizerSettings,
    #[serde(flatten)]
    schedule: ScheduleSettings,
    #[serde(flatten)]
    data: DataSettings,
    #[serde(flatten)]
    run: RunSettings,
    #[serde(flatten)]
    unknown: BTreeMap<String, IgnoredAny>,
}

impl<'de> Deserialize<'de> for Settings {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let Table { model, optimizer, schedule, data, run, unknown } = Table::deserialize(from)?;
        match unknown.first_key_value() {
            None => Ok(Self { model, optimizer, schedule, data, run }),
            Some((key, _)) => {
                let known = Self::keys().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ");
                Err(D::Error::custom(format!("unknown field `{key}`, expected one of {known}")))
            }
        }
    }
}

impl Settings {
    /// Returns the keys of all settings, as in configuration files and checkpoints.
    pub fn keys() -> impl Iterator<Item = &'static str> {
        [
            field_names::<ModelSettings>(),
            field_names::<OptimizerSettings>(),
            field_names::<ScheduleSettings>(),
            field_names::<DataSettings>(),
            field_names::<RunSettings>(),
        ]
        .into_iter()
        .flatten()
        .copied()
    }
}

/// Returns the names of the fields that a struct has in files.
fn field_names<'de, T: Deserialize<'de>>() -> &'static [&'static str] {
    let mut names: &[&str] = &[];
    // The deserializer stores the names and then gives no value.
    let _ = T::deserialize(FieldNames(&mut names));
    names
}

/// A deserializer that stores the names of the fields of a struct.
struct FieldNames<'a>(&'a mut &'static [&'static str]);

impl<'de> Deserializer<'de> for FieldNames<'_> {
    type Error = value::Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, value::Error> {
        Err(value::Error::custom("there is no value"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, value::Error> {
        *self.0 = fields;
        self.deserialize_any(visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Layer, Precision, Schedule};

    fn message_of(json: &str) -> String {
        serde_json::from_str::<Settings>(json).expect_err("the settings are invalid").to_string()
    }

    #[test]
    fn the_keys_of_all_groups_form_one_table() {
        let json = r#"{
            "hidden": 9, "stack": [{ "cell": "gru", "hidden": 7 }], "batch": 3, "optimizer": "sgd", "momentum": 0.5,
            "schedule": "constant", "val-fraction": 0.2, "clip": 0.3, "precision": "bf16", "seed": 18446744073709551615
        }"#;
        let read: Settings = serde_json::from_str(json).unwrap();
        let mut expected = Settings::default();
        (expected.model.hidden, expected.model.stack) = (9, vec![Layer::gru(7)]);
        expected.optimizer = OptimizerSettings { clip: 0.3, ..OptimizerSettings::sgd(0.5) };
        expected.schedule.kind = Schedule::Constant;
        expected.data.val_fraction = 0.2;
        (expected.run.batch, expected.run.seed, expected.run.precision) = (3, u64::MAX, Precision::Bf16);
        assert_eq!(read, expected);
        assert_eq!(serde_json::from_str::<Settings>("{}").unwrap(), Settings::default());
    }

    #[test]
    fn every_written_key_is_known_and_belongs_to_one_group() {
        let mut known: Vec<_> = Settings::keys().collect();
        let written = serde_json::to_value(Settings::default()).unwrap();
        assert!(written.as_object().unwrap().keys().all(|key| known.contains(&key.as_str())), "{written}");
        let count = known.len();
        known.sort_unstable();
        known.dedup();
        assert_eq!(known.len(), count);
    }

    #[test]
    fn an_unknown_key_is_an_error() {
        for key in ["hiden", "model", "kind", "learning_rate"] {
            let message = message_of(&format!(r#"{{ "hidden": 9, "{key}": 3 }}"#));
            assert!(
                message.starts_with(&format!("unknown field `{key}`, expected one of `cell`, `")),
                "{message}"
            );
        }
        assert!(
            message_of(r#"{ "stack": [{ "hiden": 3 }] }"#)
                .starts_with("unknown field `hiden`, expected one of")
        );
    }

    #[test]
    fn a_wrong_value_and_a_repeated_key_are_errors() {
        assert!(
            message_of(r#"{ "hidden": "many" }"#)
                .starts_with("invalid type: string \"many\", expected usize")
        );
        assert!(
            message_of(r#"{ "precision": "f16" }"#)
                .starts_with("unknown variant `f16`, expected `f32` or `bf16`")
        );
        assert!(message_of(r#"{ "cell": "lstn" }"#).starts_with("unknown variant `lstn`, expected one of"));
        assert!(message_of(r#"{ "hidden": 1, "hidden": 2 }"#).starts_with("duplicate field `hidden`"));
        assert!(message_of("[1, 2]").starts_with("invalid type: sequence, expected"));
    }
}
