"""Recurrent networks (RNN, LSTM, GRU) on the CPU, on NumPy arrays.

- `LSTM`, `GRU`, `RNN`: layers with the constructor, the names, the shapes and the equations of
  PyTorch.
- `Optimizer`: updates the parameters of layers.
- `Stream`: layers that run one step at a time.
- `train`, `Run`, `LanguageModel`: models of text.
- `unrolled.torch`: the layers as PyTorch modules. Only this submodule needs torch.
- `unrolled.convert`: models of other programs.

Letters: T is the number of steps, B of batch rows, E the width of the inputs, H of the hidden state, P of a
projection, L the number of layers, D of directions. O = D H, or D P with a projection.

Arrays are float32 in row-major order. Such arrays are read without a copy; other arrays and lists
of numbers are converted once. The interpreter's lock is released while the library computes.
"""

from ._layers import GRU, LSTM, RNN
from ._optimizer import Optimizer
from ._stream import Stream
from ._text import LanguageModel, Run, train
from ._unrolled import Error, __version__, isa

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "Error",
    "LanguageModel",
    "Optimizer",
    "Run",
    "Stream",
    "__version__",
    "isa",
    "train",
]
