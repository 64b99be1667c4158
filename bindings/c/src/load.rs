//! Models from files.

use crate::status::{Failure, unrolled_status};
use std::path::Path;
use unrolled::checkpoint::{Checkpoint, StateDict, TensorFile};
use unrolled::model::Model;

/// Reads a model from a checkpoint, or from the `state_dict` of a PyTorch module in a safetensors
/// file.
pub(crate) fn load(path: &Path) -> Result<Model, Failure> {
    let file = TensorFile::load(path)?;
    if file.metadata().get("format").is_some_and(|format| format == "unrolled") {
        return Ok(Checkpoint::load(path)?.model()?);
    }
    let model = file.model(&members(&file)?)?;
    file.finish()?;
    Ok(model)
}

/// Finds the members of a module by their names.
fn members(file: &TensorFile) -> Result<StateDict<'_>, Failure> {
    let modules: Vec<&str> = file.names().filter_map(|name| name.strip_suffix("weight_ih_l0")).collect();
    let &[rnn] = modules.as_slice() else {
        let found = modules.len();
        let path = file.path().display();
        let text = format!(
            "{path}: found {found} recurrent modules (tensors weight_ih_l0), expected one; save it alone"
        );
        return Err(Failure::new(unrolled_status::UNROLLED_FILE, text));
    };
    let is_matrix = |name: &str| file.find(name).is_some_and(|tensor| tensor.shape.len() == 2);
    let others =
        || file.names().filter(|name| is_matrix(name)).filter_map(|name| name.strip_suffix(".weight"));
    let member = |starts: &[&str]| {
        let last = |module: &str| module.rsplit('.').next().unwrap_or_default().to_owned();
        others().find(|module| starts.iter().any(|start| last(module).starts_with(start)))
    };
    let embedding = member(&["emb", "wte"]);
    let head = member(&["head", "fc", "linear", "out", "dense", "proj", "to_", "decoder"]);
    let vectors = embedding.is_none();
    Ok(StateDict { embedding, rnn, head, vectors, ..StateDict::default() })
}
