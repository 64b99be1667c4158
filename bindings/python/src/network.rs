//! `Network`: the native part of `unrolled.LSTM`, `GRU` and `RNN`, and of their PyTorch forms.

use crate::arrays::{Array, Floats, array};
use crate::call::{Inner, LastCall, Tokens};
use crate::errors::{invalid, raise};
use crate::packed::BatchSizes;
use crate::settings;
use crate::shape::{Parameter, Shape};
use crate::stack::Stack;
use crate::states::{self, StateArguments, StateArrays};
use crate::stream::Stream;
use pyo3::prelude::*;
use pyo3::sync::MutexExt;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError};
use unrolled::Result;
use unrolled::exec::{Dropout, Order, State};

/// Recurrent layers with their parameters. One call runs at a time; other threads wait for it.
#[pyclass(frozen, module = "unrolled._unrolled")]
pub struct Network {
    shape: Shape,
    parameters: Vec<Parameter>,
    /// The ranges of the biases in the flat buffer that stay 0, of layers without biases.
    zero_biases: Vec<Range<usize>>,
    /// Number of floats of the flat buffer.
    flat_len: usize,
    seed: u64,
    threads: Option<usize>,
    inner: Mutex<Inner>,
}

/// The masks of dropout: the next ones of the layers, or those of another seed.
enum Masks {
    Next,
    OfSeed(u64),
}

/// Outputs, h and c.
type Forward<'py> = (Array<'py>, Array<'py>, Option<Array<'py>>);
/// The gradients of the inputs, of the initial h and c, and of the parameters.
type Backward<'py> = (Array<'py>, Array<'py>, Option<Array<'py>>, Vec<Array<'py>>);

#[pymethods]
impl Network {
    /// Draws the parameters.
    #[new]
    fn new(shape: Shape, seed: u64, threads: Option<usize>, precision: &str) -> PyResult<Self> {
        if threads == Some(0) {
            return Err(invalid("threads = 0", "at least 1, or None for all cores"));
        }
        let stack = Stack::new(&shape, seed, settings::trained_precision(precision)?, threads)?;
        let layout = &stack.parameters().layout;
        let (parameters, zero_biases) = (shape.parameters(layout), shape.zero_biases(layout));
        let (flat_len, inner) = (layout.len(), Mutex::new(Inner::new(stack)));
        Ok(Self { shape, parameters, zero_biases, flat_len, seed, threads, inner })
    }

    /// The names and shapes of the parameters, in PyTorch's order.
    fn names(&self) -> Vec<(String, Vec<usize>)> {
        self.parameters.iter().map(|parameter| (parameter.name.clone(), parameter.shape.clone())).collect()
    }

    /// Copies of the parameters, in the order of `names`.
    fn parameters<'py>(&self, py: Python<'py>) -> PyResult<Vec<Array<'py>>> {
        let inner = self.lock(py);
        self.copies(py, &inner.stack.parameters().values)
    }

    /// Takes over parameters, in the order of `names`. Without `force` this does nothing if a few
    /// values of each parameter are unchanged.
    fn load(&self, py: Python<'_>, parameters: Vec<Bound<'_, PyAny>>, force: bool) -> PyResult<()> {
        let arrays = self.read_parameters(&parameters)?;
        let values: Vec<&[f32]> = arrays.iter().map(Floats::values).collect();
        let mut inner = self.lock(py);
        if !force && inner.stack.has(&self.parameters, &values) {
            return Ok(());
        }
        let copy = |to: &mut [f32]| {
            for (parameter, values) in self.parameters.iter().zip(values) {
                to[parameter.range.clone()].copy_from_slice(values);
            }
        };
        inner.last = None;
        let stack = &mut inner.stack;
        py.detach(|| stack.change(copy)).map_err(raise)
    }

    /// Runs a window, from the state (h, c). Returns the outputs and the last state. With `training`
    /// it keeps what `backward` needs, and drops outputs of layers.
    fn forward<'py>(
        &self,
        x: &Bound<'py, PyAny>,
        batch_first: bool,
        lengths: Option<&Bound<'py, PyAny>>,
        state: StateArguments<'py>,
        training: bool,
    ) -> PyResult<Forward<'py>> {
        let values = Floats::of("x", x)?;
        let call = self.call_of(&values, batch_first, lengths)?;
        self.run(x.py(), (call, &values), state, (training, training.then_some(Masks::Next)))
    }

    /// As `forward`, for a call of PyTorch: a window, or with `batch_sizes` (the number of rows of
    /// each step) a packed sequence [N, E]. It drops outputs only with a seed.
    fn forward_torch<'py>(
        &self,
        x: &Bound<'py, PyAny>,
        batch_first: bool,
        batch_sizes: Option<&Bound<'py, PyAny>>,
        state: StateArguments<'py>,
        training: bool,
        dropout_seed: Option<u64>,
    ) -> PyResult<Forward<'py>> {
        let values = Floats::of("x", x)?;
        let call = match batch_sizes {
            Some(sizes) => self.packed_call_of(&values, sizes)?,
            None => self.call_of(&values, batch_first, None)?,
        };
        self.run(x.py(), (call, &values), state, (training, dropout_seed.map(Masks::OfSeed)))
    }

    /// Runs the backward pass of the last training call, from the gradients of its outputs and of
    /// its last state (h, c). Returns the gradients of the inputs, of the initial state and of the
    /// parameters.
    fn backward<'py>(
        &self,
        py: Python<'py>,
        dy: &Bound<'py, PyAny>,
        dstate: StateArguments<'py>,
    ) -> PyResult<Backward<'py>> {
        let dy = Floats::of("dy", dy)?;
        let mut inner = self.lock(py);
        let Some(call) = inner.last.clone() else {
            return Err(invalid("no call", "a call in training mode, not backward yet"));
        };
        dy.check_shape("dy", &self.token_shape(&call, self.shape.output_size()))?;
        let rows = (call.layout.rows(), call.is_batched);
        let d_state = match dstate {
            (None, None) => None,
            parts => Some(states::read(&self.shape, rows, ["dh", "dc"], parts)?),
        };
        let (values, running) = (dy.values(), &mut *inner);
        py.detach(|| running.backward(values, d_state.as_ref())).map_err(raise)?;
        self.gradients(py, &call, &inner)
    }

    /// A stream of `batch` rows with the current parameters.
    fn stream(&self, py: Python<'_>, batch: usize) -> PyResult<Stream> {
        let mut inner = self.lock(py);
        Stream::new(inner.stack.engine().map_err(raise)?, self.shape.clone(), batch)
    }
}

impl Network {
    /// Number of floats of the flat buffer.
    pub fn flat_len(&self) -> usize {
        self.flat_len
    }

    /// The number of threads; all cores if `None`.
    pub fn thread_count(&self) -> Option<usize> {
        self.threads
    }

    /// Updates the parameters from the last gradients. Without biases, those of the library stay 0.
    pub fn update<R: Send>(
        &self,
        py: Python<'_>,
        update: impl FnOnce(&mut [f32], &[f32]) -> R + Send,
    ) -> PyResult<R> {
        let mut inner = self.lock(py);
        if !inner.has_gradient {
            return Err(invalid("no gradients", "a call of backward before the step"));
        }
        inner.last = None;
        let stack = &mut inner.stack;
        let run = || -> Result<R> {
            let (values, gradient) = stack.buffers()?;
            if self.zero_biases.is_empty() {
                return Ok(update(values, gradient));
            }
            let mut gradient = gradient.to_vec();
            self.zero_biases.iter().for_each(|bias| gradient[bias.clone()].fill(0.0));
            Ok(update(values, &gradient))
        };
        py.detach(run).map_err(raise)
    }

    /// Waits for the calls of other threads, which may need the interpreter meanwhile.
    fn lock(&self, py: Python<'_>) -> MutexGuard<'_, Inner> {
        self.inner.lock_py_attached(py).unwrap_or_else(PoisonError::into_inner)
    }

    /// Copies the parameters' parts of a flat buffer.
    fn copies<'py>(&self, py: Python<'py>, values: &[f32]) -> PyResult<Vec<Array<'py>>> {
        let copy = |p: &Parameter| array(py, &p.shape, values[p.range.clone()].to_vec());
        self.parameters.iter().map(copy).collect()
    }

    fn read_parameters<'py>(&self, parameters: &[Bound<'py, PyAny>]) -> PyResult<Vec<Floats<'py>>> {
        if parameters.len() != self.parameters.len() {
            let expected = format!("{}, as names() lists them", self.parameters.len());
            return Err(invalid(format!("{} parameters", parameters.len()), expected));
        }
        let read = |(parameter, object): (&Parameter, &Bound<'py, PyAny>)| {
            let values = Floats::of(&parameter.name, object)?;
            values.check_shape(&parameter.name, &parameter.shape)?;
            Ok(values)
        };
        self.parameters.iter().zip(parameters).map(read).collect()
    }

    /// Checks the shape of the inputs [T, B, E], [B, T, E] or [T, E], and reads the lengths.
    fn call_of(
        &self,
        x: &Floats<'_>,
        batch_first: bool,
        lengths: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<LastCall> {
        let order = if batch_first { Order::BatchMajor } else { Order::TimeMajor };
        let width = self.shape.input_size;
        let (steps, rows, order, is_batched) = match *x.shape() {
            [steps, rows, found] if found == width && !batch_first => (steps, rows, order, true),
            [rows, steps, found] if found == width => (steps, rows, order, true),
            [steps, found] if found == width => (steps, 1, Order::TimeMajor, false),
            _ => {
                let batched = if batch_first { "[B, T, E]" } else { "[T, B, E]" };
                let expected = format!("{batched} or [T, E] with E = {width}");
                return Err(invalid(format!("x of shape {:?}", x.shape()), expected));
            }
        };
        if steps == 0 || rows == 0 {
            return Err(invalid(format!("x of shape {:?}", x.shape()), "at least one step and one row"));
        }
        if lengths.is_some() && !is_batched {
            return Err(invalid("lengths for x of two dimensions", "x of three dimensions, or no lengths"));
        }
        let lengths = lengths.map(crate::arrays::lengths).transpose()?;
        Ok(LastCall { layout: Tokens::Window { steps, rows, order, lengths }, is_batched })
    }

    /// Checks the shape of the inputs [N, E] of a packed sequence.
    fn packed_call_of(&self, x: &Floats<'_>, batch_sizes: &Bound<'_, PyAny>) -> PyResult<LastCall> {
        let sizes = BatchSizes::new(crate::arrays::lengths(batch_sizes)?)?;
        x.check_shape("x", &[sizes.tokens(), self.shape.input_size])?;
        let lengths = sizes.lengths();
        Ok(LastCall { layout: Tokens::Packed { sizes, lengths }, is_batched: true })
    }

    fn run<'py>(
        &self,
        py: Python<'py>,
        (call, x): (LastCall, &Floats<'py>),
        state: StateArguments<'py>,
        (training, masks): (bool, Option<Masks>),
    ) -> PyResult<Forward<'py>> {
        let initial = match state {
            // In inference the view would go on from the state of its last window.
            (None, None) if training => None,
            parts => {
                Some(states::read(&self.shape, (call.layout.rows(), call.is_batched), ["h", "c"], parts)?)
            }
        };
        let mut inner = self.lock(py);
        let masks = masks.filter(|_| training && self.shape.dropout > 0.0);
        let dropout = masks.map(|masks| self.dropout(masks, inner.calls));
        let (values, shape, running) = (x.values(), &self.shape, &mut *inner);
        let ran =
            py.detach(|| running.forward(&call, values, (shape, initial.as_ref()), (training, dropout)));
        let (outputs, state) = ran.map_err(raise)?;
        if training {
            inner.calls += 1;
            inner.last = Some(call.clone());
        }
        drop(inner);
        let y = array(py, &self.token_shape(&call, self.shape.output_size()), outputs)?;
        let (h, c) = states::arrays(py, &self.shape, call.is_batched, &state)?;
        Ok((y, h, c))
    }

    /// The dropout of training call number `call`.
    fn dropout(&self, masks: Masks, call: u64) -> Dropout {
        let (seed, step) = match masks {
            Masks::Next => (self.seed, call),
            Masks::OfSeed(seed) => (seed, 0),
        };
        Dropout { probability: 0.0, seed, step }
    }

    fn gradients<'py>(&self, py: Python<'py>, call: &LastCall, inner: &Inner) -> PyResult<Backward<'py>> {
        let (d_inputs, d_initial) = inner.stack.d_inputs();
        let dx = array(py, &self.token_shape(call, self.shape.input_size), d_inputs.to_vec())?;
        let zero = State::default();
        let (dh, dc): StateArrays<'py> =
            states::arrays(py, &self.shape, call.is_batched, d_initial.unwrap_or(&zero))?;
        let gradient = inner.stack.gradient().map_or(&[][..], |gradient| &gradient.values);
        Ok((dx, dh, dc, self.copies(py, gradient)?))
    }

    /// The shape of an array with `width` values of each token.
    fn token_shape(&self, call: &LastCall, width: usize) -> Vec<usize> {
        match &call.layout {
            Tokens::Packed { sizes, .. } => vec![sizes.tokens(), width],
            Tokens::Window { steps, .. } if !call.is_batched => vec![*steps, width],
            Tokens::Window { steps, rows, order: Order::BatchMajor, .. } => vec![*rows, *steps, width],
            Tokens::Window { steps, rows, .. } => vec![*steps, *rows, width],
        }
    }
}
