"""One recurrent layer or stack, run forward and backward in TensorFlow, every number of it kept.

A case says how its cell is made and how it is run; inputs, weights and initial state are random and not zero. The loss
is the sum of all outputs and final states, each times a random number of its own (its `cotangent`), so that every
output has a gradient that differs from its neighbour's. Shapes in the project's alphabet: T steps, B rows, E inputs.
"""

from dataclasses import dataclass, field
from typing import Callable

import numpy as np

from golden import random, report, save
from graph import SOURCE, STORED, session, tf, v1

T, B, E = 6, 3, 5
LSTMStateTuple = v1.nn.rnn_cell.LSTMStateTuple


@dataclass(frozen=True)
class Layer:
    """`make` takes a dtype and gives a cell (a pair of cells for a bidirectional form). The first of `forms` is
    written; the others must compute the same."""

    name: str
    config: dict
    make: Callable
    forms: tuple = ("dynamic", "batch major", "static")
    lengths: tuple | None = None
    width: int = E
    extra: dict = field(default_factory=dict)  # more tensors for the file, such as masks
    words: dict = field(default_factory=dict)  # more metadata

    def draw(self, name, shape):
        """Weights of gains lie about 1; everything else about 0, and not so wide that gates saturate."""
        bound = {"inputs": 1.0, "initial": 0.75, "cotangent": 1.0}.get(name.split(".")[0], 0.45)
        value = random(self.name, name).uniform(-bound, bound, shape).astype(np.float32)
        return value + np.float32(1) if name.endswith("gamma") else value


# Forms: each takes [T, B, E] and a state, and gives [T, B, outputs] and the state after.


def dynamic(cell, inputs, start, lengths):
    return v1.nn.dynamic_rnn(cell, inputs, lengths, start, time_major=True)


def batch_major(cell, inputs, start, lengths):
    outputs, end = v1.nn.dynamic_rnn(cell, turn(inputs), lengths, start)
    return turn(outputs), end


def static(cell, inputs, start, lengths):
    outputs, end = v1.nn.static_rnn(cell, tf.unstack(inputs), start, sequence_length=lengths)
    return tf.stack(outputs), end


def turn(tensor):
    """[T, B, n] to [B, T, n] and back."""
    return tf.transpose(tensor, [1, 0, 2])


def both_ways_dynamic(cells, inputs, start, lengths):
    pair, ends = v1.nn.bidirectional_dynamic_rnn(*cells, inputs, lengths, *start, time_major=True)
    return tf.concat(pair, 2), tuple(ends)


def both_ways_static(cells, inputs, start, lengths):
    steps = tf.unstack(inputs)
    outputs, *ends = v1.nn.static_bidirectional_rnn(*cells, steps, *start, sequence_length=lengths)
    return tf.stack(outputs), tuple(ends)


def summed(form):
    """The two directions added up, and not side by side."""

    def run(*arguments):
        outputs, ends = form(*arguments)
        return tf.add_n(tf.split(outputs, 2, axis=2)), ends

    return run


FORMS = {
    "dynamic": dynamic,
    "batch major": batch_major,
    "static": static,
    "both ways": both_ways_dynamic,
    "both ways, static": both_ways_static,
    "both ways, summed": summed(both_ways_dynamic),
    "both ways, static, summed": summed(both_ways_static),
}


def leaves(prefix, state, pair=False):
    """Names and tensors of a state: NAME.h, for an LSTM also NAME.c; with an index or a direction before them."""
    if isinstance(state, LSTMStateTuple):
        return {f"{prefix}.c": state.c, f"{prefix}.h": state.h}
    if not isinstance(state, tuple):
        return {f"{prefix}.h": state}
    parts = ("fw", "bw") if pair else range(len(state))
    nested = [leaves(f"{prefix}.{part}", inner) for part, inner in zip(parts, state, strict=True)]
    return {name: leaf for inner in nested for name, leaf in inner.items()}


def state_size(cell):
    return tuple(each.state_size for each in cell) if isinstance(cell, tuple) else cell.state_size


def weight_name(variable):
    """TensorFlow's own, without the scopes that only repeat the class of the cell."""
    repeats = lambda part: part.endswith(("_cell", "_wrapper")) or part in ("rnn", "bidirectional_rnn")
    return "/".join(part for part in variable.op.name.split("/") if not repeats(part))


def run(layer, form, dtype):
    """What goes into the file: first what was given, then what was computed."""
    v1.reset_default_graph()
    cell = layer.make(dtype)
    sizes = state_size(cell)
    pair = isinstance(cell, tuple)
    constant = lambda name, shape: tf.constant(layer.draw(name, shape), dtype)
    inputs = constant("inputs", (T, B, layer.width))
    names = list(leaves("initial", sizes, pair))
    flat = [constant(name, (B, size)) for name, size in zip(names, tf.nest.flatten(sizes), strict=True)]
    start = tf.nest.pack_sequence_as(sizes, flat)
    outputs, end = FORMS[form](cell, inputs, start, layer.lengths)
    ends = {"outputs": outputs} | leaves("final", end, pair)
    cotangents = {f"cotangent.{name}": constant(f"cotangent.{name}", end.shape) for name, end in ends.items()}
    loss = tf.add_n([tf.reduce_sum(end * by) for end, by in zip(ends.values(), cotangents.values())])
    variables = {weight_name(variable): variable for variable in v1.trainable_variables()}
    assert len(variables) == len(v1.trainable_variables()), "two weights of one name"
    weights = {name: layer.draw(name, variable.shape) for name, variable in variables.items()}
    sources = {"inputs": inputs} | dict(zip(names, flat)) | variables
    gradients = tf.gradients(loss, list(sources.values()))
    computed = ends | {"loss": loss} | {f"grad.{name}": value for name, value in zip(sources, gradients)}
    with session() as running:
        running.run(v1.global_variables_initializer())
        for name, variable in variables.items():
            variable.load(weights[name], running)
        given = running.run({"inputs": inputs} | dict(zip(names, flat)) | cotangents)
        return given | weights, running.run(computed)


def write(layer):
    """One file. Every form must agree with the first but for the order of its sums."""
    given, reference = run(layer, layer.forms[0], tf.float64)
    for form in layer.forms[1:]:
        _, other = run(layer, form, tf.float64)
        apart = max(float(np.max(np.abs(other[name] - value))) for name, value in reference.items())
        assert apart < 1e-12, f"{layer.name}: {form} differs by {apart}"
    report(layer.name, reference, run(layer, layer.forms[0], tf.float32)[1])
    lengths = {} if layer.lengths is None else {"lengths": np.array(layer.lengths)}
    words = {"dtype": STORED, "loss": "sum of outputs and final states times cotangents"} | layer.words
    words["forms"] = "; ".join(layer.forms)
    save(layer.name, given | lengths | layer.extra | reference, layer.config, **SOURCE, **words)
    return reference
