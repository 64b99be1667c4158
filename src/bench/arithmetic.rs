//! Counts the floating-point operations of a model for one symbol.

use crate::model::ModelConfig;
use crate::{Cell, Precision, Reset};

/// Operations per symbol. A product and a sum count as one operation each. Gates, loss and update
/// are not counted: they grow with H, the products with H^2.
///
/// ```text
/// layer     2 G H (in + H)     in = 0 for a first layer that looks up its input product in a table
/// highway   2 M in^2           in addition to its layer; M = 1 for a carry gate, 2 with a separate transform gate
/// head      2 H V
/// training  three times that: forward, gradient of the inputs, gradient of the weights
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Arithmetic {
    /// Operations of the forward pass.
    pub forward: f64,
    /// Operations of training.
    pub training: f64,
}

impl Arithmetic {
    /// Counts the operations of a model with this configuration.
    pub fn of(config: &ModelConfig) -> Self {
        let layers: f64 = (0..config.stack.len()).map(|l| layer_products(config, l)).sum();
        let forward = 2.0 * (layers + head_products(config));
        Self { forward, training: 3.0 * forward }
    }

    /// Returns the bytes of the weights that one symbol is multiplied by, in f32.
    pub fn weight_bytes(&self) -> f64 {
        self.weight_bytes_in(Precision::F32)
    }

    /// Returns the bytes of the same weights in the number format of `precision`.
    pub fn weight_bytes_in(&self, precision: Precision) -> f64 {
        let bytes = match precision {
            Precision::F32 => size_of::<f32>(),
            Precision::Bf16 => size_of::<u16>(),
            Precision::Int8 => size_of::<i8>(),
        };
        self.forward / 2.0 * bytes as f64
    }
}

/// Returns the multiplications of one symbol in layer `l`.
pub(super) fn layer_products(config: &ModelConfig, l: usize) -> f64 {
    let layer = &config.stack[l];
    let inputs = if l == 0 && config.gathers() { 0 } else { config.input_width(l) };
    let [gates, hidden, state] = [layer.gates(), layer.hidden, layer.direction_size()].map(|n| n as f64);
    let read = config.input_width(l) as f64;
    let highway = layer.highway.gates() as f64 * read * read;
    let projection = hidden * layer.projection.unwrap_or(0) as f64;
    layer.directions() as f64 * (gates * hidden * (inputs as f64 + state) + projection + highway)
}

/// Returns the multiplications of layer `l` in the backward pass whose input comes from the next
/// step. (A GRU with reset before the product multiplies the candidate's part within the step.)
pub(super) fn products_from_after(config: &ModelConfig, l: usize) -> f64 {
    let layer = &config.stack[l];
    let within = usize::from(layer.cell == Cell::Gru && layer.reset == Reset::Before);
    ((layer.gates() - within) * layer.hidden * layer.output_size()) as f64
}

/// Returns the multiplications of one symbol in the head.
pub(super) fn head_products(config: &ModelConfig) -> f64 {
    config.stack_width() as f64 * config.vocabulary as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Highway, InputKind, Layer, ModelSettings, Settings};

    fn training(cell: Cell, hidden: usize, layers: usize, input: InputKind) -> f64 {
        let settings = Settings {
            model: ModelSettings { cell, hidden, layers, input, ..ModelSettings::default() },
            ..Settings::default()
        };
        Arithmetic::of(&ModelConfig::new(&settings.model, 65).unwrap()).training
    }

    #[test]
    fn products_are_counted_per_symbol() {
        for input in [InputKind::OneHot, InputKind::Embedding] {
            for (cell, factor) in [(Cell::Lstm, 24.0), (Cell::Gru, 18.0), (Cell::Rnn, 6.0)] {
                let head = 6.0 * 100.0 * 65.0;
                assert_eq!(training(cell, 100, 1, input), factor * 1e4 + head);
                assert_eq!(training(cell, 100, 3, input), factor * 1e4 * 5.0 + head);
            }
        }
    }

    /// A first layer with a highway reads vectors, so it looks up no product.
    #[test]
    fn highway_gates_multiply_the_input_of_the_layer() {
        for (highway, gates) in [(Highway::Off, 0.0), (Highway::Coupled, 1.0), (Highway::Separate, 2.0)] {
            let layer = Layer { highway, ..Layer::lstm(9) };
            let settings = Settings {
                model: ModelSettings {
                    stack: vec![layer.clone(), layer],
                    embedding: Some(9),
                    ..ModelSettings::default()
                },
                ..Settings::default()
            };
            let config = ModelConfig::new(&settings.model, 20).unwrap();
            let first = if highway == Highway::Off { 4.0 } else { 8.0 };
            assert_eq!(layer_products(&config, 0), (first + gates) * 81.0);
            assert_eq!(layer_products(&config, 1), (8.0 + gates) * 81.0);
        }
    }

    #[test]
    fn weights_have_four_bytes_each() {
        let config =
            ModelConfig::new(&ModelSettings { hidden: 128, layers: 2, ..ModelSettings::default() }, 65)
                .unwrap();
        let weights = 4 * 128 * 128 * 3 + 128 * 65;
        let bytes = |precision| Arithmetic::of(&config).weight_bytes_in(precision);
        assert_eq!(bytes(Precision::F32), f64::from(4 * weights));
        assert_eq!(bytes(Precision::Bf16), f64::from(2 * weights));
    }
}
