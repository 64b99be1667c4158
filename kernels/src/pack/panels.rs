//! Panels of packed weights.

use super::part::PackedPart;
use super::quads::pack_vector;
use super::sizes::{check_len, padded, product, strides};
use super::slots::Slots;
use crate::bf16::pair;
use crate::isa::{Isa, Products};
use core::ops::Range;

/// Some vectors of a panel: the first one, and the number of vectors from there on that have
/// outputs in their lower and in their upper half. The others are padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PanelPart {
    pub(crate) first: usize,
    pub(crate) lower: usize,
    pub(crate) upper: usize,
}

impl PanelPart {
    /// Returns all `width` vectors of the same units, those of block `block` of H.
    #[inline(always)]
    pub(crate) fn of_block(width: usize, block: usize, hidden: usize) -> Self {
        Self { first: 0, lower: width, upper: if hidden > block * 16 + 8 { width } else { 0 } }
    }
}

/// Sixteen outputs: rows `first..first + lanes` of a weight matrix. The other lanes are zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct PanelVector {
    first: usize,
    lanes: usize,
}

impl PanelVector {
    /// Returns its values in a row of all outputs; none if the row is empty.
    fn of<'r>(&self, row: &'r [f32]) -> &'r [f32] {
        if row.is_empty() { row } else { &row[self.first..][..self.lanes] }
    }
}

/// One panel: its vectors, and the place of its results in a row of outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Panel {
    /// Number of vectors (W), 1 to 4.
    pub(crate) width: usize,
    /// Number of vectors with outputs in their upper half.
    upper: usize,
    /// Number of vectors in the panels before this one.
    pub(crate) before: usize,
    /// The first float of its results in a row of outputs.
    pub(crate) out: usize,
}

impl Panel {
    fn new(vectors: &[PanelVector], before: usize, out: usize) -> Self {
        Self { width: vectors.len(), upper: vectors.iter().filter(|v| v.lanes > 8).count(), before, out }
    }

    /// Returns all vectors.
    #[inline(always)]
    pub(crate) fn whole(&self) -> PanelPart {
        PanelPart { first: 0, lower: self.width, upper: self.upper }
    }

    /// Returns the vectors among `vectors` of all panels.
    #[inline(always)]
    pub(crate) fn within(&self, vectors: &Range<usize>) -> PanelPart {
        let place = |vector: usize| vector.saturating_sub(self.before);
        let first = place(vectors.start).min(self.width);
        let count = |most: usize| place(vectors.end).min(most).saturating_sub(first);
        PanelPart { first, lower: count(self.width), upper: count(self.upper) }
    }
}

/// The arrangement of a weight matrix in panels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Panels {
    vectors: Vec<PanelVector>,
    panels: Vec<Panel>,
    out_width: usize,
}

impl Panels {
    /// Returns `outputs` rows in order, in panels of up to 64 of nearly equal width, for products
    /// without gates. A rest of eight outputs or fewer is a separate panel.
    pub fn plain(outputs: usize) -> Self {
        let blocks = outputs.div_ceil(16);
        let whole = (outputs + 7) / 16;
        let count = whole.div_ceil(4);
        let vector = |b: usize| PanelVector { first: b * 16, lanes: (outputs - b * 16).min(16) };
        let vectors: Vec<PanelVector> = (0..blocks).map(vector).collect();
        let panels = (0..count).map(|i| (whole * i / count, whole * (i + 1) / count));
        let tail = (whole < blocks).then_some((whole, blocks));
        let panel = |(from, to): (usize, usize)| Panel::new(&vectors[from..to], from, from * 16);
        let panels = panels.chain(tail).map(panel).collect();
        Self { vectors, panels, out_width: blocks * 16 }
    }

    /// Returns one panel for each block of 16 units: a vector for each of `slots.gates`, side by
    /// side.
    ///
    /// # Panics
    /// If the gates do not fit the stored slots, or a panel.
    pub fn gates(slots: &Slots) -> Self {
        slots.check();
        let blocks = slots.hidden.div_ceil(16);
        let width = slots.gates.len();
        let vector = |b: usize, gate: usize| PanelVector {
            first: gate * slots.hidden + b * 16,
            lanes: (slots.hidden - b * 16).min(16),
        };
        let vectors: Vec<PanelVector> =
            (0..blocks).flat_map(|b| slots.gates.iter().map(move |&gate| vector(b, gate))).collect();
        let out = |b: usize| (b * slots.stored + slots.first) * 16;
        let panel = |b: usize| Panel::new(&vectors[b * width..][..width], b * width, out(b));
        let panels = (0..blocks).map(panel).collect();
        Self { vectors, panels, out_width: blocks * slots.stored * 16 }
    }

    /// Returns one gate alone, in plain panels.
    pub fn one_gate(hidden: usize, gate: usize) -> Self {
        let mut plain = Self::plain(hidden);
        plain.vectors.iter_mut().for_each(|vector| vector.first += gate * hidden);
        plain
    }

    /// Returns the floats of a packed matrix with `depth` words of k ([`Isa::words`],
    /// [`Isa::slot_words`]).
    ///
    /// # Panics
    /// If the number overflows.
    pub fn len(&self, depth: usize) -> usize {
        product([self.vectors.len(), 16, depth])
    }

    /// Returns whether there is nothing to pack.
    pub fn is_empty(&self) -> bool {
        self.vectors.is_empty()
    }

    /// Checks that the outputs are `units` of one gate in order, as the cells' tiles assume.
    pub(crate) fn check_plain(&self, units: usize) {
        let plain = self.panels.iter().all(|panel| panel.out == panel.before * 16);
        assert!(
            plain && self.out_width == padded(units) && self.vectors.len() * 16 == padded(units),
            "panels with rows of {} outputs, expected plain ones of {}",
            self.out_width,
            padded(units)
        );
    }

    /// Returns the floats in a row of outputs.
    pub fn out_width(&self) -> usize {
        self.out_width
    }

    /// Returns the panels that hold some of `vectors`.
    pub(crate) fn holding(&self, vectors: &Range<usize>) -> Range<usize> {
        let end = self.panels.partition_point(|panel| panel.before < vectors.end);
        let first = self.panels.partition_point(|panel| panel.before + panel.width <= vectors.start);
        first..end.max(first)
    }

    pub(crate) fn panels(&self) -> &[Panel] {
        &self.panels
    }

    /// Returns the number of panels. Each can be packed alone.
    pub fn count(&self) -> usize {
        self.panels.len()
    }

    /// Returns the floats of the packed panels before panel `panel`.
    pub fn before(&self, panel: usize, depth: usize) -> usize {
        self.panels.get(panel).map_or(self.len(depth), |panel| panel.before * 16 * depth)
    }

    /// Packs `weight` [rows, depth] into `packed`, `len(isa.words(depth))` floats, for the kernels of
    /// `isa`.
    ///
    /// # Panics
    /// If a slice has the wrong length.
    pub fn pack(&self, isa: Isa, weight: &[f32], depth: usize, packed: &mut [f32]) {
        let whole = PackedPart::whole(self, isa.words(depth));
        self.pack_part(isa, &whole, (weight, depth), packed);
    }

    /// Packs a part of `weight` [rows, depth]; `packed` holds only this part.
    ///
    /// # Panics
    /// If a slice has the wrong length.
    pub fn pack_part(
        &self,
        isa: Isa,
        part: &PackedPart,
        (weight, depth): (&[f32], usize),
        packed: &mut [f32],
    ) {
        check_len("the words of k", part.depth, isa.words(depth));
        for PartPanel { vectors, step, beside, area } in self.areas(isa, part, packed) {
            for (w, vector) in vectors.iter().enumerate() {
                let (rows, to) = (Columns { weight, depth, vector: *vector }, &mut area[w * beside..]);
                match isa.products() {
                    Products::F32 => rows.transpose(part.values.clone(), to, step, |row, k| row[k]),
                    Products::Int8 => rows.quads(part.values.clone(), to, step),
                    Products::Bf16 => rows.transpose(part.values.clone(), to, step, |row, k| {
                        let value = |k: usize| row.get(k).copied().unwrap_or(0.0);
                        pair(value(2 * k), value(2 * k + 1))
                    }),
                }
            }
        }
    }

    /// Packs the transposed product for the kernels of `isa`. `weight` is [rows, outputs], `self`
    /// is plain and takes each column as an output, and k runs over the matrix rows in the order of
    /// `Slots::rows`.
    ///
    /// # Panics
    /// If a slice has the wrong length.
    pub fn pack_transposed(
        &self,
        isa: Isa,
        weight: &[f32],
        outputs: usize,
        slots: &Slots,
        packed: &mut [f32],
    ) {
        let whole = PackedPart::whole(self, isa.slot_words(slots));
        self.pack_part_transposed(isa, &whole, (weight, outputs), slots, packed);
    }

    /// Packs a part of the transposed product; `packed` holds only this part.
    ///
    /// # Panics
    /// If a slice has the wrong length.
    pub fn pack_part_transposed(
        &self,
        isa: Isa,
        part: &PackedPart,
        (weight, outputs): (&[f32], usize),
        slots: &Slots,
        packed: &mut [f32],
    ) {
        assert!(
            isa.products() != Products::Int8,
            "8-bit integers are for inference, without a backward pass"
        );
        check_len("the words of k", part.depth, isa.slot_words(slots));
        for PartPanel { vectors, step, beside, area } in self.areas(isa, part, packed) {
            // The vectors of each k are side by side in the first area, or each in its own area.
            // Other areas stay empty; the loop ends with the vectors, before it reaches them.
            let mut areas: [&mut [f32]; 4] = Default::default();
            let all = area.chunks_mut(beside.max(step * part.values.len()));
            areas.iter_mut().zip(all).for_each(|(to, area)| *to = area);
            let row = |row: usize| &weight[row * outputs..][..outputs];
            if isa.products() == Products::Bf16 {
                for (k, word) in part.values.clone().enumerate() {
                    let [low, high] = slots.pair_rows(word).map(|at| at.map_or(&[][..], row));
                    let to = vectors_of(&mut areas, k, step);
                    vectors
                        .iter()
                        .zip(to)
                        .for_each(|(vector, to)| pair_vectors(vector.of(low), vector.of(high), to));
                }
                continue;
            }
            for (k, at) in slots.rows_from(part.values.start).take(part.values.len()).enumerate() {
                let to = vectors_of(&mut areas, k, step);
                vectors.iter().zip(to).for_each(|(vector, to)| copy_vector(vector.of(row(at)), to));
            }
        }
    }

    /// Returns the panels of a part, each with its own floats of `packed`.
    fn areas<'a>(
        &'a self,
        isa: Isa,
        part: &'a PackedPart,
        mut packed: &'a mut [f32],
    ) -> impl Iterator<Item = PartPanel<'a>> {
        check_len("packed", packed.len(), part.floats(self));
        let panels = if part.values.is_empty() { 0..0 } else { part.panels.clone() };
        panels.map(move |index| {
            let panel = &self.panels[index];
            let vectors = &self.vectors[panel.before..][part.vectors_in(self, index)];
            let [step, beside] = strides(panel.width, part.depth, isa.deep());
            let len = vectors.len() * 16 * part.values.len();
            let (area, rest) = core::mem::take(&mut packed).split_at_mut(len);
            packed = rest;
            PartPanel { vectors, step, beside, area }
        })
    }
}

/// A panel that belongs to a part, or the vectors or values of k that do.
struct PartPanel<'a> {
    vectors: &'a [PanelVector],
    /// Floats from one k to the next, and from one vector to the next.
    step: usize,
    beside: usize,
    area: &'a mut [f32],
}

/// Returns the vectors of word k in the areas of a panel.
fn vectors_of<'a>(
    areas: &'a mut [&mut [f32]; 4],
    k: usize,
    step: usize,
) -> impl Iterator<Item = &'a mut [f32; 16]> {
    areas.iter_mut().flat_map(move |area| area[k * step..][..step].as_chunks_mut().0)
}

/// Copies up to sixteen values, and zeros behind them.
fn copy_vector(from: &[f32], to: &mut [f32; 16]) {
    match from.first_chunk() {
        Some(from) => *to = *from,
        None => {
            to[..from.len()].copy_from_slice(from);
            to[from.len()..].fill(0.0);
        }
    }
}

/// Writes pairs of up to sixteen values, and zeros behind them. An empty side is zeros.
fn pair_vectors(low: &[f32], high: &[f32], to: &mut [f32; 16]) {
    if let (Some(low), Some(high)) = (low.first_chunk::<16>(), high.first_chunk::<16>()) {
        *to = core::array::from_fn(|lane| pair(low[lane], high[lane]));
        return;
    }
    let value = |from: &[f32], lane: usize| from.get(lane).copied().unwrap_or(0.0);
    *to = core::array::from_fn(|lane| pair(value(low, lane), value(high, lane)));
}

/// Rows `vector` of `weight` [_, depth], which become columns of a panel.
struct Columns<'a> {
    weight: &'a [f32],
    depth: usize,
    vector: PanelVector,
}

impl Columns<'_> {
    /// Writes the words of some quads, and of the scales behind them.
    fn quads(&self, words: Range<usize>, to: &mut [f32], stride: usize) {
        let Self { weight, depth, vector } = *self;
        pack_vector(&weight[vector.first * depth..][..vector.lanes * depth], depth, words, to, stride);
    }

    /// Writes the words of some values of k: `to[k * stride + lane]`. `word` returns word k of a row.
    #[inline(always)]
    fn transpose(
        &self,
        values: Range<usize>,
        to: &mut [f32],
        stride: usize,
        word: impl Fn(&[f32], usize) -> f32,
    ) {
        let Self { weight, depth, vector } = *self;
        let rows = &weight[vector.first * depth..][..vector.lanes * depth];
        let columns = values.zip((0..).step_by(stride));
        if vector.lanes < 16 {
            for (k, at) in columns {
                let to = &mut to[at..][..16];
                to.iter_mut().zip(rows.chunks_exact(depth)).for_each(|(to, row)| *to = word(row, k));
                to[vector.lanes..].fill(0.0);
            }
            return;
        }
        let rows: [&[f32]; 16] = core::array::from_fn(|lane| &rows[lane * depth..][..depth]);
        for (k, at) in columns {
            let column: [f32; 16] = core::array::from_fn(|lane| word(rows[lane], k));
            to[at..][..16].copy_from_slice(&column);
        }
    }
}
