//! Runs recurrent layers of PyTorch on batches of vectors and, if they only read forward, one step at
//! a time: `cargo run --release --example pytorch_layers [FILE [MODULE]]`.
//!
//! MODULE is the name of an `nn.LSTM`, `nn.GRU` or `nn.RNN` in the `state_dict`, such as
//! `model.encoder`. The shapes of its tensors tell the layers, `bidirectional`, `proj_size` and
//! `bias`. Without FILE the program first writes the tensors of two small untrained modules.

use std::path::Path;
use unrolled::checkpoint::{StateDict, TensorFile, save_state_dict};
use unrolled::exec::{Dynamic, Engine, Stream};
use unrolled::model::Model;
use unrolled::{Layer, Result};

const STEPS: usize = 6;
const LENGTHS: [usize; 3] = [6, 2, 4];

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    match (args.next(), args.next()) {
        (None, _) => small_modules(),
        (Some(file), module) => run(file.as_ref(), &module.unwrap_or_default()),
    }
}

fn run(path: &Path, module: &str) -> Result<()> {
    let file = TensorFile::load(path)?;
    let members = StateDict { rnn: module, embedding: None, head: None, ..StateDict::default() };
    let engine = Engine::new(file.model(&members)?, None)?;
    let config = engine.model().config();
    let (rows, inputs, outputs) = (LENGTHS.len(), config.input_width(0), config.output_width());
    println!("{module}: {inputs} values in, {outputs} out, bidirectional: {}", config.is_bidirectional());

    let x: Vec<f32> = (0..STEPS * rows * inputs).map(|n| (n as f32 * 0.7).sin()).collect(); // [T, B, E]
    let mut y = vec![0.0; STEPS * rows * outputs]; // [T, B, O]
    Dynamic::of(&engine).forward_ragged(&x, &LENGTHS, &mut y)?; // zeros behind the end of a row
    if config.is_bidirectional() {
        return Ok(());
    }
    let mut stream = Stream::of_rows(&engine, rows)?;
    for (t, x) in x.chunks_exact(rows * inputs).enumerate() {
        let step = stream.step(x)?; // [B, O]
        assert_eq!(step[..outputs], y[t * rows * outputs..][..outputs]); // row 0 has all steps
    }
    Ok(())
}

/// Writes and runs a small file.
fn small_modules() -> Result<()> {
    let both = |layer| Layer { bidirectional: true, ..layer };
    let encoder = [(); 2].map(|()| both(Layer { projection: Some(4), ..Layer::lstm(8) }));
    let [encoder, decoder] =
        [Model::of_layers(&encoder, 5, None, 1)?, Model::of_layers(&[Layer::gru(7)], 8, None, 2)?];
    let [encoder, decoder] = [encoder, decoder].map(|model| model.parameters().member("rnn"));
    let path = std::env::temp_dir().join(format!("modules-{}.safetensors", std::process::id()));
    save_state_dict(&path, &[("model.encoder", &encoder), ("model.decoder", &decoder)])?;
    let result = run(&path, "model.encoder").and_then(|()| run(&path, "model.decoder"));
    std::fs::remove_file(&path).ok();
    result
}

#[test]
fn small_modules_run() {
    small_modules().unwrap();
}
