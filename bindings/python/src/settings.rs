//! Settings from Python, as JSON with the names of configuration files.

use crate::errors::raise;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use unrolled::Settings;

/// Reads settings. `settings` is a JSON object.
pub fn read(settings: &str) -> PyResult<Settings> {
    let settings: Settings = serde_json::from_str(settings).map_err(|error| {
        // The place in the JSON text means nothing to the caller.
        let message = error.to_string();
        let end = message.rfind(" at line ").unwrap_or(message.len());
        PyValueError::new_err(message[..end].to_owned())
    })?;
    settings.validate().map_err(raise)?;
    Ok(settings)
}
