//! The gradient of one weight matrix: a product over tokens, whose output rows threads divide.

use crate::parallel::Threads;
use crate::phases::Clock;
use std::ops::Range;
use unrolled_kernels::Isa;
use unrolled_kernels::pack::Slots;
use unrolled_kernels::pairs::Pairs;
use unrolled_kernels::weight_gradient::{ROWS, WeightGradient};

/// Returns how many rows of a matrix one thread takes at a time: few of a small matrix, so that all
/// threads end at nearly the same time; more of a large one, because each piece reads all inputs
/// again. A piece has at least 32 rows, or 16 if that gives each thread less than two pieces.
fn share(rows: usize, threads: usize) -> usize {
    let fewest = if rows / 32 < 2 * threads { 16 } else { 32 };
    match threads {
        1 => ROWS,
        count => (rows / (8 * count)).clamp(fewest, ROWS),
    }
}

/// Some rows of a weight gradient.
pub(crate) struct MatrixGradient<'a> {
    pub(crate) pairs: &'a dyn Pairs,
    pub(crate) slots: &'a Slots,
    /// Number of columns.
    pub(crate) depth: usize,
    pub(crate) rows: Range<usize>,
    /// True if the sums continue from the values in the gradient.
    pub(crate) continues: bool,
    /// The clock of its phase.
    pub(crate) clock: Clock<'a>,
}

impl MatrixGradient<'_> {
    /// Writes the rows of the gradient, and of the bias gradient unless that is empty.
    pub(crate) fn run(self, isa: Isa, gradient: (&mut [f32], &mut [f32]), threads: &Threads) {
        let share = share(self.rows.len(), threads.at_work());
        self.divide(isa, gradient, share, threads);
    }

    fn divide(self, isa: Isa, (weight, bias): (&mut [f32], &mut [f32]), share: usize, threads: &Threads) {
        let Self { pairs, slots, depth, rows, continues, clock } = self;
        let pieces = rows.len().div_ceil(share);
        if pieces <= 1 {
            let _clock = clock.start();
            return WeightGradient { pairs, slots, depth, rows, continues, weight, bias }.run_on(isa);
        }
        let half = (rows.len() * pieces.div_ceil(2) / pieces).next_multiple_of(16);
        let (first, second) = weight.split_at_mut(half * depth);
        let (first_bias, second_bias) = bias.split_at_mut(half.min(bias.len()));
        let part = |rows| MatrixGradient { pairs, slots, depth, rows, continues, clock };
        threads.join(
            || part(rows.start..rows.start + half).divide(isa, (first, first_bias), share, threads),
            || part(rows.start + half..rows.end).divide(isa, (second, second_bias), share, threads),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_threads_take_few_rows_of_a_small_matrix_at_a_time() {
        assert_eq!([1, 2, 3, 16].map(|threads| share(400, threads)), [ROWS, 32, 32, 16]);
        assert_eq!([2, 16].map(|threads| share(2048, threads)), [128, 32]);
        assert_eq!([2, 16].map(|threads| share(12_000, threads)), [ROWS, 93]);
    }
}
