//! Residual and highway connections, forward and backward.
//!
//! Source of the highway layer: Srivastava et al. 2015, <https://arxiv.org/abs/1505.00387>.

use super::activations::{LayerActivations, LayerContext};
use crate::exec::masks::Site;
use crate::settings::Highway;
use unrolled_kernels::activation::{Activate, Function};
use unrolled_kernels::affine::{Affine, Start};
use unrolled_kernels::pack::padded;

impl LayerActivations {
    /// Computes the highway gates from the inputs `x`, and mixes the inputs into the outputs
    /// `finished`.
    pub(super) fn add_highway(&mut self, at: LayerContext<'_>, x: &[f32], finished: &mut [f32]) {
        let Some(highway) = &at.weights.highway else { return };
        let width = at.weights.inputs;
        let piece = 0..width;
        let product = Affine {
            rows: x.len() / padded(width),
            x,
            x_stride: padded(width),
            pieces: std::slice::from_ref(&piece),
            panels: &highway.panels,
            weights: &highway.weight,
            start: Start::Bias(&highway.bias),
            out: &mut self.highway_gates,
        };
        product.run_on(at.isa);
        Activate { function: Function::Sigmoid, values: &mut self.highway_gates }.run_on(at.isa);
        for (out, x, gates) in self.gated_tokens(at, finished, x) {
            for (unit, (out, x)) in out.iter_mut().zip(x).enumerate() {
                let (carry, transform) = gates_of_unit(at.weights.layer.highway, gates, unit, width);
                *out = carry * x + transform * *out;
            }
        }
    }

    /// Iterates over the outputs, inputs and gates of each token.
    fn gated_tokens<'a>(
        &'a self,
        at: LayerContext<'_>,
        out: &'a mut [f32],
        x: &'a [f32],
    ) -> impl Iterator<Item = (&'a mut [f32], &'a [f32], &'a [f32])> {
        let (width, vector) = (at.weights.inputs, padded(at.weights.inputs));
        let gates = padded(at.weights.layer.highway.gates() * width);
        let rows = out
            .chunks_exact_mut(vector)
            .zip(x.chunks_exact(vector))
            .zip(self.highway_gates.chunks_exact(gates));
        rows.map(move |((out, x), gates)| (&mut out[..width], &x[..width], gates))
    }

    /// Splits the gradient of the outputs between the cell, in `dy`, and the skip connection, in
    /// `self.skip`.
    pub(super) fn split_gradient(&mut self, at: LayerContext<'_>, x: &[f32], dy: &mut [f32]) {
        if at.weights.layer.residual {
            self.skip.copy_from_slice(dy);
        }
        let Some(highway) = &at.weights.highway else { return };
        self.split_highway(at, x, dy);
        let gates = at.weights.layer.highway.gates() * at.weights.inputs;
        let piece = 0..gates;
        let product = Affine {
            rows: self.highway_gates.len() / padded(gates),
            x: &self.highway_gates,
            x_stride: padded(gates),
            pieces: std::slice::from_ref(&piece),
            panels: &highway.units,
            weights: &highway.weight_t,
            start: Start::Out,
            out: &mut self.skip,
        };
        product.run_on(at.isa);
    }

    /// Turns `dy` into the gradient of the cell's outputs and the highway gates into their deltas,
    /// and writes the gradient of the carried inputs to `self.skip`.
    fn split_highway(&mut self, at: LayerContext<'_>, x: &[f32], dy: &mut [f32]) {
        let (width, vector) = (at.weights.inputs, padded(at.weights.inputs));
        let kind = at.weights.layer.highway;
        let mut gates_of_tokens = std::mem::take(&mut self.highway_gates);
        let mut skip = std::mem::take(&mut self.skip);
        let (y, mask) = (self.cell_outputs(), &self.masks[Site::Output as usize]);
        let masks_output = self.share(Site::Output).is_some();
        for (token, gates) in gates_of_tokens.chunks_exact_mut(padded(kind.gates() * width)).enumerate() {
            for unit in 0..width {
                let place = token * vector + unit;
                let (carry, transform) = gates_of_unit(kind, gates, unit, width);
                let kept = if masks_output { mask[place] } else { 1.0 };
                let (d, x, y) = (dy[place], x[place], y[place] * kept);
                skip[place] = d * carry;
                dy[place] = d * transform;
                if kind == Highway::Coupled {
                    gates[unit] = d * (x - y) * carry * (1.0 - carry);
                } else {
                    gates[unit] = d * x * carry * (1.0 - carry);
                    gates[width + unit] = d * y * transform * (1.0 - transform);
                }
            }
        }
        (self.highway_gates, self.skip) = (gates_of_tokens, skip);
    }
}

/// Returns the carry and the transform gate of a unit.
fn gates_of_unit(kind: Highway, gates: &[f32], unit: usize, width: usize) -> (f32, f32) {
    let carry = gates[unit];
    (carry, if kind == Highway::Separate { gates[width + unit] } else { 1.0 - carry })
}
