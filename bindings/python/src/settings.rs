//! Settings from Python, as JSON with the names of configuration files.

use crate::errors::{invalid, raise};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use unrolled::{Precision, Settings};

/// Reads settings. `settings` is a JSON object.
pub fn read(settings: &str) -> PyResult<Settings> {
    let settings: Settings =
        serde_json::from_str(settings).map_err(|error| PyValueError::new_err(message(&error.to_string())))?;
    settings.validate().map_err(raise)?;
    Ok(settings)
}

/// Returns the number format of a model, from its name.
pub fn precision(name: &str) -> PyResult<Precision> {
    let names = Precision::NAMES.join(" or ");
    Precision::named(name).ok_or_else(|| invalid(format!("precision = {name:?}"), names))
}

/// Returns the number format of layers, from its name.
pub fn trained_precision(name: &str) -> PyResult<Precision> {
    let found = Precision::named(name).filter(|_| Precision::TRAINED.contains(&name));
    let int8 = if name == Precision::Int8.name() { INT8 } else { "" };
    let expected = format!("{}{int8}", Precision::TRAINED.join(" or "));
    found.ok_or_else(|| invalid(format!("precision = {name:?}"), expected))
}

/// The end of the error for layers in int8.
const INT8: &str = "; int8 is for quantized models: LanguageModel(.., precision=\"int8\"), or a file of \
                    `unrolled quantize`";

/// Raises an error for a name that is no number format of layers.
#[pyfunction]
pub fn check_precision(name: &str) -> PyResult<()> {
    trained_precision(name).map(drop)
}

/// The message of an error, without the place in the JSON text, which means nothing to the caller.
/// A list of names has the form of arguments in Python: `max_steps`.
fn message(error: &str) -> String {
    let message = &error[..error.rfind(" at line ").unwrap_or(error.len())];
    if message.starts_with("unknown field ") { message.replace('-', "_") } else { message.to_owned() }
}
