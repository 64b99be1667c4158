//! Models: loading, sizes, windows.

use crate::arrays::{self, Output};
use crate::handle::{self, Opaque};
use crate::status::Failure;
use crate::window_memory::LargestWindow;
use crate::{call, precision, states};
use std::ffi::{c_char, c_int};
use std::sync::Mutex;
use unrolled::convert;
use unrolled::exec::{Dynamic, Engine, Inputs, State, Window};
use unrolled::model::ModelConfig;

/// A trained model, which any number of threads may use at the same time.
pub struct unrolled_model {
    _opaque: [u8; 0],
}

impl Opaque for unrolled_model {
    type Value = LoadedModel;
    const MARK: u64 = u64::from_le_bytes(*b"unr-mode");
    const NAME: &'static str = "model";
}

pub(crate) struct LoadedModel {
    engine: Engine,
    /// The same engine without threads, for streams, which run on the calling thread.
    pub(crate) for_steps: Engine,
    /// Buffers of windows that no call uses. In a forked process nobody may ever unlock a mutex, so
    /// no call waits for one.
    idle: Mutex<Vec<Dynamic>>,
    largest: LargestWindow,
    /// Floats of the state of one row.
    pub(crate) state_width: usize,
}

/// A window of the caller that was checked: T, B and the length of each row.
struct Shape<'a> {
    steps: usize,
    batch: usize,
    lengths: Option<&'a [usize]>,
}

impl LoadedModel {
    fn new(engine: Engine) -> Result<Self, Failure> {
        let state_width = states::width(engine.model().config());
        let for_steps = engine.with_threads(Some(1))?;
        let (idle, largest) = (Mutex::default(), LargestWindow::default());
        Ok(Self { engine, for_steps, idle, largest, state_width })
    }

    pub(crate) fn config(&self) -> &ModelConfig {
        self.engine.model().config()
    }

    /// Returns E, or 1 for a model of symbols.
    pub(crate) fn input_width(&self) -> usize {
        let config = self.config();
        if config.reads_symbols() { 1 } else { config.input_width(0) }
    }

    /// Runs a window from a state, or from zero, and returns the last state if it is wanted.
    fn forward(
        &self,
        shape: &Shape<'_>,
        inputs: Inputs<'_>,
        initial: Option<&[f32]>,
        outputs: &mut [f32],
        wants_state: bool,
    ) -> Result<Option<State>, Failure> {
        let &Shape { steps, batch, lengths } = shape;
        let initial = match initial {
            Some(floats) => states::given(self.config(), batch, floats),
            None => State::zero(self.config(), batch),
        };
        let kept = self.idle.try_lock().ok().and_then(|mut idle| idle.pop());
        let mut view = kept.unwrap_or_else(|| Dynamic::of(&self.engine));
        let window = Window { lengths, initial: Some(&initial), ..Window::new(steps, batch, inputs) };
        let ran = view.forward_window(&window, outputs);
        let state = wants_state.then(|| view.state()).flatten();
        if let Ok(mut idle) = self.idle.try_lock() {
            idle.push(view);
        }
        ran?;
        Ok(state)
    }

    /// Reads ids that were given as floats. Padding may hold any number.
    fn ids(&self, shape: &Shape<'_>, floats: &[f32]) -> Result<Vec<u32>, Failure> {
        let is_padding = |token: usize| {
            let (step, row) = (token / shape.batch, token % shape.batch);
            shape.lengths.is_some_and(|lengths| step >= lengths[row])
        };
        let id = |(token, float): (usize, &f32)| match is_padding(token) {
            true => Ok(0),
            false => id(*float, self.config().vocabulary),
        };
        floats.iter().enumerate().map(id).collect()
    }
}

/// Reads an id that was given as a float.
#[inline]
pub(crate) fn id(float: f32, symbols: usize) -> Result<u32, Failure> {
    let id = float as u32;
    match id as f32 == float && (id as usize) < symbols {
        true => Ok(id),
        false => Err(Failure::argument(format!("x: found {float}, expected whole ids below {symbols}"))),
    }
}

/// Loads a model. Calls run on the calling thread.
///
/// path: the file; bytes on Unix, UTF-8 elsewhere. It is a checkpoint of unrolled, a state_dict of
/// PyTorch in a safetensors file, ONNX, or RTNeural's JSON; the content tells which. What is not
/// understood is an error that names it; `unrolled import` has options for such files. A model that
/// returns only the last step in its file returns every step here.
/// out: receives the model, to be freed with unrolled_model_free. Damaged files and weights that are
/// not finite are errors.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn unrolled_model_load(path: *const c_char, out: *mut *mut unrolled_model) -> c_int {
    // SAFETY: the obligations are the same.
    unsafe { unrolled_model_load_threads(path, 1, out) }
}

/// Loads a model as unrolled_model_load, and divides large windows of unrolled_model_forward among
/// `threads` threads, 0 for one per core. Results do not depend on their number. Streams still run
/// on the thread that calls them.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn unrolled_model_load_threads(
    path: *const c_char,
    threads: usize,
    out: *mut *mut unrolled_model,
) -> c_int {
    call::status(|| {
        let load = || {
            // SAFETY: the caller's obligations, which the crate lists.
            let model = convert::load(unsafe { arrays::path(path)? })?.model;
            let engine = Engine::new(model, (threads > 0).then_some(threads))?;
            Ok(handle::create(LoadedModel::new(engine)?))
        };
        // SAFETY: the caller's obligations, which the crate lists.
        unsafe { arrays::put("out", out, load) }
    })
}

/// Loads a model as unrolled_model_load_threads, whose products have operands in a number format.
///
/// precision: "f32"; "bf16", which is faster on processors with AVX-512 BF16 and less exact; or
/// "int8", 8-bit integers. Inputs, outputs and states are f32 in all. Streams of the model have it
/// too. The other functions load quantized files in int8 and all others in f32.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn unrolled_model_load_precision(
    path: *const c_char,
    precision: *const c_char,
    threads: usize,
    out: *mut *mut unrolled_model,
) -> c_int {
    call::status(|| {
        let load = || {
            // SAFETY: the caller's obligations, which the crate lists.
            let (path, precision) = unsafe { (arrays::path(path)?, precision::read(precision)?) };
            let (model, threads) = (convert::load(path)?.model, (threads > 0).then_some(threads));
            let engine = Engine::with_precision(model, precision, threads)?;
            Ok(handle::create(LoadedModel::new(engine)?))
        };
        // SAFETY: the caller's obligations, which the crate lists.
        unsafe { arrays::put("out", out, load) }
    })
}

/// Frees a model; NULL is fine. No call may use it any more. Its streams stay valid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn unrolled_model_free(model: *mut unrolled_model) {
    // SAFETY: the caller's obligations, which the crate lists.
    call::value((), || unsafe { handle::free(model) });
}

/// Returns E, the width of the input vectors; 1 for a model of symbols.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn unrolled_model_input_size(model: *const unrolled_model) -> usize {
    // SAFETY: the caller's obligations, which the crate lists.
    call::value(0, || Ok(unsafe { handle::shared(model)? }.input_width()))
}

/// Returns O, the width of the outputs: of the head, or of the last layer if there is no head.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn unrolled_model_output_size(model: *const unrolled_model) -> usize {
    // SAFETY: the caller's obligations, which the crate lists.
    call::value(0, || Ok(unsafe { handle::shared(model)? }.config().output_width()))
}

/// Returns the number of symbols of the vocabulary; 0 for a model of vectors.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn unrolled_model_symbols(model: *const unrolled_model) -> usize {
    // SAFETY: the caller's obligations, which the crate lists.
    call::value(0, || Ok(unsafe { handle::shared(model)? }.config().vocabulary))
}

/// Returns the number of floats of a state of `batch` rows. The top of this file has their order.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn unrolled_model_state_len(model: *const unrolled_model, batch: usize) -> usize {
    call::value(0, || {
        // SAFETY: the caller's obligations, which the crate lists.
        let model = unsafe { handle::shared(model)? };
        arrays::product(&[model.state_width, batch])
    })
}

/// Runs a window of T = `steps` steps by B = `batch` rows.
///
/// x: [T, B, E]; ids as whole floats [T, B] for a model of symbols.
/// lengths: [B], the number of steps of each row, 0 to T; NULL if all rows have T steps. Inputs
/// beyond the end of a row are not used, and outputs there are 0.
/// state_in: the state before the first step, unrolled_model_state_len(model, batch) floats; NULL
/// for zero.
/// state_out: receives the state of each row after its last step; may be NULL or state_in.
/// y: receives the outputs [T, B, O] (logits of a language model); must not overlap other arrays of
/// the call.
///
/// The results of a row do not depend on the other rows, nor on how its steps are divided into
/// windows, unless a layer is bidirectional: then a window is a whole sequence. Inputs that are not
/// finite are computed with as they are.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn unrolled_model_forward(
    model: *const unrolled_model,
    steps: usize,
    batch: usize,
    x: *const f32,
    lengths: *const usize,
    state_in: *const f32,
    state_out: *mut f32,
    y: *mut f32,
) -> c_int {
    call::status(|| {
        // SAFETY: the caller's obligations, which the crate lists.
        unsafe {
            let model = handle::shared(model)?;
            let count = arrays::product(&[arrays::tokens(steps, batch)?, model.input_width()])?;
            let x = arrays::input("x", x, count)?;
            let call = ForwardCall { model, steps, batch, lengths, state_in, state_out, y };
            call.run("x", x, |shape| match model.config().reads_symbols() {
                true => Ok(ForwardInputs::Ids(model.ids(shape, x)?)),
                false => Ok(ForwardInputs::Given(Inputs::Vectors(x))),
            })
        }
    })
}

/// Runs a window of a model of symbols, as unrolled_model_forward. ids: [T, B], each below
/// unrolled_model_symbols(model).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn unrolled_model_forward_symbols(
    model: *const unrolled_model,
    steps: usize,
    batch: usize,
    ids: *const u32,
    lengths: *const usize,
    state_in: *const f32,
    state_out: *mut f32,
    logits: *mut f32,
) -> c_int {
    call::status(|| {
        // SAFETY: the caller's obligations, which the crate lists.
        unsafe {
            let model = handle::shared(model)?;
            let ids = arrays::input("ids", ids, arrays::tokens(steps, batch)?)?;
            let call = ForwardCall { model, steps, batch, lengths, state_in, state_out, y: logits };
            call.run("ids", ids, |_| Ok(ForwardInputs::Given(Inputs::Ids(ids))))
        }
    })
}

/// The arguments of a window that both kinds of models have.
struct ForwardCall<'a> {
    model: &'a LoadedModel,
    steps: usize,
    batch: usize,
    lengths: *const usize,
    state_in: *const f32,
    state_out: *mut f32,
    y: *mut f32,
}

enum ForwardInputs<'a> {
    Given(Inputs<'a>),
    Ids(Vec<u32>),
}

impl ForwardCall<'_> {
    /// Checks the arguments, and runs the window on the inputs that `read` returns. `array` is what
    /// the caller gave.
    ///
    /// # Safety
    /// The pointers are null or valid for the sizes of the window.
    unsafe fn run<'i, T>(
        &self,
        name: &str,
        array: &[T],
        read: impl FnOnce(&Shape<'_>) -> Result<ForwardInputs<'i>, Failure>,
    ) -> Result<(), Failure> {
        let &Self { model, steps, batch, .. } = self;
        let outputs = arrays::product(&[steps, batch, model.config().output_width()])?;
        let state = arrays::product(&[model.state_width, batch])?;
        model.largest.check(model.config(), [steps, batch])?;
        // SAFETY: the caller's obligation. `y` overlaps no input, and the state is written last.
        unsafe {
            let shape = Shape { steps, batch, lengths: arrays::optional("lengths", self.lengths, batch)? };
            check_lengths(&shape)?;
            let state_in = arrays::optional("state_in", self.state_in, state)?;
            let state_out = Output::optional("state_out", self.state_out, state)?;
            let y = Output::new("y", self.y, outputs)?;
            y.check_apart(name, array)?;
            y.check_apart("lengths", shape.lengths.unwrap_or_default())?;
            y.check_apart("state_in", state_in.unwrap_or_default())?;
            y.check_apart_from_output("state_out", state_out.as_ref())?;
            let inputs = read(&shape)?;
            let inputs = match &inputs {
                ForwardInputs::Given(inputs) => *inputs,
                ForwardInputs::Ids(ids) => Inputs::Ids(ids),
            };
            let last = model.forward(&shape, inputs, state_in, y.slice(), state_out.is_some())?;
            if let (Some(last), Some(state_out)) = (last, state_out) {
                states::write(&last, state_out);
            }
        }
        Ok(())
    }
}

/// Returns an error for a row that is longer than the window.
fn check_lengths(shape: &Shape<'_>) -> Result<(), Failure> {
    let lengths = shape.lengths.unwrap_or_default();
    match lengths.iter().position(|length| *length > shape.steps) {
        None => Ok(()),
        Some(row) => {
            let (length, steps) = (lengths[row], shape.steps);
            Err(Failure::argument(format!(
                "lengths: found {length} for row {row}, expected at most {steps} steps"
            )))
        }
    }
}
