//! Adds up the gradients of the windows of a step, in the order of the tree of `sum_tree.rs`.

use super::sum_tree::SumTree;
use crate::Exchange;
use crate::parallel::Threads;
use crate::phases::{Phase, Phases, Section};
use std::mem::{swap, take};

/// The fewest and the most gradient elements that one thread sums at a time.
const FEWEST: usize = 1 << 11;
const MOST: usize = 1 << 13;

/// The sums of a step, all of the layout of the parameters. The last one is in the gradient buffer
/// of the caller.
#[derive(Clone, Debug)]
pub(super) struct GradientSums {
    tree: SumTree,
    exchange: Exchange,
    /// The complete sums that wait for their right operand, in the order of the tree.
    waiting: Vec<Vec<f32>>,
    /// Unused buffers.
    free: Vec<Vec<f32>>,
}

impl GradientSums {
    pub(super) fn new(windows: usize, exchange: Exchange) -> Self {
        let tree = SumTree::new(windows as u64);
        Self { tree, exchange, waiting: Vec::new(), free: Vec::new() }
    }

    /// Forgets the sums of the last step.
    pub(super) fn clear(&mut self) {
        self.tree.clear();
        self.free.append(&mut self.waiting);
    }

    pub(super) fn tree(&self) -> &SumTree {
        &self.tree
    }

    /// The sums that wait.
    pub(super) fn waiting(&self) -> &[Vec<f32>] {
        &self.waiting
    }

    /// Adds the gradient of the next window. The last sum is then in `gradient`.
    pub(super) fn add(&mut self, window: u64, gradient: &mut [f32], workers: (&Threads, &Phases)) {
        let additions = self.note(window);
        self.add_range(additions, (0, gradient), workers);
        self.finish(additions);
    }

    /// Takes note of the next window, whose gradient `add_range` adds part by part. Returns the
    /// number of additions.
    pub(super) fn note(&mut self, window: u64) -> usize {
        self.tree.add(window)
    }

    /// Adds a part of the last window's gradient, which starts at `first` in the whole.
    pub(super) fn add_range(
        &self,
        additions: usize,
        (first, gradient): (usize, &mut [f32]),
        (threads, phases): (&Threads, &Phases),
    ) {
        let rounds = self.exchange == Exchange::Bf16 && !(self.tree.is_whole() && additions == 0);
        if additions == 0 && !rounds {
            return;
        }
        let is_whole = self.tree.is_whole();
        let _section = phases.section(Section::Norm, threads.at_work());
        let share = threads.share(gradient.len(), FEWEST, MOST);
        threads.chunks(gradient, share, &|i, sums| {
            let _clock = phases.time(Phase::Norm);
            let places = first + i * share..first + i * share + sums.len();
            if rounds {
                round(sums);
            }
            for (done, left) in self.waiting.iter().rev().take(additions).enumerate() {
                add(sums, &left[places.clone()]);
                if rounds && !(is_whole && done + 1 == additions) {
                    round(sums);
                }
            }
        });
    }

    /// Frees the sums that were added to the last window.
    pub(super) fn finish(&mut self, additions: usize) {
        let left = self.waiting.len() - additions;
        self.free.extend(self.waiting.drain(left..));
    }

    /// Makes the sum in `gradient` wait, and gives `gradient` another buffer.
    pub(super) fn keep(&mut self, gradient: &mut Vec<f32>) {
        let mut buffer = self.free.pop().unwrap_or_else(|| vec![0.0; gradient.len()]);
        swap(&mut buffer, gradient);
        self.waiting.push(buffer);
    }
}

/// Adds up the sums of one part of the parameters from several processes, in the order of windows.
#[derive(Debug)]
pub(super) struct ReceivedSums {
    tree: SumTree,
    exchange: Exchange,
    waiting: Vec<Vec<f32>>,
}

impl ReceivedSums {
    pub(super) fn new(windows: usize, exchange: Exchange) -> Self {
        Self { tree: SumTree::new(windows as u64), exchange, waiting: Vec::new() }
    }

    /// Adds the sums of the next process, whose windows follow: one of `values` for each of its
    /// complete nodes.
    pub(super) fn add(&mut self, tree: &SumTree, values: impl Iterator<Item = Vec<f32>>) {
        let rounds = self.exchange == Exchange::Bf16;
        let additions = self.tree.add_all(tree);
        let last = additions.len();
        for (i, (additions, mut sum)) in additions.into_iter().zip(values).enumerate() {
            for done in 0..additions {
                add(&mut sum, &self.waiting.pop().unwrap_or_default());
                let is_whole = self.tree.is_whole() && (i + 1, done + 1) == (last, additions);
                if rounds && !is_whole {
                    round(&mut sum);
                }
            }
            self.waiting.push(sum);
        }
    }

    /// Returns the sum over all windows.
    pub(super) fn whole(mut self) -> Vec<f32> {
        take(&mut self.waiting[0])
    }
}

/// `left + right`, where `sums` has the right operands.
fn add(sums: &mut [f32], left: &[f32]) {
    sums.iter_mut().zip(left).for_each(|(sum, left)| *sum += left);
}

fn round(values: &mut [f32]) {
    values.iter_mut().for_each(|value| *value = f32::from_bits(rounded(*value) & 0xffff_0000));
}

/// Returns the nearest bfloat16; of two, the even one. A number that is not finite stays so.
pub(super) fn narrowed(value: f32) -> u16 {
    (rounded(value) >> 16) as u16
}

/// Returns bits whose upper half is the nearest bfloat16.
fn rounded(value: f32) -> u32 {
    let bits = value.to_bits();
    let rounded = bits.wrapping_add(0x7fff + (bits >> 16 & 1));
    if value.is_nan() { bits | 0x40_0000 } else { rounded }
}

/// The f32 of a bfloat16.
pub(super) fn widened(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

/// Copies the parameters to `before`, if their changes are to be rounded.
pub(super) fn remember(before: &mut Vec<f32>, parameters: &[f32], exchange: Exchange) {
    before.clear();
    if exchange == Exchange::Bf16 {
        before.extend_from_slice(parameters);
    }
}

/// Rounds the change of each parameter from `before`.
pub(super) fn round_changes(parameters: &mut [f32], before: &[f32]) {
    for (value, before) in parameters.iter_mut().zip(before) {
        *value = before + widened(narrowed(*value - before));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ops::Range;

    #[test]
    fn bf16_rounds_to_the_nearest_and_to_even() {
        let cases = [
            (1.0, 1.0),
            (1.0 + 1.0 / 256.0, 1.0),
            (1.003_906_4, 1.007_812_5),
            (1.0 + 3.0 / 256.0, 1.015_625),
            (-1.003_906_4, -1.007_812_5),
            (f32::MAX, f32::INFINITY),
            (f32::NEG_INFINITY, f32::NEG_INFINITY),
            (0.0, 0.0),
        ];
        for (value, expected) in cases {
            assert_eq!(widened(narrowed(value)).to_bits(), f32::to_bits(expected), "{value}");
        }
        for bits in [0x7f80_0001, 0x7fff_ffff, 0xffff_ffff, 0xff80_0001] {
            assert!(widened(narrowed(f32::from_bits(bits))).is_nan(), "{bits:#x}");
        }
        for bits in (0..=u16::MAX).filter(|bits| !widened(*bits).is_nan()) {
            assert_eq!(narrowed(widened(bits)), bits);
        }
    }

    /// Windows added by one process and by several give the same bits.
    #[test]
    fn sums_do_not_depend_on_the_division() {
        let value = |window: usize, i: usize| ((window * 7919 + i * 104_729) % 1009) as f32 / 37.0 - 9.0;
        let (threads, phases) = (Threads::CALLING, Phases::OFF);
        for exchange in [Exchange::F32, Exchange::Bf16] {
            for (windows, ranks) in [(1, 1), (2, 2), (3, 2), (5, 3), (7, 4), (8, 3), (8, 8), (13, 5)] {
                let sums_of = |range: Range<usize>| {
                    let mut sums = GradientSums::new(windows, exchange);
                    let mut gradient = vec![0.0; 9];
                    for window in range.clone() {
                        (0..9).for_each(|i| gradient[i] = value(window, i));
                        sums.add(window as u64, &mut gradient, (threads, &phases));
                        sums.keep(&mut gradient);
                    }
                    sums
                };
                let whole = sums_of(0..windows);
                let mut received = ReceivedSums::new(windows, exchange);
                for rank in 0..ranks {
                    let part = sums_of(windows * rank / ranks..windows * (rank + 1) / ranks);
                    received.add(part.tree(), part.waiting().iter().cloned());
                }
                assert_eq!(
                    received.whole(),
                    whole.waiting()[0],
                    "{exchange:?}, {windows} windows, {ranks} ranks"
                );
            }
        }
    }
}
