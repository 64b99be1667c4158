//! Handles, threads, panics, and texts of errors.

use super::*;
use crate::handle::tests::hold;
use unrolled::ModelSettings;

fn model() -> Model {
    Model::of_vectors(&ModelSettings::gru(4).on_vectors(1, 1), 1).expect("a model")
}

#[test]
fn a_stream_in_use_refuses_another_call_and_is_not_freed() {
    let stream = Loaded::new(&model(), 1).stream(1);
    let (x, mut y) = (0.5, 0.0);
    let mut step = || {
        // SAFETY: a handle, and arrays of the right sizes.
        unsafe { unrolled_stream_step(stream.0, &raw const x, &raw mut y) }
    };
    let held = hold(stream.0.cast_const());
    fails(step(), unrolled_status::UNROLLED_BUSY, "stream: found a call of another thread");
    // SAFETY: the handle is refused, and stays.
    unsafe { unrolled_stream_free(stream.0) };
    assert!(last_error().contains("another thread"), "{}", last_error());
    drop(held);
    ok(step());
}

#[test]
fn a_panic_becomes_a_status_and_ends_the_handle() {
    let stream = Loaded::new(&model(), 1).stream(1);
    let status = call::status(|| {
        let _turn = hold(stream.0.cast_const());
        panic!("on\npurpose")
    });
    fails(status, unrolled_status::UNROLLED_BUG, "a bug in unrolled: on purpose; please report it");
    let (x, mut y) = (0.5, 0.0);
    // SAFETY: a handle, and arrays of the right sizes.
    let status = unsafe { unrolled_stream_step(stream.0, &raw const x, &raw mut y) };
    fails(status, unrolled_status::UNROLLED_BUG, "free it");
    assert_eq!(call::value(7, || panic!("{}", 3)), 7);
    assert!(last_error().contains("a bug in unrolled: 3;"), "{}", last_error());
}

#[test]
fn a_long_text_is_cut_between_characters() {
    for length in [2046, 2047, 2048, 5000] {
        let text = "é".repeat(length / 2) + &"x".repeat(length % 2);
        last_error::set(&text);
        let found = last_error();
        match length < 2048 {
            true => assert_eq!(found, text),
            false => assert!(found.len() < 2048 && found.ends_with("é ..."), "{found}"),
        }
    }
    last_error::set("a\0b\nc");
    assert_eq!(last_error(), "a b c");
}

#[test]
fn each_thread_has_its_own_text() {
    last_error::set("mine");
    std::thread::spawn(|| {
        assert_eq!(last_error(), "");
        last_error::set("yours");
    })
    .join()
    .expect("no panic");
    assert_eq!(last_error(), "mine");
}

/// The number of rows that a state needs is not known to be finite before it is multiplied.
#[test]
fn sizes_that_overflow_are_errors() {
    let loaded = Loaded::new(&model(), 1);
    let (x, mut y) = ([0.0f32; 4], [0.0f32; 4]);
    for (steps, batch) in [(usize::MAX, 1), (1, usize::MAX), (1 << 40, 1 << 40), (usize::MAX / 4, 1)] {
        let none = ptr::null_mut::<f32>();
        // SAFETY: the sizes are refused before an array is read.
        let status = unsafe {
            unrolled_model_forward(
                loaded.0,
                steps,
                batch,
                x.as_ptr(),
                none.cast(),
                none.cast(),
                none,
                y.as_mut_ptr(),
            )
        };
        fails(status, unrolled_status::UNROLLED_ARGUMENT, "that memory can hold");
    }
}

#[cfg(unix)]
#[test]
fn a_path_may_have_any_bytes() {
    let mut model = ptr::null_mut();
    // SAFETY: a text and a valid pointer.
    let status = unsafe { unrolled_model_load(c"/no/such/\xff".as_ptr(), &raw mut model) };
    fails(status, unrolled_status::UNROLLED_IO, "/no/such/");
}
