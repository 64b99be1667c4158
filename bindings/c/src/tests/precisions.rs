//! Models and networks in each precision.

use super::*;
use unrolled::exec::{Dynamic, Engine, Stream, Window};
use unrolled::network::Network;
use unrolled::{ModelSettings, Precision};

const STEPS: usize = 5;
const BATCH: usize = 3;

/// A saved model, and its file.
struct Saved {
    model: Model,
    path: CString,
    _folder: tempfile::TempDir,
}

impl Saved {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("model.safetensors");
        let model = Model::of_vectors(&ModelSettings::gru(20).on_vectors(4, 2), 1).expect("a model");
        checkpoint(&model).save_model(&path).expect("saved");
        Self { model, path: c_path(&path), _folder: folder }
    }

    fn load(&self, precision: &str, threads: usize) -> (c_int, Loaded) {
        let (mut loaded, precision) = (ptr::null_mut(), CString::new(precision).expect("no NUL"));
        let path = self.path.as_ptr();
        // SAFETY: valid pointers.
        let status =
            unsafe { unrolled_model_load_precision(path, precision.as_ptr(), threads, &raw mut loaded) };
        (status, Loaded(loaded))
    }
}

#[test]
fn a_model_has_the_bits_of_rust_in_each_precision() {
    let saved = Saved::new();
    let x = values(STEPS * BATCH * 4, 1);
    for name in Precision::NAMES {
        let precision = Precision::named(name).expect("a name");
        let engine = Engine::with_precision(saved.model.clone(), precision, Some(1)).expect("an engine");
        let mut expected = vec![0.0; STEPS * BATCH * 2];
        Dynamic::of(&engine).forward(&x, BATCH, &mut expected).expect("a window");
        for threads in [1, 2] {
            let (status, loaded) = saved.load(name, threads);
            ok(status);
            let (mut y, none) = (vec![f32::NAN; expected.len()], ptr::null_mut::<f32>());
            // SAFETY: a handle, and arrays of the right sizes.
            ok(unsafe {
                unrolled_model_forward(
                    loaded.0,
                    STEPS,
                    BATCH,
                    x.as_ptr(),
                    ptr::null(),
                    none,
                    none,
                    y.as_mut_ptr(),
                )
            });
            assert_eq!(bits(&y), bits(&expected), "{name}");
            let (stream, mut rust) = (loaded.stream(1), Stream::of(&engine).expect("a stream"));
            // SAFETY: a handle, and arrays of the right sizes.
            ok(unsafe { unrolled_stream_step(stream.0, x.as_ptr(), y.as_mut_ptr()) });
            assert_eq!(bits(&y[..2]), bits(rust.step(&x[..4]).expect("a step")), "{name}");
        }
    }
}

#[test]
fn a_network_of_a_file_has_the_bits_of_rust_in_each_precision() {
    let saved = Saved::new();
    let (x, dy) = (values(STEPS * BATCH * 4, 1), values(STEPS * BATCH * 2, 2));
    for name in ["f32", "bf16"] {
        let (precision, given) =
            (Precision::named(name).expect("a name"), CString::new(name).expect("no NUL"));
        let mut rust = Network::with_precision(saved.model.clone(), precision, Some(1)).expect("a network");
        rust.forward(&Window::new(STEPS, BATCH, &x), &mut vec![0.0; dy.len()]).expect("a window");
        rust.backward(&dy, None).expect("a pass");
        let (mut rnn, mut y, mut dx) = (ptr::null_mut(), vec![0.0; dy.len()], vec![0.0; x.len()]);
        let none = ptr::null_mut();
        // SAFETY: a handle, and arrays of the right sizes.
        unsafe {
            let path = saved.path.as_ptr();
            ok(unrolled_rnn_load_precision(path, 1, given.as_ptr(), 1, &raw mut rnn));
            ok(unrolled_rnn_forward(rnn, STEPS, BATCH, x.as_ptr(), ptr::null(), none, y.as_mut_ptr(), none));
            ok(unrolled_rnn_backward(rnn, dy.as_ptr(), none, dx.as_mut_ptr(), none));
            unrolled_rnn_free(rnn);
        }
        assert_eq!(bits(&dx), bits(rust.d_inputs()), "{name}");
    }
}

#[test]
fn a_saved_network_records_its_precision() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("rnn.safetensors");
    let (toml, mut rnn) = (c"inputs = 3\nhidden = 4\nprecision = \"bf16\"\n", ptr::null_mut());
    // SAFETY: valid pointers, and a handle.
    unsafe {
        ok(unrolled_rnn_new(toml.as_ptr(), &raw mut rnn));
        ok(unrolled_rnn_save(rnn, c_path(&path).as_ptr()));
        unrolled_rnn_free(rnn);
    }
    let stored = Checkpoint::load(&path).expect("a checkpoint");
    assert_eq!(stored.settings.run.precision, Precision::Bf16);
}

#[test]
fn an_unknown_precision_is_an_error() {
    let (status, _) = Saved::new().load("f16", 1);
    assert_eq!(status, unrolled_status::UNROLLED_ARGUMENT as c_int);
    assert_eq!(last_error(), "precision: found \"f16\", expected one of f32, bf16, int8");
    let mut loaded = ptr::null_mut();
    // SAFETY: a text and a valid pointer.
    let status = unsafe { unrolled_model_load_precision(c"model".as_ptr(), ptr::null(), 1, &raw mut loaded) };
    fails(status, unrolled_status::UNROLLED_NULL, "precision");
}

/// Networks are trained, so they have no int8, and no message offers it.
#[test]
fn a_network_in_another_precision_is_an_error() {
    let (saved, mut rnn) = (Saved::new(), ptr::null_mut());
    for (name, expected) in [
        (c"f16", "precision: found \"f16\", expected f32 or bf16"),
        (
            c"int8",
            "precision: found \"int8\", expected f32 or bf16; int8 is for models, which are not trained",
        ),
    ] {
        // SAFETY: texts and a valid pointer.
        let status =
            unsafe { unrolled_rnn_load_precision(saved.path.as_ptr(), 1, name.as_ptr(), 1, &raw mut rnn) };
        assert_eq!(status, unrolled_status::UNROLLED_ARGUMENT as c_int);
        assert_eq!(last_error(), expected);
    }
    // SAFETY: a text and a valid pointer.
    let status = unsafe { unrolled_rnn_load_precision(c"model".as_ptr(), 1, ptr::null(), 1, &raw mut rnn) };
    fails(status, unrolled_status::UNROLLED_NULL, "precision");
}
