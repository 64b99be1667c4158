//! The allocations of a step.

use super::*;
use allocation_counter::measure;
use unrolled::{Layer, ModelSettings};

/// Returns the number of blocks that 100 calls allocate, after a first call.
fn count(mut call: impl FnMut()) -> u64 {
    call();
    measure(|| (0..100).for_each(|_| call())).count_total
}

#[test]
fn a_step_allocates_nothing() {
    let settings = ModelSettings::of_layers([Layer::lstm(20), Layer::gru(9)]).on_vectors(3, 2);
    let model = Model::of_vectors(&settings, 1).expect("a model");
    let (x, mut y) = (values(4 * 3, 1), [0.0; 4 * 2]);
    for batch in [1, 4] {
        let stream = Loaded::new(&model, 2).stream(batch);
        // SAFETY: a handle, and arrays of the right sizes.
        let mut state = vec![0.0; unsafe { unrolled_stream_state_len(stream.0) }];
        // SAFETY: as above.
        unsafe {
            assert_eq!(count(|| ok(unrolled_stream_step(stream.0, x.as_ptr(), y.as_mut_ptr()))), 0);
            assert_eq!(count(|| unrolled_stream_reset(stream.0)), 0);
            ok(unrolled_stream_get_state(stream.0, state.as_mut_ptr()));
            assert_eq!(count(|| ok(unrolled_stream_set_state(stream.0, state.as_ptr()))), 0);
        }
    }
}

#[test]
fn a_step_of_symbols_allocates_nothing() {
    for symbols in [5, 300_000] {
        let model = Model::new(&ModelSettings::gru(16), symbols, 1).expect("a model");
        let (ids, floats, mut logits) = ([3u32, 4], [3.0f32, 4.0], vec![0.0; 2 * symbols]);
        let stream = Loaded::new(&model, 1).stream(2);
        // SAFETY: a handle, and arrays of the right sizes.
        unsafe {
            assert_eq!(
                count(|| ok(unrolled_stream_step_symbols(stream.0, ids.as_ptr(), logits.as_mut_ptr()))),
                0
            );
            assert_eq!(count(|| ok(unrolled_stream_step(stream.0, floats.as_ptr(), logits.as_mut_ptr()))), 0);
        }
    }
}
