//! Runs a PyTorch language model on a batch and one step at a time, with equal results:
//! `cargo run --release --example pytorch_weights [FILE]`.
//!
//! In PyTorch the model has three members, and `safetensors.torch.save_file(model.state_dict(),
//! FILE)` writes it:
//!
//! ```text
//! self.embedding = nn.Embedding(65, 32)
//! self.rnn = nn.LSTM(32, 64, num_layers=2)    # or nn.GRU, nn.RNN
//! self.head = nn.Linear(64, 65)
//! ```
//!
//! Without FILE the program first writes the tensors of a small untrained model.

use std::path::{Path, PathBuf};
use unrolled::checkpoint::{StateDict, TensorFile, save_state_dict};
use unrolled::exec::{Dynamic, Engine, Stream};
use unrolled::model::Model;
use unrolled::{ModelSettings, Result};

fn main() -> Result<()> {
    match std::env::args_os().nth(1) {
        Some(file) => run(Path::new(&file)),
        None => {
            let path = temporary_path();
            save_state_dict(&path, &[("", small_model()?.parameters())])?;
            let result = run(&path);
            std::fs::remove_file(&path).ok();
            result
        }
    }
}

fn run(path: &Path) -> Result<()> {
    let file = TensorFile::load(path)?;
    let members =
        StateDict { embedding: Some("embedding"), rnn: "rnn", head: Some("head"), ..StateDict::default() };
    let model = file.model(&members)?; // sizes and cells come from the shapes of the tensors
    file.finish()?; // an error if the file has other tensors
    println!("{} parameters, {} symbols", model.parameters().values.len(), model.config().vocabulary);

    let engine = Engine::new(model, None)?; // the weights, packed once for both uses
    let symbols = engine.model().config().vocabulary;
    let ids: Vec<u32> = (0..20).map(|t| t * 7 % symbols as u32).collect();
    let mut batch = vec![0.0; ids.len() * symbols]; // logits [T, B, V] with B = 1
    Dynamic::of(&engine).forward(&ids, 1, &mut batch)?;

    let mut stream = Stream::of(&engine)?;
    for (id, logits) in ids.iter().zip(batch.chunks_exact(symbols)) {
        assert_eq!(stream.step(id)?, logits);
    }
    println!("{} steps: equal logits from the batch and from the stream", ids.len());
    Ok(())
}

fn small_model() -> Result<Model> {
    let settings = ModelSettings { layers: 2, embedding: Some(32), ..ModelSettings::lstm(64) };
    Model::new(&settings, 65, 1)
}

fn temporary_path() -> PathBuf {
    std::env::temp_dir().join(format!("unrolled-small-model-{}.safetensors", std::process::id()))
}
