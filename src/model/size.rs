//! The number of parameters of a model, and their bytes.

use super::{ModelConfig, Variable};

impl ModelConfig {
    /// Returns the bytes of the flat parameter buffer, including gaps; `None` if they overflow.
    pub(super) fn checked_bytes(&self) -> Option<usize> {
        let matrix = |rows: usize, columns: usize| rows.checked_mul(columns)?.checked_next_multiple_of(16);
        let mut total: usize = match self.embedding {
            Some(width) => matrix(self.vocabulary, width)?,
            None => 0,
        };
        for (index, layer) in self.stack.iter().enumerate() {
            let gated = layer.gates().checked_mul(layer.hidden)?;
            let inputs = self.input_width(index);
            let mut direction = matrix(gated, inputs)?
                .checked_add(matrix(gated, layer.direction_size())?)?
                .checked_add(matrix(gated, 2)?.checked_add(32)?)?
                .checked_add(matrix(layer.hidden, layer.projection.unwrap_or(0).checked_add(16)?)?)?;
            let mixed = inputs.checked_mul(layer.highway.gates())?;
            direction = direction.checked_add(matrix(mixed, inputs.checked_add(1)?)?)?;
            for variable in layer.custom.iter().filter_map(|c| c.cell()).flat_map(|c| c.variables(inputs)) {
                let count = variable.shape.iter().try_fold(1usize, |n, size| n.checked_mul(*size))?;
                direction = direction.checked_add(count.checked_next_multiple_of(16)?)?;
            }
            total = total.checked_add(direction.checked_mul(layer.directions())?)?;
        }
        total = total.checked_add(matrix(self.outputs, self.stack_width())?)?;
        total.checked_add(matrix(self.outputs, 1)?)?.checked_mul(size_of::<f32>())
    }

    /// Returns the number of parameters without gaps. It is an f64 because it may exceed every
    /// integer type.
    pub(crate) fn estimated_count(&self) -> f64 {
        let vocabulary = self.vocabulary as f64;
        let mut count = self.embedding.map_or(0.0, |width| width as f64 * vocabulary);
        for (index, layer) in self.stack.iter().enumerate() {
            let sizes = [layer.gates(), layer.hidden, layer.direction_size()];
            let [gates, hidden, state] = sizes.map(|n| n as f64);
            let inputs = self.input_width(index) as f64;
            let mut direction = gates * hidden * (inputs + state + 2.0);
            direction += hidden * layer.projection.unwrap_or(0) as f64;
            direction += layer.highway.gates() as f64 * inputs * (inputs + 1.0);
            if let Some(cell) = layer.custom.as_ref().and_then(|custom| custom.cell()) {
                let size = |v: Variable| v.shape.iter().map(|n| *n as f64).product::<f64>();
                direction += cell.variables(self.input_width(index)).into_iter().map(size).sum::<f64>();
            }
            count += direction * layer.directions() as f64;
        }
        count + self.outputs as f64 * (self.stack_width() as f64 + 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ModelSettings;

    #[test]
    fn absurd_sizes_are_an_error_without_overflow() {
        let message = |settings: &ModelSettings, vocabulary| {
            ModelConfig::new(settings, vocabulary).expect_err("the sizes are absurd").to_string()
        };
        let base = ModelSettings::default();
        assert_eq!(message(&base, 0), "vocabulary = 0 is invalid: give a whole number of at least 1");
        assert_eq!(
            message(&ModelSettings { layers: 1025, ..base.clone() }, 7),
            "layers = 1025 is invalid: give at most 1024"
        );
        for hidden in [usize::MAX, usize::MAX / 4, 1 << 62, 1 << 31] {
            let text = message(&ModelSettings { hidden, ..base.clone() }, 7);
            assert!(text.contains("memory"), "{text}");
        }
        assert!(message(&base, usize::MAX).contains("memory"));
        assert!(message(&ModelSettings { embedding: Some(usize::MAX), ..base }, 7).contains("memory"));
    }
}
