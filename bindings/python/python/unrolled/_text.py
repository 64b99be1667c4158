"""Models of text."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from typing import Any, Union

from . import _unrolled
from ._settings import settings_json

Path = Union[str, "os.PathLike[str]"]


class LanguageModel:
    """A trained model of text.

    Args:
        path: a checkpoint, or the folder of a run. Of a folder it is the checkpoint with the lowest
            validation loss, or the last one if there is none.
        threads: number of threads; all cores if None. Results do not depend on it.
        precision: number format of the operands of products: "f32", "bf16", "int8", or that of the
            file if None: that of the run, and "int8" for quantized weights.

    Raises:
        ValueError: for another precision.
        OSError: for a file that cannot be read.
        unrolled.Error: for a file that is not a checkpoint.
    """

    def __init__(
        self, path: Path, *, threads: int | None = None, precision: str | None = None
    ) -> None:
        self._native = _unrolled.LanguageModel(os.fspath(path), threads, precision)

    @classmethod
    def _of(cls, native: _unrolled.LanguageModel) -> LanguageModel:
        model = cls.__new__(cls)
        model._native = native
        return model

    def __repr__(self) -> str:
        return (
            f"LanguageModel({self._native.parameters} parameters, {self._native.symbols} symbols)"
        )

    def sample(
        self,
        prompt: str = "",
        length: int = 500,
        temperature: float = 1.0,
        top_k: int | None = None,
        top_p: float | None = None,
        seed: int = 0,
        stop: str | None = None,
    ) -> str:
        """Draws text that continues `prompt`, and returns it without the prompt.

        Args:
            prompt: the text to continue. "" starts after a newline.
            length: number of symbols.
            temperature: divides the logits; 0 takes the most likely symbol.
            top_k: draws only among so many most likely symbols.
            top_p: draws only among the most likely symbols that together have this probability.
            seed: random seed. The same arguments give the same text.
            stop: ends the text after this text was drawn.

        Raises:
            ValueError: for an argument out of range, and for a symbol of `prompt` that the model
                does not know.
        """
        return self._native.sample(prompt, length, temperature, top_k, top_p, seed, stop)

    def evaluate(self, text: Path | Sequence[Path]) -> dict[str, Any]:
        """Computes the loss on text files.

        Returns:
            `loss` (nats per symbol), `bits_per_symbol`, `perplexity`, `accuracy` and `symbols`.
        """
        result: dict[str, Any] = json.loads(self._native.evaluate(_paths(text)))
        return result

    @property
    def settings(self) -> dict[str, Any]:
        """The settings of the run that trained the model."""
        return _settings(self._native.settings())

    @property
    def precision(self) -> str:
        """The number format of the operands of products."""
        return self._native.precision

    @property
    def symbols(self) -> int:
        """The number of symbols of the vocabulary."""
        return self._native.symbols

    @property
    def parameters(self) -> int:
        """The number of parameters."""
        return self._native.parameters


class Run:
    """A training run that has ended. `train` returns it."""

    def __init__(self, native: _unrolled.Run) -> None:
        self._native = native
        self._progress: dict[str, Any] = json.loads(native.progress())
        self.model = LanguageModel._of(native.model())
        """The trained model."""

    def __repr__(self) -> str:
        return f"Run({self.steps} steps, best validation loss {self.best_val_loss})"

    @property
    def steps(self) -> int:
        """The number of steps done."""
        return int(self._progress["step"])

    @property
    def seconds(self) -> float:
        """The time of training, without evaluations."""
        return float(self._progress["seconds"])

    @property
    def best_val_loss(self) -> float | None:
        """The lowest validation loss; None without an evaluation."""
        loss: float | None = self._progress["best_val_loss"]
        return loss

    @property
    def history(self) -> list[dict[str, Any]]:
        """The evaluations: `step`, `train_loss`, `val_loss`, `learning_rate`, ..."""
        history: list[dict[str, Any]] = self._progress["history"]
        return history

    @property
    def settings(self) -> dict[str, Any]:
        """All settings of the run."""
        return _settings(self._native.settings())

    def save(self, path: Path) -> None:
        """Writes a checkpoint that `LanguageModel` and the command line read."""
        self._native.save(os.fspath(path))


def train(
    text: Path | Sequence[Path],
    out: Path | None = None,
    on_step: Callable[[dict[str, Any]], object] | None = None,
    *,
    threads: int | None = None,
    **settings: Any,
) -> Run:
    """Trains a model of text.

    Args:
        text: a file or folder, or a list of them.
        out: a folder for checkpoints: `best.safetensors` (lowest validation loss) and
            `checkpoint.safetensors` (last). None writes no file.
        on_step: called after each step with a dict: `step`, `loss`, `gradient_norm`,
            `learning_rate`, and `val_loss` and `val_accuracy` (None without an evaluation at this
            step). If it returns False, the run ends.
        threads: number of threads; all cores if None. Results do not depend on it.
        settings: the settings of the command line with "_" for "-": `cell`, `hidden`, `layers`,
            `batch`, `steps`, `epochs`, `max_steps`, `learning_rate`, `dropout`, `precision`,
            `seed`, ...

    Ctrl-C ends the run between two steps, and during an evaluation. With `out`, a checkpoint is
    written first.

    Raises:
        ValueError: for an unknown setting, or a value out of range.
        OSError: for a file that cannot be read or written, or if `out` has a checkpoint already.
        unrolled.Error: for a text that cannot be trained on, and if training diverges.
    """
    folder = None if out is None else os.fspath(out)
    return Run(_unrolled.train(_paths(text), settings_json(settings), threads, folder, on_step))


def _paths(text: Path | Sequence[Path]) -> list[str]:
    paths = [text] if isinstance(text, (str, os.PathLike)) else list(text)
    if not paths:
        raise ValueError("found no paths, expected at least one file or folder")
    return [os.fspath(path) for path in paths]


def _settings(text: str) -> dict[str, Any]:
    return {name.replace("-", "_"): value for name, value in json.loads(text).items()}
