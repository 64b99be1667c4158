//! The places of the deltas and inputs of a chunk of a weight gradient, checked once for all tiles
//! that read them, and the copies of them side by side.

use crate::pairs::{PairRun, Pairs, runs};
use crate::simd::Simd;
use core::mem::MaybeUninit;
use core::ops::Range;

/// The most values of m walked at a time.
pub(crate) const CHUNK: usize = 256;
/// The most groups of rows walked together.
pub(crate) const GROUPS: usize = 12;
/// The most vectors of a tile.
pub(crate) const VECTORS: usize = 4;

/// A run of m: the places of its deltas and inputs.
#[derive(Clone, Copy)]
pub(crate) struct Strip {
    pub(crate) deltas: *const f32,
    pub(crate) inputs: *const f32,
    pub(crate) run: PairRun,
}

impl Strip {
    pub(crate) const EMPTY: Self = Self {
        deltas: core::ptr::null(),
        inputs: core::ptr::null(),
        run: PairRun { rows: 0, delta_stride: 0, input_stride: 0 },
    };
}

/// Finds the runs of a chunk, and checks that they hold `stored` deltas and `inputs` inputs for
/// each m. Returns their number.
#[inline(always)]
pub(crate) fn look_up(
    pairs: &dyn Pairs,
    chunk: Range<usize>,
    stored: usize,
    inputs: usize,
    strips: &mut [Strip; CHUNK],
) -> usize {
    let mut count = 0;
    for (m, run) in runs(pairs, chunk) {
        let (delta, input) = (pairs.delta(m), pairs.input(m));
        let holds = |values: &[f32], stride: usize, width: usize| {
            let reach = (run.rows - 1).checked_mul(stride).and_then(|n| n.checked_add(width));
            reach.is_some_and(|reach| reach <= values.len())
        };
        assert!(
            holds(delta, run.delta_stride, stored),
            "the deltas have length {}, too short for {run:?} of {stored} each",
            delta.len()
        );
        assert!(
            holds(input, run.input_stride, inputs),
            "the inputs have length {}, too short for {run:?} of {inputs} each",
            input.len()
        );
        strips[count] = Strip { deltas: delta.as_ptr(), inputs: input.as_ptr(), run };
        count += 1;
    }
    count
}

/// Floats between the deltas of two groups: a cache line more than a power of two. Groups a power
/// of two apart would evict each other from the first-level cache.
pub(crate) const GROUP_STRIDE: usize = CHUNK * 16 + 16;

/// Room for the deltas and inputs of a chunk of m, side by side. It is large, never moves, and is
/// written before it is read.
#[repr(align(64))]
pub(crate) struct SideBySide {
    /// [groups][m][16], groups `GROUP_STRIDE` floats apart.
    deltas: [f32; GROUPS * GROUP_STRIDE],
    /// [m][W][16]
    inputs: [f32; CHUNK * VECTORS * 16],
}

impl SideBySide {
    /// Copies the blocks of deltas that hold `places`, one for each group. The strips then point to
    /// the copies.
    #[inline(always)]
    pub(crate) fn copy_deltas<S: Simd>(
        room: &mut MaybeUninit<Self>,
        s: S,
        strips: &mut [Strip],
        places: impl Iterator<Item = usize> + Clone,
    ) {
        // SAFETY: a place within `room`, of which nothing is read.
        let mut to = unsafe { &raw mut (*room.as_mut_ptr()).deltas }.cast::<f32>();
        for Strip { deltas, run, .. } in strips {
            let begin = to;
            for row in 0..run.rows {
                for (g, place) in places.clone().enumerate() {
                    // SAFETY: `look_up` has checked the strips; their stored rows are whole blocks
                    // of sixteen. There are at most CHUNK rows and GROUPS places.
                    unsafe {
                        let from = deltas.add(row * run.delta_stride + place / 16 * 16);
                        copy(s, from, 1, to.add(g * GROUP_STRIDE));
                    }
                }
                to = to.wrapping_add(16);
            }
            (*deltas, run.delta_stride) = (begin, 16);
        }
    }

    /// Copies the inputs of some columns, from the first column of a vector on. Returns all m as
    /// one strip; their deltas must have been copied before.
    #[inline(always)]
    pub(crate) fn copy_inputs<S: Simd>(
        room: &mut MaybeUninit<Self>,
        s: S,
        strips: &[Strip],
        columns: Range<usize>,
    ) -> Strip {
        let vectors = columns.len().div_ceil(16).min(VECTORS);
        let room = room.as_mut_ptr();
        // SAFETY: places within `room`, of which nothing is read here.
        let (deltas, begin) = unsafe { (&raw const (*room).deltas, &raw mut (*room).inputs) };
        let (begin, mut rows) = (begin.cast::<f32>(), 0);
        let mut to = begin;
        for Strip { inputs, run, .. } in strips {
            for row in 0..run.rows {
                // SAFETY: `look_up` has checked the strips; inputs are readable in whole vectors of
                // sixteen.
                unsafe { copy(s, inputs.add(row * run.input_stride + columns.start), vectors, to) };
                to = to.wrapping_add(vectors * 16);
            }
            rows += run.rows;
        }
        let run = PairRun { rows, delta_stride: 16, input_stride: vectors * 16 };
        Strip { deltas: deltas.cast(), inputs: begin, run }
    }

    /// Rounds the blocks of deltas that hold `places`, one for each group, and copies them as pairs of
    /// tokens. The strips stay. On backends with tiles, the pairs are [block of sixteen][unit][16].
    #[inline(always)]
    pub(crate) fn pair_deltas<S: Simd>(
        room: &mut MaybeUninit<Self>,
        s: S,
        strips: &[Strip],
        places: impl Iterator<Item = usize> + Clone,
    ) {
        // SAFETY: a place within `room`, of which nothing is read.
        let mut to = unsafe { &raw mut (*room.as_mut_ptr()).deltas }.cast::<f32>();
        if S::TILES {
            for (g, place) in places.enumerate() {
                // SAFETY: as in `copy_deltas`. Sixteen pairs take the room of sixteen tokens.
                unsafe { transpose_deltas(s, strips, place / 16 * 16, to.add(g * GROUP_STRIDE)) };
            }
            return;
        }
        for (low, high) in token_pairs(strips) {
            for (g, place) in places.clone().enumerate() {
                let block = |token: &Token| token.delta.wrapping_add(place / 16 * 16);
                // SAFETY: as in `copy_deltas`. A pair takes the room of one token.
                unsafe { pair(s, block(&low), high.as_ref().map(block), 1, to.add(g * GROUP_STRIDE)) };
            }
            to = to.wrapping_add(16);
        }
    }

    /// Rounds the inputs of some columns, from the first column of a vector on, and copies them as
    /// pairs of tokens. Returns all words as one strip; their deltas must have been copied before.
    #[inline(always)]
    pub(crate) fn pair_inputs<S: Simd>(
        room: &mut MaybeUninit<Self>,
        s: S,
        strips: &[Strip],
        columns: Range<usize>,
    ) -> Strip {
        let vectors = columns.len().div_ceil(16).min(VECTORS);
        let room = room.as_mut_ptr();
        // SAFETY: places within `room`, of which nothing is read here.
        let (deltas, begin) = unsafe { (&raw const (*room).deltas, &raw mut (*room).inputs) };
        let (begin, mut words) = (begin.cast::<f32>(), 0);
        for (low, high) in token_pairs(strips) {
            let input = |token: &Token| token.input.wrapping_add(columns.start);
            let to = begin.wrapping_add(words * vectors * 16);
            // SAFETY: as in `copy_inputs`. A pair takes the room of one token.
            unsafe { pair(s, input(&low), high.as_ref().map(input), vectors, to) };
            words += 1;
        }
        while S::TILES && words % 16 > 0 {
            // SAFETY: the room holds CHUNK words, a multiple of sixteen.
            unsafe { begin.add(words * vectors * 16).write_bytes(0, vectors * 16) };
            words += 1;
        }
        let run = PairRun { rows: words, delta_stride: 16, input_stride: vectors * 16 };
        Strip { deltas: deltas.cast(), inputs: begin, run }
    }
}

/// The places of a token's deltas and inputs.
#[derive(Clone, Copy)]
struct Token {
    delta: *const f32,
    input: *const f32,
}

/// Returns the tokens of some strips, two by two. The last one may be alone.
#[inline(always)]
fn token_pairs(strips: &[Strip]) -> impl Iterator<Item = (Token, Option<Token>)> {
    let mut tokens = strips.iter().flat_map(|Strip { deltas, inputs, run }| {
        (0..run.rows).map(move |row| Token {
            delta: deltas.wrapping_add(row * run.delta_stride),
            input: inputs.wrapping_add(row * run.input_stride),
        })
    });
    core::iter::from_fn(move || tokens.next().map(|low| (low, tokens.next())))
}

/// Rounds one block of deltas, and copies it as tiles of sixteen units by sixteen pairs of tokens.
/// Zeros fill the last tile.
///
/// # Safety
/// The strips were checked, and there is room for the tiles at `to`.
#[inline(always)]
unsafe fn transpose_deltas<S: Simd>(s: S, strips: &[Strip], block: usize, mut to: *mut f32) {
    let mut pairs = token_pairs(strips).peekable();
    while pairs.peek().is_some() {
        let mut words = [s.splat(0.0); 16];
        for (word, (low, high)) in words.iter_mut().zip(&mut pairs) {
            // SAFETY: the caller vouches for the strips.
            let load = |token: Token| unsafe { s.load(token.delta.wrapping_add(block)) };
            *word = s.pair(load(low), high.map_or(s.splat(0.0), load));
        }
        // SAFETY: the caller vouches for the room.
        unsafe { s.store_transposed(&words, to) };
        to = to.wrapping_add(16 * 16);
    }
}

/// Copies some vectors of sixteen pairs: of two rows, or of one row and zeros.
///
/// # Safety
/// All of them are readable, and there is room for them at `to`.
#[inline(always)]
unsafe fn pair<S: Simd>(s: S, low: *const f32, high: Option<*const f32>, vectors: usize, to: *mut f32) {
    for lane in (0..vectors * 16).step_by(S::LANES) {
        // SAFETY: the caller vouches for both sides.
        unsafe {
            let high = high.map_or(s.splat(0.0), |high| s.load(high.add(lane)));
            s.store(to.add(lane), s.pair(s.load(low.add(lane)), high));
        }
    }
}

/// Copies some vectors of sixteen floats.
///
/// # Safety
/// All of them are readable, and there is room for them at `to`.
#[inline(always)]
unsafe fn copy<S: Simd>(s: S, from: *const f32, vectors: usize, to: *mut f32) {
    for lane in (0..vectors * 16).step_by(S::LANES) {
        // SAFETY: the caller vouches for both sides.
        unsafe { s.store(to.add(lane), s.load(from.add(lane))) };
    }
}
