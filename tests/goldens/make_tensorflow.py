"""Writes the goldens that come from TensorFlow's graph mode (compat.v1): see README.md beside this file."""

import numpy as np

from golden import Case, report, save
from graph import SOURCE, STORED, session, tf, v1

FORGET_BIAS = 1.0


# Weights, from the project's names to TensorFlow's kernels [input + H, gates * H] and back. `ih` and `hh` lie one
# above the other in a kernel, and gates side by side in the order below; the GRU keeps its candidate n apart.

KERNELS = {"rnn": ["n"], "lstm": ["igfo"], "gru": ["rz", "n"]}
OURS = {"rnn": "n", "lstm": "ifgo", "gru": "rzn"}


def rows(tensor, cell):
    """Splits [G*H, ...] into {gate: [H, ...]}."""
    return dict(zip(OURS[cell], np.split(tensor, len(OURS[cell]))))


def to_variables(case, values, layer):
    """[kernel, bias] of each of the cell's products, in the order of the cell's variables."""
    parts = [rows(values[f"rnn.{name}_l{layer}"], case.cell) for name in ("weight_ih", "weight_hh", "bias_ih")]
    result = []
    for gates in KERNELS[case.cell]:
        ih, hh, bias = (np.concatenate([part[gate] for gate in gates]) for part in parts)
        result += [np.concatenate([ih.T, hh.T]), bias.astype(np.float64) - forget(case, gates)]
    return result


def forget(case, gates):
    """What the cell adds at run time and the project keeps in its parameters."""
    return np.repeat([FORGET_BIAS if (case.cell, gate) == ("lstm", "f") else 0.0 for gate in gates], case.hidden)


def from_variables(case, tensors, layer):
    """The inverse, for gradients (a constant added to a bias does not change its gradient)."""
    ih, hh, bias = {}, {}, {}
    for gates, kernel, vector in zip(KERNELS[case.cell], tensors[::2], tensors[1::2]):
        above = len(kernel) - case.hidden
        ih |= zip(gates, np.split(kernel[:above].T, len(gates)))
        hh |= zip(gates, np.split(kernel[above:].T, len(gates)))
        bias |= zip(gates, np.split(vector, len(gates)))
    order = OURS[case.cell]
    named = {"weight_ih": ih, "weight_hh": hh, "bias_ih": bias}
    return {f"rnn.{name}_l{layer}": np.concatenate([part[gate] for gate in order]) for name, part in named.items()}


def make_cell(case, dtype):
    if case.cell == "lstm":
        return v1.nn.rnn_cell.BasicLSTMCell(case.hidden, forget_bias=FORGET_BIAS, dtype=dtype)
    kind = {"rnn": v1.nn.rnn_cell.BasicRNNCell, "gru": v1.nn.rnn_cell.GRUCell}[case.cell]
    return kind(case.hidden, dtype=dtype)


def make_state(case, values, dtype):
    """The initial state as constants: h of every layer, then c of every layer; and as the cells nest them."""
    layers = range(case.layers)
    h = [tf.constant(values["h0"][layer], dtype) for layer in layers]
    c = [tf.constant(values["c0"][layer], dtype) for layer in layers] if case.cell == "lstm" else []
    nested = [v1.nn.rnn_cell.LSTMStateTuple(c[layer], h[layer]) for layer in layers] if c else h
    return h + c, tuple(nested)


def window(case, values, inputs, targets, dtype):
    """Everything one forward and one backward pass leave behind, under the project's names."""
    v1.reset_default_graph()
    plain = [name for name in case.shapes() if not name.startswith("rnn.")]
    outer = {name: v1.Variable(values[name].astype(dtype.as_numpy_dtype)) for name in plain}
    cells = [make_cell(case, dtype) for _ in range(case.layers)]
    start, nested = make_state(case, values, dtype)
    stack = v1.nn.rnn_cell.MultiRNNCell(cells)
    if case.embedding:
        symbols = tf.nn.embedding_lookup(outer["embedding.weight"], inputs)
    else:
        symbols = tf.one_hot(inputs, case.symbols, dtype=dtype)
    hidden, end = v1.nn.dynamic_rnn(stack, symbols, initial_state=nested, time_major=True)
    logits = tf.einsum("tbh,vh->tbv", hidden, outer["head.weight"]) + outer["head.bias"]
    loss = tf.reduce_mean(v1.nn.sparse_softmax_cross_entropy_with_logits(labels=targets, logits=logits))
    inner = [variable for cell in cells for variable in cell.trainable_variables]
    gradients = tf.gradients(loss, [*outer.values(), *inner, *start])
    gradients = [tf.convert_to_tensor(gradient) for gradient in gradients]
    with session() as running:
        running.run(v1.global_variables_initializer())
        converted = [value for layer in range(case.layers) for value in to_variables(case, values, layer)]
        for variable, value in zip(inner, converted, strict=True):
            variable.load(value, running)
        found = running.run({"logits": logits, "loss": loss, "end": end, "gradients": gradients})
    return named(case, found, plain)


def named(case, found, outer):
    """TensorFlow's results under the project's names."""
    result = {"logits": found["logits"], "loss": found["loss"]} | final_state(case, found["end"])
    gradients = found["gradients"]
    result |= {f"grad.{name}": gradient for name, gradient in zip(outer, gradients)}
    per_layer, position = 2 * len(KERNELS[case.cell]), len(outer)
    for layer in range(case.layers):
        own = from_variables(case, gradients[position : position + per_layer], layer)
        result |= {f"grad.{name}": gradient for name, gradient in own.items()}
        position += per_layer
    for name in ("h0", "c0") if case.cell == "lstm" else ("h0",):
        result[f"grad.{name}"] = np.stack(gradients[position : position + case.layers])
        position += case.layers
    return result


def final_state(case, end):
    if case.cell != "lstm":
        return {"h_n": np.stack(end)}
    return {"h_n": np.stack([layer.h for layer in end]), "c_n": np.stack([layer.c for layer in end])}


def write_window(case):
    values = case.draw()
    inputs, targets = (ids[0] for ids in case.ids())
    reference = window(case, values, inputs, targets, tf.float64)
    report(case.name, reference, window(case, values, inputs, targets, tf.float32))
    words = {"dtype": STORED, "loss": "mean over steps and rows", "symbols": case.symbols}
    words["bias"] = "TensorFlow's one bias is bias_ih (forget_bias included); bias_hh is zero and has no gradient"
    save(case.name, values | {"inputs": inputs, "targets": targets} | reference, case.config(), **SOURCE, **words)


# Softmax cross-entropy on rows that overflow a careless exp.


def draw_logits():
    random = np.random.default_rng(9)
    logits = random.normal(size=(9, 65))
    logits *= np.array([1, 5, 20, 100, 1e4, 1, 1, 0, 1])[:, None]
    logits[5] += 1e4
    logits[6] -= 1e4
    logits[8, 7] = 3e4
    return logits.astype(np.float32), np.array([3, 64, 0, 11, 12, 63, 31, 5, 8])


def cross_entropy(logits, targets, dtype):
    with tf.Graph().as_default(), session() as running:
        given = tf.constant(logits, dtype)
        losses = v1.nn.sparse_softmax_cross_entropy_with_logits(labels=targets, logits=given)
        return running.run({"losses": losses, "grad": tf.gradients(losses, given)[0]})


def write_softmax():
    name = "tensorflow-softmax-cross-entropy"
    logits, targets = draw_logits()
    reference = cross_entropy(logits, targets, tf.float64)
    report(name, reference, cross_entropy(logits, targets, tf.float32))
    words = {"dtype": STORED, "grad": "of the sum of the losses: softmax minus one-hot"}
    save(name, {"logits": logits, "targets": targets} | reference, {}, **SOURCE, **words)


# (input, layers, H, E, V). The GRU has every combination: its form is the one that PyTorch lacks.
SHAPES = [
    ("one-hot", 1, 19, None, 5),
    ("one-hot", 2, 9, None, 5),
    ("embedding", 1, 9, 7, 5),
    ("embedding", 2, 7, 5, 11),
]
SMALL = [("one-hot", 1, 9, None, 5), ("embedding", 2, 7, 5, 11)]
for cell, shapes in (("gru", SHAPES), ("lstm", SMALL), ("rnn", SMALL)):
    for kind, layers, hidden, embedding, symbols in shapes:
        label = "gru-before" if cell == "gru" else cell
        reset = "before" if cell == "gru" else "after"
        name = f"tensorflow-{label}-{kind}-l{layers}-h{hidden}"
        write_window(Case(name, cell, hidden, layers, embedding, reset=reset, bias="single", symbols=symbols))
write_softmax()
