"""Layers on NumPy arrays."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from . import _unrolled
from ._stream import Array, Stream

Pair = tuple[npt.ArrayLike, npt.ArrayLike]
Self = TypeVar("Self", bound="_Layers")


class _Layers:
    """The shared part of `LSTM`, `GRU` and `RNN`."""

    def __init__(
        self, cell: str, seed: int, threads: int | None, precision: str, **shape: Any
    ) -> None:
        self._cell = cell
        self._options = {"seed": seed, "threads": threads, "precision": precision, **shape}
        full = {"cell": cell, "nonlinearity": "tanh", "reset_after": True, "proj_size": 0, **shape}
        for name in ("input_size", "hidden_size", "num_layers", "proj_size"):
            full[name] = _whole(name, full[name], 0 if name == "proj_size" else 1)
        for name in ("bias", "batch_first", "bidirectional", "reset_after"):
            full[name] = bool(full[name])
        seed = _whole("seed", seed)
        threads = None if threads is None else _whole("threads", threads, 1)
        self.input_size: int = full["input_size"]
        self.hidden_size: int = full["hidden_size"]
        self.num_layers: int = full["num_layers"]
        self.bias: bool = full["bias"]
        self.batch_first: bool = full.pop("batch_first")
        self.dropout: float = full["dropout"]
        self.bidirectional: bool = full["bidirectional"]
        self.proj_size: int = full["proj_size"]
        self.precision = precision
        self.training = True
        self._network = _unrolled.Network(full, seed, threads, precision)  # type: ignore[arg-type]
        self._names = self._network.names()

    def __repr__(self) -> str:
        given = ", ".join(f"{name}={value!r}" for name, value in self._options.items())
        return f"{type(self).__name__}({given})"

    def train(self: Self, mode: bool = True) -> Self:
        """Turns dropout on, and makes calls keep what `backward` needs. Layers start in this
        mode."""
        self.training = bool(mode)
        return self

    def eval(self: Self) -> Self:
        """Turns dropout off. Calls then keep nothing and need less memory."""
        return self.train(False)

    def state_dict(self) -> dict[str, Array]:
        """Returns copies of the parameters, with the names and shapes of PyTorch."""
        return {name: values for (name, _), values in zip(self._names, self._network.parameters())}

    def load_state_dict(self, state_dict: Mapping[str, npt.ArrayLike], strict: bool = True) -> None:
        """Takes over parameters.

        Args:
            state_dict: arrays, or tensors of PyTorch, by name.
            strict: False to ignore unknown names and to keep parameters that are missing.

        Raises:
            ValueError: for a missing or unknown name (if `strict`), a wrong shape, or a value that
                is not finite. The parameters are then as before.
        """
        known = [name for name, _ in self._names]
        missing = [name for name in known if name not in state_dict]
        unknown = [name for name in state_dict if name not in known]
        if strict and (missing or unknown):
            found = (
                f"no {', '.join(missing)}"
                if missing
                else f"{', '.join(unknown)}, which these layers do not have"
            )
            raise ValueError(
                f"found {found}; expected {', '.join(known)}; pass strict=False to take what fits"
            )
        values = self._network.parameters()
        for place, name in enumerate(known):
            if name in state_dict:
                values[place] = _finite(name, state_dict[name])
        self._network.load(values, True)

    def stream(self, batch: int = 1) -> Stream:
        """Returns a stream of `batch` rows that starts from the zero state. It has a copy of the
        current parameters.

        Raises:
            ValueError: for bidirectional layers, which read their inputs from the end.
        """
        if self.bidirectional:
            raise ValueError(
                "found bidirectional layers, expected layers of one direction; run whole windows"
            )
        return Stream(self._network.stream(_whole("batch", batch)), self._cell == "lstm")

    def _backward(
        self, dy: npt.ArrayLike, dstate: tuple[npt.ArrayLike | None, npt.ArrayLike | None]
    ) -> tuple[Array, Array, Array | None, dict[str, Array]]:
        dx, dh0, dc0, gradients = self._network.backward(dy, dstate)
        return dx, dh0, dc0, {name: values for (name, _), values in zip(self._names, gradients)}

    def __getstate__(self) -> dict[str, Any]:
        return {
            "options": self._options,
            "training": self.training,
            "parameters": self._network.parameters(),
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        type(self).__init__(self, **state["options"])
        self.training = state["training"]
        self._network.load(state["parameters"], True)


class LSTM(_Layers):
    """LSTM layers with the constructor, parameters and results of `torch.nn.LSTM`.

    Args:
        input_size: width E of the inputs.
        hidden_size: number of hidden units H.
        num_layers: number of layers L.
        bias: False for layers without biases.
        batch_first: True if x and y are [B, T, ..] instead of [T, B, ..].
        dropout: share of the outputs of each layer but the last that training drops, from 0 to
            below 1.
        bidirectional: True if each layer reads its inputs in both directions.
        proj_size: width P of a projection of the hidden state; 0 for none.
        seed: random seed of the initial parameters and of dropout.
        threads: number of threads; all cores if None. Results do not depend on it.
        precision: number format of the operands of products: "f32", or "bf16", which is faster on
            processors with AVX-512 BF16 and less exact. Arrays are float32 in both.

    One call runs at a time: calls from several threads wait for each other.

    Example:
        >>> import numpy as np, unrolled
        >>> rnn = unrolled.LSTM(3, 8)
        >>> y, (h, c) = rnn(np.zeros((5, 2, 3), np.float32))
        >>> y.shape, h.shape
        ((5, 2, 8), (1, 2, 8))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        *,
        seed: int = 1,
        threads: int | None = None,
        precision: str = "f32",
    ) -> None:
        super().__init__(
            "lstm",
            seed,
            threads,
            precision,
            input_size=input_size,
            hidden_size=hidden_size,
            num_layers=num_layers,
            bias=bias,
            batch_first=batch_first,
            dropout=dropout,
            bidirectional=bidirectional,
            proj_size=proj_size,
        )

    def __call__(
        self,
        x: npt.ArrayLike,
        state: Pair | None = None,
        lengths: Iterable[int] | None = None,
    ) -> tuple[Array, tuple[Array, Array]]:
        """Runs a window.

        Args:
            x: [T, B, E], or [B, T, E] with `batch_first`, or [T, E] for one row.
            state: the initial state (h, c), [L D, B, P or H] and [L D, B, H]; without B for one
                row. Zero if None.
            lengths: the number of steps of each row, from 0 to T. Inputs beyond them are not read,
                and outputs there are 0. A row of length 0 keeps its initial state. Rows need not be
                sorted.

        Returns:
            The outputs y, shaped as x with O values instead of E, and the last state (h, c).
        """
        y, h_n, c_n = self._network.forward(
            x, self.batch_first, lengths, _pair(state, "state"), self.training
        )
        assert c_n is not None
        return y, (h_n, c_n)

    def backward(
        self,
        dy: npt.ArrayLike,
        dstate: tuple[npt.ArrayLike | None, npt.ArrayLike | None] | None = None,
    ) -> tuple[Array, tuple[Array, Array], dict[str, Array]]:
        """Runs the backward pass of the last call in training mode. Each call has one backward
        pass.

        Args:
            dy: the gradient of the outputs y.
            dstate: the gradients (dh, dc) of the last state; zero if None.

        Returns:
            The gradients of x, of the initial state (h, c), and of the parameters by name.

        Raises:
            ValueError: without a call in training mode, after another backward pass, or for a wrong
                shape.
        """
        dx, dh0, dc0, gradients = self._backward(dy, _pair(dstate, "dstate"))
        assert dc0 is not None
        return dx, (dh0, dc0), gradients


class _OneState(_Layers):
    """Layers whose state is h alone."""

    def __call__(
        self,
        x: npt.ArrayLike,
        state: npt.ArrayLike | None = None,
        lengths: Iterable[int] | None = None,
    ) -> tuple[Array, Array]:
        """Runs a window.

        Args:
            x: [T, B, E], or [B, T, E] with `batch_first`, or [T, E] for one row.
            state: the initial state h [L D, B, H]; without B for one row. Zero if None.
            lengths: the number of steps of each row, from 0 to T. Inputs beyond them are not read,
                and outputs there are 0. A row of length 0 keeps its initial state. Rows need not be
                sorted.

        Returns:
            The outputs y, shaped as x with O values instead of E, and the last state h.
        """
        y, h_n, _ = self._network.forward(
            x, self.batch_first, lengths, (state, None), self.training
        )
        return y, h_n

    def backward(
        self, dy: npt.ArrayLike, dstate: npt.ArrayLike | None = None
    ) -> tuple[Array, Array, dict[str, Array]]:
        """Runs the backward pass of the last call in training mode. Each call has one backward
        pass.

        Args:
            dy: the gradient of the outputs y.
            dstate: the gradient of the last state; zero if None.

        Returns:
            The gradients of x, of the initial state, and of the parameters by name.

        Raises:
            ValueError: without a call in training mode, after another backward pass, or for a wrong
                shape.
        """
        dx, dh0, _, gradients = self._backward(dy, (dstate, None))
        return dx, dh0, gradients


class GRU(_OneState):
    """GRU layers with the constructor, parameters and results of `torch.nn.GRU`.

    Args:
        reset_after: True if the reset gate is applied after the recurrent product, as in PyTorch,
            cuDNN and Keras 3.
            False: before it, as in TensorFlow 1.

    The other arguments are those of `LSTM`, without `proj_size`.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        reset_after: bool = True,
        seed: int = 1,
        threads: int | None = None,
        precision: str = "f32",
    ) -> None:
        super().__init__(
            "gru",
            seed,
            threads,
            precision,
            input_size=input_size,
            hidden_size=hidden_size,
            num_layers=num_layers,
            bias=bias,
            batch_first=batch_first,
            dropout=dropout,
            bidirectional=bidirectional,
            reset_after=reset_after,
        )


class RNN(_OneState):
    """RNN layers with the constructor, parameters and results of `torch.nn.RNN`.

    Args:
        nonlinearity: "tanh" or "relu".

    The other arguments are those of `LSTM`, without `proj_size`.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        *,
        seed: int = 1,
        threads: int | None = None,
        precision: str = "f32",
    ) -> None:
        super().__init__(
            "rnn",
            seed,
            threads,
            precision,
            input_size=input_size,
            hidden_size=hidden_size,
            num_layers=num_layers,
            nonlinearity=nonlinearity,
            bias=bias,
            batch_first=batch_first,
            dropout=dropout,
            bidirectional=bidirectional,
        )


def _pair(
    state: tuple[Any, Any] | None, name: str
) -> tuple[npt.ArrayLike | None, npt.ArrayLike | None]:
    if state is None:
        return None, None
    if not isinstance(state, (tuple, list)) or len(state) != 2:
        raise ValueError(f"found {name} of type {type(state).__name__}, expected a pair (h, c)")
    return state[0], state[1]


def _whole(name: str, value: Any, least: int = 0) -> int:
    try:
        number = operator.index(value)
    except TypeError:
        number = -1
    if not least <= number < 2**64:
        raise ValueError(f"found {name} = {value!r}, expected a whole number of at least {least}")
    return number


def _finite(name: str, values: Any) -> npt.NDArray[Any]:
    array = np.asarray(values)
    if array.dtype.kind == "f":
        with np.errstate(over="ignore"):  # a number too large for float32 is not finite
            array = array.astype(np.float32, copy=False)
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ValueError(
            f"found a value in {name} that is not finite, expected finite numbers; load other weights"
        )
    return array
