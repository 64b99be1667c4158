//! The shape of a model and how its parameters start.

use super::{
    Activation, Bias, Cell, ForgetBiasAt, Init, InputKind, Layer, Reset, decimal,
    decimal::shortest,
    layer,
    range::{below_one, count, positive, require},
};
use crate::Result;
use crate::custom_cell::CustomCell;
use serde::{Deserialize, Serialize};

/// The shape of a model and how its parameters start.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct ModelSettings {
    /// The recurrent cell.
    pub cell: Cell,
    /// The squashing function of a vanilla RNN; ignored by the other cells.
    pub activation: Activation,
    /// Where a GRU applies its reset gate; ignored by the other cells.
    pub reset: Reset,
    /// Added to the bias of an LSTM's forget gate; ignored by the other cells.
    #[serde(with = "decimal")]
    pub forget_bias: f32,
    /// When that is done.
    #[serde(skip_serializing_if = "layer::is_default")]
    pub forget_bias_at: ForgetBiasAt,
    /// Added to the initial biases of a GRU's gates r and z (TensorFlow's start at 1).
    #[serde(skip_serializing_if = "layer::is_default", with = "decimal")]
    pub gate_bias: f32,
    /// Two bias vectors a layer as in PyTorch, or one.
    pub bias: Bias,
    /// The distribution that weights are drawn from.
    pub init: Init,
    /// Half-width (uniform), gain (glorot, orthogonal) or standard deviation (normal); the scheme's own when absent.
    #[serde(skip_serializing_if = "Option::is_none", with = "decimal::optional")]
    pub init_scale: Option<f32>,
    /// Hidden width H of each layer.
    pub hidden: usize,
    /// Stacked layers L.
    pub layers: usize,
    /// Layers of different kinds, widths and options, from the input up. When there are any, they replace `cell`, `hidden`,
    /// `layers` and what belongs to them (`activation`, `reset`, `forget-bias`, `dropout`).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stack: Vec<Layer>,
    /// Width E of the input vectors of a model of vectors. `None`: the model reads symbols.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inputs: Option<usize>,
    /// Number of outputs O of the linear head. `None`: one for each symbol of the vocabulary; a model of vectors then has
    /// no head.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outputs: Option<usize>,
    /// How symbols enter the first layer.
    pub input: InputKind,
    /// Width of the embedding; the hidden width when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub embedding: Option<usize>,
    /// Share of activations dropped between layers and before the head.
    #[serde(with = "decimal")]
    pub dropout: f32,
}

impl Default for ModelSettings {
    fn default() -> Self {
        Self {
            cell: Cell::Lstm,
            activation: Activation::Tanh,
            reset: Reset::After,
            forget_bias: 1.0,
            forget_bias_at: ForgetBiasAt::Initial,
            gate_bias: 0.0,
            bias: Bias::Double,
            init: Init::Uniform,
            init_scale: None,
            hidden: 256,
            layers: 1,
            stack: Vec::new(),
            inputs: None,
            outputs: None,
            input: InputKind::Embedding,
            embedding: None,
            dropout: 0.0,
        }
    }
}

impl ModelSettings {
    /// One LSTM layer of `hidden` units.
    pub fn lstm(hidden: usize) -> Self {
        Self { cell: Cell::Lstm, hidden, ..Self::default() }
    }

    /// One GRU layer of `hidden` units.
    pub fn gru(hidden: usize) -> Self {
        Self { cell: Cell::Gru, hidden, ..Self::default() }
    }

    /// One vanilla RNN layer of `hidden` units.
    pub fn rnn(hidden: usize) -> Self {
        Self { cell: Cell::Rnn, hidden, ..Self::default() }
    }

    /// Layers of different kinds, widths and options, from the input up.
    pub fn of_layers(stack: impl Into<Vec<Layer>>) -> Self {
        Self { stack: stack.into(), ..Self::default() }
    }

    /// The same model on vectors of `inputs` floats, with a linear head of `outputs` outputs.
    #[must_use]
    pub fn on_vectors(self, inputs: usize, outputs: usize) -> Self {
        Self { inputs: Some(inputs), outputs: Some(outputs), ..self }
    }

    /// The layers of the model: `stack`, or else `layers` times the cell of the flat settings.
    pub fn stack(&self) -> Vec<Layer> {
        if self.stack.is_empty() { Layer::of(self) } else { self.stack.clone() }
    }

    /// Gives the custom cells of a configuration that was read from a file, which has their names alone.
    pub fn resolve(&mut self, cells: &[CustomCell]) {
        self.stack
            .iter_mut()
            .filter_map(|layer| layer.custom.as_mut())
            .for_each(|custom| custom.resolve(cells));
    }

    /// Checks every value by itself and against the others.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) names the first setting that is invalid, what was found, and the range.
    pub fn validate(&self) -> Result<()> {
        self.stack.iter().try_for_each(Layer::validate_alone)?;
        count("hidden", self.hidden as u64)?;
        count("layers", self.layers as u64)?;
        count("embedding", self.embedding.unwrap_or(1) as u64)?;
        count("inputs", self.inputs.unwrap_or(1) as u64)?;
        count("outputs", self.outputs.unwrap_or(1) as u64)?;
        self.validate_init()?;
        require(self.forget_bias.is_finite(), "forget-bias", self.forget_bias, "give a finite number")?;
        below_one("dropout", shortest(self.dropout))
    }

    /// What parameters are drawn with.
    pub(crate) fn validate_init(&self) -> Result<()> {
        positive("init-scale", shortest(self.init_scale.unwrap_or(1.0)))
    }
}
