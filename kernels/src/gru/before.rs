//! The GRU with reset before the recurrent product. [`crate::gru`] has the equations.
//!
//! Each step has two phases, because the candidate needs all of r.

use super::gradients::GruGradients;
use super::slots::{slots_before_candidate, slots_before_gates, slots_before_input};
use crate::isa::Isa;
use crate::math::{sigmoid, sigmoid_slope, tanh, tanh_slope};
use crate::microkernel::TileSums;
use crate::pack::{Panels, padded};
use crate::pass::backward_tile::{BackwardTile, DeltaCell, GradientStart};
use crate::pass::gate_tile::{GateCell, GateTile, RowSums};
use crate::pass::step::{AtStep, StepOffsets, VectorPlace};
use crate::pass::tile_products::{StepOperand, TileProducts};
use crate::pass::unit_tile::{UnitCell, UnitTile};
use crate::pass::{BackwardCell, BackwardPlaces, BackwardStep, BackwardWindow, ForwardPlaces, ForwardWindow};
use crate::rounding::{RoundedSlot, RoundedVectors};
use crate::simd::Simd;
use crate::sweep::sweep;
use crate::team::{Member, SharedPass, WindowPass};
use core::ops::Range;
use core::slice::from_ref;

/// The forward pass of one layer's window. The bias is n, r, z. Dense input is packed by
/// `Panels::gates(&slots_before_gates(H))`, with a second set packed by `Panels::one_gate(H, 2)`.
/// r and z of `weight_hh` are packed by `Panels::gates(&slots_before_gates(H))`.
#[derive(Debug)]
pub struct GruBeforeForward<'a> {
    /// The buffers of all cells.
    pub pass: ForwardWindow<'a>,
    /// `weight_hh`, n, packed by `candidate_panels`.
    pub candidate: &'a [f32],
    /// `Panels::one_gate(H, 2)`.
    pub candidate_panels: &'a Panels,
    /// [N, padded(H)]: r h; one step without `keep`.
    pub reset_h: &'a mut [f32],
    /// [N, padded(H) / 16, 3, 16]: n, r, z; one step without `keep`.
    pub gates: &'a mut [f32],
}

/// The backward pass of one layer's window. r and z of `weight_hh` are packed over
/// `slots_before_gates(H)`.
#[derive(Debug)]
pub struct GruBeforeBackward<'a> {
    /// The buffers of all cells.
    pub pass: BackwardWindow<'a>,
    /// `weight_hh`, n, packed transposed over `slots_before_candidate(H)`.
    pub candidate: &'a [f32],
    /// `slots_before_candidate(H).pieces()`.
    pub candidate_pieces: &'a [Range<usize>],
    /// From the forward pass.
    pub h: &'a [f32],
    /// [B, padded(H)]: in, the gradient of each row's last state besides `dh`; out, the part of the
    /// gradient of the initial h that does not go through the weights.
    pub carry: &'a mut [f32],
}

impl<'a> WindowPass for GruBeforeForward<'a> {
    type Shared = SharedBeforeForward<'a>;

    fn rows(&self) -> usize {
        self.pass.window.rows
    }

    fn share(self, isa: Isa) -> SharedBeforeForward<'a> {
        let (window, hidden) = (self.pass.window, self.pass.window.hidden);
        let (slots, stride) = (slots_before_input(hidden), padded(hidden));
        self.pass.check(
            isa,
            &slots,
            [2 * stride, stride],
            slots_before_gates(hidden).packed_len(isa.words(hidden)),
        );
        window.check("reset_h", self.reset_h.len(), window.kept_tokens() * stride);
        window.check("gates", self.gates.len(), window.kept_tokens() * slots.width());
        window.check("candidate", self.candidate.len(), self.candidate_panels.len(isa.words(hidden)));
        self.candidate_panels.check_plain(hidden);
        let (pass, candidate, panels) =
            (self.pass.places(isa), self.candidate.as_ptr(), self.candidate_panels);
        let (reset_h, gates) = (self.reset_h.as_mut_ptr(), self.gates.as_mut_ptr());
        let buffers = GruBeforeBuffers { h: pass.h, h_next: pass.h, reset_h, gates };
        SharedBeforeForward { pass, candidate, panels, buffers }
    }
}

/// The forward pass with its buffers as places.
#[derive(Clone, Copy)]
pub struct SharedBeforeForward<'a> {
    pass: ForwardPlaces<'a>,
    candidate: *const f32,
    panels: &'a Panels,
    buffers: GruBeforeBuffers,
}

impl SharedPass for SharedBeforeForward<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(&self, s: S, member: &Member<'_>) {
        let Self { pass, candidate, panels, buffers } = *self;
        let (blocks, sums) = (member.blocks(pass.window.hidden), TileSums::new());
        let holding = panels.holding(&blocks);
        let dense = pass.input.dense.map_or(core::ptr::null(), |dense| dense.second.as_ptr());
        for (t, step) in pass.steps(s, member) {
            // SAFETY: the caller vouches for the buffers and the members.
            unsafe {
                let now = buffers.at(&StepOffsets::of(&pass.window, &step, 0));
                let (products, rounded) = (pass.products::<S>((t, &step), &sums), pass.rounded((t, &step)));
                let reset = RoundedVectors { from: now.reset_h, to: pass.room.between(), ..rounded };
                let gates = GateTile { products, cell: ResetUpdateGates(now), rounded: reset };
                sweep(s, step.active, blocks.clone(), &gates);
                pass.between(s, now.reset_h, step.active, member);
                let at = if S::TERMS > 1 { pass.room.between() } else { now.reset_h };
                let h = StepOperand { at, weights: candidate, ..products.h };
                let x = StepOperand { weights: dense, ..products.x };
                let products = TileProducts { x, h, ..products };
                let (blocks, cell) = (blocks.clone(), CandidateGate(now));
                sweep(s, step.active, holding.clone(), &UnitTile { products, panels, blocks, cell, rounded });
            }
        }
    }
}

/// The buffers of one step, forward.
#[derive(Clone, Copy)]
struct GruBeforeBuffers {
    h: *mut f32,
    h_next: *mut f32,
    reset_h: *mut f32,
    gates: *mut f32,
}

impl AtStep for GruBeforeBuffers {
    #[inline(always)]
    unsafe fn at(self, step: &StepOffsets) -> Self {
        // SAFETY: the caller vouches for the step.
        unsafe {
            Self {
                h: self.h.add(step.before),
                h_next: self.h_next.add(step.after),
                reset_h: self.reset_h.add(step.token),
                gates: self.gates.add(3 * step.token),
            }
        }
    }
}

/// The first phase: r, z and r h.
struct ResetUpdateGates(GruBeforeBuffers);

impl GateCell for ResetUpdateGates {
    const VECTORS: usize = 2;
    const STORED: usize = 3;
    const FIRST: usize = 1;

    #[inline(always)]
    unsafe fn finish<S: Simd>(&self, s: S, sums: RowSums<'_>, at: VectorPlace) {
        // SAFETY: the caller vouches for the vector and the sums.
        unsafe {
            let gate = self.0.gates.add(at.gate);
            let [reset, update] = sums.load(s, 0);
            let (reset, update) = (sigmoid(s, reset), sigmoid(s, update));
            let h = s.load(self.0.h.add(at.unit));
            s.store(self.0.reset_h.add(at.unit), s.mul(reset, h));
            s.store(gate.add(16), reset);
            s.store(gate.add(32), update);
        }
    }
}

/// The second phase: n and the new h.
struct CandidateGate(GruBeforeBuffers);

impl UnitCell for CandidateGate {
    const STORED: usize = 3;

    #[inline(always)]
    unsafe fn finish<S: Simd>(&self, s: S, sum: S::F, at: VectorPlace) {
        // SAFETY: the caller vouches for the vector.
        unsafe {
            let (gate, n) = (self.0.gates.add(at.gate), tanh(s, sum));
            let (h, z) = (s.load(self.0.h.add(at.unit)), s.load(gate.add(32)));
            s.store(gate, n);
            s.store(self.0.h_next.add(at.unit), s.fma(z, s.sub(h, n), n));
        }
    }
}

impl<'a> WindowPass for GruBeforeBackward<'a> {
    type Shared = SharedBeforeBackward<'a>;

    fn rows(&self) -> usize {
        self.pass.window.rows
    }

    fn share(self, isa: Isa) -> SharedBeforeBackward<'a> {
        let (window, candidate) = (self.pass.window, slots_before_candidate(self.pass.window.hidden));
        self.pass.check(isa, &slots_before_gates(window.hidden));
        window.check("h", self.h.len(), window.states() * padded(window.hidden));
        window.check("carry", self.carry.len(), window.step());
        window.check("candidate", self.candidate.len(), self.pass.panels.len(isa.slot_words(&candidate)));
        candidate.check_pieces(self.candidate_pieces);
        let (pass, candidate, pieces) =
            (self.pass.places(isa, 2), self.candidate.as_ptr(), self.candidate_pieces);
        let (h, carry) = (self.h.as_ptr(), self.carry.as_mut_ptr());
        let buffers = GruGradients { h, carry, gates: pass.gates };
        SharedBeforeBackward { pass, candidate, pieces, buffers }
    }
}

/// The backward pass with its buffers as places.
pub struct SharedBeforeBackward<'a> {
    pass: BackwardPlaces<'a>,
    candidate: *const f32,
    pieces: &'a [Range<usize>],
    buffers: GruGradients<3>,
}

impl SharedPass for SharedBeforeBackward<'_> {
    #[inline(always)]
    unsafe fn run<S: Simd>(&self, s: S, member: &Member<'_>) {
        let Self { pass, candidate, pieces, buffers } = self;
        let (blocks, sums) = (member.blocks(pass.window.hidden), TileSums::new());
        let (panels, holding) = (pass.panels, pass.panels.holding(&blocks));
        for at in pass.steps(member) {
            let BackwardStep { step, rows, .. } = at;
            let (words, gate_row) = (0..pass.room.gate_words, pass.room.gate_row);
            // SAFETY: the caller vouches for the buffers and the members.
            unsafe {
                let now = buffers.at(&StepOffsets::of(&pass.window, &step, rows.first));
                let slot = |slot| pass.rounded_slot::<CandidateAndUpdate>(&at, slot);
                let to = pass.room.between();
                let n = RoundedSlot { slot: 0, to, row_words: gate_row, stored: 1, place: 0 };
                let (n_and_z, r) = ([n, slot(2)], [slot(1)]);
                let cell = (CandidateAndUpdate(now), &blocks);
                let first = pass.tile::<S, _>(at, &sums, cell, &n_and_z);
                sweep(s, rows.rows, holding.clone(), &first);
                member.meet();
                let stored = (now.gates.cast_const(), 3 * first.stride, *pieces);
                let (deltas, delta_row, pieces) =
                    if S::TERMS > 1 { (to.cast_const(), gate_row, from_ref(&words)) } else { stored };
                let reset = BackwardTile {
                    stride: first.stride,
                    depth: pass.room.gate_words,
                    recurrent: *candidate,
                    panels,
                    blocks: blocks.clone(),
                    pieces,
                    deltas,
                    delta_row,
                    start: GradientStart::Zero,
                    sums: &sums,
                    cell: ResetGate(now),
                    gates: first.gates,
                    rounded: &r,
                };
                sweep(s, rows.rows, holding.clone(), &reset);
            }
        }
    }
}

/// The first phase: deltas of n and z, and the direct part of the gradient of h, from the deltas of
/// r and z of the next step.
struct CandidateAndUpdate(GruGradients<3>);

impl BackwardCell for CandidateAndUpdate {
    const GATES: usize = 2;
    const FIRST: usize = 1;

    #[inline(always)]
    fn carry(&self) -> Option<*const f32> {
        Some(self.0.carry)
    }
}

impl DeltaCell for CandidateAndUpdate {
    const STORED: usize = 3;

    #[inline(always)]
    unsafe fn finish<S: Simd>(&self, s: S, dh: S::F, at: VectorPlace) {
        // SAFETY: the caller vouches for the vector.
        unsafe {
            let gate = self.0.gates.add(at.gate);
            let (n, z, h) = (s.load(gate), s.load(gate.add(32)), s.load(self.0.h.add(at.unit)));
            s.store(gate, s.mul(s.mul(dh, s.sub(s.splat(1.0), z)), tanh_slope(s, n)));
            s.store(gate.add(32), s.mul(s.mul(dh, s.sub(h, n)), sigmoid_slope(s, z)));
            s.store(self.0.carry.add(at.unit), s.mul(dh, z));
        }
    }
}

/// The second phase: the delta of r and the rest of the direct part, from d(r h).
struct ResetGate(GruGradients<3>);

impl DeltaCell for ResetGate {
    const STORED: usize = 3;

    #[inline(always)]
    unsafe fn finish<S: Simd>(&self, s: S, d_reset_h: S::F, at: VectorPlace) {
        // SAFETY: the caller vouches for the vector.
        unsafe {
            let gate = self.0.gates.add(at.gate);
            let (r, h) = (s.load(gate.add(16)), s.load(self.0.h.add(at.unit)));
            s.store(gate.add(16), s.mul(s.mul(d_reset_h, h), sigmoid_slope(s, r)));
            let carry = s.load(self.0.carry.add(at.unit));
            s.store(self.0.carry.add(at.unit), s.fma(d_reset_h, r, carry));
        }
    }
}
