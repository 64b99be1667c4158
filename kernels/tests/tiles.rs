//! Products of bf16 values by tiles, on AMX and on its software model: sizes around those of tiles,
//! which the tests of all backends do not reach.

use crate::cases::{CaseSizes, CellCase, KINDS};
use crate::cells::{check_backward, check_forward, check_rows};
use crate::comparisons::assert_bits;
use crate::harness::{Numbers, store, unstore, with_tiles};
use crate::teams::check_format;
use unrolled_kernels::affine::{Affine, Start};
use unrolled_kernels::pack::Panels;
use unrolled_kernels::{ISA_VARIABLE, Isa, reference};

/// Returns a case for each kind of cell, with products by tiles.
fn cases(sizes: CaseSizes) -> impl Iterator<Item = CellCase> {
    KINDS.into_iter().map(move |kind| {
        let [_, tiles, ..] = CellCase::new(kind, sizes).formats();
        tiles
    })
}

#[test]
fn cells_of_one_and_two_tiles_of_rows_agree_with_the_reference() {
    for (i, rows) in [15, 16, 17, 31, 32, 33, 50, 65].into_iter().enumerate() {
        let (hidden, width, table) = ([9, 16, 24, 33, 40][i % 5], i * 11 % 40, i % 3);
        let sizes = CaseSizes { steps: 3, rows, hidden, width, table, keep: true, offset: i % 4, seed: 3 };
        for case in cases(sizes) {
            if let Some(trace) = check_forward(&case) {
                check_backward(&case, &trace);
            }
        }
    }
}

#[test]
fn a_row_does_not_depend_on_the_number_of_tiles() {
    let sizes =
        CaseSizes { steps: 2, rows: 37, hidden: 21, width: 18, table: 0, keep: true, offset: 0, seed: 4 };
    for case in cases(sizes) {
        case.isas().for_each(|isa| check_rows(&case, isa));
    }
}

/// The members wait, and run other products in the meantime.
#[test]
fn a_team_shapes_its_tiles_again() {
    let sizes =
        CaseSizes { steps: 4, rows: 35, hidden: 50, width: 20, table: 0, keep: true, offset: 1, seed: 5 };
    cases(sizes).for_each(|case| check_format(&case, 3));
}

/// A row of more than 1024 values is rounded in two parts. More rows than the room holds go by turns.
#[test]
fn affine_products_of_long_and_of_many_rows_agree_with_the_reference() {
    for (rows, depth, outputs) in [(3, 1100, 70), (70, 1030, 9), (150, 33, 40), (1, 2080, 130)] {
        let mut n = Numbers(6);
        let (x, weight) = (n.floats(rows * depth), n.floats(outputs * depth));
        let old = n.floats(rows * outputs);
        let element = |(i, sum): (usize, &f32)| {
            let (m, n) = (i / outputs, i % outputs);
            reference::chain_by_tiles(*sum, &x[m * depth..][..depth], &weight[n * depth..][..depth])
        };
        let expected: Vec<f32> = old.iter().enumerate().map(element).collect();
        for isa in with_tiles().map(Isa::bf16) {
            let (panels, piece) = (Panels::plain(outputs), 0..depth);
            let mut weights = vec![f32::NAN; panels.len(isa.words(depth))];
            panels.pack(isa, &weight, depth, &mut weights);
            let mut out = store(&old, 1, outputs, 0.0);
            let (x, panels, pieces) = (&x, &panels, core::slice::from_ref(&piece));
            let (weights, start, results) = (&weights, Start::Out, &mut out);
            Affine { rows, x, x_stride: depth, pieces, panels, weights, start, out: results }.run_on(isa);
            assert_bits(&unstore(&out, 1, outputs, true), &expected, isa.name());
        }
    }
}

#[test]
fn amx_is_named_only() {
    assert!(Isa::all().all(|isa| !isa.bf16().has_tiles()));
    match Isa::named("amx") {
        Ok(isa) => assert_eq!((isa.name(), isa.has_tiles()), ("amx", false)),
        Err(error) => {
            let line = error.to_string();
            assert!(line.starts_with("UNROLLED_ISA: found \"amx\", ") && !line.contains('\n'), "{line}");
            // A test run that names AMX must not pass without it.
            let named = std::env::var_os(ISA_VARIABLE);
            assert!(named.is_none_or(|name| name != "amx"), "{line}");
        }
    }
}
