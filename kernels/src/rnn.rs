//! The vanilla RNN ([Elman 1990]), as in [PyTorch], with the activations of TensorFlow's
//! [`BasicRNNCell`]:
//!
//! ```text
//! h' = f(W x + b + R h)      f: tanh, relu, sigmoid, identity;  b: PyTorch's two bias vectors, summed
//! delta = dh f'              tanh' = 1 - h'^2, relu' = [h' > 0], sigmoid' = h' (1 - h')
//! dh = delta R               for the step before
//! ```
//!
//! 1. There is one gate. So a tile is R rows by up to 64 units, forward and backward.
//! 2. sigmoid(0) is not 0, so an RNN with sigmoid writes zeros behind the last unit.
//!
//! [Elman 1990]: https://doi.org/10.1207/s15516709cog1402_1
//! [PyTorch]: https://pytorch.org/docs/stable/generated/torch.nn.RNN.html
//! [`BasicRNNCell`]: https://www.tensorflow.org/versions/r1.15/api_docs/python/tf/nn/rnn_cell/BasicRNNCell

use crate::backward_tile::{BackwardTile, Differentiate, GradientStart};
use crate::dispatch::Isa;
use crate::input::{HiddenRows, Input};
use crate::math::{sigmoid, tanh};
use crate::microkernel::TileSums;
use crate::pack::{Panel, PanelWidths, Panels, Slots, padded};
use crate::simd::{Kernel, Simd};
use crate::sweep::{TileRows, Tiled, sweep};
use crate::window::{StepRows, WindowShape};
use core::ops::Range;

/// The only gate of `weight_ih` and `weight_hh`.
pub const GATES: &[usize] = &[0];

/// Returns the slot of an RNN's deltas.
pub fn slots(hidden: usize) -> Slots {
    Slots { hidden, stored: 1, first: 0, gates: GATES }
}

/// The activation of a vanilla RNN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// tanh(x)
    Tanh,
    /// max(0, x)
    Relu,
    /// 1 / (1 + e^-x)
    Sigmoid,
    /// x
    Identity,
}

impl Activation {
    #[inline(always)]
    fn apply<S: Simd>(self, s: S, x: S::F) -> S::F {
        match self {
            Self::Tanh => tanh(s, x),
            Self::Relu => s.max(s.splat(0.0), x),
            Self::Sigmoid => sigmoid(s, x),
            Self::Identity => x,
        }
    }

    /// Returns dh f', from the output h.
    #[inline(always)]
    fn differentiate<S: Simd>(self, s: S, dh: S::F, h: S::F) -> S::F {
        match self {
            Self::Tanh => s.mul(dh, s.fnma(h, h, s.splat(1.0))),
            Self::Relu => s.where_positive(h, dh),
            Self::Sigmoid => s.mul(dh, s.mul(h, s.sub(s.splat(1.0), h))),
            Self::Identity => dh,
        }
    }
}

/// The forward pass of one layer's window.
#[derive(Debug)]
pub struct RnnForward<'a> {
    /// T, B, H.
    pub window: WindowShape<'a>,
    /// The activation.
    pub activation: Activation,
    /// Bias or table, and dense input, packed by `Panels::plain(H)`.
    pub input: Input<'a>,
    /// `weight_hh`, packed the same way.
    pub recurrent: &'a [f32],
    /// `Panels::plain(H)`.
    pub panels: &'a Panels,
    /// [B + N, padded(H)]: the initial state, then the state after each step.
    pub h: &'a mut [f32],
}

/// The backward pass of one layer's window.
#[derive(Debug)]
pub struct RnnBackward<'a> {
    /// T, B, H; `keep` is set.
    pub window: WindowShape<'a>,
    /// The activation.
    pub activation: Activation,
    /// `weight_hh`, packed transposed over `slots(H)`.
    pub recurrent: &'a [f32],
    /// `Panels::plain(H)`.
    pub panels: &'a Panels,
    /// `slots(H).pieces()`.
    pub pieces: &'a [Range<usize>],
    /// From the forward pass.
    pub h: &'a [f32],
    /// [N, padded(H)]: gradient of each step's output from above.
    pub dh: &'a [f32],
    /// [N, padded(H)]: written, except for the upper half of a last block if it is only padding.
    pub deltas: &'a mut [f32],
}

impl RnnForward<'_> {
    /// Computes the window.
    ///
    /// # Panics
    /// If a slice has the wrong length.
    pub fn run_on(self, isa: Isa) {
        let window = self.window;
        self.input.check(&window, &slots(window.hidden), padded(window.hidden), 0);
        window.check("h", self.h.len(), window.states() * padded(window.hidden));
        window.check("recurrent", self.recurrent.len(), self.panels.len(window.hidden));
        self.panels.check_plain(window.hidden);
        isa.run_rows(window.rows, self);
    }
}

impl Kernel for RnnForward<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let (window, stride) = (self.window, padded(self.window.hidden));
        let (h, sums) = (self.h.as_mut_ptr(), TileSums::new());
        for at in window.forward_steps() {
            // SAFETY: `run_on` has checked every length against these offsets.
            unsafe {
                let tile = RnnForwardTile {
                    window,
                    activation: self.activation,
                    token: at.token,
                    input: &self.input,
                    recurrent: self.recurrent.as_ptr(),
                    panels: self.panels,
                    sums: &sums,
                    h: h.add(at.before * stride),
                    h_next: h.add(at.after() * stride),
                };
                sweep(s, at.active, self.panels.panels().len(), &tile);
            }
        }
    }
}

struct RnnForwardTile<'a> {
    window: WindowShape<'a>,
    activation: Activation,
    token: usize,
    input: &'a Input<'a>,
    recurrent: *const f32,
    panels: &'a Panels,
    sums: &'a TileSums,
    h: *mut f32,
    h_next: *mut f32,
}

impl<S: Simd> Tiled<S> for RnnForwardTile<'_> {
    #[inline(always)]
    fn widths(&self, panel: usize) -> PanelWidths {
        self.panels.panels()[panel].widths()
    }

    #[inline(always)]
    unsafe fn compute(&self, s: S, TileRows { row, rows, panel, half, width }: TileRows) {
        let (hidden, stride) = (self.window.hidden, padded(self.window.hidden));
        let Panel { before, width: whole, .. } = self.panels.panels()[panel];
        let first = before * 16 + half;
        let h = self.h.wrapping_add(row * stride);
        let hidden = HiddenRows { h, row: stride, units: hidden, weights: self.recurrent };
        let place = ((stride, first, 16), (before, whole, half));
        let tile = (self.token + row, rows, width);
        // SAFETY: rows, panel and half exist (`sweep`), and the lengths were checked.
        unsafe {
            self.input.preactivate(s, tile, place, |dense| dense.weights, hidden, self.sums);
            for r in 0..rows {
                for w in 0..width {
                    let sum = s.load(self.sums.base().add(r * TileSums::ROW + w * 16));
                    let unit = first + w * 16;
                    self.activate(s, sum, unit, self.h_next.add((row + r) * stride + unit));
                }
            }
        }
    }
}

impl RnnForwardTile<'_> {
    /// Stores the outputs of the vector of units from `unit` on, from their pre-activations.
    ///
    /// # Safety
    /// `to` is the place of that vector in a hidden vector.
    #[inline(always)]
    unsafe fn activate<S: Simd>(&self, s: S, sum: S::F, unit: usize, to: *mut f32) {
        let value = self.activation.apply(s, sum);
        // SAFETY: the caller vouches for `to`.
        unsafe {
            if self.activation == Activation::Sigmoid {
                // Zeros behind the last unit, where sigmoid gives 1/2.
                let lanes = self.window.hidden.saturating_sub(unit).min(S::LANES);
                s.store(to, s.splat(0.0));
                s.store_up_to(to, lanes, value);
            } else {
                s.store(to, value);
            }
        }
    }
}

impl RnnBackward<'_> {
    /// Computes the window from its last step to its first.
    ///
    /// # Panics
    /// If a slice has the wrong length.
    pub fn run_on(self, isa: Isa) {
        let window = self.window;
        window.check_kept();
        window.check("h", self.h.len(), window.states() * padded(window.hidden));
        window.check("dh", self.dh.len(), window.tokens() * padded(window.hidden));
        window.check("deltas", self.deltas.len(), window.tokens() * padded(window.hidden));
        window.check("recurrent", self.recurrent.len(), self.panels.len(window.hidden));
        self.panels.check_plain(window.hidden);
        slots(window.hidden).check_pieces(self.pieces);
        isa.run_rows(window.rows, self);
    }
}

impl Kernel for RnnBackward<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let (window, stride) = (self.window, padded(self.window.hidden));
        let (deltas, sums) = (self.deltas.as_mut_ptr(), TileSums::new());
        for (at, StepRows { first, rows, pieces }) in window.backward(self.pieces) {
            let token = (at.token + first) * stride;
            // SAFETY: `run_on` has checked every length against these offsets.
            unsafe {
                let tile = BackwardTile {
                    stride,
                    depth: window.hidden,
                    recurrent: self.recurrent.as_ptr(),
                    panels: self.panels,
                    pieces,
                    deltas: deltas.wrapping_add((at.token + at.active) * stride),
                    start: GradientStart::Above(self.dh.as_ptr().add(token)),
                    sums: &sums,
                    cell: RnnBackwardStep {
                        activation: self.activation,
                        h: self.h.as_ptr().add(window.step() + token),
                        deltas: deltas.add(token),
                    },
                };
                sweep(s, rows, self.panels.panels().len(), &tile);
            }
        }
    }
}

/// The buffers of one step.
struct RnnBackwardStep {
    activation: Activation,
    /// The outputs.
    h: *const f32,
    deltas: *mut f32,
}

impl<S: Simd> Differentiate<S> for RnnBackwardStep {
    const STORED: usize = 1;

    #[inline(always)]
    unsafe fn finish(&self, s: S, dh: S::F, unit: usize, gate: usize) {
        // SAFETY: the caller vouches for `unit` and `gate`.
        unsafe {
            let h = s.load(self.h.add(unit));
            s.store(self.deltas.add(gate), self.activation.differentiate(s, dh, h));
        }
    }
}
