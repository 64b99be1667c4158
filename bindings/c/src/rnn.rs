//! Networks to train: forward and backward passes, parameters and their gradients.

use crate::arrays::{self, Output};
use crate::description::Description;
use crate::handle::{self, Opaque, Turn};
use crate::status::Failure;
use crate::trained::Trained;
use crate::{call, precision, states};
use std::ffi::{c_char, c_int};
use std::ptr;

/// A stack of layers on vectors, to be trained. It belongs to one thread at a time.
pub struct unrolled_rnn {
    _opaque: [u8; 0],
}

impl Opaque for unrolled_rnn {
    type Value = Trained;
    const MARK: u64 = u64::from_le_bytes(*b"unr-netw");
    const NAME: &'static str = "rnn";
}

/// Finds a network, and takes its turn.
unsafe fn turn<'a>(rnn: *const unrolled_rnn) -> Result<Turn<'a, Trained>, Failure> {
    // SAFETY: the caller's obligations, which the crate lists.
    unsafe { handle::turn(rnn) }
}

/// Creates a network with drawn parameters.
///
/// toml: the layers as in a configuration file of unrolled, and
///   inputs = E     the width of the input vectors
///   outputs = O    a linear head of O outputs; default: no head, O is the width of the last layer
///   seed = N       of the parameters and of dropout; default 1
///   threads = N    default: one for each core; results do not depend on it
///   precision = P  number format of the operands of products: "f32" (default) or "bf16"
/// out: receives the network, to be freed with unrolled_rnn_free.
///
/// Example: "inputs = 3\n[[stack]]\ncell = \"lstm\"\nhidden = 16\n".
#[unsafe(no_mangle)]
pub unsafe extern "C" fn unrolled_rnn_new(toml: *const c_char, out: *mut *mut unrolled_rnn) -> c_int {
    call::status(|| {
        let create = || {
            // SAFETY: the caller's obligations, which the crate lists.
            let text = unsafe { arrays::text("toml", toml)? };
            let text =
                text.to_str().map_err(|_| Failure::argument("toml: found bytes that are not UTF-8"))?;
            Ok(handle::create(Trained::new(Description::parse(text)?)?))
        };
        // SAFETY: the caller's obligations, which the crate lists.
        unsafe { arrays::put("out", out, create) }
    })
}

/// Creates a network with the parameters of a file, to train it further.
///
/// path: a file of unrolled_rnn_save, or another file that unrolled_model_load reads. A model of
/// symbols is an error.
/// seed: of dropout. Its masks start again, as in a new network.
/// threads: 0 for one per core; results do not depend on it.
/// out: receives the network, to be freed with unrolled_rnn_free.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn unrolled_rnn_load(
    path: *const c_char,
    seed: u64,
    threads: usize,
    out: *mut *mut unrolled_rnn,
) -> c_int {
    // SAFETY: the obligations are the same.
    unsafe { unrolled_rnn_load_precision(path, seed, c"f32".as_ptr(), threads, out) }
}

/// Creates a network with the parameters of a file, as unrolled_rnn_load, whose products have
/// operands in a number format.
///
/// precision: "f32" or "bf16". Parameters, gradients, inputs, outputs and states are f32 in both.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn unrolled_rnn_load_precision(
    path: *const c_char,
    seed: u64,
    precision: *const c_char,
    threads: usize,
    out: *mut *mut unrolled_rnn,
) -> c_int {
    call::status(|| {
        let load = || {
            // SAFETY: the caller's obligations, which the crate lists.
            let (path, precision) = unsafe { (arrays::path(path)?, precision::read_trained(precision)?) };
            let threads = (threads > 0).then_some(threads);
            Ok(handle::create(Trained::load(path, seed, precision, threads)?))
        };
        // SAFETY: the caller's obligations, which the crate lists.
        unsafe { arrays::put("out", out, load) }
    })
}

/// Frees a network; NULL is fine. If another thread is using it, it stays, and unrolled_last_error
/// says so. Pointers to its parameters, gradients and names are then invalid.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn unrolled_rnn_free(rnn: *mut unrolled_rnn) {
    // SAFETY: the caller's obligations, which the crate lists.
    call::value((), || unsafe { handle::free(rnn) });
}

/// Returns E, the width of the input vectors.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn unrolled_rnn_input_size(rnn: *const unrolled_rnn) -> usize {
    // SAFETY: the caller's obligations, which the crate lists.
    call::value(0, || Ok(unsafe { turn(rnn)? }.config().input_width(0)))
}

/// Returns O, the width of the outputs: of the head, or of the last layer if there is no head.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn unrolled_rnn_output_size(rnn: *const unrolled_rnn) -> usize {
    // SAFETY: the caller's obligations, which the crate lists.
    call::value(0, || Ok(unsafe { turn(rnn)? }.config().output_width()))
}

/// Returns the number of floats of a state of `batch` rows. The top of this file has their order.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn unrolled_rnn_state_len(rnn: *const unrolled_rnn, batch: usize) -> usize {
    call::value(0, || {
        // SAFETY: the caller's obligations, which the crate lists.
        let width = unsafe { turn(rnn)? }.state_width;
        arrays::product(&[width, batch])
    })
}

/// Turns dropout and the random part of zoneout on (1, as at the start) or off (0). The masks are a
/// function of the seed and of the number of windows that went forward in training.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn unrolled_rnn_set_training(rnn: *mut unrolled_rnn, training: c_int) -> c_int {
    call::status(|| {
        // SAFETY: the caller's obligations, which the crate lists.
        unsafe { turn(rnn)? }.training = training != 0;
        Ok(())
    })
}

/// Runs a window of T = `steps` steps by B = `batch` rows, with the current parameters, and keeps
/// what the backward pass needs.
///
/// x: [T, B, E].
/// lengths: [B], the number of steps of each row, 0 to T; NULL if all rows have T steps. Inputs
/// beyond the end of a row are not used, and outputs there are 0.
/// state_in: the state before the first step, unrolled_rnn_state_len(rnn, batch) floats; NULL for
/// zero.
/// y: receives the outputs [T, B, O]; must not overlap other arrays of the call.
/// state_out: receives the state of each row after its last step; may be NULL or state_in.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn unrolled_rnn_forward(
    rnn: *mut unrolled_rnn,
    steps: usize,
    batch: usize,
    x: *const f32,
    lengths: *const usize,
    state_in: *const f32,
    y: *mut f32,
    state_out: *mut f32,
) -> c_int {
    call::status(|| {
        // SAFETY: the caller's obligations, which the crate lists.
        // `y` overlaps no input, and the state is written last.
        unsafe {
            let mut rnn = turn(rnn)?;
            let tokens = arrays::tokens(steps, batch)?;
            let state = arrays::product(&[rnn.state_width, batch])?;
            rnn.largest.check_training(rnn.config(), [steps, batch])?;
            let x = arrays::input("x", x, arrays::product(&[tokens, rnn.config().input_width(0)])?)?;
            let lengths = arrays::optional("lengths", lengths, batch)?;
            let state_in = arrays::optional("state_in", state_in, state)?;
            let state_out = Output::optional("state_out", state_out, state)?;
            let y = Output::new("y", y, arrays::product(&[tokens, rnn.config().output_width()])?)?;
            y.check_apart("x", x)?;
            y.check_apart("lengths", lengths.unwrap_or_default())?;
            y.check_apart("state_in", state_in.unwrap_or_default())?;
            y.check_apart_from_output("state_out", state_out.as_ref())?;
            rnn.forward([steps, batch], (x, lengths), state_in, y.slice())?;
            if let Some(state_out) = state_out {
                states::write(&rnn.network.state(), state_out);
            }
        }
        Ok(())
    })
}

/// Runs the backward pass of the last window. It replaces the gradients of the parameters (see
/// unrolled_rnn_gradients). Another backward pass needs another forward pass.
///
/// dy: [T, B, O], the gradient of the loss with respect to y; NULL for zero.
/// dstate: the gradient with respect to state_out, in its order; NULL for zero.
/// dx: receives the gradient with respect to x [T, B, E]; may be NULL.
/// dstate_in: receives the gradient with respect to state_in; may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn unrolled_rnn_backward(
    rnn: *mut unrolled_rnn,
    dy: *const f32,
    dstate: *const f32,
    dx: *mut f32,
    dstate_in: *mut f32,
) -> c_int {
    call::status(|| {
        // SAFETY: the caller's obligations, which the crate lists.
        // The outputs are written after the inputs were read.
        unsafe {
            let rnn = &mut *turn(rnn)?;
            let [steps, batch] = rnn.last.ok_or_else(no_window)?;
            let [inputs, outputs] = [rnn.config().input_width(0), rnn.config().output_width()];
            let state = batch * rnn.state_width;
            let dy = arrays::optional("dy", dy, steps * batch * outputs)?;
            let dstate = arrays::optional("dstate", dstate, state)?;
            let dx = Output::optional("dx", dx, steps * batch * inputs)?;
            let dstate_in = Output::optional("dstate_in", dstate_in, state)?;
            let zeros = if dy.is_none() { vec![0.0; steps * batch * outputs] } else { Vec::new() };
            let d_state = dstate.map(|floats| states::given(rnn.config(), batch, floats));
            rnn.network.backward(dy.unwrap_or(&zeros), d_state.as_ref())?;
            rnn.last = None;
            if let Some(dx) = dx {
                dx.write(rnn.network.d_inputs());
            }
            if let Some(dstate_in) = dstate_in {
                states::write(rnn.network.d_initial(), dstate_in);
            }
        }
        Ok(())
    })
}

fn no_window() -> Failure {
    Failure::argument(
        "rnn: found no window that went forward, and not backward yet; call unrolled_rnn_forward first",
    )
}

/// Returns the number of floats of the arena, which holds all parameters. Between tensors it has
/// padding, which is zero, with gradient zero.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn unrolled_rnn_parameters(rnn: *const unrolled_rnn) -> usize {
    // SAFETY: the caller's obligations, which the crate lists.
    call::value(0, || Ok(unsafe { turn(rnn)? }.network.model().parameters().values.len()))
}

/// Returns the arena, to be read and changed between calls: unrolled_rnn_parameters(rnn) floats.
/// The address stays the same until unrolled_rnn_free. The next forward pass uses the new values.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn unrolled_rnn_values(rnn: *mut unrolled_rnn) -> *mut f32 {
    call::value(ptr::null_mut(), || {
        // SAFETY: the caller's obligations, which the crate lists.
        let mut rnn = unsafe { turn(rnn)? };
        Ok(rnn.network.parameters_and_gradient().0.as_mut_ptr())
    })
}

/// Returns the gradients after the last backward pass, each at the place of its parameter; zero
/// before the first. The address stays the same until unrolled_rnn_free.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn unrolled_rnn_gradients(rnn: *const unrolled_rnn) -> *const f32 {
    // SAFETY: the caller's obligations, which the crate lists.
    call::value(ptr::null(), || Ok(unsafe { turn(rnn)? }.network.gradient().values.as_ptr()))
}

/// Returns the number of tensors, for unrolled_rnn_parameter.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn unrolled_rnn_tensors(rnn: *const unrolled_rnn) -> usize {
    // SAFETY: the caller's obligations, which the crate lists.
    call::value(0, || Ok(unsafe { turn(rnn)? }.names.len()))
}

/// Describes tensor `i`, from 0 to unrolled_rnn_tensors(rnn) - 1. Each pointer may be NULL.
///
/// name: receives the name of PyTorch, such as rnn.weight_ih_l0; valid until unrolled_rnn_free.
/// offset: receives its place in the arena, in floats. Values are row-major.
/// rows, columns: receive its shape; a vector has one column.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn unrolled_rnn_parameter(
    rnn: *const unrolled_rnn,
    i: usize,
    name: *mut *const c_char,
    offset: *mut usize,
    rows: *mut usize,
    columns: *mut usize,
) -> c_int {
    call::status(|| {
        // SAFETY: the caller's obligations, which the crate lists.
        let rnn = unsafe { turn(rnn)? };
        let count = rnn.names.len();
        let Some(entry) = rnn.network.model().parameters().layout.entries().get(i) else {
            return Err(Failure::argument(format!("i: found {i}, expected a tensor below {count}")));
        };
        let length = entry.shape.first().copied().unwrap_or(1);
        // SAFETY: the caller's obligations, which the crate lists.
        unsafe {
            put_wanted("name", name, rnn.names[i].as_ptr())?;
            put_wanted("offset", offset, entry.range.start)?;
            put_wanted("rows", rows, length)?;
            put_wanted("columns", columns, entry.range.len() / length.max(1))
        }
    })
}

/// Writes a result that the caller may not want.
///
/// # Safety
/// `pointer` is null, or valid for a write.
unsafe fn put_wanted<T>(name: &str, pointer: *mut T, value: T) -> Result<(), Failure> {
    match pointer.is_null() {
        true => Ok(()),
        // SAFETY: the caller's obligation.
        false => unsafe { arrays::put(name, pointer, || Ok(value)) },
    }
}

/// Writes a checkpoint, which unrolled_model_load and `unrolled inspect` read. It replaces the file
/// in one step: on an error the old file stays as it was. Parameters that are not finite are an
/// error.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn unrolled_rnn_save(rnn: *const unrolled_rnn, path: *const c_char) -> c_int {
    call::status(|| {
        // SAFETY: the caller's obligations, which the crate lists.
        let (rnn, path) = unsafe { (turn(rnn)?, arrays::path(path)?) };
        rnn.save(path)
    })
}
