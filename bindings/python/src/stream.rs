//! `Stream`: one step at a time.

use crate::arrays::{Array, Floats, array};
use crate::errors::{Error, invalid, raise};
use crate::shape::Shape;
use crate::states::{self, StateArguments, StateArrays};
use pyo3::prelude::*;
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use unrolled::exec::{self, Engine};

/// Runs layers one step at a time and keeps their state.
///
/// A stream has the parameters that the layers had when it was made. It belongs to one thread at a
/// time: a call that another thread interrupts with its own raises `unrolled.Error`.
#[pyclass(frozen, module = "unrolled._unrolled")]
pub struct Stream {
    shape: Shape,
    rows: usize,
    stream: Mutex<exec::Stream>,
}

impl Stream {
    pub fn new(engine: &Engine, shape: Shape, rows: usize) -> PyResult<Self> {
        let stream = exec::Stream::of_rows(engine, rows).map_err(raise)?;
        Ok(Self { shape, rows, stream: Mutex::new(stream) })
    }

    fn lock(&self) -> PyResult<MutexGuard<'_, exec::Stream>> {
        match self.stream.try_lock() {
            Ok(stream) => Ok(stream),
            Err(TryLockError::Poisoned(poisoned)) => Ok(PoisonError::into_inner(poisoned)),
            Err(TryLockError::WouldBlock) => Err(Error::new_err(
                "another thread is using this stream; give each thread a stream of its own",
            )),
        }
    }
}

#[pymethods]
impl Stream {
    /// Runs one step: x [E] or [B, E]. Returns y [O] or [B, O].
    fn step<'py>(&self, py: Python<'py>, x: &Bound<'py, PyAny>) -> PyResult<Array<'py>> {
        let x = Floats::of("x", x)?;
        let (rows, inputs, outputs) = (self.rows, self.shape.input_size, self.shape.output_size());
        let (fits, shape) = match *x.shape() {
            [width] => (rows == 1 && width == inputs, vec![outputs]),
            [found, width] => (found == rows && width == inputs, vec![rows, outputs]),
            _ => (false, Vec::new()),
        };
        if !fits {
            let expected = format!("[B, E] with B = {rows} and E = {inputs}");
            return Err(invalid(format!("x of shape {:?}", x.shape()), expected));
        }
        let mut stream = self.lock()?;
        let (values, running) = (x.values(), &mut *stream);
        let y = py.detach(|| running.step(values).map(<[f32]>::to_vec)).map_err(raise)?;
        array(py, &shape, y)
    }

    /// The state h [L, B, H] and, of an LSTM, c.
    #[getter]
    fn state<'py>(&self, py: Python<'py>) -> PyResult<StateArrays<'py>> {
        let state = self.lock()?.state();
        states::arrays(py, &self.shape, true, &state)
    }

    /// Sets the state (h, c).
    fn set_state(&self, state: StateArguments<'_>) -> PyResult<()> {
        let state = states::read(&self.shape, (self.rows, true), ["h", "c"], state)?;
        self.lock()?.set_state(&state).map_err(raise)
    }

    /// Sets the state of one row, or of all rows, to zero.
    #[pyo3(signature = (row=None))]
    fn reset(&self, row: Option<usize>) -> PyResult<()> {
        let mut stream = self.lock()?;
        let state = match row {
            None => states::zero(&self.shape, self.rows),
            Some(row) if row < self.rows => {
                let mut state = stream.state();
                state.reset_row(row);
                state
            }
            Some(row) => return Err(invalid(format!("row {row}"), format!("a row below {}", self.rows))),
        };
        stream.set_state(&state).map_err(raise)
    }

    /// The number of rows B.
    #[getter]
    fn batch(&self) -> usize {
        self.rows
    }
}
