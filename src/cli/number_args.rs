//! Parsers for numbers on the command line, with plain error messages.

use std::{num::NonZeroUsize, str::FromStr};

/// Returns a parser for a whole number of at least `least`.
pub fn whole<T: Whole>(least: u64) -> impl Fn(&str) -> Result<T, String> + Clone {
    within(least, T::LARGEST)
}

/// Returns a parser for a whole number that `config.toml` can record: TOML's integers end at 2^63 -
/// 1.
pub fn recorded(least: u64) -> impl Fn(&str) -> Result<u64, String> + Clone {
    within(least, i64::MAX as u64)
}

fn within<T: FromStr>(least: u64, most: u64) -> impl Fn(&str) -> Result<T, String> + Clone {
    move |text| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        // A number with more digits than a u64 is above `most` too.
        let number = text.parse().unwrap_or(if digits { u64::MAX } else { 0 });
        let refuse = |range: String| Err(format!("expected a whole number {range}"));
        match text.parse() {
            Ok(value) if digits && number >= least && number <= most => Ok(value),
            _ if digits && number > least => refuse(format!("from {least} to {most}")),
            _ => refuse(format!("of {least} or above")),
        }
    }
}

/// A type of whole numbers that a parser can return.
pub trait Whole: FromStr {
    /// The largest value.
    const LARGEST: u64;
}

macro_rules! whole {
    ($($type:ty, $largest:expr;)+) => {
        $(impl Whole for $type {
            const LARGEST: u64 = $largest;
        })+
    };
}
whole! {
    u32, u32::MAX as u64;
    u64, u64::MAX;
    usize, usize::MAX as u64;
    NonZeroUsize, usize::MAX as u64;
}

/// Parses a number. The validation of the settings checks its range.
pub fn number(text: &str) -> Result<f64, String> {
    text.parse().map_err(|_| "expected a number".to_owned())
}

/// Parses a number that is stored as an f32. A number too large for an f32 must not become
/// infinity, and one too small must not become 0: `--clip 0` switches clipping off.
pub fn single(text: &str) -> Result<f64, String> {
    let value = number(text)?;
    match (value.is_finite() && (value as f32).is_infinite(), value != 0.0 && value as f32 == 0.0) {
        (true, _) => Err("expected a number of at most 3.4e38".to_owned()),
        (_, true) => Err("expected 0, or a number of at least 1.5e-45".to_owned()),
        _ => Ok(value),
    }
}

/// Does the same and returns an f32.
pub fn float(text: &str) -> Result<f32, String> {
    single(text).map(|value| value as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_have_a_least_and_a_largest() {
        let message = |text: &str| whole::<u32>(1)(text).expect_err(text);
        assert_eq!(whole::<u32>(1)("7"), Ok(7));
        for text in ["0", "-1", "many", "1.5", ""] {
            assert_eq!(message(text), "expected a whole number of 1 or above", "{text}");
        }
        assert_eq!(message("99999999999"), "expected a whole number from 1 to 4294967295");
        assert_eq!(whole::<u64>(0)("0"), Ok(0));
        assert_eq!(whole::<u64>(0)("18446744073709551615"), Ok(u64::MAX));
        assert_eq!(recorded(0)("9223372036854775807"), Ok(i64::MAX as u64));
        let largest = "expected a whole number from 0 to 9223372036854775807";
        for text in ["9223372036854775808", "99999999999999999999999"] {
            assert_eq!(recorded(0)(text), Err(largest.to_owned()));
        }
    }

    #[test]
    fn numbers_beyond_an_f32_are_refused() {
        assert_eq!(single("1e39"), Err("expected a number of at most 3.4e38".to_owned()));
        assert_eq!(single("3.4e38"), Ok(3.4e38));
        assert_eq!(single("1e-50"), Err("expected 0, or a number of at least 1.5e-45".to_owned()));
        assert_eq!(single("0"), Ok(0.0));
        assert!(single("nan").expect("a number").is_nan() && single("inf") == Ok(f64::INFINITY));
        assert_eq!(float("0.3"), Ok(0.3));
        assert_eq!(number("1e39"), Ok(1e39));
        assert_eq!(number("much"), Err("expected a number".to_owned()));
    }
}
