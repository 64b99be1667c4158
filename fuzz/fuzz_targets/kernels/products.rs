//! Rows by packed weights, weight gradients and tables.

use crate::contents::{assert_sums, floats, largest, season};
use crate::harness::{Shifted, store, unstore};
use crate::stored_rows::StoredRows;
use libfuzzer_sys::arbitrary::{Result, Unstructured};
use unrolled_kernels::affine::{Affine, Start};
use unrolled_kernels::one_hot::Scatter;
use unrolled_kernels::pack::{Panels, Slots};
use unrolled_kernels::weight_gradient::{self, WeightGradient};
use unrolled_kernels::{Isa, gru, lstm, reference};

/// Returns how much two ways to round a sum of `terms` products may differ; infinity if a value is
/// not finite.
fn tolerance(terms: usize, start: &[f32], a: &[f32], b: &[f32]) -> f32 {
    if [start, a, b].concat().iter().any(|value| !value.is_finite()) {
        return f32::INFINITY;
    }
    let terms = terms as f32 + 2.0;
    2.0 * terms * f32::EPSILON * (largest(start) + terms * largest(a) * largest(b)) + f32::MIN_POSITIVE
}

pub fn check_affine(u: &mut Unstructured<'_>) -> Result<()> {
    let (rows, depth) = (u.int_in_range(0..=14)?, u.int_in_range(1..=60)?);
    let (outputs, extra) = (u.int_in_range(1..=150)?, u.int_in_range(0..=3)?);
    let (start, offset, wild) = (u.int_in_range(0..=2)?, u.int_in_range(0..=3)?, u.arbitrary()?);
    let (mut weight, mut bias) = (floats(u, outputs * depth)?, floats(u, outputs)?);
    let (mut x, mut old) = (floats(u, rows * depth)?, floats(u, rows * outputs)?);
    season(u, wild, &mut [&mut weight, &mut bias, &mut x, &mut old])?;
    // No piece covers the gap in the middle of a row of x.
    let (cut, stride) = (depth / 2, depth + 1 + extra);
    let pieces = [0..cut, cut + 1..depth + 1];
    let mut gapped = Shifted::new(&vec![f32::NAN; rows * stride], offset);
    for (to, from) in gapped.get_mut().chunks_exact_mut(stride).zip(x.chunks_exact(depth)) {
        to[..cut].copy_from_slice(&from[..cut]);
        to[cut + 1..=depth].copy_from_slice(&from[cut..]);
    }
    let panels = Panels::plain(outputs);
    let first = [vec![0.0; rows * outputs], bias.repeat(rows), old.clone()][start].clone();
    let expected = reference::affine(depth, &x, &weight, &first);
    let bias = store(&bias, 1, outputs, 0.0);
    let tolerance = tolerance(depth, &first, &x, &weight);
    for isa in Isa::all() {
        let mut packed = Shifted::new(&vec![f32::NAN; panels.len(depth)], offset);
        panels.pack(isa, &weight, depth, packed.get_mut());
        let mut out = Shifted::new(&store(&old, 1, outputs, 0.0), offset);
        let (x, weights, out_row) = (gapped.get(), packed.get(), out.get_mut());
        let start = [Start::Zero, Start::Bias(&bias), Start::Out][start];
        let (pieces, panels) = (&pieces, &panels);
        Affine { rows, x, x_stride: stride, pieces, panels, weights, start, out: out_row }.run_on(isa);
        assert_sums(isa, &unstore(out.get(), 1, outputs, !wild), &expected, tolerance, "affine");
    }
    Ok(())
}

pub fn check_gradient(u: &mut Unstructured<'_>) -> Result<()> {
    let makers: [fn(usize) -> Slots; 4] =
        [lstm::slots, gru::slots_after_hidden, gru::slots_before_gates, gru::slots_before_candidate];
    let slots = u.choose(&makers)?(u.int_in_range(1..=49)?);
    let count = if u.ratio(1, 4)? { u.int_in_range(250..=530)? } else { u.int_in_range(0..=40)? };
    let (depth, run) = (u.int_in_range(1..=80)?, u.int_in_range(0..=9)?);
    let (most, wild) = (u.int_in_range(1..=weight_gradient::ROWS)?, u.arbitrary()?);
    let (mut plain, mut inputs) = (floats(u, count * slots.depth())?, floats(u, count * depth)?);
    season(u, wild, &mut [&mut plain, &mut inputs])?;
    let expected = reference::weight_gradient(slots.depth(), depth, &plain, &inputs);
    let tolerance = tolerance(count, &[], &plain, &inputs);
    // A last vector may reach beyond the inputs.
    inputs.extend([f32::NAN; 16]);
    // The candidate's weights are the last third of the matrix.
    let first = slots.rows().min().unwrap_or(0);
    let mut deltas = vec![f32::NAN; count * slots.width()];
    for (to, from) in deltas.chunks_exact_mut(slots.width()).zip(plain.chunks_exact(slots.depth())) {
        from.iter().enumerate().for_each(|(row, delta)| to[slots.place(first + row)] = *delta);
    }
    let pairs = StoredRows { deltas, width: slots.width(), inputs, depth, run };
    for isa in Isa::all() {
        let (weight, bias) = gradient(isa, &pairs, &slots, most);
        assert_sums(isa, &weight, &expected.0, tolerance, "weight gradient");
        assert_sums(isa, &bias, &expected.1, tolerance, "bias gradient");
    }
    Ok(())
}

/// Computes a gradient by calls of at most `most` rows.
fn gradient(isa: Isa, pairs: &StoredRows, slots: &Slots, most: usize) -> (Vec<f32>, Vec<f32>) {
    let depth = pairs.depth;
    let (first, all) = (slots.rows().min().unwrap_or(0), slots.depth());
    let (mut weights, mut biases) = (vec![f32::NAN; all * depth], vec![f32::NAN; all]);
    let parts = weights.chunks_mut(most * depth).zip(biases.chunks_mut(most));
    for ((weight, bias), from) in parts.zip((first..).step_by(most)) {
        let rows = from..from + bias.len();
        WeightGradient { pairs, slots, depth, rows, continues: false, weight, bias }.run_on(isa);
    }
    (weights, biases)
}

pub fn check_scatter(u: &mut Unstructured<'_>) -> Result<()> {
    let (count, rows) = (u.int_in_range(0..=70)?, u.int_in_range(1..=9)?);
    let (blocks, run) = (u.int_in_range(1..=6)?, u.int_in_range(0..=9)?);
    let (cut, wild) = (u.int_in_range(0..=blocks)? * 16, u.arbitrary()?);
    let width = blocks * 16;
    let mut deltas = floats(u, count * width)?;
    let ids = (0..count).map(|_| u.int_in_range(0..=rows as u32 - 1)).collect::<Result<Vec<u32>>>()?;
    season(u, wild, &mut [&mut deltas])?;
    let (expected, sums) = reference::scatter(rows, width, &deltas, &ids);
    let pairs = StoredRows { deltas, width, inputs: vec![0.0; count + 16], depth: 1, run };
    for isa in Isa::all() {
        for columns in [0..cut, cut..width] {
            let mut table = vec![f32::NAN; rows * columns.len()];
            let mut sum = vec![f32::NAN; columns.len()];
            let (pairs, ids) = (&pairs, &ids);
            Scatter { pairs, ids, columns: columns.clone(), table: &mut table, sum: &mut sum }.run_on(isa);
            let wanted: Vec<f32> =
                expected.chunks_exact(width).flat_map(|row| row[columns.clone()].to_vec()).collect();
            // Sums without products: all backends round in the same way.
            crate::contents::assert_same(&table, &wanted, "table");
            crate::contents::assert_same(&sum, &sums[columns], "sum");
        }
    }
    Ok(())
}
