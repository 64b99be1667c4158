//! The division of windows that the environment forces.

use crate::{Error, Result};

/// The name of the environment variable that forces a division of windows.
const DIVIDE_VARIABLE: &str = "UNROLLED_DIVIDE";

/// The values that threads divide in each layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Divide {
    /// The rows of the batch.
    Rows,
    /// The hidden units.
    Units,
    /// Both, if there are at least four threads.
    Both,
}

impl Divide {
    /// Returns the division that the environment forces.
    pub(super) fn forced() -> Result<Option<Self>> {
        match std::env::var_os(DIVIDE_VARIABLE) {
            None => Ok(None),
            Some(value) if value.is_empty() => Ok(None),
            Some(value) => match value.to_str() {
                Some("rows") => Ok(Some(Self::Rows)),
                Some("units") => Ok(Some(Self::Units)),
                Some("both") => Ok(Some(Self::Both)),
                _ => {
                    let expected = "set it to rows, units or both, or unset it";
                    Err(Error::setting(DIVIDE_VARIABLE, value.to_string_lossy(), expected))
                }
            },
        }
    }
}
