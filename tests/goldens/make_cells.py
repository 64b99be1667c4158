"""Writes the goldens of TensorFlow's cells, one layer each, every option alone and together: see README.md."""

import numpy as np

import contrib
from golden import random
from graph import tf, v1
from layer import B, Layer, T, write

cells = v1.nn.rnn_cell


def name(label):
    return f"tensorflow-cell-{label}"


def case(label, kind, **options):
    """A cell of `cells` or `contrib`, made from the options that its file states."""
    make = lambda dtype: kind(**options, dtype=dtype)
    write_cell(label, kind.__name__, options, make)


def write_cell(label, kind, options, make, **more):
    shown = {key: value if isinstance(value, (int, float)) else value.__name__ for key, value in options.items()}
    return write(Layer(name(label), {"cell": kind} | shown, make, **more))


# Clips are powers of two, which every precision holds, and low enough to bite.
CELL_CLIP, PROJ_CLIP = 0.25, 0.125
LSTMS = {
    "plain": {},
    "forget0": {"forget_bias": 0.0},
    "peepholes": {"use_peepholes": True},
    "cell-clip": {"cell_clip": CELL_CLIP},
    "proj": {"num_proj": 4},
    "proj-clip": {"num_proj": 4, "proj_clip": PROJ_CLIP},
    "proj-wide": {"num_proj": 9},
    "all": {"use_peepholes": True, "cell_clip": CELL_CLIP, "num_proj": 4, "proj_clip": PROJ_CLIP, "forget_bias": 2.5},
}


def write_lstm(label, options):
    full = {"num_units": 7, "forget_bias": 1.0} | options
    make = lambda dtype: cells.LSTMCell(**full, dtype=dtype)
    found = write_cell(f"lstm-{label}", "LSTMCell", full, make)
    for limit, value in (("cell_clip", found["final.c"]), ("proj_clip", found["outputs"])):
        clipped = np.isclose(np.abs(value), full.get(limit, np.inf))
        assert limit not in full or 0 < clipped.mean() < 1, f"{label}: {limit} clips {clipped.mean()}"


# Zoneout. An LSTM has one probability for c and another for h, as in the paper.
ZONEOUT = {"c": 0.5, "h": 0.25}
UNITS = {"lstm": 7, "gru": 9}


def masks(label, units, parts):
    draw = lambda part: random(name(label), f"mask.{part}").random((T, B, units)) < ZONEOUT[part]
    return {f"mask.{part}": draw(part).astype(np.float32) for part in parts}


def write_zoneout(kind, training):
    units, parts = UNITS[kind], ("c", "h") if kind == "lstm" else ("h",)
    label = f"zoneout-{kind}-{'training' if training else 'inference'}"
    given = masks(label, units, parts) if training else {}
    rates = {f"zoneout_{part}": ZONEOUT[part] for part in parts}

    def make(dtype):
        inner = {"lstm": cells.LSTMCell, "gru": cells.GRUCell}[kind](units, dtype=dtype)
        zoned = [[tf.constant(step, dtype) for step in each] for each in given.values()]
        return contrib.ZoneoutWrapper(inner, zoned or list(rates.values()))

    options = {"num_units": units} | rates | {"training": training}
    words = {"source": "Krueger et al. 2016, equations as TensorFlow operations", "mask": "1 where the old value stays"}
    # The masks are one list of T tensors, which a loop cannot hold.
    forms = {"forms": ("static",)} if training else {}
    write_cell(label, f"{kind}+zoneout", options, make, extra=given, words=words, **forms)


def write_contrib(label, kind, **options):
    words = {"source": f"tf.contrib.rnn.{kind.__name__}, its equations as TensorFlow operations"}
    full = {"units": 7, "forget_bias": 1.0} | options
    write_cell(label, kind.__name__, full, lambda dtype: kind(**full), words=words)


for activation in (tf.tanh, tf.nn.relu, tf.sigmoid, tf.identity):
    case(f"rnn-{activation.__name__}", cells.BasicRNNCell, num_units=9, activation=activation)
for forget_bias in (0.0, 1.0, 2.5):
    case(f"basic-lstm-forget{forget_bias:g}", cells.BasicLSTMCell, num_units=7, forget_bias=forget_bias)
for label, options in LSTMS.items():
    write_lstm(label, options)
case("gru", cells.GRUCell, num_units=9)
write_contrib("cifg", contrib.CoupledInputForgetGateLSTMCell)
write_contrib("cifg-peepholes", contrib.CoupledInputForgetGateLSTMCell, use_peepholes=True)
write_contrib("layer-norm-lstm", contrib.LayerNormBasicLSTMCell)
for kind in ("lstm", "gru"):
    for training in (True, False):
        write_zoneout(kind, training)
