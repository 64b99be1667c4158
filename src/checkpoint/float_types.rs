//! Converts numbers of other types to f32, if f32 represents them exactly.

use super::tensor_info::TensorType;

/// Returns the values of a tensor as f32, or a description of what it holds: F32 unchanged, F16 and
/// BF16 widened, F64 if no value changes.
pub(crate) fn as_f32(dtype: &TensorType, data: &[u8]) -> Result<Vec<f32>, String> {
    match dtype {
        TensorType::F32 => Ok(data.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()),
        TensorType::F16 => {
            Ok(data.as_chunks().0.iter().map(|bytes| f16(u16::from_le_bytes(*bytes))).collect())
        }
        TensorType::BF16 => {
            Ok(data.as_chunks().0.iter().map(|bytes| bf16(u16::from_le_bytes(*bytes))).collect())
        }
        TensorType::F64 => {
            data.as_chunks().0.iter().map(|bytes| f64_as_f32(f64::from_le_bytes(*bytes))).collect()
        }
        TensorType::Other(name) => Err(name.clone()),
    }
}

/// Widens a bfloat16, which is the upper half of a float.
fn bf16(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

/// Widens an IEEE half: 1 sign bit, 5 exponent bits and 10 mantissa bits.
fn f16(bits: u16) -> f32 {
    let (sign, exponent, mantissa) = (u32::from(bits >> 15) << 31, bits >> 10 & 31, u32::from(bits & 1023));
    let magnitude = match exponent {
        // A multiple of 2^-24, exact in f32.
        0 => (mantissa as f32 / 16_777_216.0).to_bits(),
        31 => 0x7f80_0000 | mantissa << 13,
        exponent => (u32::from(exponent) + 112) << 23 | mantissa << 13,
    };
    f32::from_bits(sign | magnitude)
}

fn f64_as_f32(value: f64) -> Result<f32, String> {
    let narrow = value as f32;
    match f64::from(narrow) == value || value.is_nan() {
        true => Ok(narrow),
        false => Err(format!("F64 value {value}, which F32 would round")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The value of a half by its definition: (-1)^s 2^(e - 15) (1 + m / 1024), or 2^-14 m / 1024.
    fn defined(bits: u16) -> f64 {
        let (sign, exponent) = (if bits >> 15 == 1 { -1.0 } else { 1.0 }, i32::from(bits >> 10 & 31));
        let fraction = f64::from(bits & 1023) / 1024.0;
        match exponent {
            0 => sign * 2f64.powi(-14) * fraction,
            exponent => sign * 2f64.powi(exponent - 15) * (1.0 + fraction),
        }
    }

    #[test]
    fn every_f16_and_bf16_keeps_its_value() {
        for bits in 0..=u16::MAX {
            let (found, special) = (f16(bits), bits >> 10 & 31 == 31);
            if special {
                assert_eq!((found.is_nan(), found.is_infinite()), (bits & 1023 != 0, bits & 1023 == 0));
            } else {
                assert_eq!(f64::from(found), defined(bits), "{bits:#x}");
            }
            assert_eq!(found.is_sign_negative(), bits >> 15 == 1, "{bits:#x}");
            assert_eq!(bf16(bits).to_bits() >> 16, u32::from(bits));
        }
    }

    #[test]
    fn an_f64_is_accepted_only_if_f32_represents_it() {
        assert_eq!(f64_as_f32(0.5), Ok(0.5));
        assert_eq!(f64_as_f32(f64::from(0.1f32)), Ok(0.1));
        assert!(f64_as_f32(f64::NAN).is_ok_and(f32::is_nan) && f64_as_f32(f64::INFINITY).is_ok());
        for lost in [0.1, 1e300, 1e-300] {
            assert!(f64_as_f32(lost).is_err_and(|reason| reason.contains("F32 would round")), "{lost}");
        }
    }
}
