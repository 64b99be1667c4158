//! The weights of a file under the names of a model, and what is said of those that do not fit.

use super::{TensorFile, TensorInfo, refused};
use crate::{
    Error, Result,
    model::{ModelConfig, Parameters},
    network::twin,
};

/// A file, and the tensors of it that are not to be read.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) file: &'a TensorFile,
    pub(super) ignored: &'a [String],
}

impl Source<'_> {
    pub(super) fn floats(self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        self.check(name, shape)?;
        self.file.floats(name, shape)
    }

    fn biases(self, names: &[String], shape: &[usize]) -> Result<Vec<Vec<f32>>> {
        names.iter().try_for_each(|name| self.check(name, shape))?;
        self.file.biases(names, shape)
    }

    fn check(self, name: &str, shape: &[usize]) -> Result<()> {
        if !self.ignored.iter().any(|ignored| ignored == name) {
            return Ok(());
        }
        let (path, tensor) = (self.file.path().to_owned(), name.to_owned());
        Err(Error::TensorFile { path, tensor, found: IGNORED.to_owned(), expected: format!("F32 {shape:?}") })
    }
}

/// The message for a tensor that is ignored, but is needed.
const IGNORED: &str = "--ignore for it";

/// All parameters of a model. Nothing is allocated before the tensors are found in the file.
pub(super) fn read(
    source: Source<'_>,
    prefix: &str,
    config: &ModelConfig,
    notes: &mut Vec<String>,
) -> Result<Parameters> {
    let layout = config.layout();
    let mut tensors = Vec::new();
    for entry in layout.entries() {
        let values = tensor(source, prefix, &entry.name, &entry.shape);
        let values = values.map_err(|error| explained(source.file, error))?;
        let name = &entry.name;
        if source.file.find(&format!("{prefix}{name}")).is_none() {
            notes.push(format!("{name} is absent in the file: zeros"));
        } else if entry.shape.len() > 1 && values.iter().all(|value| *value == 0.0) {
            notes.push(format!(
                "every number of {name} is zero: was the file written over while it was read?"
            ));
        }
        tensors.push(values);
    }
    let mut parameters = Parameters::zeros(layout);
    for (entry, values) in parameters.layout.entries().iter().zip(tensors) {
        parameters.values[entry.range.clone()].copy_from_slice(&values);
    }
    Ok(parameters)
}

/// A parameter; zeros for biases that are absent together.
fn tensor(source: Source<'_>, prefix: &str, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
    let theirs = |name: &str| format!("{prefix}{name}");
    let twin = twin(name).or_else(|| (name == "head.bias").then(|| name.to_owned()));
    match twin {
        Some(twin) => {
            source.biases(&[theirs(name), theirs(&twin)], shape).map(|mut both| both.swap_remove(0))
        }
        None => source.floats(&theirs(name), shape),
    }
}

/// Refuses a file with a tensor that was not read.
pub(super) fn finish(file: &TensorFile) -> Result<()> {
    match file.unread().next() {
        None => Ok(()),
        Some(first) => Err(leftover(file, first)),
    }
}

fn leftover(file: &TensorFile, first: &TensorInfo) -> Error {
    let others = file.unread().count() - 1;
    let more = if others > 0 { format!(", nor have {others} more") } else { String::new() };
    let reason = format!(
        "tensor {first} has no place in the model{more}; name a run with such layers (--like RUN), or leave it out \
         (--ignore NAME)"
    );
    refused(file.path(), reason)
}

/// A tensor that does not fit, in the words of an import.
pub(super) fn explained(file: &TensorFile, error: Error) -> Error {
    let Error::TensorFile { tensor, found, expected, .. } = error else { return error };
    let advice = match () {
        () if expected == "a tensor to ignore" => "; leave that --ignore out, or name a tensor of the file",
        () if found == "nothing" => {
            "; the members of the module must be called embedding, rnn and head, and its tensors as PyTorch calls them"
        }
        () if found == IGNORED => "; the model needs it: leave that --ignore out",
        () if expected == "finite numbers" => "; the model would give no numbers: change it in the file",
        // The other types tell what to do.
        () if expected.contains("in Python") => "",
        () => "; change it in the file, or name the run that it came from: --like RUN",
    };
    refused(file.path(), format!("tensor {tensor}: found {found}, expected {expected}{advice}"))
}
