//! The exchange of gradients: each rank sends its sums of a bucket to the owners of the shares, and
//! adds up what it receives for its own share.

use super::super::gradient_sums::{GradientSums, ReceivedSums, narrowed, widened};
use super::super::ranks::parts;
use super::Divided;
use crate::Exchange;
use std::ops::Range;
use std::sync::PoisonError;
use unrolled_kernels::denormals::flush;

/// The gradients of a bucket as this rank sends them: for each rank, its share of each sum.
pub(super) struct Parcel {
    bucket: usize,
    bytes: Vec<u8>,
}

impl Divided {
    /// Packs the sums of a bucket: those that wait but are not among the `additions` of the last one,
    /// and the last one, which is in `gradient`.
    pub(super) fn pack(
        &self,
        bucket: usize,
        (sums, additions): (&GradientSums, usize),
        gradient: &[f32],
        exchange: Exchange,
    ) -> Parcel {
        let shares = self.shares.bucket(bucket);
        let waiting = &sums.waiting()[..sums.waiting().len() - additions];
        let len = shares.iter().map(|share| share.len()).sum::<usize>() * sums.tree().len();
        let mut bytes = self.buffer();
        bytes.reserve(len * size_of_value(exchange));
        for share in shares {
            for sum in waiting.iter().map(|sum| &sum[..]).chain([gradient]) {
                put(&sum[share.clone()], exchange, &mut bytes);
            }
        }
        Parcel { bucket, bytes }
    }

    /// Returns an empty buffer. It may have room from an earlier step.
    fn buffer(&self) -> Vec<u8> {
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        let mut buffer = spare.pop().unwrap_or_default();
        buffer.clear();
        buffer
    }

    fn keep_buffers(&self, buffers: [Vec<u8>; 2]) {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner).extend(buffers);
    }

    /// Sends a bucket, receives this rank's share of it from all ranks, and returns its sum over all
    /// windows.
    pub(super) fn exchange(&self, parcel: Parcel, windows: usize, exchange: Exchange) -> Vec<f32> {
        let (rank, trees, size) = (self.ranks.rank(), &self.trees, size_of_value(exchange));
        let shares = self.shares.bucket(parcel.bucket);
        let counts: Vec<usize> = shares.iter().map(|share| share.len() * trees[rank].len() * size).collect();
        let own = shares[rank].len();
        let received: Vec<usize> = trees.iter().map(|tree| own * tree.len() * size).collect();
        if shares.iter().all(Range::is_empty) {
            return Vec::new();
        }
        let mut bytes = self.buffer();
        bytes.resize(received.iter().sum(), 0);
        self.ranks.all_to_all(&parcel.bytes, &counts, &mut bytes, &received);
        // As in a step of one process, denormal numbers count as zero.
        let sums = flush(|| {
            let mut sums = ReceivedSums::new(windows, exchange);
            for (tree, part) in trees.iter().zip(parts(&received)) {
                let nodes = (0..tree.len()).map(|node| part.start + node * own * size);
                sums.add(tree, nodes.map(|start| take(&bytes[start..start + own * size], exchange)));
            }
            sums.whole()
        });
        self.keep_buffers([parcel.bytes, bytes]);
        sums
    }

    /// Gathers the parameters from their owners, of which this rank has updated its own.
    /// `before` are the parameters before the update, for an exchange of rounded changes.
    pub(super) fn gather(&self, parameters: &mut [f32], before: &[f32], exchange: Exchange) {
        for shares in (0..self.shares.len()).map(|bucket| self.shares.bucket(bucket)) {
            let places = shares[0].start..shares[shares.len() - 1].end;
            let counts: Vec<usize> =
                shares.iter().map(|share| share.len() * size_of_value(exchange)).collect();
            let own = shares[self.ranks.rank()].clone();
            if places.is_empty() {
                continue;
            }
            match exchange {
                Exchange::F32 => {
                    let own: Vec<u8> = bytemuck::cast_slice(&parameters[own]).to_vec();
                    self.ranks.all_gather(&own, &counts, bytemuck::cast_slice_mut(&mut parameters[places]));
                }
                Exchange::Bf16 => {
                    let changes = parameters[own.clone()].iter().zip(&before[own]);
                    let own: Vec<u16> = changes.map(|(now, before)| narrowed(now - before)).collect();
                    let mut all = vec![0u16; places.len()];
                    self.ranks.all_gather(
                        bytemuck::cast_slice(&own),
                        &counts,
                        bytemuck::cast_slice_mut(&mut all),
                    );
                    let changed = parameters[places.clone()].iter_mut().zip(&before[places]).zip(all);
                    changed.for_each(|((now, before), change)| *now = before + widened(change));
                }
            }
        }
    }
}

fn size_of_value(exchange: Exchange) -> usize {
    match exchange {
        Exchange::F32 => size_of::<f32>(),
        Exchange::Bf16 => size_of::<u16>(),
    }
}

/// Appends values as they are sent. Rounded ones are exact.
fn put(values: &[f32], exchange: Exchange, bytes: &mut Vec<u8>) {
    match exchange {
        Exchange::F32 => bytes.extend_from_slice(bytemuck::cast_slice(values)),
        Exchange::Bf16 => {
            let start = bytes.len();
            bytes.resize(start + size_of::<u16>() * values.len(), 0);
            let places = bytes[start..].as_chunks_mut().0.iter_mut();
            places.zip(values).for_each(|(place, value)| *place = narrowed(*value).to_le_bytes());
        }
    }
}

/// Reads values as they were sent.
fn take(bytes: &[u8], exchange: Exchange) -> Vec<f32> {
    match exchange {
        Exchange::F32 => bytes.as_chunks().0.iter().map(|value| f32::from_le_bytes(*value)).collect(),
        Exchange::Bf16 => {
            bytes.as_chunks().0.iter().map(|value| widened(u16::from_le_bytes(*value))).collect()
        }
    }
}
