//! Matrices, and the order of gates in other formats.

/// A row-major matrix.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Matrix {
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) values: Vec<f32>,
}

impl Matrix {
    /// Takes values; an error unless they have the shape [rows, columns].
    pub(super) fn new(shape: &[usize], values: Vec<f32>) -> Result<Self, String> {
        match *shape {
            [rows, columns] if rows.checked_mul(columns) == Some(values.len()) => {
                Ok(Self { rows, columns, values })
            }
            _ => Err(format!("found shape {shape:?}, expected a matrix")),
        }
    }

    /// A matrix of zeros.
    pub(super) fn zeros(rows: usize, columns: usize) -> Self {
        Self { rows, columns, values: vec![0.0; rows * columns] }
    }

    /// The matrix with ones on its diagonal.
    pub(super) fn identity(size: usize) -> Self {
        let mut matrix = Self::zeros(size, size);
        (0..size).for_each(|index| matrix.values[index * size + index] = 1.0);
        matrix
    }

    /// The transposed matrix.
    pub(super) fn transposed(&self) -> Self {
        let mut values = Vec::with_capacity(self.values.len());
        for column in 0..self.columns {
            values.extend((0..self.rows).map(|row| self.values[row * self.columns + column]));
        }
        Self { rows: self.columns, columns: self.rows, values }
    }

    /// The matrix with its rows, a block of `hidden` for each gate, in another order: our gate g is
    /// their gate `order[g]`.
    pub(super) fn gates(&self, order: &[usize], hidden: usize) -> Self {
        let values = blocks(&self.values, order, hidden * self.columns);
        Self { values, ..*self }
    }

    pub(super) fn shape(&self) -> [usize; 2] {
        [self.rows, self.columns]
    }
}

/// Returns blocks of `len` values in another order: our block b is their block `order[b]`.
pub(super) fn blocks(values: &[f32], order: &[usize], len: usize) -> Vec<f32> {
    order.iter().flat_map(|block| &values[block * len..][..len]).copied().collect()
}

/// The inverse of an order of gates.
pub(super) fn inverse(order: &[usize]) -> Vec<usize> {
    (0..order.len()).filter_map(|gate| order.iter().position(|theirs| *theirs == gate)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_and_its_inverse_cancel() {
        let matrix = Matrix::new(&[6, 2], (0..12).map(|value| value as f32).collect()).unwrap();
        let order = [2, 0, 1];
        let moved = matrix.gates(&order, 2);
        assert_eq!(moved.values[..4], [8.0, 9.0, 10.0, 11.0]);
        assert_eq!(moved.gates(&inverse(&order), 2), matrix);
        assert_eq!(matrix.transposed().transposed(), matrix);
    }
}
