"""Writes the goldens of PyTorch's bidirectional and projected layers: see README.md beside this file."""

import numpy as np
import torch
from torch import nn

from golden import random, report, save

torch.set_num_threads(1)
SOURCE = {"framework": "torch", "version": torch.__version__, "dtype": "float64, stored as float32"}
T, B, E, L = 6, 3, 5, 2
KINDS = {"lstm": (nn.LSTM, 7), "gru": (nn.GRU, 9), "rnn": (nn.RNN, 9)}


def draw(case, name, shape):
    bound = {"inputs": 1.0, "h0": 0.75, "c0": 0.75, "cotangent": 1.0}.get(name.split(".")[0], 0.45)
    return random(case, name).uniform(-bound, bound, shape).astype(np.float32)


def run(case, cell, options, dtype):
    """What was given and what was computed. The loss is the sum of outputs and final states times cotangents."""
    kind, hidden = KINDS[cell]
    layer = kind(E, hidden, L, **options)
    weights = {name: draw(case, name, parameter.shape) for name, parameter in layer.named_parameters()}
    layer.load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()})
    layer.to(dtype)
    rows = L * (2 if layer.bidirectional else 1)
    sizes = {"h0": layer.proj_size or hidden} | ({"c0": hidden} if cell == "lstm" else {})
    given = {"inputs": draw(case, "inputs", (T, B, E))}
    given |= {name: draw(case, name, (rows, B, size)) for name, size in sizes.items()}
    sources = {name: torch.from_numpy(value).to(dtype).requires_grad_() for name, value in given.items()}
    start = tuple(sources[name] for name in sizes)
    outputs, end = layer(sources["inputs"], start if cell == "lstm" else start[0])
    ends = {"outputs": outputs} | dict(zip(("h_n", "c_n"), end if cell == "lstm" else [end]))
    cotangents = {f"cotangent.{name}": draw(case, f"cotangent.{name}", value.shape) for name, value in ends.items()}
    loss = sum((value * torch.from_numpy(by)).sum() for value, by in zip(ends.values(), cotangents.values()))
    loss.backward()
    computed = ends | {"loss": loss}
    computed |= {f"grad.{name}": value.grad for name, value in (sources | dict(layer.named_parameters())).items()}
    return given | cotangents | weights, {name: value.detach().numpy() for name, value in computed.items()}


def write(case, cell, **options):
    given, reference = run(case, cell, options, torch.float64)
    report(case, reference, run(case, cell, options, torch.float32)[1])
    config = {"cell": cell, "hidden": KINDS[cell][1], "layers": L} | options
    save(case, given | reference, config, **SOURCE, loss="sum of outputs and final states times cotangents")


for cell in KINDS:
    write(f"torch-bidirectional-{cell}", cell, bidirectional=True)
write("torch-projected-lstm", "lstm", proj_size=4)
