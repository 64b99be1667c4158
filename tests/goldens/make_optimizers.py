"""Writes the goldens of TensorFlow's optimisers: ten updates of a vector, with gradients given. See README.md."""

import json

import numpy as np

from golden import draw_gradients, report, save
from graph import SOURCE, STORED, session, tf, v1

OPTIMIZERS = {
    "sgd": ({"optimizer": "sgd", "learning-rate": 0.1}, lambda: v1.train.GradientDescentOptimizer(0.1)),
    "momentum": (
        {"optimizer": "sgd", "learning-rate": 0.1, "momentum": 0.9},
        lambda: v1.train.MomentumOptimizer(0.1, 0.9),
    ),
    "momentum-nesterov": (
        {"optimizer": "sgd", "learning-rate": 0.1, "momentum": 0.9, "nesterov": True},
        lambda: v1.train.MomentumOptimizer(0.1, 0.9, use_nesterov=True),
    ),
    "adagrad": (
        {"optimizer": "adagrad", "learning-rate": 0.1, "initial-accumulator": 0.1, "epsilon": 0.0},
        lambda: v1.train.AdagradOptimizer(0.1, initial_accumulator_value=0.1),
    ),
    "rmsprop": (
        {"optimizer": "rmsprop", "learning-rate": 0.01, "decay": 0.9, "momentum": 0.0, "epsilon": 1e-10},
        lambda: v1.train.RMSPropOptimizer(0.01, decay=0.9, momentum=0.0, epsilon=1e-10),
    ),
    "rmsprop-momentum": (
        {"optimizer": "rmsprop", "learning-rate": 0.01, "decay": 0.9, "momentum": 0.9, "epsilon": 1e-10},
        lambda: v1.train.RMSPropOptimizer(0.01, decay=0.9, momentum=0.9, epsilon=1e-10),
    ),
    "rmsprop-centered": (
        {"optimizer": "rmsprop", "learning-rate": 0.01, "decay": 0.9, "centered": True, "epsilon": 1e-3},
        lambda: v1.train.RMSPropOptimizer(0.01, decay=0.9, epsilon=1e-3, centered=True),
    ),
    "rmsprop-centered-momentum": (
        {"optimizer": "rmsprop", "learning-rate": 0.01, "decay": 0.9, "momentum": 0.9, "centered": True}
        | {"epsilon": 1e-10},
        lambda: v1.train.RMSPropOptimizer(0.01, decay=0.9, momentum=0.9, epsilon=1e-10, centered=True),
    ),
    "adam": (
        {"optimizer": "adam", "learning-rate": 0.001, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8},
        lambda: v1.train.AdamOptimizer(),
    ),
    "adam-epsilon": (
        {"optimizer": "adam", "learning-rate": 0.01, "beta1": 0.9, "beta2": 0.95, "epsilon": 1e-3},
        lambda: v1.train.AdamOptimizer(0.01, beta1=0.9, beta2=0.95, epsilon=1e-3),
    ),
}


def updates(make, start, gradients, dtype):
    """The vector after each update [UPDATES, n], and what the optimiser's slots held before the first."""
    v1.reset_default_graph()
    optimizer = make()
    variable = v1.Variable(start.astype(dtype.as_numpy_dtype))
    fed = v1.placeholder(dtype, start.shape)
    step = optimizer.apply_gradients([(fed, variable)])
    slots = {name: optimizer.get_slot(variable, name) for name in optimizer.get_slot_names()}
    values = []
    with session() as running:
        running.run(v1.global_variables_initializer())
        first = {name: float(value[0]) for name, value in running.run(slots).items()}
        for gradient in gradients:
            running.run(step, {fed: gradient})
            values.append(running.run(variable))
    return np.stack(values), first


def write_optimizer(label, config, make):
    name = f"tensorflow-optimizer-{label}"
    start, gradients = draw_gradients()
    reference, slots = updates(make, start, gradients, tf.float64)
    report(name, {"values": reference}, {"values": updates(make, start, gradients, tf.float32)[0]})
    tensors = {"start": start, "gradients": gradients, "values": reference}
    save(name, tensors, config, **SOURCE, dtype=STORED, initial_slots=json.dumps(slots))


for label, (config, make) in OPTIMIZERS.items():
    write_optimizer(label, config, make)
