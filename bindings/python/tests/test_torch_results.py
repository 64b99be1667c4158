"""Results and gradients of the PyTorch modules against those of `torch.nn`."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pack_sequence
from torch_pairs import CLASSES, OPTIONS, B, E, H, T, compare, flat, pair, state_of


@pytest.mark.parametrize("cell, more", CLASSES)
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_results_and_gradients_are_those_of_torch(cell, more, options):
    stock, ours = pair(cell, E, H, **more, **options)
    x = torch.randn(*((B, T) if options["batch_first"] else (T, B)), E)
    state = state_of(stock, B)
    compare(stock, ours, lambda module, x: module(x), [x], 2e-5)
    if cell == "LSTM":
        compare(stock, ours, lambda module, x, h, c: module(x, (h, c)), [x, *state], 2e-5)
    else:
        compare(stock, ours, lambda module, x, h: module(x, h), [x, state], 2e-5)


@pytest.mark.parametrize("bidirectional", (False, True))
@pytest.mark.parametrize("num_layers", (1, 2))
@pytest.mark.parametrize("bias", (False, True))
def test_projections(bidirectional, num_layers, bias):
    options = {
        "proj_size": 3,
        "bidirectional": bidirectional,
        "num_layers": num_layers,
        "bias": bias,
    }
    stock, ours = pair("LSTM", E, H, **options)
    x, (h, c) = torch.randn(T, B, E), state_of(stock, B)
    compare(stock, ours, lambda module, x, h, c: module(x, (h, c)), [x, h, c], 2e-5)


@pytest.mark.parametrize("cell, more", CLASSES)
@pytest.mark.parametrize("options", OPTIONS[::3], ids=str)
def test_unbatched_inputs(cell, more, options):
    stock, ours = pair(cell, E, H, **more, **options)
    state = state_of(stock, B, batched=False)
    x = torch.randn(T, E)
    compare(stock, ours, lambda module, x: module(x), [x], 2e-5)
    if cell == "LSTM":
        compare(stock, ours, lambda module, x, h, c: module(x, (h, c)), [x, *state], 2e-5)
    else:
        compare(stock, ours, lambda module, x, h: module(x, h), [x, state], 2e-5)


@pytest.mark.parametrize("cell, more", CLASSES)
@pytest.mark.parametrize("bidirectional", (False, True))
@pytest.mark.parametrize("is_sorted", (False, True))
@pytest.mark.parametrize("with_state", (False, True))
def test_packed_sequences(cell, more, bidirectional, is_sorted, with_state):
    stock, ours = pair(cell, E, H, num_layers=2, bidirectional=bidirectional, **more)
    lengths = [7, 4, 2, 1] if is_sorted else [2, 7, 1, 4]
    x, state = torch.randn(T, B, E), flat(state_of(stock, B))

    def run(module, x, *state):
        packed = pack_padded_sequence(x, lengths, enforce_sorted=is_sorted)
        hx = None if not state else state if cell == "LSTM" else state[0]
        y, h_n = module(packed, hx)
        assert isinstance(y, PackedSequence)
        return y, h_n, nn.utils.rnn.pad_packed_sequence(y)[0]

    compare(stock, ours, run, [x, *state] if with_state else [x], 2e-5)


def test_packed_sequences_of_very_different_lengths():
    stock, ours = pair("LSTM", E, H, num_layers=2, bidirectional=True)
    rows = [torch.randn(length, E) for length in (300, 40, 3, 1, 1)]
    compare(stock, ours, lambda module, *rows: module(pack_sequence(list(rows))), rows, 1e-4)
