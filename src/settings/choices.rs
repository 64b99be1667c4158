//! The words that a setting may take.

use serde::{Deserialize, Serialize};

/// An enum whose variants carry their name in configuration files and on the command line.
macro_rules! choices {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
        pub enum $name {
            $($(#[$vdoc])* #[serde(rename = $text)] $variant),+
        }

        impl $name {
            /// The names that a configuration may use.
            pub const NAMES: &'static [&'static str] = &[$($text),+];

            /// The name in configuration files and on the command line.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $text),+
                }
            }
        }
    };
}

pub(super) use choices;

choices! {
    /// The recurrent cell.
    Cell {
        /// Vanilla RNN: one squashing function.
        Rnn = "rnn",
        /// Long short-term memory.
        Lstm = "lstm",
        /// Gated recurrent unit.
        Gru = "gru",
    }
}

choices! {
    /// The squashing function of a vanilla RNN.
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
    /// Where a GRU applies its reset gate.
    #[derive(Default)]
    Reset {
        /// To the product of the state (PyTorch, cuDNN, Keras).
        #[default]
        After = "after",
        /// To the state itself (the 2014 paper, TensorFlow 1).
        Before = "before",
    }
}

choices! {
    /// Where an LSTM's forget bias is added.
    #[derive(Default)]
    ForgetBiasAt {
        /// To the initial bias, which is then trained as it is.
        #[default]
        Initial = "initial",
        /// Whenever the model runs: no stored bias has it (TensorFlow).
        RunTime = "run-time",
    }
}

choices! {
    /// How many bias vectors a layer has.
    Bias {
        /// Two, as in PyTorch; both are trained.
        Double = "double",
        /// One; `bias_hh` stays zero.
        Single = "single",
    }
}

choices! {
    /// The distribution that weights are drawn from.
    Init {
        /// U(-s, s) with s = 1/sqrt(H): PyTorch's.
        Uniform = "uniform",
        /// Glorot's uniform, each gate by itself; biases zero.
        Glorot = "glorot",
        /// Glorot for inputs, orthogonal for recurrent weights (each gate by itself); biases zero.
        Orthogonal = "orthogonal",
        /// N(0, s^2); biases zero.
        Normal = "normal",
    }
}

choices! {
    /// How symbols enter the first layer.
    InputKind {
        /// One unit vector per symbol.
        OneHot = "one-hot",
        /// A trained vector per symbol.
        Embedding = "embedding",
    }
}

choices! {
    /// How windows are cut from the text.
    Windows {
        /// B contiguous streams whose state carries over within an epoch.
        Stream = "stream",
        /// Windows at random places, from a zero state.
        Random = "random",
        /// Row r of a batch starts one symbol after row r - 1, from a zero state.
        Sliding = "sliding",
    }
}

choices! {
    /// The update rule, in TensorFlow 1's form (AdamW in PyTorch's).
    OptimizerKind {
        /// Adam with bias correction.
        Adam = "adam",
        /// Adagrad.
        Adagrad = "adagrad",
        /// RMSProp.
        Rmsprop = "rmsprop",
        /// Adam with decoupled weight decay, in PyTorch's form.
        Adamw = "adamw",
        /// Gradient descent, with momentum if asked for.
        Sgd = "sgd",
    }
}

choices! {
    /// How the learning rate moves over the run.
    Schedule {
        /// It stays.
        Constant = "constant",
        /// Half a cosine from the full rate to `cosine-floor` times it.
        Cosine = "cosine",
        /// A factor per epoch.
        EpochDecay = "epoch-decay",
    }
}

choices! {
    /// How the losses of a window become the number that is minimised.
    Reduction {
        /// Mean over steps and rows.
        Mean = "mean",
        /// Sum over steps, mean over rows.
        SumSteps = "sum-steps",
    }
}

choices! {
    /// What the clipping threshold applies to.
    ClipMode {
        /// The global norm of the gradient.
        Norm = "norm",
        /// Each element of the gradient.
        Value = "value",
    }
}

choices! {
    /// What a symbol is.
    #[derive(Default)]
    Unit {
        /// A Unicode scalar value.
        #[default]
        Char = "char",
        /// A byte.
        Byte = "byte",
        /// A token id of the user's own tokenizer: the corpus is a file of ids.
        Ids = "ids",
    }
}

choices! {
    /// Where the parts of a text begin.
    #[derive(Default)]
    SplitBy {
        /// At fractions of its symbols: the last ones are held out.
        #[default]
        Tail = "tail",
        /// At the documents nearest to there: the last documents are held out, each as a whole.
        Document = "document",
    }
}

choices! {
    /// What to do with bytes that are not UTF-8.
    #[derive(Default)]
    Invalid {
        /// Refuse the text.
        #[default]
        Error = "error",
        /// Read U+FFFD in their place.
        Replace = "replace",
        /// Leave them out.
        Skip = "skip",
    }
}

choices! {
    /// What to do with a symbol that a given vocabulary lacks.
    Unknown {
        /// Refuse the text.
        Error = "error",
        /// Leave the symbol out.
        Skip = "skip",
        /// Read the vocabulary's U+FFFD in its place, or its space where it has no U+FFFD.
        Replace = "replace",
    }
}

choices! {
    /// How a window runs.
    Mode {
        /// A plan, compiled ahead for one shape.
        Static = "static",
        /// A loop, for any shape at each call.
        Dynamic = "dynamic",
    }
}
