//! Reads the weights of a model, and explains the tensors that do not fit.

use super::{
    super::{
        member_names::{MemberNames, assemble, omitted_together},
        tensor_file::TensorFile,
        tensor_info::TensorInfo,
    },
    failure::failed,
    selected_tensors::{IGNORED, SelectedTensors},
};
use crate::{
    Error, Result,
    model::{ModelConfig, Parameters, TensorEntry},
};

/// Reads all parameters of a model.
pub(super) fn read(
    selected: SelectedTensors<'_>,
    names: &MemberNames,
    config: &ModelConfig,
    notes: &mut Vec<String>,
) -> Result<Parameters> {
    let layout = config.layout();
    let mut tensors = Vec::new();
    for entry in layout.entries() {
        let values = parameter(selected, names, entry).map_err(|error| explained(selected.file, error))?;
        let name = &entry.name;
        if selected.file.find(&names.in_file(name)).is_none() {
            notes.push(format!("{name} is absent in the file: zeros"));
        } else if entry.shape.len() > 1 && values.iter().all(|value| *value == 0.0) {
            notes
                .push(format!("every number of {name} is zero: was the file overwritten while it was read?"));
        }
        tensors.push(values);
    }
    Ok(assemble(layout, tensors))
}

fn parameter(selected: SelectedTensors<'_>, names: &MemberNames, entry: &TensorEntry) -> Result<Vec<f32>> {
    let TensorEntry { name, shape, .. } = entry;
    selected.check(&names.in_file(name), shape)?;
    omitted_together(name).map_or(Ok(()), |other| selected.check(&names.in_file(&other), shape))?;
    names.read(selected.file, name, shape)
}

/// Checks that every tensor of the file was read.
pub(super) fn finish(file: &TensorFile) -> Result<()> {
    match file.unread().next() {
        None => Ok(()),
        Some(first) => Err(unused(file, first)),
    }
}

fn unused(file: &TensorFile, first: &TensorInfo) -> Error {
    let others = file.unread().count() - 1;
    let more = if others > 0 { format!(", nor have {others} more") } else { String::new() };
    let reason = format!(
        "tensor {first} has no place in the model{more}; name a run with such layers (--like RUN), or leave it out \
         (--ignore NAME)"
    );
    failed(file.path(), reason)
}

/// The error of an import for a tensor that does not fit.
pub(super) fn explained(file: &TensorFile, error: Error) -> Error {
    let Error::TensorFile { tensor, found, expected, .. } = error else { return error };
    let advice = match () {
        () if expected == "a tensor to ignore" => "; leave that --ignore out, or name a tensor of the file",
        () if found == "nothing" => {
            "; the members of the module must be called embedding, rnn and head, and its tensors as in PyTorch"
        }
        () if found == IGNORED => "; the model needs it: leave that --ignore out",
        () if expected == "finite numbers" => "; the model would compute no numbers: change it in the file",
        // The errors for other number types say what to do.
        () if expected.contains("in Python") => "",
        () => "; change it in the file, or name the run that it came from: --like RUN",
    };
    failed(file.path(), format!("tensor {tensor}: found {found}, expected {expected}{advice}"))
}
