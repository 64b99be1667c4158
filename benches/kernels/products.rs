//! Products of all rows of a window with a weight matrix, and its gradient, beside matrixmultiply's
//! sgemm.
//!
//! M rows (T B), K inputs, N outputs: the hidden layers of the models of `benches/model`, and a
//! head.

use crate::isa;
use crate::measure::{Group, Peaks, Work};
use crate::values::{assert_close, numbers};
use criterion::Criterion;
use unrolled_kernels::affine::{Affine, Start};
use unrolled_kernels::pack::{Panels, Slots};
use unrolled_kernels::pairs::{PairRun, Pairs};
use unrolled_kernels::reference;
use unrolled_kernels::weight_gradient::{ROWS, WeightGradient};

#[derive(Clone, Copy)]
struct ProductShape {
    rows: usize,
    depth: usize,
    outputs: usize,
}

const SHAPES: [ProductShape; 4] = [
    ProductShape { rows: 1000, depth: 100, outputs: 400 },
    ProductShape { rows: 2500, depth: 128, outputs: 512 },
    ProductShape { rows: 2500, depth: 512, outputs: 2048 },
    ProductShape { rows: 2500, depth: 128, outputs: 65 },
];

/// The tolerance for sums of up to 2500 products in another order.
const TOLERANCE: f32 = 1e-5;

impl ProductShape {
    fn name(self) -> String {
        format!("{}x{}x{}", self.rows, self.depth, self.outputs)
    }
    fn work(self) -> Work {
        Work::of(2.0 * self.rows as f64 * self.depth as f64 * self.outputs as f64)
    }
    /// Returns some outputs whose sums are compared with the reference.
    fn samples(self) -> [usize; 3] {
        [0, self.outputs / 2, self.outputs - 1]
    }
}

pub fn run(criterion: &mut Criterion, peaks: &mut Peaks) {
    let mut group = Group::new(criterion, peaks, "affine");
    for shape in SHAPES {
        let name = shape.name();
        group.time(&format!("{name}/ours"), shape.work(), || Product::new(shape), Product::ours);
        group.time(&format!("{name}/sgemm"), shape.work(), || Product::sgemm_checked(shape), Product::sgemm);
    }
    drop(group);
    let mut group = Group::new(criterion, peaks, "weight gradient");
    for shape in SHAPES {
        let name = shape.name();
        group.time(&format!("{name}/ours"), shape.work(), || Gradient::new(shape), Gradient::ours);
        group.time(
            &format!("{name}/sgemm"),
            shape.work(),
            || Gradient::sgemm_checked(shape),
            Gradient::sgemm,
        );
    }
}

/// y = x W^T for W [N, K].
struct Product {
    shape: ProductShape,
    x: Vec<f32>,
    weight: Vec<f32>,
    panels: Panels,
    packed: Vec<f32>,
    out: Vec<f32>,
}

impl Product {
    fn build(shape: ProductShape) -> Self {
        let ProductShape { rows, depth, outputs } = shape;
        let (x, weight) = (numbers(rows * depth, 1), numbers(outputs * depth, 2));
        let panels = Panels::plain(outputs);
        let mut packed = vec![0.0; panels.len(depth)];
        panels.pack(isa(), &weight, depth, &mut packed);
        let out = vec![0.0; rows * panels.out_width()];
        Self { shape, x, weight, panels, packed, out }
    }

    fn new(shape: ProductShape) -> Self {
        let mut product = Self::build(shape);
        product.ours();
        product.check(product.panels.out_width());
        product
    }

    fn sgemm_checked(shape: ProductShape) -> Self {
        let mut product = Self::build(shape);
        product.sgemm();
        product.check(shape.outputs);
        product
    }

    /// Compares rows at the start, in the middle and at the end with the reference.
    fn check(&self, stride: usize) {
        let ProductShape { rows, depth, outputs } = self.shape;
        for row in [0, rows / 2, rows - 1] {
            let x = &self.x[row * depth..][..depth];
            let expected = reference::affine(depth, x, &self.weight, &vec![0.0; outputs]);
            let found = &self.out[row * stride..][..outputs];
            assert_close(found, &expected, TOLERANCE, &format!("row {row} of affine {}", self.shape.name()));
        }
    }

    fn ours(&mut self) {
        let ProductShape { rows, depth, .. } = self.shape;
        Affine {
            rows,
            x: &self.x,
            x_stride: depth,
            pieces: std::slice::from_ref(&(0..depth)),
            panels: &self.panels,
            weights: &self.packed,
            start: Start::Zero,
            out: &mut self.out,
        }
        .run_on(isa());
    }

    fn sgemm(&mut self) {
        let ProductShape { rows, depth, outputs } = self.shape;
        let (k, n) = (depth as isize, outputs as isize);
        let (x, w, out) = (self.x.as_ptr(), self.weight.as_ptr(), self.out.as_mut_ptr());
        // SAFETY: x is [M, K], W^T a view of W [N, K], and out holds at least [M, N].
        unsafe { matrixmultiply::sgemm(rows, depth, outputs, 1.0, x, k, 1, w, 1, k, 0.0, out, n, 1) };
    }
}

/// dW = delta^T x.
struct Gradient {
    shape: ProductShape,
    rows: StoredRows,
    slots: Slots,
    weight: Vec<f32>,
}

/// delta [M, padded N] and x [M, K].
struct StoredRows {
    delta: Vec<f32>,
    x: Vec<f32>,
    stored: usize,
    depth: usize,
}

impl Pairs for StoredRows {
    fn len(&self) -> usize {
        self.delta.len() / self.stored
    }
    fn delta(&self, m: usize) -> &[f32] {
        &self.delta[m * self.stored..]
    }
    fn input(&self, m: usize) -> &[f32] {
        &self.x[m * self.depth..]
    }
    fn run(&self, m: usize) -> PairRun {
        PairRun { rows: self.len() - m, delta_stride: self.stored, input_stride: self.depth }
    }
}

impl Gradient {
    fn build(shape: ProductShape) -> Self {
        let ProductShape { rows, depth, outputs } = shape;
        let slots = Slots::plain(outputs);
        let stored = slots.width();
        let rows =
            StoredRows { delta: numbers(rows * stored, 3), x: numbers(rows * depth + 16, 4), stored, depth };
        Self { shape, rows, slots, weight: vec![0.0; outputs * depth] }
    }

    fn new(shape: ProductShape) -> Self {
        let mut gradient = Self::build(shape);
        gradient.ours();
        gradient.check();
        gradient
    }

    fn sgemm_checked(shape: ProductShape) -> Self {
        let mut gradient = Self::build(shape);
        gradient.sgemm();
        gradient.check();
        gradient
    }

    fn check(&self) {
        let (depth, samples) = (self.shape.depth, self.shape.samples());
        let rows = self.rows.delta.chunks_exact(self.rows.stored);
        let delta: Vec<f32> = rows.flat_map(|row| samples.map(|n| row[n])).collect();
        let (expected, _) = reference::weight_gradient(samples.len(), depth, &delta, &self.rows.x);
        for (n, expected) in samples.into_iter().zip(expected.chunks_exact(depth)) {
            let found = &self.weight[n * depth..][..depth];
            assert_close(
                found,
                expected,
                TOLERANCE,
                &format!("row {n} of the gradient {}", self.shape.name()),
            );
        }
    }

    /// Computes the gradient in the parts that threads get.
    fn ours(&mut self) {
        let (depth, outputs) = (self.shape.depth, self.shape.outputs);
        for (i, weight) in self.weight.chunks_mut(ROWS * depth).enumerate() {
            let rows = i * ROWS..outputs.min((i + 1) * ROWS);
            WeightGradient {
                pairs: &self.rows,
                slots: &self.slots,
                depth,
                rows,
                continues: false,
                weight,
                bias: &mut [],
            }
            .run_on(isa());
        }
    }

    fn sgemm(&mut self) {
        let ProductShape { rows, depth, outputs } = self.shape;
        let (k, stored) = (depth as isize, self.rows.stored as isize);
        let (delta, x, out) = (self.rows.delta.as_ptr(), self.rows.x.as_ptr(), self.weight.as_mut_ptr());
        // SAFETY: delta^T is a view of delta [M, stored], x is [M, K], and the gradient [N, K].
        unsafe {
            matrixmultiply::sgemm(outputs, rows, depth, 1.0, delta, 1, stored, x, k, 1, 0.0, out, k, 1)
        };
    }
}
