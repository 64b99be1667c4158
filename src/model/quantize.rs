//! Quantized models: weight matrices whose values are 8-bit integers times one scale per row.

use super::{Model, ModelConfig, Parameters, TensorEntry, tensors::TensorId};
use crate::{Error, Result};
use unrolled_kernels::int8;

/// The matrices among the tensors of a layer's options.
const OPTION_MATRICES: [&str; 2] = ["weight_hr", "highway_weight"];

impl Model {
    /// Returns this model with quantized weights: in each row of a weight matrix, which belongs to
    /// one output, every weight is an integer from -127 to 127 times the scale of the row
    /// ([`unrolled_kernels::int8`]). The matrices are `weight_ih` and `weight_hh`, those of
    /// projections and highway connections, and `head.weight`. Embedding, biases, peepholes and
    /// layer normalization keep their values.
    ///
    /// A quantized model runs like any other, with [`Model::parameters`] of type f32, but it cannot
    /// be trained. A file of it has about a quarter of the size
    /// ([`Checkpoint::quantize`](crate::checkpoint::Checkpoint::quantize)). Quantizing a quantized
    /// model changes nothing.
    ///
    /// ```
    /// use unrolled::ModelSettings;
    /// use unrolled::model::Model;
    ///
    /// # fn main() -> unrolled::Result<()> {
    /// let model = Model::new(&ModelSettings::gru(8), 5, 1)?;
    /// let quantized = model.quantize()?;
    /// let weights = |model: &Model| model.parameters().get("head.weight").map(<[f32]>::to_vec);
    /// assert!(quantized.is_quantized() && weights(&quantized) != weights(&model));
    /// assert_eq!(quantized.quantize()?, quantized);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`Error::Setting`] for a custom cell, whose weights only the cell itself multiplies;
    /// [`Error::Tensor`] for a weight that is not finite.
    pub fn quantize(&self) -> Result<Self> {
        self.config.check_quantizes()?;
        let mut quantized = Self { quantized: true, ..self.clone() };
        let Parameters { layout, values } = &mut quantized.parameters;
        for (entry, is_matrix) in layout.entries().iter().zip(self.config.is_matrix()) {
            if is_matrix {
                round_rows(entry, &mut values[entry.range.clone()])?;
            }
        }
        Ok(quantized)
    }

    /// Returns true if the weights are quantized: the model was made by [`Model::quantize`], or
    /// read from a file of one.
    pub fn is_quantized(&self) -> bool {
        self.quantized
    }

    /// Returns an error for a quantized model.
    pub(crate) fn check_trainable(&self) -> Result<()> {
        if self.quantized { Err(Error::Quantized) } else { Ok(()) }
    }
}

/// Rounds the rows of a matrix.
fn round_rows(entry: &TensorEntry, values: &mut [f32]) -> Result<()> {
    if let Some(weight) = values.iter().find(|weight| !weight.is_finite()) {
        return Err(Error::tensor(&entry.name, weight.to_string(), "finite numbers"));
    }
    for row in values.chunks_exact_mut(entry.shape[1].max(1)) {
        int8::round_row(row);
    }
    Ok(())
}

impl ModelConfig {
    /// Returns an error for a model with a custom cell. Its variables may have any name and shape.
    pub(crate) fn check_quantizes(&self) -> Result<()> {
        let expected = "a custom cell cannot be quantized; use a model of rnn, lstm and gru layers";
        let custom = self.stack.iter().find_map(|layer| layer.custom.as_ref());
        custom.map_or(Ok(()), |cell| Err(Error::setting("custom", cell.name(), expected)))
    }

    /// Returns the largest number of terms of a product with a weight matrix.
    pub(crate) fn widest_product(&self) -> Option<usize> {
        let looked_up = self.embedding.is_none() && self.gathers();
        let layers = self.stack.iter().enumerate().flat_map(|(number, layer)| {
            let inputs = if number == 0 && looked_up { 0 } else { self.input_width(number) };
            [inputs, layer.hidden, layer.direction_size()]
        });
        layers.chain(self.has_head().then(|| self.stack_width())).max()
    }

    /// Returns, for each tensor of the layout, whether it is a weight matrix, which
    /// [`Model::quantize`] quantizes.
    pub(crate) fn is_matrix(&self) -> impl Iterator<Item = bool> {
        self.tensors().into_iter().map(|tensor| match tensor {
            TensorId::InputWeight(_) | TensorId::HiddenWeight(_) | TensorId::HeadWeight => true,
            TensorId::Extra(of, index) => {
                OPTION_MATRICES.contains(&self.extras(of.layer)[index].name.as_str())
            }
            TensorId::Embedding | TensorId::InputBias(_) | TensorId::HiddenBias(_) | TensorId::HeadBias => {
                false
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Highway, Layer, Reset};

    /// Layers with all options that have tensors.
    fn layers() -> Vec<Layer> {
        let options = Layer { peepholes: true, projection: Some(4), ..Layer::lstm(5) };
        let highway = Layer { highway: Highway::Separate, ..Layer::rnn(4) };
        let normed = Layer { layer_norm: true, ..Layer::lstm(3) };
        vec![options, highway, normed, Layer { reset: Reset::Before, bidirectional: true, ..Layer::gru(2) }]
    }

    #[test]
    fn matrices_are_on_grids_and_other_tensors_keep_their_values() {
        let model = Model::of_layers(&layers(), 4, 2, 1).unwrap();
        let quantized = model.quantize().unwrap();
        let (mut matrices, mut others) = (0, 0);
        for ((entry, before), (_, after)) in model.parameters().iter().zip(quantized.parameters().iter()) {
            let name = entry.name.trim_start_matches("rnn.");
            let is_matrix = ["weight_ih", "weight_hh", "weight_hr", "highway_weight", "head.weight"]
                .iter()
                .any(|m| name.starts_with(m));
            assert_eq!(is_matrix, before != after, "{name}");
            if !is_matrix {
                others += 1;
                continue;
            }
            matrices += 1;
            for (before, after) in before.chunks(entry.shape[1]).zip(after.chunks(entry.shape[1])) {
                let scale = int8::scale(before);
                for (before, after) in before.iter().zip(after) {
                    assert_eq!((after / scale).fract(), 0.0, "{name}");
                    assert!((before - after).abs() <= scale * 0.5, "{name}");
                }
            }
        }
        assert_eq!((matrices, others), (13, 15));
    }

    #[test]
    fn quantizing_twice_changes_nothing() {
        let quantized = Model::of_layers(&layers(), 4, 2, 1).unwrap().quantize().unwrap();
        assert_eq!(quantized.quantize().unwrap(), quantized);
        let plain =
            Model::with_parameters(quantized.config().clone(), quantized.parameters().clone()).unwrap();
        assert!(quantized.is_quantized() && !plain.is_quantized());
        assert_eq!(plain.quantize().unwrap(), quantized);
    }

    #[test]
    fn a_weight_that_is_not_finite_is_an_error() {
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut model = Model::of_layers(&layers(), 4, 2, 1).unwrap();
            model.parameters_mut().get_mut("rnn.weight_hh_l1").unwrap()[3] = value;
            let message = model.quantize().unwrap_err().to_string();
            assert_eq!(message, format!("tensor rnn.weight_hh_l1: found {value}, expected finite numbers"));
        }
    }
}
