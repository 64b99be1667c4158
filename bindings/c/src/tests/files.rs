//! Models in files.

use super::*;
use unrolled::ModelSettings;
use unrolled::checkpoint::save_state_dict;
use unrolled::convert;

/// The model of the C tests, as it is and quantized: `UNROLLED_WRITE_SYMBOLS=1` writes its files.
#[test]
fn the_files_of_the_c_tests_are_current() {
    let settings = ModelSettings { embedding: Some(3), ..ModelSettings::gru(4) };
    let plain = checkpoint(&Model::new(&settings, 5, 1).expect("a model"));
    let quantized = plain.quantize().expect("a model without custom cells");
    for (name, expected) in [("symbols.safetensors", plain), ("quantized.safetensors", quantized)] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name);
        if std::env::var_os("UNROLLED_WRITE_SYMBOLS").is_some() {
            expected.save_model(&path).expect("written");
        }
        let found = Checkpoint::load(&path).expect("a checkpoint").model().expect("a model");
        assert_eq!(found, expected.model().expect("a model"), "{name}");
    }
}

#[test]
fn a_state_dict_of_pytorch_is_a_model() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("state_dict.safetensors");
    let symbols = Model::new(&ModelSettings::lstm(8), 5, 1).expect("a model");
    save_state_dict(&path, &[("module", symbols.parameters())]).expect("saved");
    assert_eq!(convert::load(&path).expect("a model").model.parameters().values, symbols.parameters().values);

    let vectors = Model::of_vectors(&ModelSettings::gru(8).on_vectors(3, 2), 1).expect("a model");
    save_state_dict(&path, &[("", vectors.parameters())]).expect("saved");
    let loaded = convert::load(&path).expect("a model").model;
    assert_eq!(loaded.parameters().values, vectors.parameters().values);
    assert_eq!((loaded.config().vocabulary, loaded.config().output_width()), (0, 2));
}

#[test]
fn weights_that_are_not_finite_are_an_error() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("weights.safetensors");
    let model = Model::of_vectors(&ModelSettings::gru(2).on_vectors(1, 1), 1).expect("a model");
    save_state_dict(&path, &[("", model.parameters())]).expect("saved");
    let mut bytes = std::fs::read(&path).expect("read");
    let at = bytes.len() - 4;
    bytes[at..].copy_from_slice(&f32::NAN.to_le_bytes());
    std::fs::write(&path, bytes).expect("written");
    let mut loaded = ptr::null_mut();
    // SAFETY: valid pointers.
    let status = unsafe { unrolled_model_load(c_path(&path).as_ptr(), &raw mut loaded) };
    fails(status, unrolled_status::UNROLLED_FILE, "found NaN, expected finite numbers");
}

/// Files of other programs give the bits that they give in Rust.
#[test]
fn files_of_other_programs_are_models() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/convert");
    let mut found = 0;
    for entry in std::fs::read_dir(folder).expect("the fixtures") {
        let path = entry.expect("a file").path();
        let Ok(converted) = convert::load(&path) else { continue };
        let config = converted.model.config().clone();
        let (loaded, tokens) = (Loaded::of(&path, 1), 3);
        let inputs = if config.reads_symbols() { 1 } else { config.input_width(0) };
        // Ids are whole numbers.
        let x = values(tokens * inputs, 1);
        let x = if config.reads_symbols() { vec![0.0; tokens] } else { x };
        let (mut y, mut expected) =
            (vec![0.0; tokens * config.output_width()], vec![0.0; tokens * config.output_width()]);
        let none = ptr::null_mut::<f32>();
        // SAFETY: a handle, and arrays of the right sizes.
        ok(unsafe {
            unrolled_model_forward(loaded.0, tokens, 1, x.as_ptr(), ptr::null(), none, none, y.as_mut_ptr())
        });
        let mut view = unrolled::exec::Dynamic::new(converted.model, Some(1)).expect("a view");
        match config.reads_symbols() {
            true => view.forward(&[0u32; 3], 1, &mut expected).expect("a window"),
            false => view.forward(&x, 1, &mut expected).expect("a window"),
        }
        assert_eq!(bits(&y), bits(&expected), "{}", path.display());
        found += 1;
    }
    assert!(found > 5, "{found} files");
}
