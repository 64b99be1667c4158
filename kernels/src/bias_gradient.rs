//! The gradient of a bias: the sum of its deltas.
//!
//! ```text
//! db[n] = sum over m of delta[m][n]        m ascending, one chain per row n of the matrix
//! ```
//!
//! Four blocks of rows are summed side by side: one sum alone would wait for its own additions.

use crate::row_group::RowGroup;
use crate::side_by_side::Strip;
use crate::simd::Simd;

/// Groups of rows that are summed side by side.
const SIDE: usize = 4;

/// Continues the sums of some groups of rows.
#[inline(always)]
pub(crate) fn add_deltas<S: Simd>(s: S, strips: &[Strip], groups: &[RowGroup], bias: &mut [f32]) {
    for groups in groups.chunks(SIDE) {
        let group = |g: usize| groups[g.min(groups.len() - 1)];
        let blocks: [usize; SIDE] = core::array::from_fn(|g| group(g).place / 16 * 16);
        let mut sums = [[0.0; 16]; SIDE];
        for (sums, RowGroup { row, place, count }) in sums.iter_mut().zip(groups) {
            sums[place % 16..][..*count].copy_from_slice(&bias[*row..][..*count]);
        }
        add_blocks(s, strips, blocks, &mut sums);
        for (sums, RowGroup { row, place, count }) in sums.iter().zip(groups) {
            bias[*row..][..*count].copy_from_slice(&sums[place % 16..][..*count]);
        }
    }
}

/// Continues the sums of some blocks of stored rows.
#[inline(always)]
fn add_blocks<S: Simd>(s: S, strips: &[Strip], blocks: [usize; SIDE], sums: &mut [[f32; 16]; SIDE]) {
    for half in (0..16).step_by(S::LANES) {
        let mut added = [s.splat(0.0); SIDE];
        // SAFETY: `look_up` has checked the strips; their stored rows are whole blocks of sixteen.
        unsafe {
            for (sum, from) in added.iter_mut().zip(&*sums) {
                *sum = s.load(from.as_ptr().add(half));
            }
            for Strip { deltas, run, .. } in strips {
                for i in 0..run.rows {
                    for (sum, block) in added.iter_mut().zip(blocks) {
                        *sum = s.add(*sum, s.load(deltas.add(i * run.delta_stride + block + half)));
                    }
                }
            }
            for (sum, to) in added.into_iter().zip(&mut *sums) {
                s.store(to.as_mut_ptr().add(half), sum);
            }
        }
    }
}
