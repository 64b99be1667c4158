//! The options of a layer that matter outside of training.

use crate::{Layer, Variational};
use serde_json::{Map, Value};

/// Returns an option of a layer, with its value, that the layer `plain` of a format does not have:
/// `projection = 2`. Options of training do not count.
pub(super) fn option_beyond(layer: &Layer, plain: &Layer) -> Option<String> {
    let layer = without_training(layer);
    if layer == *plain {
        return None;
    }
    let (found, plain) = (options(&layer), options(plain));
    let other = found.iter().find(|(name, value)| plain.get(*name) != Some(value));
    Some(match other {
        Some((name, Value::String(value))) => format!("{name} = {value}"),
        Some((name, value)) => format!("{name} = {value}"),
        None => layer.cell.name().to_owned(),
    })
}

/// The options that are not the default, under the names that files give them.
fn options(layer: &Layer) -> Map<String, Value> {
    match serde_json::to_value(layer) {
        Ok(Value::Object(options)) => options,
        _ => Map::new(),
    }
}

/// Returns the layer without the options of training: dropout, and the initial biases. A forget
/// bias that is added at run time counts as none too; writers add it to the bias.
fn without_training(layer: &Layer) -> Layer {
    let default = Layer::new(layer.cell, layer.hidden);
    Layer {
        forget_bias: default.forget_bias,
        forget_bias_at: default.forget_bias_at,
        gate_bias: default.gate_bias,
        input_keep_prob: 1.0,
        output_keep_prob: 1.0,
        state_keep_prob: 1.0,
        drop_cell_state: false,
        keep_hidden_state: false,
        variational: Variational::Off,
        dropout_seed: None,
        input_size: None,
        ..layer.clone()
    }
}
