//! The activations of a layer for a window of some rows.
//!
//! [N, ..] stands for the tokens of all steps in a row, as in [`WindowShape`].

use crate::aligned::Aligned;
use std::ops::Range;
use unrolled_kernels::pack::padded;
use unrolled_kernels::team::Seat;
use unrolled_kernels::{Isa, StepPlace, WindowShape};

/// The optional parts of [`Buffers`] that a cell uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Extras {
    /// True for a cell state c that lives as long as h.
    pub(crate) cell_state: bool,
    /// True if the cell keeps tanh(c).
    pub(crate) tanh_c: bool,
    /// True if the cell keeps r h.
    pub(crate) reset_h: bool,
    /// True for a gradient that is carried from step to step.
    pub(crate) carry: bool,
    /// Floats of each token, and of each row in `d_output`, in the buffers of an extended LSTM.
    pub(crate) extended: ExtendedParts<usize>,
}

/// Something for each buffer of an extended LSTM: its width, its values, or a part of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ExtendedParts<A> {
    /// [N, padded(H)]: m, the output before the projection.
    pub(crate) output: A,
    /// [N, kept]: values that a norm keeps for the backward pass.
    pub(crate) norm: A,
    /// [N, terms], for training: the terms that the gradients of peepholes and norms are sums of.
    pub(crate) terms: A,
    /// [N, padded(state)], for training: the gradient of h.
    pub(crate) d_state: A,
    /// [B, padded(H)], for training: the gradient of m.
    pub(crate) d_output: A,
}

/// Widths of a layer's buffers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct BufferWidths {
    /// Hidden units H, the width of c.
    pub(crate) hidden: usize,
    /// Width of h.
    pub(crate) state: usize,
    /// Floats in a stored row of gates.
    pub(crate) stored: usize,
    /// The optional parts.
    pub(crate) extras: Extras,
    /// The room of its kernels for rounded vectors.
    pub(crate) room: RoomWidths,
}

/// The widths that decide how much room the kernels of a layer need for rounded vectors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RoomWidths {
    /// The instruction set and number format; `None` for a layer whose kernels need no room.
    pub(crate) isa: Option<Isa>,
    /// Width of a dense input; 0 without one.
    pub(crate) inputs: usize,
    /// Gates whose deltas the recurrent product multiplies.
    pub(crate) gates: usize,
}

impl RoomWidths {
    /// Returns the floats of room for `rows` rows of `hidden` units.
    fn floats(&self, rows: usize, hidden: usize, backward: bool) -> usize {
        let Some(isa) = self.isa else { return 0 };
        let back = if backward { isa.backward_room(rows, hidden, self.gates) } else { 0 };
        back.max(isa.forward_room(rows, hidden, self.inputs))
    }
}

/// One layer's activations for a window of some rows. They start on cache lines, so that the
/// members of a team, which write different blocks of units, write no line together.
#[derive(Clone, Debug)]
pub(crate) struct Buffers {
    pub(crate) sizes: BufferWidths,
    /// T, B, H. `active` has the rows that take part.
    pub(crate) window: WindowShape<'static>,
    /// `[T]`, or empty: see [`WindowShape`].
    pub(crate) active: Vec<u32>,
    /// [B + N, padded(state)]: initial state and outputs.
    pub(crate) h: Aligned,
    /// [B + N, padded(H)], or [B, ...] when not kept.
    pub(crate) c: Aligned,
    /// [N, stored]: gates, then deltas.
    pub(crate) gates: Aligned,
    /// [N, padded(H)]
    pub(crate) tanh_c: Aligned,
    /// [N, padded(H)]: r h.
    pub(crate) reset_h: Aligned,
    /// [B, padded(H)]: a gradient that is carried backward.
    pub(crate) carry: Aligned,
    /// Room of the kernels for rounded vectors.
    pub(crate) room: Aligned,
    pub(crate) extended: ExtendedParts<Aligned>,
    /// Seats of the team that computes the window; at most one if a single thread does.
    pub(crate) seats: Vec<Seat>,
}

/// A window of buffers, or one step of it.
#[derive(Debug)]
pub(crate) struct View<'a> {
    pub(crate) window: WindowShape<'a>,
    pub(crate) h: &'a mut [f32],
    pub(crate) c: &'a mut [f32],
    pub(crate) gates: &'a mut [f32],
    pub(crate) tanh_c: &'a mut [f32],
    pub(crate) reset_h: &'a mut [f32],
    pub(crate) carry: &'a mut [f32],
    pub(crate) room: &'a mut [f32],
    pub(crate) extended: ExtendedParts<&'a mut [f32]>,
    pub(crate) seats: &'a mut [Seat],
}

impl Buffers {
    /// Returns zeros for a window.
    pub(crate) fn new(sizes: BufferWidths, window: WindowShape<'static>) -> Self {
        let [h, c, gates, tanh_c, reset_h, carry, room] = [(); 7].map(|()| Aligned::default());
        let (active, seats, extended) = (Vec::new(), Vec::new(), ExtendedParts::default());
        let mut buffers =
            Self { sizes, window, active, h, c, gates, tanh_c, reset_h, carry, room, extended, seats };
        buffers.resize(window);
        buffers
    }

    /// Takes the sizes of another window. The values lose their meaning, but the zeros behind the
    /// last unit stay. There is room for rows of full length, so that other lengths need no more.
    pub(crate) fn resize(&mut self, window: WindowShape<'_>) {
        let BufferWidths { hidden, state, stored, extras, room } = self.sizes;
        let (vector, widths) = (padded(hidden), extras.extended);
        let full = WindowShape { active: &[], ..window };
        let fit = |values: &mut Aligned, used: bool, width: usize, size: VectorCount| {
            if used {
                values.resize_on_heap(size(&window) * width, size(&full) * width);
            }
        };
        let (tokens, rows): (VectorCount, VectorCount) = (|w| w.kept_tokens(), |w| w.rows);
        fit(&mut self.h, true, padded(state), |w| w.states());
        fit(&mut self.c, extras.cell_state, vector, |w| if w.keep { w.states() } else { w.rows });
        fit(&mut self.gates, true, stored, tokens);
        fit(&mut self.tanh_c, extras.tanh_c, vector, tokens);
        fit(&mut self.reset_h, extras.reset_h, vector, tokens);
        fit(&mut self.carry, extras.carry, vector, rows);
        let floats = room.floats(window.rows, hidden, window.keep);
        self.room.resize_on_heap(floats, floats);
        let ExtendedParts { output, norm, terms, d_state, d_output } = &mut self.extended;
        fit(output, true, widths.output, tokens);
        fit(norm, true, widths.norm, tokens);
        fit(terms, window.keep, widths.terms, tokens);
        fit(d_state, window.keep, widths.d_state, tokens);
        fit(d_output, window.keep, widths.d_output, rows);
        self.active.clear();
        self.active.extend_from_slice(window.active);
        self.window = WindowShape { active: &[], ..window };
    }

    /// Returns the whole window.
    pub(crate) fn view(&mut self) -> View<'_> {
        let Self { window, active, h, c, gates, tanh_c, reset_h, carry, room, extended, seats, .. } = self;
        let ExtendedParts { output, norm, terms, d_state, d_output } = extended;
        let extended: ExtendedParts<&mut [f32]> = ExtendedParts { output, norm, terms, d_state, d_output };
        let window = WindowShape { active, ..*window };
        View { window, h, c, gates, tanh_c, reset_h, carry, room, extended, seats }
    }

    /// Returns one step of the window; `active` is room for a number.
    pub(crate) fn view_step<'a>(&'a mut self, at: StepPlace, active: &'a mut [u32; 1]) -> View<'a> {
        let Self { sizes, window, h, c, gates, tanh_c, reset_h, carry, room, extended, .. } = self;
        let (vector, widths, keep) = (padded(sizes.hidden), sizes.extras.extended, window.keep);
        active[0] = at.active as u32;
        let window = WindowShape { steps: 1, rows: at.rows, active: &*active, ..*window };
        let (before, token) = if keep { (at.before, at.token) } else { (0, 0) };
        let (tokens, rows) = (window.kept_tokens(), window.rows);
        let cells = if keep { window.states() } else { rows };
        let ExtendedParts { output, norm, terms, d_state, d_output } = extended;
        View {
            extended: ExtendedParts {
                output: part(output, token, tokens, widths.output),
                norm: part(norm, token, tokens, widths.norm),
                terms: part(terms, token, tokens, widths.terms),
                d_state: part(d_state, token, tokens, widths.d_state),
                d_output: part(d_output, 0, rows, widths.d_output),
            },
            h: part(h, at.before, window.states(), padded(sizes.state)),
            c: part(c, before, cells, vector),
            gates: part(gates, token, tokens, sizes.stored),
            tanh_c: part(tanh_c, token, tokens, vector),
            reset_h: part(reset_h, token, tokens, vector),
            carry: part(carry, 0, rows, vector),
            room,
            seats: &mut [],
            window,
        }
    }

    /// Returns the steps from the first to the last. They borrow nothing.
    pub(crate) fn steps(&self) -> impl DoubleEndedIterator<Item = StepPlace> + use<> {
        self.window().forward_steps().collect::<Vec<StepPlace>>().into_iter()
    }

    /// Returns T, B, H and the rows that take part.
    pub(crate) fn window(&self) -> WindowShape<'_> {
        WindowShape { active: &self.active, ..self.window }
    }

    /// Returns h after each token's step [N, padded(H)].
    pub(crate) fn outputs(&self) -> &[f32] {
        &self.h[self.window.rows * padded(self.sizes.state)..]
    }

    /// Returns m of each token [N, padded(H)], which a projection multiplies.
    pub(crate) fn projected(&self) -> &[f32] {
        &self.extended.output
    }

    /// Returns the widths of h and c; 0 for a cell without c.
    pub(crate) fn widths(&self) -> [usize; 2] {
        [self.sizes.state, if self.sizes.extras.cell_state { self.sizes.hidden } else { 0 }]
    }

    /// Returns whether the cell has a state c.
    pub(crate) fn has_cell(&self) -> bool {
        self.sizes.extras.cell_state
    }

    /// Returns hidden vector `place`, `[state]`.
    pub(crate) fn h_of(&self, place: usize) -> &[f32] {
        &self.h[place * padded(self.sizes.state)..][..self.sizes.state]
    }

    /// Returns cell vector `place`, `[H]`.
    pub(crate) fn c_of(&self, place: usize) -> &[f32] {
        &self.c[place * padded(self.window.hidden)..][..self.window.hidden]
    }

    /// Returns the places of the rows' last states (see [`WindowShape::ends`]), or, with `initial`,
    /// of their first ones.
    pub(crate) fn states(&self, initial: bool) -> impl Iterator<Item = (Range<usize>, usize)> {
        let window = self.window();
        if initial { WindowShape { steps: 0, active: &[], ..window } } else { window }.ends()
    }

    /// Makes each row's last state the initial one of the next window.
    pub(crate) fn carry_over(&mut self) {
        let Self { sizes, window, active, h, c, .. } = self;
        let (vector, state) = (padded(sizes.hidden), padded(sizes.state));
        for (rows, place) in (WindowShape { active, ..*window }).ends() {
            let from = place + rows.start;
            h.copy_within(from * state..(from + rows.len()) * state, rows.start * state);
            if window.keep && !c.is_empty() {
                c.copy_within(from * vector..(from + rows.len()) * vector, rows.start * vector);
            }
        }
    }
}

/// Counts the vectors that a window needs in a buffer.
type VectorCount = fn(&WindowShape<'_>) -> usize;

/// Returns `count` vectors of `width` floats from vector `from` on, or nothing of an empty buffer.
fn part(values: &mut [f32], from: usize, count: usize, width: usize) -> &mut [f32] {
    if values.is_empty() {
        return &mut [];
    }
    &mut values[from * width..][..count * width]
}

/// Gives `values` `len` elements and room for `most`. A smaller buffer keeps its room.
pub(crate) fn resize<A: Clone + Default>(values: &mut Vec<A>, len: usize, most: usize) {
    values.reserve_exact(most.saturating_sub(values.len()));
    values.resize(len, A::default());
}
