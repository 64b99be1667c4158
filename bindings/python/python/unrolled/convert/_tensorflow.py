"""Checkpoints of TensorFlow 1."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from ._model import Model, Path, assemble, in_order, make_layer, random_input, verified

_TF1 = {
    "lstm": {"kernel", "bias"},
    "projected": {"kernel", "bias", "projection/kernel"},
    "gru": {"gates/kernel", "gates/bias", "candidate/kernel", "candidate/bias"},
}
# The last parts of names of an optimizer's variables.
_OF_OPTIMIZERS = {
    "Adam",
    "Adam_1",
    "Adagrad",
    "RMSProp",
    "RMSProp_1",
    "Momentum",
    "ExponentialMovingAverage",
    "beta1_power",
    "beta2_power",
    "global_step",
}


def from_tf1(checkpoint_path: Path, forget_bias: float = 1.0) -> Model:
    """Converts the recurrent layers of a TensorFlow 1 checkpoint.

    Args:
        checkpoint_path: the prefix of a checkpoint, or its folder, with the variables of
            `BasicLSTMCell`, `LSTMCell` (also with a projection), `GRUCell` or `BasicRNNCell`, alone
            or in a `MultiRNNCell`. Variables of optimizers are ignored.
        forget_bias: the argument of the LSTM cells, which no checkpoint contains.

    Raises:
        ValueError: for other variables, and if the results differ.
    """
    import tensorflow as tf  # TensorFlow reads its own format

    reader = tf.train.load_checkpoint(os.fspath(checkpoint_path))
    names = [
        name
        for name in sorted(reader.get_variable_to_shape_map())
        if name.rsplit("/", 1)[-1] not in _OF_OPTIMIZERS
    ]
    cells = _tf1_cells(names)
    values = {name: reader.get_tensor(name) for name in names}
    stack: list[dict[str, Any]] = []
    tensors: dict[str, Any] = {}
    width = 0
    for scope, members in cells:
        inputs = _add_tf1(
            scope,
            {member: values[f"{scope}/{member}"] for member in members},
            forget_bias,
            stack,
            tensors,
        )
        width = width or inputs
    model = assemble(stack, tensors, width, None, None)
    x = random_input(model, False)
    return verified(
        model, x, False, _run_tf1(tf, cells, values, stack, forget_bias, x), "TensorFlow"
    )


def _tf1_cells(names: list[str]) -> list[tuple[str, list[str]]]:
    """Returns the scope of each cell and its variables, in the order of the layers."""
    members = sorted((member for known in _TF1.values() for member in known), key=len, reverse=True)
    cells: dict[str, list[str]] = {}
    for name in names:
        member = next((member for member in members if name.endswith("/" + member)), None)
        scope = "" if member is None else name[: -len(member) - 1]
        if member is None or "cell" not in scope.rsplit("/", 1)[-1]:
            raise ValueError(
                f"found the variable {name}, expected variables of recurrent cells; save the cells alone"
            )
        cells.setdefault(scope, []).append(member)
    if not cells:
        raise ValueError("found no variables, expected those of recurrent cells")
    return sorted(
        cells.items(),
        key=lambda cell: [
            int(part) if part.isdigit() else 0 for part in cell[0].replace("/", "_").split("_")
        ],
    )


def _add_tf1(
    scope: str,
    values: Mapping[str, Any],
    forget_bias: float,
    stack: list[dict[str, Any]],
    tensors: dict[str, Any],
) -> int:
    """Adds a cell, and returns the width of its inputs."""
    kind = next((kind for kind, known in _TF1.items() if known == set(values)), None)
    layer = len(stack)
    if kind is None:
        raise ValueError(
            f"found the variables {', '.join(values)} in {scope}, expected those of an LSTM, GRU or RNN cell"
        )
    if kind == "gru":
        gates, candidate = values["gates/kernel"], values["candidate/kernel"]
        hidden = candidate.shape[1]
        kernel = np.concatenate([gates, candidate], axis=1).T
        bias = np.concatenate([values["gates/bias"], values["candidate/bias"]])
        stack.append(make_layer(cell="gru", hidden=hidden, reset="before"))
    elif "rnn_cell" in scope.rsplit("/", 1)[-1]:
        kernel, bias, hidden = values["kernel"].T, values["bias"], values["bias"].size
        stack.append(make_layer(cell="rnn", hidden=hidden))
    else:
        hidden = values["bias"].size // 4
        order = (0, 2, 1, 3)  # i, j, f, o to i, f, g, o
        kernel, bias = (
            in_order(values["kernel"].T, order, hidden),
            in_order(values["bias"], order, hidden).copy(),
        )
        bias[hidden : 2 * hidden] += np.float32(forget_bias)
        projection = values.get("projection/kernel")
        stack.append(
            make_layer(
                cell="lstm",
                hidden=hidden,
                projection=None if projection is None else projection.shape[1],
            )
        )
        if projection is not None:
            tensors[f"rnn.weight_hr_l{layer}"] = projection.T
    outputs = stack[-1].get("projection") or hidden
    inputs = int(kernel.shape[1] - outputs)
    tensors[f"rnn.weight_ih_l{layer}"], tensors[f"rnn.weight_hh_l{layer}"] = (
        kernel[:, :inputs],
        kernel[:, inputs:],
    )
    tensors[f"rnn.bias_ih_l{layer}"] = bias
    return inputs


def _run_tf1(
    tf: Any, cells: Any, values: Mapping[str, Any], stack: Any, forget_bias: float, x: Any
) -> Any:
    """Runs the cells of TensorFlow with the variables of the checkpoint."""
    nn = tf.compat.v1.nn.rnn_cell

    def cell(layer: Mapping[str, Any]) -> Any:
        if layer["cell"] == "gru":
            return nn.GRUCell(layer["hidden"])
        if layer["cell"] == "rnn":
            return nn.BasicRNNCell(layer["hidden"])
        return nn.LSTMCell(
            layer["hidden"], num_proj=layer.get("projection"), forget_bias=forget_bias
        )

    with tf.Graph().as_default(), tf.compat.v1.Session() as session, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = [cell(layer) for layer in stack]
        y, _ = tf.compat.v1.nn.dynamic_rnn(
            nn.MultiRNNCell(made), tf.constant(x), dtype=tf.float32, time_major=True
        )
        for (scope, members), own in zip(cells, made):
            for variable in own.variables:
                name = variable.name.split(":")[0]
                member = next(
                    m for m in sorted(members, key=len, reverse=True) if name.endswith("/" + m)
                )
                session.run(variable.assign(values[f"{scope}/{member}"]))
        return session.run(y)
