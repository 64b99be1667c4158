"""Conversions from PyTorch."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
import unrolled.convert
from torch import nn

LAYERS = [
    nn.LSTM(3, 5),
    nn.LSTM(3, 5, num_layers=2, bidirectional=True, batch_first=True, proj_size=2),
    nn.LSTM(3, 5, bias=False),
    nn.GRU(3, 5, num_layers=2, dropout=0.5),
    nn.RNN(3, 5, nonlinearity="relu", bidirectional=True),
]


class CharModel(nn.Module):
    def __init__(self, scale=1.0):
        super().__init__()
        self.embedding = nn.Embedding(11, 4)
        self.drop = nn.Dropout(0.5)
        self.lower, self.upper = nn.GRU(4, 6, batch_first=True), nn.LSTM(6, 5, batch_first=True)
        self.head = nn.Linear(5, 7)
        self.scale = scale

    def forward(self, ids):
        y = self.upper(self.lower(self.drop(self.embedding(ids)))[0])[0]
        return self.head(y) * self.scale


@pytest.mark.parametrize("layers", LAYERS, ids=str)
def test_layers(layers, tmp_path):
    model = unrolled.convert.from_torch(layers)
    model.save(tmp_path / "model.safetensors")
    x = torch.randn(6, 2, 3)
    layers.eval()
    expected = layers(x)[0].detach().numpy()
    found = unrolled.convert.load(tmp_path / "model.safetensors")(x, layers.batch_first)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_whole_module():
    module = CharModel()
    model = unrolled.convert.from_torch(module)
    assert (model.symbols, model.output_size) == (11, 7) and module.training
    ids = np.random.default_rng(1).integers(11, size=(2, 9))
    with torch.no_grad():
        expected = module.eval()(torch.from_numpy(ids)).numpy()
    np.testing.assert_allclose(model(ids, batch_first=True), expected, atol=1e-5)


def test_what_the_model_lacks_is_refused():
    with pytest.raises(ValueError, match="a difference of .* between PyTorch"):
        unrolled.convert.from_torch(CharModel(scale=2.0))
    with pytest.raises(ValueError, match="found LSTM, Conv1d"):
        unrolled.convert.from_torch(nn.ModuleList([nn.LSTM(3, 5), nn.Conv1d(5, 5, 1)]))
    with pytest.raises(ValueError, match="found Linear"):
        unrolled.convert.from_torch(nn.Linear(3, 3))
    with pytest.raises(ValueError, match="found OrderedDict, expected a torch.nn.Module"):
        unrolled.convert.from_torch(nn.LSTM(3, 5).state_dict())


def test_the_command(tmp_path):
    torch.save(nn.LSTM(3, 5), tmp_path / "lstm.pt")
    command = [
        sys.executable,
        "-m",
        "unrolled",
        "convert",
        tmp_path / "lstm.pt",
        tmp_path / "out.safetensors",
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert unrolled.convert.load(tmp_path / "out.safetensors").output_size == 5
    (tmp_path / "lstm.pt").write_bytes(b"no pickle")
    failed = subprocess.run(command, capture_output=True, text=True)
    assert failed.returncode == 1 and failed.stderr.count("\n") == 1, failed.stderr
    assert "lstm.pt cannot be loaded as a PyTorch module" in failed.stderr
