"""Writes the goldens of the lecture's training program: the loss of each of the first 50 updates. See README.md.

usage: make_traces.py [--full FOLDER]

--full writes the lecture's own sizes (V = 65, H = 100, B = 200, T = 5; a few megabytes) to FOLDER; without it the
small ones go beside this file. The text is drawn here: words by Zipf's law from a lexicon that is random too.
"""

import argparse
from dataclasses import dataclass

import numpy as np

from golden import FOLDER, Case, random, report, save
from graph import SOURCE, STORED, session, tf, v1

UPDATES = 50
RATES = {"adagrad": 1e-4, "adam": 1e-3}
# Low enough that some updates are clipped and some are not; at the lecture's 5 none is.
CLIPPED = {"clip": 0.3125, "sliding": False}
OPTIMIZERS = {"adagrad": v1.train.AdagradOptimizer, "adam": v1.train.AdamOptimizer}
CELLS = {
    "rnn": v1.nn.rnn_cell.BasicRNNCell,
    "lstm": v1.nn.rnn_cell.BasicLSTMCell,  # its forget_bias of 1.0 is added at run time
    "gru": v1.nn.rnn_cell.GRUCell,
}


@dataclass(frozen=True)
class Trace:
    """`sliding`: row b of update n starts at symbol n * B + b, and from a zero state. Otherwise each row reads on in a
    part of the text of its own, and the state is carried over."""

    name: str
    cell: str
    optimizer: str
    rate: float
    clip: float = 5.0
    sliding: bool = True
    symbols: int = 17
    hidden: int = 19
    batch: int = 8
    steps: int = 5

    def windows(self):
        """Inputs and targets [UPDATES, T, B]."""
        length = self.steps + 1
        if self.sliding:
            starts = np.arange(UPDATES * self.batch).reshape(UPDATES, self.batch)
        else:
            starts = np.arange(UPDATES)[:, None] * self.steps + np.arange(self.batch) * (UPDATES * self.steps + 1)
        text = self.text(int(starts.max()) + length)
        both = text[starts[:, None, :] + np.arange(length)[:, None]]
        return both[:, :-1], both[:, 1:]

    def text(self, length):
        """Ids: 0 parts the words, the rest are letters, some far more common than others."""
        draw = random(f"trace-v{self.symbols}", "text")
        letters = 1.0 / np.arange(1, self.symbols)
        word = lambda: draw.choice(self.symbols - 1, draw.integers(1, 8), p=letters / letters.sum()) + 1
        lexicon = [word() for _ in range(200)]
        ranks = 1.0 / np.arange(1, len(lexicon) + 1)
        words = draw.choice(len(lexicon), length, p=ranks / ranks.sum())
        return np.concatenate([np.append(lexicon[chosen], 0) for chosen in words])[:length]

    def draw(self, name, shape):
        """As TensorFlow starts: Glorot's range for kernels, zero for biases, but one for those of the GRU's gates."""
        if len(shape) == 1:
            return np.full(shape, float(name == "gates/bias"), np.float32)
        bound = np.sqrt(6 / sum(shape))
        return random(self.name, name).uniform(-bound, bound, shape).astype(np.float32)

    def config(self):
        sizes = {"hidden": self.hidden, "layers": 1, "embedding": None, "symbols": self.symbols}
        forms = {"reset": "before" if self.cell == "gru" else "after", "bias": "single"}
        case = Case(self.name, self.cell, **sizes, **forms, batch=self.batch, steps=self.steps)
        moves = {"optimizer": self.optimizer, "learning-rate": self.rate, "schedule": "constant", "warmup-steps": 0}
        moves |= {"clip": self.clip, "clip-mode": "norm", "loss-reduction": "mean"}
        moves |= {"windows": "sliding" if self.sliding else "stream"}
        return case.config(**moves | ({"initial-accumulator": 0.1} if self.optimizer == "adagrad" else {}))


def program(trace, dtype):
    """The lecture's graph: placeholders, state before and after, loss, gradient norm, update, variables by name."""
    inputs, targets = (v1.placeholder(tf.int64, [trace.steps, trace.batch]) for _ in range(2))
    cell = CELLS[trace.cell](trace.hidden, dtype=dtype)
    start = cell.zero_state(trace.batch, dtype)
    one_hot = tf.unstack(tf.one_hot(inputs, trace.symbols, dtype=dtype))
    outputs, end = v1.nn.static_rnn(cell, one_hot, initial_state=start)
    with v1.variable_scope("head"):
        kernel = v1.get_variable("kernel", [trace.hidden, trace.symbols], dtype)
        bias = v1.get_variable("bias", [trace.symbols], dtype)
    logits = tf.stack([tf.matmul(output, kernel) + bias for output in outputs])
    loss = tf.reduce_mean(v1.nn.sparse_softmax_cross_entropy_with_logits(labels=targets, logits=logits))
    variables = v1.trainable_variables()
    gradients, norm = tf.clip_by_global_norm(tf.gradients(loss, variables), trace.clip)
    update = OPTIMIZERS[trace.optimizer](trace.rate).apply_gradients(zip(gradients, variables))
    return (inputs, targets), (start, end), {"loss": loss, "norm": norm, "update": update}, variables


def run(trace, dtype):
    """The weights before, and losses, norms and the weights after."""
    v1.reset_default_graph()
    fed, (start, end), wanted, variables = program(trace, dtype)
    named = {variable.op.name.split("_cell/")[-1]: variable for variable in variables}
    weights = {name: trace.draw(name, variable.shape.as_list()) for name, variable in named.items()}
    found = []
    with session() as running:
        running.run(v1.global_variables_initializer())
        for name, variable in named.items():
            variable.load(weights[name], running)
        carried = {}
        for windows in zip(*trace.windows()):
            step, after = running.run((wanted, end), dict(zip(fed, windows)) | carried)
            found.append((step["loss"], step["norm"]))
            if not trace.sliding:
                carried = dict(zip(tf.nest.flatten(start), tf.nest.flatten(after)))
        final = {f"final.{name}": value for name, value in running.run(named).items()}
    losses, norms = np.array(found).T
    return weights, {"losses": losses, "norms": norms} | final


def write(trace, folder):
    weights, reference = run(trace, tf.float64)
    report(trace.name, reference, run(trace, tf.float32)[1])
    inputs, targets = trace.windows()
    words = {"updates": UPDATES, "symbols": trace.symbols, "norms": "of the whole gradient, before clipping"}
    words["forget_bias"] = "1.0, added at run time, in no weight" if trace.cell == "lstm" else "none"
    print("  losses", reference["losses"][[0, -1]].round(3), "clipped", np.mean(reference["norms"] > trace.clip))
    tensors = weights | {"inputs": inputs, "targets": targets} | reference
    save(trace.name, tensors, trace.config(), folder, **SOURCE, dtype=STORED, **words)


parser = argparse.ArgumentParser()
parser.add_argument("--full", metavar="FOLDER")
full = parser.parse_args().full
sizes = {"symbols": 65, "hidden": 100, "batch": 200} if full else {}
for cell in CELLS:
    for optimizer, rate in RATES.items():
        size = "-full" if full else ""
        write(Trace(f"tensorflow-trace-{cell}-{optimizer}{size}", cell, optimizer, rate, **sizes), full or FOLDER)
if not full:
    write(Trace("tensorflow-trace-lstm-clipped", "lstm", "adagrad", 0.1, **CLIPPED), FOLDER)
