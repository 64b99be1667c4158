//! Models: configuration, parameters, initialization, and the memory that they need.

pub(crate) mod cell;
mod config;
mod contradiction;
mod directions;
mod grow;
mod init;
mod memory;
mod parameters;
mod quantize;
mod size;
mod tensors;

pub use crate::custom_cell::{CellStep, CellStepBackward, CustomCell, InitialValues, RnnCell, Variable};
use crate::{Error, Layer, ModelSettings, Result};
pub use config::ModelConfig;
pub use directions::LayerDirection;
#[cfg(feature = "files")]
pub(crate) use memory::memory_total;
pub(crate) use memory::{check_bytes, check_model, check_plan};
pub use memory::{check_evaluation_memory, check_memory, memory_needed};
pub use parameters::{ParameterLayout, Parameters, TensorEntry};

/// An immutable model: its configuration and its parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    config: ModelConfig,
    parameters: Parameters,
    /// True if the weight matrices are 8-bit integers times one scale per row.
    quantized: bool,
}

impl Model {
    /// Creates a model of V = `vocabulary` symbols, with parameters drawn with the random seed
    /// `seed` and the settings (`init`, `init-scale`, `forget-bias`).
    ///
    /// # Errors
    /// 1. [`Error::Setting`] for an invalid setting.
    /// 2. [`Error::Memory`] and [`Error::Allocation`] for parameters that need more memory than is
    ///    available.
    pub fn new(settings: &ModelSettings, vocabulary: usize, seed: u64) -> Result<Self> {
        settings.validate()?;
        Self::drawn(settings, ModelConfig::new(settings, vocabulary)?, seed)
    }

    /// Creates a model of vectors: `layers` read vectors of `inputs` floats, and a linear head
    /// computes `outputs` outputs from those of the last layer. With `None` there is no head: the
    /// outputs are those of the last layer. Parameters are drawn with the random seed `seed` as in
    /// PyTorch ([`Init::Uniform`](crate::Init)); [`Model::of_vectors`] has more choices.
    ///
    /// ```
    /// use unrolled::Layer;
    /// use unrolled::model::Model;
    ///
    /// # fn main() -> unrolled::Result<()> {
    /// let both = Layer { bidirectional: true, ..Layer::lstm(32) };
    /// let model = Model::of_layers(&[both, Layer::gru(16)], 3, 1, 7)?; // 3 values in, 1 out, seed 7
    /// assert_eq!(model.parameters().get("head.weight").map(<[f32]>::len), Some(16));
    /// let stack = Model::of_layers(&[Layer::lstm(32)], 3, None, 7)?; // without a head
    /// assert_eq!(stack.config().output_width(), 32);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As for [`Model::new`].
    pub fn of_layers(
        layers: &[Layer],
        inputs: usize,
        outputs: impl Into<Option<usize>>,
        seed: u64,
    ) -> Result<Self> {
        let (settings, outputs) = (ModelSettings::default(), outputs.into());
        if outputs == Some(0) {
            return Err(Error::setting("outputs", 0, "give at least 1, or None for a model without a head"));
        }
        let stack = ModelConfig::of_stack(layers, inputs, settings.bias)?;
        let config = ModelConfig { outputs: outputs.unwrap_or(0), ..stack };
        config.check()?;
        Self::drawn(&settings, config, seed)
    }

    /// Creates a model of vectors from settings, such as those of a configuration file: `inputs` and
    /// `outputs` are the widths of its input vectors and of its linear head. Parameters are drawn as
    /// for [`Model::new`].
    ///
    /// ```
    /// use unrolled::model::Model;
    /// use unrolled::{Init, ModelSettings};
    ///
    /// # fn main() -> unrolled::Result<()> {
    /// let settings = ModelSettings { init: Init::Orthogonal, layers: 2, ..ModelSettings::lstm(32) };
    /// let model = Model::of_vectors(&settings.on_vectors(3, 1), 7)?;
    /// assert_eq!(model.parameters().get("head.weight").map(<[f32]>::len), Some(32));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As for [`Model::new`]; [`Error::Setting`] if the settings have no `inputs`.
    pub fn of_vectors(settings: &ModelSettings, seed: u64) -> Result<Self> {
        settings.validate()?;
        Self::drawn(settings, ModelConfig::of_vectors(settings)?, seed)
    }

    /// Creates a model with drawn parameters, after a check of their memory.
    fn drawn(settings: &ModelSettings, config: ModelConfig, seed: u64) -> Result<Self> {
        check_model(&config, 1.0, [0, 0])?;
        let parameters = init::draw(settings, seed, &config);
        Ok(Self { config, parameters, quantized: false })
    }

    /// Creates a model with given parameters. Checks the configuration, and the name and shape of
    /// each tensor.
    ///
    /// # Errors
    /// As for [`ModelConfig::new`]; [`Error::Tensor`] names the first tensor that is missing,
    /// unexpected, or has a wrong shape.
    pub fn with_parameters(config: ModelConfig, parameters: Parameters) -> Result<Self> {
        config.check()?;
        check_parameters(&config, &parameters)?;
        Ok(Self { config, parameters, quantized: false })
    }

    /// Returns the configuration.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// Returns the parameters.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// Returns the parameters without the model.
    pub(crate) fn into_parameters(self) -> Parameters {
        self.parameters
    }

    /// Returns the parameters for an update. Callers must keep the layout.
    pub(crate) fn parameters_mut(&mut self) -> &mut Parameters {
        &mut self.parameters
    }
}

/// Returns an error unless the parameters have the layout of the configuration.
pub(crate) fn check_parameters(config: &ModelConfig, parameters: &Parameters) -> Result<()> {
    let layout = config.layout();
    if parameters.layout != layout {
        return Err(mismatch(&parameters.layout, &layout));
    }
    if parameters.values.len() != layout.len() {
        let found = format!("{} floats", parameters.values.len());
        return Err(Error::tensor(
            "(all parameters)",
            found,
            format!("{} floats, including gaps", layout.len()),
        ));
    }
    Ok(())
}

/// Returns an error for the first difference between two layouts.
fn mismatch(found: &ParameterLayout, expected: &ParameterLayout) -> Error {
    for entry in expected.entries() {
        let Some(other) = found.find(&entry.name) else {
            return Error::tensor(&entry.name, "nothing", format!("shape {:?}", entry.shape));
        };
        if other.shape != entry.shape {
            return Error::tensor(
                &entry.name,
                format!("shape {:?}", other.shape),
                format!("shape {:?}", entry.shape),
            );
        }
        if other.range != entry.range {
            return Error::tensor(
                &entry.name,
                format!("range {:?} of the parameter buffer", other.range),
                format!("range {:?}, as in ModelConfig::layout", entry.range),
            );
        }
    }
    let unexpected = found.entries().iter().find(|entry| expected.find(&entry.name).is_none());
    let name = unexpected.map_or("(all parameters)", |entry| &entry.name);
    Error::tensor(name, "a tensor", "none of that name")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> ModelSettings {
        ModelSettings { hidden: 3, embedding: Some(2), ..ModelSettings::default() }
    }

    fn message(change: impl FnOnce(&mut Parameters)) -> String {
        let config = ModelConfig::new(&settings(), 5).unwrap();
        let mut parameters = Parameters::zeros(config.layout());
        change(&mut parameters);
        Model::with_parameters(config, parameters).expect_err("the parameters do not fit").to_string()
    }

    #[test]
    fn given_parameters_are_kept() {
        let drawn = Model::new(&settings(), 5, 1).unwrap();
        let given = Model::with_parameters(drawn.config().clone(), drawn.parameters().clone()).unwrap();
        assert_eq!(given, drawn);
    }

    #[test]
    fn a_wrong_shape_is_an_error() {
        let other = ModelConfig::new(&ModelSettings { hidden: 4, ..settings() }, 5).unwrap();
        assert_eq!(
            message(|p| *p = Parameters::zeros(other.layout())),
            "tensor rnn.weight_ih_l0: found shape [16, 2], expected shape [12, 2]"
        );
    }

    #[test]
    fn missing_and_unexpected_tensors_are_errors() {
        assert_eq!(
            message(|p| *p = Parameters::zeros(ParameterLayout::default())),
            "tensor embedding.weight: found nothing, expected shape [5, 2]"
        );
        assert_eq!(
            message(|p| {
                p.layout.push("head.scale", &[1]);
                p.values.resize(p.layout.len(), 0.0);
            }),
            "tensor head.scale: found a tensor, expected none of that name"
        );
    }

    #[test]
    fn a_parameter_buffer_of_a_wrong_length_is_an_error() {
        let text = message(|p| p.values.truncate(7));
        assert!(text.contains("found 7 floats, expected"), "{text}");
    }

    #[test]
    fn invalid_settings_are_an_error() {
        let text = Model::new(&ModelSettings { layers: 0, ..settings() }, 5, 1).unwrap_err().to_string();
        assert!(text.starts_with("layers = 0 is invalid"), "{text}");
        let text =
            Model::new(&ModelSettings { hidden: 1 << 40, ..settings() }, 5, 1).unwrap_err().to_string();
        assert!(text.contains("memory"), "{text}");
    }
}
