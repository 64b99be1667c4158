//! Values of run options: intervals and sizes.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr, time::Duration};

/// The time or steps between checkpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum CheckpointInterval {
    /// An amount of time.
    Time(Duration),
    /// A number of optimizer steps.
    Steps(u64),
}

impl Default for CheckpointInterval {
    fn default() -> Self {
        Self::Time(Duration::from_secs(600))
    }
}

impl FromStr for CheckpointInterval {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || "expected a time such as 30s, 5m or 2h, or a number of steps of at least 1".to_owned();
        let interval = match text.parse() {
            Ok(steps) => Self::Steps(steps),
            Err(_) => Self::Time(humantime::parse_duration(text).map_err(|_| wrong())?),
        };
        match interval {
            Self::Steps(0) | Self::Time(Duration::ZERO) => Err(wrong()),
            interval => Ok(interval),
        }
    }
}

impl fmt::Display for CheckpointInterval {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Time(time) => write!(out, "{}", humantime::format_duration(*time)),
            Self::Steps(steps) => write!(out, "{steps}"),
        }
    }
}

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MemorySize(pub u64);

impl FromStr for MemorySize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed: Result<bytesize::ByteSize, _> = text.parse();
        match parsed {
            Ok(size) if size.as_u64() > 0 => Ok(Self(size.as_u64())),
            _ => Err("expected a size such as 800M or 2GiB".to_owned()),
        }
    }
}

impl fmt::Display for MemorySize {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.0)
    }
}

/// Reads and writes a type in configuration files as on the command line.
macro_rules! as_text {
    ($name:ident) => {
        impl TryFrom<String> for $name {
            type Error = String;

            fn try_from(text: String) -> Result<Self, String> {
                text.parse().map_err(|expected| format!("found {text:?}, {expected}"))
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.to_string()
            }
        }
    };
}

as_text!(CheckpointInterval);
as_text!(MemorySize);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_and_sizes_have_units() {
        let interval = |text: &str| text.parse::<CheckpointInterval>();
        assert_eq!(interval("5m"), Ok(CheckpointInterval::Time(Duration::from_secs(300))));
        assert_eq!(interval("1h 30m"), Ok(CheckpointInterval::Time(Duration::from_secs(5400))));
        assert_eq!(interval("250"), Ok(CheckpointInterval::Steps(250)));
        for wrong in ["0", "0s", "soon", "-5m", ""] {
            assert!(interval(wrong).expect_err(wrong).starts_with("expected a time"), "{wrong}");
        }
        let size = |text: &str| text.parse::<MemorySize>().map(|size| size.0);
        assert_eq!(size("2GiB"), Ok(2 << 30));
        assert_eq!(size("800M"), Ok(800_000_000));
        assert_eq!(size("123"), Ok(123));
        assert!(size("much").is_err() && size("0").is_err());
    }
}
