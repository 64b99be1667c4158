//! Every kernel against its naive reference implementation, on every instruction set of this
//! machine.

mod activation;
mod case_kernels;
mod cases;
mod cells;
mod comparisons;
mod denormals;
mod drawn_cases;
mod drawn_sizes;
mod extended;
mod fixed;
mod flush_mode;
mod harness;
mod int8;
mod int8_products;
mod layouts;
mod lengths;
mod products;
mod ragged;
mod softmax;
mod stored_rows;
mod teams;
mod tile_product;
mod tiles;
mod updates;
