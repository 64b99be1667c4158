//! A bidirectional layer: the inputs of its reverse direction, and the outputs of both directions.
//!
//! ```text
//! token (t, row)  <->  (length of the row - 1 - t, row)
//!
//! forward     x_r = reversed x            y = y_f, reversed y_r      side by side
//! backward    dy_f, reversed dy_r = dy    dx = dx_f + reversed dx_r
//! ```
//!
//! 1. The reverse direction reads each row from its own last step to its first. Its steps have as
//!    many active rows as those of the forward direction, so both run on windows of one shape.
//! 2. Both run as layers of their own, one after the other, with all their options. A layer has one
//!    entry for each direction; the buffers here belong to the reverse one.
//! 3. If only the last outputs of the model are needed, those of its last layer are the last ones of
//!    each direction: y_r is not reversed then, so that both are at the last token of a row.

use super::activations::{LayerActivations, LayerContext};
use crate::model::cell::resize;
use unrolled_kernels::WindowShape;
use unrolled_kernels::pack::padded;

/// For each token of a shard `[N]`, the token in its place in the reverse direction.
#[derive(Clone, Debug, Default)]
pub(crate) struct MirroredTokens {
    tokens: Vec<u32>,
    /// `[T]`: the first token of each step.
    starts: Vec<u32>,
}

impl MirroredTokens {
    /// Takes the shape of a window.
    pub(crate) fn set(&mut self, window: WindowShape<'_>) {
        let Self { tokens, starts } = self;
        let mut next = 0;
        starts.clear();
        starts.extend((0..window.steps).map(|t| {
            next += window.active(t) as u32;
            next - window.active(t) as u32
        }));
        resize(tokens, window.tokens(), window.steps * window.rows);
        let mut length = window.steps;
        for row in 0..window.rows {
            // The rows are sorted, the longest first.
            while length > 0 && window.active(length - 1) <= row {
                length -= 1;
            }
            for (start, mirrored) in starts[..length].iter().zip(starts[..length].iter().rev()) {
                tokens[*start as usize + row] = mirrored + row as u32;
            }
        }
    }

    /// Returns the token in the place of `token`. It is its own inverse.
    pub(crate) fn of(&self, token: usize) -> usize {
        self.tokens[token] as usize
    }
}

/// The buffers of a bidirectional layer, at its reverse direction. Empty at other directions.
#[derive(Clone, Debug, Default)]
pub(crate) struct BothDirections {
    pub(crate) is_reverse: bool,
    /// [N, padded(E)]: the inputs, in the order in which the reverse direction reads them.
    inputs: Vec<f32>,
    /// [N, padded(2 P)]: the outputs of both directions side by side, in the order of the window.
    outputs: Vec<f32>,
}

impl BothDirections {
    pub(crate) fn new(is_reverse: bool) -> Self {
        Self { is_reverse, ..Self::default() }
    }

    /// Takes the sizes of another window, for E = `inputs` and P = `outputs`.
    pub(crate) fn resize(&mut self, window: WindowShape<'_>, [inputs, outputs]: [usize; 2]) {
        if self.is_reverse {
            let (tokens, most) = (window.tokens(), window.steps * window.rows);
            resize(&mut self.inputs, tokens * padded(inputs), most * padded(inputs));
            resize(&mut self.outputs, tokens * padded(2 * outputs), most * padded(2 * outputs));
        }
    }

    /// The inputs of the reverse direction [N, padded(E)].
    pub(crate) fn inputs(&self) -> &[f32] {
        &self.inputs
    }

    /// The outputs of both directions [N, padded(2 P)].
    pub(crate) fn outputs(&self) -> &[f32] {
        &self.outputs
    }

    /// Takes the inputs of the layer in reverse order.
    pub(crate) fn read(&mut self, at: LayerContext<'_>, mirrored: &MirroredTokens, inputs: &[f32]) {
        let width = padded(at.weights.inputs);
        at.tokens(&mut self.inputs, width, &|token, to| {
            to.copy_from_slice(&inputs[mirrored.of(token) * width..][..width]);
        });
    }

    /// Puts the outputs [N, padded(P)] of both directions side by side. `place` returns the token of
    /// the reverse direction that belongs to a token.
    pub(crate) fn join(
        &mut self,
        at: LayerContext<'_>,
        place: &(impl Fn(usize) -> usize + Sync),
        [forward, reverse]: [&[f32]; 2],
    ) {
        let width = at.weights.outputs;
        at.tokens(&mut self.outputs, padded(2 * width), &|token, to| {
            to[..width].copy_from_slice(&forward[token * padded(width)..][..width]);
            to[width..2 * width].copy_from_slice(&reverse[place(token) * padded(width)..][..width]);
        });
    }
}

/// The outputs of the last of some layers; `None` if there is none. `both` belongs to the same
/// directions as `layers`.
pub(crate) fn outputs_of<'a>(
    layers: &'a [LayerActivations],
    both: &'a [BothDirections],
) -> Option<&'a [f32]> {
    match both.last() {
        Some(both) if both.is_reverse => Some(both.outputs()),
        _ => layers.last().map(LayerActivations::outputs),
    }
}

/// Copies the gradient [N, padded(P)] of the outputs of the reverse direction out of that of both,
/// `dy` [N, padded(2 P)]. `place` is that of [`BothDirections::join`], which is its own inverse.
pub(crate) fn reverse_gradient(
    at: LayerContext<'_>,
    place: &(impl Fn(usize) -> usize + Sync),
    dy: &[f32],
    reverse: &mut [f32],
) {
    let width = at.weights.outputs;
    at.tokens(reverse, padded(width), &|token, to| {
        to[..width].copy_from_slice(&dy[place(token) * padded(2 * width) + width..][..width]);
        to[width..].fill(0.0);
    });
}

/// Copies the gradient [N, padded(P)] of the outputs of the forward direction out of that of both.
pub(crate) fn forward_gradient(at: LayerContext<'_>, dy: &[f32], forward: &mut [f32]) {
    let width = at.weights.outputs;
    at.tokens(forward, padded(width), &|token, to| {
        to[..width].copy_from_slice(&dy[token * padded(2 * width)..][..width]);
        to[width..].fill(0.0);
    });
}

/// Adds the gradient of the inputs of the reverse direction to that of the forward direction, both
/// [N, padded(E)].
pub(crate) fn add_reverse(
    at: LayerContext<'_>,
    mirrored: &MirroredTokens,
    reverse: &[f32],
    forward: &mut [f32],
) {
    let width = padded(at.weights.inputs);
    at.tokens(forward, width, &|token, to| {
        let from = &reverse[mirrored.of(token) * width..][..width];
        to.iter_mut().zip(from).for_each(|(to, from)| *to += from);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_reversed_within_its_own_length() {
        let mut mirrored = MirroredTokens::default();
        // Rows of 4, 2 and 0 steps; tokens 0 1 | 2 3 | 4 | 5.
        let ragged = WindowShape { steps: 4, rows: 3, hidden: 0, keep: false, active: &[2, 2, 1, 1] };
        mirrored.set(ragged);
        assert_eq!(mirrored.tokens, [5, 3, 4, 1, 2, 0]);
        (0..6).for_each(|token| assert_eq!(mirrored.of(mirrored.of(token)), token));
        mirrored.set(WindowShape { steps: 2, rows: 2, active: &[], ..ragged });
        assert_eq!(mirrored.tokens, [2, 3, 0, 1]);
        mirrored.set(WindowShape { steps: 2, rows: 2, active: &[0, 0], ..ragged });
        assert!(mirrored.tokens.is_empty());
    }
}
