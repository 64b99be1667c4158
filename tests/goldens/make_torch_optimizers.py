"""Writes the goldens of PyTorch's AdamW: ten updates of a vector, with gradients given. See README.md."""

import json

import numpy as np
import torch

from golden import draw_gradients, report, save

torch.set_num_threads(1)
SOURCE = {"framework": "torch", "version": torch.__version__, "dtype": "float64, stored as float32"}

# (rate, betas, epsilon, weight decay): PyTorch's defaults, and a decay and an epsilon that show.
OPTIMIZERS = {
    "adamw": (0.001, (0.9, 0.999), 1e-8, 0.01),
    "adamw-decay": (0.01, (0.9, 0.95), 1e-3, 0.5),
}


def updates(settings, start, gradients, dtype):
    """The vector after each update [UPDATES, SIZE]."""
    rate, betas, epsilon, decay = settings
    parameter = torch.nn.Parameter(torch.tensor(start, dtype=dtype))
    optimizer = torch.optim.AdamW([parameter], lr=rate, betas=betas, eps=epsilon, weight_decay=decay)
    values = []
    for gradient in torch.from_numpy(gradients).to(dtype):
        parameter.grad = gradient
        optimizer.step()
        values.append(parameter.detach().clone().numpy())
    return np.stack(values)


def write_optimizer(label, settings):
    name, (start, gradients) = f"torch-optimizer-{label}", draw_gradients()
    reference = updates(settings, start, gradients, torch.float64)
    report(name, {"values": reference}, {"values": updates(settings, start, gradients, torch.float32)})
    rate, (beta1, beta2), epsilon, decay = settings
    config = {"optimizer": "adamw", "learning-rate": rate, "beta1": beta1, "beta2": beta2, "epsilon": epsilon}
    tensors = {"start": start, "gradients": gradients, "values": reference}
    slots = json.dumps({"m": 0.0, "v": 0.0})
    save(name, tensors, config | {"weight-decay": decay}, **SOURCE, initial_slots=slots)


for label, settings in OPTIMIZERS.items():
    write_optimizer(label, settings)
