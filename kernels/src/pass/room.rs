//! The room of a pass for rounded vectors: those that the products of two neighboring steps multiply.

use crate::isa::{Isa, Products};
use crate::pack::row_words;

/// Rows behind the last row that tiles may read.
const SPARE: usize = 16;

impl Isa {
    /// Returns the floats of room that a forward pass of B = `rows`, H = `hidden` and E = `inputs`
    /// (0 without a dense input) needs; `usize::MAX` if there are more than that.
    pub fn forward_room(self, rows: usize, hidden: usize, inputs: usize) -> usize {
        match self.products() {
            Products::F32 => 0,
            Products::Bf16 | Products::Int8 => {
                let [states, inputs] = [hidden, inputs].map(|width| row_words(self.words(width)));
                floats([rows, 3], states).saturating_add(floats([rows, 2], inputs))
            }
        }
    }

    /// Returns the floats of room that a backward pass of B = `rows` and H = `hidden` needs, whose
    /// recurrent products multiply the deltas of `gates` gates; `usize::MAX` if there are more than
    /// that.
    pub fn backward_room(self, rows: usize, hidden: usize, gates: usize) -> usize {
        match self.products() {
            Products::F32 | Products::Int8 => 0,
            Products::Bf16 => {
                let [deltas, one] = [gates, 1].map(|gates| row_words(self.gate_words(hidden, gates)));
                floats([rows, 2], deltas).saturating_add(floats([rows, 1], one))
            }
        }
    }
}

/// Returns the floats of `times` times `rows` rows, and of the spare ones. No slice has as many as a
/// number that overflows.
fn floats([rows, times]: [usize; 2], row: usize) -> usize {
    rows.saturating_mul(times).saturating_add(SPARE).saturating_mul(row)
}

/// The room of a forward pass. A step reads vectors that the step before wrote, and writes those of
/// the next one. So there is room for two steps.
#[derive(Clone, Copy)]
pub(crate) struct ForwardRoom {
    /// Words of a rounded state, and from one to the next.
    pub(crate) state_words: usize,
    pub(crate) state_row: usize,
    /// Words of a rounded input, and from one to the next.
    pub(crate) input_words: usize,
    pub(crate) input_row: usize,
    rows: usize,
    base: *mut f32,
}

impl ForwardRoom {
    /// Divides `room` for `rows` rows, and fills it with zeros, which tiles may read behind the last
    /// word of a row.
    pub(crate) fn new(isa: Isa, [rows, hidden, inputs]: [usize; 3], room: &mut [f32]) -> Self {
        let needed = isa.forward_room(rows, hidden, inputs);
        let found = room.len();
        assert!(found >= needed, "the room has length {found}, expected at least {needed}");
        room[..needed].fill(0.0);
        let [state_words, input_words] = [hidden, inputs].map(|width| isa.words(width));
        let [state_row, input_row] = [state_words, input_words].map(row_words);
        Self { state_words, state_row, input_words, input_row, rows, base: room.as_mut_ptr() }
    }

    /// Returns the rounded states before step t.
    #[inline(always)]
    pub(crate) fn states(&self, t: usize) -> *mut f32 {
        self.base.wrapping_add(t % 2 * self.rows * self.state_row)
    }

    /// Returns the rounded vectors between the two phases of a step, as wide as states.
    #[inline(always)]
    pub(crate) fn between(&self) -> *mut f32 {
        self.base.wrapping_add(2 * self.rows * self.state_row)
    }

    /// Returns the rounded inputs of step t.
    #[inline(always)]
    pub(crate) fn inputs(&self, t: usize) -> *mut f32 {
        let states = (3 * self.rows + SPARE) * self.state_row;
        self.base.wrapping_add(states + t % 2 * self.rows * self.input_row)
    }
}

/// The room of a backward pass, for the deltas of two steps.
#[derive(Clone, Copy)]
pub(crate) struct BackwardRoom {
    /// Words of the rounded deltas of a row, and from one row to the next.
    pub(crate) delta_words: usize,
    pub(crate) delta_row: usize,
    /// The same of one gate.
    pub(crate) gate_words: usize,
    pub(crate) gate_row: usize,
    rows: usize,
    base: *mut f32,
}

impl BackwardRoom {
    /// Divides `room` for `rows` rows and `gates` gates, and fills it with zeros.
    pub(crate) fn new(isa: Isa, [rows, hidden, gates]: [usize; 3], room: &mut [f32]) -> Self {
        let needed = isa.backward_room(rows, hidden, gates);
        let found = room.len();
        assert!(found >= needed, "the room has length {found}, expected at least {needed}");
        room[..needed].fill(0.0);
        let [gate_words, delta_words] = [1, gates].map(|gates| isa.gate_words(hidden, gates));
        let [gate_row, delta_row] = [gate_words, delta_words].map(row_words);
        Self { delta_words, delta_row, gate_words, gate_row, rows, base: room.as_mut_ptr() }
    }

    /// Returns the rounded deltas of a step of that number.
    #[inline(always)]
    pub(crate) fn deltas(&self, step: usize) -> *mut f32 {
        self.base.wrapping_add(step % 2 * self.rows * self.delta_row)
    }

    /// Returns the rounded deltas between the two phases of a step, of one gate.
    #[inline(always)]
    pub(crate) fn between(&self) -> *mut f32 {
        self.base.wrapping_add((2 * self.rows + SPARE) * self.delta_row)
    }
}
