//! Messages whose length only the sender knows.

use unrolled::train::Ranks;

/// Returns the bytes of all ranks, in the order of ranks.
pub fn gather(ranks: &dyn Ranks, own: &[u8]) -> Vec<Vec<u8>> {
    let length = (own.len() as u64).to_le_bytes();
    let mut lengths = vec![0; length.len() * ranks.count()];
    ranks.all_gather(&length, &vec![length.len(); ranks.count()], &mut lengths);
    let lengths: Vec<_> = lengths.chunks_exact(length.len()).map(as_length).collect();
    let mut all = vec![0; lengths.iter().sum()];
    ranks.all_gather(own, &lengths, &mut all);
    let mut rest = &all[..];
    let mut part = |length| {
        let (part, after) = rest.split_at(length);
        rest = after;
        part.to_vec()
    };
    lengths.into_iter().map(&mut part).collect()
}

/// Returns the bytes of rank 0.
pub fn broadcast(ranks: &dyn Ranks, mut bytes: Vec<u8>) -> Vec<u8> {
    let mut length = (bytes.len() as u64).to_le_bytes();
    ranks.broadcast(&mut length);
    bytes.resize(as_length(&length), 0);
    ranks.broadcast(&mut bytes);
    bytes
}

fn as_length(bytes: &[u8]) -> usize {
    u64::from_le_bytes(bytes.try_into().expect("eight bytes")) as usize
}
