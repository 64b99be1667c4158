"""The model that a conversion makes, and the comparison with its source."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from typing import Any, Union

import numpy as np
import numpy.typing as npt

from .. import _unrolled
from .._stream import Array

Path = Union[str, "os.PathLike[str]"]
# The largest difference between a source and its result.
TOLERANCE = 1e-4
# The sizes of the random input.
_STEPS, _ROWS = 7, 3


class Model:
    """A model: an input of vectors or symbols, recurrent layers, and a linear head if there is one.

    The functions of this module make it. A model of symbols reads numbers below `symbols`.
    """

    def __init__(self, native: _unrolled.Model) -> None:
        self._native = native
        self.last_step = native.last_step
        """True if the source returns only the outputs of the last step. The model returns all
        steps."""

    def __repr__(self) -> str:
        reads = f"symbols={self.symbols}" if self.symbols else f"input_size={self.input_size}"
        return f"Model({reads}, output_size={self.output_size})"

    def __call__(self, x: npt.ArrayLike, batch_first: bool = False) -> Array:
        """Runs the model from the zero state.

        Args:
            x: vectors [T, B, E], or symbols [T, B].
            batch_first: True if the first two sizes of x and of the result are B and T.

        Returns:
            The outputs [T, B, O].
        """
        if self.symbols:
            ids = np.asarray(x)
            expected = f"expected whole numbers from 0 to {self.symbols - 1}"
            if ids.dtype.kind not in "iu":
                raise ValueError(f"found x of dtype {ids.dtype}, {expected}")
            if ids.size and not 0 <= ids.min() <= ids.max() < self.symbols:
                raise ValueError(f"found x from {ids.min()} to {ids.max()}, {expected}")
            x = np.ascontiguousarray(ids, np.uint32)
        return self._native.forward(x, batch_first)

    def save(self, path: Path) -> None:
        """Writes a checkpoint."""
        self._native.save(os.fspath(path))

    def state_dict(self) -> dict[str, Array]:
        """Returns copies of the parameters by name."""
        return {
            name: values
            for (name, _), values in zip(self._native.names(), self._native.parameters())
        }

    @property
    def input_size(self) -> int:
        """The width of the input vectors; 0 for a model of symbols."""
        return self._native.input_size

    @property
    def output_size(self) -> int:
        """The width of the outputs."""
        return self._native.output_size

    @property
    def symbols(self) -> int:
        """The number of symbols; 0 for a model of vectors."""
        return self._native.symbols


def load(path: Path, ignore: Iterable[str] = ()) -> Model:
    """Loads a model from a checkpoint, a PyTorch `state_dict` in safetensors, ONNX, or RTNeural's
    JSON. A quantized file runs in int8, all others run in f32, also a checkpoint of a run in bf16.

    Args:
        path: the file. Its content tells the format.
        ignore: names of tensors, nodes or layers to leave out, or one name. A "*" at the end
            matches any further characters.

    Raises:
        unrolled.Error: names the first part of the file that is not understood.
    """
    return Model(_unrolled.Model.load(os.fspath(path), as_list(ignore)))


def as_list(names: Iterable[str]) -> list[str]:
    """Returns names, or one name, as a list."""
    return [names] if isinstance(names, str) else list(names)


def make_layer(**options: Any) -> dict[str, Any]:
    """Returns a layer for the settings, without options that are None."""
    return {
        "forget-bias": 0.0,
        **{name: value for name, value in options.items() if value is not None},
    }


def assemble(
    stack: list[dict[str, Any]],
    tensors: Mapping[str, Any],
    inputs: int,
    embedding: Any,
    head: tuple[Any, Any] | None,
) -> Model:
    """Builds the model of layers, an embedding and a head."""
    tensors, symbols = dict(tensors), 0
    settings: dict[str, Any] = {"stack": stack}
    if embedding is not None:
        symbols, width = embedding.shape
        settings["embedding"] = width
        tensors["embedding.weight"] = embedding
        if head is None:
            raise ValueError(
                "found an embedding without a linear layer at the end, expected both or none"
            )
    else:
        settings["inputs"] = inputs
    if head is not None:
        settings["outputs"] = len(head[0])
        tensors["head.weight"], tensors["head.bias"] = head
    named = [(name, np.ascontiguousarray(values, np.float32)) for name, values in tensors.items()]
    return Model(_unrolled.Model(json.dumps(settings), symbols, named))


def random_input(model: Model, batch_first: bool, sizes: tuple[Any, ...] = ()) -> Any:
    """Returns an input for a model. `sizes` are its first two sizes; those that are no numbers are
    chosen."""
    generator = np.random.default_rng(1)
    chosen = (_ROWS, _STEPS) if batch_first else (_STEPS, _ROWS)
    shape = [
        size if isinstance(size, int) else other
        for size, other in zip((*sizes, None, None), chosen)
    ]
    if model.symbols:
        return generator.integers(model.symbols, size=shape)
    return generator.standard_normal((*shape, model.input_size)).astype(np.float32)


def difference(model: Model, x: Any, batch_first: bool, expected: Any) -> float:
    """Returns the largest difference between results of a source and of a model; infinity for other
    shapes. Sets `last_step` if the source returned only the last step."""
    found = model(x, batch_first)
    last = found[:, -1] if batch_first else found[-1]
    for values, last_step in ((found, False), (last, True)):
        if expected.shape == values.shape and (last_step or not model.last_step):
            model.last_step = last_step
            return float(np.abs(values - expected).max())
    return float("inf")


def verified(model: Model, x: Any, batch_first: bool, expected: Any, source: str) -> Model:
    """Returns the model if its results are those of the source."""
    found = difference(model, x, batch_first, expected)
    if found == float("inf"):
        raise ValueError(
            f"found outputs of shape {list(expected.shape)} from {source} for inputs of shape {list(x.shape)}, "
            f"expected {model.output_size} values for each step or for the last step"
        )
    if not found <= TOLERANCE:
        raise ValueError(
            f"found a difference of {found:g} between {source} and the converted model, expected at most {TOLERANCE:g}; "
            "the source computes something that the model lacks"
        )
    return model


def numpy_of(values: Any) -> Any:
    return np.asarray(values, np.float32)


def require(condition: bool, layer: str, what: str) -> None:
    if not condition:
        raise ValueError(
            f"found {what} in the layer {layer}, which unrolled does not have; change the layer or convert without it"
        )


def in_order(values: Any, order: tuple[int, ...], hidden: int) -> Any:
    """Returns the rows of gates in another order."""
    return np.concatenate([values[gate * hidden : (gate + 1) * hidden] for gate in order])
