"""Layers that run one step at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from . import _unrolled

Array = npt.NDArray[np.float32]


class Stream:
    """Layers that run one step at a time and keep their state. `LSTM.stream` and the others make
    it.

    A stream has the parameters that the layers had when it was made. It belongs to one thread at a
    time: a call during a call of another thread raises `unrolled.Error`.
    """

    def __init__(self, native: _unrolled.Stream) -> None:
        self._native = native

    def step(self, x: npt.ArrayLike) -> Array:
        """Runs one step: x [B, E], or [E] for one row. Returns y [B, O], or [O]."""
        return self._native.step(x)

    @property
    def batch(self) -> int:
        """The number of rows B."""
        return self._native.batch

    @property
    def state(self) -> Any:
        """The state: (h, c) of an LSTM, h of other layers, [L, B, H] each. It can be set."""
        h, c = self._native.state
        return h if c is None else (h, c)

    @state.setter
    def state(self, state: Any) -> None:
        h, c = state if isinstance(state, (tuple, list)) else (state, None)
        self._native.set_state(h, c)

    def reset(self, row: int | None = None) -> None:
        """Sets the state of one row to zero, or of all rows if `row` is None."""
        self._native.reset(row)
