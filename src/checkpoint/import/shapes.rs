//! Finds the settings that the tensors of a file fit.

use super::{
    super::{
        layer_shapes,
        member_names::{MemberNames, omitted_together},
        tensor_file::TensorFile,
    },
    failure::failed,
    weights::explained,
};
use crate::{
    Activation, Cell, ForgetBiasAt, InputKind, Layer, ModelSettings, Reset, Result, Settings,
    model::{ParameterLayout, TensorEntry},
};

/// Finds the prefix of the model's tensor names, before `rnn.weight_ih_l0`: an outer module, or
/// nothing.
pub(super) fn prefix(file: &TensorFile) -> String {
    const FIRST: &str = "rnn.weight_ih_l0";
    if file.find(FIRST).is_some() {
        return String::new();
    }
    let around =
        |name: &str| name.strip_suffix(FIRST).filter(|prefix| prefix.ends_with('.')).map(str::to_owned);
    let mut found = file.names().filter(|name| !name.starts_with("optimizer.")).filter_map(around);
    match (found.next(), found.next()) {
        (Some(prefix), None) => prefix,
        _ => String::new(),
    }
}

/// Returns whether the file has the tensors of a layout, and no other tensor of its members.
pub(super) fn fit(file: &TensorFile, names: &MemberNames, layout: &ParameterLayout) -> bool {
    let has = |entry: &TensorEntry| match file.find(&names.in_file(&entry.name)) {
        Some(tensor) => tensor.shape == entry.shape,
        None => omitted_together(&entry.name).is_some(),
    };
    let known: Vec<String> = layout.entries().iter().map(|entry| names.in_file(&entry.name)).collect();
    let members = [&names.embedding, &names.rnn, &names.head];
    let of_model = |name: &str| members.iter().any(|member| name.starts_with(member.as_str()));
    let mut unread = file.unread().map(|tensor| &tensor.name);
    layout.entries().iter().all(has) && unread.all(|name| !of_model(name) || known.contains(name))
}

/// Returns the settings of `like` with the layers that the file's shapes tell. `chosen` are the
/// options that no shape tells.
pub(super) fn infer(
    file: &TensorFile,
    names: &MemberNames,
    like: &Settings,
    chosen: (Option<Activation>, Option<Reset>),
) -> Result<Settings> {
    let embedding = file.find(&format!("{}weight", names.embedding)).map(|tensor| tensor.shape.as_slice());
    let input = if embedding.is_some() { InputKind::Embedding } else { InputKind::OneHot };
    let embedding = embedding.and_then(|shape| shape.get(1).copied());
    let mut stack = layer_shapes::layers(file, &names.rnn).map_err(|error| explained(file, error))?;
    if stack.is_empty() {
        let reason = "it has no tensor rnn.weight_ih_l0; the members of the module must be called embedding, rnn and head, \
                      and its tensors as in PyTorch";
        return Err(failed(file.path(), reason));
    }
    for (number, layer) in stack.iter_mut().enumerate() {
        choose(layer, number, like, chosen).map_err(|reason| failed(file.path(), reason))?;
    }
    let plain = stack[0].projection.is_none() && !stack[0].bidirectional;
    let flat = plain && stack.iter().all(|layer| *layer == stack[0]);
    let Layer { cell, hidden, activation, reset, .. } = stack[0];
    let model = ModelSettings {
        cell,
        hidden,
        activation,
        reset,
        layers: stack.len(),
        forget_bias_at: ForgetBiasAt::Initial,
        stack: if flat { Vec::new() } else { stack },
        input,
        embedding,
        ..like.model.clone()
    };
    Ok(Settings { model, ..like.clone() })
}

/// Sets the options of a layer that no shape tells: those chosen, or else those of the same layer
/// of `like`.
fn choose(
    layer: &mut Layer,
    number: usize,
    like: &Settings,
    (activation, reset): (Option<Activation>, Option<Reset>),
) -> Result<(), String> {
    let known = like.model.stack().get(number).cloned();
    let known = known.filter(|known| known.custom.is_none() && known.cell == layer.cell);
    match layer.cell {
        Cell::Rnn => {
            let activation = activation.or(known.map(|known| known.activation));
            layer.activation = activation.ok_or_else(|| {
                format!(
                    "rnn.weight_hh_l{number} belongs to an RNN, and no shape tells its activation; give --activation tanh or relu"
                )
            })?;
        }
        Cell::Gru => layer.reset = reset.or(known.map(|known| known.reset)).unwrap_or_default(),
        Cell::Lstm => {}
    }
    layer.forget_bias = like.model.forget_bias;
    Ok(())
}
