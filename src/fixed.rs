//! Cells whose sizes the compiler knows, for small models that answer sample by sample, as in audio.
//!
//! The cells are those of [`unrolled_kernels::fixed`], which also runs where there is no allocator and no standard library.
//! Here they are filled from a file, under PyTorch's names.
//!
//! ```
//! use unrolled::checkpoint::TensorFile;
//! use unrolled::fixed::{Dense, Layer, Lstm, Model};
//! # fn main() -> unrolled::Result<()> {
//! # let path = std::path::Path::new("tests/goldens/torch-fixed-lstm-h16.safetensors");
//! let file = TensorFile::load(path)?; // a PyTorch module with members `rnn`, an LSTM, and `head`, a Linear
//! let cell: Lstm<1, 16> = file.cell("rnn", 0)?;
//! let head: Dense<16, 1> = file.dense("head")?;
//! let mut model = Model::new(cell, head);
//! let [y] = *model.step(&[0.5]); // allocates nothing
//! # assert!(y.is_finite());
//! # Ok(())
//! # }
//! ```

use crate::{Error, Result, checkpoint::TensorFile};

pub use unrolled_kernels::fixed::{
    Cell, Dense, Gru, GruBefore, Layer, Lstm, Model, Rnn, RnnRelu, kind, sliced,
};

/// Cells of fixed sizes from a file.
impl TensorFile {
    /// Layer `layer` of the recurrent module whose member name is `module`: `{module}.weight_ih_l{layer}` [G * H, I],
    /// `weight_hh` [G * H, H], `bias_ih` and `bias_hh` [G * H]. The type says which cell; a file does not tell a [`Gru`] from
    /// a [`GruBefore`].
    ///
    /// # Errors
    /// [`Error::TensorFile`] names a tensor that is missing or of another shape; [`Error::Isa`] when the forced instruction
    /// set cannot be had.
    pub fn cell<
        K: kind::Kind,
        const G: usize,
        const B: usize,
        const V: usize,
        const I: usize,
        const H: usize,
    >(
        &self,
        module: &str,
        layer: usize,
    ) -> Result<Cell<K, G, B, V, I, H>> {
        let tensor = |name, shape: &[usize]| self.floats(&format!("{module}.{name}_l{layer}"), shape);
        let (weight_ih, weight_hh) = (tensor("weight_ih", &[G * H, I])?, tensor("weight_hh", &[G * H, H])?);
        let (bias_ih, bias_hh) = (tensor("bias_ih", &[G * H])?, tensor("bias_hh", &[G * H])?);
        Cell::new(&weight_ih, &weight_hh, &bias_ih, &bias_hh).map_err(|error| refused(module, error))
    }

    /// The linear module whose member name is `module`: `{module}.weight` of shape `[O, I]` and `{module}.bias` of shape `[O]`.
    ///
    /// # Errors
    /// As for [`TensorFile::cell`].
    pub fn dense<const I: usize, const O: usize>(&self, module: &str) -> Result<Dense<I, O>> {
        let weight = self.floats(&format!("{module}.weight"), &[O, I])?;
        let bias = self.floats(&format!("{module}.bias"), &[O])?;
        Dense::new(&weight, &bias).map_err(|error| refused(module, error))
    }
}

/// Lengths were checked with the shapes; what remains is the instruction set.
fn refused(module: &str, error: unrolled_kernels::fixed::Error) -> Error {
    match error {
        unrolled_kernels::fixed::Error::Isa(error) => Error::Isa(error),
        other => Error::Tensor {
            tensor: module.to_owned(),
            found: other.to_string(),
            expected: "the lengths of its shapes".to_owned(),
        },
    }
}
