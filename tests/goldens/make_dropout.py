"""Writes the goldens of TensorFlow's DropoutWrapper, the masks that it used among the tensors: see README.md.

The wrapper is TensorFlow's own. Only its source of uniform numbers is replaced, by one that is told what the numbers
are for; what is kept follows from them as TensorFlow says: a fresh mask keeps where the number is at least
1 - keep_prob, a variational one where floor(keep_prob + number) is 1.
"""

from collections import Counter
from unittest.mock import patch

import numpy as np

from golden import random
from graph import tf, v1  # before all else of TensorFlow's, for the environment it sets
from keras.src.layers.rnn import legacy_cell_wrappers
from layer import B, E, Layer, LSTMStateTuple, T, leaves, write
from tensorflow.python.ops import random_ops

cells = v1.nn.rnn_cell
LENGTHS = (4, 0, 6)
INPUT, OUTPUT, STATE = {"input_keep_prob": 0.75}, {"output_keep_prob": 0.625}, {"state_keep_prob": 0.5}
ALL = INPUT | OUTPUT | STATE


class Wrapper(cells.DropoutWrapper):
    """Its seed is its label; asks for numbers by (label, "input" | "output" | "state", index within the state)."""

    def _gen_seed(self, salt_prefix, index):
        return self._seed, salt_prefix, index


def numbers(case, purpose, step, shape):
    return random(case, f"{purpose}/{step}").random(shape, np.float32)


class Noise:
    """Stands in for TensorFlow's uniform numbers. A cell is called T times in a graph, once for each step."""

    def __init__(self, case):
        self.case, self.calls = case, Counter()

    def uniform(self, shape, minval=0, maxval=None, dtype=tf.float32, seed=None, name=None):
        rows, width = tf.get_static_value(tf.convert_to_tensor(shape))
        step = 0 if rows == 1 else self.calls[seed] % T
        self.calls[seed] += 1
        return tf.constant(numbers(self.case, seed, step, (rows, width)), dtype)


def masks(case, wrapper, width):
    """What one wrapper keeps, as 0 and 1, under the names input, output, state.h: [T, B, n] or, variational, [1, n]."""
    label, found = wrapper._seed, {}
    state = leaves("state", wrapper.state_size)
    whole = wrapper._dropout_state_filter(LSTMStateTuple(0, 0)) is True
    dropped = {(name, index): size for index, (name, size) in enumerate(state.items()) if whole or name[-1] != "c"}
    sizes = {"input": {("input", 0): width}, "output": {("output", 0): wrapper.output_size}, "state": dropped}
    for purpose, parts in sizes.items():
        keep = getattr(wrapper, f"_{purpose}_keep_prob")
        for (name, index), size in parts.items() if keep < 1 else ():
            draw = lambda step, rows: numbers(case, (label, purpose, index), step, (rows, size))
            if wrapper._variational_recurrent:
                found[f"mask.{label}{name}"] = np.floor(np.float32(keep) + draw(0, 1))
            else:
                fresh = np.stack([draw(step, B) for step in range(T)])
                found[f"mask.{label}{name}"] = (fresh >= np.float32(1 - keep)).astype(np.float32)
    return found


def write_dropout(label, words, make, lengths=None):
    """`make(dtype)` gives the cell, and its wrappers with the width of what goes into each."""
    name = f"tensorflow-dropout-{label}"
    noise = Noise(name)
    fresh = patch.object(random_ops, "random_uniform", noise.uniform)
    variational = patch.object(legacy_cell_wrappers.tf.random, "uniform", noise.uniform)
    with fresh, variational, v1.Graph().as_default():
        kept = {key: mask for each in make(tf.float32)[1] for key, mask in masks(name, *each).items()}
    assert all(0 < mask.mean() < 1 for mask in kept.values()), f"{name}: a mask keeps all or nothing"
    mask = {"mask": "1 where TensorFlow kept the value and divided it by keep_prob"}
    layer = Layer(name, words, lambda dtype: make(dtype)[0], ("static",), lengths, extra=kept, words=mask)
    with fresh, variational:
        write(layer)


def single(kind, units, options):
    """One cell in one wrapper."""

    def make(dtype):
        wrapper = Wrapper(kind(units, dtype=dtype), **options, dtype=dtype, seed="", input_size=E)
        return wrapper, [(wrapper, E)]

    return make


def write_single(label, kind, units, lengths=None, **options):
    shown = {key: value for key, value in options.items() if key != "dropout_state_filter_visitor"}
    filtered = {"state_filter": "c and h"} if len(shown) < len(options) else {}
    words = {"cell": kind.__name__, "num_units": units} | shown | filtered
    write_dropout(label, words, single(kind, units, options), lengths)


def wrapped_layers(dtype):
    """A wrapper around each layer, as the deep programs of the time had it."""
    lower = Wrapper(cells.LSTMCell(7, dtype=dtype), **ALL, seed="0.")
    upper = Wrapper(cells.GRUCell(9, dtype=dtype), **OUTPUT, seed="1.")
    return cells.MultiRNNCell([lower, upper]), [(lower, E), (upper, 7)]


def wrapped_stack(dtype):
    """One wrapper around a whole stack: its state dropout reaches every layer but an LSTM's c."""
    stack = cells.MultiRNNCell([cells.LSTMCell(7, dtype=dtype), cells.GRUCell(9, dtype=dtype)])
    wrapper = Wrapper(stack, **ALL, seed="", variational_recurrent=True, input_size=E, dtype=dtype)
    return wrapper, [(wrapper, E)]


for label, options in (("input", INPUT), ("output", OUTPUT), ("state", STATE), ("all", ALL)):
    write_single(f"lstm-{label}", cells.LSTMCell, 7, **options)
write_single("lstm-lengths", cells.LSTMCell, 7, LENGTHS, **ALL)
write_single("lstm-filter", cells.LSTMCell, 7, **STATE, dropout_state_filter_visitor=lambda _: True)
write_single("lstm-variational", cells.LSTMCell, 7, **ALL, variational_recurrent=True)
write_single("lstm-variational-lengths", cells.LSTMCell, 7, LENGTHS, **ALL, variational_recurrent=True)
write_single("gru-all", cells.GRUCell, 9, **ALL)
write_single("gru-variational", cells.GRUCell, 9, **ALL, variational_recurrent=True)
write_single("rnn-all", cells.BasicRNNCell, 9, **ALL)
layers = {"cell": "DropoutWrapper(LSTMCell 7), DropoutWrapper(GRUCell 9)", "0": ALL, "1": OUTPUT}
write_dropout("stack-layers", layers, wrapped_layers)
whole = {"cell": "DropoutWrapper of a stack of LSTMCell 7, GRUCell 9", "variational_recurrent": True} | ALL
write_dropout("stack-whole", whole, wrapped_stack)
