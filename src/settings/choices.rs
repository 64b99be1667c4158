//! Settings with a fixed set of values.

use crate::{Result, error::require};
use serde::{Deserialize, Serialize};

/// Defines an enum whose variants have names in configuration files and on the command line.
macro_rules! choices {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$vdoc])* #[serde(rename = $text)] $variant),+
        }

        impl $name {
            /// All valid names.
            pub const NAMES: &'static [&'static str] = &[$($text),+];

            /// Returns the name in configuration files and on the command line.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $text),+
                }
            }

            /// Returns the value with that name.
            pub fn named(name: &str) -> Option<Self> {
                match name {
                    $($text => Some(Self::$variant),)+
                    _ => None,
                }
            }
        }
    };
}

pub(super) use choices;

choices! {
    /// The recurrent cell.
    Cell {
        /// Vanilla RNN: an affine map and an activation.
        Rnn = "rnn",
        /// [Long short-term memory](https://doi.org/10.1162/neco.1997.9.8.1735).
        Lstm = "lstm",
        /// [Gated recurrent unit](https://arxiv.org/abs/1406.1078).
        Gru = "gru",
    }
}

choices! {
    /// The activation of a vanilla RNN.
    #[derive(Default)]
    Activation {
        /// Hyperbolic tangent.
        #[default]
        Tanh = "tanh",
        /// max(0, x).
        Relu = "relu",
        /// 1 / (1 + e^-x).
        Sigmoid = "sigmoid",
        /// x.
        Identity = "identity",
    }
}

choices! {
    /// The place of a GRU's reset gate.
    #[derive(Default)]
    Reset {
        /// Applied to the result of the recurrent product, as in
        /// [PyTorch](https://docs.pytorch.org/docs/stable/generated/torch.nn.GRU.html), cuDNN and
        /// Keras.
        #[default]
        After = "after",
        /// Applied to the hidden state before the recurrent product, as in
        /// [Cho et al., 2014](https://arxiv.org/abs/1406.1078) and TensorFlow 1.
        Before = "before",
    }
}

choices! {
    /// When an LSTM's forget bias is added.
    #[derive(Default)]
    ForgetBiasAt {
        /// At initialization: it is part of the trained bias.
        #[default]
        Initial = "initial",
        /// At run time: the stored bias does not include it (TensorFlow).
        RunTime = "run-time",
    }
}

choices! {
    /// The number of bias vectors of a layer.
    Bias {
        /// Two, both trained, as in PyTorch.
        Double = "double",
        /// One; `bias_hh` stays 0.
        Single = "single",
    }
}

choices! {
    /// The distribution of the initial weights.
    Init {
        /// U(-s, s) with s = 1/sqrt(H), as in
        /// [PyTorch](https://docs.pytorch.org/docs/stable/generated/torch.nn.LSTM.html).
        Uniform = "uniform",
        /// [Glorot uniform](https://proceedings.mlr.press/v9/glorot10a.html), each gate on its own;
        /// biases 0.
        Glorot = "glorot",
        /// [Orthogonal](https://arxiv.org/abs/1312.6120) recurrent weights, each gate on its own;
        /// Glorot uniform input weights; biases 0.
        Orthogonal = "orthogonal",
        /// N(0, s^2); biases 0.
        Normal = "normal",
    }
}

choices! {
    /// The input of the first layer.
    InputKind {
        /// A one-hot vector for each symbol.
        OneHot = "one-hot",
        /// A trained vector for each symbol.
        Embedding = "embedding",
    }
}

choices! {
    /// How windows are cut from the training split.
    Windows {
        /// B contiguous streams; the state is carried from window to window within an epoch.
        Stream = "stream",
        /// Windows at random offsets, each from a zero state.
        Random = "random",
        /// Windows shifted by one symbol: batch row r starts one symbol after row r - 1. Each
        /// starts from a zero state.
        Sliding = "sliding",
    }
}

choices! {
    /// The update rule, in the form of TensorFlow 1
    /// ([Adam][a], [Adagrad][g], [RMSProp][r], [momentum][m]); AdamW in the form of [PyTorch][w].
    ///
    /// [a]: https://www.tensorflow.org/api_docs/python/tf/compat/v1/train/AdamOptimizer
    /// [g]: https://www.tensorflow.org/api_docs/python/tf/compat/v1/train/AdagradOptimizer
    /// [r]: https://www.tensorflow.org/api_docs/python/tf/compat/v1/train/RMSPropOptimizer
    /// [m]: https://www.tensorflow.org/api_docs/python/tf/compat/v1/train/MomentumOptimizer
    /// [w]: https://docs.pytorch.org/docs/stable/generated/torch.optim.AdamW.html
    OptimizerKind {
        /// [Adam](https://arxiv.org/abs/1412.6980) with bias correction.
        Adam = "adam",
        /// [Adagrad](https://jmlr.org/papers/v12/duchi11a.html).
        Adagrad = "adagrad",
        /// [RMSProp](https://www.cs.toronto.edu/~tijmen/csc321/slides/lecture_slides_lec6.pdf).
        Rmsprop = "rmsprop",
        /// [Adam with decoupled weight decay](https://arxiv.org/abs/1711.05101).
        Adamw = "adamw",
        /// Gradient descent, with optional momentum.
        Sgd = "sgd",
    }
}

choices! {
    /// The learning rate schedule.
    Schedule {
        /// The same learning rate at every step.
        Constant = "constant",
        /// Half a cosine from the full learning rate to `cosine-floor` times it, with a linear
        /// warm-up ([SGDR](https://arxiv.org/abs/1608.03983) without restarts).
        Cosine = "cosine",
        /// The learning rate is multiplied by a constant factor after each period of epochs.
        EpochDecay = "epoch-decay",
    }
}

choices! {
    /// How the losses of a window are reduced to one number.
    Reduction {
        /// Mean over steps and batch rows.
        Mean = "mean",
        /// Sum over steps, mean over batch rows.
        SumSteps = "sum-steps",
    }
}

choices! {
    /// The number format of the operands of products: inputs and states, weights, and deltas.
    ///
    /// Sums are f32 (in int8 integers of 32 bits, which then become f32). Gates, cell state, losses,
    /// gradients, moments, and the parameters that the optimizer updates and that checkpoints store
    /// are always f32.
    #[derive(Default)]
    Precision {
        /// f32.
        #[default]
        F32 = "f32",
        /// [bfloat16][b]: f32 rounded to nearest even to 8 significant bits.
        ///
        /// [b]: https://arxiv.org/abs/1905.12322
        Bf16 = "bf16",
        /// 8-bit integers, for inference: weights with one scale for each row, inputs and states with
        /// one for each vector (see [`Model::quantize`](crate::model::Model::quantize)). Not a setting.
        #[serde(skip_deserializing)]
        Int8 = "int8",
    }
}

impl Precision {
    /// The names of the precisions that a model can be trained in.
    pub const TRAINED: &'static [&'static str] = &["f32", "bf16"];

    /// Returns an error for a precision that is for inference.
    pub(crate) fn check_trains(self) -> Result<()> {
        let expected = "int8 is for inference only: train in f32 or bf16, then quantize the model";
        require(self != Self::Int8, "precision", self.name(), expected)
    }
}

choices! {
    /// The numbers that the processes of a run send each other.
    #[derive(Default)]
    Exchange {
        /// Gradients and parameters in f32.
        #[default]
        F32 = "f32",
        /// Gradients, and the changes of parameters, rounded to bfloat16.
        Bf16 = "bf16",
    }
}

choices! {
    /// The quantity that the clipping threshold limits.
    ClipMode {
        /// The global norm of the gradient.
        Norm = "norm",
        /// Each element of the gradient.
        Value = "value",
    }
}

choices! {
    /// The kind of symbol.
    #[derive(Default)]
    Unit {
        /// A character: a Unicode scalar value.
        #[default]
        Char = "char",
        /// A byte.
        Byte = "byte",
        /// A token id of your own tokenizer: the corpus files contain ids.
        Ids = "ids",
    }
}

choices! {
    /// The start of the validation and test splits.
    #[derive(Default)]
    SplitBy {
        /// At fractions of the symbols: the last symbols are held out.
        #[default]
        Tail = "tail",
        /// At the nearest start of a document: the last documents are held out, each as a whole.
        Document = "document",
    }
}

choices! {
    /// The treatment of bytes that are not UTF-8.
    #[derive(Default)]
    Invalid {
        /// An error.
        #[default]
        Error = "error",
        /// Each invalid sequence becomes U+FFFD.
        Replace = "replace",
        /// Invalid bytes are skipped.
        Skip = "skip",
    }
}

choices! {
    /// The treatment of a symbol that is not in a given vocabulary.
    Unknown {
        /// An error.
        Error = "error",
        /// The symbol is skipped.
        Skip = "skip",
        /// The symbol becomes U+FFFD, or a space if the vocabulary has no U+FFFD.
        Replace = "replace",
    }
}

choices! {
    /// How a window is run.
    Mode {
        /// For windows of one shape: all buffers are allocated in advance.
        Static = "static",
        /// The shape may differ at each call; buffers grow when needed.
        Dynamic = "dynamic",
    }
}
