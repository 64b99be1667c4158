//! The forward step.

use super::norm::{Norm, NormValues, normalize};
use super::options::{LstmOptions, NORMED};
use super::row_layout::RowLayout;
use crate::isa::Isa;
use crate::math::{sigmoid, tanh};
use crate::pack::{check_len, padded, product};
use crate::simd::{Kernel, Simd};

/// One step of some rows, forward.
#[derive(Debug)]
pub struct ExtendedForward<'a> {
    /// The options of the layer.
    pub options: LstmOptions<'a>,
    /// Number of rows that take part.
    pub rows: usize,
    /// [rows, stored]: pre-activations in, gates out.
    pub gates: &'a mut [f32],
    /// The cell states before and after the step, [rows, padded(H)] each.
    pub cell: CellStates<'a>,
    /// [rows, padded(H)]: tanh(c').
    pub tanh_c: &'a mut [f32],
    /// [rows, padded(H)]: o tanh(c').
    pub output: &'a mut [f32],
    /// [rows, kept]: values for the backward step of a normalized layer.
    pub kept: &'a mut [f32],
}

/// Cell states.
#[derive(Debug)]
pub enum CellStates<'a> {
    /// The new cell states replace the old ones.
    InPlace(&'a mut [f32]),
    /// Both are kept.
    Kept {
        /// The cell states before the step.
        old: &'a [f32],
        /// The cell states after the step.
        new: &'a mut [f32],
    },
}

impl ExtendedForward<'_> {
    /// Computes the rows.
    ///
    /// # Panics
    /// If a slice has the wrong length, or the options contradict each other.
    pub fn run_on(self, isa: Isa) {
        self.options.check();
        let (rows, vector) = (self.rows, padded(self.options.hidden));
        let cells = match &self.cell {
            CellStates::InPlace(cells) => [cells.len(), cells.len()],
            CellStates::Kept { old, new } => [old.len(), new.len()],
        };
        check_len("gates", self.gates.len(), product([rows, self.options.slots().width()]));
        check_len("old", cells[0], product([rows, vector]));
        check_len("new", cells[1], rows * vector);
        check_len("tanh_c", self.tanh_c.len(), rows * vector);
        check_len("output", self.output.len(), rows * vector);
        check_len("kept", self.kept.len(), product([rows, self.options.kept_width()]));
        isa.run(self);
    }
}

impl Kernel for ExtendedForward<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let row = RowLayout::of(&self.options);
        let (old, new) = match self.cell {
            CellStates::InPlace(cells) => {
                let cells = cells.as_mut_ptr();
                (cells.cast_const(), cells)
            }
            CellStates::Kept { old, new } => (old.as_ptr(), new.as_mut_ptr()),
        };
        let kept = self.options.kept_width();
        for r in 0..self.rows {
            let at = r * row.vector;
            // SAFETY: `run_on` has checked that every slice has `rows` rows.
            unsafe {
                let places = ForwardRow {
                    gates: self.gates.as_mut_ptr().add(r * row.vector * row.stored),
                    old: old.add(at),
                    new: new.add(at),
                    tanh_c: self.tanh_c.as_mut_ptr().add(at),
                    output: self.output.as_mut_ptr().add(at),
                    kept: self.kept.as_mut_ptr().wrapping_add(r * kept),
                };
                match (self.options.norm.is_empty(), self.options.coupled) {
                    (false, _) => places.normalized(s, row, &self.options),
                    (true, false) => places.plain::<S, false>(s, row, &self.options),
                    (true, true) => places.plain::<S, true>(s, row, &self.options),
                }
            }
        }
    }
}

/// The places of one row.
#[derive(Clone, Copy)]
struct ForwardRow {
    gates: *mut f32,
    old: *const f32,
    new: *mut f32,
    tanh_c: *mut f32,
    output: *mut f32,
    kept: *mut f32,
}

impl ForwardRow {
    /// Computes a row without a norm.
    ///
    /// # Safety
    /// The places are those of a row with this layout.
    #[inline(always)]
    unsafe fn plain<S: Simd, const COUPLED: bool>(self, s: S, row: RowLayout, options: &LstmOptions<'_>) {
        let peeps = !options.peepholes.is_empty();
        let peepholes = options.peepholes.as_ptr();
        let first = if COUPLED { 0 } else { 1 };
        let limit = s.splat(options.cell_clip);
        let low = s.splat(-options.cell_clip);
        let one = s.splat(1.0);
        for unit in (0..row.vector).step_by(S::LANES) {
            // SAFETY: `unit` is a vector of the row.
            unsafe {
                let gate = self.gates.add(row.gate(unit));
                let peephole = |n: usize| s.load(peepholes.wrapping_add(n * row.vector + unit));
                let old = s.load(self.old.add(unit));
                let (mut f, g) = (s.load(gate.add(first * 16)), tanh(s, s.load(gate.add((first + 1) * 16))));
                if peeps {
                    f = s.fma(peephole(first), old, f);
                }
                let f = sigmoid(s, f);
                let i = if COUPLED {
                    s.sub(one, f)
                } else {
                    let i = s.load(gate);
                    sigmoid(s, if peeps { s.fma(peephole(0), old, i) } else { i })
                };
                let c = s.min(limit, s.max(low, s.fma(f, old, s.mul(i, g))));
                let mut o = s.load(gate.add((first + 2) * 16));
                if peeps {
                    o = s.fma(peephole(first + 1), c, o);
                }
                let (o, tanh_c) = (sigmoid(s, o), tanh(s, c));
                if !COUPLED {
                    s.store(gate, i);
                }
                s.store(gate.add(first * 16), f);
                s.store(gate.add((first + 1) * 16), g);
                s.store(gate.add((first + 2) * 16), o);
                s.store(self.new.add(unit), c);
                s.store(self.tanh_c.add(unit), tanh_c);
                s.store(self.output.add(unit), s.mul(o, tanh_c));
            }
        }
    }

    /// Computes a row with a norm.
    ///
    /// # Safety
    /// As for `plain`.
    #[inline(always)]
    unsafe fn normalized<S: Simd>(self, s: S, row: RowLayout, options: &LstmOptions<'_>) {
        // SAFETY: the caller vouches for the places. The norm has ten vectors; the kept values have
        // five vectors and sixteen floats.
        unsafe {
            let norm = options.norm.as_ptr();
            for n in 0..4 {
                let from = NormValues { base: self.gates.add(n * 16), row, interleaved: true };
                normalize(s, from, self.norm_of(n, row, norm));
            }
            for unit in (0..row.vector).step_by(S::LANES) {
                let gate = self.gates.add(row.gate(unit));
                let i = sigmoid(s, s.load(gate));
                let f = sigmoid(s, s.add(s.load(gate.add(16)), s.splat(options.forget_bias)));
                let (g, o) = (tanh(s, s.load(gate.add(32))), sigmoid(s, s.load(gate.add(48))));
                let c = s.fma(f, s.load(self.old.add(unit)), s.mul(i, g));
                s.store(self.new.add(unit), c);
                for (slot, value) in [i, f, g, o].into_iter().enumerate() {
                    s.store(gate.add(slot * 16), value);
                }
            }
            let cell = NormValues { base: self.new, row, interleaved: false };
            normalize(s, cell, self.norm_of(4, row, norm));
            for unit in (0..row.vector).step_by(S::LANES) {
                let tanh_c = tanh(s, s.load(self.new.add(unit)));
                let o = s.load(self.gates.add(row.gate(unit) + 48));
                s.store(self.tanh_c.add(unit), tanh_c);
                s.store(self.output.add(unit), s.mul(o, tanh_c));
            }
        }
    }

    /// Returns the weights and kept values of norm n.
    ///
    /// # Safety
    /// `n` < 5, and `norm` has ten vectors.
    #[inline(always)]
    unsafe fn norm_of(self, n: usize, row: RowLayout, norm: *const f32) -> Norm {
        // SAFETY: the caller vouches for n and the norm.
        unsafe {
            Norm {
                weight: norm.add(n * row.vector),
                bias: norm.add((NORMED + n) * row.vector),
                hat: self.kept.add(n * row.vector),
                scale: self.kept.add(NORMED * row.vector + n),
            }
        }
    }
}
