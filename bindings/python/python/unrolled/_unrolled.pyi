"""The native part of the package. `unrolled` is its public form."""

from collections.abc import Callable, Sequence
from typing import Any, TypedDict, final

import numpy as np
import numpy.typing as npt

_Array = npt.NDArray[np.float32]
_State = tuple[npt.ArrayLike | None, npt.ArrayLike | None]  # h and c

__all__ = [
    "Error",
    "LanguageModel",
    "Model",
    "Network",
    "Optimizer",
    "Run",
    "Stream",
    "__version__",
    "check_precision",
    "isa",
    "train",
]

__version__: str

class Error(Exception): ...

class _Shape(TypedDict):
    cell: str
    nonlinearity: str
    reset_after: bool
    input_size: int
    hidden_size: int
    num_layers: int
    bias: bool
    dropout: float
    bidirectional: bool
    proj_size: int

def check_precision(name: str) -> None: ...
def isa() -> str: ...

@final
class Network:
    def __new__(cls, shape: _Shape, seed: int, threads: int | None, precision: str) -> Network: ...
    def names(self) -> list[tuple[str, list[int]]]: ...
    def parameters(self) -> list[_Array]: ...
    def load(self, parameters: Sequence[npt.ArrayLike], force: bool) -> None: ...
    def forward(
        self,
        x: npt.ArrayLike,
        batch_first: bool,
        lengths: Any | None,
        state: _State,
        training: bool,
    ) -> tuple[_Array, _Array, _Array | None]: ...
    def forward_torch(
        self,
        x: npt.ArrayLike,
        batch_first: bool,
        batch_sizes: Any | None,
        state: _State,
        training: bool,
        dropout_seed: int | None,
    ) -> tuple[_Array, _Array, _Array | None]: ...
    def backward(
        self, dy: npt.ArrayLike, dstate: _State
    ) -> tuple[_Array, _Array, _Array | None, list[_Array]]: ...
    def stream(self, batch: int) -> Stream: ...

@final
class Stream:
    def step(self, x: npt.ArrayLike) -> _Array: ...
    @property
    def state(self) -> tuple[_Array, _Array | None]: ...
    def set_state(self, state: _State) -> None: ...
    def reset(self, row: int | None = None) -> None: ...
    @property
    def batch(self) -> int: ...

@final
class Optimizer:
    def __new__(cls, network: Network, settings: str) -> Optimizer: ...
    def step(self, network: Network, learning_rate: float) -> float: ...

@final
class LanguageModel:
    def __new__(cls, path: str, threads: int | None, precision: str | None) -> LanguageModel: ...
    def sample(
        self,
        prompt: str,
        length: int,
        temperature: float,
        top_k: int | None,
        top_p: float | None,
        seed: int,
        stop: str | None,
    ) -> str: ...
    def evaluate(self, paths: list[str]) -> str: ...
    def settings(self) -> str: ...
    @property
    def precision(self) -> str: ...
    @property
    def symbols(self) -> int: ...
    @property
    def parameters(self) -> int: ...

@final
class Model:
    def __new__(
        cls, settings: str, symbols: int, tensors: Sequence[tuple[str, npt.ArrayLike]]
    ) -> Model: ...
    @staticmethod
    def load(path: str, ignore: list[str]) -> Model: ...
    def forward(self, x: npt.ArrayLike, batch_first: bool) -> _Array: ...
    def save(self, path: str) -> None: ...
    def names(self) -> list[tuple[str, list[int]]]: ...
    def parameters(self) -> list[_Array]: ...
    @property
    def last_step(self) -> bool: ...
    @property
    def input_size(self) -> int: ...
    @property
    def output_size(self) -> int: ...
    @property
    def symbols(self) -> int: ...

@final
class Run:
    def model(self) -> LanguageModel: ...
    def progress(self) -> str: ...
    def settings(self) -> str: ...
    def save(self, path: str) -> None: ...

def train(
    paths: list[str],
    settings: str,
    threads: int | None,
    out: str | None,
    on_step: Callable[[dict[str, Any]], object] | None,
) -> Run: ...
