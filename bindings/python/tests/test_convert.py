"""Conversions that need no other framework."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import unrolled
import unrolled.convert

FIXTURES = Path(__file__).parents[3] / "tests" / "fixtures" / "convert"
C_TESTS = Path(__file__).parents[2] / "c" / "tests"


def test_a_file_becomes_a_model_that_is_saved_and_loaded(tmp_path):
    model = unrolled.convert.load(FIXTURES / "guitarml-lstm.json")
    x = np.random.default_rng(1).standard_normal((9, 2, model.input_size)).astype(np.float32)
    y = model(x)
    assert (
        y.shape == (9, 2, model.output_size)
        and model.symbols == 0
        and "Model(input_size=1" in repr(model)
    )
    assert np.array_equal(model(x.swapaxes(0, 1), batch_first=True), y.swapaxes(0, 1))
    model.save(tmp_path / "model.safetensors")
    again = unrolled.convert.load(tmp_path / "model.safetensors")
    assert np.array_equal(again(x), y) and list(again.state_dict()) == list(model.state_dict())


def test_a_quantized_file_runs_in_int8(tmp_path):
    model = unrolled.convert.load(C_TESTS / "quantized.safetensors")
    ids = np.array([[0], [3], [1], [4]])
    # The GRU and the head, with the weights that the integers stand for, in f32.
    expected = in_layers(unrolled.GRU(3, 4), model, ids)
    assert np.abs(model(ids) - expected).max() > 1e-5
    np.testing.assert_allclose(model(ids), expected, atol=0.05)
    model.save(tmp_path / "again.safetensors")
    assert np.array_equal(unrolled.convert.load(tmp_path / "again.safetensors")(ids), model(ids))


def test_the_checkpoint_of_a_run_in_bf16_runs_in_f32(tmp_path):
    text, run = tmp_path / "text.txt", tmp_path / "run"
    text.write_text("the cat sat on the mat. " * 200)
    unrolled.train(text, run, hidden=24, embedding=8, max_steps=20, precision="bf16")
    assert unrolled.LanguageModel(run).precision == "bf16"
    model = unrolled.convert.load(run / "checkpoint.safetensors")
    ids = np.arange(9)[:, None]
    plain, rounded = (
        in_layers(unrolled.LSTM(8, 24, precision=precision), model, ids)
        for precision in ("f32", "bf16")
    )
    np.testing.assert_allclose(model(ids), plain, atol=1e-5)
    assert np.abs(model(ids) - rounded).max() > 1e-5


def in_layers(layers, model, ids):
    """Returns the outputs of a model of symbols, computed by `layers` and NumPy."""
    state = model.state_dict()
    names = layers.state_dict()
    layers.load_state_dict({name: state[f"rnn.{name}"] for name in names})
    y, _ = layers.eval()(state["embedding.weight"][ids])
    return y @ state["head.weight"].T + state["head.bias"]


@pytest.mark.filterwarnings("ignore:onnxruntime is not installed")
def test_an_onnx_file_of_symbols():
    model = unrolled.convert.from_onnx(FIXTURES / "torch-dynamo-embedding-gru.onnx")
    y = model(np.arange(4)[:, None] % model.symbols)
    assert y.shape == (4, 1, model.output_size) and np.isfinite(y).all()
    for bad in (np.array([[model.symbols]]), np.array([[-1]]), np.array([[0.5]])):
        with pytest.raises(ValueError):
            model(bad)


def test_bad_files(tmp_path):
    (tmp_path / "bad.json").write_text("{}")
    with pytest.raises(unrolled.Error, match="bad.json"):
        unrolled.convert.load(tmp_path / "bad.json")
    with pytest.raises(FileNotFoundError, match="nothing"):
        unrolled.convert.load(tmp_path / "nothing.onnx")


def test_bad_inputs_of_models():
    model = unrolled.convert.load(FIXTURES / "torch-dynamo-embedding-gru.onnx")
    for x in ([[model.symbols]], [[-1]], [[2**32]], [[0.5]]):
        with pytest.raises(ValueError, match=f"whole numbers from 0 to {model.symbols - 1}"):
            model(x)
    with pytest.raises(ValueError, match="symbols"):
        model([[[0]]])
    model = unrolled.convert.load(FIXTURES / "guitarml-gru.json")
    for shape in [(2, 3), (2, 1, 3), (2, 1, 2, 1)]:
        with pytest.raises(ValueError, match="E = 2"):
            model(np.zeros(shape, np.float32))


def test_the_command(tmp_path):
    command = [sys.executable, "-m", "unrolled", "convert"]
    out = tmp_path / "out.safetensors"
    done = subprocess.run(
        [*command, FIXTURES / "guitarml-gru.json", out], capture_output=True, text=True
    )
    assert done.returncode == 0 and "Model(input_size=2" in done.stdout and out.exists(), (
        done.stderr
    )
    failed = subprocess.run([*command, tmp_path / "nothing", out], capture_output=True, text=True)
    assert (
        failed.returncode == 1
        and failed.stderr.startswith("error: ")
        and failed.stderr.count("\n") == 1
    )
