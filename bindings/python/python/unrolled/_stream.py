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

    def __init__(self, native: _unrolled.Stream, has_cell_state: bool) -> None:
        self._native = native
        self._has_cell_state = has_cell_state

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
        if not self._has_cell_state:
            self._native.set_state((state, None))
        elif isinstance(state, (tuple, list)) and len(state) == 2:
            self._native.set_state((state[0], state[1]))
        else:
            raise ValueError(
                f"found a state of type {type(state).__name__}, expected a pair (h, c)"
            )

    def reset(self, row: int | None = None) -> None:
        """Sets the state of one row to zero, or of all rows if `row` is None."""
        if row is not None and row < 0:
            raise ValueError(f"found row {row}, expected a row below {self.batch}")
        self._native.reset(row)
