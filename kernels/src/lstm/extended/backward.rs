//! The backward step.

use super::norm::{NormValues, sum_units};
use super::options::{LstmOptions, NORMED};
use super::row_layout::RowLayout;
use crate::isa::Isa;
use crate::math::{sigmoid_slope, tanh_slope};
use crate::pack::{check_len, padded, product};
use crate::simd::{Kernel, Simd};

/// One step of some rows, backward.
#[derive(Debug)]
pub struct ExtendedBackward<'a> {
    /// The options of the layer.
    pub options: LstmOptions<'a>,
    /// Number of rows that take part.
    pub rows: usize,
    /// [rows, stored]: gates in, deltas out.
    pub gates: &'a mut [f32],
    /// [rows, padded(H)]: cell states before the step.
    pub old: &'a [f32],
    /// [rows, padded(H)]: cell states after the step.
    pub new: &'a [f32],
    /// [rows, padded(H)]: tanh(c').
    pub tanh_c: &'a [f32],
    /// [rows, padded(H)]: gradient of the output.
    pub d_output: &'a [f32],
    /// [rows, padded(H)]: gradient of the new cell states in, gradient of the old ones out.
    pub dc: &'a mut [f32],
    /// [rows, kept]: as the forward step left it; overwritten.
    pub kept: &'a mut [f32],
    /// [rows, terms]: overwritten.
    pub terms: &'a mut [f32],
}

impl ExtendedBackward<'_> {
    /// Computes the rows.
    ///
    /// # Panics
    /// If a slice has the wrong length, or the options contradict each other.
    pub fn run_on(self, isa: Isa) {
        self.options.check();
        let (rows, vector) = (self.rows, padded(self.options.hidden));
        check_len("gates", self.gates.len(), product([rows, self.options.slots().width()]));
        let cells = [("old", self.old.len()), ("new", self.new.len()), ("tanh_c", self.tanh_c.len())];
        let gradients = [("d_output", self.d_output.len()), ("dc", self.dc.len())];
        cells.into_iter().chain(gradients).for_each(|(name, len)| check_len(name, len, rows * vector));
        check_len("kept", self.kept.len(), product([rows, self.options.kept_width()]));
        check_len("terms", self.terms.len(), product([rows, self.options.terms_width()]));
        isa.run(self);
    }
}

impl Kernel for ExtendedBackward<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let row = RowLayout::of(&self.options);
        let (kept, terms) = (self.options.kept_width(), self.options.terms_width());
        for r in 0..self.rows {
            let at = r * row.vector;
            // SAFETY: `run_on` has checked that every slice has `rows` rows.
            unsafe {
                let places = BackwardRow {
                    gates: self.gates.as_mut_ptr().add(r * row.vector * row.stored),
                    old: self.old.as_ptr().add(at),
                    new: self.new.as_ptr().add(at),
                    tanh_c: self.tanh_c.as_ptr().add(at),
                    d_output: self.d_output.as_ptr().add(at),
                    dc: self.dc.as_mut_ptr().add(at),
                    kept: self.kept.as_mut_ptr().wrapping_add(r * kept),
                    terms: self.terms.as_mut_ptr().wrapping_add(r * terms),
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
struct BackwardRow {
    gates: *mut f32,
    old: *const f32,
    new: *const f32,
    tanh_c: *const f32,
    d_output: *const f32,
    dc: *mut f32,
    kept: *mut f32,
    terms: *mut f32,
}

impl BackwardRow {
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
        for unit in (0..row.vector).step_by(S::LANES) {
            // SAFETY: `unit` is a vector of the row.
            unsafe {
                let gate = self.gates.add(row.gate(unit));
                let peephole = |n: usize| s.load(peepholes.wrapping_add(n * row.vector + unit));
                let (f, g) = (s.load(gate.add(first * 16)), s.load(gate.add((first + 1) * 16)));
                let o = s.load(gate.add((first + 2) * 16));
                let i = if COUPLED { s.sub(s.splat(1.0), f) } else { s.load(gate) };
                let (old, new) = (s.load(self.old.add(unit)), s.load(self.new.add(unit)));
                let (tanh_c, d) = (s.load(self.tanh_c.add(unit)), s.load(self.d_output.add(unit)));
                let d_o = s.mul(s.mul(d, tanh_c), sigmoid_slope(s, o));
                let through = s.mul(s.mul(d, o), tanh_slope(s, tanh_c));
                let mut dc = s.add(s.load(self.dc.add(unit)), through);
                if peeps {
                    dc = s.fma(d_o, peephole(first + 1), dc);
                }
                let dc = s.where_positive(s.sub(limit, s.abs(new)), dc);
                let dg = s.mul(s.mul(dc, i), tanh_slope(s, g));
                let df = s.mul(s.mul(dc, if COUPLED { s.sub(old, g) } else { old }), sigmoid_slope(s, f));
                let mut before = s.mul(dc, f);
                if peeps {
                    before = s.fma(df, peephole(first), before);
                    s.store(self.terms.add(first * row.vector + unit), s.mul(df, old));
                    s.store(self.terms.add((first + 1) * row.vector + unit), s.mul(d_o, new));
                }
                if !COUPLED {
                    let di = s.mul(s.mul(dc, g), sigmoid_slope(s, i));
                    if peeps {
                        before = s.fma(di, peephole(0), before);
                        s.store(self.terms.add(unit), s.mul(di, old));
                    }
                    s.store(gate, di);
                }
                s.store(gate.add(first * 16), df);
                s.store(gate.add((first + 1) * 16), dg);
                s.store(gate.add((first + 2) * 16), d_o);
                s.store(self.dc.add(unit), before);
            }
        }
    }

    /// Computes a row with a norm.
    ///
    /// # Safety
    /// As for `plain`.
    #[inline(always)]
    unsafe fn normalized<S: Simd>(self, s: S, row: RowLayout, options: &LstmOptions<'_>) {
        // SAFETY: the caller vouches for the places; the norm and the terms have ten vectors each.
        unsafe {
            for unit in (0..row.vector).step_by(S::LANES) {
                let (o, tanh_c) =
                    (s.load(self.gates.add(row.gate(unit) + 48)), s.load(self.tanh_c.add(unit)));
                let d = s.load(self.d_output.add(unit));
                let through = s.mul(s.mul(d, o), tanh_slope(s, tanh_c));
                s.store(self.dc.add(unit), s.add(s.load(self.dc.add(unit)), through));
                s.store(self.gates.add(row.gate(unit) + 48), s.mul(s.mul(d, tanh_c), sigmoid_slope(s, o)));
            }
            let cell = NormValues { base: self.dc, row, interleaved: false };
            self.through_norm(s, 4, cell, options.norm.as_ptr());
            for unit in (0..row.vector).step_by(S::LANES) {
                let gate = self.gates.add(row.gate(unit));
                let (i, f, g) = (s.load(gate), s.load(gate.add(16)), s.load(gate.add(32)));
                let (dc, old) = (s.load(self.dc.add(unit)), s.load(self.old.add(unit)));
                s.store(gate, s.mul(s.mul(dc, g), sigmoid_slope(s, i)));
                s.store(gate.add(16), s.mul(s.mul(dc, old), sigmoid_slope(s, f)));
                s.store(gate.add(32), s.mul(s.mul(dc, i), tanh_slope(s, g)));
                s.store(self.dc.add(unit), s.mul(dc, f));
            }
            for n in 0..4 {
                let gate = NormValues { base: self.gates.add(n * 16), row, interleaved: true };
                self.through_norm(s, n, gate, options.norm.as_ptr());
            }
        }
    }

    /// Replaces the gradient d of norm n's results by the gradient of its inputs, and writes the
    /// terms d hat and d:
    ///
    /// ```text
    /// scale (d w - mean(d w) - hat mean(d w hat))
    /// ```
    ///
    /// # Safety
    /// `n` < 5; the places are those of a row.
    #[inline(always)]
    unsafe fn through_norm<S: Simd>(self, s: S, n: usize, values: NormValues, norm: *const f32) {
        let row = values.row;
        let count = 1.0 / row.hidden as f32;
        // SAFETY: the caller vouches for n and the places.
        unsafe {
            let weight = norm.add(n * row.vector);
            let (hat, scale) = (self.kept.add(n * row.vector), *self.kept.add(NORMED * row.vector + n));
            // Behind the last unit the weights are zero, and the gradient may hold anything.
            let weighed = |unit: usize, lanes: usize| {
                s.mul(s.load_up_to(values.at(unit), lanes, 0.0), s.load(weight.add(unit)))
            };
            let mean = count * sum_units!(s, S, row, |unit, lanes| weighed(unit, lanes));
            let along = count
                * sum_units!(s, S, row, |unit, lanes| s.mul(weighed(unit, lanes), s.load(hat.add(unit))));
            let (mean, along, scale) = (s.splat(mean), s.splat(along), s.splat(scale));
            for unit in (0..row.vector).step_by(S::LANES) {
                let (d, hat) = (s.load(values.at(unit)), s.load(hat.add(unit)));
                s.store(self.terms.add(n * row.vector + unit), s.mul(d, hat));
                s.store(self.terms.add((NORMED + n) * row.vector + unit), d);
                let centered = s.fnma(hat, along, s.sub(s.mul(d, s.load(weight.add(unit))), mean));
                let lanes = row.lanes::<S>(unit);
                s.store_up_to(values.at(unit), lanes, s.mul(centered, scale));
            }
        }
    }
}
