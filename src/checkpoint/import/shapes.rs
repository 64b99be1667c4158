//! The layers of a model from the shapes of its tensors.

use super::TensorFile;
use crate::{
    Activation, Cell, ForgetBiasAt, InputKind, Layer, ModelSettings, Reset, Settings,
    model::{Entry, Layout},
    network::twin,
};

/// The prefix of the model's tensor names, before `rnn.weight_ih_l0`: an outer module, or nothing.
pub(super) fn prefix(file: &TensorFile) -> String {
    const FIRST: &str = "rnn.weight_ih_l0";
    if file.find(FIRST).is_some() {
        return String::new();
    }
    let around =
        |name: &str| name.strip_suffix(FIRST).filter(|prefix| prefix.ends_with('.')).map(str::to_owned);
    let names = file.tensors().iter().map(|tensor| tensor.name.as_str());
    let mut found = names.filter(|name| !name.starts_with("optimizer.")).filter_map(around);
    match (found.next(), found.next()) {
        (Some(prefix), None) => prefix,
        _ => String::new(),
    }
}

/// Whether the file has the tensors of a layout, and none of the model besides.
pub(super) fn fit(file: &TensorFile, prefix: &str, layout: &Layout) -> bool {
    let has = |entry: &Entry| match file.find(&format!("{prefix}{}", entry.name)) {
        Some(tensor) => tensor.shape == entry.shape,
        None => twin(&entry.name).is_some() || entry.name == "head.bias",
    };
    let of_model = |name: &str| ["embedding.", "rnn.", "head."].iter().any(|member| name.starts_with(member));
    let mut names = file.unread().filter_map(|tensor| tensor.name.strip_prefix(prefix));
    layout.entries().iter().all(has) && names.all(|name| !of_model(name) || layout.find(name).is_some())
}

/// The settings of `like` with the layers that the file's shapes tell; what they leave open is `chosen`.
pub(super) fn infer(
    file: &TensorFile,
    prefix: &str,
    like: &Settings,
    chosen: (Option<Activation>, Option<Reset>),
) -> Result<Settings, String> {
    let embedding = file.find(&format!("{prefix}embedding.weight")).map(|tensor| tensor.shape.as_slice());
    let input = if embedding.is_some() { InputKind::Embedding } else { InputKind::OneHot };
    let embedding = embedding.and_then(|shape| shape.get(1).copied());
    let count =
        (0..).take_while(|layer| file.find(&format!("{prefix}rnn.weight_ih_l{layer}")).is_some()).count();
    if count == 0 {
        return Err("it has no tensor rnn.weight_ih_l0; the members of the module must be called embedding, rnn and head, \
                    and its tensors as PyTorch calls them"
            .to_owned());
    }
    let stack: Vec<Layer> =
        (0..count).map(|number| layer(file, prefix, number, like, chosen)).collect::<Result<_, _>>()?;
    let flat = stack.iter().all(|layer| *layer == stack[0]) && stack[0].projection.is_none();
    let Layer { cell, hidden, activation, reset, .. } = stack[0];
    Ok(Settings {
        model: ModelSettings {
            cell,
            hidden,
            activation,
            reset,
            layers: count,
            forget_bias_at: ForgetBiasAt::Initial,
            stack: if flat { Vec::new() } else { stack },
            input,
            embedding,
            ..like.model.clone()
        },
        ..like.clone()
    })
}

fn layer(
    file: &TensorFile,
    prefix: &str,
    number: usize,
    like: &Settings,
    (activation, reset): (Option<Activation>, Option<Reset>),
) -> Result<Layer, String> {
    let shape = |name: &str| matrix(file, prefix, &format!("rnn.{name}_l{number}"));
    let name = format!("rnn.weight_hh_l{number}");
    let Some([rows, state]) = shape("weight_hh")? else {
        return Err(format!("tensor {name}: found nothing, expected [gates * hidden, hidden]"));
    };
    let projection = shape("weight_hr")?;
    let hidden = projection.map_or(state, |[_, hidden]| hidden);
    let gates = rows.checked_div(hidden).filter(|gates| gates * hidden == rows);
    let known = like.model.stack().get(number).cloned().filter(|layer| layer.custom.is_none());
    let as_in_like = |cell: Cell| known.filter(|layer| layer.cell == cell);
    let plain = match (gates, projection) {
        (Some(4), _) => Layer { projection: projection.map(|[width, _]| width), ..Layer::lstm(hidden) },
        (Some(3), None) => {
            let like = as_in_like(Cell::Gru).map(|layer| layer.reset);
            Layer { reset: reset.or(like).unwrap_or_default(), ..Layer::gru(hidden) }
        }
        (Some(1), None) => {
            let like = as_in_like(Cell::Rnn).map(|layer| layer.activation);
            let activation = activation.or(like).ok_or_else(|| untold(&name))?;
            Layer { activation, ..Layer::rnn(hidden) }
        }
        _ => {
            return Err(format!(
                "tensor {name} has the shape [{rows}, {state}], expected 4 (LSTM), 3 (GRU) or 1 (RNN) times {hidden} rows"
            ));
        }
    };
    Ok(Layer { forget_bias: like.model.forget_bias, ..plain })
}

fn untold(name: &str) -> String {
    format!(
        "{name} is that of a vanilla RNN, and no shape tells its activation; give --activation tanh or relu"
    )
}

/// The shape of a matrix, if the file has it.
fn matrix(file: &TensorFile, prefix: &str, name: &str) -> Result<Option<[usize; 2]>, String> {
    let Some(tensor) = file.find(&format!("{prefix}{name}")) else { return Ok(None) };
    match <[usize; 2]>::try_from(tensor.shape.as_slice()) {
        Ok(shape) => Ok(Some(shape)),
        Err(_) => Err(format!("tensor {name}: found {} {:?}, expected a matrix", tensor.dtype, tensor.shape)),
    }
}
