//! Models from the `state_dict` of a PyTorch module.

use super::{
    layer_shapes,
    member_names::{MemberNames, assemble},
    tensor_file::{TensorFile, prefix},
};
use crate::{
    Activation, Bias, Cell, Error, Layer, Reset, Result,
    model::{Model, ModelConfig, TensorEntry},
};

/// The members of a PyTorch module in a file, for [`TensorFile::model`]. The default members have
/// the names of a checkpoint: `embedding`, `rnn` and `head`.
///
/// ```no_run
/// use unrolled::checkpoint::{StateDict, TensorFile};
///
/// # fn main() -> unrolled::Result<()> {
/// let file = TensorFile::load("char_lm.safetensors".as_ref())?;
/// let members = StateDict {
///     embedding: Some("embed"),
///     rnn: "model.encoder.lstm",
///     head: Some("to_logits"),
///     ..StateDict::default()
/// };
/// let model = file.model(&members)?;
/// file.finish()?; // an error if the file has tensors that the model does not use
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateDict<'a> {
    /// Name of the `nn.Embedding`. `None` for one-hot input, and for a stack that reads vectors.
    pub embedding: Option<&'a str>,
    /// Name of the `nn.RNN`, `nn.LSTM` or `nn.GRU`.
    pub rnn: &'a str,
    /// Name of the `nn.Linear` that computes the logits. `None` for a stack that reads and returns
    /// vectors.
    pub head: Option<&'a str>,
    /// True if the module reads vectors. False: it reads symbols, through an embedding or as
    /// one-hot vectors.
    pub vectors: bool,
    /// Activation of RNN layers (`nonlinearity` in PyTorch). Other cells ignore it.
    pub activation: Activation,
    /// Place of the reset gate of GRU layers, before or after the recurrent product. In PyTorch it
    /// is after. Other cells ignore it.
    pub reset: Reset,
}

impl Default for StateDict<'_> {
    fn default() -> Self {
        Self {
            embedding: Some("embedding"),
            rnn: "rnn",
            head: Some("head"),
            vectors: false,
            activation: Activation::Tanh,
            reset: Reset::After,
        }
    }
}

impl TensorFile {
    /// Builds a model from the members of a PyTorch module. All sizes come from the shapes: the
    /// vocabulary from the embedding, the outputs from the head, and the layers with their cells
    /// and widths from the recurrent weights (4 H rows are an LSTM, 3 H a GRU, H an RNN), and
    /// projections from `weight_hr`; a layer with `weight_ih_l{l}_reverse` is bidirectional. Biases
    /// that the file omits (`bias=False`) are zero.
    ///
    /// Without `head` the result is a stack for [`crate::network`], as [`Model::of_layers`] makes
    /// it.
    ///
    /// # Errors
    /// [`Error::TensorFile`] names a tensor that is missing or does not fit the others;
    /// [`Error::UnusedTensors`] names tensors of these members that the model has no place for.
    pub fn model(&self, members: &StateDict<'_>) -> Result<Model> {
        let names = members.names();
        let config = members.config(self, &names)?;
        let layout = config.layout();
        let read = |entry: &TensorEntry| names.read(self, &entry.name, &entry.shape);
        let tensors = layout.entries().iter().map(read).collect::<Result<_>>()?;
        for member in [members.embedding, Some(members.rnn), members.head].into_iter().flatten() {
            self.finish_module(member)?;
        }
        Model::with_parameters(config, assemble(layout, tensors))
    }
}

impl StateDict<'_> {
    fn names(&self) -> MemberNames {
        MemberNames {
            embedding: prefix(self.embedding.unwrap_or_default()),
            rnn: prefix(self.rnn),
            head: prefix(self.head.unwrap_or_default()),
        }
    }

    /// Finds the shape of the model.
    fn config(&self, file: &TensorFile, names: &MemberNames) -> Result<ModelConfig> {
        let first = format!("{}weight_ih_l0", names.rnn);
        let [_, inputs] = file.required_matrix_shape(&first)?;
        let mut stack = layer_shapes::layers(file, &names.rnn)?;
        stack.iter_mut().for_each(|layer| self.choose(layer));
        let outputs = match self.head {
            None => 0,
            Some(head) => self.rows(file, &format!("{}weight", prefix(head)))?,
        };
        let (vocabulary, embedding) = match self.embedding {
            None if self.vectors || self.head.is_none() => (0, Some(inputs)),
            None if inputs == outputs => (outputs, None),
            None => {
                let found = format!("{inputs} columns");
                let expected = format!("one for each of {outputs} symbols, or `vectors: true`");
                return Err(file.mismatch(&first, found, expected));
            }
            Some(_) if self.vectors || self.head.is_none() => {
                let expected = "None, because a model of vectors has no embedding";
                return Err(Error::setting("embedding", "a name", expected));
            }
            Some(name) => (self.rows(file, &format!("{}weight", prefix(name)))?, Some(inputs)),
        };
        let config = ModelConfig { bias: Bias::Double, vocabulary, embedding, outputs, stack };
        config.check()?;
        Ok(config)
    }

    /// Returns the number of rows of a matrix, at least 1.
    fn rows(&self, file: &TensorFile, name: &str) -> Result<usize> {
        match file.required_matrix_shape(name)? {
            [0, _] => Err(file.mismatch(name, "no rows", "at least one row")),
            [rows, _] => Ok(rows),
        }
    }

    /// Sets the options that no shape tells.
    fn choose(&self, layer: &mut Layer) {
        match layer.cell {
            Cell::Rnn => layer.activation = self.activation,
            Cell::Gru => layer.reset = self.reset,
            Cell::Lstm => {}
        }
    }
}
