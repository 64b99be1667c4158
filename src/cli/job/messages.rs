//! Messages whose length only the sender knows.

use unrolled::train::Ranks;

/// Returns the bytes of rank 0.
pub fn broadcast(ranks: &dyn Ranks, mut bytes: Vec<u8>) -> Vec<u8> {
    let mut length = (bytes.len() as u64).to_le_bytes();
    ranks.broadcast(&mut length);
    bytes.resize(u64::from_le_bytes(length) as usize, 0);
    ranks.broadcast(&mut bytes);
    bytes
}
