//! Cells whose sizes the compiler knows, for small models that answer sample by sample, as in audio.
//!
//! The cells are those of [`unrolled_kernels::fixed`], which also runs where there is no allocator and no standard library.
//! Here they are filled from a file, under PyTorch's names.
//!
//! ```
//! use unrolled::checkpoint::TensorFile;
//! use unrolled::fixed::{Dense, Layer, Lstm, Model};
//! # fn main() -> unrolled::Result<()> {
//! # let path = std::path::Path::new("tests/fixtures/torch-fixed-lstm-h16.safetensors");
//! let file = TensorFile::load(path)?; // a PyTorch module with members `rnn`, an LSTM, and `head`, a Linear
//! let cell: Lstm<1, 16> = file.cell("rnn", 0)?;
//! let head: Dense<16, 1> = file.dense("head")?;
//! let mut model = Model::new(cell, head);
//! # for beside in ["h*", "c*", "signal", "answers"] {
//! #     file.ignore(beside)?;
//! # }
//! file.finish()?; // an error if the file holds a tensor that was not read
//! let [y] = *model.step(&[0.5]); // allocates nothing
//! # assert!(y.is_finite());
//! # Ok(())
//! # }
//! ```

use crate::checkpoint::{TensorFile, prefix};
use crate::{Error, Result};

pub use unrolled_kernels::fixed::{
    Cell, Dense, Gru, GruBefore, Layer, Lstm, Model, Rnn, RnnRelu, kind, sliced,
};

/// The layers of a recurrent module in a file: see [`TensorFile::stack`].
#[derive(Clone, Copy, Debug)]
pub struct Stack<'f> {
    file: &'f TensorFile,
    module: &'f str,
    layers: usize,
}

/// Cells of fixed sizes from a file.
impl TensorFile {
    /// The only layer of the recurrent module whose member name is `module`, where `layer` is 0; a module of several
    /// layers is a [`TensorFile::stack`]. An empty name stands for a file that holds the module alone (`weight_ih_l0`).
    ///
    /// It reads `{module}.weight_ih_l{layer}` [G * H, I], `weight_hh` [G * H, H], `bias_ih` and `bias_hh` [G * H]; without
    /// any bias (`bias=False`) they are zero. The type says which cell; a file does not tell a [`Gru`] from a [`GruBefore`].
    ///
    /// # Errors
    /// [`Error::TensorFile`] names a tensor that is missing or of another shape; [`Error::UnusedTensors`] those of the module
    /// that this cell has no place for, and that were not read before: further layers, the other direction (`_reverse`),
    /// a projection; [`Error::Isa`] when the forced instruction set cannot be had.
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
        let [weight_ih, weight_hh, bias_ih, bias_hh] = tensors(self, module, layer, [G, I, H])?;
        self.finish_module(module)?;
        Cell::new(&weight_ih, &weight_hh, &bias_ih, &bias_hh).map_err(|error| refused(module, error))
    }

    /// The same on the heap, for a cell that is too large for the stack: an LSTM with H = 256 has 1 MB.
    ///
    /// # Errors
    /// As for [`TensorFile::cell`].
    pub fn boxed_cell<
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
    ) -> Result<Box<Cell<K, G, B, V, I, H>>> {
        let [weight_ih, weight_hh, bias_ih, bias_hh] = tensors(self, module, layer, [G, I, H])?;
        self.finish_module(module)?;
        Cell::boxed(&weight_ih, &weight_hh, &bias_ih, &bias_hh).map_err(|error| refused(module, error))
    }

    /// The recurrent module whose member name is `module`, of exactly so many layers; [`Stack::cell`] gives each.
    ///
    /// # Errors
    /// [`Error::UnusedTensors`] names the tensors of the module that so many layers have no place for.
    pub fn stack<'f>(&'f self, module: &'f str, layers: usize) -> Result<Stack<'f>> {
        let names: Vec<String> = (0..layers).flat_map(|layer| names(module, layer)).collect();
        self.finish_module_but(module, &names)?;
        Ok(Stack { file: self, module, layers })
    }

    /// The linear module whose member name is `module`: `{module}.weight` of shape `[O, I]` and `{module}.bias` of shape `[O]`,
    /// zero where it is absent (`bias=False`).
    ///
    /// # Errors
    /// As for [`TensorFile::cell`].
    pub fn dense<const I: usize, const O: usize>(&self, module: &str) -> Result<Dense<I, O>> {
        let name = |name: &str| format!("{}{name}", prefix(module));
        let weight = self.floats(&name("weight"), &[O, I])?;
        let bias = self.biases(&[name("bias")], &[O])?;
        self.finish_module(module)?;
        Dense::new(&weight, &bias[0]).map_err(|error| refused(module, error))
    }
}

impl Stack<'_> {
    /// Layer `layer`, counted from 0; otherwise as [`TensorFile::cell`].
    ///
    /// # Errors
    /// As for [`TensorFile::cell`], and [`Error::Tensor`] for a layer that the stack was not made for.
    pub fn cell<
        K: kind::Kind,
        const G: usize,
        const B: usize,
        const V: usize,
        const I: usize,
        const H: usize,
    >(
        &self,
        layer: usize,
    ) -> Result<Cell<K, G, B, V, I, H>> {
        let [weight_ih, weight_hh, bias_ih, bias_hh] = self.tensors(layer, [G, I, H])?;
        Cell::new(&weight_ih, &weight_hh, &bias_ih, &bias_hh).map_err(|error| refused(self.module, error))
    }

    /// The same on the heap.
    ///
    /// # Errors
    /// As for [`Stack::cell`].
    pub fn boxed_cell<
        K: kind::Kind,
        const G: usize,
        const B: usize,
        const V: usize,
        const I: usize,
        const H: usize,
    >(
        &self,
        layer: usize,
    ) -> Result<Box<Cell<K, G, B, V, I, H>>> {
        let [weight_ih, weight_hh, bias_ih, bias_hh] = self.tensors(layer, [G, I, H])?;
        Cell::boxed(&weight_ih, &weight_hh, &bias_ih, &bias_hh).map_err(|error| refused(self.module, error))
    }

    fn tensors(&self, layer: usize, sizes: [usize; 3]) -> Result<[Vec<f32>; 4]> {
        if layer >= self.layers {
            let expected = format!("a layer below {}, as given to TensorFile::stack", self.layers);
            let found = format!("layer {layer}");
            return Err(Error::tensor(self.module, found, expected));
        }
        tensors(self.file, self.module, layer, sizes)
    }
}

/// The tensors of a layer: weights, then biases.
fn names(module: &str, layer: usize) -> [String; 4] {
    let prefix = prefix(module);
    ["weight_ih", "weight_hh", "bias_ih", "bias_hh"].map(|name| format!("{prefix}{name}_l{layer}"))
}

/// `weight_ih` [G * H, I], `weight_hh` [G * H, H] and both biases [G * H] of a layer.
fn tensors(
    file: &TensorFile,
    module: &str,
    layer: usize,
    [gates, input, hidden]: [usize; 3],
) -> Result<[Vec<f32>; 4]> {
    let (names, rows) = (names(module, layer), gates * hidden);
    let weight_ih = file.floats(&names[0], &[rows, input])?;
    let weight_hh = file.floats(&names[1], &[rows, hidden])?;
    let mut biases = file.biases(&names[2..], &[rows])?;
    let (bias_hh, bias_ih) = (biases.swap_remove(1), biases.swap_remove(0));
    Ok([weight_ih, weight_hh, bias_ih, bias_hh])
}

/// Lengths were checked with the shapes; what remains is the instruction set.
fn refused(module: &str, error: unrolled_kernels::fixed::Error) -> Error {
    match error {
        unrolled_kernels::fixed::Error::Isa(error) => Error::Isa(error),
        other => Error::tensor(module, other.to_string(), "the lengths of its shapes"),
    }
}
