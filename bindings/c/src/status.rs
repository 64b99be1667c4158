//! Status codes, and the causes of errors.

use unrolled::Error;

/// The status that a function returns. unrolled_last_error has the text of an error.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum unrolled_status {
    /// Success.
    UNROLLED_OK = 0,
    /// A pointer is NULL.
    UNROLLED_NULL = 1,
    /// A pointer is not aligned, is not a handle, or is a freed handle or one of another type.
    UNROLLED_POINTER = 2,
    /// Another thread is using the stream or the network.
    UNROLLED_BUSY = 3,
    /// A size, length, id, state or setting does not fit.
    UNROLLED_ARGUMENT = 4,
    /// A file cannot be read or written.
    UNROLLED_IO = 5,
    /// The content of a file does not fit: damaged, of another format, or not a known model.
    UNROLLED_FILE = 6,
    /// There is not enough memory.
    UNROLLED_MEMORY = 7,
    /// A number is not finite where it must be.
    UNROLLED_NOT_FINITE = 8,
    /// UNROLLED_ISA names instructions that the processor lacks, or that are unknown.
    UNROLLED_PROCESSOR = 9,
    /// A bug in the library: it panicked, and printed a line to the standard error. Free the handles
    /// of the call.
    UNROLLED_BUG = 10,
}

/// Why a call failed.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) status: unrolled_status,
    /// One line.
    pub(crate) text: String,
}

impl Failure {
    pub(crate) fn new(status: unrolled_status, text: impl Into<String>) -> Self {
        Self { status, text: text.into() }
    }

    pub(crate) fn argument(text: impl Into<String>) -> Self {
        Self::new(unrolled_status::UNROLLED_ARGUMENT, text)
    }

    pub(crate) fn null(name: &str, expected: &str) -> Self {
        Self::new(unrolled_status::UNROLLED_NULL, format!("{name}: found NULL, expected {expected}"))
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::new(status_of(&error), error.to_string())
    }
}

fn status_of(error: &Error) -> unrolled_status {
    match error {
        Error::Io { .. } => unrolled_status::UNROLLED_IO,
        Error::Setting { .. } | Error::Batch { .. } | Error::StateShape { .. } => {
            unrolled_status::UNROLLED_ARGUMENT
        }
        Error::Memory { .. } | Error::Allocation { .. } => unrolled_status::UNROLLED_MEMORY,
        Error::NotFinite { .. } | Error::Diverged { .. } => unrolled_status::UNROLLED_NOT_FINITE,
        Error::Isa(_) => unrolled_status::UNROLLED_PROCESSOR,
        Error::WrongAnswer { .. } => unrolled_status::UNROLLED_BUG,
        _ => unrolled_status::UNROLLED_FILE,
    }
}
