//! Names of number formats.

use crate::arrays;
use crate::status::Failure;
use std::ffi::c_char;
use toml::Value;
use unrolled::Precision;

/// Returns the number format of a name of the caller.
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

/// Returns the number format of the description of a network, which can be trained.
pub(crate) fn of(value: &Value) -> Result<Precision, Failure> {
    let name = value.as_str().filter(|name| Precision::TRAINED.contains(name));
    let expected = Precision::TRAINED.join(" or ");
    name.and_then(Precision::named)
        .ok_or_else(|| Failure::argument(format!("key precision: found {value}, expected {expected}")))
}
