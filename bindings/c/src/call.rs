//! Runs the body of an exported function: errors and panics become a status and a text.

use crate::last_error;
use crate::status::{Failure, unrolled_status};
use std::any::Any;
use std::ffi::c_int;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs the body of a function that returns a status.
///
/// A panic leaves nothing half changed that a later call could see: a handle that was in use
/// refuses further calls (see [`handle`](crate::handle)), and buffers of a model are dropped.
#[inline]
pub(crate) fn status(body: impl FnOnce() -> Result<(), Failure>) -> c_int {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(())) => unrolled_status::UNROLLED_OK as c_int,
        Ok(Err(failure)) => record(&failure),
        Err(panic) => record(&bug(panic)),
    }
}

/// Runs the body of a function that returns a value; `otherwise` after an error.
#[inline]
pub(crate) fn value<R>(otherwise: R, body: impl FnOnce() -> Result<R, Failure>) -> R {
    let failure = match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(value)) => return value,
        Ok(Err(failure)) => failure,
        Err(panic) => bug(panic),
    };
    record(&failure);
    otherwise
}

#[cold]
fn record(failure: &Failure) -> c_int {
    last_error::set(&failure.text);
    failure.status as c_int
}

#[cold]
fn bug(panic: Box<dyn Any + Send>) -> Failure {
    let message = match panic.downcast_ref::<&str>() {
        Some(message) => message,
        None => panic.downcast_ref::<String>().map_or("no message", String::as_str),
    };
    let line = message.split_whitespace().collect::<Vec<_>>().join(" ");
    let text = format!("a bug in unrolled: {line}; please report it, and free the handles of this call");
    Failure::new(unrolled_status::UNROLLED_BUG, text)
}
