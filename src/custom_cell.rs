//! Custom cells: the lecture's `class GRUCell(RNNCell)` as a trait.

use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fmt::Debug;
use std::sync::Arc;

/// A custom recurrent cell: sizes, variables, one step, and the step's backward pass.
///
/// All arrays are row-major f32 of B rows: inputs [B, E], state [B, S] (the parts of a tuple state
/// side by side in each row), outputs [B, P]. A cell must compute each row independently. It is
/// called with any number of rows, in training, in evaluation and in streams. Both passes of a step
/// run with denormal numbers as zeros, as the rest of the model does (see
/// [`unrolled_kernels::denormals`]).
/// `examples/custom_cell.rs` writes TensorFlow's GRU as a custom cell.
/// [`crate::network::check_gradients`] checks a backward pass against numerical derivatives.
pub trait RnnCell: Debug + Send + Sync {
    /// Returns the widths of the state's parts: `[H]`, or for example `[H, H]` for a cell with c
    /// and h. There is at least one part, and each width is at least 1.
    fn state_size(&self) -> Vec<usize>;

    /// Returns the width of the output (P), at least 1.
    fn output_size(&self) -> usize;

    /// Returns the trained variables for inputs of width `input_size`. Steps get them in this
    /// order.
    fn variables(&self, input_size: usize) -> Vec<Variable>;

    /// Returns the number of floats per row that a step keeps for its backward pass.
    fn kept_size(&self, _input_size: usize) -> usize {
        0
    }

    /// Computes the outputs and the next state from the inputs and the state.
    fn step(&self, variables: &[&[f32]], step: CellStep<'_>);

    /// Computes the gradients of a step's inputs, state and variables from those of its outputs and
    /// next state.
    fn step_backward(&self, variables: &[&[f32]], step: CellStepBackward<'_>);
}

/// The forward pass of one step of B rows.
#[derive(Debug)]
pub struct CellStep<'a> {
    /// Number of rows (B).
    pub rows: usize,
    /// [B, E]
    pub inputs: &'a [f32],
    /// [B, S]
    pub state: &'a [f32],
    /// [B, S]: the step must write it.
    pub next_state: &'a mut [f32],
    /// [B, P]: the step must write it.
    pub outputs: &'a mut [f32],
    /// [B, K]: values for the backward pass, with K from `kept_size`.
    pub kept: &'a mut [f32],
}

/// The backward pass of one step of B rows.
#[derive(Debug)]
pub struct CellStepBackward<'a> {
    /// Number of rows (B).
    pub rows: usize,
    /// [B, E]: the inputs of the forward pass.
    pub inputs: &'a [f32],
    /// [B, S]: the state of the forward pass.
    pub state: &'a [f32],
    /// [B, K]: the values that the forward pass kept.
    pub kept: &'a [f32],
    /// [B, P]: gradient of the outputs.
    pub d_outputs: &'a [f32],
    /// [B, S]: gradient of the next state.
    pub d_next_state: &'a [f32],
    /// [B, E]: gradient of the inputs; the step must write it.
    pub d_inputs: &'a mut [f32],
    /// [B, S]: gradient of the state; the step must write it.
    pub d_state: &'a mut [f32],
    /// The gradient of each variable; the step must add to it, row after row.
    pub d_variables: &'a mut [&'a mut [f32]],
}

/// Names of variables that a layer may have around its cell.
const RESERVED: [&str; 2] = ["highway_weight", "highway_bias"];

/// A trained variable of a custom cell.
#[derive(Clone, Debug, PartialEq)]
pub struct Variable {
    /// Its name: letters, digits and `_`, and not the name of a highway variable. In a model and
    /// its files it is `rnn.NAME_l0` for layer 0.
    pub name: String,
    /// Row-major shape.
    pub shape: Vec<usize>,
    /// The initial values.
    pub initial: InitialValues,
}

/// The initial values of a variable.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum InitialValues {
    /// The same number for all elements, for example for a bias.
    Constant(f32),
    /// U(-l, l) with l = sqrt(6 / (rows + columns)), times the settings' `init-scale`: Glorot's
    /// uniform, the default of TensorFlow.
    Glorot,
    /// U(-s, s).
    Uniform(f32),
    /// N(0, s^2).
    Normal(f32),
}

impl Variable {
    /// Returns a variable with Glorot's uniform initial values.
    pub fn weight(name: &str, shape: &[usize]) -> Self {
        Self { name: name.to_owned(), shape: shape.to_vec(), initial: InitialValues::Glorot }
    }

    /// Returns a variable with one number as initial value of all elements.
    pub fn constant(name: &str, shape: &[usize], value: f32) -> Self {
        Self { name: name.to_owned(), shape: shape.to_vec(), initial: InitialValues::Constant(value) }
    }
}

/// A custom cell and its name in files. A file has only the name, so a program that loads the file
/// must provide the cell.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct CustomCell {
    name: String,
    cell: Option<Arc<dyn RnnCell>>,
}

impl From<String> for CustomCell {
    /// Returns a name without a cell.
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
    /// Compares the names: two cells with the same name are equal.
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl CustomCell {
    /// Returns a cell with a name.
    pub fn new(name: &str, cell: impl RnnCell + 'static) -> Self {
        Self { name: name.to_owned(), cell: Some(Arc::new(cell)) }
    }

    /// Returns the name in files.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the cell; `None` if only a name was read from a file.
    pub fn cell(&self) -> Option<&dyn RnnCell> {
        self.cell.as_deref()
    }

    /// Takes the cell with the same name from `known`, if it has none.
    pub(crate) fn resolve(&mut self, known: &[Self]) {
        if let (None, Some(found)) = (&self.cell, known.iter().find(|custom| custom.name == self.name)) {
            self.cell.clone_from(&found.cell);
        }
    }

    /// Returns the floats of a row's state.
    pub(crate) fn state_size(&self) -> usize {
        self.cell().map_or(0, |cell| cell.state_size().iter().fold(0, |sum, part| sum.saturating_add(*part)))
    }

    /// Returns the floats of a row's output.
    pub(crate) fn output_size(&self) -> usize {
        self.cell().map_or(0, RnnCell::output_size)
    }

    /// Checks the cell's sizes and variables, and a step of zeros, for inputs of width `inputs`.
    pub(crate) fn validate(&self, inputs: usize) -> Result<()> {
        let refuse = |expected: &str| Err(Error::setting("custom", self.name.clone(), expected));
        let Some(cell) = self.cell() else {
            return refuse("this program has no cell of that name; give it, as for Checkpoint::load_with");
        };
        let parts = cell.state_size();
        if parts.is_empty() || parts.contains(&0) || self.state_size() > 1 << 24 {
            return refuse(&format!(
                "its state_size is {parts:?}, expected one or more parts of at least 1, and at most 2^24 in all"
            ));
        }
        if !(1..=1 << 24).contains(&cell.output_size()) {
            return refuse(&format!("its output_size is {}, expected 1 to 2^24", cell.output_size()));
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
                    "its variable {name:?} needs a unique name of letters, digits and _"
                ));
            }
            if shape.iter().try_fold(1usize, |n, size| n.checked_mul(*size)).is_none_or(|n| n > 1 << 31) {
                return refuse(&format!(
                    "its variable {name} has the shape {shape:?}, expected at most 2^31 elements"
                ));
            }
        }
        self.try_step(cell, inputs, &variables).map_or_else(|reason| refuse(&reason), Ok)
    }

    /// Runs a step of zeros, forward and backward. A cell whose sizes contradict its arithmetic
    /// fails here, and not in the middle of a run.
    fn try_step(
        &self,
        cell: &dyn RnnCell,
        inputs: usize,
        variables: &[Variable],
    ) -> std::result::Result<(), String> {
        let [s, p] = [self.state_size(), cell.output_size()];
        let sizes = [inputs, s, p, cell.kept_size(inputs)];
        let step = std::panic::AssertUnwindSafe(|| step_of_zeros(cell, sizes, variables));
        let what = format!("a step of two rows with a state of {s}, an output of {p} and {inputs} inputs");
        match std::panic::catch_unwind(step) {
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

/// A NaN that no arithmetic gives: a signaling NaN. Any operation makes it a quiet one.
const UNWRITTEN: u32 = 0x7f95_a5a5;

/// Runs two rows of zeros forward and backward. Returns the name of an array that the forward step
/// did not write completely.
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
    let step = CellStep {
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
    let back = CellStepBackward {
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
