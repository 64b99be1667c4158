"""Models of other programs.

    model = unrolled.convert.from_torch(module)
    model.save("model.safetensors")    # a checkpoint for Rust, C, Python and the command line

`from_torch`, `from_keras`, `from_tf1` and `from_onnx` run the source framework and the result on
the same random input, where the framework is installed, and refuse a difference above 1e-4. The
shell command is

    python -m unrolled convert IN OUT
"""

from __future__ import annotations

import os
from collections.abc import Callable

from ._keras import from_keras
from ._model import Model, Path, load
from ._onnx import from_onnx
from ._pytorch import from_torch, from_torch_file
from ._tensorflow import from_tf1

__all__ = ["Model", "convert", "from_keras", "from_onnx", "from_tf1", "from_torch", "load"]

# The readers by the end of a file's name.
_READERS: dict[str, Callable[[Path], Model]] = {
    ".onnx": from_onnx,
    ".keras": from_keras,
    ".h5": from_keras,
    ".pt": from_torch_file,
    ".pth": from_torch_file,
}


def convert(source: Path, target: Path) -> Model:
    """Converts a file and saves the result. The end of the name tells the format of the source:
    `.onnx`, `.keras`, `.h5`, `.pt` and `.pth` (a whole module), `.ckpt` or the prefix of a
    TensorFlow 1 checkpoint; all others are for `load`.

    A `.pt` or `.pth` file is a pickle, which can run any code: convert only files that you trust.
    """
    path = os.fspath(source)
    reader = _READERS.get(os.path.splitext(path)[1])
    if reader is None:
        reader = from_tf1 if os.path.exists(path + ".index") else load
    model = reader(path)
    model.save(target)
    return model
