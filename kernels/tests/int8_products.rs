//! Products of 8-bit integers.

use crate::comparisons::{assert_bits, assert_close};
use crate::harness::{Numbers, Shifted, fuses, store, unstore};
use proptest::prelude::*;
use unrolled_kernels::affine::{Affine, Start};
use unrolled_kernels::int8::MOST_VALUES;
use unrolled_kernels::pack::Panels;
use unrolled_kernels::{Isa, Products, reference};

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config(500))]

    #[test]
    fn affine_of_integers_has_the_bits_of_the_reference(
        (rows, depth, outputs) in (0usize..=14, prop_oneof![9 => 1usize..=60, 1 => 3060usize..=3080], 1usize..=150),
        (extra, start, offset, seed) in (0usize..=3, 0usize..=2, 0usize..=3, any::<u64>()),
        size in -130i32..120,
    ) {
        let mut n = Numbers(seed);
        let (weight, bias) = (n.floats(outputs * depth), n.floats(outputs));
        let (mut x, old) = (n.floats(rows * depth), n.floats(rows * outputs));
        // Rows of zeros, of small and of large values.
        for (row, x) in x.chunks_exact_mut(depth).enumerate() {
            let scale = [1.0, 0.0, 2f32.powi(size)][row % 3];
            x.iter_mut().for_each(|value| *value *= scale);
        }
        let (panels, stride) = (Panels::plain(outputs), depth + extra);
        let piece = extra..stride;
        let mut wide = Shifted::new(&vec![f32::NAN; rows * stride], offset);
        for (to, from) in wide.get_mut().chunks_exact_mut(stride).zip(x.chunks_exact(depth)) {
            to[extra..].copy_from_slice(from);
        }
        let first = [vec![0.0; rows * outputs], bias.repeat(rows), old.clone()][start].clone();
        let expected = reference::affine_of(Products::Int8, depth, &x, &weight, &first);
        let bias = store(&bias, 1, outputs, 0.0);
        for isa in Isa::all().flat_map(|isa| [isa.int8(), isa.int8().without_vnni()]) {
            let mut packed = Shifted::new(&vec![f32::NAN; panels.len(isa.words(depth))], offset);
            panels.pack(isa, &weight, depth, packed.get_mut());
            let mut out = Shifted::new(&store(&old, 1, outputs, 0.0), offset);
            let start = [Start::Zero, Start::Bias(&bias), Start::Out][start];
            let (panels, weights, out_of) = (&panels, packed.get(), out.get_mut());
            Affine { rows, x: wide.get(), x_stride: stride, pieces: core::slice::from_ref(&piece), panels, weights, start, out: out_of }
                .run_on(isa);
            let found = unstore(out.get(), 1, outputs, true);
            if fuses(isa) {
                assert_bits(&found, &expected, isa.name());
            } else {
                assert_close(&found, &expected, 1e-6, isa.name());
            }
        }
    }
}

/// A value that is not finite makes all outputs of its row NaN, and no others.
#[test]
fn values_that_are_not_finite_stay_visible_in_products_of_integers() {
    let (depth, outputs, rows) = (37, 21, 4);
    let mut n = Numbers(3);
    let (weight, panels, piece) = (n.floats(outputs * depth), Panels::plain(outputs), 0..depth);
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        for place in [0, 17, 36] {
            let mut x = n.floats(rows * depth);
            x[2 * depth + place] = value;
            for isa in Isa::all().flat_map(|isa| [isa.int8(), isa.int8().without_vnni()]) {
                let mut packed = vec![0.0; panels.len(isa.words(depth))];
                panels.pack(isa, &weight, depth, &mut packed);
                let mut out = vec![0.0; rows * panels.out_width()];
                let (panels, weights, start) = (&panels, &packed, Start::Zero);
                Affine {
                    rows,
                    x: &x,
                    x_stride: depth,
                    pieces: core::slice::from_ref(&piece),
                    panels,
                    weights,
                    start,
                    out: &mut out,
                }
                .run_on(isa);
                for (row, out) in unstore(&out, 1, outputs, false).chunks(outputs).enumerate() {
                    assert!(out.iter().all(|sum| sum.is_nan() == (row == 2)), "row {row}: {out:?}");
                }
            }
        }
    }
}

/// The largest sums of integers of both signs fit in 32 bits, and so do the sums that start from
/// -128 times the sum of the weights.
#[test]
fn sums_of_the_most_values_are_exact() {
    let (depth, outputs, rows) = (MOST_VALUES, 2, 2);
    let (panels, piece) = (Panels::plain(outputs), 0..depth);
    let signed = |sign: f32| [vec![sign; depth], vec![-sign; depth]].concat();
    let (x, weight) = (signed(1.0), signed(1.0));
    let expected = reference::affine_of(Products::Int8, depth, &x, &weight, &[0.0; 4]);
    for isa in Isa::all().flat_map(|isa| [isa.int8(), isa.int8().without_vnni()]) {
        let mut packed = vec![0.0; panels.len(isa.words(depth))];
        panels.pack(isa, &weight, depth, &mut packed);
        let mut out = vec![0.0; rows * panels.out_width()];
        let (panels, weights, start) = (&panels, &packed, Start::Zero);
        Affine {
            rows,
            x: &x,
            x_stride: depth,
            pieces: core::slice::from_ref(&piece),
            panels,
            weights,
            start,
            out: &mut out,
        }
        .run_on(isa);
        let found = unstore(&out, 1, outputs, true);
        assert_close(&found, &expected, 1e-6, isa.name());
        assert!((found[0] - depth as f32).abs() < 10.0 && found[1] == -found[0], "{found:?}");
    }
}
