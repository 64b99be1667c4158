//! Rounding and multiply-adds of pairs on every backend, compared with scalar code, on words of all
//! kinds: ties, denormal numbers, infinities, NaN, and results next to the smallest normal number.

use super::{pair, round};
use crate::isa::Isa;
use crate::reference::flushed_fma;
use crate::simd::{Kernel, Simd};

/// Vectors of sixteen values.
const ROUNDS: usize = 20_000;

/// Random bits.
struct Bits(u64);

impl Bits {
    fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        (self.0 >> 32) as u32
    }

    /// Returns a value of any kind.
    fn value(&mut self) -> f32 {
        let bits = self.next();
        f32::from_bits(match self.next() % 8 {
            // Between two bf16 numbers, or next to the middle of them.
            0 => bits & 0xffff_0000 | (0x7fff + self.next() % 3),
            // Denormal, or just normal.
            1 => bits & 0x81ff_ffff,
            // Very large, infinity or NaN.
            2 => bits | 0x7f00_0000,
            3 => {
                bits & 0x8000_0000
                    | [0, 1, 0x7f80_0000, 0x7f80_0001, 0x007f_ffff, 0x0080_0000][bits as usize % 6]
            }
            // Not far from one.
            4 | 5 => bits & 0x83ff_ffff | 0x3c00_0000,
            _ => bits,
        })
    }

    /// Returns a pair and another one, and a sum. Often the results are next to the smallest normal
    /// number.
    fn product(&mut self) -> [f32; 3] {
        if self.next().is_multiple_of(2) {
            return [pair(self.value(), self.value()), pair(self.value(), self.value()), self.value()];
        }
        let [a, b] = [(); 2].map(|()| pair(self.sized(-70..-50), self.sized(-70..-50)));
        [a, b, self.sized(-127..-120)]
    }

    /// Returns a value of about 2^n, often with few significant bits.
    fn sized(&mut self, n: core::ops::Range<i32>) -> f32 {
        let exponent = (n.start + self.next() as i32 % (n.end - n.start)).clamp(-126, 127);
        let mantissa = self.next() & [0x7f_ffff, 0, 0x40_0000, 1][self.next() as usize % 4];
        f32::from_bits(self.next() & 0x8000_0000 | ((exponent + 127) as u32) << 23 | mantissa)
    }
}

/// Returns the bits; all NaN are one.
fn bits(value: f32) -> u32 {
    if value.is_nan() { f32::NAN.to_bits() } else { value.to_bits() }
}

/// Returns the instruction sets, with products of pairs.
fn isas() -> impl Iterator<Item = Isa> {
    Isa::all().map(Isa::bf16)
}

/// Rounds sixteen values in both ways: side by side, and as the low and high values of pairs.
struct Round<'a>(&'a [f32; 16]);

impl Kernel for Round<'_> {
    type Output = ([f32; 8], [f32; 16]);
    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> Self::Output {
        let (mut beside, mut pairs, reversed) = ([0.0f32; 8], [0.0f32; 16], reversed(self.0));
        for lane in (0..16).step_by(S::LANES) {
            // SAFETY: all arrays reach to the lanes, or to half of them.
            unsafe {
                let value = s.load(self.0.as_ptr().add(lane));
                s.store_pairs(beside.as_mut_ptr().add(lane / 2), value);
                s.store(pairs.as_mut_ptr().add(lane), s.pair(value, s.load(reversed.as_ptr().add(lane))));
            }
        }
        (beside, pairs)
    }
}

fn reversed(values: &[f32; 16]) -> [f32; 16] {
    core::array::from_fn(|lane| values[15 - lane])
}

/// Adds the products of sixteen pairs to sums.
struct Add<'a>(&'a [[f32; 3]; 16]);

impl Kernel for Add<'_> {
    type Output = [f32; 16];
    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> [f32; 16] {
        let [a, b, mut sums] = [0, 1, 2].map(|i| self.0.map(|product| product[i]));
        for lane in (0..16).step_by(S::LANES) {
            // SAFETY: all arrays reach to the lanes.
            unsafe {
                let [a, b, sum] = [&a, &b, &sums].map(|values| s.load(values.as_ptr().add(lane)));
                s.store(sums.as_mut_ptr().add(lane), s.multiply_add(a, b, sum));
            }
        }
        sums
    }
}

/// Returns the sum with the products of a pair: the high values first.
fn add(a: f32, b: f32, sum: f32) -> f32 {
    let [high, low] = [0xffff_0000, 0xffff].map(|half| [a, b].map(|word| word.to_bits() & half));
    let (high, low) = (high.map(f32::from_bits), low.map(|bits| f32::from_bits(bits << 16)));
    flushed_fma(low[0], low[1], flushed_fma(high[0], high[1], sum))
}

#[test]
fn values_are_rounded_to_nearest_even() {
    for (value, expected) in [
        (0x3f80_7fff, 0x3f80),
        (0x3f80_8000, 0x3f80),
        (0x3f80_8001, 0x3f81),
        (0x3f81_8000, 0x3f82),
        (0xbf81_8000, 0xbf82),
        (0x3fff_8000, 0x4000),
        (0x7f7f_7fff, 0x7f7f),
        (0x7f7f_8000, 0x7f80),
        (0xff7f_ffff, 0xff80),
        (0x7f80_0000, 0x7f80),
        (0x7f80_0001, 0x7fc0),
        (0xff81_0001, 0xffc1),
        (0x7fff_ffff, 0x7fff),
        (0x0080_0000, 0x0080),
        (0x007f_ffff, 0),
        (0x8000_0001, 0x8000),
        (0x8000_0000, 0x8000),
    ] {
        let found = round(f32::from_bits(value));
        assert_eq!(found, expected, "{value:08x} gives {found:04x}, expected {expected:04x}");
    }
}

#[test]
fn no_bf16_number_is_nearer() {
    let mut numbers = Bits(1);
    for value in (0..ROUNDS * 16).map(|_| numbers.value()).filter(|value| value.is_normal()) {
        let bits = round(value);
        let wide = |bits: u16| match f32::from_bits(u32::from(bits) << 16) {
            // The largest number rounds up to twice the largest power of two.
            infinite if infinite.is_infinite() => 2f64.powi(128).copysign(infinite.into()),
            finite => finite.into(),
        };
        let distance = |bits| (wide(bits) - f64::from(value)).abs();
        for other in [bits - 1, bits + 1].into_iter().filter(|bits| !wide(*bits).is_nan()) {
            let farther = distance(other) > distance(bits);
            let even = distance(other) == distance(bits) && bits & 1 == 0;
            assert!(farther || even, "{value:e} gives {:e}, not {:e}", wide(bits), wide(other));
        }
    }
}

#[test]
fn every_backend_rounds_as_the_scalar_code() {
    let mut numbers = Bits(2);
    for _ in 0..ROUNDS {
        let values: [f32; 16] = core::array::from_fn(|_| numbers.value());
        let beside: [u32; 8] = core::array::from_fn(|i| pair(values[2 * i], values[2 * i + 1]).to_bits());
        let other = reversed(&values);
        let pairs: [u32; 16] = core::array::from_fn(|i| pair(values[i], other[i]).to_bits());
        for isa in isas() {
            let found = isa.run_pairs(Round(&values));
            let found = (found.0.map(f32::to_bits), found.1.map(f32::to_bits));
            assert_eq!(found, (beside, pairs), "{}: {:08x?}", isa.name(), values.map(f32::to_bits));
        }
    }
}

#[test]
fn every_backend_adds_products_as_the_scalar_code() {
    let mut numbers = Bits(3);
    for _ in 0..ROUNDS {
        let products: [[f32; 3]; 16] = core::array::from_fn(|_| numbers.product());
        let expected = products.map(|[a, b, sum]| bits(add(a, b, sum)));
        // The portable backend may round a product twice.
        for isa in isas().filter(|isa| isa.name() != "portable") {
            let found = isa.run_pairs(Add(&products)).map(bits);
            for (lane, [a, b, sum]) in products.map(|product| product.map(f32::to_bits)).iter().enumerate() {
                assert!(
                    found[lane] == expected[lane],
                    "{}: {sum:08x} + {a:08x} {b:08x} gives {:08x}, expected {:08x}",
                    isa.name(),
                    found[lane],
                    expected[lane]
                );
            }
        }
    }
}

/// The instruction that rounds, where the processor has it.
#[cfg(target_arch = "x86_64")]
#[test]
fn the_instruction_for_rounding_gives_the_bits_of_the_scalar_code() {
    use core::arch::x86_64::{_mm512_cvtneps_pbh, _mm512_loadu_ps};

    #[target_feature(enable = "avx512bf16,avx512f")]
    fn rounded(values: &[f32; 16]) -> [u16; 16] {
        // SAFETY: the array has sixteen values, and both types of the result have 32 bytes.
        unsafe { core::mem::transmute(_mm512_cvtneps_pbh(_mm512_loadu_ps(values.as_ptr()))) }
    }

    if Isa::avx512_bf16().is_none() {
        return;
    }
    let mut numbers = Bits(4);
    for _ in 0..ROUNDS {
        let values: [f32; 16] = core::array::from_fn(|_| numbers.value());
        // SAFETY: the processor has the instruction.
        let found = unsafe { rounded(&values) };
        assert_eq!(found, values.map(round), "{:08x?}", values.map(f32::to_bits));
    }
}
