"""Writes goldens.npz: results and gradients of `torch.nn` layers. Needs torch.

python bindings/python/tests/make_goldens.py
"""

import json
from pathlib import Path

import numpy as np
import torch
from golden_cases import CASES, LENGTHS, B, E, H, T
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence


def draw(*shape):
    return torch.randn(*shape, requires_grad=True)


def results(cell, options, lengths):
    module = getattr(nn, cell)(E, H, **options)
    parts = module.num_layers * (2 if module.bidirectional else 1)
    x = draw(*((B, T) if module.batch_first else (T, B)), E)
    widths = [module.proj_size or H, H] if cell == "LSTM" else [H]
    state = [draw(parts, B, width) for width in widths]
    given = (
        x
        if lengths is None
        else pack_padded_sequence(x, lengths, module.batch_first, enforce_sorted=False)
    )
    y, last = module(given, tuple(state) if cell == "LSTM" else state[0])
    if lengths is not None:
        y, _ = pad_packed_sequence(y, module.batch_first)
    last = last if cell == "LSTM" else (last,)
    cotangents = [torch.randn_like(tensor) for tensor in (y, *last)]
    torch.autograd.backward([y, *last], cotangents)
    arrays = {"x": x, "y": y, "dx": x.grad, "dy": cotangents[0]}
    for name, tensor, end, cotangent in zip("hc", state, last, cotangents[1:]):
        arrays |= {f"{name}0": tensor, f"d{name}0": tensor.grad, name: end, f"d{name}": cotangent}
    for name, parameter in module.named_parameters():
        arrays |= {f"parameter.{name}": parameter, f"gradient.{name}": parameter.grad}
    return {name: tensor.detach().numpy() for name, tensor in arrays.items()}


def main():
    torch.manual_seed(1)
    places, values, start = {}, [], 0
    for case, (cell, options) in CASES.items():
        for end, lengths in (("", None), ("-lengths", LENGTHS)):
            for name, array in results(cell, options, lengths).items():
                places[f"{case}{end}/{name}"] = [start, list(array.shape)]
                values.append(array.ravel())
                start += array.size
    # One array, because each array of a file takes hundreds of bytes.
    index = np.frombuffer(json.dumps(places).encode(), np.uint8)
    np.savez_compressed(
        Path(__file__).with_name("goldens.npz"), index=index, values=np.concatenate(values)
    )


if __name__ == "__main__":
    main()
