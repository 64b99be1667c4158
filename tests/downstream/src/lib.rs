//! Uses `unrolled` as other crates do, on the stacks that their threads have.
#![cfg(test)]

mod fixed;
mod models;

use std::thread;

/// Stack of the threads that run the tests of a library: what they are promised to need at most.
const STACK: usize = 512 << 10;

/// Runs `work` on a thread with a small stack.
fn on_small_stack(work: impl FnOnce() + Send + 'static) {
    let thread = thread::Builder::new().stack_size(STACK).spawn(work).expect("a thread");
    thread.join().expect("the work to succeed");
}
