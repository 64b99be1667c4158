//! The C library: a thin layer over the public API of `unrolled`.
//!
//! The comments of the exported functions are those of `include/unrolled.h`, which cbindgen makes
//! (`cbindgen.toml` has its first comment). A function does four things: it finds the Rust value
//! of a handle, checks pointers and sizes, calls the Rust function, and copies the results. So the
//! results have the bits of the Rust functions.
//!
//! # Safety
//! The obligations of all exported functions are the same, so the header states them once, under
//! "Pointers": a pointer is null or valid for the number of values in the comment of the function,
//! and a handle comes from this library and was not freed. Where a function can find out, it
//! returns an error instead.
//!
//! The files, each using only those before it:
//!
//! - `status`: [`unrolled_status`], and the causes of errors.
//! - `last_error`: the text of the last error of a thread.
//! - `call`: runs the body of a function; turns errors and panics into a status.
//! - `handle`: handles, the checks of handles, and of their use by several threads.
//! - `arrays`: arrays of the caller.
//! - `states`: states as floats.
//! - `precision`: names of number formats.
//! - `window_memory`: the check of the memory of a window.
//! - `model`, `stream`: models and streams.
//! - `description`: the TOML text of a network.
//! - `trained`: networks to train, and their files.
//! - `rnn`: the functions of networks.
#![allow(non_camel_case_types, reason = "types have the names that C programs use")]
#![allow(clippy::missing_safety_doc, reason = "the obligations of all functions are stated once, above")]

// In the order of use, which is also the order of the header.
mod status;

mod last_error;

mod call;
mod handle;

mod arrays;
mod precision;
mod states;
mod window_memory;

mod model;
mod stream;

mod description;
mod trained;

mod rnn;

#[cfg(test)]
mod tests;

pub use last_error::unrolled_last_error;
pub use model::*;
pub use rnn::*;
pub use status::unrolled_status;
pub use stream::*;

/// The version of the interface in this header. It changes if a program must be compiled again.
pub const UNROLLED_ABI_VERSION: u32 = 1;

/// Returns UNROLLED_ABI_VERSION of the library that was linked. A program that loads the library
/// at run time compares the two.
#[unsafe(no_mangle)]
pub extern "C" fn unrolled_abi_version() -> u32 {
    UNROLLED_ABI_VERSION
}
