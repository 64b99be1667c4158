"""Modules of PyTorch."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from ._model import Model, Path, assemble, make_layer, random_input, verified


def from_torch(module: Any) -> Model:
    """Converts a PyTorch module.

    Args:
        module: a `torch.nn.LSTM`, `GRU` or `RNN`, or a module that has at most one `Embedding`,
            then such layers, then at most one `Linear`, called in the order of their registration.
            It maps [T, B, E], or [B, T, E] if its layers are `batch_first`, to outputs of all
            steps, alone or as the first value of a tuple.

    Raises:
        ValueError: for other members, and if the results differ.
    """
    import torch
    from torch import nn

    if not isinstance(module, nn.Module):
        raise ValueError(
            f"found {type(module).__name__}, expected a torch.nn.Module; "
            "for a state_dict, save it as safetensors and use unrolled.convert.load"
        )
    parts = [part for part in module.modules() if not list(part.children()) and _is_part(part, nn)]
    layers = [part for part in parts if isinstance(part, nn.RNNBase)]
    embeddings = [part for part in parts if isinstance(part, nn.Embedding)]
    heads = [part for part in parts if isinstance(part, nn.Linear)]
    if parts != embeddings[:1] + layers + heads[:1] or not layers:
        raise ValueError(
            f"found {_kinds(parts)}, expected at most one Embedding, then LSTM, GRU or RNN, then at most one Linear"
        )
    stack: list[dict[str, Any]] = []
    tensors: dict[str, Any] = {}
    for part in layers:
        _add_torch(part, stack, tensors)
    model = assemble(
        stack, tensors, layers[0].input_size, _torch_matrix(embeddings), _torch_head(heads)
    )

    batch_first = layers[0].batch_first
    was_training = module.training
    module.eval()
    try:
        with torch.no_grad():
            x = random_input(model, batch_first)
            given = torch.from_numpy(x.astype(np.int64) if model.symbols else x)
            y = module(given.to(next(module.parameters()).device))
    finally:
        module.train(was_training)
    y = y[0] if isinstance(y, tuple) else y
    if not isinstance(y, torch.Tensor):
        raise ValueError(f"found an output of type {type(y).__name__}, expected a tensor")
    return verified(model, x, batch_first, y.cpu().numpy(), "PyTorch")


def _is_part(part: Any, nn: Any) -> bool:
    """Returns whether a member computes something that the model must contain."""
    nothing = (nn.Dropout, nn.Dropout1d, nn.Identity)
    return not isinstance(part, nothing)


def _kinds(parts: list[Any]) -> str:
    return ", ".join(type(part).__name__ for part in parts) or "nothing"


def _torch_matrix(embeddings: list[Any]) -> Any:
    return _torch_values(embeddings[0].weight) if embeddings else None


def _torch_head(heads: list[Any]) -> tuple[Any, Any] | None:
    if not heads:
        return None
    weight, bias = heads[0].weight, heads[0].bias
    return _torch_values(weight), np.zeros(len(weight)) if bias is None else _torch_values(bias)


def _torch_values(tensor: Any) -> Any:
    return tensor.detach().cpu().float().numpy()


def _add_torch(part: Any, stack: list[dict[str, Any]], tensors: dict[str, Any]) -> None:
    first = len(stack)
    for layer in range(part.num_layers):
        stack.append(
            make_layer(
                cell=part.mode.split("_")[0].lower(),
                hidden=part.hidden_size,
                bidirectional=bool(part.bidirectional),
                activation="relu" if part.mode == "RNN_RELU" else "tanh",
                projection=part.proj_size or None,
            )
        )
        for end in ("", "_reverse") if part.bidirectional else ("",):
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr"):
                if hasattr(part, f"{name}_l{layer}{end}"):
                    tensor = getattr(part, f"{name}_l{layer}{end}")
                    tensors[f"rnn.{name}_l{first + layer}{end}"] = _torch_values(tensor)


def from_torch_file(path: Path) -> Model:
    import pickle

    import torch

    try:
        loaded = torch.load(os.fspath(path), weights_only=False, map_location="cpu")
    except (AttributeError, EOFError, ImportError, RuntimeError, pickle.UnpicklingError) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(
            f"{os.fspath(path)} cannot be loaded as a PyTorch module: {reason}"
        ) from error
    if not isinstance(loaded, torch.nn.Module):
        raise ValueError(
            f"{os.fspath(path)} has no module, expected one; save a state_dict as safetensors instead"
        )
    return from_torch(loaded)
