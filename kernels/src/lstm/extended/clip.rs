//! The clip of a projection, and its gradient.

use crate::isa::Isa;
use crate::simd::{Kernel, Simd};

/// Clips values to [-limit, limit].
pub fn clip(isa: Isa, values: &mut [f32], limit: f32) {
    struct Clip<'a>(&'a mut [f32], f32);
    impl Kernel for Clip<'_> {
        type Output = ();
        #[inline(always)]
        fn run<S: Simd>(self, _: S) {
            self.0.iter_mut().for_each(|value| *value = value.clamp(-self.1, self.1));
        }
    }
    isa.run(Clip(values, limit));
}

/// Sets the gradients of values at the limit to zero.
///
/// # Panics
/// If the slices differ in length.
pub fn clip_backward(isa: Isa, values: &[f32], limit: f32, gradients: &mut [f32]) {
    struct ClipBackward<'a>(&'a [f32], f32, &'a mut [f32]);
    impl Kernel for ClipBackward<'_> {
        type Output = ();
        #[inline(always)]
        fn run<S: Simd>(self, _: S) {
            for (value, gradient) in self.0.iter().zip(self.2) {
                *gradient = if value.abs() < self.1 { *gradient } else { 0.0 };
            }
        }
    }
    let (found, expected) = (gradients.len(), values.len());
    assert!(found == expected, "gradients has length {found}, expected {expected}, that of values");
    isa.run(ClipBackward(values, limit, gradients));
}
