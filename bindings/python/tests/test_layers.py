"""Layers on NumPy arrays."""

from __future__ import annotations

import copy
import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import unrolled
from golden_cases import CASES, LENGTHS, B, E, H, T

GOLDENS = dict(np.load(Path(__file__).with_name("goldens.npz")))
LAYERS = (unrolled.LSTM, unrolled.GRU, unrolled.RNN)


def golden(case):
    arrays = {}
    for name, (start, shape) in json.loads(GOLDENS["index"].tobytes()).items():
        if name.split("/")[0] == case:
            arrays[name.split("/")[1]] = GOLDENS["values"][
                start : start + int(np.prod(shape))
            ].reshape(shape)
    return arrays


def layers_of(case, arrays):
    cell, options = CASES[case]
    layers = getattr(unrolled, cell)(E, H, **options, threads=1)
    parameters = {
        name[10:]: values for name, values in arrays.items() if name.startswith("parameter.")
    }
    layers.load_state_dict(parameters)
    return layers


def close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def random(*shape, seed=1):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("lengths", (None, LENGTHS))
def test_results_and_gradients_are_those_of_torch(case, lengths):
    arrays = golden(case + ("" if lengths is None else "-lengths"))
    layers = layers_of(case, arrays)
    is_lstm = isinstance(layers, unrolled.LSTM)
    state = (arrays["h0"], arrays["c0"]) if is_lstm else arrays["h0"]
    y, last = layers(arrays["x"], state, lengths)
    close(y, arrays["y"])
    dlast = (arrays["dh"], arrays["dc"]) if is_lstm else arrays["dh"]
    dx, dstate, gradients = layers.backward(arrays["dy"], dlast)
    close(dx, arrays["dx"])
    for found, expected in zip((last, dstate), (("h", "c"), ("dh0", "dc0"))):
        for array, name in zip(found if is_lstm else (found,), expected):
            close(array, arrays[name])
    assert list(gradients) == list(layers.state_dict())
    for name, gradient in gradients.items():
        close(gradient, arrays[f"gradient.{name}"])
    inferred, _ = layers.eval()(arrays["x"], state, lengths)
    assert np.array_equal(inferred, y)


@pytest.mark.parametrize("cls", LAYERS)
def test_one_row_without_a_batch(cls):
    layers = cls(E, H, num_layers=2, threads=1)
    x = random(T, 1, E)
    y, last = layers(x)
    dx, *_ = layers.backward(y)
    y1, last1 = layers(x[:, 0])
    dx1, *_ = layers.backward(y1)
    assert y1.shape == (T, H) and np.array_equal(y1, y[:, 0]) and np.array_equal(dx1, dx[:, 0])
    for part, one in zip(*((last, last1) if cls is unrolled.LSTM else ((last,), (last1,)))):
        assert one.shape == (2, H) and np.array_equal(one, part[:, 0])


@pytest.mark.parametrize("cls", LAYERS)
@pytest.mark.parametrize(
    "options", ({}, {"bidirectional": True}, {"bias": False}, {"dropout": 0.5}), ids=str
)
def test_pickle_and_deepcopy_keep_everything(cls, options):
    layers = cls(E, H, num_layers=2, threads=1, **options).eval()
    x = random(T, B, E)
    for other in (pickle.loads(pickle.dumps(layers)), copy.deepcopy(layers)):
        assert type(other) is cls and repr(other) == repr(layers) and not other.training
        assert np.array_equal(other(x)[0], layers(x)[0])
        other.load_state_dict({name: 0 * values for name, values in other.state_dict().items()})
        assert not np.array_equal(other(x)[0], layers(x)[0])


@pytest.mark.parametrize("cls", LAYERS)
def test_a_stream_gives_the_bits_of_a_window(cls):
    layers = cls(E, H, num_layers=2, threads=1).eval()
    x = random(T, B, E)
    y, last = layers(x)
    stream = layers.stream(B)
    for step in range(T):
        assert np.array_equal(stream.step(x[step]), y[step])
    for part, expected in zip(
        *((stream.state, last) if cls is unrolled.LSTM else ((stream.state,), (last,)))
    ):
        assert np.array_equal(part, expected)
    stream.reset()
    assert np.array_equal(stream.step(x[0]), y[0])
    stream.state = last
    stream.reset(1)
    state = stream.state[0] if cls is unrolled.LSTM else stream.state
    assert not state[:, 1].any() and state[:, [0, 2]].all()
    one = layers.stream()
    assert np.array_equal(one.step(x[0, 0]), y[0, 0]) and one.step(x[1, :1]).shape == (1, H)
    assert one.batch == 1


def test_a_stream_keeps_the_parameters_that_it_was_made_with():
    layers = unrolled.LSTM(E, H, threads=1)
    x = random(E)
    stream, other = layers.stream(), layers.stream()
    y = stream.step(x)
    layers.load_state_dict({name: 0 * values for name, values in layers.state_dict().items()})
    assert np.array_equal(other.step(x), y) and not layers.stream().step(x).any()


def test_a_gru_with_the_reset_gate_before_the_product_is_another_gru():
    x = random(T, B, E)
    before, after = (unrolled.GRU(E, H, reset_after=reset, threads=1) for reset in (False, True))
    before.load_state_dict(after.state_dict())
    assert not np.allclose(before(x)[0], after(x)[0])


def test_the_seed_draws_the_parameters_in_the_range_of_torch():
    one, same, other = (unrolled.LSTM(E, 100, seed=seed).state_dict() for seed in (1, 1, 2))
    for name, values in one.items():
        assert np.array_equal(values, same[name]) and not np.array_equal(values, other[name])
        assert 0.08 < abs(values).max() <= 0.1 and abs(values.mean()) < 0.02


def test_results_do_not_depend_on_the_number_of_threads():
    results = []
    for threads in (1, 2, 3):
        layers = unrolled.LSTM(64, 96, num_layers=2, threads=threads)
        y, _ = layers(random(20, 30, 64))
        dx, _, gradients = layers.backward(y)
        results.append([y, dx, *gradients.values()])
    for other in results[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(results[0], other))


def test_dropout_is_drawn_in_training_only():
    layers = unrolled.LSTM(E, 32, num_layers=2, dropout=0.5, threads=1)
    x = random(T, B, E)
    first, second = layers(x)[0], layers(x)[0]
    assert not np.array_equal(first, second)
    again = unrolled.LSTM(E, 32, num_layers=2, dropout=0.5, threads=1)
    assert np.array_equal(again(x)[0], first) and np.array_equal(again(x)[0], second)
    layers.eval()
    assert np.array_equal(layers(x)[0], layers(x)[0])


def test_the_optimizer_is_the_update_of_the_gradients():
    for bias in (True, False):
        layers = unrolled.GRU(E, H, bias=bias, threads=1)
        before = layers.state_dict()
        optimizer = unrolled.Optimizer(layers, 0.5, optimizer="sgd", clip=0)
        y, _ = layers(random(T, B, E))
        *_, gradients = layers.backward(y)
        norm = optimizer.step()
        assert norm == pytest.approx(
            np.sqrt(sum((g.astype(float) ** 2).sum() for g in gradients.values())), rel=1e-6
        )
        for name, values in layers.state_dict().items():
            close(values, before[name] - 0.5 * gradients[name])
        if not bias:
            close(layers(random(T, B, E) * 0)[0], 0)  # biases stay zero


def test_training_lowers_the_loss():
    layers = unrolled.LSTM(1, 16, threads=1)
    optimizer = unrolled.Optimizer(layers, 3e-2)
    x = np.sin(np.arange(40, dtype=np.float32) / 3)[:, None, None]
    target = np.repeat(x[1:], 16, 2)
    losses = []
    for _ in range(100):
        y, _ = layers(x[:-1])
        losses.append(float(np.square(y - target).mean()))
        layers.backward(2 * (y - target) / y.size)
        optimizer.step()
    assert losses[-1] < 0.1 * losses[0]


@pytest.mark.parametrize("layers", LAYERS)
def test_a_precision_has_results_close_to_those_of_f32(layers):
    x = random(T, B, E)
    plain, rounded = (layers(E, H, threads=1, precision=p) for p in ("f32", "bf16"))
    assert (plain.precision, rounded.precision) == ("f32", "bf16")
    rounded.load_state_dict(plain.state_dict())
    expected, found = (rnn(x)[0] for rnn in (plain, rounded))
    np.testing.assert_allclose(found, expected, rtol=0.05, atol=0.05)
    gradients = [rnn.backward(np.ones_like(expected))[0] for rnn in (plain, rounded)]
    np.testing.assert_allclose(gradients[1], gradients[0], rtol=0.1, atol=0.1)
    # In bf16 some bits differ.
    assert not np.array_equal(found, expected) and not np.array_equal(*gradients)
    assert found.dtype == np.float32 and rounded.state_dict().keys() == plain.state_dict().keys()
    stream = rounded.eval().stream(B)
    for step, y in zip(x, rounded(x)[0]):
        assert np.array_equal(stream.step(step), y)


def test_a_copy_has_the_precision():
    rnn = unrolled.GRU(E, H, threads=1, precision="bf16")
    for copied in (copy.deepcopy(rnn), pickle.loads(pickle.dumps(rnn))):
        assert copied.precision == "bf16" and "precision='bf16'" in repr(copied)
        assert np.array_equal(copied(random(T, B, E))[0], rnn(random(T, B, E))[0])
