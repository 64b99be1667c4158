//! The peak rates of the processor, as a reference for benchmarks.
//!
//! ```text
//! acc[i] = acc[i] a + b      with enough independent i to keep every unit busy in every cycle
//! sum    = sum of values     to measure how fast they can be read
//! ```
//!
//! 1. Twelve chains of fused multiply-adds cover the latency of two units with up to six cycles
//!    each, and leave registers for both operands on AVX2. The vectors of the portable backend take
//!    two registers each, so it has six chains.
//! 2. With a = 0.5 and b = 1 every chain tends to 2. The result shows that the work was done, and
//!    is never denormal.

use crate::isa::Isa;
use crate::simd::{Kernel, Simd, tree16};

/// Operations per lane in one round of a chain: a product and a sum.
const OPERATIONS: u64 = 2;

/// The multiply-adds that were done.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MultiplyAdds {
    /// Number of floating-point operations, two for each multiply-add and lane.
    pub operations: u64,
    /// The mean of all lanes of all chains: 2 after about 25 rounds.
    pub mean: f32,
}

/// Runs `rounds` rounds of independent multiply-adds, in registers only.
///
/// ```
/// let done = unrolled_kernels::peak::multiply_add(unrolled_kernels::Isa::PORTABLE, 100);
/// assert_eq!(done.mean, 2.0);
/// ```
pub fn multiply_add(isa: Isa, rounds: u64) -> MultiplyAdds {
    isa.run(MultiplyAdd { rounds, a: core::hint::black_box(0.5), b: core::hint::black_box(1.0) })
}

/// Returns the sum of `values`. Each is read once, with many loads in flight. The fastest way
/// depends on the processor and on the cache that holds the values.
pub fn read(isa: Isa, values: &[f32], way: Way) -> f32 {
    isa.run(Read { values, way })
}

/// The order in which values are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From the first to the last.
    Forward,
    /// From the last to the first. In turn with `Forward`, it starts with the values that the
    /// nearest cache still holds.
    Backward,
    /// Both halves at the same time.
    Halves,
    /// Four quarters at the same time.
    Quarters,
}

/// The kernel of [`multiply_add`].
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
        let total = sum_all(s, sums);
        let lanes = (N * S::LANES) as u64;
        MultiplyAdds { operations: OPERATIONS * lanes * self.rounds, mean: total / lanes as f32 }
    }
}

/// The kernel of [`read`].
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
    /// Reads `PARTS` equal parts side by side, `VECTORS` vectors of each at a time: eight running
    /// sums in all.
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
                    // SAFETY: the values hold `PARTS` parts of `pieces` pieces of `VECTORS`
                    // vectors.
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
        sums.into_iter().map(|sums| sum_all(s, sums)).sum::<f32>() + rest
    }
}

/// Returns the sum of all lanes of some vectors.
#[inline(always)]
fn sum_all<S: Simd, const N: usize>(s: S, sums: [S::F; N]) -> f32 {
    let mut total = s.splat(0.0);
    for sum in sums {
        total = s.add(total, sum);
    }
    // A backend of eight lanes fills the first half of the sixteen virtual lanes.
    tree16(s, [total, s.splat(0.0)], |a, b| a + b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chains_are_counted_and_converge_to_two() {
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
    fn every_value_is_read_once() {
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
