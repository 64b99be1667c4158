//! Errors of the library as Python exceptions.

use pyo3::create_exception;
use pyo3::exceptions::{
    PyException, PyFileExistsError, PyFileNotFoundError, PyIsADirectoryError, PyNotADirectoryError,
    PyOSError, PyPermissionError, PyValueError,
};
use pyo3::prelude::*;
use std::io;

create_exception!(
    unrolled,
    Error,
    PyException,
    "An error that is neither a bad argument (ValueError) nor a failed file operation (OSError)."
);

/// Returns the exception of an error of the library, with its message.
pub fn raise(error: unrolled::Error) -> PyErr {
    use unrolled::Error as E;
    let message = error.to_string();
    match error {
        E::Io { source, .. } => of_system(source.kind(), message),
        E::Setting { .. }
        | E::Batch { .. }
        | E::StateShape { .. }
        | E::Tensor { .. }
        | E::OtherModel { .. }
        | E::UnknownSymbol { .. }
        | E::UnknownId { .. }
        | E::IdText { .. } => PyValueError::new_err(message),
        _ => Error::new_err(message),
    }
}

/// Returns the `OSError` of a kind of error of the operating system.
fn of_system(kind: io::ErrorKind, message: String) -> PyErr {
    match kind {
        io::ErrorKind::NotFound => PyFileNotFoundError::new_err(message),
        io::ErrorKind::PermissionDenied => PyPermissionError::new_err(message),
        io::ErrorKind::AlreadyExists => PyFileExistsError::new_err(message),
        io::ErrorKind::IsADirectory => PyIsADirectoryError::new_err(message),
        io::ErrorKind::NotADirectory => PyNotADirectoryError::new_err(message),
        _ => PyOSError::new_err(message),
    }
}

/// Returns a `ValueError` that says what was found and what was expected.
pub fn invalid(found: impl std::fmt::Display, expected: impl std::fmt::Display) -> PyErr {
    PyValueError::new_err(format!("found {found}, expected {expected}"))
}
