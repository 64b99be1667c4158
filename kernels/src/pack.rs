//! Where weights and activations lie: panels of weights, and rows of gate values.
//!
//! Sixteen hidden units are a *block*; a hidden vector is stored in `padded(H)` floats, zeros behind the last unit.
//! Gate values and their gradients are stored row by row as `[block][slot][16]`: the slots are the cell's gates, in the
//! order that suits its tiles (see [`Slots`]).
//!
//! A *panel* holds W <= 4 vectors of 16 outputs for each input k, as `[K][W][16]`: read once from front to end, it is one
//! stream. On AVX2, whose tiles take one vector after another, a deep panel is `[W][K][16]`, so that each of them is one
//! stream over few pages of memory. [`Panels`] says which rows of a PyTorch weight matrix [rows, K] the vectors hold, and
//! packs them.

use crate::dispatch::Isa;
use core::ops::Range;

/// Floats in a stored vector of `units` values: the next multiple of sixteen.
pub const fn padded(units: usize) -> usize {
    units.next_multiple_of(16)
}

/// The product of some sizes. No length that wrapped around may pass for the length of a slice.
pub(crate) fn product<const N: usize>(sizes: [usize; N]) -> usize {
    let product = sizes.iter().try_fold(1usize, |product, size| product.checked_mul(*size));
    product.unwrap_or_else(|| panic!("sizes whose product no memory holds: {sizes:?}"))
}

/// Values of k in some pieces of a row of `width` floats, which they must lie within.
pub(crate) fn depth_of(pieces: &[Range<usize>], width: usize) -> usize {
    let end = pieces.iter().map(|piece| piece.start.max(piece.end)).max().unwrap_or(0);
    assert!(end <= width, "pieces to {end} in rows of {width}");
    let depth = pieces.iter().try_fold(0usize, |depth, piece| depth.checked_add(piece.len()));
    depth.unwrap_or_else(|| panic!("{} pieces of a row that no memory holds", pieces.len()))
}

/// Floats from one k to the next, and from one vector to the next, in a panel of `width` vectors and `depth` values of k, where
/// panels are deep from `deep` on.
#[inline(always)]
pub(crate) fn strides(width: usize, depth: usize, deep: usize) -> [usize; 2] {
    if depth < deep { [width * 16, 16] } else { [16, depth * 16] }
}

/// How many vectors of a panel have outputs in their lower and in their upper half; the others are zeros for padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PanelWidths {
    pub(crate) lower: usize,
    pub(crate) upper: usize,
}

impl PanelWidths {
    /// `width` vectors of the same units, those of block `block` of H.
    #[inline(always)]
    pub(crate) fn of_block(width: usize, block: usize, hidden: usize) -> Self {
        Self { lower: width, upper: if hidden > block * 16 + 8 { width } else { 0 } }
    }
}

/// Sixteen outputs: rows `first..first + lanes` of a weight matrix; the other lanes are zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct PanelVector {
    first: usize,
    lanes: usize,
}

/// One panel: its vectors, and where its results go within a row of outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Panel {
    /// Vectors W, 1 to 4.
    pub(crate) width: usize,
    /// Those with outputs in their upper half.
    upper: usize,
    /// Vectors in the panels before this one.
    pub(crate) before: usize,
    /// The first float of its results in a row of outputs.
    pub(crate) out: usize,
}

impl Panel {
    fn new(vectors: &[PanelVector], before: usize, out: usize) -> Self {
        Self { width: vectors.len(), upper: vectors.iter().filter(|v| v.lanes > 8).count(), before, out }
    }

    pub(crate) fn widths(&self) -> PanelWidths {
        PanelWidths { lower: self.width, upper: self.upper }
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
    /// `outputs` rows in order, in panels of up to 64 of nearly equal width: products without gates. Eight outputs or fewer that are left
    /// over make a panel of their own.
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

    /// For each block of 16 units, one vector for each of `slots.gates` side by side.
    ///
    /// # Panics
    /// When the gates do not fit the stored slots, or a panel.
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

    /// One gate by itself, in plain panels.
    pub fn one_gate(hidden: usize, gate: usize) -> Self {
        let mut plain = Self::plain(hidden);
        plain.vectors.iter_mut().for_each(|vector| vector.first += gate * hidden);
        plain
    }

    /// Floats that a matrix with K columns takes when packed.
    ///
    /// # Panics
    /// When no memory holds them.
    pub fn len(&self, depth: usize) -> usize {
        product([self.vectors.len(), 16, depth])
    }

    /// Whether there is nothing to pack.
    pub fn is_empty(&self) -> bool {
        self.vectors.is_empty()
    }

    /// Checks that the outputs are `units` of one gate in order, as the cells' tiles take for granted.
    pub(crate) fn check_plain(&self, units: usize) {
        let plain = self.panels.iter().all(|panel| panel.out == panel.before * 16);
        assert!(
            plain && self.out_width == padded(units) && self.vectors.len() * 16 == padded(units),
            "panels with rows of {} outputs, expected plain ones of {}",
            self.out_width,
            padded(units)
        );
    }

    /// Floats in a row of outputs.
    pub fn out_width(&self) -> usize {
        self.out_width
    }

    pub(crate) fn panels(&self) -> &[Panel] {
        &self.panels
    }

    /// How many panels there are. They can be packed apart from each other.
    pub fn count(&self) -> usize {
        self.panels.len()
    }

    /// Floats that the panels before panel `panel` take when packed.
    pub fn before(&self, panel: usize, depth: usize) -> usize {
        self.panels.get(panel).map_or(self.len(depth), |panel| panel.before * 16 * depth)
    }

    /// Packs `weight` [rows, depth] into `packed`, `len(depth)` floats, for the kernels of `isa`.
    ///
    /// # Panics
    /// When a slice has not the stated length.
    pub fn pack(&self, isa: Isa, weight: &[f32], depth: usize, packed: &mut [f32]) {
        self.pack_some(isa, 0..self.count(), weight, depth, packed);
    }

    /// Packs some panels of `weight` [rows, depth]; `packed` is theirs alone.
    ///
    /// # Panics
    /// When a slice has not the stated length.
    pub fn pack_some(
        &self,
        isa: Isa,
        panels: Range<usize>,
        weight: &[f32],
        depth: usize,
        packed: &mut [f32],
    ) {
        for (panel, area) in self.areas(panels, depth, packed) {
            let [step, beside] = strides(panel.width, depth, isa.deep());
            for (w, vector) in self.vectors[panel.before..][..panel.width].iter().enumerate() {
                transpose(weight, depth, *vector, &mut area[w * beside..], step);
            }
        }
    }

    /// Packs the transposed product for the kernels of `isa`: `weight` [rows, outputs], of which `self` (plain, over the
    /// columns) takes each column as an output, and k runs over the matrix rows in the order of `Slots::rows`.
    ///
    /// # Panics
    /// When a slice has not the stated length.
    pub fn pack_transposed(
        &self,
        isa: Isa,
        weight: &[f32],
        outputs: usize,
        slots: &Slots,
        packed: &mut [f32],
    ) {
        self.pack_some_transposed(isa, 0..self.count(), (weight, outputs), slots, packed);
    }

    /// Packs some panels of the transposed product; `packed` is theirs alone.
    ///
    /// # Panics
    /// When a slice has not the stated length.
    pub fn pack_some_transposed(
        &self,
        isa: Isa,
        panels: Range<usize>,
        (weight, outputs): (&[f32], usize),
        slots: &Slots,
        packed: &mut [f32],
    ) {
        for (panel, area) in self.areas(panels, slots.depth(), packed) {
            let vectors = &self.vectors[panel.before..][..panel.width];
            let [step, beside] = strides(panel.width, slots.depth(), isa.deep());
            // Where the vectors of each k begin: side by side in the first part, or each in its own. Others stay empty, and the
            // loop ends with the vectors before it comes to them.
            let mut parts: [&mut [f32]; 4] = Default::default();
            parts.iter_mut().zip(area.chunks_mut(beside.max(step * slots.depth()))).for_each(|(p, a)| *p = a);
            for (k, row) in slots.rows().enumerate() {
                let from = &weight[row * outputs..][..outputs];
                let to = parts.iter_mut().flat_map(|part| part[k * step..][..step].as_chunks_mut().0);
                vectors.iter().zip(to).for_each(|(vector, to)| {
                    copy_vector(&from[vector.first..][..vector.lanes], to);
                });
            }
        }
    }

    /// The panels with their parts of `packed`.
    fn areas<'a>(
        &'a self,
        panels: Range<usize>,
        depth: usize,
        mut packed: &'a mut [f32],
    ) -> impl Iterator<Item = (&'a Panel, &'a mut [f32])> {
        let len = self.before(panels.end, depth) - self.before(panels.start, depth);
        assert_eq!(packed.len(), len, "packed panels {panels:?} of depth {depth}");
        let panels = if depth == 0 { &[][..] } else { &self.panels[panels] };
        panels.iter().map(move |panel| {
            let (area, rest) = core::mem::take(&mut packed).split_at_mut(panel.width * 16 * depth);
            packed = rest;
            (panel, area)
        })
    }
}

/// Up to sixteen values, and zeros behind them.
fn copy_vector(from: &[f32], to: &mut [f32; 16]) {
    match from.first_chunk() {
        Some(from) => *to = *from,
        None => {
            to[..from.len()].copy_from_slice(from);
            to[from.len()..].fill(0.0);
        }
    }
}

/// Writes rows `vector` of `weight` [_, depth] as columns: `to[k * stride + lane]`.
fn transpose(weight: &[f32], depth: usize, vector: PanelVector, to: &mut [f32], stride: usize) {
    let rows = &weight[vector.first * depth..][..vector.lanes * depth];
    if vector.lanes < 16 {
        for k in 0..depth {
            let to = &mut to[k * stride..][..16];
            to.iter_mut().zip(rows[k..].iter().step_by(depth)).for_each(|(to, from)| *to = *from);
            to[vector.lanes..].fill(0.0);
        }
        return;
    }
    let rows: [&[f32]; 16] = core::array::from_fn(|lane| &rows[lane * depth..][..depth]);
    for k in 0..depth {
        let column: [f32; 16] = core::array::from_fn(|lane| rows[lane][k]);
        to[k * stride..][..16].copy_from_slice(&column);
    }
}

/// Which gates a weight matrix feeds, and where their values lie in a stored row `[block][slot][16]`.
///
/// `gates` lists, slot after slot from `first` on, the gate's place in PyTorch's order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slots {
    /// Hidden width H.
    pub hidden: usize,
    /// Slots per unit in a stored row.
    pub stored: usize,
    /// The first slot that this matrix feeds.
    pub first: usize,
    /// PyTorch's gate in each slot from there on.
    pub gates: &'static [usize],
}

impl Slots {
    /// A row of plain values: one slot, one gate.
    pub fn plain(width: usize) -> Self {
        Self { hidden: width, stored: 1, first: 0, gates: &[0] }
    }

    /// Checks that the gates have slots, and that a stored row is no longer than memory.
    pub(crate) fn check(&self) {
        let fit = self.stored <= 4 && self.gates.len() <= self.stored.saturating_sub(self.first);
        assert!(fit, "gates beyond the slots: {self:?}");
        product([self.hidden.saturating_add(15), self.stored, size_of::<f32>()]);
    }

    /// Floats in a stored row.
    pub fn width(&self) -> usize {
        padded(self.hidden) * self.stored
    }

    /// Values of k in a product over these slots: H for each gate.
    pub fn depth(&self) -> usize {
        self.hidden * self.gates.len()
    }

    /// Floats that a weight matrix with K columns takes when packed by `Panels::gates` of these slots.
    pub fn packed_len(&self, depth: usize) -> usize {
        padded(self.hidden) * self.gates.len() * depth
    }

    /// Checks that `pieces` are ranges of a stored row and hold as many values as these slots have.
    pub(crate) fn check_pieces(&self, pieces: &[Range<usize>]) {
        let width = self.width();
        let depth = depth_of(pieces, width);
        assert!(
            depth == self.depth(),
            "pieces of depth {depth} in rows of {width}, expected depth {} for {self:?}",
            self.depth()
        );
    }

    /// The matrix row of each k, in the order in which a stored row has them.
    pub fn rows(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.hidden).step_by(16).flat_map(move |block| {
            let units = block..(block + 16).min(self.hidden);
            self.gates.iter().flat_map(move |gate| units.clone().map(move |unit| gate * self.hidden + unit))
        })
    }

    /// The place of matrix row `row` in a stored row.
    pub fn place(&self, row: usize) -> usize {
        let (gate, unit) = (row / self.hidden, row % self.hidden);
        let slot = self.gates.iter().position(|&g| g == gate).unwrap_or(0) + self.first;
        (unit / 16 * self.stored + slot) * 16 + unit % 16
    }

    /// Splits `rows` of a matrix into those whose values lie side by side in one block of a stored row, and the place there of
    /// the first.
    pub fn groups(&self, rows: Range<usize>) -> impl Iterator<Item = (Range<usize>, usize)> + '_ {
        let (hidden, mut row) = (self.hidden, rows.start);
        core::iter::from_fn(move || {
            let (first, unit) = (row, row % hidden.max(1));
            row += (16 - unit % 16).min(hidden - unit).min(rows.end - first);
            (first < row).then(|| (first..row, self.place(first)))
        })
    }

    /// The contiguous pieces of a stored row that hold the values of k, in order.
    pub fn pieces(&self) -> Vec<Range<usize>> {
        let mut pieces: Vec<Range<usize>> = Vec::new();
        for place in self.rows().map(|row| self.place(row)) {
            match pieces.last_mut() {
                Some(last) if last.end == place => last.end += 1,
                _ => pieces.push(place..place + 1),
            }
        }
        pieces
    }
}
