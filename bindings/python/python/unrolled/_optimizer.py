"""Updates of parameters."""

from __future__ import annotations

from typing import Any

from . import _unrolled
from ._layers import GRU, LSTM, RNN
from ._settings import settings_json


class Optimizer:
    """Updates the parameters of layers from the gradients of their last backward pass, without
    copies.

    Args:
        layers: an `LSTM`, `GRU` or `RNN`.
        learning_rate: the learning rate. The attribute can be changed between steps.
        settings: the settings of the command line with "_" for "-": `optimizer` ("adam", "adamw",
            "adagrad", "rmsprop", "sgd"), `beta1`, `beta2`, `epsilon`, `momentum`, `weight_decay`,
            `clip` (5; 0 for none), ...
    """

    def __init__(
        self, layers: LSTM | GRU | RNN, learning_rate: float = 1e-3, **settings: Any
    ) -> None:
        self.learning_rate = learning_rate
        self._network = layers._network
        self._native = _unrolled.Optimizer(layers._network, settings_json(settings))

    def step(self) -> float:
        """Runs one step. Returns the norm of all gradients before clipping. If it is not finite,
        nothing changes.

        Raises:
            ValueError: if the layers have had no backward pass.
        """
        return self._native.step(self._network, self.learning_rate)
