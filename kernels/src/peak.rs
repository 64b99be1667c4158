//! What the processor can do at most: the yardstick of benchmarks.
//!
//! ```text
//! acc[i] = acc[i] a + b      for enough independent i that every unit is busy in every cycle
//! sum    = sum of values     for the speed at which they can be read
//! ```
//!
//! 1. Twelve chains of fused multiply-adds cover the latency of two units with up to six cycles each, and leave registers
//!    for both operands on AVX2. The portable leaf, whose vectors take two registers each, has six.
//! 2. With a = 0.5 and b = 1 every chain tends to 2: the answer shows that the work was done, and is never subnormal.

use crate::dispatch::Isa;
use crate::simd::{Kernel, Simd, tree16};

/// Operations of one round of a chain's vector: a product and a sum in each lane.
const OPERATIONS: u64 = 2;

/// Multiply-adds that were done.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MultiplyAdds {
    /// Floating-point operations, two for each multiply-add and lane.
    pub operations: u64,
    /// The mean of all lanes of all chains: 2 after some 25 rounds.
    pub mean: f32,
}

/// Runs `rounds` rounds of independent multiply-adds in registers alone.
///
/// ```
/// let done = unrolled_kernels::peak::multiply_add(unrolled_kernels::Isa::PORTABLE, 100);
/// assert_eq!(done.mean, 2.0);
/// ```
pub fn multiply_add(isa: Isa, rounds: u64) -> MultiplyAdds {
    isa.run(MultiplyAdd { rounds, a: core::hint::black_box(0.5), b: core::hint::black_box(1.0) })
}

/// The sum of `values`, each read once with many loads under way. Which way is fastest depends on the processor and on the
/// cache that holds the values.
pub fn read(isa: Isa, values: &[f32], way: Way) -> f32 {
    isa.run(Read { values, way })
}

/// The order in which values are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From the first to the last.
    Forward,
    /// From the last to the first. In turn with `Forward`, it begins with what the nearest cache still holds.
    Backward,
    /// Both halves at the same time.
    Halves,
    /// Four quarters at the same time.
    Quarters,
}

struct MultiplyAdd {
    rounds: u64,
    a: f32,
    b: f32,
}

impl Kernel for MultiplyAdd {
    type Output = MultiplyAdds;
    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> MultiplyAdds {
        if S::PORTABLE { self.chains::<S, 6>(s) } else { self.chains::<S, 12>(s) }
    }
}

impl MultiplyAdd {
    #[inline(always)]
    fn chains<S: Simd, const N: usize>(&self, s: S) -> MultiplyAdds {
        let (a, b) = (s.splat(self.a), s.splat(self.b));
        let mut sums = [s.splat(0.0); N];
        for _ in 0..self.rounds {
            for sum in &mut sums {
                *sum = s.fma(*sum, a, b);
            }
        }
        let total = add_up(s, sums);
        let lanes = (N * S::LANES) as u64;
        MultiplyAdds { operations: OPERATIONS * lanes * self.rounds, mean: total / lanes as f32 }
    }
}

struct Read<'a> {
    values: &'a [f32],
    way: Way,
}

impl Kernel for Read<'_> {
    type Output = f32;
    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> f32 {
        match self.way {
            Way::Forward | Way::Backward => self.in_parts::<S, 1, 8>(s),
            Way::Halves => self.in_parts::<S, 2, 4>(s),
            Way::Quarters => self.in_parts::<S, 4, 2>(s),
        }
    }
}

impl Read<'_> {
    /// `PARTS` equal parts side by side, of each `VECTORS` vectors at a time: eight running sums in all.
    #[inline(always)]
    fn in_parts<S: Simd, const PARTS: usize, const VECTORS: usize>(&self, s: S) -> f32 {
        let Self { values, way } = *self;
        let (mut sums, piece) = ([[s.splat(0.0); VECTORS]; PARTS], VECTORS * S::LANES);
        let pieces = values.len() / (PARTS * piece);
        let part = pieces * piece;
        for number in 0..pieces {
            let first = piece * if way == Way::Backward { pieces - 1 - number } else { number };
            for (p, sums) in sums.iter_mut().enumerate() {
                for (i, sum) in sums.iter_mut().enumerate() {
                    // SAFETY: `PARTS` parts of `pieces` pieces of `VECTORS` vectors lie within the values.
                    let vector = unsafe { s.load(values.as_ptr().add(p * part + first + i * S::LANES)) };
                    *sum = s.add(*sum, vector);
                }
            }
        }
        let vectors = values[PARTS * part..].chunks_exact(S::LANES);
        let rest: f32 = vectors.remainder().iter().sum();
        for vector in vectors {
            // SAFETY: a chunk is a vector.
            sums[0][0] = s.add(sums[0][0], unsafe { s.load(vector.as_ptr()) });
        }
        sums.into_iter().map(|sums| add_up(s, sums)).sum::<f32>() + rest
    }
}

/// The sum of all lanes of some vectors.
#[inline(always)]
fn add_up<S: Simd, const N: usize>(s: S, sums: [S::F; N]) -> f32 {
    let mut total = s.splat(0.0);
    for sum in sums {
        total = s.add(total, sum);
    }
    // Of the sixteen virtual lanes, a leaf of eight fills the first half.
    tree16(s, [total, s.splat(0.0)], |a, b| a + b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chains_are_counted_and_converge() {
        for isa in Isa::all() {
            let lanes = (isa.lanes() * if isa == Isa::PORTABLE { 6 } else { 12 }) as u64;
            assert_eq!(multiply_add(isa, 0), MultiplyAdds { operations: 0, mean: 0.0 });
            assert_eq!(
                multiply_add(isa, 1),
                MultiplyAdds { operations: 2 * lanes, mean: 1.0 },
                "{}",
                isa.name()
            );
            assert_eq!(multiply_add(isa, 2).mean, 1.5, "{}", isa.name());
            assert_eq!(multiply_add(isa, 1000), MultiplyAdds { operations: 2000 * lanes, mean: 2.0 });
        }
    }

    #[test]
    fn every_value_is_read() {
        let values: Vec<f32> = (0..1000u16).map(f32::from).collect();
        for isa in Isa::all() {
            for length in [0usize, 1, 15, 16, 63, 64, 127, 128, 129, 200, 256, 1000] {
                let expected = (length * length.saturating_sub(1) / 2) as f32;
                for way in [Way::Forward, Way::Backward, Way::Halves, Way::Quarters] {
                    let found = read(isa, &values[..length], way);
                    assert_eq!(found, expected, "{length}, {way:?}, on {}", isa.name());
                }
            }
        }
    }
}
