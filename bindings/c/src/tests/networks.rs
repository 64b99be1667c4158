//! Passes of networks.

use super::*;
use unrolled::exec::Window;
use unrolled::network::Network;
use unrolled::{Layer, ModelSettings, Settings};

const STEPS: usize = 6;
const BATCH: usize = 4;

struct Owned(*mut unrolled_rnn);

impl Owned {
    fn new(toml: &str) -> Self {
        let (toml, mut rnn) = (CString::new(toml).expect("no NUL"), ptr::null_mut());
        // SAFETY: valid pointers.
        ok(unsafe { unrolled_rnn_new(toml.as_ptr(), &raw mut rnn) });
        Self(rnn)
    }

    /// The parameters and the gradients.
    fn arena(&mut self) -> (&mut [f32], &[f32]) {
        // SAFETY: a handle; both arrays have that length, and live as long as it.
        unsafe {
            let count = unrolled_rnn_parameters(self.0);
            let gradients = unrolled_rnn_gradients(self.0);
            let values = unrolled_rnn_values(self.0);
            (std::slice::from_raw_parts_mut(values, count), std::slice::from_raw_parts(gradients, count))
        }
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        // SAFETY: the handle is used no more.
        unsafe { unrolled_rnn_free(self.0) };
    }
}

fn descend(values: &mut [f32], gradients: &[f32]) {
    values.iter_mut().zip(gradients).for_each(|(value, slope)| *value -= 0.1 * slope);
}

#[test]
fn steps_of_training_have_the_bits_of_rust() {
    let toml =
        "inputs = 3\noutputs = 2\nseed = 9\n[[stack]]\ncell = \"gru\"\nhidden = 8\n[[stack]]\nhidden = 5\n";
    let settings = ModelSettings { stack: vec![Layer::gru(8), Layer::lstm(5)], ..ModelSettings::default() };
    let model = Model::of_vectors(&settings.on_vectors(3, 2), 9).expect("a model");
    let mut expected = Network::new(model, Some(1)).expect("a network");
    let mut own = Owned::new(toml);
    let (x, dy) = (values(STEPS * BATCH * 3, 1), values(STEPS * BATCH * 2, 2));
    let (mut y, mut dx) = (vec![0.0; dy.len()], vec![0.0; x.len()]);
    for round in 0..4 {
        let lengths = [6, 3, round, 1];
        // SAFETY: a handle, and arrays of the right sizes.
        unsafe {
            let (none, lengths) = (ptr::null_mut(), lengths.as_ptr());
            ok(unrolled_rnn_forward(own.0, STEPS, BATCH, x.as_ptr(), lengths, none, y.as_mut_ptr(), none));
            ok(unrolled_rnn_backward(own.0, dy.as_ptr(), none, dx.as_mut_ptr(), none));
        }
        let mut outputs = vec![0.0; y.len()];
        let window = Window { lengths: Some(&lengths), ..Window::new(STEPS, BATCH, &x) };
        expected.forward(&window, &mut outputs).expect("a window");
        expected.backward(&dy, None).expect("a pass");
        assert_eq!((bits(&y), bits(&dx)), (bits(&outputs), bits(expected.d_inputs())));
        let (values, gradients) = own.arena();
        assert_eq!(bits(gradients), bits(&expected.gradient().values));
        descend(values, gradients);
        let (values, gradients) = expected.parameters_and_gradient();
        descend(values, gradients);
        assert_eq!(bits(own.arena().0), bits(values));
    }
}

#[test]
fn a_saved_network_is_the_same_model() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("rnn.safetensors");
    for toml in
        ["inputs = 3\nhidden = 4\ndropout = 0.25\n", "inputs = 2\noutputs = 3\nlayers = 2\ncell = \"rnn\"\n"]
    {
        let mut own = Owned::new(toml);
        // SAFETY: a handle and a text.
        ok(unsafe { unrolled_rnn_save(own.0, c_path(&path).as_ptr()) });
        let model = Checkpoint::load(&path).expect("a checkpoint").model().expect("a model");
        assert_eq!(bits(&model.parameters().values), bits(own.arena().0));
    }
}

#[test]
fn the_keys_of_a_description_are_settings() {
    for key in description::MODEL_KEYS {
        assert!(Settings::keys().any(|known| known == key), "{key}");
    }
}

#[test]
fn an_error_of_a_description_names_the_key() {
    let text = |toml: &str| description::Description::parse(toml).expect_err("an error").text;
    assert_eq!(text("hidden = \"many\""), "key hidden: invalid type: string \"many\", expected usize");
    assert_eq!(text("precision = \"f16\""), "key precision: found \"f16\", expected f32 or bf16");
    assert_eq!(text("precision = 16"), "key precision: found 16, expected f32 or bf16");
    let int8 =
        "key precision: found \"int8\", expected f32 or bf16; int8 is for models, which are not trained";
    assert_eq!(text("precision = \"int8\""), int8);
    assert_eq!(text("seed = -3"), "key seed: found -3, expected a whole number of 0 or above");
    assert!(
        text("input = \"one-hot\"")
            .starts_with("unknown key input, expected seed, threads, precision or one of")
    );
    assert_eq!(
        text("dropout = 0.5\n[[stack]]\n"),
        "key dropout: it has no effect beside [[stack]]; leave it out, or set it in the layers"
    );
}
