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

use crate::backward_tile::{BackwardTile, Differentiate, GradientStart};
use crate::dispatch::Isa;
use crate::input::{HiddenRows, Input};
use crate::math::{sigmoid, tanh};
use crate::microkernel::TileSums;
use crate::pack::{PanelWidths, Panels, Slots, padded};
use crate::simd::{Kernel, Simd};
use crate::sweep::{TileRows, Tiled, sweep};
use crate::window::{StepRows, WindowShape};
use core::ops::Range;

/// The gates of `weight_ih` and of `weight_hh`, in PyTorch's order: i, f, g, o.
pub const GATES: &[usize] = &[0, 1, 2, 3];

/// Returns the slots of an LSTM's gates.
pub fn slots(hidden: usize) -> Slots {
    Slots { hidden, stored: 4, first: 0, gates: GATES }
}

/// The forward pass of one layer's window.
#[derive(Debug)]
pub struct LstmForward<'a> {
    /// T, B, H.
    pub window: WindowShape<'a>,
    /// Bias or table, and dense input, packed by `Panels::gates(&slots(H))`.
    pub input: Input<'a>,
    /// `weight_hh`, packed the same way.
    pub recurrent: &'a [f32],
    /// [B + N, padded(H)]: the initial state, then the state after each step.
    pub h: &'a mut [f32],
    /// [B + N, padded(H)]: c, like h; [B, padded(H)] without `keep`.
    pub c: &'a mut [f32],
    /// [N, padded(H) / 16, 4, 16]: activated gates; one step without `keep`.
    pub gates: &'a mut [f32],
    /// [N, padded(H)]: tanh(c'); one step without `keep`.
    pub tanh_c: &'a mut [f32],
}

/// The backward pass of one layer's window.
#[derive(Debug)]
pub struct LstmBackward<'a> {
    /// T, B, H; `keep` is set.
    pub window: WindowShape<'a>,
    /// `weight_hh`, packed transposed over `slots(H)`.
    pub recurrent: &'a [f32],
    /// `Panels::plain(H)`.
    pub panels: &'a Panels,
    /// `slots(H).pieces()`.
    pub pieces: &'a [Range<usize>],
    /// From the forward pass.
    pub c: &'a [f32],
    /// From the forward pass.
    pub tanh_c: &'a [f32],
    /// [N, padded(H)]: gradient of each step's output from above.
    pub dh: &'a [f32],
    /// [B, padded(H)]: gradient of each row's last c in, gradient of its initial c out.
    pub dc: &'a mut [f32],
    /// [N, stored]: gates in, deltas out.
    pub gates: &'a mut [f32],
}

impl LstmForward<'_> {
    /// Computes the window.
    ///
    /// # Panics
    /// If a slice has the wrong length.
    pub fn run_on(self, isa: Isa) {
        let (window, slots) = (self.window, slots(self.window.hidden));
        self.input.check(&window, &slots, slots.width(), 0);
        window.check("h", self.h.len(), window.states() * padded(window.hidden));
        let cells = if window.keep { window.states() } else { window.rows };
        window.check("c", self.c.len(), cells * padded(window.hidden));
        window.check("gates", self.gates.len(), window.kept_tokens() * slots.width());
        window.check("tanh_c", self.tanh_c.len(), window.kept_tokens() * padded(window.hidden));
        window.check("recurrent", self.recurrent.len(), slots.packed_len(window.hidden));
        isa.run_rows(window.rows, self);
    }
}

impl Kernel for LstmForward<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let (window, stride) = (self.window, padded(self.window.hidden));
        let (h, c, sums) = (self.h.as_mut_ptr(), self.c.as_mut_ptr(), TileSums::new());
        for at in window.forward_steps() {
            let (next, kept) = (at.after() * stride, window.kept(at.token) * stride);
            // SAFETY: `run_on` has checked every length against these offsets.
            unsafe {
                let tile = LstmForwardTile {
                    window,
                    token: at.token,
                    input: &self.input,
                    recurrent: self.recurrent.as_ptr(),
                    sums: &sums,
                    h: h.add(at.before * stride),
                    h_next: h.add(next),
                    c: c.add(window.kept(at.before) * stride),
                    c_next: c.add(window.kept(next)),
                    gates: self.gates.as_mut_ptr().add(4 * kept),
                    tanh_c: self.tanh_c.as_mut_ptr().add(kept),
                };
                sweep(s, at.active, stride / 16, &tile);
            }
        }
    }
}

struct LstmForwardTile<'a> {
    window: WindowShape<'a>,
    token: usize,
    input: &'a Input<'a>,
    recurrent: *const f32,
    sums: &'a TileSums,
    h: *mut f32,
    h_next: *mut f32,
    c: *mut f32,
    c_next: *mut f32,
    gates: *mut f32,
    tanh_c: *mut f32,
}

impl<S: Simd> Tiled<S> for LstmForwardTile<'_> {
    #[inline(always)]
    fn widths(&self, block: usize) -> PanelWidths {
        PanelWidths::of_block(4, block, self.window.hidden)
    }

    #[inline(always)]
    unsafe fn compute(&self, s: S, TileRows { row, rows, panel: block, half, width }: TileRows) {
        let (hidden, stride) = (self.window.hidden, padded(self.window.hidden));
        let gate = block * 64 + half;
        let h = self.h.wrapping_add(row * stride);
        let hidden = HiddenRows { h, row: stride, units: hidden, weights: self.recurrent };
        let place = ((4 * stride, gate, 16), (block * 4, 4, half));
        let tile = (self.token + row, rows, width);
        // SAFETY: rows, block and half exist (`sweep`), and the lengths were checked.
        unsafe {
            self.input.preactivate(s, tile, place, |dense| dense.weights, hidden, self.sums);
            for r in 0..rows {
                let unit = (row + r) * stride + block * 16 + half;
                self.activate(s, self.sums.row(s, r, 0), unit, (row + r) * 4 * stride + gate);
            }
        }
    }
}

impl LstmForwardTile<'_> {
    /// Stores the gates, the new c and the new h, from the pre-activations.
    ///
    /// # Safety
    /// `unit` and `gate` are places of a vector within a step of `h` and of `gates`.
    #[inline(always)]
    unsafe fn activate<S: Simd>(&self, s: S, [i, f, g, o]: [S::F; 4], unit: usize, gate: usize) {
        // SAFETY: the caller vouches for `unit` and `gate`.
        unsafe {
            let (i, f, g, o) = (sigmoid(s, i), sigmoid(s, f), tanh(s, g), sigmoid(s, o));
            let c = s.fma(f, s.load(self.c.add(unit)), s.mul(i, g));
            let tanh_c = tanh(s, c);
            s.store(self.c_next.add(unit), c);
            s.store(self.tanh_c.add(unit), tanh_c);
            s.store(self.h_next.add(unit), s.mul(o, tanh_c));
            for (slot, value) in [i, f, g, o].into_iter().enumerate() {
                s.store(self.gates.add(gate + slot * 16), value);
            }
        }
    }
}

impl LstmBackward<'_> {
    /// Computes the window from its last step to its first.
    ///
    /// # Panics
    /// If a slice has the wrong length.
    pub fn run_on(self, isa: Isa) {
        let (window, slots) = (self.window, slots(self.window.hidden));
        window.check_kept();
        let (tokens, stride) = (window.tokens(), padded(window.hidden));
        window.check("c", self.c.len(), window.states() * stride);
        window.check("tanh_c", self.tanh_c.len(), tokens * stride);
        window.check("dh", self.dh.len(), tokens * stride);
        window.check("dc", self.dc.len(), window.step());
        window.check("gates", self.gates.len(), tokens * slots.width());
        window.check("recurrent", self.recurrent.len(), self.panels.len(slots.depth()));
        self.panels.check_plain(window.hidden);
        slots.check_pieces(self.pieces);
        isa.run_rows(window.rows, self);
    }
}

impl Kernel for LstmBackward<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let (window, stride) = (self.window, padded(self.window.hidden));
        let (gates, sums) = (self.gates.as_mut_ptr(), TileSums::new());
        for (at, StepRows { first, rows, pieces }) in window.backward(self.pieces) {
            let (token, before) = ((at.token + first) * stride, (at.before + first) * stride);
            // SAFETY: `run_on` has checked every length against these offsets.
            unsafe {
                let tile = BackwardTile {
                    stride,
                    depth: 4 * window.hidden,
                    recurrent: self.recurrent.as_ptr(),
                    panels: self.panels,
                    pieces,
                    deltas: gates.wrapping_add((at.token + at.active) * 4 * stride),
                    start: GradientStart::Above(self.dh.as_ptr().add(token)),
                    sums: &sums,
                    cell: LstmBackwardStep {
                        c: self.c.as_ptr().add(before),
                        tanh_c: self.tanh_c.as_ptr().add(token),
                        dc: self.dc.as_mut_ptr().add(first * stride),
                        gates: gates.add(4 * token),
                    },
                };
                sweep(s, rows, self.panels.panels().len(), &tile);
            }
        }
    }
}

/// The buffers of one step.
struct LstmBackwardStep {
    /// The cell state before the step.
    c: *const f32,
    tanh_c: *const f32,
    dc: *mut f32,
    gates: *mut f32,
}

impl<S: Simd> Differentiate<S> for LstmBackwardStep {
    const STORED: usize = 4;

    /// Stores the deltas and the gradient of c, from the gradient of h'.
    #[inline(always)]
    unsafe fn finish(&self, s: S, dh: S::F, unit: usize, gate: usize) {
        let one = s.splat(1.0);
        let bell = |y: S::F| s.mul(y, s.sub(one, y));
        // SAFETY: the caller vouches for `unit` and `gate`.
        unsafe {
            let at = self.gates.add(gate);
            let (i, f, g, o) = (s.load(at), s.load(at.add(16)), s.load(at.add(32)), s.load(at.add(48)));
            let (c, tanh_c) = (s.load(self.c.add(unit)), s.load(self.tanh_c.add(unit)));
            let through = s.mul(s.mul(dh, o), s.fnma(tanh_c, tanh_c, one));
            let dc = s.add(s.load(self.dc.add(unit)), through);
            let di = s.mul(s.mul(dc, g), bell(i));
            let df = s.mul(s.mul(dc, c), bell(f));
            let dg = s.mul(s.mul(dc, i), s.fnma(g, g, one));
            let d_o = s.mul(s.mul(dh, tanh_c), bell(o));
            s.store(self.dc.add(unit), s.mul(dc, f));
            for (slot, delta) in [di, df, dg, d_o].into_iter().enumerate() {
                s.store(self.gates.add(gate + slot * 16), delta);
            }
        }
    }
}
