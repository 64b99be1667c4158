//! Formats numbers and sizes for messages.

use std::fmt;

/// Displays a number, with an exponent if it is very small or very large.
pub(crate) struct Number(pub f64);

impl fmt::Display for Number {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size = self.0.abs();
        match self.0 == 0.0 || !size.is_finite() || (1e-6..1e16).contains(&size) {
            true => write!(out, "{}", self.0),
            false => write!(out, "{:e}", self.0),
        }
    }
}

/// Formats a number of bytes: "1.5 GiB".
pub(crate) fn bytes(count: f64) -> String {
    const UNITS: [&str; 7] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB"];
    let mut unit = 0;
    let mut size = count / 1024.0;
    while size >= 1024.0 && unit + 1 < UNITS.len() {
        size /= 1024.0;
        unit += 1;
    }
    if size < 1e6 { format!("{size:.1} {}", UNITS[unit]) } else { format!("{size:.1e} {}", UNITS[unit]) }
}
