"""Conversions from Keras and TensorFlow 1."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
import unrolled.convert
from tensorflow import keras

layers = keras.layers
cells = tf.compat.v1.nn.rnn_cell


def random(values):
    """Draws new values, so that biases are not zero."""
    generator = np.random.default_rng(1)
    return [generator.uniform(-0.5, 0.5, value.shape).astype(np.float32) for value in values]


def model_of(*parts):
    model = keras.Sequential(list(parts))
    model.set_weights(random(model.get_weights()))
    return model


VECTORS = keras.Input((None, 3))
MODELS = {
    "lstm": lambda: model_of(VECTORS, layers.LSTM(5, return_sequences=True)),
    "gru after": lambda: model_of(
        VECTORS, layers.GRU(5, return_sequences=True), layers.Dropout(0.5), layers.Dense(2)
    ),
    "gru before": lambda: model_of(
        VECTORS, layers.GRU(5, reset_after=False, return_sequences=True)
    ),
    "no bias": lambda: model_of(VECTORS, layers.LSTM(5, use_bias=False, return_sequences=True)),
    "rnn": lambda: model_of(VECTORS, layers.SimpleRNN(5, activation="relu", return_sequences=True)),
    "both": lambda: model_of(
        VECTORS,
        layers.Bidirectional(layers.LSTM(5, return_sequences=True)),
        layers.Bidirectional(layers.GRU(4, return_sequences=True)),
        layers.TimeDistributed(layers.Dense(2)),
    ),
    "symbols": lambda: model_of(
        keras.Input((None,)),
        layers.Embedding(11, 4),
        layers.LSTM(5, return_sequences=True),
        layers.Dense(11),
    ),
}


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_keras_models(make):
    model = make()
    converted = unrolled.convert.from_keras(model)
    shape = (4, 9)
    generator = np.random.default_rng(2)
    x = (
        generator.integers(11, size=shape)
        if converted.symbols
        else generator.random((*shape, 3), np.float32)
    )
    np.testing.assert_allclose(
        converted(x, batch_first=True), model.predict(x, verbose=0), atol=1e-5
    )


def test_the_last_step_alone():
    model = model_of(VECTORS, layers.LSTM(5, return_sequences=True), layers.GRU(4), layers.Dense(2))
    converted = unrolled.convert.from_keras(model)
    x = np.random.default_rng(2).random((4, 9, 3), np.float32)
    assert converted.last_step
    np.testing.assert_allclose(
        converted(x, batch_first=True)[:, -1], model.predict(x, verbose=0), atol=1e-5
    )


def test_keras_files(tmp_path):
    model = MODELS["gru after"]()
    for name in ("model.keras", "model.h5"):
        model.save(tmp_path / name)
        unrolled.convert.convert(tmp_path / name, tmp_path / "out.safetensors")
        assert unrolled.convert.load(tmp_path / "out.safetensors").output_size == 2


def test_what_the_model_lacks_is_refused():
    for part, message in [
        (layers.Bidirectional(layers.LSTM(5)), "return_sequences=False"),
        (layers.LSTM(5, activation="relu", return_sequences=True), "activation relu"),
        (
            layers.LSTM(5, recurrent_activation="hard_sigmoid", return_sequences=True),
            "hard_sigmoid",
        ),
        (layers.LSTM(5, go_backwards=True, return_sequences=True), "go_backwards"),
        (
            layers.Bidirectional(layers.LSTM(5, return_sequences=True), merge_mode="sum"),
            "merge_mode sum",
        ),
        (layers.Conv1D(5, 1), "Conv1D"),
    ]:
        with pytest.raises(ValueError, match=message):
            unrolled.convert.from_keras(model_of(VECTORS, part))
    with pytest.raises(ValueError, match="activation softmax"):
        lstm, dense = layers.LSTM(5, return_sequences=True), layers.Dense(2, activation="softmax")
        unrolled.convert.from_keras(model_of(VECTORS, lstm, dense))


CELLS = {
    "lstm": lambda: [cells.BasicLSTMCell(5)],
    "stack": lambda: [
        cells.LSTMCell(5, num_proj=2),
        cells.LSTMCell(4),
        cells.GRUCell(3),
        cells.BasicRNNCell(2),
    ],
    "gru": lambda: [cells.GRUCell(5), cells.GRUCell(6)],
}


@pytest.mark.parametrize("make", CELLS.values(), ids=CELLS)
def test_checkpoints_of_tensorflow_1(make, tmp_path):
    x = np.random.default_rng(2).standard_normal((7, 2, 3)).astype(np.float32)
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        own = make()
        cell = own[0] if len(own) == 1 else cells.MultiRNNCell(own)
        y, _ = tf.compat.v1.nn.dynamic_rnn(cell, tf.constant(x), dtype=tf.float32, time_major=True)
        optimizer = tf.compat.v1.train.AdamOptimizer().minimize(tf.reduce_sum(y))
        session.run(tf.compat.v1.global_variables_initializer())
        session.run(optimizer)
        prefix = tf.compat.v1.train.Saver().save(session, str(tmp_path / "model.ckpt"))
        expected = session.run(y)
    model = unrolled.convert.from_tf1(prefix)
    np.testing.assert_allclose(model(x), expected, atol=1e-5)
    unrolled.convert.convert(prefix, tmp_path / "out.safetensors")
    if make is CELLS["lstm"]:
        other = unrolled.convert.from_tf1(prefix, forget_bias=0.0)
        assert not np.allclose(other(x), expected)
