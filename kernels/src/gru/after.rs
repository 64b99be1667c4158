//! The GRU with reset after the recurrent product, in one phase. [`crate::gru`] has the equations.

use super::gradients::GruGradients;
use super::slots::{slots_after_hidden, slots_after_input};
use crate::isa::Isa;
use crate::math::{sigmoid, sigmoid_slope, tanh, tanh_slope};
use crate::microkernel::{Tile, TileStart, TileSums, multiply};
use crate::pack::padded;
use crate::pass::backward_tile::DeltaCell;
use crate::pass::gate_tile::{GateCell, GateTile, RowSums};
use crate::pass::step::{AtStep, StepOffsets, VectorPlace};
use crate::pass::{BackwardCell, BackwardWindow, ForwardWindow, OnePhaseBackward, OnePhaseForward};
use crate::simd::Simd;
use crate::sweep::TileRows;
use crate::team::WindowPass;

/// The forward pass of one layer's window. The bias is b_in, b_r, b_z, b_hn. Dense input is packed
/// by `Panels::gates(&slots_after_input(H))`, `weight_hh` by
/// `Panels::gates(&slots_after_hidden(H))`.
#[derive(Debug)]
pub struct GruAfterForward<'a> {
    /// The buffers of all cells.
    pub pass: ForwardWindow<'a>,
    /// [N, padded(H) / 16, 4, 16]: n, r, z, R_n h + b_hn; one step without `keep`.
    pub gates: &'a mut [f32],
}

/// The backward pass of one layer's window. `weight_hh` is packed over `slots_after_hidden(H)`.
#[derive(Debug)]
pub struct GruAfterBackward<'a> {
    /// The buffers of all cells.
    pub pass: BackwardWindow<'a>,
    /// From the forward pass.
    pub h: &'a [f32],
    /// [B, padded(H)]: in, the gradient of each row's last state besides `dh`; out, the part of the
    /// gradient of the initial h that does not go through the weights.
    pub carry: &'a mut [f32],
}

impl<'a> WindowPass for GruAfterForward<'a> {
    type Shared = OnePhaseForward<'a, GruAfterGates>;

    fn rows(&self) -> usize {
        self.pass.window.rows
    }

    fn share(self, isa: Isa) -> OnePhaseForward<'a, GruAfterGates> {
        let (window, hidden) = (self.pass.window, self.pass.window.hidden);
        let (slots, recurrent) = (slots_after_input(hidden), slots_after_hidden(hidden));
        self.pass.check(isa, &slots, [3 * padded(hidden), 0], recurrent.packed_len(isa.words(hidden)));
        window.check("gates", self.gates.len(), window.kept_tokens() * slots.width());
        let (pass, gates) = (self.pass.places(isa), self.gates.as_mut_ptr());
        OnePhaseForward { pass, cell: GruAfterGates { h: pass.h, h_next: pass.h, gates } }
    }
}

/// The arithmetic of the forward pass, and its buffers of one step.
#[doc(hidden)]
#[derive(Clone, Copy)]
pub struct GruAfterGates {
    h: *mut f32,
    h_next: *mut f32,
    gates: *mut f32,
}

impl AtStep for GruAfterGates {
    #[inline(always)]
    unsafe fn at(self, step: &StepOffsets) -> Self {
        // SAFETY: the caller vouches for the step.
        unsafe {
            Self {
                h: self.h.add(step.before),
                h_next: self.h_next.add(step.after),
                gates: self.gates.add(4 * step.token),
            }
        }
    }
}

impl GateCell for GruAfterGates {
    const VECTORS: usize = 3;
    const STORED: usize = 4;

    /// Multiplies the input into n, r, z, and then the state into r, z and the recurrent part of n.
    #[inline(always)]
    unsafe fn multiply<S: Simd>(tile: &GateTile<'_, Self>, s: S, at: TileRows) -> TileStart {
        let TileRows { row, rows, panel: block, half, width, .. } = at;
        let (products, panel) = (&tile.products, tile.panel_vectors(block, half));
        let (out, out_row) = (products.sums.base(), TileSums::ROW);
        let [inputs, units] = products.words();
        let mut start = products.start(row, tile.start_vectors(block, half));
        // SAFETY: the caller vouches for rows, panel and lengths.
        unsafe {
            if products.input.dense.is_some() {
                let factors = &[products.dense_factors::<S>(row, panel, &inputs)];
                multiply(s, rows, width, &Tile { start, factors, out, out_row });
                // The second product continues from these sums, and in slot 3 from the start.
                for r in 0..rows {
                    s.store(out.add(r * out_row + 48), s.load(start.of(r).add(48)));
                }
                start = TileStart::rows(out, out_row, 16);
            }
            let factors = &[products.recurrent_factors::<S>(row, panel, &units)];
            let tile = Tile { start: start.skip(16), factors, out: out.add(16), out_row };
            multiply(s, rows, width, &tile);
        }
        // Without a dense input, vector 0 of the sums is not written.
        start
    }

    #[inline(always)]
    unsafe fn finish<S: Simd>(&self, s: S, sums: RowSums<'_>, at: VectorPlace) {
        // SAFETY: the caller vouches for the vector and the sums.
        unsafe {
            let (n, [r, z, n_hidden]) = (sums.load_start(s), sums.load(s, 1));
            let (r, z) = (sigmoid(s, r), sigmoid(s, z));
            let n = tanh(s, s.fma(r, n_hidden, n));
            let h = s.load(self.h.add(at.unit));
            s.store(self.h_next.add(at.unit), s.fma(z, s.sub(h, n), n));
            for (slot, value) in [n, r, z, n_hidden].into_iter().enumerate() {
                s.store(self.gates.add(at.gate + slot * 16), value);
            }
        }
    }
}

impl<'a> WindowPass for GruAfterBackward<'a> {
    type Shared = OnePhaseBackward<'a, GruAfterDeltas>;

    fn rows(&self) -> usize {
        self.pass.window.rows
    }

    fn share(self, isa: Isa) -> OnePhaseBackward<'a, GruAfterDeltas> {
        let window = self.pass.window;
        self.pass.check(isa, &slots_after_hidden(window.hidden));
        window.check("h", self.h.len(), window.states() * padded(window.hidden));
        window.check("carry", self.carry.len(), window.step());
        let (pass, h) = (self.pass.places(isa, 3), self.h.as_ptr());
        let cell = GruAfterDeltas { h, carry: self.carry.as_mut_ptr(), gates: pass.gates };
        OnePhaseBackward { pass, cell }
    }
}

/// The arithmetic of the backward pass.
type GruAfterDeltas = GruGradients<4>;

impl BackwardCell for GruAfterDeltas {
    const GATES: usize = 3;
    const FIRST: usize = 1;

    #[inline(always)]
    fn carry(&self) -> Option<*const f32> {
        Some(self.carry)
    }
}

impl DeltaCell for GruAfterDeltas {
    const STORED: usize = 4;

    #[inline(always)]
    unsafe fn finish<S: Simd>(&self, s: S, dh: S::F, at: VectorPlace) {
        // SAFETY: the caller vouches for the vector.
        unsafe {
            let gate = self.gates.add(at.gate);
            let (n, r, z, n_hidden) =
                (s.load(gate), s.load(gate.add(16)), s.load(gate.add(32)), s.load(gate.add(48)));
            let h = s.load(self.h.add(at.unit));
            let dn = s.mul(s.mul(dh, s.sub(s.splat(1.0), z)), tanh_slope(s, n));
            let dz = s.mul(s.mul(dh, s.sub(h, n)), sigmoid_slope(s, z));
            let dr = s.mul(s.mul(dn, n_hidden), sigmoid_slope(s, r));
            s.store(self.carry.add(at.unit), s.mul(dh, z));
            for (slot, delta) in [dn, dr, dz, s.mul(dn, r)].into_iter().enumerate() {
                s.store(gate.add(slot * 16), delta);
            }
        }
    }
}
