//! Checks the range of a setting.

use super::decimal::Number;
use crate::Result;
pub(super) use crate::error::require;

const COUNT: &str = "give a whole number of at least 1";
pub(super) const POSITIVE: &str = "give a finite number above 0";
const NOT_NEGATIVE: &str = "give a finite number of at least 0";
pub(super) const BELOW_ONE: &str = "give a number of at least 0 and below 1";

pub(super) fn count(name: &'static str, found: u64) -> Result<()> {
    require(found >= 1, name, found, COUNT)
}

pub(super) fn positive(name: &'static str, found: f64) -> Result<()> {
    require(found > 0.0 && found.is_finite(), name, Number(found), POSITIVE)
}

pub(super) fn not_negative(name: &'static str, found: f64) -> Result<()> {
    require(found >= 0.0 && found.is_finite(), name, Number(found), NOT_NEGATIVE)
}

pub(super) fn below_one(name: &'static str, found: f64) -> Result<()> {
    require((0.0..1.0).contains(&found), name, Number(found), BELOW_ONE)
}
