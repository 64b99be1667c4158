//! Shape and initialization of a model.

use super::{
    Activation, Bias, Cell, ForgetBiasAt, Init, InputKind, Layer, Reset, decimal,
    decimal::shortest,
    defaults,
    range::{below_one, count, positive, require},
};
use crate::Result;
use crate::custom_cell::CustomCell;
use serde::{Deserialize, Serialize};

/// Shape and initialization of a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct ModelSettings {
    /// Recurrent cell. Default `lstm`.
    pub cell: Cell,
    /// Activation. Default `tanh`. RNN only; other cells ignore it.
    pub activation: Activation,
    /// Place of the reset gate, before or after the recurrent product. Default `after`. GRU only;
    /// other cells ignore it.
    pub reset: Reset,
    /// Number added to the bias of the forget gate. Default 1. LSTM only; other cells ignore it.
    #[serde(with = "decimal")]
    pub forget_bias: f32,
    /// When `forget-bias` is added, at initialization or at run time. Default `initial`. LSTM only.
    #[serde(skip_serializing_if = "defaults::is_default")]
    pub forget_bias_at: ForgetBiasAt,
    /// Number added to the initial biases of the gates r and z; 1 in TensorFlow's `GRUCell`. GRU
    /// only. Default 0.
    #[serde(skip_serializing_if = "defaults::is_default", with = "decimal")]
    pub gate_bias: f32,
    /// Number of bias vectors of each layer: two as in PyTorch, or one. Default `double`.
    pub bias: Bias,
    /// Distribution of the initial weights. Default `uniform`.
    pub init: Init,
    /// Scale of the initial weights, above 0: half-width (`uniform`), gain (`glorot`, `orthogonal`)
    /// or standard deviation (`normal`). Default: 1/sqrt(H) (`uniform`), 1 (`glorot`, `orthogonal`)
    /// or 0.01 (`normal`).
    #[serde(skip_serializing_if = "Option::is_none", with = "decimal::optional")]
    pub init_scale: Option<f32>,
    /// Number of hidden units H of each layer, at least 1. Default 256.
    pub hidden: usize,
    /// Number of stacked layers L, from 1 to 1024. Default 1.
    pub layers: usize,
    /// Layers with different cells, widths and options, from the input to the output. Default:
    /// none. They replace `cell`, `hidden`, `layers`, `activation`, `reset`, `forget-bias`,
    /// `forget-bias-at`, `gate-bias` and `dropout`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stack: Vec<Layer>,
    /// Width E of the input vectors, at least 1. Default: none, the model reads symbols. Only for
    /// models of vectors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inputs: Option<usize>,
    /// Number of outputs O of the linear head, at least 1. Default: one for each symbol of the
    /// vocabulary; for a model of vectors, no head.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outputs: Option<usize>,
    /// Input of the first layer: an embedding or a one-hot vector. Default `embedding`. Models of
    /// symbols only.
    pub input: InputKind,
    /// Width E of the embedding, at least 1. Default: the number of hidden units of the first
    /// layer. Input `embedding` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub embedding: Option<usize>,
    /// Share of the outputs of each layer that [dropout][d] drops in training, from 0 to below 1.
    /// Default 0.
    ///
    /// [d]: https://jmlr.org/papers/v15/srivastava14a.html
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
    /// Returns a model with one LSTM layer of `hidden` units.
    pub fn lstm(hidden: usize) -> Self {
        Self { cell: Cell::Lstm, hidden, ..Self::default() }
    }

    /// Returns a model with one GRU layer of `hidden` units.
    pub fn gru(hidden: usize) -> Self {
        Self { cell: Cell::Gru, hidden, ..Self::default() }
    }

    /// Returns a model with one vanilla RNN layer of `hidden` units.
    pub fn rnn(hidden: usize) -> Self {
        Self { cell: Cell::Rnn, hidden, ..Self::default() }
    }

    /// Returns a model with the given layers, from the input to the output.
    pub fn of_layers(stack: impl Into<Vec<Layer>>) -> Self {
        Self { stack: stack.into(), ..Self::default() }
    }

    /// Returns the same model for input vectors of `inputs` floats, with a linear head of `outputs`
    /// outputs, or with `None` without a head.
    #[must_use]
    pub fn on_vectors(self, inputs: usize, outputs: impl Into<Option<usize>>) -> Self {
        Self { inputs: Some(inputs), outputs: outputs.into(), ..self }
    }

    /// Returns the layers of the model: `stack`, or `layers` equal layers if `stack` is empty.
    pub fn stack(&self) -> Vec<Layer> {
        if self.stack.is_empty() { self.equal_layers() } else { self.stack.clone() }
    }

    /// Returns `layers` equal layers, as `cell`, `hidden` and the other settings of one layer
    /// describe them.
    fn equal_layers(&self) -> Vec<Layer> {
        let Self { cell, hidden, activation, reset, gate_bias, dropout, .. } = *self;
        let Self { forget_bias, forget_bias_at, .. } = *self;
        let plain = Layer::new(cell, hidden);
        let output_keep_prob = 1.0 - dropout;
        let layer =
            Layer { activation, reset, gate_bias, forget_bias, forget_bias_at, output_keep_prob, ..plain };
        // More than 1024 layers are an error later. The limit keeps the list short until then.
        vec![layer; self.layers.min(1 << 12)]
    }

    /// Sets the custom cells of a configuration that was read from a file, which contains only
    /// their names.
    pub fn resolve(&mut self, cells: &[CustomCell]) {
        self.stack
            .iter_mut()
            .filter_map(|layer| layer.custom.as_mut())
            .for_each(|custom| custom.resolve(cells));
    }

    /// Checks each value, and combinations of values.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) names the first invalid setting, its value and its
    /// range.
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

    /// Checks the settings that parameters are drawn with.
    fn validate_init(&self) -> Result<()> {
        positive("init-scale", shortest(self.init_scale.unwrap_or(1.0)))
    }
}
