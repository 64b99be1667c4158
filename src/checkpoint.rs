//! The only code that knows the file format.
use crate::{
    Result, Settings,
    corpus::Vocabulary,
    exec::State,
    model::{Model, Parameters},
    train::Progress,
};
use std::path::Path;

/// Everything that a run needs to go on, or a model to be used.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// The run's settings.
    pub settings: Settings,
    /// Symbols in id order.
    pub vocabulary: Vocabulary,
    /// Under their PyTorch names.
    pub parameters: Parameters,
    /// The optimiser's moments by name (`m`, `v`, `accumulator`, ...): arenas parallel to the parameters.
    pub moments: Vec<(String, Vec<f32>)>,
    /// The hidden state carried to the next window.
    pub state: Option<State>,
    /// Where the run stands.
    pub progress: Progress,
}

impl Checkpoint {
    /// Reads and checks a file.
    pub fn load(_path: &Path) -> Result<Self> {
        unimplemented!()
    }
    /// Writes to a temporary file beside `path`, syncs it and renames it into place.
    pub fn save(&self, _path: &Path) -> Result<()> {
        unimplemented!()
    }
    /// The model.
    pub fn model(&self) -> Result<Model> {
        unimplemented!()
    }
}
