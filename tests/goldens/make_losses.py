"""Writes the goldens of TensorFlow's losses and of its top-k accuracy: see README.md beside this file.

tf.contrib.seq2seq and tf.contrib.legacy_seq2seq are not in TensorFlow 2: their sums and quotients are written out
here, over TensorFlow's own cross-entropy. Shapes are time-major, [T, B]; contrib's sequence_loss has [B, T].
"""

import numpy as np

from golden import random, report, save
from graph import SOURCE, STORED, session, tf, v1

T, B, V, ROWS = 6, 3, 11, 9
TINY = 1e-12  # both modules add it to the sum of the weights, so that weights of zero give zero


def evaluate(build, dtype):
    """What `build(dtype)` returns, as numbers; for every (name, loss, source) of its second part also the gradient."""
    with tf.Graph().as_default(), session() as running:
        tensors, wanted = build(dtype)
        return running.run(tensors | {name: tf.gradients(loss, source)[0] for name, loss, source in wanted})


def write(name, given, build, config, **words):
    """`build` takes constants of `given`, floats in the dtype asked for."""

    def constants(dtype):
        real = lambda value: tf.constant(value, dtype if value.dtype.kind == "f" else tf.int64)
        return build({key: real(value) for key, value in given.items()})

    reference = evaluate(constants, tf.float64)
    report(f"tensorflow-{name}", reference, evaluate(constants, tf.float32))
    save(f"tensorflow-{name}", given | reference, config, **SOURCE, dtype=STORED, **words)


def uniform(case, purpose, shape, low=-1.0, high=1.0):
    return random(case, purpose).uniform(low, high, shape).astype(np.float32)


# Dense labels. TensorFlow's gradient to the logits is softmax - labels whatever the labels add up to.


def labels(case, normal):
    """Distributions, the last two of them one-hot and uniform; or the same scaled by 0.5 to 2."""
    given = np.exp(3 * uniform(case, "labels", (ROWS, V)))
    given[-2], given[-1] = np.eye(V)[4], 1
    given /= given.sum(axis=1, keepdims=True)
    return given if normal else given * uniform(case, "scale", (ROWS, 1), 0.5, 2.0)


def dense(given):
    logits, target = given["logits"], given["labels"]
    losses = v1.nn.softmax_cross_entropy_with_logits_v2(labels=target, logits=logits)
    loss = tf.reduce_sum(losses * given["cotangent.losses"])
    return {"losses": losses, "loss": loss}, [("grad.logits", loss, logits), ("grad.labels", loss, target)]


def write_dense(name, normal):
    given = {"logits": 4 * uniform(name, "logits", (ROWS, V)), "labels": labels(name, normal)}
    given["cotangent.losses"] = uniform(name, "cotangent", ROWS)
    write(name, given, dense, {"loss": "softmax_cross_entropy_with_logits_v2"})


# Sequences with weights.


def crossings(given):
    losses = v1.nn.sparse_softmax_cross_entropy_with_logits(labels=given["targets"], logits=given["logits"])
    return losses * given["weights"]


def by_example(given):
    """tf.contrib.legacy_seq2seq: sequence_loss_by_example [B] and sequence_loss []."""
    found, wanted = {}, []
    size = tf.reduce_sum(given["weights"], axis=0) + TINY
    for flag, divisor in (("timesteps", size), ("sum", tf.ones_like(size))):
        losses = tf.reduce_sum(crossings(given), axis=0) / divisor
        cost = tf.reduce_sum(losses)
        named = {f"losses.{flag}": losses, f"loss.{flag}.batch": cost / B, f"loss.{flag}.sum": cost}
        scalars = [tf.reduce_sum(losses * given["cotangent.losses"]), cost / B, cost]
        wanted += [(f"grad.{name}", scalar, given["logits"]) for name, scalar in zip(named, scalars)]
        found |= named
    return found, wanted


# tf.contrib.seq2seq.sequence_loss: which axes of [T, B] it averages over.
AVERAGES = {"both": (0, 1), "timesteps": (0,), "batch": (1,), "none": ()}


def sequence(given):
    found, wanted = {}, []
    for flags, axes in AVERAGES.items():
        losses = crossings(given)
        if axes:
            losses = tf.reduce_sum(losses, axes) / (tf.reduce_sum(given["weights"], axes) + TINY)
        found[f"losses.{flags}"] = losses
        scalar = tf.reduce_sum(losses * given[f"cotangent.losses.{flags}"]) if flags != "both" else losses
        wanted.append((f"grad.losses.{flags}", scalar, given["logits"]))
    return found, wanted


def write_sequences(kind, zero):
    """Weights with zeros among them, one row and one step without any weight; or nothing but zeros."""
    name = f"loss-{kind}" + ("-zero" if zero else "")
    weights = np.maximum(uniform(name, "weights", (T, B), -0.5, 1.5), 0)
    weights[:, 1] = weights[2] = 0
    given = {"logits": 4 * uniform(name, "logits", (T, B, V)), "weights": weights * np.float32(not zero)}
    given["targets"] = random(name, "targets").integers(0, V, (T, B))
    if kind == "by-example":
        given["cotangent.losses"] = uniform(name, "cotangent", B)
        return write(name, given, by_example, {"loss": "legacy_seq2seq.sequence_loss_by_example, sequence_loss"})
    shapes = {"timesteps": (B,), "batch": (T,), "none": (T, B)}
    given |= {f"cotangent.losses.{flags}": uniform(name, flags, shape) for flags, shape in shapes.items()}
    write(name, given, sequence, {"loss": "seq2seq.sequence_loss"})


# Label smoothing: targets become (1 - s) * one-hot + s / V; the mean is over the rows whose weight is not zero.

SMOOTHING = 0.125


def smoothed(given):
    onehot = tf.one_hot(given["targets"], V, dtype=given["logits"].dtype)
    entropy = lambda weights, reduction: v1.losses.softmax_cross_entropy(
        onehot, given["logits"], weights, label_smoothing=SMOOTHING, reduction=reduction
    )
    loss = entropy(given["weights"], v1.losses.Reduction.SUM_BY_NONZERO_WEIGHTS)
    zero = entropy(0 * given["weights"], v1.losses.Reduction.SUM_BY_NONZERO_WEIGHTS)
    found = {"losses": entropy(1.0, v1.losses.Reduction.NONE), "loss": loss, "loss.zero": zero}
    return found, [("grad.loss", loss, given["logits"]), ("grad.loss.zero", zero, given["logits"])]


def write_smoothed(name):
    given = {"logits": 4 * uniform(name, "logits", (ROWS, V)), "weights": uniform(name, "weights", ROWS, 0.0, 2.0)}
    given["weights"][[2, 5]] = 0
    given["targets"] = random(name, "targets").integers(0, V, ROWS)
    write(name, given, smoothed, {"loss": "losses.softmax_cross_entropy", "label_smoothing": SMOOTHING})


# Top-k: a target that ties with the k-th is in; a row with a number that is not finite is out.

KS = (1, 2, 3, V)


def tied(case):
    """Integers from 0 to 3, so that ties abound; an infinity and a NaN in the last rows, away from the target."""
    logits = random(case, "logits").integers(0, 4, (24, V)).astype(np.float32)
    logits[4:8] = 1
    targets = random(case, "targets").integers(1, V, 24)
    logits[21, 0], logits[22, 0], logits[23, 0] = np.inf, -np.inf, np.nan
    return {"logits": logits, "targets": targets}


def write_top_k(name):
    given = tied(name)
    with tf.Graph().as_default(), session() as running:
        top = {f"top{k}": tf.nn.in_top_k(given["targets"], given["logits"], k) for k in KS}
        found = {key: value.astype(np.int64) for key, value in running.run(top).items()}
        # Of equals the first; without the row whose largest is not a number.
        found["argmax"] = running.run(tf.argmax(given["logits"][:-1], axis=1))
    print({key: float(value.mean()) for key, value in found.items() if key != "argmax"})
    save(f"tensorflow-{name}", given | found, {"k": KS}, **SOURCE, dtype="float32")


write_dense("loss-dense", True)
write_dense("loss-dense-unnormalised", False)
for kind in ("by-example", "sequence"):
    for zero in (False, True):
        write_sequences(kind, zero)
write_smoothed("loss-smoothed")
write_top_k("top-k")
