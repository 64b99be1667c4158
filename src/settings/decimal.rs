//! Numbers in configuration files. An f32 is written as the shortest decimal number that reads as
//! the same f32: 0.3, not 0.30000001192092896.

pub(crate) use crate::error::Number;
use serde::{Deserialize, Deserializer, Serializer, de::Error};

/// Returns the shortest decimal number that reads as this f32.
pub(crate) fn shortest(value: f32) -> f64 {
    value.to_string().parse().unwrap_or(value.into())
}

pub(super) fn serialize<S: Serializer>(value: &f32, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_f64(shortest(*value))
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<f32, D::Error> {
    narrow(f64::deserialize(from)?)
}

/// Converts to f32. A number that would become infinity is an error, and so is a number that would
/// become 0, which often has a special meaning.
fn narrow<E: Error>(value: f64) -> Result<f32, E> {
    let narrow = value as f32;
    let invalid = |expected| Err(E::custom(format!("found {}, expected {expected}", Number(value))));
    match (value.is_finite() && narrow.is_infinite(), value != 0.0 && narrow == 0.0) {
        (true, _) => invalid("a number of at most 3.4e38"),
        (_, true) => invalid("0, or a number of at least 1.5e-45"),
        _ => Ok(narrow),
    }
}

/// The same functions for optional settings.
pub(super) mod optional {
    use super::{Deserialize, Deserializer, Serializer, narrow, shortest};

    pub(in super::super) fn serialize<S: Serializer>(value: &Option<f32>, to: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => to.serialize_some(&shortest(*value)),
            None => to.serialize_none(),
        }
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<f32>, D::Error> {
        Option::<f64>::deserialize(from)?.map(narrow).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Layer, ModelSettings, OptimizerSettings, Settings};

    #[test]
    fn files_contain_the_shortest_number() {
        let layer = Layer { zoneout: 0.1, cell_clip: Some(0.7), input_keep_prob: 0.9, ..Layer::lstm(8) };
        let settings = Settings {
            model: ModelSettings {
                dropout: 0.3,
                init_scale: Some(0.08),
                stack: vec![layer],
                ..ModelSettings::default()
            },
            optimizer: OptimizerSettings { clip: 1e-8, ..OptimizerSettings::default() },
            ..Settings::default()
        };
        let json = serde_json::to_value(&settings).unwrap();
        assert_eq!(json["dropout"], 0.3);
        assert_eq!(json["init-scale"], 0.08);
        assert_eq!(json["stack"][0]["cell-clip"], 0.7);
        assert_eq!(serde_json::from_value::<Settings>(json).unwrap(), settings);
    }

    #[test]
    fn every_f32_is_read_back_unchanged() {
        let step = 9973; // a prime: covers all exponents and many mantissas
        for value in (0..u32::MAX).step_by(step).map(f32::from_bits).filter(|value| value.is_finite()) {
            assert_eq!((shortest(value) as f32).to_bits(), value.to_bits(), "{value}");
        }
    }

    #[test]
    fn a_number_beyond_f32_is_an_error() {
        let message = serde_json::from_str::<Settings>(r#"{"clip": 1e39}"#).unwrap_err().to_string();
        assert!(message.starts_with("found 1e39, expected a number of at most 3.4e38"), "{message}");
        assert!(serde_json::from_str::<Settings>(r#"{"init-scale": 1e39}"#).is_err());
        let message = serde_json::from_str::<Settings>(r#"{"clip": 1e-50}"#).unwrap_err().to_string();
        assert!(message.starts_with("found 1e-50, expected 0, or a number of at least 1.5e-45"), "{message}");
        assert_eq!(serde_json::from_str::<Settings>(r#"{"clip": 5}"#).unwrap().optimizer.clip, 5.0);
    }

    #[test]
    fn messages_contain_short_numbers() {
        let shown = [0.3, 1e-30, 1e300, 0.0, -2.5, f64::NAN].map(|value| Number(value).to_string());
        assert_eq!(shown, ["0.3", "1e-30", "1e300", "0", "-2.5", "NaN"]);
    }
}
