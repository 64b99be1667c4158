//! Cells that a user writes: the lecture's `class GRUCell(RNNCell)` as a trait.

use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fmt::Debug;
use std::sync::Arc;

/// A recurrent cell of one's own: sizes, variables, one step, and the step's backward pass.
///
/// All arrays are row-major f32 and belong to B rows: inputs [B, E], state [B, S] (the parts of a tuple state side by side in
/// each row), outputs [B, P]. A cell computes each row by itself; it is called with any number of rows, in both modes and in
/// streams. `examples/custom_cell.rs` writes TensorFlow's GRU this way, and [`crate::rnn::check_gradients`] checks a backward
/// pass against differences.
pub trait RnnCell: Debug + Send + Sync {
    /// Widths of the state's parts: `[H]`, or for example `[H, H]` for a cell with c and h. At least one, each at least 1.
    fn state_size(&self) -> Vec<usize>;

    /// Width P of the output, at least 1.
    fn output_size(&self) -> usize;

    /// The trained variables for inputs of width `input_size`, in the order in which steps are given them.
    fn variables(&self, input_size: usize) -> Vec<Variable>;

    /// How many floats a step leaves for its backward pass, for each row.
    fn kept_size(&self, _input_size: usize) -> usize {
        0
    }

    /// From inputs and state to outputs and the next state.
    fn step(&self, variables: &[&[f32]], step: Step<'_>);

    /// From the gradients of a step's outputs and next state to those of its inputs, its state and the variables.
    fn step_backward(&self, variables: &[&[f32]], step: StepBackward<'_>);
}

/// One step of B rows, forward.
#[derive(Debug)]
pub struct Step<'a> {
    /// Rows B.
    pub rows: usize,
    /// [B, E]
    pub inputs: &'a [f32],
    /// [B, S]
    pub state: &'a [f32],
    /// [B, S]: to be written.
    pub next_state: &'a mut [f32],
    /// [B, P]: to be written.
    pub outputs: &'a mut [f32],
    /// [B, K]: for the backward pass, K as `kept_size` says.
    pub kept: &'a mut [f32],
}

/// One step of B rows, backward.
#[derive(Debug)]
pub struct StepBackward<'a> {
    /// Rows B.
    pub rows: usize,
    /// [B, E]: as in the forward step.
    pub inputs: &'a [f32],
    /// [B, S]: as in the forward step.
    pub state: &'a [f32],
    /// [B, K]: as the forward step left it.
    pub kept: &'a [f32],
    /// [B, P]: gradient of the outputs.
    pub d_outputs: &'a [f32],
    /// [B, S]: gradient of the next state.
    pub d_next_state: &'a [f32],
    /// [B, E]: to be written.
    pub d_inputs: &'a mut [f32],
    /// [B, S]: to be written.
    pub d_state: &'a mut [f32],
    /// One slice for each variable: to be added to, row after row.
    pub d_variables: &'a mut [&'a mut [f32]],
}

/// Names of what a layer may have around its cell.
const RESERVED: [&str; 2] = ["highway_weight", "highway_bias"];

/// A trained variable of a custom cell.
#[derive(Clone, Debug, PartialEq)]
pub struct Variable {
    /// Its name, of letters, digits and `_`, and none of a highway's; in a model and its files it is `rnn.NAME_l0` for layer 0.
    pub name: String,
    /// Row-major shape.
    pub shape: Vec<usize>,
    /// Where it starts.
    pub start: Start,
}

/// The first values of a variable.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Start {
    /// The same number for all, as biases have.
    Constant(f32),
    /// U(-l, l) with l = sqrt(6 / (rows + columns)): Glorot's, TensorFlow's default. Times the settings' `init-scale`.
    Glorot,
    /// U(-s, s).
    Uniform(f32),
    /// N(0, s^2).
    Normal(f32),
}

impl Variable {
    /// A variable that starts as Glorot's uniform.
    pub fn weight(name: &str, shape: &[usize]) -> Self {
        Self { name: name.to_owned(), shape: shape.to_vec(), start: Start::Glorot }
    }

    /// A variable that starts as one number.
    pub fn constant(name: &str, shape: &[usize], value: f32) -> Self {
        Self { name: name.to_owned(), shape: shape.to_vec(), start: Start::Constant(value) }
    }
}

/// A custom cell and the name that it has in files. A file has the name alone: who loads it brings the cell along.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct CustomCell {
    name: String,
    cell: Option<Arc<dyn RnnCell>>,
}

impl From<String> for CustomCell {
    /// A name whose cell is not known yet.
    fn from(name: String) -> Self {
        Self { name, cell: None }
    }
}

impl From<CustomCell> for String {
    fn from(custom: CustomCell) -> Self {
        custom.name
    }
}

impl PartialEq for CustomCell {
    /// By name: two cells of one name are taken for the same.
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl CustomCell {
    /// A cell under a name.
    pub fn new(name: &str, cell: impl RnnCell + 'static) -> Self {
        Self { name: name.to_owned(), cell: Some(Arc::new(cell)) }
    }

    /// The name in files.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The cell; `None` where only a name was read from a file.
    pub fn cell(&self) -> Option<&dyn RnnCell> {
        self.cell.as_deref()
    }

    /// Takes the cell of the same name from `known`, if it has none.
    pub(crate) fn resolve(&mut self, known: &[Self]) {
        if let (None, Some(found)) = (&self.cell, known.iter().find(|custom| custom.name == self.name)) {
            self.cell.clone_from(&found.cell);
        }
    }

    /// Floats of a row's state.
    pub(crate) fn state_size(&self) -> usize {
        self.cell().map_or(0, |cell| cell.state_size().iter().fold(0, |sum, part| sum.saturating_add(*part)))
    }

    pub(crate) fn output_size(&self) -> usize {
        self.cell().map_or(0, RnnCell::output_size)
    }

    /// Checks what the cell says of itself, for inputs of width `inputs`.
    pub(crate) fn validate(&self, inputs: usize) -> Result<()> {
        let refuse = |expected: &str| Err(Error::setting("custom", self.name.clone(), expected));
        let Some(cell) = self.cell() else {
            return refuse(
                "this cell is not part of the program; give it by name, as Checkpoint::load_with does",
            );
        };
        let parts = cell.state_size();
        if parts.is_empty() || parts.contains(&0) || self.state_size() > 1 << 24 {
            return refuse(&format!(
                "its state_size is {parts:?}; give at least one part, each at least 1 wide"
            ));
        }
        if !(1..=1 << 24).contains(&cell.output_size()) {
            return refuse(&format!("its output_size is {}; give at least 1", cell.output_size()));
        }
        let variables = cell.variables(inputs);
        for (index, variable) in variables.iter().enumerate() {
            let Variable { name, shape, .. } = variable;
            let known = |c: char| c.is_ascii_alphanumeric() || c == '_';
            if name.is_empty()
                || !name.chars().all(known)
                || variables[..index].iter().any(|v| v.name == *name)
                || RESERVED.contains(&name.as_str())
            {
                return refuse(&format!(
                    "its variable {name:?} needs a name of its own, of letters, digits and _"
                ));
            }
            if shape.iter().try_fold(1usize, |n, size| n.checked_mul(*size)).is_none_or(|n| n > 1 << 31) {
                return refuse(&format!(
                    "its variable {name} has the shape {shape:?}, which no memory holds"
                ));
            }
        }
        self.try_step(cell, inputs, &variables).map_or_else(|reason| refuse(&reason), Ok)
    }

    /// A step of zeros, forward and backward: a cell whose sizes do not fit its arithmetic shows here, and not in the middle of a run.
    fn try_step(
        &self,
        cell: &dyn RnnCell,
        inputs: usize,
        variables: &[Variable],
    ) -> std::result::Result<(), String> {
        let [s, p] = [self.state_size(), cell.output_size()];
        let sizes = [inputs, s, p, cell.kept_size(inputs)];
        let quiet = std::panic::AssertUnwindSafe(|| step_of_zeros(cell, sizes, variables));
        let what = format!("a step of two rows with a state of {s}, an output of {p} and {inputs} inputs");
        match std::panic::catch_unwind(quiet) {
            Ok(None) => Ok(()),
            Ok(Some(left)) => Err(format!("{what} left {left} unwritten")),
            Err(cause) => {
                let text = cause.downcast_ref::<String>().map(String::as_str);
                let text =
                    text.or_else(|| cause.downcast_ref::<&str>().copied()).unwrap_or("no reason given");
                Err(format!("{what} failed: {}", text.lines().next().unwrap_or_default()))
            }
        }
    }
}

/// A NaN that no arithmetic gives: a signalling one, which whatever is done to it makes a quiet one.
const UNWRITTEN: u32 = 0x7f95_a5a5;

/// Two rows of zeros, forward and backward; what the forward step did not write.
fn step_of_zeros(
    cell: &dyn RnnCell,
    [e, s, p, k]: [usize; 4],
    variables: &[Variable],
) -> Option<&'static str> {
    let zeros = || variables.iter().map(|v| vec![0.0; v.shape.iter().product()]).collect::<Vec<Vec<f32>>>();
    let (values, mut sums) = (zeros(), zeros());
    let views: Vec<&[f32]> = values.iter().map(Vec::as_slice).collect();
    let rows = 2;
    let (x, state, d_outputs) = (vec![0.0; rows * e], vec![0.0; rows * s], vec![0.0; rows * p]);
    let unwritten = |size: usize| vec![f32::from_bits(UNWRITTEN); rows * size];
    let (mut next_state, mut outputs, mut kept) = (unwritten(s), unwritten(p), vec![0.0; rows * k]);
    let step = Step {
        rows,
        inputs: &x,
        state: &state,
        next_state: &mut next_state,
        outputs: &mut outputs,
        kept: &mut kept,
    };
    cell.step(&views, step);
    let mut d_variables: Vec<&mut [f32]> = sums.iter_mut().map(Vec::as_mut_slice).collect();
    let (mut d_inputs, mut d_state) = (x.clone(), state.clone());
    let back = StepBackward {
        rows,
        inputs: &x,
        state: &state,
        kept: &kept,
        d_outputs: &d_outputs,
        d_next_state: &state,
        d_inputs: &mut d_inputs,
        d_state: &mut d_state,
        d_variables: &mut d_variables,
    };
    cell.step_backward(&views, back);
    let has_left = |values: &[f32]| values.iter().any(|value| value.to_bits() == UNWRITTEN);
    let parts = [(&next_state, "a part of next_state"), (&outputs, "a part of outputs")];
    parts.into_iter().find(|(values, _)| has_left(values)).map(|(_, name)| name)
}
