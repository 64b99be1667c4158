//! Where the deltas and inputs of a chunk of a weight gradient lie, checked once for all tiles that read them.

use crate::gemm::{CHUNK, Pairs, ROWS, Run, runs};
use crate::simd::Simd;
use core::mem::MaybeUninit;
use core::ops::Range;

/// A run of m: where its deltas and inputs lie.
#[derive(Clone, Copy)]
pub(crate) struct Strip {
    pub(crate) deltas: *const f32,
    pub(crate) inputs: *const f32,
    pub(crate) run: Run,
}

impl Strip {
    pub(crate) const EMPTY: Self = Self {
        deltas: core::ptr::null(),
        inputs: core::ptr::null(),
        run: Run { rows: 0, delta_stride: 0, input_stride: 0 },
    };
}

/// Finds the runs of a chunk and checks once that they hold `stored` deltas and `inputs` inputs for each m.
#[inline(always)]
pub(crate) fn look_up(
    pairs: &dyn Pairs,
    chunk: Range<usize>,
    stored: usize,
    inputs: usize,
    strips: &mut [Strip; CHUNK],
) -> usize {
    let mut count = 0;
    for (m, run) in runs(pairs, chunk) {
        let (delta, input) = (pairs.delta(m), pairs.input(m));
        let holds = |values: &[f32], stride: usize, width: usize| {
            let reach = (run.rows - 1).checked_mul(stride).and_then(|n| n.checked_add(width));
            reach.is_some_and(|reach| reach <= values.len())
        };
        assert!(holds(delta, run.delta_stride, stored), "deltas of {run:?} in {} floats", delta.len());
        assert!(holds(input, run.input_stride, inputs), "inputs of {run:?} in {} floats", input.len());
        strips[count] = Strip { deltas: delta.as_ptr(), inputs: input.as_ptr(), run };
        count += 1;
    }
    count
}

/// Room for the deltas of a chunk, side by side: `[m][groups][16]`. It is large and never moves.
#[repr(align(64))]
pub(crate) struct Gathered([f32; CHUNK * ROWS]);

impl Gathered {
    /// Takes the deltas of the groups at `places`, to which the strips then lead.
    #[inline(always)]
    pub(crate) fn take<S: Simd>(room: &mut MaybeUninit<Self>, s: S, strips: &mut [Strip], places: &[usize]) {
        // SAFETY: a place within `room`, of which nothing is read.
        let mut to = unsafe { &raw mut (*room.as_mut_ptr()).0 }.cast::<f32>();
        let stride = places.len() * 16;
        for strip in strips {
            let begin = to;
            for i in 0..strip.run.rows {
                for vector in (0..stride).step_by(S::LANES) {
                    let place = places[vector / 16] / 16 * 16 + vector % 16;
                    // SAFETY: `look_up` has checked the strips, whose stored rows are whole blocks of sixteen; there are at
                    // most CHUNK rows and GROUPS places.
                    unsafe {
                        s.store(to.add(vector), s.load(strip.deltas.add(i * strip.run.delta_stride + place)))
                    };
                }
                to = to.wrapping_add(stride);
            }
            (strip.deltas, strip.run.delta_stride) = (begin, stride);
        }
    }
}
