//! A layer's window in plain layouts, and the reference implementation of every cell on it.

use crate::harness::{Numbers, all, with_tiles};
use unrolled_kernels::reference::{self, Deltas, ReferenceCell, Trace};
use unrolled_kernels::rnn::Activation;
use unrolled_kernels::{Isa, Products, WindowShape};

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum CellKind {
    Lstm,
    GruAfter,
    GruBefore,
    Rnn(Activation),
}

pub const KINDS: [CellKind; 7] = [
    CellKind::Lstm,
    CellKind::GruAfter,
    CellKind::GruBefore,
    CellKind::Rnn(Activation::Tanh),
    CellKind::Rnn(Activation::Relu),
    CellKind::Rnn(Activation::Sigmoid),
    CellKind::Rnn(Activation::Identity),
];

impl CellKind {
    /// Returns (gates of the weights, slots of a stored row).
    pub fn gates(self) -> (usize, usize) {
        match self {
            Self::Lstm => (4, 4),
            Self::GruAfter => (3, 4),
            Self::GruBefore => (3, 3),
            Self::Rnn(_) => (1, 1),
        }
    }
}

/// A layer's window in plain layouts.
#[derive(Clone, Debug)]
pub struct CellCase {
    pub kind: CellKind,
    /// The number format of the operands of products.
    pub products: Products,
    /// True for products of bf16 values by tiles.
    pub tiles: bool,
    pub window: WindowShape<'static>,
    /// The active rows of each step, or empty for all rows. `window.active` is empty.
    pub active: Vec<u32>,
    /// Input width E; 0 for no dense input.
    pub width: usize,
    /// Floats by which every buffer is shifted in its allocation.
    pub offset: usize,
    /// Threads that compute the window together.
    pub members: usize,
    pub weight_ih: Vec<f32>,
    pub weight_hh: Vec<f32>,
    /// [D, slot, H]
    pub table: Vec<f32>,
    pub ids: Option<Vec<u32>>,
    pub x: Vec<f32>,
    pub h: Vec<f32>,
    pub c: Vec<f32>,
    pub dh: Vec<f32>,
    pub carry: Vec<f32>,
}

/// The sizes that a case is made from.
#[derive(Clone, Copy, Debug)]
pub struct CaseSizes {
    pub steps: usize,
    pub rows: usize,
    pub hidden: usize,
    pub width: usize,
    /// Rows of the table; 0 for a bias.
    pub table: usize,
    pub keep: bool,
    pub offset: usize,
    pub seed: u64,
}

impl CellCase {
    pub fn new(kind: CellKind, sizes: CaseSizes) -> Self {
        let CaseSizes { steps, rows, hidden, width, table, keep, offset, seed } = sizes;
        let (gates, slots) = kind.gates();
        let mut n = Numbers(seed);
        let scale = 1.0 / (hidden as f32).sqrt();
        let mut weights = |columns| n.floats(gates * hidden * columns).iter().map(|w| w * scale).collect();
        let (weight_ih, weight_hh) = (weights(width), weights(hidden));
        let tokens = steps * rows;
        Self {
            kind,
            products: Products::F32,
            tiles: false,
            window: WindowShape { steps, rows, hidden, keep, active: &[] },
            active: Vec::new(),
            width,
            offset,
            members: 1,
            weight_ih,
            weight_hh,
            table: n.floats(table.max(1) * slots * hidden),
            ids: (table > 0).then(|| n.ids(tokens, table)),
            x: n.floats(tokens * width),
            h: n.floats(rows * hidden),
            c: n.floats(if kind == CellKind::Lstm { rows * hidden } else { 0 }),
            dh: n.floats(tokens * hidden),
            carry: n.floats(if matches!(kind, CellKind::Rnn(_)) { 0 } else { rows * hidden }),
        }
    }

    /// Returns the case with products of f32 and bf16 values, and of 8-bit integers.
    pub fn formats(self) -> [Self; 4] {
        let [bf16, int8] = [Products::Bf16, Products::Int8].map(|products| Self { products, ..self.clone() });
        let tiles = Self { tiles: true, ..bf16.clone() };
        [bf16, tiles, int8, self]
    }

    /// Returns whether the backward pass can be computed.
    pub fn has_backward(&self) -> bool {
        self.window.keep && self.products != Products::Int8
    }

    /// Returns every instruction set of this processor, with the products of the case.
    pub fn isas(&self) -> impl Iterator<Item = Isa> + use<> {
        let (products, tiles) = (self.products, self.tiles);
        let isas: Vec<Isa> = if tiles { with_tiles().collect() } else { all().collect() };
        isas.into_iter().flat_map(move |isa| match products {
            Products::F32 => vec![isa],
            Products::Bf16 => vec![isa.bf16()],
            Products::Int8 => vec![isa.without_vnni().int8(), isa.int8()],
        })
    }

    /// Returns the tokens of some steps and rows of the window [T, B].
    pub fn part(&self, steps: core::ops::Range<usize>, rows: core::ops::Range<usize>) -> Self {
        let (old, hidden) = (self.window, self.window.hidden);
        fn tokens<A: Clone>(
            all: &[A],
            old: WindowShape<'_>,
            (steps, rows): (core::ops::Range<usize>, core::ops::Range<usize>),
        ) -> Vec<A> {
            let each = all.len() / (old.steps * old.rows);
            let token = |t: usize| &all[(t * old.rows + rows.start) * each..][..rows.len() * each];
            steps.flat_map(|t| token(t).to_vec()).collect()
        }
        let state = |v: &[f32]| {
            if v.is_empty() { Vec::new() } else { v[rows.start * hidden..rows.end * hidden].to_vec() }
        };
        let both = (steps.clone(), rows.clone());
        Self {
            window: WindowShape { steps: steps.len(), rows: rows.len(), ..old },
            ids: self.ids.as_ref().map(|ids| tokens(ids, old, both.clone())),
            x: tokens(&self.x, old, both.clone()),
            dh: tokens(&self.dh, old, both.clone()),
            h: state(&self.h),
            c: state(&self.c),
            carry: state(&self.carry),
            ..self.clone()
        }
    }

    /// Returns the tokens that remain if row `b` ends after `lengths[b]` steps, longest first. h, c
    /// and carry stay.
    pub fn ragged(&self, lengths: &[usize]) -> Self {
        let (steps, rows) = (self.window.steps, self.window.rows);
        let going = |t: usize| lengths.iter().take_while(|length| **length > t).count();
        let tokens: Vec<usize> = (0..steps).flat_map(|t| (0..going(t)).map(move |b| t * rows + b)).collect();
        fn pick<A: Clone>(all: &[A], count: usize, tokens: &[usize]) -> Vec<A> {
            let each = all.len() / count;
            tokens.iter().flat_map(|m| all[m * each..][..each].to_vec()).collect()
        }
        let count = steps * rows;
        Self {
            active: (0..steps).map(|t| going(t) as u32).collect(),
            ids: self.ids.as_ref().map(|ids| pick(ids, count, &tokens)),
            x: pick(&self.x, count, &tokens),
            dh: pick(&self.dh, count, &tokens),
            ..self.clone()
        }
    }

    pub fn shape(&self) -> WindowShape<'_> {
        WindowShape { active: &self.active, ..self.window }
    }

    /// [T, B, slot, H]
    fn start(&self) -> Vec<f32> {
        let row = self.kind.gates().1 * self.window.hidden;
        let token = |m| self.ids.as_ref().map_or(0, |ids| ids[m] as usize);
        let tokens = 0..self.window.steps * self.window.rows;
        tokens.flat_map(|m| self.table[token(m) * row..][..row].to_vec()).collect()
    }

    fn cell<'a>(&'a self, start: &'a [f32]) -> ReferenceCell<'a> {
        ReferenceCell {
            steps: self.window.steps,
            rows: self.window.rows,
            width: self.width,
            hidden: self.window.hidden,
            weight_ih: &self.weight_ih,
            weight_hh: &self.weight_hh,
            start,
            x: &self.x,
            products: self.products,
            tiles: self.tiles,
        }
    }

    pub fn reference_forward(&self) -> Trace {
        let start = self.start();
        let cell = self.cell(&start);
        match self.kind {
            CellKind::Lstm => reference::lstm_forward(&cell, &self.h, &self.c),
            CellKind::GruAfter => reference::gru_after_forward(&cell, &self.h),
            CellKind::GruBefore => reference::gru_before_forward(&cell, &self.h),
            CellKind::Rnn(activation) => reference::rnn_forward(&cell, activation, &self.h),
        }
    }

    pub fn reference_backward(&self, trace: &Trace) -> Deltas {
        let cell = self.cell(&[]);
        match self.kind {
            CellKind::Lstm => reference::lstm_backward(&cell, trace, &self.dh, &self.carry),
            CellKind::GruAfter => reference::gru_after_backward(&cell, trace, &self.dh, &self.carry),
            CellKind::GruBefore => reference::gru_before_backward(&cell, trace, &self.dh, &self.carry),
            CellKind::Rnn(activation) => reference::rnn_backward(&cell, activation, trace, &self.dh),
        }
    }
}
