//! PyTorch's packed sequences: the tokens of all rows, step by step, the longest row first.

use crate::errors::invalid;
use pyo3::prelude::*;

/// The number of rows of each step, in decreasing order.
#[derive(Clone, Debug, Default)]
pub struct BatchSizes(Vec<usize>);

impl BatchSizes {
    /// Reads `batch_sizes` of a packed sequence.
    pub fn new(sizes: Vec<usize>) -> PyResult<Self> {
        if sizes.is_empty() || sizes.contains(&0) || !sizes.is_sorted_by(|a, b| a >= b) {
            return Err(invalid(
                format!("batch_sizes {sizes:?}"),
                "numbers of at least 1 in decreasing order",
            ));
        }
        Ok(Self(sizes))
    }

    /// T and B.
    pub fn shape(&self) -> [usize; 2] {
        [self.0.len(), self.0.first().copied().unwrap_or(0)]
    }

    /// Number of tokens N.
    pub fn tokens(&self) -> usize {
        self.0.iter().sum()
    }

    /// The number of steps of each row.
    pub fn lengths(&self) -> Vec<usize> {
        let mut lengths = vec![0; self.shape()[1]];
        self.0.iter().for_each(|rows| lengths[..*rows].iter_mut().for_each(|length| *length += 1));
        lengths
    }
}
