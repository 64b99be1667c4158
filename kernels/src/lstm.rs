//! The LSTM ([Hochreiter and Schmidhuber 1997], with the forget gate of [Gers et al. 2000]), as in
//! [PyTorch]:
//!
//! ```text
//! i = sigmoid(W_i x + b_i + R_i h)     c' = f c + i g
//! f = sigmoid(W_f x + b_f + R_f h)     h' = o tanh(c')
//! g =    tanh(W_g x + b_g + R_g h)
//! o = sigmoid(W_o x + b_o + R_o h)     b: PyTorch's two bias vectors, summed
//! ```
//!
//! Backward, for dh = dL/dh' and for dc = dL/dc', carried from the next step:
//!
//! ```text
//! dc = dc + dh o (1 - tanh(c')^2)
//! do = dh tanh(c') o (1 - o)           di = dc g i (1 - i)
//! df = dc c f (1 - f)                  dg = dc i (1 - g^2)
//! dc = dc f  and  dh = delta R         for the step before
//! ```
//!
//! 1. A tile is R rows by the four gates of sixteen units. Its pre-activations never leave the
//!    first-level cache. Only the activated gates are stored, in slots i, f, g, o.
//! 2. The backward tile is R rows by up to 64 units. Its product is delta R of the next step,
//!    started from the gradient from above. Then it writes the deltas over the gates.
//! 3. The gradients of weights come after the loop over steps.
//!
//! [Hochreiter and Schmidhuber 1997]: https://doi.org/10.1162/neco.1997.9.8.1735
//! [Gers et al. 2000]: https://doi.org/10.1162/089976600300015015
//! [PyTorch]: https://pytorch.org/docs/stable/generated/torch.nn.LSTM.html

pub mod extended;

use crate::isa::Isa;
use crate::math::{sigmoid, sigmoid_slope, tanh, tanh_slope};
use crate::pack::{Slots, padded};
use crate::pass::backward_tile::DeltaCell;
use crate::pass::gate_tile::{GateCell, RowSums};
use crate::pass::step::{AtStep, StepOffsets, VectorPlace};
use crate::pass::{BackwardCell, BackwardWindow, ForwardWindow, OnePhaseBackward, OnePhaseForward};
use crate::simd::Simd;
use crate::team::WindowPass;

/// The gates of `weight_ih` and of `weight_hh`, in PyTorch's order: i, f, g, o.
pub const GATES: &[usize] = &[0, 1, 2, 3];

/// Returns the slots of an LSTM's gates.
pub fn slots(hidden: usize) -> Slots {
    Slots { hidden, stored: 4, first: 0, gates: GATES }
}

/// The forward pass of one layer's window. Dense input and `weight_hh` are packed by
/// `Panels::gates(&slots(H))`.
#[derive(Debug)]
pub struct LstmForward<'a> {
    /// The buffers of all cells.
    pub pass: ForwardWindow<'a>,
    /// [B + N, padded(H)]: c, like h; [B, padded(H)] without `keep`.
    pub c: &'a mut [f32],
    /// [N, padded(H) / 16, 4, 16]: activated gates; one step without `keep`.
    pub gates: &'a mut [f32],
    /// [N, padded(H)]: tanh(c'); one step without `keep`.
    pub tanh_c: &'a mut [f32],
}

/// The backward pass of one layer's window. `weight_hh` is packed over `slots(H)`.
#[derive(Debug)]
pub struct LstmBackward<'a> {
    /// The buffers of all cells.
    pub pass: BackwardWindow<'a>,
    /// From the forward pass.
    pub c: &'a [f32],
    /// From the forward pass.
    pub tanh_c: &'a [f32],
    /// [B, padded(H)]: gradient of each row's last c in, gradient of its initial c out.
    pub dc: &'a mut [f32],
}

impl<'a> WindowPass for LstmForward<'a> {
    type Shared = OnePhaseForward<'a, LstmGates>;

    fn rows(&self) -> usize {
        self.pass.window.rows
    }

    fn share(self, isa: Isa) -> OnePhaseForward<'a, LstmGates> {
        let (window, slots) = (self.pass.window, slots(self.pass.window.hidden));
        self.pass.check(isa, &slots, [slots.width(), 0], slots.packed_len(isa.words(window.hidden)));
        let cells = if window.keep { window.states() } else { window.rows };
        window.check("c", self.c.len(), cells * padded(window.hidden));
        window.check("gates", self.gates.len(), window.kept_tokens() * slots.width());
        window.check("tanh_c", self.tanh_c.len(), window.kept_tokens() * padded(window.hidden));
        let (pass, c) = (self.pass.places(isa), self.c.as_mut_ptr());
        let (gates, tanh_c) = (self.gates.as_mut_ptr(), self.tanh_c.as_mut_ptr());
        OnePhaseForward { pass, cell: LstmGates { h_next: pass.h, c, c_next: c, gates, tanh_c } }
    }
}

/// The arithmetic of the forward pass, and its buffers of one step.
#[doc(hidden)]
#[derive(Clone, Copy)]
pub struct LstmGates {
    h_next: *mut f32,
    c: *mut f32,
    c_next: *mut f32,
    gates: *mut f32,
    tanh_c: *mut f32,
}

impl AtStep for LstmGates {
    #[inline(always)]
    unsafe fn at(self, step: &StepOffsets) -> Self {
        // SAFETY: the caller vouches for the step.
        unsafe {
            Self {
                h_next: self.h_next.add(step.after),
                c: self.c.add(step.kept_before),
                c_next: self.c_next.add(step.kept_after),
                gates: self.gates.add(4 * step.token),
                tanh_c: self.tanh_c.add(step.token),
            }
        }
    }
}

impl GateCell for LstmGates {
    const VECTORS: usize = 4;
    const STORED: usize = 4;

    #[inline(always)]
    unsafe fn finish<S: Simd>(&self, s: S, sums: RowSums<'_>, at: VectorPlace) {
        // SAFETY: the caller vouches for the vector and the sums.
        unsafe {
            let [i, f, g, o] = sums.load(s, 0);
            let (i, f, g, o) = (sigmoid(s, i), sigmoid(s, f), tanh(s, g), sigmoid(s, o));
            let c = s.fma(f, s.load(self.c.add(at.unit)), s.mul(i, g));
            let tanh_c = tanh(s, c);
            s.store(self.c_next.add(at.unit), c);
            s.store(self.tanh_c.add(at.unit), tanh_c);
            s.store(self.h_next.add(at.unit), s.mul(o, tanh_c));
            for (slot, value) in [i, f, g, o].into_iter().enumerate() {
                s.store(self.gates.add(at.gate + slot * 16), value);
            }
        }
    }
}

impl<'a> WindowPass for LstmBackward<'a> {
    type Shared = OnePhaseBackward<'a, LstmDeltas>;

    fn rows(&self) -> usize {
        self.pass.window.rows
    }

    fn share(self, isa: Isa) -> OnePhaseBackward<'a, LstmDeltas> {
        let (window, stride) = (self.pass.window, padded(self.pass.window.hidden));
        self.pass.check(isa, &slots(window.hidden));
        window.check("c", self.c.len(), window.states() * stride);
        window.check("tanh_c", self.tanh_c.len(), window.tokens() * stride);
        window.check("dc", self.dc.len(), window.step());
        let (pass, c, tanh_c) = (self.pass.places(isa, 4), self.c.as_ptr(), self.tanh_c.as_ptr());
        let cell = LstmDeltas { c, tanh_c, dc: self.dc.as_mut_ptr(), gates: pass.gates };
        OnePhaseBackward { pass, cell }
    }
}

/// The arithmetic of the backward pass, and its buffers of one step.
#[doc(hidden)]
#[derive(Clone, Copy)]
pub struct LstmDeltas {
    /// c before the step.
    c: *const f32,
    tanh_c: *const f32,
    dc: *mut f32,
    gates: *mut f32,
}

impl AtStep for LstmDeltas {
    #[inline(always)]
    unsafe fn at(self, step: &StepOffsets) -> Self {
        // SAFETY: the caller vouches for the step.
        unsafe {
            Self {
                c: self.c.add(step.before),
                tanh_c: self.tanh_c.add(step.token),
                dc: self.dc.add(step.row),
                gates: self.gates.add(4 * step.token),
            }
        }
    }
}

impl BackwardCell for LstmDeltas {
    const GATES: usize = 4;
}

impl DeltaCell for LstmDeltas {
    const STORED: usize = 4;

    #[inline(always)]
    unsafe fn finish<S: Simd>(&self, s: S, dh: S::F, at: VectorPlace) {
        // SAFETY: the caller vouches for the vector.
        unsafe {
            let gate = self.gates.add(at.gate);
            let (i, f, g, o) =
                (s.load(gate), s.load(gate.add(16)), s.load(gate.add(32)), s.load(gate.add(48)));
            let (c, tanh_c) = (s.load(self.c.add(at.unit)), s.load(self.tanh_c.add(at.unit)));
            let through = s.mul(s.mul(dh, o), tanh_slope(s, tanh_c));
            let dc = s.add(s.load(self.dc.add(at.unit)), through);
            let di = s.mul(s.mul(dc, g), sigmoid_slope(s, i));
            let df = s.mul(s.mul(dc, c), sigmoid_slope(s, f));
            let dg = s.mul(s.mul(dc, i), tanh_slope(s, g));
            let d_o = s.mul(s.mul(dh, tanh_c), sigmoid_slope(s, o));
            s.store(self.dc.add(at.unit), s.mul(dc, f));
            for (slot, delta) in [di, df, dg, d_o].into_iter().enumerate() {
                s.store(gate.add(slot * 16), delta);
            }
        }
    }
}
