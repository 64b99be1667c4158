//! What TensorFlow's LSTMs have beyond the plain one: peepholes, a clipped cell, coupled gates, layer normalisation.
//!
//! ```text
//! i = sigmoid(a_i + p_i c)     f = sigmoid(a_f + p_f c)     g = tanh(a_g)       a: the products and the bias
//! c' = f c + i g, held to [-clip, clip]                     coupled: i = 1 - f, without a_i
//! o = sigmoid(a_o + p_o c')    m = o tanh(c')
//!
//! normalised: each a becomes N(a), f = sigmoid(N(a_f) + forget bias), and c' = N(f c + i g), with
//! N(a) = weight (a - mean) / sqrt(variance + 1e-12) + bias   over the H units of a row
//! ```
//!
//! Sources: `LSTMCell` of TensorFlow 1.15 (Sak et al. 2014), `CoupledInputForgetGateLSTMCell` and `LayerNormBasicLSTMCell` of
//! its `contrib.rnn` (Greff et al. 2015, Ba et al. 2016).
//!
//! 1. These kernels take one step of some rows between two products ([`crate::affine`]): pre-activations in, gates out.
//!    Without any option the bits are those of the fused kernel.
//! 2. What a clip has held has no gradient: a value at its limit counts as held.
//! 3. The backward step leaves for each row the terms that the gradients of peepholes and of the norm are sums of; they are
//!    added up later, in the order of all rows.

use super::slots;
use crate::dispatch::Isa;
use crate::math::{sigmoid, tanh};
use crate::pack::{Slots, padded, product};
use crate::simd::{Kernel, Simd};

/// Slots f, g, o of coupled gates, as their matrices number them.
pub const COUPLED_GATES: &[usize] = &[0, 1, 2];
/// Below the root of a variance: TensorFlow's.
const EPSILON: f32 = 1e-12;
/// Vectors that are normalised: i, f, g, o and the cell.
const NORMED: usize = 5;

/// Where the gates of such an LSTM lie.
pub fn slots_of(hidden: usize, coupled: bool) -> Slots {
    if coupled { Slots { hidden, stored: 3, first: 0, gates: COUPLED_GATES } } else { slots(hidden) }
}

/// The options of a layer.
#[derive(Clone, Copy, Debug)]
pub struct Options<'a> {
    /// Hidden width H.
    pub hidden: usize,
    /// i = 1 - f.
    pub coupled: bool,
    /// [3, padded(H)]: of i, f, o; coupled [2, padded(H)]: of f, o. Empty for none.
    pub peepholes: &'a [f32],
    /// Infinity for none.
    pub cell_clip: f32,
    /// [10, padded(H)]: the weights of i, f, g, o and the cell, then their biases. Empty for none.
    pub norm: &'a [f32],
    /// Added behind the norm.
    pub forget_bias: f32,
}

impl Options<'_> {
    /// Floats that a row of a normalised layer keeps for its backward step; 0 for others.
    pub fn kept_width(&self) -> usize {
        if self.norm.is_empty() { 0 } else { NORMED * padded(self.hidden) + 16 }
    }

    /// Floats of the terms that a row leaves: a vector for each peephole, or two for each that is normalised.
    pub fn terms_width(&self) -> usize {
        self.peepholes.len() + self.norm.len()
    }

    fn slots(&self) -> Slots {
        slots_of(self.hidden, self.coupled)
    }

    fn check(&self) {
        let vector = padded(self.hidden);
        let peepholes = [0, if self.coupled { 2 } else { 3 } * vector];
        assert!(peepholes.contains(&self.peepholes.len()), "peepholes of {} floats", self.peepholes.len());
        assert!([0, 2 * NORMED * vector].contains(&self.norm.len()), "a norm of {} floats", self.norm.len());
        let alone = self.peepholes.is_empty() && !self.coupled && self.cell_clip == f32::INFINITY;
        assert!(self.norm.is_empty() || alone, "a normalised layer has no other option");
        assert!(self.hidden > 0, "a layer of no units");
    }
}

/// One step of some rows, forward.
#[derive(Debug)]
pub struct Forward<'a> {
    /// The layer's.
    pub options: Options<'a>,
    /// Rows that take part.
    pub rows: usize,
    /// [rows, stored]: pre-activations, which become gates.
    pub gates: &'a mut [f32],
    /// The cells before and after the step, [rows, padded(H)] each.
    pub cell: Cells<'a>,
    /// [rows, padded(H)]: tanh(c').
    pub tanh_c: &'a mut [f32],
    /// [rows, padded(H)]: o tanh(c').
    pub output: &'a mut [f32],
    /// [rows, kept]: for the backward step of a normalised layer.
    pub kept: &'a mut [f32],
}

/// Cell states.
#[derive(Debug)]
pub enum Cells<'a> {
    /// The old ones become the new ones.
    InPlace(&'a mut [f32]),
    /// Both are kept.
    Kept {
        /// Before the step.
        old: &'a [f32],
        /// After it.
        new: &'a mut [f32],
    },
}

impl Forward<'_> {
    /// Computes the rows.
    ///
    /// # Panics
    /// When a slice has not the stated length, or the options do not fit each other.
    pub fn run_on(self, isa: Isa) {
        self.options.check();
        let (rows, vector) = (self.rows, padded(self.options.hidden));
        let cells = match &self.cell {
            Cells::InPlace(cells) => [cells.len(), cells.len()],
            Cells::Kept { old, new } => [old.len(), new.len()],
        };
        check("gates", self.gates.len(), product([rows, self.options.slots().width()]));
        check("cells", cells[0], product([rows, vector]));
        check("new cells", cells[1], rows * vector);
        check("tanh_c", self.tanh_c.len(), rows * vector);
        check("output", self.output.len(), rows * vector);
        check("kept", self.kept.len(), product([rows, self.options.kept_width()]));
        isa.run(self);
    }
}

fn check(name: &str, found: usize, expected: usize) {
    assert!(found == expected, "{name} holds {found} floats, expected {expected}");
}

/// Where the vectors of a row lie.
#[derive(Clone, Copy)]
struct Row {
    hidden: usize,
    /// padded(H)
    vector: usize,
    /// Slots per unit.
    stored: usize,
}

impl Row {
    fn of(options: &Options<'_>) -> Self {
        Self { hidden: options.hidden, vector: padded(options.hidden), stored: options.slots().stored }
    }

    /// The place of a unit's vector in slot 0 of a stored row.
    #[inline(always)]
    fn gate(&self, unit: usize) -> usize {
        unit / 16 * self.stored * 16 + unit % 16
    }

    /// How many lanes at `unit` are units.
    #[inline(always)]
    fn lanes<S: Simd>(&self, unit: usize) -> usize {
        self.hidden.saturating_sub(unit).min(S::LANES)
    }
}

impl Kernel for Forward<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let row = Row::of(&self.options);
        let (old, new) = match self.cell {
            Cells::InPlace(cells) => {
                let cells = cells.as_mut_ptr();
                (cells.cast_const(), cells)
            }
            Cells::Kept { old, new } => (old.as_ptr(), new.as_mut_ptr()),
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
                    (false, _) => places.normalised(s, row, &self.options),
                    (true, false) => places.plain::<S, false>(s, row, &self.options),
                    (true, true) => places.plain::<S, true>(s, row, &self.options),
                }
            }
        }
    }
}

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
    /// # Safety
    /// All places are of a row of that shape.
    #[inline(always)]
    unsafe fn plain<S: Simd, const COUPLED: bool>(self, s: S, row: Row, options: &Options<'_>) {
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

    /// # Safety
    /// As for `plain`.
    #[inline(always)]
    unsafe fn normalised<S: Simd>(self, s: S, row: Row, options: &Options<'_>) {
        // SAFETY: as the caller vouches; the norm has ten vectors, and what is kept five and sixteen more.
        unsafe {
            let norm = options.norm.as_ptr();
            for n in 0..4 {
                let from = Places { base: self.gates.add(n * 16), row, interleaved: true };
                normalise(s, from, self.norm_of(n, row, norm));
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
            let cell = Places { base: self.new, row, interleaved: false };
            normalise(s, cell, self.norm_of(4, row, norm));
            for unit in (0..row.vector).step_by(S::LANES) {
                let tanh_c = tanh(s, s.load(self.new.add(unit)));
                let o = s.load(self.gates.add(row.gate(unit) + 48));
                s.store(self.tanh_c.add(unit), tanh_c);
                s.store(self.output.add(unit), s.mul(o, tanh_c));
            }
        }
    }

    /// # Safety
    /// `n` < 5, and `norm` has ten vectors.
    #[inline(always)]
    unsafe fn norm_of(self, n: usize, row: Row, norm: *const f32) -> Norm {
        // SAFETY: as the caller vouches.
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

/// The H values that are normalised together.
#[derive(Clone, Copy)]
struct Places {
    base: *mut f32,
    row: Row,
    /// Whether they lie as a gate does.
    interleaved: bool,
}

impl Places {
    #[inline(always)]
    fn at(&self, unit: usize) -> *mut f32 {
        self.base.wrapping_add(if self.interleaved { self.row.gate(unit) } else { unit })
    }
}

/// The weights of one norm, and what it keeps: the normalised values, and 1 / deviation.
#[derive(Clone, Copy)]
struct Norm {
    weight: *const f32,
    bias: *const f32,
    hat: *mut f32,
    scale: *mut f32,
}

/// The sum of f(unit, lanes) over sixteen virtual lanes.
macro_rules! sum_units {
    ($s:ident, $S:ty, $row:expr, |$unit:ident, $lanes:ident| $value:expr) => {{
        let mut lanes = [$s.splat(0.0); 2];
        for $unit in (0..$row.hidden).step_by(<$S>::LANES) {
            let $lanes = $row.lanes::<$S>($unit);
            let half = $unit % 16 / <$S>::LANES;
            lanes[half] = $s.add(lanes[half], $value);
        }
        $s.sum_lanes(lanes)
    }};
}

/// Normalises values in place, and keeps what the backward step needs.
///
/// # Safety
/// All places are those of a row.
#[inline(always)]
unsafe fn normalise<S: Simd>(s: S, values: Places, norm: Norm) {
    let row = values.row;
    let count = 1.0 / row.hidden as f32;
    // SAFETY: as the caller vouches.
    unsafe {
        let mean = count * sum_units!(s, S, row, |unit, lanes| s.load_up_to(values.at(unit), lanes, 0.0));
        let middle = s.splat(mean);
        let variance = count
            * sum_units!(s, S, row, |unit, lanes| {
                let away = s.sub(s.load_up_to(values.at(unit), lanes, mean), middle);
                s.mul(away, away)
            });
        let mut scale = [0.0; 16];
        s.store(scale.as_mut_ptr(), s.div(s.splat(1.0), s.sqrt(s.splat(variance + EPSILON))));
        *norm.scale = scale[0];
        let scale = s.splat(scale[0]);
        for unit in (0..row.vector).step_by(S::LANES) {
            // Behind the last unit the weights are zero, and the values stay so.
            let hat = s.mul(s.sub(s.load(values.at(unit)), middle), scale);
            s.store(norm.hat.add(unit), hat);
            s.store(values.at(unit), s.fma(s.load(norm.weight.add(unit)), hat, s.load(norm.bias.add(unit))));
        }
    }
}

/// One step of some rows, backward.
#[derive(Debug)]
pub struct Backward<'a> {
    /// The layer's.
    pub options: Options<'a>,
    /// Rows that take part.
    pub rows: usize,
    /// [rows, stored]: gates, which become deltas.
    pub gates: &'a mut [f32],
    /// [rows, padded(H)]: cells before the step.
    pub old: &'a [f32],
    /// [rows, padded(H)]: cells after it.
    pub new: &'a [f32],
    /// [rows, padded(H)]: tanh(c').
    pub tanh_c: &'a [f32],
    /// [rows, padded(H)]: gradient of the output.
    pub d_output: &'a [f32],
    /// [rows, padded(H)]: gradient of the new cells, which becomes that of the old ones.
    pub dc: &'a mut [f32],
    /// As the forward step left it; overwritten.
    pub kept: &'a mut [f32],
    /// [rows, terms]: overwritten.
    pub terms: &'a mut [f32],
}

impl Backward<'_> {
    /// Computes the rows.
    ///
    /// # Panics
    /// When a slice has not the stated length, or the options do not fit each other.
    pub fn run_on(self, isa: Isa) {
        self.options.check();
        let (rows, vector) = (self.rows, padded(self.options.hidden));
        check("gates", self.gates.len(), product([rows, self.options.slots().width()]));
        let cells = [("old", self.old.len()), ("new", self.new.len()), ("tanh_c", self.tanh_c.len())];
        let gradients = [("d_output", self.d_output.len()), ("dc", self.dc.len())];
        cells.into_iter().chain(gradients).for_each(|(name, len)| check(name, len, rows * vector));
        check("kept", self.kept.len(), product([rows, self.options.kept_width()]));
        check("terms", self.terms.len(), product([rows, self.options.terms_width()]));
        isa.run(self);
    }
}

impl Kernel for Backward<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let row = Row::of(&self.options);
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
                    (false, _) => places.normalised(s, row, &self.options),
                    (true, false) => places.plain::<S, false>(s, row, &self.options),
                    (true, true) => places.plain::<S, true>(s, row, &self.options),
                }
            }
        }
    }
}

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
    /// # Safety
    /// All places are of a row of that shape.
    #[inline(always)]
    unsafe fn plain<S: Simd, const COUPLED: bool>(self, s: S, row: Row, options: &Options<'_>) {
        let peeps = !options.peepholes.is_empty();
        let peepholes = options.peepholes.as_ptr();
        let first = if COUPLED { 0 } else { 1 };
        let (one, limit) = (s.splat(1.0), s.splat(options.cell_clip));
        let bell = |y: S::F| s.mul(y, s.sub(one, y));
        for unit in (0..row.vector).step_by(S::LANES) {
            // SAFETY: `unit` is a vector of the row.
            unsafe {
                let gate = self.gates.add(row.gate(unit));
                let peephole = |n: usize| s.load(peepholes.wrapping_add(n * row.vector + unit));
                let (f, g) = (s.load(gate.add(first * 16)), s.load(gate.add((first + 1) * 16)));
                let o = s.load(gate.add((first + 2) * 16));
                let i = if COUPLED { s.sub(one, f) } else { s.load(gate) };
                let (old, new) = (s.load(self.old.add(unit)), s.load(self.new.add(unit)));
                let (tanh_c, d) = (s.load(self.tanh_c.add(unit)), s.load(self.d_output.add(unit)));
                let d_o = s.mul(s.mul(d, tanh_c), bell(o));
                let through = s.mul(s.mul(d, o), s.fnma(tanh_c, tanh_c, one));
                let mut dc = s.add(s.load(self.dc.add(unit)), through);
                if peeps {
                    dc = s.fma(d_o, peephole(first + 1), dc);
                }
                let dc = s.where_positive(s.sub(limit, s.abs(new)), dc);
                let dg = s.mul(s.mul(dc, i), s.fnma(g, g, one));
                let df = s.mul(s.mul(dc, if COUPLED { s.sub(old, g) } else { old }), bell(f));
                let mut before = s.mul(dc, f);
                if peeps {
                    before = s.fma(df, peephole(first), before);
                    s.store(self.terms.add(first * row.vector + unit), s.mul(df, old));
                    s.store(self.terms.add((first + 1) * row.vector + unit), s.mul(d_o, new));
                }
                if !COUPLED {
                    let di = s.mul(s.mul(dc, g), bell(i));
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

    /// # Safety
    /// As for `plain`.
    #[inline(always)]
    unsafe fn normalised<S: Simd>(self, s: S, row: Row, options: &Options<'_>) {
        let one = s.splat(1.0);
        let bell = |y: S::F| s.mul(y, s.sub(one, y));
        // SAFETY: as the caller vouches; the norm has ten vectors, and so have the terms.
        unsafe {
            for unit in (0..row.vector).step_by(S::LANES) {
                let (o, tanh_c) =
                    (s.load(self.gates.add(row.gate(unit) + 48)), s.load(self.tanh_c.add(unit)));
                let d = s.load(self.d_output.add(unit));
                let through = s.mul(s.mul(d, o), s.fnma(tanh_c, tanh_c, one));
                s.store(self.dc.add(unit), s.add(s.load(self.dc.add(unit)), through));
                s.store(self.gates.add(row.gate(unit) + 48), s.mul(s.mul(d, tanh_c), bell(o)));
            }
            let cell = Places { base: self.dc, row, interleaved: false };
            self.through_norm(s, 4, cell, options.norm.as_ptr());
            for unit in (0..row.vector).step_by(S::LANES) {
                let gate = self.gates.add(row.gate(unit));
                let (i, f, g) = (s.load(gate), s.load(gate.add(16)), s.load(gate.add(32)));
                let (dc, old) = (s.load(self.dc.add(unit)), s.load(self.old.add(unit)));
                s.store(gate, s.mul(s.mul(dc, g), bell(i)));
                s.store(gate.add(16), s.mul(s.mul(dc, old), bell(f)));
                s.store(gate.add(32), s.mul(s.mul(dc, i), s.fnma(g, g, one)));
                s.store(self.dc.add(unit), s.mul(dc, f));
            }
            for n in 0..4 {
                let gate = Places { base: self.gates.add(n * 16), row, interleaved: true };
                self.through_norm(s, n, gate, options.norm.as_ptr());
            }
        }
    }

    /// From the gradient of norm n's results, in place, to that of what was normalised:
    /// `scale (d w - mean(d w) - hat mean(d w hat))`; leaves the terms d hat and d.
    ///
    /// # Safety
    /// `n` < 5; all places are of a row.
    #[inline(always)]
    unsafe fn through_norm<S: Simd>(self, s: S, n: usize, values: Places, norm: *const f32) {
        let row = values.row;
        let count = 1.0 / row.hidden as f32;
        // SAFETY: as the caller vouches.
        unsafe {
            let weight = norm.add(n * row.vector);
            let (hat, scale) = (self.kept.add(n * row.vector), *self.kept.add(NORMED * row.vector + n));
            let weighed = |unit: usize| s.mul(s.load(values.at(unit)), s.load(weight.add(unit)));
            // Behind the last unit the weights are zero.
            let mean = count * sum_units!(s, S, row, |unit, _lanes| weighed(unit));
            let along =
                count * sum_units!(s, S, row, |unit, _lanes| s.mul(weighed(unit), s.load(hat.add(unit))));
            let (mean, along, scale) = (s.splat(mean), s.splat(along), s.splat(scale));
            for unit in (0..row.vector).step_by(S::LANES) {
                let (d, hat) = (s.load(values.at(unit)), s.load(hat.add(unit)));
                s.store(self.terms.add(n * row.vector + unit), s.mul(d, hat));
                s.store(self.terms.add((NORMED + n) * row.vector + unit), d);
                let centred = s.fnma(hat, along, s.sub(s.mul(d, s.load(weight.add(unit))), mean));
                let lanes = row.lanes::<S>(unit);
                s.store_up_to(values.at(unit), lanes, s.mul(centred, scale));
            }
        }
    }
}

/// Holds values to [-limit, limit]: the clip of a projection.
pub fn hold(isa: Isa, values: &mut [f32], limit: f32) {
    struct Hold<'a>(&'a mut [f32], f32);
    impl Kernel for Hold<'_> {
        type Output = ();
        #[inline(always)]
        fn run<S: Simd>(self, _: S) {
            self.0.iter_mut().for_each(|value| *value = value.clamp(-self.1, self.1));
        }
    }
    isa.run(Hold(values, limit));
}

/// Zeroes the gradients of values that stand at the limit.
///
/// # Panics
/// When the slices differ in length.
pub fn hold_backward(isa: Isa, values: &[f32], limit: f32, gradients: &mut [f32]) {
    struct Hold<'a>(&'a [f32], f32, &'a mut [f32]);
    impl Kernel for Hold<'_> {
        type Output = ();
        #[inline(always)]
        fn run<S: Simd>(self, _: S) {
            for (value, gradient) in self.0.iter().zip(self.2) {
                *gradient = if value.abs() < self.1 { *gradient } else { 0.0 };
            }
        }
    }
    assert_eq!(values.len(), gradients.len(), "a gradient for each value");
    isa.run(Hold(values, limit, gradients));
}
