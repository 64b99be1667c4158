//! The GRU with reset after the recurrent product, in one phase. [`crate::gru`] has the equations.

use super::slots::{slots_after_hidden, slots_after_input};
use crate::backward_tile::{BackwardTile, Differentiate, GradientStart};
use crate::dispatch::Isa;
use crate::input::Input;
use crate::math::{sigmoid, tanh};
use crate::microkernel::{Factors, PackedWeights, Tile, TileStart, TileSums, multiply};
use crate::pack::{PanelWidths, Panels, padded};
use crate::simd::{Kernel, Simd};
use crate::sweep::{TileRows, Tiled, sweep};
use crate::window::{StepRows, WindowShape};
use core::ops::Range;

/// The forward pass of one layer's window.
#[derive(Debug)]
pub struct GruAfterForward<'a> {
    /// T, B, H.
    pub window: WindowShape<'a>,
    /// Bias (b_in, b_r, b_z, b_hn) or table, and dense input, packed by
    /// `Panels::gates(&slots_after_input(H))`.
    pub input: Input<'a>,
    /// `weight_hh`, packed by `Panels::gates(&slots_after_hidden(H))`.
    pub recurrent: &'a [f32],
    /// [B + N, padded(H)]: the initial state, then the state after each step.
    pub h: &'a mut [f32],
    /// [N, padded(H) / 16, 4, 16]: n, r, z, R_n h + b_hn; one step without `keep`.
    pub gates: &'a mut [f32],
}

/// The backward pass of one layer's window.
#[derive(Debug)]
pub struct GruAfterBackward<'a> {
    /// T, B, H; `keep` is set.
    pub window: WindowShape<'a>,
    /// `weight_hh`, packed transposed over `slots_after_hidden(H)`.
    pub recurrent: &'a [f32],
    /// `Panels::plain(H)`.
    pub panels: &'a Panels,
    /// `slots_after_hidden(H).pieces()`.
    pub pieces: &'a [Range<usize>],
    /// From the forward pass.
    pub h: &'a [f32],
    /// [N, padded(H)]: gradient of each step's output from above.
    pub dh: &'a [f32],
    /// [B, padded(H)]: in, the gradient of each row's last state besides `dh`; out, the part of the
    /// gradient of the initial h that does not go through the weights.
    pub carry: &'a mut [f32],
    /// [N, stored]: gates in, deltas out.
    pub gates: &'a mut [f32],
}

impl GruAfterForward<'_> {
    /// Computes the window.
    ///
    /// # Panics
    /// If a slice has the wrong length.
    pub fn run_on(self, isa: Isa) {
        let (window, slots) = (self.window, slots_after_input(self.window.hidden));
        self.input.check(&window, &slots, 3 * padded(window.hidden), 0);
        window.check("h", self.h.len(), window.states() * padded(window.hidden));
        window.check("gates", self.gates.len(), window.kept_tokens() * slots.width());
        let packed = slots_after_hidden(window.hidden).packed_len(window.hidden);
        window.check("recurrent", self.recurrent.len(), packed);
        isa.run_rows(window.rows, self);
    }
}

impl Kernel for GruAfterForward<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let (window, stride) = (self.window, padded(self.window.hidden));
        let (h, sums) = (self.h.as_mut_ptr(), TileSums::new());
        for at in window.forward_steps() {
            // SAFETY: `run_on` has checked every length against these offsets.
            unsafe {
                let tile = GruAfterTile {
                    window,
                    token: at.token,
                    input: &self.input,
                    recurrent: self.recurrent.as_ptr(),
                    sums: &sums,
                    h: h.add(at.before * stride),
                    h_next: h.add(at.after() * stride),
                    gates: self.gates.as_mut_ptr().add(window.kept(at.token) * 4 * stride),
                };
                sweep(s, at.active, stride / 16, &tile);
            }
        }
    }
}

struct GruAfterTile<'a> {
    window: WindowShape<'a>,
    token: usize,
    input: &'a Input<'a>,
    recurrent: *const f32,
    sums: &'a TileSums,
    h: *mut f32,
    h_next: *mut f32,
    gates: *mut f32,
}

impl<S: Simd> Tiled<S> for GruAfterTile<'_> {
    #[inline(always)]
    fn widths(&self, block: usize) -> PanelWidths {
        PanelWidths::of_block(3, block, self.window.hidden)
    }

    #[inline(always)]
    unsafe fn compute(&self, s: S, place: TileRows) {
        let TileRows { row, rows, panel: block, half, width } = place;
        let (hidden, stride) = (self.window.hidden, padded(self.window.hidden));
        let (token, gate) = (self.token + row, block * 64 + half);
        let (out, out_row) = (self.sums.base(), TileSums::ROW);
        // SAFETY: rows, block and half exist (`sweep`), and the lengths were checked.
        unsafe {
            let mut start = self.input.starts(token, (4 * stride, gate, 16));
            if self.input.dense.is_some() {
                let depth = self.input.depth();
                let panel = (block * 3, 3, half);
                let input = self.input.factors::<S>(|dense| dense.weights, token, panel, &depth);
                let factors = &[input]; // n, r, z
                multiply(s, rows, width, &Tile { start, factors, out, out_row });
                // The second product continues from these sums, and in slot 3 from the start.
                for r in 0..rows {
                    s.store(out.add(r * out_row + 48), s.load(start.of(r).add(48)));
                }
                start = TileStart::rows(out, out_row, 16);
            }
            let units = 0..hidden;
            let weights = self.recurrent.add(block * 48 * hidden + half);
            let recurrent = Factors::Rows {
                x: self.h.add(row * stride),
                row: stride,
                pieces: core::slice::from_ref(&units),
                weights: PackedWeights::of_panel::<S>(weights, 3, hidden),
            };
            let tile = Tile {
                start: start.skip(16),
                factors: &[recurrent], // r, z, and the recurrent part of n
                out: out.add(16),
                out_row,
            };
            multiply(s, rows, width, &tile);
            for r in 0..rows {
                let unit = (row + r) * stride + block * 16 + half;
                // Without a dense input, vector 0 of the sums is not written.
                let [reset, update, n_hidden] = self.sums.row(s, r, 1);
                let sums = [s.load(start.of(r)), reset, update, n_hidden];
                self.activate(s, sums, unit, (row + r) * 4 * stride + gate);
            }
        }
    }
}

impl GruAfterTile<'_> {
    /// Stores the gates and the new h, from the pre-activations.
    ///
    /// # Safety
    /// `unit` and `gate` are places of a vector within a step of `h` and of `gates`.
    #[inline(always)]
    unsafe fn activate<S: Simd>(&self, s: S, [n, r, z, n_hidden]: [S::F; 4], unit: usize, gate: usize) {
        // SAFETY: the caller vouches for `unit` and `gate`.
        unsafe {
            let (r, z) = (sigmoid(s, r), sigmoid(s, z));
            let n = tanh(s, s.fma(r, n_hidden, n));
            let h = s.load(self.h.add(unit));
            s.store(self.h_next.add(unit), s.fma(z, s.sub(h, n), n));
            for (slot, value) in [n, r, z, n_hidden].into_iter().enumerate() {
                s.store(self.gates.add(gate + slot * 16), value);
            }
        }
    }
}

impl GruAfterBackward<'_> {
    /// Computes the window from its last step to its first.
    ///
    /// # Panics
    /// If a slice has the wrong length.
    pub fn run_on(self, isa: Isa) {
        let (window, slots) = (self.window, slots_after_hidden(self.window.hidden));
        window.check_kept();
        window.check("h", self.h.len(), window.states() * padded(window.hidden));
        window.check("dh", self.dh.len(), window.tokens() * padded(window.hidden));
        window.check("carry", self.carry.len(), window.step());
        window.check("gates", self.gates.len(), window.tokens() * slots.width());
        window.check("recurrent", self.recurrent.len(), self.panels.len(slots.depth()));
        self.panels.check_plain(window.hidden);
        slots.check_pieces(self.pieces);
        isa.run_rows(window.rows, self);
    }
}

impl Kernel for GruAfterBackward<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let (window, stride) = (self.window, padded(self.window.hidden));
        let (gates, sums) = (self.gates.as_mut_ptr(), TileSums::new());
        for (at, StepRows { first, rows, pieces }) in window.backward(self.pieces) {
            let token = (at.token + first) * stride;
            // SAFETY: `run_on` has checked every length against these offsets.
            unsafe {
                let carry = self.carry.as_mut_ptr().add(first * stride);
                let tile = BackwardTile {
                    stride,
                    depth: 3 * window.hidden,
                    recurrent: self.recurrent.as_ptr(),
                    panels: self.panels,
                    pieces,
                    deltas: gates.wrapping_add((at.token + at.active) * 4 * stride),
                    start: GradientStart::AboveAndCarry(self.dh.as_ptr().add(token), carry),
                    sums: &sums,
                    cell: GruAfterBackwardStep {
                        h: self.h.as_ptr().add((at.before + first) * stride),
                        carry,
                        gates: gates.add(4 * token),
                    },
                };
                sweep(s, rows, self.panels.panels().len(), &tile);
            }
        }
    }
}

/// The buffers of one step.
struct GruAfterBackwardStep {
    /// h before the step.
    h: *const f32,
    carry: *mut f32,
    gates: *mut f32,
}

impl<S: Simd> Differentiate<S> for GruAfterBackwardStep {
    const STORED: usize = 4;

    /// Stores the deltas and the direct part of the gradient of h, from the gradient of h'.
    #[inline(always)]
    unsafe fn finish(&self, s: S, dh: S::F, unit: usize, gate: usize) {
        let one = s.splat(1.0);
        let bell = |y: S::F| s.mul(y, s.sub(one, y));
        // SAFETY: the caller vouches for `unit` and `gate`.
        unsafe {
            let at = self.gates.add(gate);
            let (n, r, z, n_hidden) =
                (s.load(at), s.load(at.add(16)), s.load(at.add(32)), s.load(at.add(48)));
            let h = s.load(self.h.add(unit));
            let dn = s.mul(s.mul(dh, s.sub(one, z)), s.fnma(n, n, one));
            let dz = s.mul(s.mul(dh, s.sub(h, n)), bell(z));
            let dr = s.mul(s.mul(dn, n_hidden), bell(r));
            s.store(self.carry.add(unit), s.mul(dh, z));
            for (slot, delta) in [dn, dr, dz, s.mul(dn, r)].into_iter().enumerate() {
                s.store(self.gates.add(gate + slot * 16), delta);
            }
        }
    }
}
