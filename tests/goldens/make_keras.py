"""Writes the goldens of Keras's cells, whose order of gates and whose GRU differ from TensorFlow 1's: see README.md."""

from dataclasses import dataclass

from graph import tf  # before keras, for the environment it sets
import keras
from layer import FORMS, Layer, LSTMStateTuple, write


@dataclass
class Cell:
    """A Keras cell with its state as TensorFlow 1 has it: c before h, and one tensor not in a list."""

    kind: type
    options: dict

    @property
    def state_size(self):
        units = self.options["units"]
        return LSTMStateTuple(units, units) if self.kind is tf.keras.layers.LSTMCell else units


def unrolled(cell, inputs, start, lengths):
    inner = cell.kind(**cell.options, dtype=inputs.dtype)
    layer = tf.keras.layers.RNN(inner, return_sequences=True, return_state=True, time_major=True, unroll=True)
    two = isinstance(start, LSTMStateTuple)
    outputs, *end = layer(inputs, initial_state=[start.h, start.c] if two else [start])
    return outputs, LSTMStateTuple(end[1], end[0]) if two else end[0]


FORMS["keras"] = unrolled
CELLS = {
    "rnn": (tf.keras.layers.SimpleRNNCell, {"units": 9, "activation": "tanh"}),
    "lstm": (tf.keras.layers.LSTMCell, {"units": 7}),
    "gru-after": (tf.keras.layers.GRUCell, {"units": 9, "reset_after": True}),
    "gru-before": (tf.keras.layers.GRUCell, {"units": 9, "reset_after": False}),
}
for label, (kind, options) in CELLS.items():
    make = lambda dtype: Cell(kind, options)
    words = {"keras": keras.__version__}
    write(Layer(f"keras-cell-{label}", {"cell": kind.__name__} | options, make, ("keras",), words=words))
