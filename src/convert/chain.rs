//! A chain of layers with their weights, in PyTorch's layout: what every format is converted to
//! before it becomes a model.

use super::gates::Matrix;
use crate::{
    Activation, Bias, Cell, Layer,
    model::{Model, ModelConfig, Parameters},
};

/// The most units of a linear layer that becomes an RNN layer, whose recurrent weights are a square
/// of them.
const WIDEST: usize = 4096;
/// The end of the names of the reverse direction.
pub(super) const REVERSE: &str = "_reverse";
/// The most layers.
const MOST_STAGES: usize = 1024;
/// The most activations that need a linear layer of their own, which has a square of their width.
const MOST_ALONE: usize = 8;
/// The end of the names of such layers.
const ALONE: &str = " (activation)";
/// The most parameters of a model beside those of its file, which come from zeros and ones.
const MOST_ADDED: usize = 1 << 26;

/// The input of the first layer.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum ChainInput {
    /// Ids, each a row of a matrix [V, E].
    Embedding(Matrix),
    /// Ids of V symbols, as one-hot vectors.
    OneHot(usize),
    /// Vectors of E floats.
    Vectors(usize),
}

impl ChainInput {
    /// The width that the first layer reads.
    pub(super) fn width(&self) -> usize {
        match self {
            Self::Embedding(matrix) => matrix.columns,
            Self::OneHot(width) | Self::Vectors(width) => *width,
        }
    }
}

/// A recurrent layer.
#[derive(Clone, Debug)]
pub(super) struct Recurrent {
    pub(super) layer: Layer,
    /// Width of its inputs.
    pub(super) inputs: usize,
    /// Its tensors under PyTorch's names without `rnn.` and `_l0`: `weight_ih`, and
    /// `weight_ih_reverse` of a bidirectional layer. What is missing is zero.
    pub(super) tensors: Vec<(String, Vec<f32>)>,
}

/// A linear layer y = f(W x + b).
#[derive(Clone, Debug)]
pub(super) struct Linear {
    /// [O, I]
    pub(super) weight: Matrix,
    /// `[O]`
    pub(super) bias: Option<Vec<f32>>,
    pub(super) activation: Activation,
}

/// A layer, and its name in the file.
#[derive(Clone, Debug)]
pub(super) struct Stage {
    pub(super) name: String,
    pub(super) kind: StageKind,
}

#[derive(Clone, Debug)]
pub(super) enum StageKind {
    Recurrent(Recurrent),
    Linear(Linear),
}

impl Stage {
    /// The recurrent layer, if it is one.
    pub(super) fn recurrent(&self) -> Option<&Recurrent> {
        match &self.kind {
            StageKind::Recurrent(recurrent) => Some(recurrent),
            StageKind::Linear(_) => None,
        }
    }

    pub(super) fn inputs(&self) -> usize {
        match &self.kind {
            StageKind::Recurrent(recurrent) => recurrent.inputs,
            StageKind::Linear(linear) => linear.weight.columns,
        }
    }

    pub(super) fn outputs(&self) -> usize {
        match &self.kind {
            StageKind::Recurrent(recurrent) => recurrent.layer.output_size(),
            StageKind::Linear(linear) => linear.weight.rows,
        }
    }
}

/// Layers, each of which reads the outputs of the one before.
#[derive(Clone, Debug)]
pub(super) struct Chain {
    pub(super) input: ChainInput,
    pub(super) stages: Vec<Stage>,
    /// Number of floats in the file, an upper limit for those of the model.
    pub(super) stored: usize,
}

impl Chain {
    /// Appends a stage.
    pub(super) fn push(&mut self, name: impl Into<String>, kind: StageKind) -> Result<(), String> {
        if self.stages.len() == MOST_STAGES {
            return Err(format!("found more than {MOST_STAGES} layers"));
        }
        self.stages.push(Stage { name: name.into(), kind });
        Ok(())
    }

    /// Applies an activation to the outputs of the last stage.
    pub(super) fn activate(&mut self, name: &str, activation: Activation) -> Result<(), String> {
        let width = self.stages.last().map_or(self.input.width(), Stage::outputs);
        if let Some(StageKind::Linear(linear)) = self.stages.last_mut().map(|stage| &mut stage.kind)
            && linear.activation == Activation::Identity
        {
            linear.activation = activation;
            return Ok(());
        }
        let others = self.stages.iter().filter(|stage| stage.name.ends_with(ALONE)).count();
        if width > WIDEST || others == MOST_ALONE {
            return Err(format!(
                "{name}: found an activation of {width} values after a layer, expected at most {WIDEST}, and at \
                 most {MOST_ALONE} such activations"
            ));
        }
        let linear = Linear { weight: Matrix::identity(width), bias: None, activation };
        self.push(format!("{name}{ALONE}"), StageKind::Linear(linear))
    }

    /// Builds the model, and returns what each stage became.
    pub(super) fn model(self) -> Result<(Model, Vec<String>), String> {
        self.check_widths()?;
        let symbols = !matches!(self.input, ChainInput::Vectors(_));
        let has_head = self.stages.last().is_some_and(is_head);
        if !self.stages.iter().any(|stage| stage.recurrent().is_some()) {
            return Err("found no recurrent layer (LSTM, GRU or RNN), expected at least one".to_owned());
        }
        if symbols && !has_head {
            return Err("the model reads ids, and its last layer is not linear; expected a linear layer that returns one \
                        number for each symbol"
                .to_owned());
        }
        let mut became = Vec::new();
        let (mut stack, mut tensors, mut head) = (Vec::new(), Vec::new(), None);
        let count = self.stages.len();
        for (index, stage) in self.stages.into_iter().enumerate() {
            match stage.kind {
                StageKind::Linear(linear) if has_head && index + 1 == count => {
                    became.push("head".to_owned());
                    head = Some(linear);
                }
                StageKind::Linear(linear) => {
                    let name = linear.activation.name();
                    became.push(format!("layer {}: an RNN ({name}) without recurrent weights", stack.len()));
                    let as_rnn =
                        linear.into_recurrent().map_err(|reason| format!("{}: {reason}", stage.name))?;
                    tensors.push(as_rnn.tensors);
                    stack.push(as_rnn.layer);
                }
                StageKind::Recurrent(recurrent) => {
                    became.push(format!("layer {}: {}", stack.len(), described(&recurrent.layer)));
                    tensors.push(recurrent.tensors);
                    stack.push(recurrent.layer);
                }
            }
        }
        let model = assemble(self.input, stack, tensors, head, self.stored)?;
        Ok((model, became))
    }

    /// Checks that each stage reads what the stage before returns.
    fn check_widths(&self) -> Result<(), String> {
        let mut width = self.input.width();
        for stage in &self.stages {
            if stage.inputs() != width {
                let name = &stage.name;
                return Err(format!(
                    "{name} reads {} values, but the layer before returns {width}",
                    stage.inputs()
                ));
            }
            width = stage.outputs();
        }
        Ok(())
    }
}

impl Linear {
    /// Returns the same function as an RNN layer.
    fn into_recurrent(self) -> Result<Recurrent, String> {
        let Self { weight, bias, activation } = self;
        if weight.rows > WIDEST {
            return Err(format!(
                "found a linear layer of {} units that is not the last layer, expected at most {WIDEST}",
                weight.rows
            ));
        }
        let layer = Layer { activation, ..Layer::rnn(weight.rows) };
        let mut tensors = vec![("weight_ih".to_owned(), weight.values)];
        tensors.extend(bias.map(|bias| ("bias_ih".to_owned(), bias)));
        Ok(Recurrent { layer, inputs: weight.columns, tensors })
    }
}

/// Returns whether a stage at the end of the chain is the head of the model.
fn is_head(stage: &Stage) -> bool {
    matches!(&stage.kind, StageKind::Linear(linear) if linear.activation == Activation::Identity)
}

/// Describes a layer: `LSTM of 16 units`.
pub(super) fn described(layer: &Layer) -> String {
    let cell = match layer.cell {
        Cell::Rnn => format!("RNN ({})", layer.activation.name()),
        Cell::Gru => "GRU".to_owned(),
        Cell::Lstm => "LSTM".to_owned(),
    };
    let with = [
        (layer.bidirectional, "bidirectional"),
        (layer.peepholes, "peepholes"),
        (layer.residual, "residual"),
    ];
    let with: String = with.iter().filter(|(on, _)| *on).map(|(_, name)| format!(", {name}")).collect();
    format!("{cell} of {} units{with}", layer.hidden)
}

/// Puts all tensors into the flat buffer of a model.
fn assemble(
    input: ChainInput,
    stack: Vec<Layer>,
    layers: Vec<Vec<(String, Vec<f32>)>>,
    head: Option<Linear>,
    stored: usize,
) -> Result<Model, String> {
    let (vocabulary, embedding) = match &input {
        ChainInput::Embedding(matrix) => (matrix.rows, Some(matrix.columns)),
        ChainInput::OneHot(symbols) => (*symbols, None),
        ChainInput::Vectors(width) => (0, Some(*width)),
    };
    let outputs = head.as_ref().map_or(0, |head| head.weight.rows);
    let config = ModelConfig { bias: Bias::Double, vocabulary, embedding, outputs, stack };
    config.check().map_err(|error| error.to_string())?;
    let most = stored.saturating_mul(2).saturating_add(MOST_ADDED);
    if config.estimated_count() > most as f64 {
        let found = config.estimated_count();
        return Err(format!(
            "the model would have {found} parameters, but the file holds only {stored} numbers"
        ));
    }
    let mut parameters = Parameters::zeros(config.layout());
    if let ChainInput::Embedding(matrix) = input {
        put(&mut parameters, "embedding.weight", &matrix.values)?;
    }
    for (number, tensors) in layers.into_iter().enumerate() {
        for (name, values) in tensors {
            let (name, direction) =
                name.strip_suffix(REVERSE).map_or((&name[..], ""), |name| (name, REVERSE));
            put(&mut parameters, &format!("rnn.{name}_l{number}{direction}"), &values)?;
        }
    }
    if let Some(head) = head {
        put(&mut parameters, "head.weight", &head.weight.values)?;
        head.bias.map_or(Ok(()), |bias| put(&mut parameters, "head.bias", &bias))?;
    }
    Model::with_parameters(config, parameters).map_err(|error| error.to_string())
}

fn put(parameters: &mut Parameters, name: &str, values: &[f32]) -> Result<(), String> {
    let Some(to) = parameters.get_mut(name) else {
        return Err(format!("{name} has no place in the model"));
    };
    if to.len() != values.len() {
        return Err(format!("{name}: found {} values, expected {}", values.len(), to.len()));
    }
    match values.iter().find(|value| !value.is_finite()) {
        Some(value) => Err(format!("{name}: found {value}, expected finite numbers")),
        None => {
            to.copy_from_slice(values);
            Ok(())
        }
    }
}
