//! A stack of layers on windows of vectors.

use crate::exec::{
    self, Dropout, Dropping, Executor, Goal, Masks, Packed, Pass, Purpose, Shape, State, Weights,
};
use crate::model::{Model, Parameters, check_stack};
use crate::parallel::Threads;
use crate::{Error, Result};

/// How the vectors of a window follow each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// [T, B, ..]: all rows of a step, then the next step (`time_major=True`).
    #[default]
    TimeMajor,
    /// [B, T, ..]: all steps of a row, then the next row (`dynamic_rnn`'s default).
    BatchMajor,
}

impl Order {
    /// The number of the vector of a step and a row.
    pub(super) fn place(self, [steps, rows]: [usize; 2], step: usize, row: usize) -> usize {
        match self {
            Self::TimeMajor => step * rows + row,
            Self::BatchMajor => row * steps + step,
        }
    }
}

/// A window of vectors, and how it is to be run.
#[derive(Clone, Copy, Debug)]
pub struct Window<'a> {
    /// Steps T.
    pub steps: usize,
    /// Rows B.
    pub rows: usize,
    /// [T, B, E], or [B, T, E] as `order` says.
    pub inputs: &'a [f32],
    /// Of inputs and outputs alike.
    pub order: Order,
    /// `[B]`: the steps of each row, at most T (`sequence_length`). Beyond them outputs are zero and the state stays. Without
    /// it all rows have T.
    pub lengths: Option<&'a [usize]>,
    /// The state to start from; zero without it.
    pub initial: Option<&'a State>,
    /// Where dropout and zoneout masks come from while training; without it nothing is dropped, and zoneout is its expectation.
    pub dropout: Option<Dropout>,
    /// Masks that are given instead of drawn, with `dropout`.
    pub masks: Option<&'a Masks>,
}

impl<'a> Window<'a> {
    /// A time-major window of T steps of B rows, from the zero state.
    pub fn new(steps: usize, rows: usize, inputs: &'a [f32]) -> Self {
        let (lengths, initial, dropout, masks) = (None, None, None, None);
        Self { steps, rows, inputs, order: Order::TimeMajor, lengths, initial, dropout, masks }
    }
}

/// A stack of layers that runs on vectors, forward and backward.
///
/// Equal bits whatever the number of threads, as everywhere; a stack with a custom cell runs its steps on one.
#[derive(Debug)]
pub struct Rnn {
    model: Model,
    weights: Weights,
    threads: Threads,
    executor: Executor,
    /// The only shape that a planned one takes.
    planned: Option<[usize; 2]>,
    gradient: Parameters,
    d_inputs: Vec<f32>,
    d_initial: State,
    /// What the last window was, for its backward pass.
    last: Option<Last>,
    /// Whether the parameters may have changed since the weights were packed.
    moved: bool,
}

#[derive(Debug)]
struct Last {
    shape: [usize; 2],
    order: Order,
    dropout: Option<Dropout>,
    masks: Option<Masks>,
}

impl Rnn {
    /// Takes a model of [`Model::of_stack`] for windows of any shape (`dynamic_rnn`), on `threads` threads (all cores when
    /// `None`).
    ///
    /// # Errors
    /// A model with a vocabulary, or threads or an instruction set that cannot be had.
    pub fn new(model: Model, threads: Option<usize>) -> Result<Self> {
        Self::build(model, None, threads)
    }

    /// The same for windows of T steps of B rows alone, with every buffer placed ahead (`static_rnn`).
    ///
    /// # Errors
    /// As for [`Rnn::new`]; [`Error::Setting`] for no steps or no rows, [`Error::Memory`] for more than the machine has.
    pub fn planned(model: Model, steps: usize, rows: usize, threads: Option<usize>) -> Result<Self> {
        for (name, size) in [("steps", steps), ("rows", rows)] {
            if size == 0 {
                let expected = "give a whole number of at least 1".to_owned();
                return Err(Error::Setting { name, found: "0".to_owned(), expected });
            }
        }
        Self::build(model, Some([steps, rows]), threads)
    }

    fn build(model: Model, planned: Option<[usize; 2]>, threads: Option<usize>) -> Result<Self> {
        if model.config().has_head() {
            let expected = "a stack by itself reads vectors; make the model with Model::of_stack".to_owned();
            let found = model.config().vocabulary.to_string();
            return Err(Error::Setting { name: "vocabulary", found, expected });
        }
        // Parameters and their gradient, and the weights packed for both passes.
        check_stack(model.config(), 4.0, planned.unwrap_or_default())?;
        let threads = Threads::new(threads)?;
        let mut weights = Weights::new(model.config(), exec::detect()?);
        weights.pack(model.parameters(), true, &threads);
        let purpose = Purpose { train: true, dropout: true };
        let [steps, rows] = planned.unwrap_or_default();
        let executor = Executor::new(&weights, steps, rows, purpose, &threads);
        let gradient = Parameters::zeros(model.parameters().layout.clone());
        let (d_inputs, d_initial) = (Vec::new(), State::default());
        Ok(Self {
            model,
            weights,
            threads,
            executor,
            planned,
            gradient,
            d_inputs,
            d_initial,
            last: None,
            moved: false,
        })
    }

    /// The state that nothing has gone into yet (`zero_state`).
    pub fn zero_state(&self, rows: usize) -> State {
        State::zero(self.model.config(), rows)
    }

    /// Runs a window and writes `outputs`, [T, B, P] or [B, T, P]: what the last layer gives.
    ///
    /// # Errors
    /// [`Error::Batch`] when sizes, lengths or masks do not fit, [`Error::StateShape`] when the state does not.
    pub fn forward(&mut self, window: &Window<'_>, outputs: &mut [f32]) -> Result<()> {
        self.check(window, outputs.len())?;
        if std::mem::take(&mut self.moved) {
            self.weights.pack(self.model.parameters(), true, &self.threads);
        }
        let Self { model, weights, threads, executor, .. } = self;
        let Window { steps, rows, inputs, order, lengths, initial, dropout, masks } = *window;
        executor.reshape(weights, Shape { steps, rows, lengths }, threads);
        if let Some(state) = initial {
            executor.set_state(state);
        }
        let place = |step, row| order.place([steps, rows], step, row);
        executor.load(weights, place, inputs);
        let dropping = dropout.map(|dropout| Dropping { dropout, given: masks });
        let packed = Packed { weights, parameters: model.parameters(), threads };
        let (fresh, goal) = (initial.is_none(), Goal::Outputs);
        executor.run(packed, Pass { inputs: &[], targets: &[], fresh, dropping, goal });
        executor.outputs(weights, place, outputs);
        self.last = Some(Last { shape: [steps, rows], order, dropout, masks: masks.cloned() });
        Ok(())
    }

    /// Runs T steps, each [B, E], and gives T outputs, each [B, P]: `static_rnn`'s lists. The other fields of `window` are
    /// as for [`Rnn::forward`]; its `inputs`, `steps` and `order` are not asked.
    ///
    /// # Errors
    /// As for [`Rnn::forward`].
    pub fn forward_list<V: AsRef<[f32]>>(
        &mut self,
        inputs: &[V],
        window: &Window<'_>,
    ) -> Result<Vec<Vec<f32>>> {
        let config = self.model.config();
        let expected = window.rows.checked_mul(config.input_width(0));
        if let Some(step) = inputs.iter().position(|step| Some(step.as_ref().len()) != expected) {
            let found = format!("{} inputs in step {step}", inputs[step].as_ref().len());
            let expected = format!("{} rows x {} of them", window.rows, config.input_width(0));
            return Err(refuse(found, expected));
        }
        let joined: Vec<f32> = inputs.iter().flat_map(|step| step.as_ref()).copied().collect();
        let width = window.rows * config.output_width();
        let mut outputs = vec![0.0; inputs.len() * width];
        let window = Window { steps: inputs.len(), order: Order::TimeMajor, inputs: &joined, ..*window };
        self.forward(&window, &mut outputs)?;
        Ok(outputs.chunks(width.max(1)).map(<[f32]>::to_vec).collect())
    }

    /// Goes back through the last window, from the gradients of its outputs (in the order of the window) and, if something
    /// depends on it, of its last state. Leaves the gradients of the parameters, the inputs and the first state. What the
    /// window kept for it is used up: a second backward pass needs another forward one.
    ///
    /// # Errors
    /// [`Error::Batch`] without a window that went forward, or when a size does not fit, [`Error::StateShape`] likewise.
    pub fn backward(&mut self, d_outputs: &[f32], d_state: Option<&State>) -> Result<()> {
        let Some(last) = &self.last else {
            return Err(refuse(
                "no window".to_owned(),
                "one that went forward, and not backward yet".to_owned(),
            ));
        };
        let [steps, rows] = last.shape;
        let config = self.model.config();
        let expected = steps * rows * config.output_width();
        if d_outputs.len() != expected {
            return Err(refuse(format!("{} gradients of outputs", d_outputs.len()), expected.to_string()));
        }
        d_state.map_or(Ok(()), |state| state.check(config, rows))?;
        let place = |step, row| last.order.place([steps, rows], step, row);
        let dropping = last.dropout.map(|dropout| Dropping { dropout, given: last.masks.as_ref() });
        let Self { weights, threads, executor, gradient, d_inputs, d_initial, .. } = self;
        executor.backward(weights, place, (d_outputs, d_state), dropping, threads);
        executor.gradients(weights, &mut gradient.values, threads);
        weights.tensors.clear_constants(&mut gradient.values);
        d_inputs.resize(steps * rows * weights.config.input_width(0), 0.0);
        executor.d_inputs(weights, place, d_inputs);
        executor.d_initial(weights, d_initial);
        self.last = None;
        Ok(())
    }

    /// The gradient that the last backward pass left, under the names of the parameters.
    pub fn gradient(&self) -> &Parameters {
        &self.gradient
    }

    /// The gradient of the inputs, in the order of the window; of the last backward pass, empty before the first.
    pub fn d_inputs(&self) -> &[f32] {
        &self.d_inputs
    }

    /// The gradient of the first state, of the last backward pass; without layers before the first.
    pub fn d_initial(&self) -> &State {
        &self.d_initial
    }

    /// Each row's state after its own last step.
    pub fn state(&self) -> State {
        self.executor.state()
    }

    /// The model.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// The arenas of the parameters, to be changed, and of the last gradient.
    pub fn parameters_and_gradient(&mut self) -> (&mut [f32], &[f32]) {
        self.moved = true;
        (&mut self.model.parameters_mut().values, &self.gradient.values)
    }

    /// Whether the tensor at a place of the arena is not trained.
    pub(super) fn is_constant(&self, range: &std::ops::Range<usize>) -> bool {
        self.weights.tensors.constants.contains(range)
    }

    /// Sets what is not trained to zero.
    pub(super) fn zero_constants(&mut self) {
        self.weights.tensors.clear_constants(&mut self.model.parameters_mut().values);
        self.moved = true;
    }

    fn check(&self, window: &Window<'_>, outputs: usize) -> Result<()> {
        let Window { steps, rows, inputs, lengths, initial, masks, dropout, .. } = *window;
        let config = self.model.config();
        dropout.map_or(Ok(()), Dropout::check)?;
        if let Some(shape) = self.planned.filter(|shape| *shape != [steps, rows]) {
            let expected = format!("{} steps of {} rows, as planned; Rnn::new takes any", shape[0], shape[1]);
            return Err(refuse(format!("{steps} steps of {rows} rows"), expected));
        }
        let tokens = steps.checked_mul(rows).filter(|tokens| *tokens > 0);
        let sizes =
            [("inputs", inputs.len(), config.input_width(0)), ("outputs", outputs, config.output_width())];
        for (what, found, width) in sizes {
            if tokens.and_then(|tokens| tokens.checked_mul(width)) != Some(found) {
                let expected = format!("{steps} steps x {rows} rows x {width} of them, and at least one");
                return Err(refuse(format!("{found} {what}"), expected));
            }
        }
        if let Some(lengths) = lengths {
            if lengths.len() != rows {
                let found = format!("{} lengths", lengths.len());
                return Err(refuse(found, format!("one for each of {rows} rows")));
            }
            if let Some(row) = lengths.iter().position(|length| *length > steps) {
                let found = format!("the length {} of row {row}", lengths[row]);
                return Err(refuse(found, format!("lengths up to the window's {steps} steps")));
            }
        }
        for (layer, site, mask) in masks.into_iter().flat_map(Masks::iter) {
            let width = match config.stack.get(layer) {
                None => 0,
                Some(found) => found.width_at(site, config.input_width(layer)),
            };
            if mask.len() != steps * rows * width {
                let found = format!("{} values in the mask {site:?} of layer {layer}", mask.len());
                return Err(refuse(found, format!("{steps} steps x {rows} rows x {width} of them")));
            }
        }
        initial.map_or(Ok(()), |state| state.check(config, rows))
    }
}

pub(super) fn refuse(found: String, expected: String) -> Error {
    Error::Batch { found, expected }
}
