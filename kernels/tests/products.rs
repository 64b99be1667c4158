//! Products without gates: rows by packed weights, weight gradients, tables.

use crate::comparisons::assert_bits;
use crate::drawn_cases::config;
use crate::harness::{Numbers, Shifted, formats, fuses, store, unstore};
use crate::stored_rows::StoredRows;
use core::ops::Range;
use proptest::prelude::*;
use unrolled_kernels::affine::{Affine, Start};
use unrolled_kernels::one_hot::{Scatter, TakeColumns, add_columns};
use unrolled_kernels::pack::{Panels, Slots};
use unrolled_kernels::pairs::{PairRun, Pairs};
use unrolled_kernels::weight_gradient::{self, WeightGradient};
use unrolled_kernels::{Isa, Products, gru, lstm, reference};

/// Returns the products of the reference, of rows in two pieces. Tiles take both as one.
fn affine(isa: Isa, pieces: [Range<usize>; 2], (x, weight): (&[f32], &[f32]), start: &[f32]) -> Vec<f32> {
    let (depth, outputs) = (pieces[1].end, start.len() / (x.len() / pieces[1].end).max(1));
    let element = |(i, sum): (usize, &f32)| {
        let (m, n) = (i / outputs, i % outputs);
        let of = |v: &[f32], row: usize, piece: &Range<usize>| v[row * depth..][piece.clone()].to_vec();
        if isa.has_tiles() {
            let whole = 0..depth;
            return reference::chain_by_tiles(*sum, &of(x, m, &whole), &of(weight, n, &whole));
        }
        let products = isa.products();
        let add = |sum, piece| reference::chain_of(products, sum, &of(x, m, piece), &of(weight, n, piece));
        pieces.iter().fold(*sum, add)
    };
    start.iter().enumerate().map(element).collect()
}

/// Asserts equal bits if the backend fuses; otherwise equality within the rounding of `terms`
/// products and of sums of at most `terms` (each term is at most 1).
#[track_caller]
fn assert_sums(isa: Isa, found: &[f32], expected: &[f32], terms: usize, what: &str) {
    if fuses(isa) {
        return assert_bits(found, expected, &format!("{what} on {}", isa.name()));
    }
    assert_eq!(found.len(), expected.len(), "{what}: lengths");
    let tolerance = (terms * terms) as f32 * f32::EPSILON;
    for (i, (f, e)) in found.iter().zip(expected).enumerate() {
        assert!((f - e).abs() <= tolerance, "{what} on {}: element {i} is {f}, expected {e}", isa.name());
    }
}

/// Long rows are rounded in stretches, and many rows some at a time.
#[test]
fn products_of_many_long_rows_are_chains() {
    // One vector of outputs, and panels of several.
    [20, 70].into_iter().for_each(check_long_rows);
}

fn check_long_rows(outputs: usize) {
    for (rows, pieces) in [
        (67, &[0..512, 512..1024][..]),
        (130, &[0..1008, 1008..1025]),
        (65, &[3..1043, 1050..1051, 1060..2200]),
        (1, &[0..0, 0..4100]),
        (33, &[5..5, 7..1047, 1050..1066]),
    ] {
        let mut n = Numbers(rows as u64);
        let (stride, depth) =
            (pieces[pieces.len() - 1].end + 1, pieces.iter().map(Range::len).sum::<usize>());
        let (x, start) = (n.floats(rows * stride), n.floats(rows * outputs));
        let panels = Panels::plain(outputs);
        let weights: Vec<_> = pieces.iter().map(|piece| n.floats(outputs * piece.len())).collect();
        for isa in Isa::all().map(Isa::bf16) {
            let mut expected = start.clone();
            for (i, sum) in expected.iter_mut().enumerate() {
                for (piece, weight) in pieces.iter().zip(&weights) {
                    let row = &x[i / outputs * stride..][piece.clone()];
                    let weight = &weight[i % outputs * piece.len()..][..piece.len()];
                    *sum = reference::chain_of(Products::Bf16, *sum, row, weight);
                }
            }
            let packed = packed_pieces(isa, outputs, pieces, &weights);
            let mut out = store(&start, 1, outputs, 0.0);
            let (weights, start) = (&packed, Start::Out);
            Affine { rows, x: &x, x_stride: stride, pieces, panels: &panels, weights, start, out: &mut out }
                .run_on(isa);
            assert_sums(isa, &unstore(&out, 1, outputs, true), &expected, depth, "long rows");
        }
    }
}

/// Packs a matrix whose columns are rounded in several pieces: zeros fill each piece up to whole
/// groups.
fn packed_pieces(isa: Isa, outputs: usize, pieces: &[Range<usize>], weights: &[Vec<f32>]) -> Vec<f32> {
    let filled = |piece: &Range<usize>| piece.len().next_multiple_of(16);
    let depth: usize = pieces.iter().map(filled).sum();
    let mut weight = Vec::new();
    for row in 0..outputs {
        for (piece, from) in pieces.iter().zip(weights) {
            weight.extend_from_slice(&from[row * piece.len()..][..piece.len()]);
            weight.resize(weight.len() + filled(piece) - piece.len(), 0.0);
        }
    }
    let panels = Panels::plain(outputs);
    let mut packed = vec![f32::NAN; panels.len(isa.words(depth))];
    panels.pack(isa, &weight, depth, &mut packed);
    packed
}

proptest! {
    #![proptest_config(config(500))]

    #[test]
    fn affine_is_a_chain(
        (rows, depth, outputs) in (0usize..=14, prop_oneof![9 => 1usize..=60, 1 => 760usize..=776], 1usize..=150),
        (extra, start, offset, seed) in (0usize..=3, 0usize..=2, 0usize..=3, any::<u64>()),
    ) {
        let mut n = Numbers(seed);
        let (weight, bias) = (n.floats(outputs * depth), n.floats(outputs));
        let (x, old) = (n.floats(rows * depth), n.floats(rows * outputs));
        // No piece covers the gap in the middle of a row of x.
        let cut = if extra == 0 { depth / 2 } else { depth / 2 / 16 * 16 };
        let stride = depth + 1 + extra;
        let pieces = [0..cut, cut + 1..depth + 1];
        let mut wide = Shifted::new(&vec![f32::NAN; rows * stride], offset);
        for (to, from) in wide.get_mut().chunks_exact_mut(stride).zip(x.chunks_exact(depth)) {
            to[..cut].copy_from_slice(&from[..cut]);
            to[cut + 1..=depth].copy_from_slice(&from[cut..]);
        }
        let panels = Panels::plain(outputs);
        let first = match start {
            0 => vec![0.0; rows * outputs],
            1 => bias.repeat(rows),
            _ => old.clone(),
        };
        let bias = store(&bias, 1, outputs, 0.0);
        for isa in formats() {
            let expected = affine(isa, [0..cut, cut..depth], (&x, &weight), &first);
                        if isa.products() == Products::Bf16 && cut % 16 != 0 {
                continue; // weights are rounded in one piece, or in whole groups
            }
            let mut packed = Shifted::new(&vec![f32::NAN; panels.len(isa.words(depth))], offset);
            panels.pack(isa, &weight, depth, packed.get_mut());
            let mut out = Shifted::new(&store(&old, 1, outputs, 0.0), offset);
            let start = [Start::Zero, Start::Bias(&bias), Start::Out][start];
            Affine {
                rows,
                x: wide.get(),
                x_stride: stride,
                pieces: &pieces,
                panels: &panels,
                weights: packed.get(),
                start,
                out: out.get_mut(),
            }
            .run_on(isa);
            assert_sums(isa, &unstore(out.get(), 1, outputs, true), &expected, depth + 1, "affine");
        }
    }

    #[test]
    fn affine_into_gates_writes_only_its_slots(
        (rows, depth, hidden) in (1usize..=9, 1usize..=20, 1usize..=49),
        (cell, seed) in (0usize..=3, any::<u64>()),
    ) {
        let mut n = Numbers(seed);
        let slots = [lstm::slots, gru::slots_after_input, gru::slots_after_hidden, gru::slots_before_gates][cell](hidden);
        let (weight, x) = (n.floats(slots.depth() * depth), n.floats(rows * depth));
        let panels = Panels::gates(&slots);
        prop_assert_eq!(panels.len(depth), slots.packed_len(depth));
        let start = vec![0.0; rows * slots.depth()];
        let expected = reference::affine(depth, &x, &weight, &start);
        for isa in Isa::all() {
            let mut packed = vec![f32::NAN; panels.len(depth)];
            panels.pack(isa, &weight, depth, &mut packed);
            // 7 stays in places without outputs of these panels.
            let mut out = vec![7.0; rows * slots.width()];
            let (pieces, panels) = (&[0..depth / 2, depth / 2..depth], &panels);
            let weights = &packed;
            Affine { rows, x: &x, x_stride: depth, pieces, panels, weights, start: Start::Zero, out: &mut out }
                .run_on(isa);
            for (row, out) in out.chunks_exact_mut(slots.width()).enumerate() {
                let found: Vec<f32> = (0..slots.depth()).map(|r| out[slots.place(r)]).collect();
                assert_sums(isa, &found, &expected[row * slots.depth()..][..slots.depth()], depth + 1, "gates");
                (0..slots.depth()).for_each(|r| out[slots.place(r)] = 0.0);
                let padding = |place: usize| place % 16 >= 8 && hidden <= place / (16 * slots.stored) * 16 + 8;
                let slot = |place: usize| place / 16 % slots.stored;
                let fed = |place: usize| (slots.first..slots.first + slots.gates.len()).contains(&slot(place)) && !padding(place);
                let rest = out.iter().enumerate().all(|(place, v)| *v == if fed(place) { 0.0 } else { 7.0 });
                prop_assert!(rest, "row {} has values outside of its slots", row);
            }
        }
    }
}

/// Computes rows `rows` of a gradient, by calls of at most `most` rows.
fn gradient(
    isa: Isa,
    pairs: &StoredRows,
    slots: &Slots,
    rows: Range<usize>,
    most: usize,
) -> (Vec<f32>, Vec<f32>) {
    let mut weight = vec![f32::NAN; rows.len() * pairs.depth];
    let mut bias = vec![f32::NAN; rows.len()];
    for from in rows.clone().step_by(most) {
        let part = from..(from + most).min(rows.end);
        let at = from - rows.start;
        WeightGradient {
            pairs,
            slots,
            depth: pairs.depth,
            rows: part.clone(),
            continues: false,
            weight: &mut weight[at * pairs.depth..][..part.len() * pairs.depth],
            bias: &mut bias[at..][..part.len()],
        }
        .run_on(isa);
    }
    (weight, bias)
}

/// A range of pairs.
struct PairsRange<'a>(&'a StoredRows, Range<usize>);

impl Pairs for PairsRange<'_> {
    fn len(&self) -> usize {
        self.1.len()
    }
    fn delta(&self, m: usize) -> &[f32] {
        self.0.delta(self.1.start + m)
    }
    fn input(&self, m: usize) -> &[f32] {
        self.0.input(self.1.start + m)
    }
    fn run(&self, m: usize) -> PairRun {
        let run = self.0.run(self.1.start + m);
        PairRun { rows: run.rows.min(self.len() - m), ..run }
    }
}

/// Computes a gradient of the first `first` pairs, and continues with the rest.
fn gradient_in_turns(
    isa: Isa,
    pairs: &StoredRows,
    slots: &Slots,
    rows: Range<usize>,
    first: usize,
) -> (Vec<f32>, Vec<f32>) {
    let (mut weight, mut bias) = (vec![f32::NAN; rows.len() * pairs.depth], vec![f32::NAN; rows.len()]);
    for (part, continues) in [(0..first, false), (first..pairs.len(), true)] {
        let (pairs, depth) = (&PairsRange(pairs, part), pairs.depth);
        let (weight, bias) = (&mut weight[..], &mut bias[..]);
        WeightGradient { pairs, slots, depth, rows: rows.clone(), continues, weight, bias }.run_on(isa);
    }
    (weight, bias)
}

proptest! {
    #![proptest_config(config(200))]

    #[test]
    fn weight_gradient_is_a_chain_for_any_split(
        (count, depth, hidden) in (prop_oneof![0usize..=20, 250usize..=530], 1usize..=150, prop_oneof![12 => 1usize..=49, 1 => 350usize..=370]),
        (cell, run, most, seed) in (0usize..=3, 0usize..=9, 1usize..=weight_gradient::ROWS, any::<u64>()),
    ) {
        let slots = [lstm::slots, gru::slots_after_hidden, gru::slots_before_gates, gru::slots_before_candidate][cell](hidden);
        let mut n = Numbers(seed);
        let plain = n.floats(count * slots.gates.len() * hidden);
        let mut inputs = n.floats(count * depth);
        let expected = reference::weight_gradient(slots.gates.len() * hidden, depth, &plain, &inputs);
        inputs.extend([f32::NAN; 16]); // a last vector may reach into these
        // The candidate's weights are the last third of the matrix.
        let first = slots.gates.iter().min().unwrap_or(&0) * hidden;
        let mut deltas = vec![f32::NAN; count * slots.width()];
        for (to, from) in deltas.chunks_exact_mut(slots.width()).zip(plain.chunks_exact(slots.depth())) {
            from.iter().enumerate().for_each(|(row, delta)| to[slots.place(first + row)] = *delta);
        }
        let rounded = reference::rounded_weight_gradient(slots.gates.len() * hidden, depth, &plain, &inputs[..count * depth]);
        let tiled = reference::tiled_weight_gradient(slots.gates.len() * hidden, depth, &plain, &inputs[..count * depth]);
        let pairs = StoredRows { deltas, width: slots.width(), inputs, depth, run };
        for isa in formats() {
            let rows = first..first + slots.depth();
            let sums = match isa.products() {
                Products::Bf16 if isa.has_tiles() => &tiled,
                Products::Bf16 => &rounded,
                _ => &expected.0,
            };
            let expected = (sums, &expected.1);
            let (weight, bias) = gradient(isa, &pairs, &slots, rows.clone(), most);
            assert_sums(isa, &weight, expected.0, count, "weight gradient");
            assert_sums(isa, &bias, expected.1, count, "bias gradient");
            let whole = gradient(isa, &pairs, &slots, rows.clone(), weight_gradient::ROWS);
            // The first turn has an even number of tokens: an odd one would be rounded in a pair of its own.
            // Tiles take 32 tokens at a time.
            let whole_turn = if isa.has_tiles() { 32 } else { 2 };
            let turn = count * most / weight_gradient::ROWS / whole_turn * whole_turn;
            let turns = gradient_in_turns(isa, &pairs, &slots, rows, turn);
            assert_sums(isa, &turns.0, expected.0, count + 1, "weight gradient in turns");
            if fuses(isa) {
                assert_bits(&turns.0, &whole.0, "weight gradient in turns");
                assert_bits(&turns.1, &whole.1, "bias gradient in turns");
                assert_bits(&weight, &whole.0, "weight gradient, split otherwise");
                assert_bits(&bias, &whole.1, "bias gradient, split otherwise");
            }
        }
    }

    #[test]
    fn scatter_adds_in_order(
        (count, table, blocks) in (0usize..=70, 1usize..=9, 1usize..=6),
        (run, seed) in (0usize..=9, any::<u64>()),
        cut in 0usize..=6,
    ) {
        let mut n = Numbers(seed);
        let width = blocks * 16;
        let pairs = StoredRows { deltas: n.floats(count * width), width, inputs: vec![0.0; count + 16], depth: 1, run };
        let ids = n.ids(count, table);
        let expected = reference::scatter(table, width, &pairs.deltas, &ids);
        let cut = cut.min(blocks) * 16;
        for isa in Isa::all() {
            for columns in [0..cut, cut..width] {
                let mut found = vec![f32::NAN; table * columns.len()];
                let mut sum = vec![f32::NAN; columns.len()];
                let (table, ids) = (&mut found, &ids);
                Scatter { pairs: &pairs, ids, columns: columns.clone(), table, sum: &mut sum }.run_on(isa);
                let wanted = expected.0.chunks_exact(width).flat_map(|row| row[columns.clone()].to_vec());
                assert_bits(&found, &wanted.collect::<Vec<f32>>(), "table");
                assert_bits(&sum, &expected.1[columns], "sum");
            }
        }
    }

    #[test]
    fn taken_columns_equal_the_added_ones(
        (hidden, vocabulary, cell) in (1usize..=49, 1usize..=20, 0usize..=3),
        (strip, cut, seed) in (1usize..=5, 0.0..=1.0, any::<u64>()),
    ) {
        let slots = [lstm::slots, gru::slots_after_input, gru::slots_before_input, unrolled_kernels::rnn::slots][cell](hidden);
        let mut n = Numbers(seed);
        let weight = n.floats(slots.depth() * vocabulary);
        // Every second symbol, from the last one on.
        let symbols: Vec<u32> = (0..vocabulary as u32).rev().step_by(2).collect();
        let mut table = vec![0.5; symbols.len() * slots.width()];
        add_columns(&weight, vocabulary, &slots, &symbols, &mut table);
        for (d, symbol) in symbols.iter().enumerate() {
            for row in 0..slots.depth() {
                let sum = 0.5 + weight[row * vocabulary + *symbol as usize];
                prop_assert_eq!(table[d * slots.width() + slots.place(row)], sum);
            }
        }
        table.fill(0.0);
        add_columns(&weight, vocabulary, &slots, &symbols, &mut table);
        let mut back = vec![f32::NAN; weight.len()];
        let strip = strip * 16;
        let strips = (0..slots.width()).step_by(strip).flat_map(|first| {
            let columns = first..(first + strip).min(slots.width());
            table.chunks_exact(slots.width()).flat_map(move |row| row[columns.clone()].to_vec())
        });
        let table: Vec<f32> = strips.collect();
        let take = TakeColumns { table: &table, strip, vocabulary, slots: &slots, symbols: &symbols };
        let cut = (slots.depth() as f64 * cut) as usize;
        let (first, second) = back.split_at_mut(cut * vocabulary);
        take.run(0..cut, first);
        take.run(cut..slots.depth(), second);
        for (i, value) in back.iter().enumerate() {
            let known = symbols.contains(&((i % vocabulary) as u32));
            prop_assert_eq!(*value, if known { weight[i] } else { 0.0 });
        }
    }
}

#[test]
fn a_gradient_of_no_rows_writes_nothing() {
    let slots = lstm::slots(3);
    let pairs = StoredRows { deltas: vec![1.0; 64], width: 64, inputs: vec![1.0; 32], depth: 2, run: 0 };
    for isa in Isa::all() {
        let (weight, bias) = (&mut [][..], &mut [][..]);
        WeightGradient { pairs: &pairs, slots: &slots, depth: 2, rows: 5..5, continues: false, weight, bias }
            .run_on(isa);
    }
}
