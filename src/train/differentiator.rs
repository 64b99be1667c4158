//! Losses and gradients of one window after another, of any shapes, with buffers that are used again.

use crate::corpus::Batch;
use crate::exec::{self, Dropout, Dropping, Goal, Packed, Purpose, Shape, Shaped, Slope, State, Weights};
use crate::model::{Model, ModelConfig, Parameters};
use crate::parallel::Threads;
use crate::{Error, Result};

/// A model, and what it takes to find the gradients of its loss: the way to train with batches and an update rule of
/// one's own. Windows may have any number of steps and rows, and rows that end before the window does; buffers and packed
/// weights stay from one window to the next.
///
/// ```
/// use unrolled::ModelSettings;
/// use unrolled::corpus::Batch;
/// use unrolled::model::Model;
/// use unrolled::train::Differentiator;
///
/// # fn main() -> unrolled::Result<()> {
/// let model = Model::new(&ModelSettings::lstm(8), 4, 1)?;
/// let mut differentiator = Differentiator::new(model, Some(1))?;
/// // Three steps of two rows; the second row is one symbol long, and what follows it is padding.
/// let (inputs, targets) = (vec![0, 3, 1, 0, 2, 0], vec![1, 2, 2, 0, 3, 0]);
/// let batch = Batch { steps: 3, rows: 2, inputs, targets, fresh: true };
/// let first = differentiator.run(&batch, Some(&[3, 1]), None)?;
/// for _ in 0..60 {
///     let (parameters, gradient) = differentiator.parameters_and_gradient();
///     parameters.iter_mut().zip(gradient).for_each(|(parameter, slope)| *parameter -= 0.5 * slope);
///     differentiator.run(&batch, Some(&[3, 1]), None)?;
/// }
/// assert!(differentiator.run(&batch, Some(&[3, 1]), None)? < first / 2.0);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Differentiator {
    model: Model,
    pass: Pass,
    /// Whether the parameters may have changed since the weights were packed.
    moved: bool,
}

impl Differentiator {
    /// Takes a model, for `threads` threads (all cores when `None`).
    ///
    /// # Errors
    /// When the threads or the forced instruction set cannot be had.
    pub fn new(model: Model, threads: Option<usize>) -> Result<Self> {
        let pass = Pass::new(&model, threads)?;
        Ok(Self { model, pass, moved: false })
    }

    /// The mean loss of a window in nats per symbol; leaves the gradient of that mean, and the state.
    ///
    /// `batch` holds ids [T, B] and their targets, time-major. With `lengths` `[B]`, row b has `lengths[b]` steps, at most
    /// T and perhaps none: ids and targets beyond the end of a row are not read and may be any number, and the mean is
    /// over the symbols that remain, as of PyTorch's packed sequences; rows need not be sorted. The window starts from
    /// `initial`, or from zero (`batch.fresh` is not asked). No bit depends on the number of threads, and the gradient
    /// has the bits of a padded window whose padding has a loss of zero (on the portable SIMD backend, which begins its sums
    /// anew after 256 symbols, those of windows up to that length).
    ///
    /// # Errors
    /// [`Error::Batch`] when ids or lengths are not as said, or no row has a step, and [`Error::StateShape`] when
    /// `initial` belongs to another shape of model or has other than B rows.
    pub fn run(&mut self, batch: &Batch, lengths: Option<&[usize]>, initial: Option<&State>) -> Result<f64> {
        self.run_window(&Window { batch, lengths, initial, dropout: None })
    }

    /// [`Differentiator::run`], with the outputs of every layer dropped out.
    ///
    /// # Errors
    /// As for `run`, and [`Error::Setting`] when the probability is not at least 0 and below 1.
    pub fn run_with_dropout(
        &mut self,
        batch: &Batch,
        lengths: Option<&[usize]>,
        initial: Option<&State>,
        dropout: Dropout,
    ) -> Result<f64> {
        dropout.check()?;
        self.run_window(&Window { batch, lengths, initial, dropout: Some(dropout) })
    }

    fn run_window(&mut self, window: &Window<'_>) -> Result<f64> {
        window.check(self.model.config())?;
        if std::mem::take(&mut self.moved) {
            self.pass.pack(&self.model);
        }
        Ok(self.pass.run(&self.model, window))
    }

    /// The gradient that the last window left, under the names of the parameters; zero before the first. The `bias_hh`
    /// of a model with a single bias are constants: their gradient is 0.
    pub fn gradient(&self) -> &Parameters {
        &self.pass.gradient
    }

    /// Each row's state after its own last step, in the order of the batch; `None` before the first window.
    pub fn state(&self) -> Option<State> {
        self.pass.state()
    }

    /// The model.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// The arenas of the parameters, to be changed, and of the last window's gradient. The next window packs the weights
    /// anew.
    pub fn parameters_and_gradient(&mut self) -> (&mut [f32], &[f32]) {
        self.moved = true;
        (&mut self.model.parameters_mut().values, &self.pass.gradient.values)
    }

    /// The model, at the end.
    pub fn into_model(self) -> Model {
        self.model
    }
}

/// What a gradient is taken of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window<'a> {
    pub(super) batch: &'a Batch,
    /// `[B]`; without it, all rows have T steps.
    pub(super) lengths: Option<&'a [usize]>,
    pub(super) initial: Option<&'a State>,
    pub(super) dropout: Option<Dropout>,
}

/// Packed weights and buffers for forward and backward passes, and the last gradient.
#[derive(Debug)]
pub(super) struct Pass {
    weights: Weights,
    threads: Threads,
    shaped: Shaped,
    drops: bool,
    pub(super) gradient: Parameters,
}

impl Pass {
    pub(super) fn new(model: &Model, threads: Option<usize>) -> Result<Self> {
        exec::check_head(model)?;
        let threads = Threads::new(threads)?;
        let mut weights = Weights::new(model.config(), exec::detect()?);
        weights.pack(model.parameters(), true, &threads);
        let gradient = Parameters::zeros(model.parameters().layout.clone());
        let shaped = Shaped::new(Purpose { train: true, dropout: false });
        Ok(Self { weights, threads, shaped, drops: false, gradient })
    }

    fn pack(&mut self, model: &Model) {
        self.weights.pack(model.parameters(), true, &self.threads);
    }

    /// Mean loss of a window that was checked; leaves the gradient.
    pub(super) fn run(&mut self, model: &Model, window: &Window<'_>) -> f64 {
        let Window { batch, lengths, initial, dropout } = *window;
        if dropout.is_some() && !self.drops {
            self.drops = true;
            self.shaped = Shaped::new(Purpose { train: true, dropout: true });
        }
        let Self { weights, threads, shaped, gradient, .. } = self;
        let shape = Shape { steps: batch.steps, rows: batch.rows, lengths };
        let executor = shaped.shape_as(weights, shape, threads);
        if let Some(state) = initial {
            executor.set_state(state);
        }
        let dropping = dropout.map(|dropout| Dropping { dropout, given: None });
        let (parameters, tokens) = (model.parameters(), executor.tokens() as f64);
        let slope = Slope { scale: (1.0 / tokens) as f32, smoothing: 0.0 };
        let goal = Goal::Deltas { slope, gradient: &mut gradient.values };
        let (inputs, targets) = (&batch.inputs, &batch.targets);
        executor.run(
            Packed { weights, parameters, threads },
            exec::Pass { inputs, targets, fresh: initial.is_none(), dropping, goal },
        );
        let (sum, _) = executor.tally((0.0, 0));
        executor.gradients(weights, &mut gradient.values, threads);
        weights.tensors.clear_constants(&mut gradient.values);
        sum / tokens
    }

    pub(super) fn state(&self) -> Option<State> {
        self.shaped.state()
    }
}

impl Window<'_> {
    /// Whether the model can run it.
    pub(super) fn check(&self, config: &ModelConfig) -> Result<()> {
        self.check_sizes()?;
        self.check_lengths()?;
        self.check_ids(config.vocabulary)?;
        self.initial.map_or(Ok(()), |state| state.check(config, self.batch.rows))
    }

    fn check_sizes(&self) -> Result<()> {
        let Batch { steps, rows, inputs, targets, .. } = self.batch;
        let tokens = steps.checked_mul(*rows);
        for (what, ids) in [("inputs", inputs), ("targets", targets)] {
            if tokens != Some(ids.len()) || ids.is_empty() {
                let expected = format!("{steps} steps x {rows} rows of them, and at least one");
                return Err(Error::Batch { found: format!("{} {what}", ids.len()), expected });
            }
        }
        Ok(())
    }

    fn check_lengths(&self) -> Result<()> {
        let Some(lengths) = self.lengths else { return Ok(()) };
        let Batch { steps, rows, .. } = self.batch;
        let refuse = |found, expected| Err(Error::Batch { found, expected });
        if lengths.len() != *rows {
            return refuse(format!("{} lengths", lengths.len()), format!("one for each of {rows} rows"));
        }
        if let Some(row) = lengths.iter().position(|length| length > steps) {
            let found = format!("the length {} of row {row}", lengths[row]);
            return refuse(found, format!("lengths up to the window's {steps} steps"));
        }
        if lengths.iter().all(|length| *length == 0) {
            return refuse(format!("{rows} rows of length 0"), "at least one row with a step".to_owned());
        }
        Ok(())
    }

    /// Of tokens alone, not of padding.
    fn check_ids(&self, vocabulary: usize) -> Result<()> {
        let Batch { rows, inputs, targets, .. } = self.batch;
        let is_token = |at: usize| self.lengths.is_none_or(|lengths| at / rows < lengths[at % rows]);
        for (what, ids) in [("inputs", inputs), ("targets", targets)] {
            let beyond = |(at, id): (usize, &u32)| *id as usize >= vocabulary && is_token(at);
            if let Some(at) = ids.iter().enumerate().position(beyond) {
                let (step, row) = (at / rows, at % rows);
                let found = format!("the id {} among its {what} at step {step} of row {row}", ids[at]);
                return Err(Error::Batch { found, expected: format!("ids below {vocabulary}") });
            }
        }
        Ok(())
    }
}
