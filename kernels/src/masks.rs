//! Masks: the product of two slices, element by element.

use crate::isa::Isa;
use crate::simd::{Kernel, Simd};

/// Computes out = a * b, element by element: dropout and its gradient.
///
/// # Panics
/// If the slices differ in length.
pub fn multiply(isa: Isa, a: &[f32], b: &[f32], out: &mut [f32]) {
    struct Multiply<'a>(&'a [f32], &'a [f32], &'a mut [f32]);
    impl Kernel for Multiply<'_> {
        type Output = ();
        #[inline(always)]
        fn run<S: Simd>(self, _: S) {
            for ((a, b), out) in self.0.iter().zip(self.1).zip(self.2) {
                *out = a * b;
            }
        }
    }
    let expected = a.len();
    for (name, found) in [("b", b.len()), ("out", out.len())] {
        assert!(found == expected, "{name} has length {found}, expected {expected}, that of a");
    }
    isa.run(Multiply(a, b, out));
}
