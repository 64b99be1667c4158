//! The layouts of panels and slots against the formulas of their documentation.

use crate::harness::Numbers;
use unrolled_kernels::pack::{PackedPart, Panels, Slots, padded};
use unrolled_kernels::{Isa, gru, lstm, rnn};

fn all_slots(hidden: usize) -> [Slots; 8] {
    [
        lstm::slots(hidden),
        rnn::slots(hidden),
        gru::slots_after_input(hidden),
        gru::slots_after_hidden(hidden),
        gru::slots_before_input(hidden),
        gru::slots_before_gates(hidden),
        gru::slots_before_candidate(hidden),
        Slots::plain(hidden),
    ]
}

#[test]
fn slots_are_block_slot_unit() {
    for hidden in 1..=49 {
        for slots in all_slots(hidden) {
            assert_eq!(slots.width(), slots.stored * padded(hidden));
            assert_eq!(slots.depth(), slots.gates.len() * hidden);
            let mut expected = Vec::new();
            for block in 0..hidden.div_ceil(16) {
                for (slot, gate) in slots.gates.iter().enumerate() {
                    for unit in block * 16..hidden.min(block * 16 + 16) {
                        let place = (block * slots.stored + slots.first + slot) * 16 + unit % 16;
                        expected.push((gate * hidden + unit, place));
                    }
                }
            }
            let rows: Vec<usize> = slots.rows().collect();
            assert_eq!(rows, expected.iter().map(|e| e.0).collect::<Vec<_>>(), "{slots:?}");
            for (row, place) in &expected {
                assert_eq!(slots.place(*row), *place, "row {row} of {slots:?}");
            }
            let most = rows.iter().max().unwrap() + 1;
            for &first in &rows {
                let end = (first + hidden + 3).min(most);
                if !(first..end).all(|row| rows.contains(&row)) {
                    continue;
                }
                let groups = slots.groups(first..end).flat_map(|(rows, place)| rows.zip(place..));
                assert!(groups.eq((first..end).map(|row| (row, slots.place(row)))), "{slots:?} from {first}");
            }
            let pieces = slots.pieces();
            let places: Vec<usize> = pieces.iter().cloned().flatten().collect();
            assert_eq!(places, expected.iter().map(|e| e.1).collect::<Vec<_>>(), "{slots:?}");
            assert!(pieces.windows(2).all(|pair| pair[0].end < pair[1].start), "joined: {pieces:?}");
        }
    }
}

#[test]
fn panels_are_k_vector_lane() {
    for hidden in 1..=49 {
        for (slots, depth) in all_slots(hidden).into_iter().zip([1, 2, 15, 16, 17, 33, 40, 3]) {
            let gates = slots.gates.len();
            let rows = (slots.gates.iter().max().unwrap_or(&0) + 1) * hidden;
            let weight = Numbers(hidden as u64).floats(rows * depth);
            let panels = Panels::gates(&slots);
            let mut packed = vec![f32::NAN; panels.len(depth)];
            panels.pack(Isa::PORTABLE, &weight, depth, &mut packed);
            assert_eq!(packed.len(), padded(hidden) * gates * depth);
            for (i, value) in packed.iter().enumerate() {
                let (block, k) = (i / (16 * gates * depth), i / (16 * gates) % depth);
                let (gate, unit) = (slots.gates[i / 16 % gates], block * 16 + i % 16);
                let expected = if unit < hidden { weight[(gate * hidden + unit) * depth + k] } else { 0.0 };
                assert_eq!(*value, expected, "float {i} of {slots:?}");
            }
        }
    }
}

/// Returns the (first block, blocks) of each plain panel: up to four blocks, with widths that
/// differ by one at most.
fn plain_panels(outputs: usize) -> Vec<(usize, usize)> {
    // A rest of eight outputs or fewer is a separate panel.
    let (blocks, whole) = (outputs.div_ceil(16), (outputs + 7) / 16);
    let count = whole.div_ceil(4);
    let cut = |i: usize| whole * i / count;
    let tail = (whole < blocks).then_some((whole, 1));
    (0..count).map(|i| (cut(i), cut(i + 1) - cut(i))).chain(tail).collect()
}

#[test]
fn plain_panels_and_their_transposes_are_k_vector_lane() {
    for outputs in (1..=49).chain([63, 64, 65, 80, 100, 128, 129, 145]) {
        let panels = Panels::plain(outputs);
        assert_eq!(panels.out_width(), padded(outputs));
        for slots in all_slots(outputs.min(33)) {
            let depth = slots.depth();
            let rows: Vec<usize> = slots.rows().collect();
            let matrix_rows = rows.iter().max().map_or(0, |row| row + 1);
            let mut n = Numbers(outputs as u64);
            let (weight, across) = (n.floats(outputs * depth), n.floats(matrix_rows * outputs));
            let mut packed = vec![f32::NAN; panels.len(depth)];
            let mut transposed = packed.clone();
            panels.pack(Isa::PORTABLE, &weight, depth, &mut packed);
            panels.pack_transposed(Isa::PORTABLE, &across, outputs, &slots, &mut transposed);
            let mut i = 0;
            for (first, width) in plain_panels(outputs) {
                assert!((1..=4).contains(&width), "a panel of {width}");
                for (k, row) in rows.iter().enumerate() {
                    for output in first * 16..(first + width) * 16 {
                        let there = output < outputs;
                        let expected = if there { weight[output * depth + k] } else { 0.0 };
                        assert_eq!(packed[i], expected, "output {output}, k {k}");
                        let expected = if there { across[row * outputs + output] } else { 0.0 };
                        assert_eq!(transposed[i], expected, "transposed, output {output}, k {k}");
                        i += 1;
                    }
                }
            }
            assert_eq!(i, packed.len());
        }
    }
}

/// Packs a part by halves of at most `share` floats.
fn pack_halves(
    panels: &Panels,
    isa: Isa,
    (part, share): (&PackedPart, usize),
    packed: &mut [f32],
    pack: &dyn Fn(&PackedPart, &mut [f32]),
) {
    if packed.len() <= share {
        return pack(part, packed);
    }
    let [first, second] = part.halves(panels, isa);
    assert_eq!(first.floats(panels) + second.floats(panels), part.floats(panels));
    let (before, after) = packed.split_at_mut(first.floats(panels));
    pack_halves(panels, isa, (&first, share), before, pack);
    pack_halves(panels, isa, (&second, share), after, pack);
}

/// Panels are deep on AVX2 from 768 values of k on.
#[test]
fn parts_are_packed_as_the_whole() {
    for (hidden, outputs) in [(1, 1), (17, 23), (40, 100), (37, 145), (200, 41)] {
        for (slots, isa) in
            all_slots(hidden).into_iter().flat_map(|s| Isa::all().map(move |i| (s.clone(), i)))
        {
            let (gates, plain, depth) = (Panels::gates(&slots), Panels::plain(outputs), slots.depth());
            let rows = (slots.gates.iter().max().unwrap_or(&0) + 1) * hidden;
            let weight = Numbers(hidden as u64).floats(rows * outputs);
            let mut forward = vec![f32::NAN; gates.len(outputs)];
            let mut transposed = vec![f32::NAN; plain.len(depth)];
            gates.pack(isa, &weight, outputs, &mut forward);
            plain.pack_transposed(isa, &weight, outputs, &slots, &mut transposed);
            for share in [64, 100, 1000] {
                let mut packed = vec![f32::NAN; forward.len()];
                let whole = PackedPart::whole(&gates, outputs);
                pack_halves(&gates, isa, (&whole, share), &mut packed, &|part, packed| {
                    gates.pack_part(isa, part, (&weight, outputs), packed);
                });
                assert_eq!(packed, forward, "{} floats of {slots:?}", share);
                let mut packed = vec![f32::NAN; transposed.len()];
                let whole = PackedPart::whole(&plain, depth);
                pack_halves(&plain, isa, (&whole, share), &mut packed, &|part, packed| {
                    plain.pack_part_transposed(isa, part, (&weight, outputs), &slots, packed);
                });
                assert_eq!(packed, transposed, "{} floats, transposed, of {slots:?}", share);
            }
        }
    }
}

#[test]
fn one_gate_is_a_slice_of_the_matrix() {
    for hidden in [1, 16, 17, 49, 100] {
        let weight = Numbers(1).floats(3 * hidden * 5);
        let mut packed = [vec![f32::NAN; padded(hidden) * 5], vec![f32::NAN; padded(hidden) * 5]];
        Panels::one_gate(hidden, 2).pack(Isa::PORTABLE, &weight, 5, &mut packed[0]);
        Panels::plain(hidden).pack(Isa::PORTABLE, &weight[2 * hidden * 5..], 5, &mut packed[1]);
        assert_eq!(packed[0], packed[1]);
    }
}

#[test]
fn an_unknown_instruction_set_is_an_error_with_the_known_names() {
    for isa in Isa::all() {
        assert_eq!(Isa::named(isa.name()), Ok(isa));
        assert!([8, 16].contains(&isa.lanes()));
    }
    let error = Isa::named("sse9").unwrap_err().to_string();
    let start = "UNROLLED_ISA: found \"sse9\", an unknown name; expected portable";
    assert!(error.starts_with(start), "{error}");
    assert!(error.ends_with("; set one of them, or unset it"), "{error}");
}
