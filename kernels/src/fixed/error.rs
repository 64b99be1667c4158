//! Errors of fixed cells, and the checks that return them.

use crate::isa::Isa;

/// The reason why a cell could not be made.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// A slice has the wrong length for its name and the sizes.
    Length {
        /// The name of the argument.
        name: &'static str,
        /// Its length.
        found: usize,
        /// The right length.
        expected: usize,
    },
    /// `UNROLLED_ISA` names an instruction set that this processor lacks, or an unknown one.
    #[cfg(feature = "std")]
    Isa(crate::IsaError),
}

impl core::fmt::Display for Error {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Length { name, found, expected } => {
                write!(f, "{name} has length {found}, expected {expected}; give the whole tensor, row-major")
            }
            #[cfg(feature = "std")]
            Self::Isa(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for Error {}

/// Checks the length of a slice.
pub(super) fn check(name: &'static str, found: usize, expected: usize) -> Result<(), Error> {
    if found == expected { Ok(()) } else { Err(Error::Length { name, found, expected }) }
}

/// Returns the best instruction set that is known here.
pub(super) fn native() -> Result<Isa, Error> {
    #[cfg(feature = "std")]
    return Isa::detect().map_err(Error::Isa);
    #[cfg(not(feature = "std"))]
    Ok(Isa::compiled())
}
