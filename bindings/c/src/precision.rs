//! Names of number formats.

use crate::arrays;
use crate::status::Failure;
use std::ffi::c_char;
use toml::Value;
use unrolled::Precision;

/// Returns the number format of a model, from a name of the caller.
///
/// # Safety
/// `name` is null, or a text that ends with NUL.
pub(crate) unsafe fn read(name: *const c_char) -> Result<Precision, Failure> {
    // SAFETY: the caller's obligation.
    let text = unsafe { arrays::text("precision", name)? }.to_string_lossy();
    let found = Precision::named(&text);
    let expected = Precision::NAMES.join(", ");
    found.ok_or_else(|| Failure::argument(format!("precision: found {text:?}, expected one of {expected}")))
}

/// Returns the number format of a network, from a name of the caller.
///
/// # Safety
/// As for [`read`].
pub(crate) unsafe fn read_trained(name: *const c_char) -> Result<Precision, Failure> {
    // SAFETY: the caller's obligation.
    let text = unsafe { arrays::text("precision", name)? }.to_string_lossy();
    trained(&text).ok_or_else(|| Failure::argument(format!("precision: found {text:?}, {}", expected(&text))))
}

/// Returns the number format of a network, from its description.
pub(crate) fn of(value: &Value) -> Result<Precision, Failure> {
    let name = value.as_str().unwrap_or_default();
    trained(name)
        .ok_or_else(|| Failure::argument(format!("key precision: found {value}, {}", expected(name))))
}

/// Returns the number format of a name, if networks are trained in it.
fn trained(name: &str) -> Option<Precision> {
    Precision::named(name).filter(|_| Precision::TRAINED.contains(&name))
}

/// Returns what was expected instead of a name that is not [`trained`].
fn expected(name: &str) -> String {
    let inference =
        if name == Precision::Int8.name() { "; int8 is for models, which are not trained" } else { "" };
    format!("expected {}{inference}", Precision::TRAINED.join(" or "))
}
