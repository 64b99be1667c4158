"""TensorFlow's graph mode: one-hot input, static or dynamic unrolling, Adagrad. Its GRU resets before the product.

Needs TensorFlow 2.15, the last one whose compat.v1 still has these cells.
"""

import os
import time
import warnings

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
warnings.filterwarnings("ignore")

import numpy as np
import tensorflow as tf
from peer import report, sizes

tf.get_logger().setLevel("ERROR")
v1 = tf.compat.v1
CELLS = {"rnn": v1.nn.rnn_cell.BasicRNNCell, "lstm": v1.nn.rnn_cell.LSTMCell, "gru": v1.nn.rnn_cell.GRUCell}


def outputs(options, ids):
    """Returns h after each step [T B, H], step after step."""
    cell = v1.nn.rnn_cell.MultiRNNCell([CELLS[options.cell](options.hidden) for _ in range(options.layers)])
    state = cell.zero_state(options.batch, tf.float32)
    inputs = tf.one_hot(ids, options.vocab)  # [T, B, V]
    if options.mode == "static":
        steps, _ = v1.nn.static_rnn(cell, tf.unstack(inputs), initial_state=state)
        return tf.concat(steps, axis=0)
    steps, _ = v1.nn.dynamic_rnn(cell, inputs, initial_state=state, time_major=True)
    return tf.reshape(steps, [-1, options.hidden])


def build(options):
    """Returns the placeholders, the loss, the logits, and the training step."""
    shape = [options.steps, options.batch]
    ids, targets = (v1.placeholder(tf.int32, shape) for _ in range(2))
    weight = v1.get_variable("head_weight", [options.hidden, options.vocab])
    bias = v1.get_variable("head_bias", [options.vocab], initializer=v1.zeros_initializer())
    logits = tf.matmul(outputs(options, ids), weight) + bias
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=tf.reshape(targets, [-1]), logits=logits)
    loss = tf.reduce_mean(losses)
    optimizer = v1.train.AdagradOptimizer(1e-6)
    gradients, variables = zip(*optimizer.compute_gradients(loss))
    clipped, _ = tf.clip_by_global_norm(gradients, 5.0)
    return ids, targets, logits, loss, optimizer.apply_gradients(zip(clipped, variables))


def main():
    options = sizes(mode=["static", "dynamic"])
    v1.disable_v2_behavior()
    v1.set_random_seed(1)
    start = time.perf_counter()
    ids, targets, logits, loss, step = build(options)
    threads = {"intra_op_parallelism_threads": options.threads, "inter_op_parallelism_threads": options.threads}
    session = v1.Session(config=v1.ConfigProto(**threads))
    session.run(v1.global_variables_initializer())
    draw = np.random.default_rng(1).integers
    shape = (options.steps, options.batch)
    feed = {ids: draw(options.vocab, size=shape), targets: draw(options.vocab, size=shape)}
    session.run(step, feed)
    setup = time.perf_counter() - start
    assert np.isfinite(session.run(loss, feed))
    # `.op` leaves the result in the graph, which avoids a copy to Python.
    report(options, tf.__version__, lambda: session.run(step, feed), lambda: session.run(logits.op, feed), setup)


if __name__ == "__main__":
    main()
