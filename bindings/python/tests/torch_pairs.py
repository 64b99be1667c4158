"""Pairs of modules of torch.nn and of unrolled, and their comparison."""

from __future__ import annotations

import copy
import itertools

import torch
import unrolled.torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence

CLASSES = [
    ("LSTM", {}),
    ("GRU", {}),
    ("RNN", {"nonlinearity": "tanh"}),
    ("RNN", {"nonlinearity": "relu"}),
]
T, B, E, H = 7, 4, 5, 6


def pair(cell, *args, **options):
    """A module of torch.nn and one of unrolled with the same parameters."""
    torch.manual_seed(1)
    stock = getattr(nn, cell)(*args, **options)
    torch.manual_seed(1)
    ours = getattr(unrolled.torch, cell)(*args, **options)
    return stock, ours


def state_of(module, rows, batched=True):
    parts = module.num_layers * (2 if module.bidirectional else 1)
    shape = [parts, rows] if batched else [parts]
    h = torch.randn(*shape, module.proj_size or module.hidden_size)
    return (h, torch.randn(*shape, module.hidden_size)) if module.mode == "LSTM" else h


def flat(values):
    """All tensors of nested outputs."""
    if isinstance(values, PackedSequence):
        return [values.data]
    if isinstance(values, torch.Tensor):
        return [values]
    return [tensor for value in values if value is not None for tensor in flat(value)]


def leaves(values):
    return copy.deepcopy([tensor.detach().clone().requires_grad_() for tensor in flat(values)])


def compare(stock, ours, run, inputs, tolerance=1e-5):
    """Compares outputs and all gradients. `run(module, *inputs)` returns the outputs."""
    results = []
    for module in (stock, ours):
        given = leaves(inputs)
        outputs = flat(run(module, *given))
        generator = torch.Generator().manual_seed(3)
        loss = sum(
            (output * torch.randn(output.shape, generator=generator)).sum() for output in outputs
        )
        module.zero_grad()
        loss.backward()
        results.append((outputs, [g.grad for g in given], [p.grad for p in module.parameters()]))
    for expected, found in zip(*results):
        assert len(expected) == len(found)
        for e, f in zip(expected, found):
            assert (e is None) == (f is None)
            if e is not None:
                torch.testing.assert_close(f, e, rtol=tolerance, atol=tolerance)


OPTIONS = [
    dict(zip(("num_layers", "bias", "batch_first", "bidirectional"), values))
    for values in itertools.product((1, 2), (True, False), (False, True), (False, True))
]
