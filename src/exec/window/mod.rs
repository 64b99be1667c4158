//! A window of T steps by B rows: its rows divided into shards, and the activations of every shard.

pub(super) mod activations;
mod ragged;
pub(super) mod shard;
