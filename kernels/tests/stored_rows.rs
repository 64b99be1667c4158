//! Deltas and inputs of tokens in memory, for weight gradients and tables.

use unrolled_kernels::pairs::{PairRun, Pairs};

/// Deltas in stored rows, and inputs in rows of another width.
pub struct StoredRows {
    pub deltas: Vec<f32>,
    pub width: usize,
    pub inputs: Vec<f32>,
    pub depth: usize,
    /// The number of rows that may be read at once.
    pub run: usize,
}

impl Pairs for StoredRows {
    fn len(&self) -> usize {
        self.deltas.len() / self.width
    }
    fn delta(&self, m: usize) -> &[f32] {
        &self.deltas[m * self.width..]
    }
    fn input(&self, m: usize) -> &[f32] {
        &self.inputs[m * self.depth..]
    }
    fn run(&self, m: usize) -> PairRun {
        let rows = if self.run == 0 { 1 } else { self.run - m % self.run };
        PairRun { rows: rows.min(self.len() - m), delta_stride: self.width, input_stride: self.depth }
    }
}
