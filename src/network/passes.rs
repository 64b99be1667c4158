//! A model with its forward and backward passes, on windows of ids or vectors.

use crate::exec::{
    Dropout, Engine, Executor, Extent, Goal, Inputs, MaskSource, Masks, Needs, Order, OutputSteps, Pass,
    State, Window, WindowActivations, check_room,
};
use crate::loss::Objective;
use crate::model::{Model, Parameters};
use crate::parallel::Threads;
use crate::{Error, Precision, Result};
use std::sync::Arc;

/// A model that is trained by the caller: it runs windows forward and backward, and stores the
/// gradients of parameters, inputs and states. With a head and an [`Objective`] it also computes
/// losses.
///
/// Results are the same bits for every number of threads. A custom cell runs its steps on one
/// thread.
///
/// ```
/// use unrolled::exec::Window;
/// use unrolled::loss::{Loss, Objective};
/// use unrolled::model::Model;
/// use unrolled::network::Network;
/// use unrolled::ModelSettings;
///
/// # fn main() -> unrolled::Result<()> {
/// let mut network = Network::new(Model::new(&ModelSettings::lstm(8), 4, 1)?, Some(1))?;
/// // Three steps of two rows, time-major. The second row has one step; the rest of it is padding.
/// let (inputs, targets) = ([0, 3, 1, 0, 2, 0], [1, 2, 2, 0, 3, 0]);
/// let window = Window { lengths: Some(&[3, 1]), ..Window::new(3, 2, &inputs) };
/// let objective = Objective::new(Loss::CROSS_ENTROPY, &targets[..]);
/// let first = network.differentiate(&window, &objective)?;
/// for _ in 0..60 {
///     let (parameters, gradient) = network.parameters_and_gradient();
///     parameters.iter_mut().zip(gradient).for_each(|(parameter, slope)| *parameter -= 0.5 * slope);
///     network.differentiate(&window, &objective)?;
/// }
/// assert!(network.evaluate(&window, &objective)?.loss < first / 2.0);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Network {
    pub(super) engine: Engine,
    pub(super) executor: Executor,
    pub(super) needs: Needs,
    /// The only shape of window that a planned network takes.
    pub(super) planned: Option<[usize; 2]>,
    pub(super) gradient: Parameters,
    pub(super) d_inputs: Vec<f32>,
    pub(super) d_initial: State,
    /// The last window that went forward, until its backward pass.
    pub(super) last: Option<Last>,
}

#[derive(Debug)]
pub(super) struct Last {
    shape: [usize; 2],
    order: Order,
    /// Number of tokens of the inputs.
    tokens: usize,
    output_tokens: usize,
    vectors: bool,
    /// True if the gradient of the initial state is computed.
    wants_initial: bool,
    dropout: Option<Dropout>,
    masks: Option<Masks>,
}

/// The loss of a window, and how often its predictions were right.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measure {
    /// The weighted mean of the losses of all tokens with a target.
    pub loss: f64,
    /// The share of tokens whose prediction is right: the target has the largest logit
    /// (cross-entropy), or each logit is on the side of its target (binary cross-entropy). 0 for
    /// losses of values.
    pub accuracy: f64,
}

impl Network {
    /// The number format of the operands of products.
    pub fn precision(&self) -> Precision {
        self.engine.precision()
    }

    /// The zero state of `rows` rows (`zero_state`).
    pub fn zero_state(&self, rows: usize) -> State {
        State::zero(self.engine.config(), rows)
    }

    /// Runs a window from `window.initial` (zero if `None`) and writes the model's `outputs`: [T,
    /// B, O] or [B, T, O], or [B, O] for the last step alone. O is the width of the head, or of the
    /// last layer.
    ///
    /// # Errors
    /// [`Error::Batch`](crate::Error::Batch) for inputs, lengths, masks or outputs that do not fit,
    /// [`Error::StateShape`](crate::Error::StateShape) for a state that does not.
    pub fn forward(&mut self, window: &Window<'_>, outputs: &mut [f32]) -> Result<()> {
        self.check(window)?;
        check_room(outputs.len(), window.output_tokens(), self.engine.config().output_width(), "outputs")?;
        self.on_threads(window.steps * window.rows, |network| {
            network.run(window, None, |_| Goal::Outputs(outputs));
        });
        self.last = Some(Last::of(window));
        Ok(())
    }

    /// Runs T steps, each [B, E], and returns T outputs, each [B, O]: the lists of `static_rnn`.
    /// Ignores `inputs`, `steps` and `order` of `window`; the other fields are as for
    /// [`Network::forward`].
    ///
    /// # Errors
    /// As for [`Network::forward`].
    pub fn forward_list<V: AsRef<[f32]>>(
        &mut self,
        inputs: &[V],
        window: &Window<'_>,
    ) -> Result<Vec<Vec<f32>>> {
        let config = self.engine.config();
        let expected = window.rows.checked_mul(config.input_width(0));
        if let Some(step) = inputs.iter().position(|step| Some(step.as_ref().len()) != expected) {
            let found = format!("{} inputs in step {step}", inputs[step].as_ref().len());
            let expected = format!("{} rows x {} of them", window.rows, config.input_width(0));
            return Err(Error::batch(found, expected));
        }
        let joined: Vec<f32> = inputs.iter().flat_map(|step| step.as_ref()).copied().collect();
        let width = window.rows.saturating_mul(config.output_width());
        let mut outputs = vec![0.0; inputs.len() * width];
        let (steps, inputs) = (inputs.len(), Inputs::Vectors(&joined));
        let (order, output_steps) = (Order::TimeMajor, OutputSteps::Every);
        self.forward(&Window { steps, inputs, order, output_steps, ..*window }, &mut outputs)?;
        Ok(outputs.chunks(width.max(1)).map(<[f32]>::to_vec).collect())
    }

    /// Runs the backward pass of the last window, from the gradients of its outputs (as
    /// [`Network::forward`] wrote them) and, if the loss depends on it, of its last state. Stores
    /// the gradients of the parameters, the inputs and the initial state. A second backward pass
    /// needs another forward pass.
    ///
    /// # Errors
    /// [`Error::Batch`](crate::Error::Batch) without a window that went forward or for a slice of
    /// another size, [`Error::StateShape`](crate::Error::StateShape) for a state that does not fit.
    pub fn backward(&mut self, d_outputs: &[f32], d_state: Option<&State>) -> Result<()> {
        let Some(last) = &self.last else {
            let expected = "one that went forward, and not backward yet";
            return Err(Error::batch("no window", expected));
        };
        let config = self.engine.config();
        check_room(d_outputs.len(), last.output_tokens, config.output_width(), "gradients of outputs")?;
        d_state.map_or(Ok(()), |state| state.check(config, last.shape[1]))?;
        let Some(last) = self.last.take() else { return Ok(()) };
        self.on_threads(last.shape[0] * last.shape[1], |network| {
            let dropping = last.dropout.map(|dropout| MaskSource { dropout, given: last.masks.as_ref() });
            let Self { engine, executor, gradient, .. } = &mut *network;
            let outputs = (last.order, d_outputs);
            executor.backward(engine.packed(), outputs, d_state, dropping, &mut gradient.values);
            network.finish_gradients(&last, |_| ());
        });
        Ok(())
    }

    /// Computes the loss of a window and its gradients, and returns the loss. Stores the gradients
    /// of the parameters, of input vectors, and of the initial state if the window has one.
    ///
    /// # Errors
    /// [`Error::Batch`](crate::Error::Batch) for a window or targets that do not fit, for rows
    /// without any step, or for a model without a head;
    /// [`Error::StateShape`](crate::Error::StateShape) for a state that does not fit;
    /// [`Error::Setting`](crate::Error::Setting) for a parameter of the loss that is out of range.
    pub fn differentiate(&mut self, window: &Window<'_>, objective: &Objective<'_>) -> Result<f64> {
        self.check(window)?;
        let total = objective.check(window, self.engine.config())?;
        let (loss, scale, mut sum) = (objective.loss, (1.0 / total) as f32, 0.0);
        let last = Last { wants_initial: window.initial.is_some(), ..Last::of(window) };
        self.on_threads(window.steps * window.rows, |network| {
            network.run(window, Some(objective), |gradient| Goal::Deltas { loss, scale, gradient });
            network.finish_gradients(&last, |window| (sum, _) = window.tally((0.0, 0)));
        });
        Ok(sum / total)
    }

    /// Computes the loss and the accuracy of a window.
    ///
    /// # Errors
    /// As for [`Network::differentiate`].
    pub fn evaluate(&mut self, window: &Window<'_>, objective: &Objective<'_>) -> Result<Measure> {
        self.check(window)?;
        let total = objective.check(window, self.engine.config())?;
        let loss = objective.loss;
        self.on_threads(window.steps * window.rows, |network| {
            network.run(window, Some(objective), |_| Goal::Losses { loss, top_k: None });
        });
        let (sum, correct) = self.executor.window.tally((0.0, 0));
        let tokens = self.executor.window.head_tokens();
        Ok(Measure { loss: sum / total, accuracy: correct as f64 / tokens as f64 })
    }

    /// Runs `f` on the threads, if a training step of `tokens` tokens is worth waking them.
    fn on_threads<R: Send>(&mut self, tokens: usize, f: impl FnOnce(&mut Self) -> R + Send) -> R {
        let (threads, work) = self.threads(tokens);
        threads.adapt(work, || f(self))
    }

    /// The threads, and the work of a training step of `tokens` tokens for [`Threads::adapt`].
    pub(crate) fn threads(&self, tokens: usize) -> (Threads, usize) {
        (self.engine.pool().clone(), self.engine.step_work(tokens))
    }

    /// Runs a window that was checked.
    fn run<'a>(
        &'a mut self,
        window: &Window<'a>,
        objective: Option<&Objective<'a>>,
        goal: impl FnOnce(&'a mut [f32]) -> Goal<'a>,
    ) {
        self.last = None;
        self.engine.refresh();
        let Self { engine, executor, needs, gradient, .. } = self;
        if window.dropout.is_some() && !needs.dropout {
            needs.dropout = true;
            *executor = Executor::new(engine.weights(), *needs);
        }
        let Window { steps, rows, inputs, order, lengths, output_steps, initial, dropout, masks } = *window;
        executor.reshape(engine.weights(), Extent { steps, rows, lengths, output_steps }, engine.pool());
        if let Some(state) = initial {
            executor.window.set_state(state, engine.pool());
        }
        let dropping = dropout.map(|dropout| MaskSource { dropout, given: masks });
        let targets = objective.map(|objective| (objective.targets, objective.weights));
        let (fresh, goal) = (initial.is_none(), goal(&mut gradient.values));
        executor.run(engine.packed(), Pass { inputs, order, targets, fresh, dropping, goal });
    }

    /// Computes all gradients from the deltas of the last window. Meanwhile one thread runs
    /// `beside` on the window.
    fn finish_gradients(&mut self, last: &Last, beside: impl FnOnce(&WindowActivations) + Send) {
        let Self { engine, executor, gradient, d_inputs, d_initial, .. } = self;
        let (weights, threads) = (engine.weights(), engine.pool());
        executor.gradients(engine.packed(), (&mut gradient.values, None), beside);
        weights.tensors.clear_constants(&mut gradient.values);
        let width = if last.vectors { engine.config().input_width(0) } else { 0 };
        d_inputs.resize(last.tokens * width, 0.0);
        if last.vectors {
            executor.window.copy_d_inputs(width, last.order, d_inputs, threads);
        }
        if last.wants_initial {
            executor.window.d_initial(weights, d_initial, threads);
        }
    }

    /// The gradients of the parameters after the last backward pass, under their names; zero before
    /// the first. Biases that are not trained (`bias_hh` of a model with a single bias) have
    /// gradient 0.
    pub fn gradient(&self) -> &Parameters {
        &self.gradient
    }

    /// The gradient of the input vectors after the last backward pass, in the order of the window;
    /// empty for ids, and before the first pass.
    pub fn d_inputs(&self) -> &[f32] {
        &self.d_inputs
    }

    /// The gradient of the initial state after the last backward pass; a state without layers
    /// before the first.
    pub fn d_initial(&self) -> &State {
        &self.d_initial
    }

    /// The state of each row after its last step.
    pub fn state(&self) -> State {
        self.executor.window.state()
    }

    /// The model.
    pub fn model(&self) -> &Arc<Model> {
        self.engine.model()
    }

    /// Returns the model and drops the network.
    pub fn into_model(self) -> Model {
        self.engine.into_model()
    }

    /// The flat buffers of the parameters, to be changed, and of the last gradient. The next window
    /// packs the weights again.
    pub fn parameters_and_gradient(&mut self) -> (&mut [f32], &[f32]) {
        (&mut self.engine.parameters_mut().values, &self.gradient.values)
    }

    /// Returns true if the tensor at a range of the flat buffer is not trained.
    pub(super) fn is_constant(&self, range: &std::ops::Range<usize>) -> bool {
        self.engine.weights().tensors.constants.contains(range)
    }

    /// Sets the tensors that are not trained to zero.
    pub(super) fn zero_constants(&mut self) {
        let constants = self.engine.weights().tensors.constants.clone();
        let values = &mut self.engine.parameters_mut().values;
        constants.into_iter().for_each(|range| values[range].fill(0.0));
    }

    /// Returns an error unless the network can run a window.
    pub(super) fn check(&self, window: &Window<'_>) -> Result<()> {
        let Window { steps, rows, .. } = *window;
        if let Some(shape) = self.planned.filter(|shape| *shape != [steps, rows]) {
            let expected =
                format!("{} steps of {} rows, as planned; Network::new takes any", shape[0], shape[1]);
            return Err(Error::batch(format!("{steps} steps of {rows} rows"), expected));
        }
        window.check(self.engine.config())
    }
}

impl Last {
    fn of(window: &Window<'_>) -> Self {
        let Window { steps, rows, inputs, order, dropout, masks, .. } = *window;
        Self {
            shape: [steps, rows],
            order,
            tokens: window.tokens().unwrap_or_default(),
            output_tokens: window.output_tokens(),
            vectors: matches!(inputs, Inputs::Vectors(_)),
            wants_initial: true,
            dropout,
            masks: masks.cloned(),
        }
    }
}
