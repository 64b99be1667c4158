//! Windows and steps of models.

use super::*;
use unrolled::exec::{Dynamic, State, Stream, Window};
use unrolled::{Layer, ModelSettings};

const STEPS: usize = 7;
const BATCH: usize = 3;

fn models() -> Vec<Model> {
    let of = |stack: &[Layer]| Model::of_layers(stack, 4, None, 3).expect("a model");
    let projected = Layer { projection: Some(3), peepholes: true, ..Layer::lstm(5) };
    let both = |layer| Layer { bidirectional: true, ..layer };
    vec![
        of(&[Layer::lstm(18)]),
        of(&[both(projected.clone()), both(Layer::gru(6))]),
        of(&[Layer::gru(5), projected, Layer::rnn(17)]),
        Model::of_vectors(&ModelSettings::gru(20).on_vectors(4, 2), 1).expect("a model"),
    ]
}

fn floats(state: &State) -> Vec<f32> {
    state.layers.iter().flat_map(|layer| [&layer.h[..], &layer.c]).collect::<Vec<_>>().concat()
}

#[test]
fn a_window_has_the_bits_of_rust() {
    for model in models() {
        let (width, state_len) =
            (model.config().output_width(), floats(&State::zero(model.config(), BATCH)).len());
        let (x, first) = (values(STEPS * BATCH * 4, 1), values(state_len, 2));
        let lengths = [7, 0, 4];
        let initial = states::given(model.config(), BATCH, &first);
        for lengths in [None, Some(&lengths[..])] {
            let mut view = Dynamic::new(model.clone(), Some(1)).expect("a view");
            let mut expected = vec![0.0; STEPS * BATCH * width];
            let window = Window { lengths, initial: Some(&initial), ..Window::new(STEPS, BATCH, &x) };
            view.forward_window(&window, &mut expected).expect("a window");
            for threads in [1, 2] {
                let loaded = Loaded::new(&model, threads);
                let (mut y, mut state) = (vec![f32::NAN; expected.len()], first.clone());
                let lengths = lengths.map_or(ptr::null(), <[usize]>::as_ptr);
                let state_at = state.as_mut_ptr();
                // SAFETY: a handle, and arrays of the right sizes.
                ok(unsafe {
                    unrolled_model_forward(
                        loaded.0,
                        STEPS,
                        BATCH,
                        x.as_ptr(),
                        lengths,
                        state_at,
                        state_at,
                        y.as_mut_ptr(),
                    )
                });
                assert_eq!(bits(&y), bits(&expected));
                assert_eq!(bits(&state), bits(&floats(&view.state().expect("a state"))));
            }
        }
    }
}

#[test]
fn a_step_has_the_bits_of_rust() {
    for model in models().into_iter().filter(|model| !model.config().is_bidirectional()) {
        for batch in [1, BATCH] {
            let (loaded, width) = (Loaded::new(&model, 2), model.config().output_width());
            let mut expected = Stream::with_rows(model.clone(), batch).expect("a stream");
            let (stream, x) = (loaded.stream(batch), values(STEPS * batch * 4, 1));
            let mut y = vec![f32::NAN; batch * width];
            for x in x.chunks_exact(batch * 4) {
                // SAFETY: a handle, and arrays of the right sizes.
                ok(unsafe { unrolled_stream_step(stream.0, x.as_ptr(), y.as_mut_ptr()) });
                assert_eq!(bits(&y), bits(expected.step(x).expect("a step")));
            }
            // SAFETY: a handle.
            let mut state = vec![0.0; unsafe { unrolled_stream_state_len(stream.0) }];
            // SAFETY: a handle, and an array of the right size.
            ok(unsafe { unrolled_stream_get_state(stream.0, state.as_mut_ptr()) });
            assert_eq!(bits(&state), bits(&floats(&expected.state())));
        }
    }
}

#[test]
fn steps_of_a_large_vocabulary_have_the_bits_of_rust() {
    // Above the limit for an input table that is computed ahead.
    let settings = ModelSettings { embedding: Some(3), ..ModelSettings::lstm(24) };
    for symbols in [5, 50_000] {
        let model = Model::new(&settings, symbols, 1).expect("a model");
        let loaded = Loaded::new(&model, 1);
        let (stream, mut expected) = (loaded.stream(2), Stream::with_rows(model, 2).expect("a stream"));
        let mut logits = vec![0.0; 2 * symbols];
        for ids in [[0, 1], [4, 2], [3, 3]] {
            // SAFETY: a handle, and arrays of the right sizes.
            ok(unsafe { unrolled_stream_step_symbols(stream.0, ids.as_ptr(), logits.as_mut_ptr()) });
            assert_eq!(bits(&logits), bits(expected.step(&ids).expect("a step")));
        }
    }
}

#[test]
fn padding_of_ids_may_hold_any_number() {
    let model = Model::new(&ModelSettings::gru(4), 5, 1).expect("a model");
    let (loaded, lengths) = (Loaded::new(&model, 1), [2usize, 1]);
    let (x, mut y) = ([1.0, 4.0, 0.0, -7.5f32], [0.0; 2 * 2 * 5]);
    let forward = |x: &[f32], y: &mut [f32]| {
        let (x, lengths, none) = (x.as_ptr(), lengths.as_ptr(), ptr::null());
        // SAFETY: a handle, and arrays of the right sizes.
        unsafe { unrolled_model_forward(loaded.0, 2, 2, x, lengths, none, ptr::null_mut(), y.as_mut_ptr()) }
    };
    ok(forward(&x, &mut y));
    assert_eq!(y[3 * 5..], [0.0; 5]);
    fails(forward(&[1.0, 5.0, 0.0, 0.0], &mut y), unrolled_status::UNROLLED_ARGUMENT, "found 5");
    fails(forward(&[1.0, f32::NAN, 0.0, 0.0], &mut y), unrolled_status::UNROLLED_ARGUMENT, "found NaN");
}

/// Layer 0 forward, layer 0 backward, layer 1 forward, and so on, as in PyTorch.
#[test]
fn a_state_has_both_directions_of_a_layer() {
    let both = |layer| Layer { bidirectional: true, ..layer };
    let stack = [both(Layer::gru(2)), both(Layer::lstm(3))];
    let model = Model::of_layers(&stack, 1, None, 1).expect("a model");
    let numbers: Vec<f32> = (0..2 * (2 + 2 + 6 + 6)).map(|i| i as f32).collect();
    let state = states::given(model.config(), 2, &numbers);
    let parts: Vec<[usize; 2]> = state.layers.iter().map(|layer| [layer.h.len(), layer.c.len()]).collect();
    assert_eq!(parts, [[4, 0], [4, 0], [6, 6], [6, 6]]);
    assert_eq!((state.layers[1].h[0], state.layers[2].c[0], state.layers[3].h[0]), (4.0, 14.0, 20.0));
}
