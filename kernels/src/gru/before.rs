//! The GRU with reset before the recurrent product. [`crate::gru`] has the equations.
//!
//! Each step has two phases, because the candidate needs all of r.

use super::slots::{slots_before_candidate, slots_before_gates, slots_before_input};
use crate::backward_tile::{BackwardTile, Differentiate, GradientStart};
use crate::dispatch::Isa;
use crate::input::{HiddenRows, Input};
use crate::math::{sigmoid, tanh};
use crate::microkernel::TileSums;
use crate::pack::{Panel, PanelWidths, Panels, padded};
use crate::simd::{Kernel, Simd};
use crate::sweep::{TileRows, Tiled, sweep};
use crate::window::{StepRows, WindowShape};
use core::ops::Range;

/// The forward pass of one layer's window.
#[derive(Debug)]
pub struct GruBeforeForward<'a> {
    /// T, B, H.
    pub window: WindowShape<'a>,
    /// Bias (n, r, z) or table; dense weights packed by `Panels::gates(&slots_before_gates(H))`,
    /// and a second set packed by `Panels::one_gate(H, 2)`.
    pub input: Input<'a>,
    /// `weight_hh`, r and z, packed by `Panels::gates(&slots_before_gates(H))`.
    pub recurrent: &'a [f32],
    /// `weight_hh`, n, packed by `candidate_panels`.
    pub candidate: &'a [f32],
    /// `Panels::one_gate(H, 2)`.
    pub candidate_panels: &'a Panels,
    /// [B + N, padded(H)]: the initial state, then the state after each step.
    pub h: &'a mut [f32],
    /// [N, padded(H)]: r h; one step without `keep`.
    pub reset_h: &'a mut [f32],
    /// [N, padded(H) / 16, 3, 16]: n, r, z; one step without `keep`.
    pub gates: &'a mut [f32],
}

/// The backward pass of one layer's window.
#[derive(Debug)]
pub struct GruBeforeBackward<'a> {
    /// T, B, H; `keep` is set.
    pub window: WindowShape<'a>,
    /// `weight_hh`, r and z, packed transposed over `slots_before_gates(H)`.
    pub recurrent: &'a [f32],
    /// `weight_hh`, n, packed transposed over `slots_before_candidate(H)`.
    pub candidate: &'a [f32],
    /// `Panels::plain(H)`.
    pub panels: &'a Panels,
    /// `slots_before_gates(H).pieces()`.
    pub pieces: &'a [Range<usize>],
    /// `slots_before_candidate(H).pieces()`.
    pub candidate_pieces: &'a [Range<usize>],
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

impl GruBeforeForward<'_> {
    /// Computes the window.
    ///
    /// # Panics
    /// If a slice has the wrong length.
    pub fn run_on(self, isa: Isa) {
        let (window, slots) = (self.window, slots_before_input(self.window.hidden));
        let stride = padded(window.hidden);
        self.input.check(&window, &slots, 2 * stride, stride);
        window.check("h", self.h.len(), window.states() * padded(window.hidden));
        window.check("reset_h", self.reset_h.len(), window.kept_tokens() * stride);
        window.check("gates", self.gates.len(), window.kept_tokens() * slots.width());
        let packed = slots_before_gates(window.hidden).packed_len(window.hidden);
        window.check("recurrent", self.recurrent.len(), packed);
        window.check("candidate", self.candidate.len(), self.candidate_panels.len(window.hidden));
        self.candidate_panels.check_plain(window.hidden);
        isa.run_rows(window.rows, self);
    }
}

impl Kernel for GruBeforeForward<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let (window, stride) = (self.window, padded(self.window.hidden));
        let (h, sums) = (self.h.as_mut_ptr(), TileSums::new());
        for at in window.forward_steps() {
            let kept = window.kept(at.token) * stride;
            // SAFETY: `run_on` has checked every length against these offsets.
            unsafe {
                let now = GruBeforeStep {
                    window,
                    token: at.token,
                    input: &self.input,
                    sums: &sums,
                    h: h.add(at.before * stride),
                    h_next: h.add(at.after() * stride),
                    reset_h: self.reset_h.as_mut_ptr().add(kept),
                    gates: self.gates.as_mut_ptr().add(3 * kept),
                };
                let gates = GatesTile { now: &now, recurrent: self.recurrent.as_ptr() };
                sweep(s, at.active, stride / 16, &gates);
                let panels = self.candidate_panels;
                let candidate = CandidateTile { now: &now, recurrent: self.candidate.as_ptr(), panels };
                sweep(s, at.active, panels.panels().len(), &candidate);
            }
        }
    }
}

/// The buffers of one step.
struct GruBeforeStep<'a> {
    window: WindowShape<'a>,
    token: usize,
    input: &'a Input<'a>,
    sums: &'a TileSums,
    h: *mut f32,
    h_next: *mut f32,
    reset_h: *mut f32,
    gates: *mut f32,
}

/// The first phase: r, z and r h.
struct GatesTile<'a> {
    now: &'a GruBeforeStep<'a>,
    recurrent: *const f32,
}

impl<S: Simd> Tiled<S> for GatesTile<'_> {
    #[inline(always)]
    fn widths(&self, block: usize) -> PanelWidths {
        PanelWidths::of_block(2, block, self.now.window.hidden)
    }

    #[inline(always)]
    unsafe fn compute(&self, s: S, TileRows { row, rows, panel: block, half, width }: TileRows) {
        let now = self.now;
        let (hidden, stride) = (now.window.hidden, padded(now.window.hidden));
        let gate = block * 48 + 16 + half;
        let h = now.h.wrapping_add(row * stride);
        let hidden = HiddenRows { h, row: stride, units: hidden, weights: self.recurrent };
        let place = ((3 * stride, gate, 16), (block * 2, 2, half));
        let tile = (now.token + row, rows, width);
        // SAFETY: rows, block and half exist (`sweep`), and the lengths were checked.
        unsafe {
            now.input.preactivate(s, tile, place, |dense| dense.weights, hidden, now.sums);
            for r in 0..rows {
                let unit = (row + r) * stride + block * 16 + half;
                let at = now.gates.add((row + r) * 3 * stride + gate);
                let [reset, update] = now.sums.row(s, r, 0);
                let (reset, update) = (sigmoid(s, reset), sigmoid(s, update));
                s.store(now.reset_h.add(unit), s.mul(reset, s.load(now.h.add(unit))));
                s.store(at, reset);
                s.store(at.add(16), update);
            }
        }
    }
}

/// The second phase: n and the new h.
struct CandidateTile<'a> {
    now: &'a GruBeforeStep<'a>,
    recurrent: *const f32,
    panels: &'a Panels,
}

impl<S: Simd> Tiled<S> for CandidateTile<'_> {
    #[inline(always)]
    fn widths(&self, panel: usize) -> PanelWidths {
        self.panels.panels()[panel].widths()
    }

    #[inline(always)]
    unsafe fn compute(&self, s: S, TileRows { row, rows, panel, half, width }: TileRows) {
        let now = self.now;
        let (hidden, stride) = (now.window.hidden, padded(now.window.hidden));
        let Panel { before, width: whole, .. } = self.panels.panels()[panel];
        let h = now.reset_h.wrapping_add(row * stride);
        let hidden = HiddenRows { h, row: stride, units: hidden, weights: self.recurrent };
        let place = ((3 * stride, before * 48 + half, 48), (before, whole, half));
        let tile = (now.token + row, rows, width);
        // SAFETY: rows, panel and half exist (`sweep`), and the lengths were checked.
        unsafe {
            now.input.preactivate(s, tile, place, |dense| dense.second, hidden, now.sums);
            for r in 0..rows {
                for w in 0..width {
                    let unit = (row + r) * stride + (before + w) * 16 + half;
                    let at = now.gates.add((row + r) * 3 * stride + (before + w) * 48 + half);
                    let n = tanh(s, s.load(now.sums.base().add(r * TileSums::ROW + w * 16)));
                    let (h, z) = (s.load(now.h.add(unit)), s.load(at.add(32)));
                    s.store(at, n);
                    s.store(now.h_next.add(unit), s.fma(z, s.sub(h, n), n));
                }
            }
        }
    }
}

impl GruBeforeBackward<'_> {
    /// Computes the window from its last step to its first.
    ///
    /// # Panics
    /// If a slice has the wrong length.
    pub fn run_on(self, isa: Isa) {
        let window = self.window;
        let (gates, candidate) = (slots_before_gates(window.hidden), slots_before_candidate(window.hidden));
        window.check_kept();
        window.check("h", self.h.len(), window.states() * padded(window.hidden));
        window.check("dh", self.dh.len(), window.tokens() * padded(window.hidden));
        window.check("carry", self.carry.len(), window.step());
        window.check("gates", self.gates.len(), window.tokens() * gates.width());
        window.check("recurrent", self.recurrent.len(), self.panels.len(gates.depth()));
        window.check("candidate", self.candidate.len(), self.panels.len(candidate.depth()));
        self.panels.check_plain(window.hidden);
        gates.check_pieces(self.pieces);
        candidate.check_pieces(self.candidate_pieces);
        isa.run_rows(window.rows, self);
    }
}

impl Kernel for GruBeforeBackward<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let (stride, panels) = (padded(self.window.hidden), self.panels.panels().len());
        let (window, sums) = (self.window, TileSums::new());
        for (at, StepRows { first, rows, pieces }) in window.backward(self.pieces) {
            let token = (at.token + first) * stride;
            // SAFETY: `run_on` has checked every length against these offsets.
            unsafe {
                let gates = self.gates.as_mut_ptr();
                let now = GruBeforeBackwardStep {
                    h: self.h.as_ptr().add((at.before + first) * stride),
                    carry: self.carry.as_mut_ptr().add(first * stride),
                    gates: gates.add(3 * token),
                };
                let candidate = BackwardTile {
                    stride,
                    depth: 2 * window.hidden,
                    recurrent: self.recurrent.as_ptr(),
                    panels: self.panels,
                    pieces,
                    deltas: gates.wrapping_add((at.token + at.active) * 3 * stride),
                    start: GradientStart::AboveAndCarry(self.dh.as_ptr().add(token), now.carry),
                    sums: &sums,
                    cell: CandidateAndUpdate(&now),
                };
                sweep(s, rows, panels, &candidate);
                let reset = BackwardTile {
                    stride,
                    depth: window.hidden,
                    recurrent: self.candidate.as_ptr(),
                    panels: self.panels,
                    pieces: self.candidate_pieces,
                    deltas: now.gates,
                    start: GradientStart::Zero,
                    sums: &sums,
                    cell: ResetGate(&now),
                };
                sweep(s, rows, panels, &reset);
            }
        }
    }
}

/// The buffers of one step.
struct GruBeforeBackwardStep {
    /// h before the step.
    h: *const f32,
    carry: *mut f32,
    gates: *mut f32,
}

/// The first phase: deltas of n and z, and the direct part of the gradient of h, from the deltas of
/// r and z of the next step.
struct CandidateAndUpdate<'a>(&'a GruBeforeBackwardStep);

impl<S: Simd> Differentiate<S> for CandidateAndUpdate<'_> {
    const STORED: usize = 3;

    #[inline(always)]
    unsafe fn finish(&self, s: S, dh: S::F, unit: usize, gate: usize) {
        let one = s.splat(1.0);
        // SAFETY: the caller vouches for `unit` and `gate`.
        unsafe {
            let gate = self.0.gates.add(gate);
            let (n, z, h) = (s.load(gate), s.load(gate.add(32)), s.load(self.0.h.add(unit)));
            s.store(gate, s.mul(s.mul(dh, s.sub(one, z)), s.fnma(n, n, one)));
            s.store(gate.add(32), s.mul(s.mul(dh, s.sub(h, n)), s.mul(z, s.sub(one, z))));
            s.store(self.0.carry.add(unit), s.mul(dh, z));
        }
    }
}

/// The second phase: the delta of r and the rest of the direct part, from d(r h).
struct ResetGate<'a>(&'a GruBeforeBackwardStep);

impl<S: Simd> Differentiate<S> for ResetGate<'_> {
    const STORED: usize = 3;

    #[inline(always)]
    unsafe fn finish(&self, s: S, d_reset_h: S::F, unit: usize, gate: usize) {
        let one = s.splat(1.0);
        // SAFETY: the caller vouches for `unit` and `gate`.
        unsafe {
            let gate = self.0.gates.add(gate);
            let (r, h) = (s.load(gate.add(16)), s.load(self.0.h.add(unit)));
            s.store(gate.add(16), s.mul(s.mul(d_reset_h, h), s.mul(r, s.sub(one, r))));
            let carry = s.load(self.0.carry.add(unit));
            s.store(self.0.carry.add(unit), s.fma(d_reset_h, r, carry));
        }
    }
}
