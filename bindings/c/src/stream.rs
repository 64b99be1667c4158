//! Streams: one step at a time, on the calling thread.

use crate::arrays::{self, Output};
use crate::handle::{self, Opaque, Turn};
use crate::model::{self, unrolled_model};
use crate::status::Failure;
use crate::{call, states};
use std::ffi::c_int;
use unrolled::exec::{Inputs, State, Stream};

const ONE_WAY: &str = "model: found a bidirectional layer, which reads the last step first, expected layers that only \
                       read forward; run whole sequences with unrolled_model_forward";

/// A model that runs one step at a time and keeps its state. It belongs to one thread at a time.
pub struct unrolled_stream {
    _opaque: [u8; 0],
}

impl Opaque for unrolled_stream {
    type Value = Steps;
    const MARK: u64 = u64::from_le_bytes(*b"unr-stre");
    const NAME: &'static str = "stream";
}

pub(crate) struct Steps {
    stream: Stream,
    /// Floats of the inputs of a step; for a model of symbols the number of ids.
    inputs: usize,
    /// Floats of the outputs of a step.
    outputs: usize,
    /// V; 0 for a model of vectors.
    symbols: usize,
    /// [B]: ids that were given as floats; empty for a model of vectors.
    ids: Vec<u32>,
    zero: State,
    /// A state on its way to the stream.
    scratch: State,
    state_len: usize,
}

impl Steps {
    fn new(stream: Stream, batch: usize, [inputs, state_len]: [usize; 2]) -> Self {
        let config = stream.model().config();
        let (symbols, outputs) = (config.vocabulary, batch * config.output_width());
        let ids = vec![0; if symbols > 0 { batch } else { 0 }];
        let zero = State::zero(config, batch);
        Self { inputs, outputs, symbols, ids, scratch: zero.clone(), zero, state_len, stream }
    }

    #[inline]
    fn step_floats(&mut self, x: &[f32]) -> Result<&[f32], Failure> {
        if self.symbols == 0 {
            return Ok(self.stream.step(x)?);
        }
        for (id, float) in self.ids.iter_mut().zip(x) {
            *id = model::id(*float, self.symbols)?;
        }
        Ok(self.stream.step(&self.ids)?)
    }
}

/// Finds a stream, and takes its turn.
#[inline]
unsafe fn turn<'a>(stream: *const unrolled_stream) -> Result<Turn<'a, Steps>, Failure> {
    // SAFETY: the caller's obligations, which the crate lists.
    unsafe { handle::turn(stream) }
}

/// Creates a stream of B = `batch` rows, which starts from the zero state. It shares the weights of
/// the model, and stays valid after the model is freed.
///
/// out: receives the stream, to be freed with unrolled_stream_free. A model with bidirectional
/// layers is an error, because they read the last step first.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn unrolled_stream_new(
    model: *const unrolled_model,
    batch: usize,
    out: *mut *mut unrolled_stream,
) -> c_int {
    call::status(|| {
        let create = || {
            // SAFETY: the caller's obligations, which the crate lists.
            let model = unsafe { handle::shared(model)? };
            if model.config().is_bidirectional() {
                return Err(Failure::argument(ONE_WAY));
            }
            let sizes = [model.input_width(), model.config().output_width(), model.state_width];
            for size in sizes {
                arrays::product(&[arrays::tokens(1, batch)?, size])?;
            }
            let stream = Stream::of_rows(&model.for_steps, batch)?;
            Ok(handle::create(Steps::new(stream, batch, [batch * sizes[0], batch * sizes[2]])))
        };
        // SAFETY: the caller's obligations, which the crate lists.
        unsafe { arrays::put("out", out, create) }
    })
}

/// Frees a stream; NULL is fine. If another thread is using it, it stays, and
/// unrolled_last_error says so.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn unrolled_stream_free(stream: *mut unrolled_stream) {
    // SAFETY: the caller's obligations, which the crate lists.
    call::value((), || unsafe { handle::free(stream) });
}

/// Runs one step of all rows, on the calling thread. It allocates nothing, takes no lock and waits
/// for nobody, so it is fit for an audio thread; a call that fails allocates its text.
///
/// x: [B, E]; ids as whole floats [B] for a model of symbols.
/// y: receives the outputs [B, O] (logits of a language model); may be x.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn unrolled_stream_step(
    stream: *mut unrolled_stream,
    x: *const f32,
    y: *mut f32,
) -> c_int {
    call::status(|| {
        // SAFETY: the caller's obligations, which the crate lists.
        // The outputs are written after the inputs were read.
        unsafe {
            let mut steps = turn(stream)?;
            let x = arrays::input("x", x, steps.inputs)?;
            let y = Output::new("y", y, steps.outputs)?;
            y.write(steps.step_floats(x)?);
        }
        Ok(())
    })
}

/// Runs one step of a model of symbols, as unrolled_stream_step.
///
/// ids: [B], each below unrolled_model_symbols(model); another id is an error.
/// logits: receives the outputs [B, O].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn unrolled_stream_step_symbols(
    stream: *mut unrolled_stream,
    ids: *const u32,
    logits: *mut f32,
) -> c_int {
    call::status(|| {
        // SAFETY: the caller's obligations, which the crate lists.
        // The outputs are written after the ids were read.
        unsafe {
            let mut steps = turn(stream)?;
            let rows = steps.zero.rows;
            let ids = arrays::input("ids", ids, rows)?;
            let logits = Output::new("logits", logits, steps.outputs)?;
            logits.write(steps.stream.step(Inputs::Ids(ids))?);
        }
        Ok(())
    })
}

/// Sets the state of all rows to zero. It allocates nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn unrolled_stream_reset(stream: *mut unrolled_stream) {
    call::value((), || {
        // SAFETY: the caller's obligations, which the crate lists.
        let steps = &mut *unsafe { turn(stream)? };
        Ok(steps.stream.set_state(&steps.zero)?)
    });
}

/// Sets the state of one row to zero: row 0 to B - 1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn unrolled_stream_reset_row(stream: *mut unrolled_stream, row: usize) -> c_int {
    call::status(|| {
        // SAFETY: the caller's obligations, which the crate lists.
        let steps = &mut *unsafe { turn(stream)? };
        let rows = steps.zero.rows;
        if row >= rows {
            return Err(Failure::argument(format!("row: found {row}, expected a row below {rows}")));
        }
        let mut state = steps.stream.state();
        state.reset_row(row);
        Ok(steps.stream.set_state(&state)?)
    })
}

/// Returns the number of floats of the state of all rows. The top of this file has their order.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn unrolled_stream_state_len(stream: *const unrolled_stream) -> usize {
    // SAFETY: the caller's obligations, which the crate lists.
    call::value(0, || Ok(unsafe { turn(stream)? }.state_len))
}

/// Copies the state of all rows to `state`: unrolled_stream_state_len(stream) floats.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn unrolled_stream_get_state(stream: *const unrolled_stream, state: *mut f32) -> c_int {
    call::status(|| {
        // SAFETY: the caller's obligations, which the crate lists.
        unsafe {
            let steps = turn(stream)?;
            let to = Output::new("state", state, steps.state_len)?;
            states::write(&steps.stream.state(), to);
        }
        Ok(())
    })
}

/// Sets the state of all rows, from unrolled_stream_state_len(stream) floats of a stream of the
/// same model and number of rows. It allocates nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn unrolled_stream_set_state(stream: *mut unrolled_stream, state: *const f32) -> c_int {
    call::status(|| {
        // SAFETY: the caller's obligations, which the crate lists.
        let steps = &mut *unsafe { turn(stream)? };
        // SAFETY: the caller's obligations, which the crate lists.
        let floats = unsafe { arrays::input("state", state, steps.state_len)? };
        states::read(floats, &mut steps.scratch);
        Ok(steps.stream.set_state(&steps.scratch)?)
    })
}
