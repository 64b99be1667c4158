//! What the cells share: where things lie, and the walk over hidden units.

use crate::math::{sigmoid, tanh};
use crate::simd::{Outlined, Simd};

/// Floats behind the weights and behind each state vector that whole vectors may reach into.
pub(super) const REACH: usize = 16;

/// Units up to which a cell is one tile: its sums fit the registers of AVX-512, and its weights the first-level cache.
const SMALL: usize = 48;

/// Units of a tile of weights, for a group of gates. A small cell is computed at once, so that its activations run beside
/// each other. A large one has tiles of four vectors' sums of sixteen lanes, which are enough to hide the wait for a
/// multiply-add, and the next tile's sums hide the activations.
pub(super) const fn tile(gates: usize, hidden: usize) -> usize {
    match gates {
        _ if hidden <= SMALL => SMALL,
        1 => 64,
        2 => 32,
        _ => 16,
    }
}

/// The equations of a cell.
pub trait Kind: Copy + Default + core::fmt::Debug + Send + Sync + 'static {
    /// Gates G of the weight matrices.
    const GATES: usize;
    /// Bias vectors of H that remain after summing.
    const BIASES: usize;
    /// State vectors: two that take turns as h, then others.
    const VECTORS: usize;
    /// Gates in groups whose products are computed together, PyTorch's numbers; each group is a matrix of its own.
    #[doc(hidden)]
    const GROUPS: &'static [&'static [usize]];
    /// The gates of each bias, and whether PyTorch's two bias vectors are summed (or which one is taken).
    #[doc(hidden)]
    const BIAS_OF: &'static [(usize, Biases)];

    /// One step.
    ///
    /// # Safety
    /// The places hold what [`Places`] says.
    #[doc(hidden)]
    unsafe fn step<S: Simd, Z: Size>(s: S, at: Places);
}

/// Whether the compiler knows the hidden width.
#[doc(hidden)]
pub trait Size: Copy {
    /// The hidden width, where it is known.
    const HIDDEN: Option<usize>;
}

/// H.
#[derive(Clone, Copy)]
pub(super) struct Known<const H: usize>;

/// Any hidden width.
#[derive(Clone, Copy)]
pub(super) struct Unknown;

impl<const H: usize> Size for Known<H> {
    const HIDDEN: Option<usize> = Some(H);
}

impl Size for Unknown {
    const HIDDEN: Option<usize> = None;
}

/// Whether the compiler knows that the hidden width lies in `from..=to`.
pub(super) const fn within<Z: Size>(from: usize, to: usize) -> bool {
    match Z::HIDDEN {
        Some(hidden) => from <= hidden && hidden <= to,
        None => false,
    }
}

/// Which of PyTorch's bias vectors a sum starts from.
#[doc(hidden)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Biases {
    Sum,
    Input,
    Hidden,
}

/// A cell's sizes and memory.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct Places {
    /// I
    pub input: usize,
    /// H >= 1
    pub hidden: usize,
    /// `[I]`
    pub x: *const f32,
    /// `weight_hh` [G * H * H], `weight_ih` [G * H * I], biases [BIASES, H], REACH floats more.
    pub weights: *const f32,
    /// [VECTORS, vector(H)]
    pub state: *mut f32,
    /// 0 or 1: which of the first two state vectors is h; the other one takes the next h.
    pub turn: usize,
}

/// Floats of a state vector: H, the reach, and what fills up a line.
pub(super) const fn vector(hidden: usize) -> usize {
    hidden.saturating_add(REACH).saturating_add(15) / 16 * 16
}

impl Places {
    /// x with its matrix, whose gates from `gates` on are meant, of a cell with `all`.
    #[inline(always)]
    pub(super) fn inputs(&self, all: usize, gates: usize) -> Factors {
        Factors { depth: self.input, values: self.x, matrix: self.weight_ih(all, gates) }
    }
    /// A vector [H] with the recurrent matrix, whose gates from `gates` on are meant.
    #[inline(always)]
    pub(super) fn recurrent(&self, values: *const f32, gates: usize) -> Factors {
        Factors { depth: self.hidden, values, matrix: self.weight_hh(gates) }
    }
    /// h
    #[inline(always)]
    pub(super) fn hidden(&self) -> *mut f32 {
        self.vector(self.turn)
    }
    /// The next h.
    #[inline(always)]
    pub(super) fn next(&self) -> *mut f32 {
        self.vector(1 - self.turn)
    }
    /// State vector number `i`.
    #[inline(always)]
    pub(super) fn vector(&self, i: usize) -> *mut f32 {
        self.state.wrapping_add(i * vector(self.hidden))
    }
    /// `weight_hh` from gate `gates` on, counted in gates of earlier groups.
    #[inline(always)]
    fn weight_hh(&self, gates: usize) -> *const f32 {
        self.weights.wrapping_add(gates * self.hidden * self.hidden)
    }
    /// `weight_ih` likewise, of a cell with `all` gates.
    #[inline(always)]
    fn weight_ih(&self, all: usize, gates: usize) -> *const f32 {
        self.weight_hh(all).wrapping_add(gates * self.hidden * self.input)
    }
    /// Bias vector `i`.
    #[inline(always)]
    pub(super) fn bias(&self, all: usize, i: usize) -> *const f32 {
        self.weight_ih(all, all).wrapping_add(i * self.hidden)
    }
}

/// Some neighbouring vectors of units.
#[derive(Clone, Copy)]
pub(super) struct Span {
    /// The first unit.
    pub(super) unit: usize,
    /// The first unit of the tile of weights it lies in.
    tile: usize,
    /// Units of that tile.
    width: usize,
}

/// What is computed for each span of units.
pub(super) trait Block<S: Simd> {
    /// Gates whose sums are kept at a time.
    const SUMS: usize;
    /// Computes U vectors of units.
    ///
    /// # Safety
    /// The span lies within the units.
    unsafe fn block<const U: usize>(&self, s: S, span: Span);
}

/// Vectors of units whose sums fit the registers.
#[inline(always)]
const fn most<S: Simd>(sums: usize) -> usize {
    let registers = if S::PORTABLE {
        4
    } else if S::LANES == 16 {
        16
    } else {
        S::SUMS
    };
    match registers / sums {
        0 => 1,
        most if most > 8 => 8,
        most => most,
    }
}

/// Whether a tile of `width` units is left to the leaf of eight lanes: eight of sixteen lanes would idle.
const fn is_narrow(width: usize) -> bool {
    (width - 1) % 16 < 8
}

/// The tiles of a cell: those of full size, and a smaller one at the end, which may be left to the leaf of eight lanes.
const FULL: u8 = 0;
const LAST: u8 = 1;
const LAST_NARROW: u8 = 2;

/// Whether tiles of kind TILE have spans of `vectors` vectors. A tile deals its vectors out evenly.
const fn has_span<S: Simd, B: Block<S>, Z: Size, const TILE: u8>(vectors: usize) -> bool {
    let most = most::<S>(B::SUMS);
    let Some(hidden) = Z::HIDDEN else { return vectors <= most };
    let size = tile(B::SUMS, hidden);
    let last = hidden % size;
    let width = match TILE {
        FULL if hidden >= size => size,
        LAST if last > 0 && !is_narrow(last) => last,
        LAST_NARROW if last > 0 && is_narrow(last) => last,
        _ => return false,
    };
    let all = width.div_ceil(S::LANES);
    let spans = all.div_ceil(most);
    vectors == all / spans || vectors == all.div_ceil(spans)
}

/// Calls `block` for all units, tile by tile. Every other step walks from the last tile to the first: what the step before
/// has read last, still lies in the first-level cache. Where the size is known, only what it needs is compiled.
///
/// # Safety
/// As for `block`, for all units of the cell.
#[inline(always)]
pub(super) unsafe fn sweep<S: Simd, B: Block<S> + Block<S::Narrow>, Z: Size>(s: S, at: Places, block: &B) {
    let size = tile(<B as Block<S>>::SUMS, at.hidden);
    let count = at.hidden.div_ceil(size);
    let mut i = 0;
    while i < count {
        let tile = if at.turn == 0 { i } else { count - 1 - i } * size;
        let width = at.hidden - tile;
        // SAFETY: the tile starts below H, and ends there at most.
        unsafe {
            if width >= size {
                spans::<S, B, Z, FULL>(s, tile, size, block);
            } else if is_narrow(width) {
                spans::<S::Narrow, B, Z, LAST_NARROW>(s.narrow(), tile, width, block);
            } else {
                spans::<S, B, Z, LAST>(s, tile, width, block);
            }
        }
        i += 1;
    }
}

/// Calls `block` for a tile of `width` units that starts at unit `tile`.
///
/// # Safety
/// As for `block`, for these units.
#[inline(always)]
unsafe fn spans<S: Simd, B: Block<S>, Z: Size, const TILE: u8>(s: S, tile: usize, width: usize, block: &B) {
    let vectors = width.div_ceil(S::LANES);
    let count = vectors.div_ceil(most::<S>(B::SUMS));
    let mut i = 0;
    while i < count {
        let (from, to) = (vectors * i / count, vectors * (i + 1) / count);
        let span = Span { unit: tile + from * S::LANES, tile, width };
        // SAFETY: the span's vectors start within the tile.
        unsafe { dispatch::<S, B, Z, TILE>(s, to - from, span, block) };
        i += 1;
    }
}

/// Turns a number of vectors into a constant.
///
/// # Safety
/// As for `block`.
#[inline(always)]
unsafe fn dispatch<S: Simd, B: Block<S>, Z: Size, const TILE: u8>(
    s: S,
    vectors: usize,
    span: Span,
    block: &B,
) {
    // SAFETY: as the caller vouches.
    unsafe {
        match vectors {
            1 if const { has_span::<S, B, Z, TILE>(1) } => call::<S, B, Z, 1>(s, span, block),
            2 if const { has_span::<S, B, Z, TILE>(2) } => call::<S, B, Z, 2>(s, span, block),
            3 if const { has_span::<S, B, Z, TILE>(3) } => call::<S, B, Z, 3>(s, span, block),
            4 if const { has_span::<S, B, Z, TILE>(4) } => call::<S, B, Z, 4>(s, span, block),
            5 if const { has_span::<S, B, Z, TILE>(5) } => call::<S, B, Z, 5>(s, span, block),
            6 if const { has_span::<S, B, Z, TILE>(6) } => call::<S, B, Z, 6>(s, span, block),
            7 if const { has_span::<S, B, Z, TILE>(7) } => call::<S, B, Z, 7>(s, span, block),
            8 if const { has_span::<S, B, Z, TILE>(8) } => call::<S, B, Z, 8>(s, span, block),
            _ => debug_assert!(false, "a span of {vectors} vectors"),
        }
    }
}

/// Calls `block`; where the size is not known, and every number of vectors is compiled, as a function of its own.
///
/// # Safety
/// As for `block`.
#[inline(always)]
unsafe fn call<S: Simd, B: Block<S>, Z: Size, const U: usize>(s: S, span: Span, block: &B) {
    if const { Z::HIDDEN.is_none() } {
        return s.outline(Call::<S, B, U> { s, span, block });
    }
    // SAFETY: as the caller vouches.
    unsafe { block.block::<U>(s, span) }
}

/// U vectors of units. Made by `call` alone, whose caller vouches for the span.
struct Call<'a, S, B, const U: usize> {
    s: S,
    span: Span,
    block: &'a B,
}

impl<S: Simd, B: Block<S>, const U: usize> Outlined for Call<'_, S, B, U> {
    #[inline(always)]
    fn run(self) {
        // SAFETY: as said above.
        unsafe { self.block.block::<U>(self.s, self.span) }
    }
}

/// Loads U vectors.
///
/// # Safety
/// `from` is readable for them.
#[inline(always)]
pub(super) unsafe fn load<S: Simd, const U: usize>(s: S, from: *const f32) -> [S::F; U] {
    let mut values = [s.splat(0.0); U];
    for (u, value) in values.iter_mut().enumerate() {
        // SAFETY: as the caller vouches.
        *value = unsafe { s.load(from.add(u * S::LANES)) };
    }
    values
}

/// A matrix and the vector it multiplies.
#[derive(Clone, Copy)]
pub(super) struct Factors {
    /// Elements of the vector.
    pub(super) depth: usize,
    /// `[depth]`
    pub(super) values: *const f32,
    /// [tile][depth][GROUP][unit]
    pub(super) matrix: *const f32,
}

/// Continues the chains of gates FROM.. of a group of GROUP over all k.
///
/// # Safety
/// The factors hold what they say, and what a vector reaches.
#[inline(always)]
pub(super) unsafe fn product<
    S: Simd,
    const U: usize,
    const G: usize,
    const GROUP: usize,
    const FROM: usize,
>(
    s: S,
    acc: &mut [[S::F; U]; G],
    span: Span,
    Factors { depth, values, matrix }: Factors,
) {
    let mut sums = *acc;
    let Span { unit, tile, width } = span;
    let mut row = matrix.wrapping_add(tile * depth * GROUP + FROM * width + (unit - tile));
    for k in 0..depth {
        // SAFETY: k < depth, and the span lies in its tile.
        unsafe {
            let value = s.splat(*values.add(k));
            for (g, sums) in sums.iter_mut().enumerate() {
                for (u, sum) in sums.iter_mut().enumerate() {
                    *sum = s.fma(value, s.load(row.add(g * width + u * S::LANES)), *sum);
                }
            }
        }
        row = row.wrapping_add(GROUP * width);
    }
    *acc = sums;
}

/// sigmoid of U vectors: beside each other, for each waits for itself.
#[inline(always)]
pub(super) fn sigmoids<S: Simd, const U: usize>(s: S, mut x: [S::F; U]) -> [S::F; U] {
    for x in &mut x {
        *x = sigmoid(s, *x);
    }
    x
}

/// tanh of U vectors.
#[inline(always)]
pub(super) fn tanhs<S: Simd, const U: usize>(s: S, mut x: [S::F; U]) -> [S::F; U] {
    for x in &mut x {
        *x = tanh(s, *x);
    }
    x
}
