"""Bad input: every case is an error with a message, or has a defined result."""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading

import numpy as np
import pytest
import unrolled

T, B, E, H = 5, 3, 2, 4


def layers(**options):
    return unrolled.LSTM(E, H, threads=1, **options)


def inputs(*shape):
    return np.random.default_rng(1).standard_normal(shape or (T, B, E)).astype(np.float32)


def error(kind, call, *parts):
    with pytest.raises(kind) as raised:
        call()
    message = str(raised.value)
    assert "\n" not in message and all(part in message for part in parts), message
    return message


def test_the_shape_of_x():
    for shape in [(T, B, E + 1), (T,), (), (1, T, B, E), (T, E + 1)]:
        error(
            ValueError,
            lambda: layers()(inputs(*shape) if shape else 1.0),
            "found x of shape",
            "[T, B, E]",
            "E = 2",
        )
    error(ValueError, lambda: layers(batch_first=True)(inputs(T, B, 9)), "[B, T, E]")


def test_empty_arrays():
    for shape in [(0, B, E), (T, 0, E), (0, E)]:
        error(
            ValueError,
            lambda: layers()(np.zeros(shape, np.float32)),
            "at least one step and one row",
        )


def test_dtypes_that_are_numbers_are_converted():
    rnn, x = layers().eval(), np.round(inputs() * 3)
    y, _ = rnn(x)
    for dtype in ("float64", "float16", "int8", "int64", "uint8", ">f4"):
        assert np.array_equal(rnn(x.clip(0).astype(dtype))[0], rnn(x.clip(0))[0])
    assert np.array_equal(rnn(x.tolist())[0], y)
    assert np.array_equal(rnn(x > 0)[0], rnn((x > 0).astype(np.float32))[0])


@pytest.mark.parametrize("dtype", ("complex64", "U3", "O", "M8[s]"))
def test_other_dtypes(dtype):
    error(
        ValueError, lambda: layers()(np.zeros((T, B, E), dtype)), "x of dtype", "expected float32"
    )


def test_arrays_in_other_orders_are_converted():
    rnn, x = layers().eval(), inputs()
    y, _ = rnn(x)
    wide = np.zeros((T, B, 2 * E), np.float32)
    wide[..., ::2] = x
    unaligned = np.frombuffer(b"\0" + x.tobytes(), np.uint8)[1:].view(np.float32).reshape(x.shape)
    read_only = x.copy()
    read_only.flags.writeable = False
    for other in (
        np.asfortranarray(x),
        wide[..., ::2],
        x[::-1].copy()[::-1],
        unaligned,
        read_only,
        memoryview(x),
    ):
        assert np.array_equal(rnn(other)[0], y)


class OnlyDlpack:
    """Memory that is offered through DLPack alone."""

    def __init__(self, array):
        self.array = array

    def __dlpack__(self, **options):
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


def test_memory_that_others_offer():
    rnn, x = layers().eval(), inputs()
    y, _ = rnn(x)
    assert np.array_equal(rnn(OnlyDlpack(x))[0], y) and np.array_equal(
        rnn(OnlyDlpack(x.astype(float)))[0], y
    )


def test_lengths():
    rnn, x = layers(), inputs()
    error(ValueError, lambda: rnn(x, lengths=[T + 1, 1, 1]), "the length 6 of row 0", "5 steps")
    error(ValueError, lambda: rnn(x, lengths=[-1, 1, 1]), "the length -1", "at least 0")
    error(ValueError, lambda: rnn(x, lengths=[1, 1]), "2 lengths", "3 rows")
    error(ValueError, lambda: rnn(x, lengths=[1.5, 1, 1]), "whole numbers")
    error(ValueError, lambda: rnn(x, lengths=3), "whole numbers")
    error(ValueError, lambda: rnn(inputs(T, E), lengths=[3]), "three dimensions")
    assert np.array_equal(rnn(x, lengths=np.array([2, 3, 1]))[0], rnn(x, lengths=(2, 3, 1))[0])


def test_a_row_of_length_zero_has_outputs_zero_and_keeps_its_state():
    for bidirectional in (False, True):
        rnn, x = layers(bidirectional=bidirectional), inputs()
        parts = 2 if bidirectional else 1
        h0, c0 = inputs(parts, B, H), inputs(parts, B, H)
        for module in (rnn, rnn.eval()):
            y, (h, c) = module(x, (h0, c0), lengths=[3, 0, 5])
            assert not y[:, 1].any() and not y[3:, 0].any() and y[:, 2].any()
            assert np.array_equal(h[:, 1], h0[:, 1]) and np.array_equal(c[:, 1], c0[:, 1])


def test_states_of_other_shapes():
    rnn, x = layers(), inputs()
    h, c = np.zeros((1, B, H)), np.zeros((1, B, H + 1))
    error(ValueError, lambda: rnn(x, (h, c)), "c of shape [1, 3, 5]", "[1, 3, 4]")
    error(ValueError, lambda: rnn(x, (h[:, 0], h[:, 0])), "h of shape [1, 4]", "[1, 3, 4]")
    error(ValueError, lambda: rnn(x, h), "expected a pair (h, c)")
    error(ValueError, lambda: rnn(inputs(T, E), (h, h)), "h of shape")
    error(
        ValueError,
        lambda: setattr(rnn.stream(2), "state", (h, h)),
        "h of shape [1, 3, 4]",
        "[1, 2, 4]",
    )
    error(ValueError, lambda: unrolled.GRU(E, H)(x, (h, h)), "h of")


def test_nan_is_passed_on_in_its_row_only():
    rnn, x = layers(), inputs()
    x[2, 1, 0] = np.nan
    y, _ = rnn(x)
    expected = np.zeros((T, B), bool)
    expected[2:, 1] = True
    assert np.array_equal(np.isnan(y).any(-1), expected)


def test_parameters():
    rnn = layers()
    good = rnn.state_dict()
    x = inputs()
    y, _ = rnn.eval()(x)
    bad = {**good, "weight_hh_l0": good["weight_hh_l0"] * np.nan}
    error(ValueError, lambda: rnn.load_state_dict(bad), "weight_hh_l0", "not finite")
    error(
        ValueError,
        lambda: rnn.load_state_dict({**good, "weight_hh_l0": np.zeros((3, 3))}),
        "weight_hh_l0 of shape [3, 3]",
        "[16, 4]",
    )
    error(ValueError, lambda: rnn.load_state_dict({**good, "other": x}), "other", "strict=False")
    missing = {name: values for name, values in good.items() if name != "bias_ih_l0"}
    error(ValueError, lambda: rnn.load_state_dict(missing), "no bias_ih_l0", "strict=False")
    assert np.array_equal(rnn(x)[0], y)
    rnn.load_state_dict({"bias_ih_l0": good["bias_ih_l0"] + 1, "other": x}, strict=False)
    assert not np.array_equal(rnn(x)[0], y)


def test_backward_needs_its_own_call_in_training_mode():
    rnn, x = layers(), inputs()
    y = np.ones((T, B, H), np.float32)
    for _ in range(2):
        error(ValueError, lambda: rnn.backward(y), "no call", "training mode")
        rnn(x)
        error(ValueError, lambda: rnn.backward(y[1:]), "dy of shape [4, 3, 4]", "[5, 3, 4]")
        error(ValueError, lambda: rnn.backward(y, (y, y)), "dh of shape [5, 3, 4]", "[1, 3, 4]")
        rnn.backward(y)  # errors change nothing
    rnn.eval()(x)
    error(ValueError, lambda: rnn.backward(y), "no call")
    rnn.train()(x)
    rnn.load_state_dict(rnn.state_dict())
    error(ValueError, lambda: rnn.backward(y), "no call")
    error(ValueError, unrolled.Optimizer(layers()).step, "no gradients")


def test_an_evaluation_between_a_call_and_its_backward_pass_changes_nothing():
    rnn, x = layers(), inputs()
    y, _ = rnn(x)
    expected = rnn.backward(y)[0]
    rnn(x)
    rnn.eval()(x[:2])
    assert np.array_equal(rnn.backward(y)[0], expected)


def test_arguments_of_layers():
    for options, parts in [
        ({"num_layers": 0}, ("num_layers = 0", "at least 1")),
        ({"proj_size": -1}, ("proj_size = -1", "at least 0")),
        ({"seed": -1}, ("seed = -1",)),
        ({"threads": -1}, ("threads = -1",)),
        ({"dropout": 1.0}, ("dropout = 1", "below 1")),
        ({"dropout": -0.1}, ("dropout = -0.1",)),
        ({"proj_size": 1000}, ("projection",)),
        ({"threads": 0}, ("threads",)),
    ]:
        error(
            ValueError,
            lambda: unrolled.LSTM(**{"input_size": E, "hidden_size": H, **options}),
            *parts,
        )
    error(ValueError, lambda: unrolled.LSTM(0, H), "input_size = 0")
    error(ValueError, lambda: unrolled.LSTM(E, 0), "hidden_size = 0")
    error(ValueError, lambda: unrolled.LSTM(E, "4"), "hidden_size = '4'")
    error(ValueError, lambda: unrolled.LSTM(1.5, H), "input_size = 1.5")
    assert unrolled.LSTM(E, H, bias=0, bidirectional=1).bidirectional is True
    error(ValueError, lambda: unrolled.RNN(E, H, nonlinearity="sin"), "nonlinearity", "relu")
    with pytest.raises((unrolled.Error, ValueError), match="memory"):
        unrolled.LSTM(1 << 30, 1 << 30)


def test_streams():
    error(ValueError, layers(bidirectional=True).stream, "bidirectional")
    error(ValueError, lambda: layers().stream(0), "0 rows")
    stream = layers().stream(2)
    error(ValueError, lambda: stream.step(inputs(E)), "found x of shape [2]", "B = 2")
    error(ValueError, lambda: stream.step(inputs(2, E + 1)), "E = 2")
    error(ValueError, lambda: stream.reset(2), "row 2")
    error(ValueError, lambda: stream.reset(-1), "row -1")
    state = np.zeros((1, 2, H), np.float32)
    error(ValueError, lambda: setattr(stream, "state", state), "a pair (h, c)")
    error(ValueError, lambda: setattr(stream, "state", (state,) * 3), "a pair (h, c)")
    gru = unrolled.GRU(E, H, threads=1).stream(2)
    gru.state = state.tolist()
    assert np.array_equal(gru.state, state)


def test_the_learning_rate():
    rnn = layers()
    optimizer = unrolled.Optimizer(rnn)
    y, _ = rnn(inputs())
    rnn.backward(y)
    for rate in (-0.1, float("nan"), float("inf")):
        optimizer.learning_rate = rate
        error(ValueError, optimizer.step, "learning_rate", "at least 0")


def test_two_threads_on_one_stream_are_an_error():
    stream = unrolled.LSTM(64, 1024, threads=1).stream(16)
    x = inputs(16, 64)
    errors, stop = [], threading.Event()

    def run():
        while not stop.is_set():
            try:
                stream.step(x)
            except unrolled.Error as raised:
                errors.append(str(raised))
                stop.set()

    threads = [threading.Thread(target=run) for _ in range(2)]
    timer = threading.Timer(60, stop.set)
    timer.start()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    timer.cancel()
    assert errors and "another thread" in errors[0]


def test_threads_may_share_layers():
    rnn = unrolled.LSTM(8, 64, threads=2).eval()
    xs = [np.random.default_rng(i).standard_normal((30, 4, 8)).astype(np.float32) for i in range(4)]
    expected = [rnn(x)[0] for x in xs]
    found = [[] for _ in xs]

    def run(i):
        found[i] = [rnn(xs[i])[0] for _ in range(20)]

    threads = [threading.Thread(target=run, args=(i,)) for i in range(len(xs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(y, e) for ys, e in zip(found, expected) for y in ys)


def _in_a_fork(queue, rnn, x):
    y, _ = rnn(x)
    dx, *_ = rnn.backward(y)
    fresh = unrolled.LSTM(64, 128, threads=2)
    queue.put((y, dx, fresh(x)[0]))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_fork_after_threads_were_started():
    rnn = unrolled.LSTM(64, 128, threads=2)
    x = inputs(50, 20, 64)
    y, _ = rnn(x)
    dx, *_ = rnn.backward(y)
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=_in_a_fork, args=(queue, rnn, x))
    child.start()
    results = queue.get(timeout=120)
    child.join(60)
    assert child.exitcode == 0
    for found, expected in zip(results, (y, dx, y)):
        assert np.array_equal(found, expected)
    assert np.array_equal(rnn(x)[0], y)


def test_python_runs_on_while_layers_compute():
    rnn = unrolled.LSTM(64, 512, threads=1)
    x, ticks, stop = inputs(200, 16, 64), [], threading.Event()

    def tick():
        while not stop.wait(0.001):
            ticks.append(1)

    thread = threading.Thread(target=tick)
    thread.start()
    sys.setswitchinterval(0.005)
    rnn(x)
    stop.set()
    thread.join()
    assert len(ticks) > 3
