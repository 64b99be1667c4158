"""Writes the goldens of TensorFlow's stacks, wrappers, lengths and directions: see README.md beside this file."""

import contrib
from graph import tf, v1
from layer import Layer, write

cells = v1.nn.rnn_cell
# No steps at all, all of them, and a number between; not sorted.
LENGTHS = (4, 0, 6)
CONCATENATED = ("both ways", "both ways, static")
SUMMED = ("both ways, summed", "both ways, static, summed")


def lstm(units, dtype):
    return cells.LSTMCell(units, dtype=dtype)


def gru(units, dtype):
    return cells.GRUCell(units, dtype=dtype)


def rnn(units, dtype):
    return cells.BasicRNNCell(units, dtype=dtype)


def stack(*layers):
    """Of (kind, width) from the first layer to the last."""
    return lambda dtype: cells.MultiRNNCell([kind(units, dtype) for kind, units in layers])


def residual(kind):
    return lambda units, dtype: cells.ResidualWrapper(kind(units, dtype))


def highway(kind, coupled=True):
    return lambda units, dtype: contrib.HighwayWrapper(kind(units, dtype), coupled)


def one(kind, units):
    return lambda dtype: kind(units, dtype)


def pair(forward, backward):
    """Cells of both directions, each a (kind, width)."""
    return lambda dtype: tuple(kind(units, dtype) for kind, units in (forward, backward))


# Every weight's shape and name tells the layer it belongs to; `config` says the rest in words.
MIXED = stack((lstm, 7), (gru, 9), (rnn, 5))
LAYERS = [
    ("stack", "LSTMCell 7, GRUCell 9, BasicRNNCell 5", MIXED, {}),
    ("stack-lengths", "LSTMCell 7, GRUCell 9, BasicRNNCell 5", MIXED, {"lengths": LENGTHS}),
    ("residual-lstm", "ResidualWrapper(LSTMCell 7)", one(residual(lstm), 7), {"width": 7}),
    ("residual-gru-lengths", "ResidualWrapper(GRUCell 9)", one(residual(gru), 9), {"width": 9, "lengths": LENGTHS}),
    (
        "residual-stack",
        "LSTMCell 7, ResidualWrapper(GRUCell 7), ResidualWrapper(BasicRNNCell 7)",
        stack((lstm, 7), (residual(gru), 7), (residual(rnn), 7)),
        {},
    ),
    ("highway-lstm", "HighwayWrapper(LSTMCell 7)", one(highway(lstm), 7), {"width": 7}),
    ("highway-gru-uncoupled", "HighwayWrapper(GRUCell 9), not coupled", one(highway(gru, False), 9), {"width": 9}),
    (
        "highway-stack-lengths",
        "LSTMCell 7, HighwayWrapper(BasicRNNCell 7)",
        stack((lstm, 7), (highway(rnn), 7)),
        {"lengths": LENGTHS},
    ),
    ("lengths-rnn", "BasicRNNCell 9", one(rnn, 9), {"lengths": LENGTHS}),
    ("lengths-lstm", "LSTMCell 7", one(lstm, 7), {"lengths": LENGTHS}),
    ("lengths-gru", "GRUCell 9", one(gru, 9), {"lengths": LENGTHS}),
    # When the longest row ends before T.
    ("lengths-lstm-short", "LSTMCell 7", one(lstm, 7), {"lengths": (2, 4, 0)}),
    ("bidirectional-lstm", "LSTMCell 7 both ways", pair((lstm, 7), (lstm, 7)), {"forms": CONCATENATED}),
    ("bidirectional-lstm-sum", "LSTMCell 7 both ways, summed", pair((lstm, 7), (lstm, 7)), {"forms": SUMMED}),
    (
        "bidirectional-lstm-lengths",
        "LSTMCell 7 both ways",
        pair((lstm, 7), (lstm, 7)),
        {"forms": CONCATENATED, "lengths": LENGTHS},
    ),
    (
        "bidirectional-gru-sum-lengths",
        "GRUCell 9 both ways, summed",
        pair((gru, 9), (gru, 9)),
        {"forms": SUMMED, "lengths": LENGTHS},
    ),
    (
        "bidirectional-mixed",
        "GRUCell 9 forward, LSTMCell 7 backward",
        pair((gru, 9), (lstm, 7)),
        {"forms": CONCATENATED},
    ),
]

for label, words, make, more in LAYERS:
    write(Layer(f"tensorflow-{label}", {"cell": words}, make, **more))
