//! One layer of a stack: its cell with every option, and what is wrapped around it.

use super::{Activation, Cell, ForgetBiasAt, ModelSettings, Reset, decimal, range::require};
use crate::Result;
use crate::custom_cell::CustomCell;
use serde::{Deserialize, Serialize};
use std::fmt::Display;

/// One layer of a stack, under TensorFlow 1's names; a table of `[[stack]]` in a configuration file.
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
    /// The recurrent cell; not asked when `custom` is given.
    pub cell: Cell,
    /// A cell of one's own; its name in files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub custom: Option<CustomCell>,
    /// Hidden units H (`num_units`).
    pub hidden: usize,
    /// The squashing function of a vanilla RNN; ignored by the other cells.
    #[serde(skip_serializing_if = "is_default")]
    pub activation: Activation,
    /// Where a GRU applies its reset gate; ignored by the other cells.
    #[serde(skip_serializing_if = "is_default")]
    pub reset: Reset,
    /// Added to the bias of an LSTM's forget gate; ignored by the other cells.
    #[serde(with = "decimal")]
    pub forget_bias: f32,
    /// When that is done. A normalised layer always adds it when it runs, behind its norm.
    #[serde(skip_serializing_if = "is_default")]
    pub forget_bias_at: ForgetBiasAt,
    /// GRU: added to the initial biases of the gates r and z. TensorFlow's `GRUCell` starts them at 1.
    #[serde(skip_serializing_if = "is_zero", with = "decimal")]
    pub gate_bias: f32,
    /// LSTM: each gate also sees the cell state, through a weight for each unit (`use_peepholes`).
    #[serde(skip_serializing_if = "is_default")]
    pub peepholes: bool,
    /// LSTM: the cell state is held to [-x, x] (`cell_clip`).
    #[serde(skip_serializing_if = "Option::is_none", with = "decimal::optional")]
    pub cell_clip: Option<f32>,
    /// LSTM: the output is projected to so many values, which are the hidden state (`num_proj`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub projection: Option<usize>,
    /// LSTM: the projected output is held to [-x, x] (`proj_clip`).
    #[serde(skip_serializing_if = "Option::is_none", with = "decimal::optional")]
    pub projection_clip: Option<f32>,
    /// LSTM: the input gate is one minus the forget gate (`CoupledInputForgetGateLSTMCell`).
    #[serde(skip_serializing_if = "is_default")]
    pub coupled: bool,
    /// LSTM: each gate and the cell state are normalised over the layer (`LayerNormBasicLSTMCell`), without biases.
    #[serde(skip_serializing_if = "is_default")]
    pub layer_norm: bool,
    /// Share of h that keeps its old value (zoneout).
    #[serde(skip_serializing_if = "is_zero", with = "decimal")]
    pub zoneout: f32,
    /// LSTM: share of c that keeps its old value.
    #[serde(skip_serializing_if = "is_zero", with = "decimal")]
    pub zoneout_cell: f32,
    /// `DropoutWrapper`: share of the inputs that is kept.
    #[serde(skip_serializing_if = "is_one", with = "decimal")]
    pub input_keep_prob: f32,
    /// `DropoutWrapper`: share of the outputs that is kept.
    #[serde(skip_serializing_if = "is_one", with = "decimal")]
    pub output_keep_prob: f32,
    /// `DropoutWrapper`: share of the state that is kept from step to step.
    #[serde(skip_serializing_if = "is_one", with = "decimal")]
    pub state_keep_prob: f32,
    /// `DropoutWrapper`'s state filter: whether an LSTM's c is dropped like h. TensorFlow keeps it by default.
    #[serde(skip_serializing_if = "is_default")]
    pub drop_cell_state: bool,
    /// `DropoutWrapper`'s state filter: whether h is kept.
    #[serde(skip_serializing_if = "is_default")]
    pub keep_hidden_state: bool,
    /// `DropoutWrapper`: masks for each step, or one for a whole window (`variational_recurrent`).
    #[serde(skip_serializing_if = "is_default")]
    pub variational: Variational,
    /// `DropoutWrapper`: where its masks start; the run's seed when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dropout_seed: Option<u64>,
    /// `DropoutWrapper`: the width of what the layer reads, where one wants it checked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_size: Option<usize>,
    /// What the layer reads is added to its output (`ResidualWrapper`).
    #[serde(skip_serializing_if = "is_default")]
    pub residual: bool,
    /// A trained gate mixes what the layer reads with its output (`HighwayWrapper`).
    #[serde(skip_serializing_if = "is_default")]
    pub highway: Highway,
}

super::choices::choices! {
    /// How long a dropout mask lasts.
    #[derive(Default)]
    Variational {
        /// Each step has masks of its own.
        #[default]
        Off = "off",
        /// One mask for all steps of a window and, as in TensorFlow, for all rows.
        Shared = "shared",
        /// One mask for all steps of a window, another for each row.
        PerRow = "per-row",
    }
}

super::choices::choices! {
    /// How a gate mixes what a layer reads with its output: carry x + transform y.
    #[derive(Default)]
    Highway {
        /// Not at all.
        #[default]
        Off = "off",
        /// One trained gate; transform = 1 - carry (TensorFlow's default).
        Coupled = "coupled",
        /// Two trained gates.
        Separate = "separate",
    }
}

impl Highway {
    /// Trained gates.
    pub(crate) fn gates(self) -> usize {
        match self {
            Self::Off => 0,
            Self::Coupled => 1,
            Self::Separate => 2,
        }
    }
}

fn number(value: f32) -> decimal::Number {
    decimal::Number(decimal::shortest(value))
}

pub(super) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

fn is_one(value: &f32) -> bool {
    *value == 1.0
}

fn is_zero(value: &f32) -> bool {
    *value == 0.0
}

impl Default for Layer {
    fn default() -> Self {
        Self::lstm(256)
    }
}

impl Layer {
    /// A plain layer.
    pub fn new(cell: Cell, hidden: usize) -> Self {
        Self {
            cell,
            custom: None,
            hidden,
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

    /// `BasicRNNCell` of `hidden` units, with tanh.
    pub fn rnn(hidden: usize) -> Self {
        Self::new(Cell::Rnn, hidden)
    }

    /// `BasicLSTMCell` of `hidden` units.
    pub fn lstm(hidden: usize) -> Self {
        Self::new(Cell::Lstm, hidden)
    }

    /// A GRU of `hidden` units, with its reset gate after the product (PyTorch, Keras).
    pub fn gru(hidden: usize) -> Self {
        Self::new(Cell::Gru, hidden)
    }

    /// TensorFlow 1's `GRUCell` of `hidden` units: its reset gate comes before the product, and its gates' biases start at 1.
    pub fn gru_before(hidden: usize) -> Self {
        Self { reset: Reset::Before, gate_bias: 1.0, ..Self::gru(hidden) }
    }

    /// A cell of one's own.
    pub fn custom(cell: CustomCell) -> Self {
        let hidden = cell.output_size();
        Self { custom: Some(cell), ..Self::new(Cell::Rnn, hidden) }
    }

    /// The layers that the flat settings ask for.
    pub(super) fn of(settings: &ModelSettings) -> Vec<Self> {
        let ModelSettings { cell, hidden, activation, reset, gate_bias, dropout, .. } = *settings;
        let ModelSettings { forget_bias, forget_bias_at, .. } = *settings;
        let plain = Self::new(cell, hidden);
        let output_keep_prob = 1.0 - dropout;
        let layer =
            Self { activation, reset, gate_bias, forget_bias, forget_bias_at, output_keep_prob, ..plain };
        // A thousand layers are refused later, and a number without end is not to be listed first.
        vec![layer; settings.layers.min(1 << 12)]
    }

    /// Gates per unit G: 1 (RNN), 3 (GRU: r, z, n; coupled LSTM: f, g, o) or 4 (LSTM: i, f, g, o); 0 for a cell of one's own.
    pub fn gates(&self) -> usize {
        match self.cell {
            _ if self.custom.is_some() => 0,
            Cell::Rnn => 1,
            Cell::Gru => 3,
            Cell::Lstm if self.coupled => 3,
            Cell::Lstm => 4,
        }
    }

    /// Width of what the layer gives to the next (`output_size`).
    pub fn output_size(&self) -> usize {
        match &self.custom {
            Some(custom) => custom.output_size(),
            None => self.projection.unwrap_or(self.hidden),
        }
    }

    /// Widths of the state's h and c (`state_size`); c is 0 wide but for an LSTM. A custom cell's parts lie side by side in h.
    pub fn state_size(&self) -> [usize; 2] {
        match &self.custom {
            Some(custom) => [custom.state_size(), 0],
            None => [self.output_size(), if self.cell == Cell::Lstm { self.hidden } else { 0 }],
        }
    }

    /// Where the forget gate's biases lie among all, and what is added to them, at that time.
    pub(crate) fn forget_bias(&self, at: ForgetBiasAt) -> Option<(std::ops::Range<usize>, f32)> {
        let plain = self.custom.is_none() && self.cell == Cell::Lstm && !self.layer_norm;
        // The second of i, f, g, o, and the first of f, g, o.
        let first = if self.coupled { 0 } else { self.hidden };
        (plain && self.forget_bias_at == at).then_some((first..first + self.hidden, self.forget_bias))
    }

    /// Whether the LSTM has any option beyond PyTorch's.
    pub(crate) fn is_extended(&self) -> bool {
        let clipped = self.cell_clip.is_some() || self.projection_clip.is_some();
        self.peepholes || clipped || self.projection.is_some() || self.coupled || self.layer_norm
    }

    /// Whether old values are kept, in training and after it.
    pub(crate) fn zones_out(&self) -> bool {
        self.zoneout > 0.0 || self.zoneout_cell > 0.0
    }

    /// Whether anything is dropped in training.
    pub(crate) fn drops(&self) -> bool {
        let kept = [self.input_keep_prob, self.output_keep_prob, self.state_keep_prob];
        kept.iter().any(|kept| *kept < 1.0) || self.zones_out()
    }

    /// Checks every option by itself and against the others, for inputs of width `inputs`.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) names the first option that is invalid.
    pub fn validate(&self, inputs: usize) -> Result<()> {
        if let Some(custom) = &self.custom {
            custom.validate(inputs)?;
        }
        self.validate_alone()?;
        let read = self.input_size.unwrap_or(inputs);
        require(read == inputs, "input-size", read, format!("the layer reads {inputs} values"))?;
        let same = |name, wanted: bool| {
            let width = self.output_size();
            let expected = format!("the layer reads {inputs} values and gives {width}, which must be equal");
            require(!wanted || width == inputs, name, wanted, &expected)
        };
        same("residual", self.residual)?;
        same("highway", self.highway != Highway::Off)
    }

    /// What can be checked before it is known what the layer reads.
    pub(super) fn validate_alone(&self) -> Result<()> {
        let some = self.hidden >= 1 || self.custom.is_some();
        require(some, "hidden", self.hidden, "give a whole number of at least 1")?;
        let finite = self.forget_bias.is_finite();
        require(finite, "forget-bias", self.forget_bias, "give a finite number")?;
        let gru = self.cell == Cell::Gru && self.custom.is_none();
        let biased = self.gate_bias == 0.0 || (gru && self.gate_bias.is_finite());
        require(
            biased,
            "gate-bias",
            number(self.gate_bias),
            "a finite number, and an option of the gru cell alone",
        )?;
        self.validate_lstm()?;
        self.validate_shares()?;
        let both = self.residual && self.highway != Highway::Off;
        require(!both, "highway", true, "a highway layer is not residual too; choose one")
    }

    fn validate_lstm(&self) -> Result<()> {
        let lstm = self.cell == Cell::Lstm && self.custom.is_none();
        let only = |name, found: Option<&dyn Display>| {
            let expected = "an option of the lstm cell; leave it out, or take that cell";
            found.filter(|_| !lstm).map_or(Ok(()), |found| require(false, name, found, expected))
        };
        let switched = |on: bool| on.then_some(&true as &dyn Display);
        only("peepholes", switched(self.peepholes))?;
        only("cell-clip", self.cell_clip.as_ref().map(|clip| clip as &dyn Display))?;
        only("projection", self.projection.as_ref().map(|width| width as &dyn Display))?;
        only("coupled", switched(self.coupled))?;
        only("layer-norm", switched(self.layer_norm))?;
        only("zoneout-cell", Some(&self.zoneout_cell as &dyn Display).filter(|_| self.zoneout_cell != 0.0))?;
        for (name, clip) in [("cell-clip", self.cell_clip), ("projection-clip", self.projection_clip)] {
            let clip = clip.unwrap_or(1.0);
            require(clip > 0.0 && clip.is_finite(), name, number(clip), "give a finite number above 0")?;
        }
        if let Some(width) = self.projection {
            let most = self.hidden.saturating_mul(4);
            let expected =
                format!("give 1 to {most}: more than four times the {} units adds nothing", self.hidden);
            require((1..=most).contains(&width), "projection", width, &expected)?;
        }
        let unused = self.projection_clip.is_some() && self.projection.is_none();
        require(!unused, "projection-clip", self.projection_clip.unwrap_or(0.0), "it needs a projection")?;
        let plain = Self { layer_norm: false, ..self.clone() };
        let alone = !self.layer_norm || !plain.is_extended();
        require(
            alone,
            "layer-norm",
            true,
            "the layer-normalised cell has no other option; leave out the others",
        )
    }

    fn validate_shares(&self) -> Result<()> {
        let kept = [
            ("input-keep-prob", self.input_keep_prob),
            ("output-keep-prob", self.output_keep_prob),
            ("state-keep-prob", self.state_keep_prob),
        ];
        for (name, share) in kept {
            require(
                share > 0.0 && share <= 1.0,
                name,
                number(share),
                "give a probability above 0 and at most 1",
            )?;
        }
        for (name, share) in [("zoneout", self.zoneout), ("zoneout-cell", self.zoneout_cell)] {
            require(
                (0.0..1.0).contains(&share),
                name,
                number(share),
                "give a number of at least 0 and below 1",
            )?;
        }
        Ok(())
    }
}
