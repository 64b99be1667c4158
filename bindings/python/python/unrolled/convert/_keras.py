"""Models of Keras."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from ._model import Model, assemble, in_order, make_layer, numpy_of, random_input, require, verified


def from_keras(model: Any) -> Model:
    """Converts a Keras model (Keras 2 or 3).

    Args:
        model: a model of `LSTM`, `GRU`, `SimpleRNN` and `Bidirectional` layers, after at most one
            `Embedding` and before at most one `Dense` without activation (or `TimeDistributed`), or
            a file of it. Layers of `Dropout` and the input count as nothing.

    Raises:
        ValueError: for another layer or option, and if the results differ.
    """
    if isinstance(model, (str, os.PathLike)):
        import keras

        model = keras.models.load_model(os.fspath(model))
    stack: list[dict[str, Any]] = []
    tensors: dict[str, Any] = {}
    embedding: Any = None
    head: tuple[Any, Any] | None = None
    width = 0
    for layer in model.layers:
        kind = type(layer).__name__
        if kind in ("InputLayer", "Dropout", "SpatialDropout1D"):
            continue
        if head is not None:
            raise ValueError(
                f"found the layer {layer.name} ({kind}) after the last Dense, expected none"
            )
        if kind == "Embedding" and not stack and embedding is None:
            require(not layer.mask_zero, layer.name, "mask_zero")
            embedding = numpy_of(layer.get_weights()[0])
            width = embedding.shape[1]
        elif kind in ("LSTM", "GRU", "SimpleRNN", "Bidirectional"):
            width = width or _keras_width(layer)
            _add_keras(layer, kind, stack, tensors)
        elif kind in ("Dense", "TimeDistributed") and stack:
            head = _keras_head(layer.layer if kind == "TimeDistributed" else layer)
        else:
            raise ValueError(
                f"found the layer {layer.name} ({kind}), expected Embedding, LSTM, GRU, SimpleRNN, Bidirectional or Dense"
            )
    if not stack:
        raise ValueError("found no LSTM, GRU or SimpleRNN layer, expected at least one")
    converted = assemble(stack, tensors, width, embedding, head)
    x = random_input(converted, True)
    return verified(converted, x, True, numpy_of(model.predict(x, verbose=0)), "Keras")


def _keras_width(layer: Any) -> int:
    inner = layer.forward_layer if type(layer).__name__ == "Bidirectional" else layer
    return int(numpy_of(inner.get_weights()[0]).shape[0])


def _keras_head(layer: Any) -> tuple[Any, Any]:
    require(type(layer).__name__ == "Dense", layer.name, f"the class {type(layer).__name__}")
    activation = getattr(layer.activation, "__name__", str(layer.activation))
    require(activation == "linear", layer.name, f"activation {activation}")
    kernel, *bias = (numpy_of(values) for values in layer.get_weights())
    return kernel.T, bias[0] if bias else np.zeros(kernel.shape[1])


def _add_keras(layer: Any, kind: str, stack: list[dict[str, Any]], tensors: dict[str, Any]) -> None:
    both = kind == "Bidirectional"
    directions = [layer.forward_layer, layer.backward_layer] if both else [layer]
    if both:
        require(layer.merge_mode == "concat", layer.name, f"merge_mode {layer.merge_mode}")
    one = directions[0]
    cell = {"LSTM": "lstm", "GRU": "gru", "SimpleRNN": "rnn"}.get(type(one).__name__)
    require(
        cell is not None and all(type(other) is type(one) for other in directions),
        layer.name,
        type(one).__name__,
    )
    require(one.return_sequences or not both, layer.name, "return_sequences=False")
    require(both or not one.go_backwards, layer.name, "go_backwards")
    activation = getattr(one.activation, "__name__", str(one.activation))
    known = ("tanh", "relu", "sigmoid", "linear") if cell == "rnn" else ("tanh",)
    require(activation in known, layer.name, f"activation {activation}")
    if cell != "rnn":
        gates = getattr(one.recurrent_activation, "__name__", str(one.recurrent_activation))
        require(gates == "sigmoid", layer.name, f"recurrent_activation {gates}")
    after = cell != "gru" or bool(one.reset_after)
    stack.append(
        make_layer(
            cell=cell,
            hidden=int(one.units),
            bidirectional=both,
            activation="identity" if activation == "linear" else activation,
            reset="after" if after else "before",
        )
    )
    for direction, end in zip(directions, ("", "_reverse")):
        weights = [numpy_of(values) for values in direction.get_weights()]
        for name, values in _keras_tensors(cell, weights, int(one.units)).items():
            tensors[f"rnn.{name}_l{len(stack) - 1}{end}"] = values


def _keras_tensors(cell: str | None, weights: list[Any], hidden: int) -> dict[str, Any]:
    """Returns the tensors of a direction from its kernel, its recurrent kernel and its bias, if it
    has one."""
    kernel, recurrent = weights[:2]
    bias = weights[2] if len(weights) > 2 else np.zeros(kernel.shape[1])
    bias = bias if bias.ndim == 2 else np.stack([bias, np.zeros_like(bias)])
    order = {"lstm": (0, 1, 2, 3), "gru": (1, 0, 2), "rnn": (0,)}[cell or ""]
    return {
        "weight_ih": in_order(kernel.T, order, hidden),
        "weight_hh": in_order(recurrent.T, order, hidden),
        "bias_ih": in_order(bias[0], order, hidden),
        "bias_hh": in_order(bias[1], order, hidden),
    }
