//! Normalization over the units of a row.
//!
//! ```text
//! hat = (a - mean) / sqrt(variance + 1e-12)        N(a) = weight hat + bias
//! ```

use super::row_layout::RowLayout;
use crate::simd::Simd;

/// Added to the variance under the root, as in TensorFlow.
const EPSILON: f32 = 1e-12;

/// Sums an expression of `unit` and `lanes` over sixteen virtual lanes.
macro_rules! sum_units {
    ($s:ident, $S:ty, $row:expr, |$unit:ident, $lanes:ident| $value:expr) => {{
        let mut lanes = [$s.splat(0.0); 2];
        for $unit in (0..$row.hidden).step_by(<$S>::LANES) {
            let $lanes = $row.lanes::<$S>($unit);
            let half = $unit % 16 / <$S>::LANES;
            lanes[half] = $s.add(lanes[half], $value);
        }
        $s.sum_lanes(lanes)
    }};
}
pub(super) use sum_units;

/// The H values that are normalized together.
#[derive(Clone, Copy)]
pub(super) struct NormValues {
    pub(super) base: *mut f32,
    pub(super) row: RowLayout,
    /// True if the values are stored like a gate, block by block.
    pub(super) interleaved: bool,
}

impl NormValues {
    #[inline(always)]
    pub(super) fn at(&self, unit: usize) -> *mut f32 {
        self.base.wrapping_add(if self.interleaved { self.row.gate(unit) } else { unit })
    }
}

/// The weights of one norm, and the values that it keeps: the normalized values and 1 / deviation.
#[derive(Clone, Copy)]
pub(super) struct Norm {
    pub(super) weight: *const f32,
    pub(super) bias: *const f32,
    pub(super) hat: *mut f32,
    pub(super) scale: *mut f32,
}

/// Normalizes values in place, and keeps the values that the backward step needs.
///
/// # Safety
/// The places are those of a row.
#[inline(always)]
pub(super) unsafe fn normalize<S: Simd>(s: S, values: NormValues, norm: Norm) {
    let row = values.row;
    let count = 1.0 / row.hidden as f32;
    // SAFETY: the caller vouches for the places.
    unsafe {
        let mean = count * sum_units!(s, S, row, |unit, lanes| s.load_up_to(values.at(unit), lanes, 0.0));
        let middle = s.splat(mean);
        let variance = count
            * sum_units!(s, S, row, |unit, lanes| {
                let away = s.sub(s.load_up_to(values.at(unit), lanes, mean), middle);
                s.mul(away, away)
            });
        let mut scale = [0.0; 16];
        s.store(scale.as_mut_ptr(), s.div(s.splat(1.0), s.sqrt(s.splat(variance + EPSILON))));
        *norm.scale = scale[0];
        let scale = s.splat(scale[0]);
        for unit in (0..row.vector).step_by(S::LANES) {
            // Behind the last unit the weights are zero, and the values stay zero.
            let hat = s.mul(s.sub(s.load(values.at(unit)), middle), scale);
            s.store(norm.hat.add(unit), hat);
            s.store(values.at(unit), s.fma(s.load(norm.weight.add(unit)), hat, s.load(norm.bias.add(unit))));
        }
    }
}
