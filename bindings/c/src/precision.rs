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
    found.ok_or_else(|| Failure::argument(format!("precision: found {text:?}, {}", expected())))
}

/// Returns the number format of a description.
pub(crate) fn of(value: &Value) -> Result<Precision, Failure> {
    let found = value.as_str().and_then(Precision::named);
    found.ok_or_else(|| Failure::argument(format!("key precision: found {value}, {}", expected())))
}

fn expected() -> String {
    format!("expected {}", Precision::NAMES.join(" or "))
}
