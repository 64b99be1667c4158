"""ONNX files."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np

from ._model import TOLERANCE, Model, Path, difference, load, random_input


def from_onnx(path: Path, ignore: Iterable[str] = ()) -> Model:
    """Converts an ONNX file.

    Args:
        path: the file.
        ignore: names of nodes to leave out, such as a final softmax.

    Raises:
        unrolled.Error: names the node and the attribute that is not understood.
        ValueError: if the results differ.
    """
    model = load(path, ignore)
    try:
        import onnxruntime
    except ImportError:
        warnings.warn(
            "onnxruntime is not installed: the converted model was not compared with the file",
            stacklevel=2,
        )
        return model
    if list(ignore):
        return model  # the file has parts that the model lacks
    session = onnxruntime.InferenceSession(os.fspath(path), providers=["CPUExecutionProvider"])
    return _compare_onnx(model, session)


def _compare_onnx(model: Model, session: Any) -> Model:
    """Compares a model with a session of onnxruntime. States among its inputs are zero."""
    first, *states = session.get_inputs()
    for batch_first in (False, True):
        x = random_input(model, batch_first, tuple(first.shape[:2]))
        rows = x.shape[0 if batch_first else 1]
        given = {first.name: x.astype(np.int64 if "int64" in first.type else x.dtype)}
        for state in states:
            shape = [size if isinstance(size, int) else rows for size in state.shape]
            given[state.name] = np.zeros(shape, np.float32)
        try:
            y = session.run(None, given)[0]
        except Exception:  # the file has the other order of the sizes
            continue
        if difference(model, x, batch_first, y) <= TOLERANCE:
            return model
    raise ValueError(
        "found no input on which onnxruntime and the converted model agree, expected a difference of at most "
        f"{TOLERANCE:g}; unrolled.convert.load reads the file without a comparison"
    )
