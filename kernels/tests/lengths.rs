//! A slice of the wrong length panics before anything is computed. The message has both lengths.

use unrolled_kernels::affine::{Affine, Start};
use unrolled_kernels::pack::{Panels, Slots};
use unrolled_kernels::pairs::{PairRun, Pairs};
use unrolled_kernels::pass::{BackwardWindow, ForwardWindow};
use unrolled_kernels::softmax::CrossEntropy;
use unrolled_kernels::team::WindowPass;
use unrolled_kernels::update::{Rule, Update, sum_of_squares};
use unrolled_kernels::weight_gradient::WeightGradient;
use unrolled_kernels::{DenseInput, Input, Isa, WindowShape, lstm, rnn};

const WINDOW: WindowShape<'_> = WindowShape { steps: 2, rows: 3, hidden: 5, keep: true, active: &[] };

/// An LSTM of these sizes, with one length changed.
struct Lengths {
    start: usize,
    ids: Vec<u32>,
    values: usize,
    weights: usize,
    recurrent: usize,
    h: usize,
    c: usize,
}

impl Default for Lengths {
    fn default() -> Self {
        Self { start: 64, ids: vec![0; 6], values: 24, weights: 256, recurrent: 320, h: 144, c: 144 }
    }
}

impl Lengths {
    fn run(self) {
        let zeros = |count| vec![0.0; count];
        let (start, values, weights) = (zeros(self.start), zeros(self.values), zeros(self.weights));
        let dense = DenseInput { values: &values, stride: 4, width: 4, weights: &weights, second: &[] };
        lstm::LstmForward {
            pass: ForwardWindow {
                window: WINDOW,
                input: Input { start: &start, ids: Some(&self.ids), dense: Some(dense) },
                recurrent: &zeros(self.recurrent),
                h: &mut zeros(self.h),
                room: &mut [],
            },
            c: &mut zeros(self.c),
            gates: &mut zeros(384),
            tanh_c: &mut zeros(96),
        }
        .run_on(Isa::PORTABLE);
    }
}

#[test]
fn right_lengths_are_accepted() {
    Lengths::default().run();
}

#[test]
#[should_panic(expected = "h has length 143, expected 144 for WindowShape { steps: 2, rows: 3, hidden: 5")]
fn a_short_h_panics() {
    Lengths { h: 143, ..Lengths::default() }.run();
}

#[test]
#[should_panic(expected = "c has length 48, expected 144")]
fn c_of_one_step_panics_if_the_window_is_kept() {
    Lengths { c: 48, ..Lengths::default() }.run();
}

fn with_active(active: &[u32]) {
    let window = WindowShape { active, ..WINDOW };
    let input = Input { start: &[0.0; 16], ids: None, dense: None };
    let (panels, activation) = (&Panels::plain(5), rnn::Activation::Tanh);
    // Three initial states and four tokens.
    let pass = ForwardWindow { window, input, recurrent: &[0.0; 80], h: &mut [0.0; 7 * 16], room: &mut [] };
    rnn::RnnForward { pass, activation, panels }.run_on(Isa::PORTABLE);
}

#[test]
fn rows_that_end_early_are_accepted() {
    with_active(&[3, 1]);
}

#[test]
#[should_panic(expected = "h has length 112, expected 96 for WindowShape { steps: 2, rows: 3, hidden: 5")]
fn an_h_of_too_many_tokens_panics() {
    with_active(&[2, 1]);
}

#[test]
#[should_panic(
    expected = "active has length 1, expected 2 or 0 for WindowShape { steps: 2, rows: 3, hidden: 5"
)]
fn active_rows_of_another_number_of_steps_panic() {
    with_active(&[4]);
}

#[test]
#[should_panic(
    expected = "active rows must be sorted, largest first, and at most B: WindowShape { steps: 2, rows: 3, hidden: 5"
)]
fn a_row_that_comes_back_panics() {
    with_active(&[1, 3]);
}

#[test]
#[should_panic(
    expected = "active rows must be sorted, largest first, and at most B: WindowShape { steps: 2, rows: 3, hidden: 5"
)]
fn more_active_rows_than_rows_panic() {
    with_active(&[4, 0]);
}

#[test]
#[should_panic(expected = "recurrent has length 100, expected 320")]
fn unpacked_recurrent_weights_panic() {
    Lengths { recurrent: 100, ..Lengths::default() }.run();
}

#[test]
#[should_panic(expected = "dense weights has length 80, expected 256")]
fn unpacked_input_weights_panic() {
    Lengths { weights: 80, ..Lengths::default() }.run();
}

#[test]
#[should_panic(expected = "the dense input has length 23 in rows of 4, expected 6 rows of at least 4")]
fn a_short_input_panics() {
    Lengths { values: 23, ..Lengths::default() }.run();
}

#[test]
#[should_panic(expected = "an id is not below 1, the rows of the table")]
fn an_id_beyond_the_table_panics() {
    Lengths { ids: vec![0, 0, 0, 0, 0, 1], ..Lengths::default() }.run();
}

#[test]
#[should_panic(expected = "ids has length 5, expected 6")]
fn too_few_ids_panic() {
    Lengths { ids: vec![0; 5], ..Lengths::default() }.run();
}

fn backward(panels: &Panels, pieces: &[core::ops::Range<usize>], keep: bool) {
    let zeros = |count| vec![0.0; count];
    lstm::LstmBackward {
        pass: BackwardWindow {
            window: WindowShape { keep, ..WINDOW },
            recurrent: &zeros(panels.len(20)),
            panels,
            pieces,
            dh: &zeros(96),
            gates: &mut zeros(384),
            room: &mut [],
        },
        c: &zeros(144),
        tanh_c: &zeros(96),
        dc: &mut zeros(48),
    }
    .run_on(Isa::PORTABLE);
}

#[test]
#[should_panic(expected = "panels with rows of 64 outputs, expected plain ones of 16")]
fn panels_of_another_arrangement_panic() {
    backward(&Panels::gates(&lstm::slots(5)), &lstm::slots(5).pieces(), true);
}

#[test]
#[should_panic(expected = "pieces end at 75, expected at most 64, the floats of a row")]
fn pieces_beyond_a_row_panic() {
    backward(&Panels::plain(5), &[60..75, 0..5], true);
}

#[test]
#[should_panic(expected = "a backward pass needs a window with keep set")]
fn a_backward_pass_of_a_window_that_is_not_kept_panics() {
    backward(&Panels::plain(5), &lstm::slots(5).pieces(), false);
}

fn affine(x: usize, pieces: &[core::ops::Range<usize>]) {
    let panels = Panels::plain(5);
    let (weights, start) = (&[0.0; 64], Start::Zero);
    Affine {
        rows: 2,
        x: &vec![0.0; x],
        x_stride: 6,
        pieces,
        panels: &panels,
        weights,
        start,
        out: &mut [0.0; 32],
    }
    .run_on(Isa::PORTABLE);
}

#[test]
#[should_panic(expected = "x has length 11, expected 12 for 2 rows")]
fn short_rows_panic() {
    affine(11, &[0..2, 2..4]);
}

#[test]
#[should_panic(expected = "pieces end at 7, expected at most 6, the floats of a row")]
fn a_piece_beyond_its_row_panics() {
    affine(12, &[5..7, 0..2]);
}

#[test]
#[should_panic(expected = "pieces end at 7, expected at most 6, the floats of a row")]
fn a_piece_that_runs_backward_panics() {
    #[allow(clippy::reversed_empty_ranges, reason = "a mistake that a caller may make")]
    affine(12, &[7..2, 0..4]);
}

/// The lengths wrap around to those of empty slices. Only a build without checks would accept them.
#[test]
#[should_panic(expected = "sizes with a product too large for any memory: [2, 9223372036854775808]")]
#[cfg(target_pointer_width = "64")]
fn rows_that_wrap_around_panic() {
    let (panels, weights, out) = (&Panels::plain(5), &[0.0; 32], &mut [0.0; 32]);
    let (x_stride, start) = (1 << 63, Start::Zero);
    Affine { rows: 2, x: &[], x_stride, pieces: std::slice::from_ref(&(0..2)), panels, weights, start, out }
        .run_on(Isa::PORTABLE);
}

#[test]
#[should_panic(expected = "sizes too large for any memory: WindowShape { steps: 18446744073709551615")]
#[cfg(target_pointer_width = "64")]
fn steps_that_wrap_around_panic() {
    let window = WindowShape { steps: usize::MAX, rows: 1, hidden: 16, keep: true, active: &[] };
    let (panels, activation) = (&Panels::plain(16), rnn::Activation::Tanh);
    let input = Input { start: &[0.0; 16], ids: None, dense: None };
    let pass = ForwardWindow { window, input, recurrent: &[0.0; 256], h: &mut [], room: &mut [] };
    rnn::RnnForward { pass, activation, panels }.run_on(Isa::PORTABLE);
}

#[test]
#[should_panic(expected = "sizes too large for any memory: WindowShape { steps: 18446744073709551615")]
#[cfg(target_pointer_width = "64")]
fn steps_that_wrap_around_backward_panic() {
    let window = WindowShape { steps: usize::MAX, rows: 1, hidden: 16, keep: true, active: &[] };
    let (panels, activation, pieces) =
        (&Panels::plain(16), rnn::Activation::Tanh, std::slice::from_ref(&(0..16)));
    let (recurrent, dh, gates) = (&[0.0; 256], &[0.0; 0], &mut [0.0; 0]);
    let pass = BackwardWindow { window, recurrent, panels, pieces, dh, gates, room: &mut [] };
    rnn::RnnBackward { pass, activation, h: &[] }.run_on(Isa::PORTABLE);
}

#[test]
#[should_panic(expected = "sizes with a product too large for any memory: [6, 4611686018427387904]")]
#[cfg(target_pointer_width = "64")]
fn an_input_that_wraps_around_panics() {
    let dense = DenseInput { values: &[], stride: 1 << 62, width: 0, weights: &[], second: &[] };
    let input = Input { start: &[0.0; 64], ids: None, dense: Some(dense) };
    let (recurrent, h, c) = (&[0.0; 320], &mut [0.0; 144], &mut [0.0; 144]);
    let (gates, tanh_c) = (&mut [0.0; 384], &mut [0.0; 96]);
    let pass = ForwardWindow { window: WINDOW, input, recurrent, h, room: &mut [] };
    lstm::LstmForward { pass, c, gates, tanh_c }.run_on(Isa::PORTABLE);
}

/// A number of floats that wrapped around could pass the check of the room.
#[test]
fn room_for_too_many_rows_does_not_wrap_around() {
    for isa in [Isa::PORTABLE.bf16(), Isa::PORTABLE.int8()] {
        for [rows, hidden, inputs] in [[usize::MAX, 16, 0], [1 << 60, 33, 1]] {
            assert_eq!(isa.forward_room(rows, hidden, inputs), usize::MAX, "{rows} {hidden} {inputs}");
        }
    }
    assert_eq!(Isa::PORTABLE.bf16().forward_room(1, 16, usize::MAX), usize::MAX);
    assert_eq!(Isa::PORTABLE.bf16().backward_room(usize::MAX / 2, 16, 3), usize::MAX);
}

#[test]
#[should_panic(expected = "more gates than slots")]
fn a_slot_that_wraps_around_panics() {
    Panels::gates(&Slots { hidden: 16, stored: 1, first: usize::MAX, gates: rnn::GATES });
}

#[test]
#[should_panic(expected = "more gates than slots")]
fn more_slots_than_a_panel_has_panic() {
    Panels::gates(&Slots { hidden: 16, stored: 1 << 60, first: 0, gates: rnn::GATES });
}

/// No tokens.
struct NoPairs;
impl Pairs for NoPairs {
    fn len(&self) -> usize {
        0
    }
    fn delta(&self, _: usize) -> &[f32] {
        &[]
    }
    fn input(&self, _: usize) -> &[f32] {
        &[]
    }
}

#[test]
#[should_panic(expected = "the weight gradient has length 7, expected 8")]
fn a_short_gradient_panics() {
    let (slots, weight, bias) = (&Slots::plain(5), &mut [0.0; 7][..], &mut [][..]);
    WeightGradient { pairs: &NoPairs, slots, depth: 2, rows: 0..4, continues: false, weight, bias }
        .run_on(Isa::PORTABLE);
}

/// Pairs that promise more values than they hold.
struct ShortPairs(PairRun);
impl Pairs for ShortPairs {
    fn len(&self) -> usize {
        self.0.rows
    }
    fn delta(&self, _: usize) -> &[f32] {
        &[0.0; 16]
    }
    fn input(&self, _: usize) -> &[f32] {
        &[0.0; 16]
    }
    fn run(&self, _: usize) -> PairRun {
        self.0
    }
}

fn gradient_of(run: PairRun, slots: &Slots) {
    let (weight, bias) = (&mut [0.0; 1][..], &mut [][..]);
    WeightGradient { pairs: &ShortPairs(run), slots, depth: 1, rows: 0..1, continues: false, weight, bias }
        .run_on(Isa::PORTABLE);
}

#[test]
#[should_panic(expected = "the deltas have length 16, too short for PairRun")]
fn a_stride_that_wraps_around_panics() {
    gradient_of(PairRun { rows: 3, delta_stride: usize::MAX, input_stride: 0 }, &Slots::plain(1));
}

#[test]
#[should_panic(expected = "more gates than slots")]
fn a_gradient_of_slots_beyond_the_row_panics() {
    let run = PairRun { rows: 1, delta_stride: 0, input_stride: 0 };
    gradient_of(run, &Slots { hidden: 16, stored: 1, first: 1, gates: rnn::GATES });
}

#[test]
#[should_panic(expected = "sizes with a product too large for any memory")]
fn a_gradient_of_rows_that_wrap_around_panics() {
    let run = PairRun { rows: 1, delta_stride: 0, input_stride: 0 };
    gradient_of(run, &Slots { hidden: 1 << 62, stored: 4, first: 0, gates: rnn::GATES });
}

#[test]
#[should_panic(expected = "a target is not below 3, the vocabulary")]
fn a_target_beyond_the_vocabulary_panics() {
    let (logits, losses, correct) = (&mut [0.0; 3][..], &mut [0.0][..], &mut [false][..]);
    CrossEntropy { vocabulary: 3, stride: 3, logits, targets: &[3], gradient_scale: None, losses, correct }
        .run_on(Isa::PORTABLE);
}

#[test]
#[should_panic(expected = "second has length 0, expected 3, that of parameters")]
fn missing_moments_panic() {
    let rule = Rule::Adam { rate: 0.1, beta1: 0.9, beta2: 0.99, epsilon: 1e-8 };
    let (parameters, first, second) = (&mut [0.0; 3][..], &mut [0.0; 3][..], &mut [][..]);
    Update { rule, scale: 1.0, limit: 1.0, gradient: &[0.0; 3], parameters, first, second, third: &mut [] }
        .run_on(Isa::PORTABLE);
}

#[test]
#[should_panic(expected = "a block has length 4097, expected at most 4096")]
fn a_block_that_is_too_long_panics() {
    sum_of_squares(Isa::PORTABLE, &[0.0; 4097]);
}
