//! The width of the token ids in a file.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Number of bits of a token id in a file, in little-endian order. In configuration files it is a
/// number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub enum IdWidth {
    /// 16 bits, as in nanoGPT's `.bin` files: up to 65,536 ids.
    #[default]
    Bits16,
    /// 32 bits.
    Bits32,
}

impl IdWidth {
    /// Returns the number of bits.
    pub fn bits(self) -> usize {
        match self {
            Self::Bits16 => 16,
            Self::Bits32 => 32,
        }
    }

    /// Returns the number of bytes.
    pub fn bytes(self) -> usize {
        self.bits() / 8
    }
}

impl TryFrom<u64> for IdWidth {
    type Error = String;

    fn try_from(bits: u64) -> Result<Self, String> {
        match bits {
            16 => Ok(Self::Bits16),
            32 => Ok(Self::Bits32),
            _ => Err(format!("found {bits}, expected 16 or 32 bits")),
        }
    }
}

impl From<IdWidth> for u64 {
    fn from(width: IdWidth) -> Self {
        width.bits() as u64
    }
}

impl fmt::Display for IdWidth {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.bits())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_are_numbers_in_files() {
        for (width, text) in [(IdWidth::Bits16, "16"), (IdWidth::Bits32, "32")] {
            assert_eq!(serde_json::to_string(&width).unwrap(), text);
            assert_eq!(serde_json::from_str::<IdWidth>(text).unwrap(), width);
        }
        let message = serde_json::from_str::<IdWidth>("8").unwrap_err().to_string();
        assert!(message.starts_with("found 8, expected 16 or 32 bits"), "{message}");
    }
}
