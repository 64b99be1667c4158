//! The tensors of a quantized checkpoint.
//!
//! The metadata has `quantized` = `int8`. A weight matrix `NAME` [rows, columns] is I8, and
//! `NAME_scale` [rows, 1] is F32: in PyTorch and NumPy `NAME * NAME_scale` is the matrix. All
//! integers follow after all floats, so that the floats stay aligned.

use unrolled_kernels::int8;

/// `quantized` in the metadata of a quantized checkpoint.
pub(super) const MARK: &str = "int8";

/// Returns the name of the scales of a matrix.
pub(super) fn scale_name(matrix: &str) -> String {
    format!("{matrix}_scale")
}

/// A matrix [rows, columns] as integers and one scale for each row.
pub(super) struct QuantizedMatrix {
    /// [rows, columns]
    pub(super) integers: Vec<i8>,
    /// `[rows]`
    pub(super) scales: Vec<f32>,
}

impl QuantizedMatrix {
    /// Returns the integers and scales of a matrix of finite weights, which must be on the grids of
    /// its rows.
    pub(super) fn of(values: &[f32], columns: usize) -> Option<Self> {
        let mut matrix = Self { integers: Vec::with_capacity(values.len()), scales: Vec::new() };
        for row in values.chunks_exact(columns) {
            let scale = int8::scale(row);
            let integers = row.iter().map(|weight| int8::quantized(*weight, scale));
            matrix.integers.extend(integers);
            matrix.scales.push(scale);
        }
        let mut again = vec![0.0; values.len()];
        matrix.write(&mut again);
        (again == values).then_some(matrix)
    }

    /// Writes the weights that the integers and scales stand for.
    pub(super) fn write(&self, values: &mut [f32]) {
        let columns = values.len() / self.scales.len().max(1);
        let rows = values.chunks_exact_mut(columns.max(1)).zip(self.integers.chunks_exact(columns.max(1)));
        for ((values, integers), scale) in rows.zip(&self.scales) {
            let weights = integers.iter().map(|integer| int8::dequantized(*integer, *scale));
            values.iter_mut().zip(weights).for_each(|(value, weight)| *value = weight);
        }
    }

    /// Returns the first invalid part and what was expected, if the matrix was not written by
    /// [`QuantizedMatrix::of`].
    pub(super) fn problem(&self) -> Option<(String, &'static str)> {
        if self.integers.contains(&i8::MIN) {
            return Some(("-128".to_owned(), "integers from -127 to 127"));
        }
        let columns = self.integers.len() / self.scales.len().max(1);
        let mut rows = self.scales.iter().zip(self.integers.chunks_exact(columns.max(1)));
        let (scale, row) = rows.find(|(scale, row)| !int8::is_scale_of(**scale, row))?;
        let largest = row.iter().map(|integer| integer.unsigned_abs()).max().unwrap_or(0);
        Some((
            format!("a row with the scale {scale:e} and integers up to {largest}"),
            "a positive scale of 16 significant bits, and a largest integer of 127",
        ))
    }
}

/// Returns whether the metadata marks a quantized checkpoint; an error for an unknown mark.
pub(super) fn is_marked(mark: Option<&str>) -> Result<bool, String> {
    match mark {
        None => Ok(false),
        Some(MARK) => Ok(true),
        Some(other) => Err(format!("found {other:?}, expected {MARK:?}")),
    }
}
