//! A window of T steps by B rows: its rows divided into shards, and the activations of every shard.
//!
//! `shard.rs` has the rows of one thread, `ragged.rs` deals rows of different lengths to shards,
//! `activations.rs` holds all shards and the state, and `transfer.rs` copies between the caller's
//! arrays and the shards.

pub(super) mod activations;
mod ragged;
pub(super) mod shard;
pub(super) mod transfer;
