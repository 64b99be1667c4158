//! Settings of one layer: its cell, and its wrappers (dropout, residual and highway connections).

mod validate;

use super::{
    Activation, Cell, ForgetBiasAt, Reset, decimal,
    defaults::{is_default, is_one},
};
use crate::custom_cell::CustomCell;
use serde::{Deserialize, Serialize};

/// One layer of a stack: a `[[stack]]` table of a configuration file. Options have the names of
/// TensorFlow 1 where it has them.
///
/// ```
/// use unrolled::Layer;
///
/// let layer = Layer { peepholes: true, projection: Some(64), residual: true, ..Layer::lstm(128) };
/// assert_eq!(layer.output_size(), 64);
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Layer {
    /// Recurrent cell. Default `lstm`. Ignored with `custom`.
    pub cell: Cell,
    /// Custom cell; files contain its name. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub custom: Option<CustomCell>,
    /// Number of hidden units H (`num_units`), at least 1. Default 256.
    pub hidden: usize,
    /// True for a bidirectional layer: a second set of weights reads each row from its last step to
    /// its first, and the outputs of both directions are side by side, the forward one first
    /// (`bidirectional` in PyTorch). All options apply to each direction. Default false.
    #[serde(skip_serializing_if = "is_default")]
    pub bidirectional: bool,
    /// Activation. Default `tanh`. RNN only; other cells ignore it.
    #[serde(skip_serializing_if = "is_default")]
    pub activation: Activation,
    /// Place of the reset gate, before or after the recurrent product. Default `after`. GRU only;
    /// other cells ignore it.
    #[serde(skip_serializing_if = "is_default")]
    pub reset: Reset,
    /// Number added to the bias of the forget gate. Default 1. LSTM only; other cells ignore it.
    #[serde(with = "decimal")]
    pub forget_bias: f32,
    /// When `forget-bias` is added, at initialization or at run time. Default `initial`. LSTM only;
    /// a cell with `layer-norm` always adds it at run time, after its norm.
    #[serde(skip_serializing_if = "is_default")]
    pub forget_bias_at: ForgetBiasAt,
    /// Number added to the initial biases of the gates r and z; 1 in TensorFlow's `GRUCell`. GRU
    /// only. Default 0.
    #[serde(skip_serializing_if = "is_default", with = "decimal")]
    pub gate_bias: f32,
    /// True if the gates also read the cell state, with one weight for each unit
    /// ([peepholes](https://doi.org/10.1109/IJCNN.2000.861302), `use_peepholes`). Default false.
    /// LSTM only.
    #[serde(skip_serializing_if = "is_default")]
    pub peepholes: bool,
    /// Limit x above 0 of the cell state, which is clipped to [-x, x] (`cell_clip`). Default:
    /// no limit. LSTM only.
    #[serde(skip_serializing_if = "Option::is_none", with = "decimal::optional")]
    pub cell_clip: Option<f32>,
    /// Width P of a [projection](https://arxiv.org/abs/1402.1128) of the hidden state, from 1 to 4
    /// H (`num_proj`). Default: no projection. LSTM only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub projection: Option<usize>,
    /// Limit x above 0 of the projected hidden state, which is clipped to [-x, x] (`proj_clip`).
    /// Default: no limit. LSTM with `projection` only.
    #[serde(skip_serializing_if = "Option::is_none", with = "decimal::optional")]
    pub projection_clip: Option<f32>,
    /// True if the input gate is one minus the forget gate
    /// ([CIFG](https://arxiv.org/abs/1503.04069), `CoupledInputForgetGateLSTMCell`). Default false.
    /// LSTM only.
    #[serde(skip_serializing_if = "is_default")]
    pub coupled: bool,
    /// True for [layer normalization](https://arxiv.org/abs/1607.06450) of the gates and the cell
    /// state, without biases (`LayerNormBasicLSTMCell`). Default false. LSTM only, without its
    /// other options.
    #[serde(skip_serializing_if = "is_default")]
    pub layer_norm: bool,
    /// Share of the hidden state that keeps its old value, from 0 to below 1
    /// ([zoneout](https://arxiv.org/abs/1606.01305)). Default 0.
    #[serde(skip_serializing_if = "is_default", with = "decimal")]
    pub zoneout: f32,
    /// Share of the cell state that keeps its old value, from 0 to below 1. Default 0. LSTM only.
    #[serde(skip_serializing_if = "is_default", with = "decimal")]
    pub zoneout_cell: f32,
    /// Share of the inputs that [dropout](https://jmlr.org/papers/v15/srivastava14a.html) keeps,
    /// above 0 and at most 1 (`DropoutWrapper`). Default 1.
    #[serde(skip_serializing_if = "is_one", with = "decimal")]
    pub input_keep_prob: f32,
    /// Share of the outputs that dropout keeps, above 0 and at most 1 (`DropoutWrapper`).
    /// Default 1.
    #[serde(skip_serializing_if = "is_one", with = "decimal")]
    pub output_keep_prob: f32,
    /// Share of the state that dropout keeps from step to step, above 0 and at most 1
    /// (`DropoutWrapper`). Default 1.
    #[serde(skip_serializing_if = "is_one", with = "decimal")]
    pub state_keep_prob: f32,
    /// True if `state-keep-prob` also applies to the cell state (the state filter of
    /// `DropoutWrapper`). Default false. LSTM only.
    #[serde(skip_serializing_if = "is_default")]
    pub drop_cell_state: bool,
    /// True if `state-keep-prob` does not apply to the hidden state (the state filter of
    /// `DropoutWrapper`). Default false.
    #[serde(skip_serializing_if = "is_default")]
    pub keep_hidden_state: bool,
    /// Lifetime of a dropout mask: one step, or a whole window
    /// ([variational dropout](https://arxiv.org/abs/1512.05287), `variational_recurrent`). Default
    /// `off`: one step.
    #[serde(skip_serializing_if = "is_default")]
    pub variational: Variational,
    /// Random seed of the dropout masks (`DropoutWrapper`). Default: the random seed of the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dropout_seed: Option<u64>,
    /// Expected width of the layer's inputs (`DropoutWrapper`); another width is an error. Default:
    /// not checked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_size: Option<usize>,
    /// True if the inputs are added to the outputs ([residual](https://arxiv.org/abs/1512.03385),
    /// `ResidualWrapper`). Default false. Inputs as wide as the outputs only.
    #[serde(skip_serializing_if = "is_default")]
    pub residual: bool,
    /// Trained gates that mix the inputs with the outputs
    /// ([highway](https://arxiv.org/abs/1505.00387), `HighwayWrapper`). Default `off`. Inputs as
    /// wide as the outputs only.
    #[serde(skip_serializing_if = "is_default")]
    pub highway: Highway,
}

super::choices::choices! {
    /// The lifetime of a dropout mask.
    #[derive(Default)]
    Variational {
        /// Each step has its own masks.
        #[default]
        Off = "off",
        /// One mask for all steps and all batch rows of a window, as in TensorFlow.
        Shared = "shared",
        /// One mask for all steps of a window, a different one for each batch row.
        PerRow = "per-row",
    }
}

super::choices::choices! {
    /// How gates mix the inputs x of a layer with its outputs y: carry x + transform y.
    #[derive(Default)]
    Highway {
        /// No highway connection.
        #[default]
        Off = "off",
        /// One trained gate; transform = 1 - carry (TensorFlow's default).
        Coupled = "coupled",
        /// Two trained gates, carry and transform.
        Separate = "separate",
    }
}

impl Highway {
    /// Returns the number of trained gates.
    pub(crate) fn gates(self) -> usize {
        match self {
            Self::Off => 0,
            Self::Coupled => 1,
            Self::Separate => 2,
        }
    }
}

impl Default for Layer {
    fn default() -> Self {
        Self::lstm(256)
    }
}

impl Layer {
    /// Returns a layer without options.
    pub fn new(cell: Cell, hidden: usize) -> Self {
        Self {
            cell,
            custom: None,
            hidden,
            bidirectional: false,
            activation: Activation::Tanh,
            reset: Reset::After,
            forget_bias: 1.0,
            forget_bias_at: ForgetBiasAt::Initial,
            gate_bias: 0.0,
            peepholes: false,
            cell_clip: None,
            projection: None,
            projection_clip: None,
            coupled: false,
            layer_norm: false,
            zoneout: 0.0,
            zoneout_cell: 0.0,
            input_keep_prob: 1.0,
            output_keep_prob: 1.0,
            state_keep_prob: 1.0,
            drop_cell_state: false,
            keep_hidden_state: false,
            variational: Variational::Off,
            dropout_seed: None,
            input_size: None,
            residual: false,
            highway: Highway::Off,
        }
    }

    /// Returns a vanilla RNN layer with tanh (`BasicRNNCell`).
    pub fn rnn(hidden: usize) -> Self {
        Self::new(Cell::Rnn, hidden)
    }

    /// Returns an LSTM layer (`BasicLSTMCell`).
    pub fn lstm(hidden: usize) -> Self {
        Self::new(Cell::Lstm, hidden)
    }

    /// Returns a GRU layer with the reset gate after the recurrent product (PyTorch, Keras).
    pub fn gru(hidden: usize) -> Self {
        Self::new(Cell::Gru, hidden)
    }

    /// Returns a GRU layer as TensorFlow 1's `GRUCell`: the reset gate comes before the recurrent
    /// product, and the biases of the gates start at 1.
    pub fn gru_before(hidden: usize) -> Self {
        Self { reset: Reset::Before, gate_bias: 1.0, ..Self::gru(hidden) }
    }

    /// Returns a layer with a custom cell.
    pub fn custom(cell: CustomCell) -> Self {
        let hidden = cell.output_size();
        Self { custom: Some(cell), ..Self::new(Cell::Rnn, hidden) }
    }

    /// Returns G, the number of gates per unit: 1 (RNN), 3 (GRU: r, z, n; coupled LSTM: f, g, o),
    /// 4 (LSTM: i, f, g, o) or 0 (custom cell).
    pub fn gates(&self) -> usize {
        match self.cell {
            _ if self.custom.is_some() => 0,
            Cell::Rnn => 1,
            Cell::Gru => 3,
            Cell::Lstm if self.coupled => 3,
            Cell::Lstm => 4,
        }
    }

    /// Returns the width of the layer's outputs (`output_size`): of both directions, if it has two.
    pub fn output_size(&self) -> usize {
        self.direction_size().saturating_mul(self.directions())
    }

    /// Returns the number of directions: 2 for a bidirectional layer, else 1.
    pub fn directions(&self) -> usize {
        if self.bidirectional { 2 } else { 1 }
    }

    /// Returns the width of the outputs of one direction.
    pub(crate) fn direction_size(&self) -> usize {
        match &self.custom {
            Some(custom) => custom.output_size(),
            None => self.projection.unwrap_or(self.hidden),
        }
    }

    /// Returns the widths of h and c of the state of one direction (`state_size`). Only an LSTM has
    /// a c; its width is 0 for other cells. The parts of a custom cell's state are concatenated in
    /// h.
    pub fn state_size(&self) -> [usize; 2] {
        match &self.custom {
            Some(custom) => [custom.state_size(), 0],
            None => [self.direction_size(), if self.cell == Cell::Lstm { self.hidden } else { 0 }],
        }
    }

    /// Returns the rows of the forget gate's biases and the number added to them at the given time;
    /// `None` if nothing is added.
    pub(crate) fn forget_bias(&self, at: ForgetBiasAt) -> Option<(std::ops::Range<usize>, f32)> {
        let plain = self.custom.is_none() && self.cell == Cell::Lstm && !self.layer_norm;
        // The gates are i, f, g, o, or f, g, o if coupled.
        let first = if self.coupled { 0 } else { self.hidden };
        (plain && self.forget_bias_at == at).then_some((first..first + self.hidden, self.forget_bias))
    }

    /// Returns true if the LSTM has an option that needs the extended kernels.
    pub(crate) fn is_extended(&self) -> bool {
        let clipped = self.cell_clip.is_some() || self.projection_clip.is_some();
        self.peepholes || clipped || self.projection.is_some() || self.coupled || self.layer_norm
    }

    /// Returns true if the layer has zoneout, which also changes the layer outside of training.
    pub(crate) fn zones_out(&self) -> bool {
        self.zoneout > 0.0 || self.zoneout_cell > 0.0
    }

    /// Returns true if the layer draws masks in training (dropout or zoneout).
    pub(crate) fn drops(&self) -> bool {
        let kept = [self.input_keep_prob, self.output_keep_prob, self.state_keep_prob];
        kept.iter().any(|kept| *kept < 1.0) || self.zones_out()
    }
}
