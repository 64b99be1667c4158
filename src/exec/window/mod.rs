//! A window of T steps by B rows: its rows divided into shards, and the activations of every shard.
//!
//! `division.rs` decides what threads divide, `shard.rs` has the rows of one thread or team,
//! `layer_passes.rs` runs them through all layers, `ragged.rs` deals rows of different lengths to
//! shards, `activations.rs` holds all shards and the state, and `transfer.rs` copies between the
//! caller's arrays and the shards.

pub(super) mod activations;
pub(super) mod division;
mod layer_passes;
mod ragged;
pub(super) mod shard;
pub(super) mod transfer;
