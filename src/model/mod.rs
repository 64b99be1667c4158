//! Configuration and parameters: the equations' data.

pub(crate) mod cell;
mod config;
mod contradiction;
mod grow;
mod init;
mod memory;
mod parameters;

pub use crate::custom_cell::{CellStep, CellStepBackward, CustomCell, InitialValues, RnnCell, Variable};
use crate::{Error, Layer, ModelSettings, Result};
pub use config::ModelConfig;
#[cfg(feature = "files")]
pub(crate) use memory::memory_total;
pub(crate) use memory::{check_bytes, check_plan, check_stack};
pub use memory::{check_evaluation_memory, check_memory, memory_needed};
pub use parameters::{Entry, Layout, Parameters};

/// An immutable model: its shape and its parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct Model {
    config: ModelConfig,
    parameters: Parameters,
}

impl Model {
    /// A model with parameters drawn by the random seed `seed`, as `settings` say (init, init-scale, forget-bias).
    ///
    /// # Errors
    /// A setting out of its range, or sizes whose parameters need more memory than this process may use.
    pub fn new(settings: &ModelSettings, vocabulary: usize, seed: u64) -> Result<Self> {
        settings.validate()?;
        let config = ModelConfig::new(settings, vocabulary)?;
        check_stack(&config, 1.0, [0, 0])?;
        let parameters = init::draw(settings, seed, &config);
        Ok(Self { config, parameters })
    }

    /// A model of vectors: `inputs` and `outputs` of the settings are the widths of its input vectors and of its linear head.
    /// Parameters are drawn as for [`Model::new`].
    ///
    /// ```
    /// use unrolled::ModelSettings;
    /// use unrolled::model::Model;
    ///
    /// # fn main() -> unrolled::Result<()> {
    /// let model = Model::of_vectors(&ModelSettings::lstm(32).on_vectors(3, 1), 7)?;
    /// assert_eq!(model.parameters().get("head.weight").map(<[f32]>::len), Some(32));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As for [`Model::new`]; [`Error::Setting`] if the settings have no `inputs`.
    pub fn of_vectors(settings: &ModelSettings, seed: u64) -> Result<Self> {
        settings.validate()?;
        let config = ModelConfig::of_vectors(settings)?;
        check_stack(&config, 1.0, [0, 0])?;
        let parameters = init::draw(settings, seed, &config);
        Ok(Self { config, parameters })
    }

    /// A stack by itself, which reads vectors of `inputs` floats and gives the last layer's outputs; its parameters are drawn
    /// by the random seed `seed`, as `settings` say. Of the settings, `bias`, `init` and `init_scale` are used: the layers are `stack`.
    ///
    /// # Errors
    /// An option that is invalid, or sizes whose parameters are more than the memory of the machine.
    pub fn of_stack(stack: &[Layer], inputs: usize, settings: &ModelSettings, seed: u64) -> Result<Self> {
        settings.validate_init()?;
        let config = ModelConfig::of_stack(stack, inputs, settings.bias)?;
        check_stack(&config, 1.0, [0, 0])?;
        let parameters = init::draw(settings, seed, &config);
        Ok(Self { config, parameters })
    }

    /// A model with given parameters; every name and shape is checked, and the configuration once more.
    ///
    /// # Errors
    /// As for [`ModelConfig::new`]; [`Error::Tensor`] names the first tensor that is missing, surplus or of another shape.
    pub fn with_parameters(config: ModelConfig, parameters: Parameters) -> Result<Self> {
        config.check()?;
        check_parameters(&config, &parameters)?;
        Ok(Self { config, parameters })
    }

    /// The shape.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// The parameters.
    pub fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// The parameters, for the optimiser, which keeps names and shapes as they are.
    pub(crate) fn parameters_mut(&mut self) -> &mut Parameters {
        &mut self.parameters
    }
}

/// Whether every name, shape and place is what the configuration asks for.
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
            format!("{} floats, gaps included", layout.len()),
        ));
    }
    Ok(())
}

/// What differs first between two layouts that are not equal.
fn mismatch(found: &Layout, expected: &Layout) -> Error {
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
                format!("place {:?} in the arena", other.range),
                format!("place {:?}, as ModelConfig::layout gives it", entry.range),
            );
        }
    }
    let surplus = found.entries().iter().find(|entry| expected.find(&entry.name).is_none());
    let name = surplus.map_or("(all parameters)", |entry| &entry.name);
    Error::tensor(name, "a tensor", "none of that name")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> ModelSettings {
        ModelSettings { hidden: 3, embedding: Some(2), ..ModelSettings::default() }
    }

    fn refused(change: impl FnOnce(&mut Parameters)) -> String {
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
    fn a_wrong_shape_is_named() {
        let other = ModelConfig::new(&ModelSettings { hidden: 4, ..settings() }, 5).unwrap();
        assert_eq!(
            refused(|p| *p = Parameters::zeros(other.layout())),
            "tensor rnn.weight_ih_l0: found shape [16, 2], expected shape [12, 2]"
        );
    }

    #[test]
    fn missing_and_surplus_tensors_are_named() {
        assert_eq!(
            refused(|p| *p = Parameters::zeros(Layout::default())),
            "tensor embedding.weight: found nothing, expected shape [5, 2]"
        );
        assert_eq!(
            refused(|p| {
                p.layout.push("head.scale", &[1]);
                p.values.resize(p.layout.len(), 0.0);
            }),
            "tensor head.scale: found a tensor, expected none of that name"
        );
    }

    #[test]
    fn an_arena_of_another_length_is_refused() {
        let text = refused(|p| p.values.truncate(7));
        assert!(text.contains("found 7 floats, expected"), "{text}");
    }

    #[test]
    fn settings_out_of_range_give_no_model() {
        let text = Model::new(&ModelSettings { layers: 0, ..settings() }, 5, 1).unwrap_err().to_string();
        assert!(text.starts_with("layers = 0 is invalid"), "{text}");
        let text =
            Model::new(&ModelSettings { hidden: 1 << 40, ..settings() }, 5, 1).unwrap_err().to_string();
        assert!(text.contains("memory"), "{text}");
    }
}
