//! Every kernel against its naive twin, on every instruction set of this machine.

mod cases;
mod cells;
mod extended;
mod fixed;
mod harness;
mod layouts;
mod lengths;
mod products;
mod ragged;
mod softmax;
mod updates;
