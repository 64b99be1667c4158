//! exp, sigmoid and tanh of whole slices, as the gates compute them. The errors are those stated in
//! `math`: within 1.2 ULP for exp, and 2.6 ULP for the others.

use crate::isa::Isa;
use crate::math::{exp, sigmoid, tanh};
use crate::simd::{Kernel, Simd};

/// A function of one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Function {
    /// e^x, for x clamped to [-87, 88].
    Exp,
    /// 1 / (1 + e^-x)
    Sigmoid,
    /// (e^x - e^-x) / (e^x + e^-x)
    Tanh,
}

/// Replaces each value by the function of it.
///
/// ```
/// use unrolled_kernels::{Isa, activation::{Activate, Function}};
///
/// let mut values = [0.0, -0.0, 100.0];
/// Activate { function: Function::Sigmoid, values: &mut values }.run_on(Isa::PORTABLE);
/// assert_eq!(values, [0.5, 0.5, 1.0]);
/// ```
#[derive(Debug)]
pub struct Activate<'a> {
    /// The function.
    pub function: Function,
    /// Any number of values.
    pub values: &'a mut [f32],
}

impl Activate<'_> {
    /// Computes all values.
    pub fn run_on(self, isa: Isa) {
        isa.run(self);
    }
}

impl Kernel for Activate<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        match self.function {
            Function::Exp => each::<S, EXP>(s, self.values),
            Function::Sigmoid => each::<S, SIGMOID>(s, self.values),
            Function::Tanh => each::<S, TANH>(s, self.values),
        }
    }
}

const EXP: u8 = 0;
const SIGMOID: u8 = 1;
const TANH: u8 = 2;

/// The loop, compiled once for each function.
#[inline(always)]
fn each<S: Simd, const FUNCTION: u8>(s: S, values: &mut [f32]) {
    for at in (0..values.len()).step_by(S::LANES) {
        let count = (values.len() - at).min(S::LANES);
        // SAFETY: `count` floats remain from `at` on.
        unsafe {
            let place = values.as_mut_ptr().add(at);
            let x = s.load_up_to(place, count, 0.0);
            let y = match FUNCTION {
                EXP => exp(s, x),
                SIGMOID => sigmoid(s, x),
                _ => tanh(s, x),
            };
            s.store_up_to(place, count, y);
        }
    }
}
