//! Cells whose sizes the compiler knows, for small models that answer sample by sample, as in
//! audio.
//!
//! The cells are those of [`unrolled_kernels::fixed`], which also runs without an allocator and
//! without the standard library. This module fills them from a file, under PyTorch's names.
//!
//! ```
//! use unrolled::checkpoint::TensorFile;
//! use unrolled::fixed::{Linear, Lstm, Pipeline, Stage};
//! # fn main() -> unrolled::Result<()> {
//! # let path = std::path::Path::new("tests/fixtures/torch-fixed-lstm-h16.safetensors");
//! // A PyTorch module with members `rnn`, an LSTM, and `head`, a Linear.
//! let file = TensorFile::load(path)?;
//! let cell: Lstm<1, 16> = file.cell("rnn", 0)?;
//! let head: Linear<16, 1> = file.linear("head")?;
//! let mut model = Pipeline::new(cell, head);
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
    CellSizes, CellTensors, FixedCell, FromTensors, Gru, GruBefore, Linear, Lstm, Pipeline, RnnRelu, RnnTanh,
    Stage, equations, sliced,
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
    /// Reads the only layer of the recurrent module whose member name is `module`; `layer` is then
    /// 0. For a module of several layers use [`TensorFile::stack`]. An empty name means a file that
    /// holds only the module (`weight_ih_l0`).
    ///
    /// It reads `{module}.weight_ih_l{layer}` [G * H, I], `weight_hh` [G * H, H], `bias_ih` and
    /// `bias_hh` [G * H]. Without any bias (`bias=False`) the biases are zero. The type chooses the
    /// cell: a file does not distinguish a [`Gru`] from a [`GruBefore`]. A cell that is too large
    /// for the stack goes in a box, as in `Box<Lstm<1, 256>>` (1 MB).
    ///
    /// # Errors
    /// [`Error::TensorFile`] names a missing tensor, or one of another shape.
    /// [`Error::UnusedTensors`] names the tensors of the module that this cell has no place for and
    /// that were not read before: further layers, the other direction (`_reverse`), a projection.
    /// [`Error::Isa`] means that `UNROLLED_ISA` names an instruction set that this processor lacks.
    pub fn cell<C: FromTensors>(&self, module: &str, layer: usize) -> Result<C> {
        let tensors = LayerTensors::read::<C>(self, module, layer)?;
        self.finish_module(module)?;
        tensors.fill(module)
    }

    /// Returns the recurrent module whose member name is `module`, with exactly `layers` layers.
    /// [`Stack::cell`] reads each layer.
    ///
    /// # Errors
    /// [`Error::UnusedTensors`] names the tensors of the module that belong to no such layer.
    pub fn stack<'f>(&'f self, module: &'f str, layers: usize) -> Result<Stack<'f>> {
        let names: Vec<String> = (0..layers).flat_map(|layer| names(module, layer)).collect();
        self.finish_module_but(module, &names)?;
        Ok(Stack { file: self, module, layers })
    }

    /// Reads the linear module whose member name is `module`: `{module}.weight` of shape `[O, I]`
    /// and `{module}.bias` of shape `[O]`, which is zero if it is absent (`bias=False`).
    ///
    /// # Errors
    /// As for [`TensorFile::cell`].
    pub fn linear<const I: usize, const O: usize>(&self, module: &str) -> Result<Linear<I, O>> {
        let name = |name: &str| format!("{}{name}", prefix(module));
        let weight = self.floats(&name("weight"), &[O, I])?;
        let bias = self.biases(&[name("bias")], &[O])?;
        self.finish_module(module)?;
        Linear::new(&weight, &bias[0]).map_err(|error| refused(module, error))
    }
}

impl Stack<'_> {
    /// Reads layer `layer`, counted from 0; otherwise as [`TensorFile::cell`].
    ///
    /// # Errors
    /// As for [`TensorFile::cell`], and [`Error::Tensor`] if the stack has no such layer.
    pub fn cell<C: FromTensors>(&self, layer: usize) -> Result<C> {
        if layer >= self.layers {
            let expected = format!("a layer below {}, as given to TensorFile::stack", self.layers);
            let found = format!("layer {layer}");
            return Err(Error::tensor(self.module, found, expected));
        }
        LayerTensors::read::<C>(self.file, self.module, layer)?.fill(self.module)
    }
}

/// Returns the names of a layer's tensors: weights, then biases.
fn names(module: &str, layer: usize) -> [String; 4] {
    let prefix = prefix(module);
    ["weight_ih", "weight_hh", "bias_ih", "bias_hh"].map(|name| format!("{prefix}{name}_l{layer}"))
}

/// The tensors of one layer.
struct LayerTensors {
    /// [G * H, I]
    weight_ih: Vec<f32>,
    /// [G * H, H]
    weight_hh: Vec<f32>,
    /// `bias_ih` and `bias_hh`, each [G * H].
    biases: Vec<Vec<f32>>,
}

impl LayerTensors {
    fn read<C: FromTensors>(file: &TensorFile, module: &str, layer: usize) -> Result<Self> {
        let CellSizes { input, hidden } = C::SIZES;
        let (names, rows) = (names(module, layer), C::GATES * hidden);
        Ok(Self {
            weight_ih: file.floats(&names[0], &[rows, input])?,
            weight_hh: file.floats(&names[1], &[rows, hidden])?,
            biases: file.biases(&names[2..], &[rows])?,
        })
    }

    fn fill<C: FromTensors>(&self, module: &str) -> Result<C> {
        let Self { weight_ih, weight_hh, biases } = self;
        let tensors = CellTensors { weight_ih, weight_hh, bias_ih: &biases[0], bias_hh: &biases[1] };
        C::from_tensors(tensors).map_err(|error| refused(module, error))
    }
}

/// Returns the error for a cell that could not be made. The shapes were checked, so the instruction
/// set is the only possible reason.
fn refused(module: &str, error: unrolled_kernels::fixed::Error) -> Error {
    match error {
        unrolled_kernels::fixed::Error::Isa(error) => Error::Isa(error),
        other => Error::tensor(module, other.to_string(), "the lengths of its shapes"),
    }
}
