"""ONNX files."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np

from ._model import TOLERANCE, Model, Path, as_list, difference, load, random_input

_TYPES = {"tensor(int64)": np.int64, "tensor(int32)": np.int32, "tensor(float)": np.float32}


def from_onnx(path: Path, ignore: Iterable[str] = ()) -> Model:
    """Converts an ONNX file.

    Args:
        path: the file.
        ignore: names of nodes to leave out, such as a final softmax.

    Raises:
        unrolled.Error: names the node and the attribute that is not understood.
        ValueError: if the results differ.
    """
    ignore = as_list(ignore)
    model = load(path, ignore)
    try:
        import onnxruntime
    except ImportError:
        warnings.warn(
            "onnxruntime is not installed: the converted model was not compared with the file",
            stacklevel=2,
        )
        return model
    if ignore:
        return model  # the file has parts that the model lacks
    try:
        session = onnxruntime.InferenceSession(os.fspath(path), providers=["CPUExecutionProvider"])
    except Exception as error:
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"onnxruntime cannot load the file: {reason}; unrolled.convert.load reads it without a comparison"
        ) from error
    return _compare_onnx(model, session)


def _compare_onnx(model: Model, session: Any) -> Model:
    """Compares a model with a session of onnxruntime. States among its inputs are zero."""
    first, *states = session.get_inputs()
    for batch_first in (False, True):
        x = random_input(model, batch_first, tuple(first.shape[:2]))
        rows = x.shape[0 if batch_first else 1]
        given = {first.name: x.astype(_TYPES.get(first.type, x.dtype))}
        for state in states:
            shape = [size if isinstance(size, int) else 1 for size in state.shape]
            if len(shape) > 1 and not isinstance(state.shape[-2], int):
                shape[-2] = rows
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
