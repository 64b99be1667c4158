//! Finds the layers of a recurrent module from the shapes of its tensors.

use super::tensor_file::TensorFile;
use crate::{Activation, Cell, Layer, Reset, Result};

/// Returns the layers of the module whose tensor names start with `prefix`, each with the default
/// options of its cell; no layer if the file has no `weight_ih_l0`.
///
/// The rows of `weight_hh_l{l}` [gates * H, H] tell the cell: 4 H is an LSTM, 3 H a GRU, H an RNN.
/// With a projection `weight_hr_l{l}` [P, H], `weight_hh_l{l}` is [4 H, P]. A layer with
/// `weight_ih_l{l}_reverse` is bidirectional, unless that tensor is to be ignored.
pub(super) fn layers(file: &TensorFile, prefix: &str) -> Result<Vec<Layer>> {
    let is_there = |number: &usize| file.find(&format!("{prefix}weight_ih_l{number}")).is_some();
    let both = |number| file.offers(&format!("{prefix}weight_ih_l{number}_reverse"));
    let layer = |number| Ok(Layer { bidirectional: both(number), ..layer(file, prefix, number)? });
    (0..).take_while(is_there).map(layer).collect()
}

fn layer(file: &TensorFile, prefix: &str, number: usize) -> Result<Layer> {
    let name = format!("{prefix}weight_hh_l{number}");
    let Some([rows, state]) = file.matrix_shape(&name)? else {
        return Err(file.mismatch(&name, "nothing", "[gates * hidden, hidden]"));
    };
    let projection = file.matrix_shape(&format!("{prefix}weight_hr_l{number}"))?;
    of_shapes([rows, state], projection)
        .map_err(|expected| file.mismatch(&name, format!("shape [{rows}, {state}]"), expected))
}

/// Returns the layer with these shapes of `weight_hh` and `weight_hr`, or what was expected.
pub(crate) fn of_shapes(
    [rows, state]: [usize; 2],
    projection: Option<[usize; 2]>,
) -> std::result::Result<Layer, String> {
    let hidden = projection.map_or(state, |[_, hidden]| hidden);
    let gates = rows.checked_div(hidden).filter(|gates| gates.checked_mul(hidden) == Some(rows));
    match (gates, projection) {
        (Some(4), None) => Ok(Layer::lstm(hidden)),
        (Some(4), Some([width, _])) if width == state => {
            Ok(Layer { projection: Some(width), ..Layer::lstm(hidden) })
        }
        (Some(3), None) => Ok(Layer::gru(hidden)),
        (Some(1), None) => Ok(Layer::rnn(hidden)),
        _ => Err(format!("4 (LSTM), 3 (GRU) or 1 (RNN) times {hidden} rows")),
    }
}

/// Checks that the options that no shape tells, if they are given, belong to a layer.
pub(crate) fn check_chosen(
    layers: &[&Layer],
    activation: Option<Activation>,
    reset: Option<Reset>,
) -> std::result::Result<(), String> {
    let given = [("activation", activation.is_some(), Cell::Rnn), ("reset", reset.is_some(), Cell::Gru)];
    let lacks = |cell: Cell| layers.iter().all(|layer| layer.cell != cell);
    match given.into_iter().find(|(_, given, cell)| *given && lacks(*cell)) {
        None => Ok(()),
        Some((option, _, cell)) => {
            let cell = cell.name().to_uppercase();
            Err(format!("--{option} is for a layer of kind {cell}, and it has none; leave it out"))
        }
    }
}
