//! The parameters that each rank owns.

use std::ops::Range;
use unrolled_kernels::update::NORM_BLOCK;

/// The buckets of the flat buffer of parameters, in the order in which their gradients are complete,
/// each with the shares of all ranks.
#[derive(Clone, Debug)]
pub(super) struct Shares {
    /// One entry for each part of the gradient; a bucket may be empty. A share is a range of the
    /// flat buffer.
    buckets: Vec<Vec<Range<usize>>>,
}

impl Shares {
    /// Divides `len` parameters among `ranks`. `starts` has the first parameter of each part of the
    /// gradient. A block belongs to the bucket of the part that completes it.
    pub(super) fn new(starts: &[usize], len: usize, ranks: usize) -> Self {
        let (mut end, mut next) = (len.div_ceil(NORM_BLOCK), 0);
        let mut bucket = |start: usize| {
            let first = start.div_ceil(NORM_BLOCK).min(end);
            let blocks = std::mem::replace(&mut end, first) - first;
            let shares = cut(first..first + blocks, ranks, &mut next);
            shares.into_iter().map(|share| in_values(share, len)).collect()
        };
        Self { buckets: starts.iter().map(|start| bucket(*start)).collect() }
    }

    /// Returns the shares of a bucket, in the order of ranks.
    pub(super) fn bucket(&self, number: usize) -> &[Range<usize>] {
        &self.buckets[number]
    }

    /// Number of buckets.
    pub(super) fn len(&self) -> usize {
        self.buckets.len()
    }

    /// Returns the share of a rank in each bucket.
    pub(super) fn of(&self, rank: usize) -> impl Iterator<Item = Range<usize>> {
        self.buckets.iter().map(move |shares| shares[rank].clone())
    }

    /// Returns the shares of all ranks, rank by rank.
    pub(super) fn all(&self) -> Vec<Range<usize>> {
        (0..self.buckets.first().map_or(0, Vec::len)).flat_map(|rank| self.of(rank)).collect()
    }

    /// Returns the number of parameters of a rank.
    pub(super) fn owned(&self, rank: usize) -> usize {
        self.of(rank).map(|share| share.len()).sum()
    }

    /// Returns the blocks of a rank, in the order of its shares.
    pub(super) fn blocks(&self, rank: usize) -> impl Iterator<Item = usize> {
        let filled = self.of(rank).filter(|share| !share.is_empty());
        filled.flat_map(|share| share.start / NORM_BLOCK..share.end.div_ceil(NORM_BLOCK))
    }
}

/// Cuts blocks into a part for each rank. The blocks that are left over go to the ranks from `next`
/// on, so that all ranks get the same number in the end, or one more.
fn cut(blocks: Range<usize>, ranks: usize, next: &mut usize) -> Vec<Range<usize>> {
    let (each, more) = (blocks.len() / ranks, blocks.len() % ranks);
    let mut start = blocks.start;
    let part = |rank: usize| {
        let extra = (rank + ranks - *next) % ranks < more;
        let first = start;
        start += each + usize::from(extra);
        first..start
    };
    let parts = (0..ranks).map(part).collect();
    *next = (*next + more) % ranks;
    parts
}

/// The parameters of a range of blocks.
fn in_values(blocks: Range<usize>, len: usize) -> Range<usize> {
    (blocks.start * NORM_BLOCK).min(len)..(blocks.end * NORM_BLOCK).min(len)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_parameter_has_one_owner_and_shares_are_equal() {
        for (starts, len) in [
            (vec![90_000, 50_000, 30_000, 0], 100_000),
            (vec![usize::MAX, 10, 0], 4096),
            (vec![16, 0], 32),
            (vec![12_288, 12_288, 4096, 0], 12_288),
        ] {
            for ranks in [1, 2, 3, 8] {
                let shares = Shares::new(&starts, len, ranks);
                let mut owners = vec![0; len];
                for bucket in (0..shares.len()).map(|number| shares.bucket(number)) {
                    bucket.iter().for_each(|share| owners[share.clone()].iter_mut().for_each(|n| *n += 1));
                }
                assert!(owners.iter().all(|owners| *owners == 1), "{starts:?}, {ranks}");
                let blocks: Vec<usize> = (0..ranks).map(|rank| shares.blocks(rank).count()).collect();
                assert_eq!(blocks.iter().sum::<usize>(), len.div_ceil(NORM_BLOCK));
                assert!(blocks.iter().max().unwrap() - blocks.iter().min().unwrap() <= 1, "{blocks:?}");
            }
        }
    }

    #[test]
    fn a_bucket_has_only_complete_gradients() {
        let starts = [90_000, 50_000, 0];
        let shares = Shares::new(&starts, 100_000, 3);
        for (number, start) in starts.into_iter().enumerate() {
            let first =
                shares.bucket(number).iter().filter(|share| !share.is_empty()).map(|share| share.start);
            assert!(first.min().unwrap() >= start);
        }
    }
}
