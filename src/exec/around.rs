//! The way around a cell: residual and highway connections, forward and backward.

use super::layer::{At, LayerRun};
use super::masks::Site;
use crate::settings::Highway;
use unrolled_kernels::activation::{Activate, Function};
use unrolled_kernels::affine::{Affine, Start};
use unrolled_kernels::pack::padded;

impl LayerRun {
    /// Computes the gates of a highway from what the layer reads, and mixes that with its outputs.
    pub(super) fn mix_in(&mut self, at: At<'_>, x: &[f32], finished: &mut [f32]) {
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
            out: &mut self.mix,
        };
        product.run_on(at.isa);
        Activate { function: Function::Sigmoid, values: &mut self.mix }.run_on(at.isa);
        for (out, x, gates) in self.rows_of_mix(at, finished, x) {
            for (unit, (out, x)) in out.iter_mut().zip(x).enumerate() {
                let (carry, transform) = mixed(at.weights.layer.highway, gates, unit, width);
                *out = carry * x + transform * *out;
            }
        }
    }

    /// Token by token: outputs, inputs, gates.
    fn rows_of_mix<'a>(
        &'a self,
        at: At<'_>,
        out: &'a mut [f32],
        x: &'a [f32],
    ) -> impl Iterator<Item = (&'a mut [f32], &'a [f32], &'a [f32])> {
        let (width, vector) = (at.weights.inputs, padded(at.weights.inputs));
        let gates = padded(at.weights.layer.highway.gates() * width);
        let rows = out.chunks_exact_mut(vector).zip(x.chunks_exact(vector)).zip(self.mix.chunks_exact(gates));
        rows.map(move |((out, x), gates)| (&mut out[..width], &x[..width], gates))
    }

    /// Splits the gradient between the way through the cell, `dy`, and the way around it.
    pub(super) fn part(&mut self, at: At<'_>, x: &[f32], dy: &mut [f32]) {
        if at.weights.layer.residual {
            self.skip.copy_from_slice(dy);
        }
        let Some(highway) = &at.weights.highway else { return };
        let (width, vector) = (at.weights.inputs, padded(at.weights.inputs));
        let kind = at.weights.layer.highway;
        let stride = padded(kind.gates() * width);
        let mut mix = std::mem::take(&mut self.mix);
        let mut skip = std::mem::take(&mut self.skip);
        let piece = 0..kind.gates() * width;
        let product = |mix: &[f32], out: &mut [f32]| {
            let product = Affine {
                rows: mix.len() / stride,
                x: mix,
                x_stride: stride,
                pieces: std::slice::from_ref(&piece),
                panels: &highway.units,
                weights: &highway.weight_t,
                start: Start::Out,
                out,
            };
            product.run_on(at.isa);
        };
        {
            let y = self.cell_outputs();
            let mask = &self.masks[Site::Output as usize];
            for (token, gates) in mix.chunks_exact_mut(stride).enumerate() {
                for unit in 0..width {
                    let place = token * vector + unit;
                    let (carry, transform) = mixed(kind, gates, unit, width);
                    let masked = if self.share(Site::Output).is_some() { mask[place] } else { 1.0 };
                    let (d, x, y) = (dy[place], x[place], y[place] * masked);
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
        }
        product(&mix, &mut skip);
        (self.mix, self.skip) = (mix, skip);
    }
}

/// A unit's carry and transform gates.
fn mixed(kind: Highway, gates: &[f32], unit: usize, width: usize) -> (f32, f32) {
    let carry = gates[unit];
    (carry, if kind == Highway::Separate { gates[width + unit] } else { 1.0 - carry })
}
