"""The layers as PyTorch modules: `LSTM`, `GRU` and `RNN` in place of those of `torch.nn`.

    rnn = unrolled.torch.LSTM(128, 512, num_layers=2)    # instead of torch.nn.LSTM(...)
    model = unrolled.torch.accelerate(model)             # or all layers of a model at once

They are subclasses of `torch.nn.LSTM`, `GRU` and `RNN`: constructor, parameters, `state_dict`,
calls and gradients are the same. Only the computation of float32 tensors on the CPU is different.
In these cases PyTorch's own code runs: other devices and dtypes, autocast, `torch.compile`, tracing
and export, the transforms of `torch.func`, forward-mode derivatives, and `dropout=1`.

- Dropout masks come from PyTorch's random generator, but are not those of `torch.nn`.
- The number of threads is `torch.get_num_threads()`. Results do not depend on it.
- `LSTM(..., precision="bf16")` and `accelerate(model, precision="bf16")` round the operands of
  products to bfloat16. Tensors and parameters stay float32. PyTorch's own code ignores it.
- Before a large computation on several threads, the module stops the waiting threads of OpenMP, on
  which PyTorch's operations run (`omp_pause_resource_all`), because they would keep the cores busy.
- Second derivatives (`create_graph=True`) are an error.
- Parameters are copied when their version changes, which every operation of PyTorch does, after
  each backward pass, and if a few of their values differ. After other changes through `.data`, call
  `flatten_parameters()`.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Sequence
from typing import Any, Optional, TypeVar

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.nn.utils.rnn import PackedSequence

from . import _openmp, _unrolled

__all__ = ["GRU", "LSTM", "RNN", "accelerate"]

Module = TypeVar("Module", bound=nn.Module)
Grads = tuple[Optional[Tensor], ...]

_CELLS = {"LSTM": "lstm", "GRU": "gru", "RNN_TANH": "rnn", "RNN_RELU": "rnn"}
# Unused networks that a module keeps for later calls. It needs one for each call whose backward
# pass is pending; a loop of single steps has as many as it has steps.
_MOST_FREE = 64
# Multiplications of a forward pass beyond which the threads of OpenMP are stopped.
_LARGE = 20_000_000


class _Networks:
    """The networks of a module. A network has copies of the parameters, and the activations of one
    call.

    Copies of a module (deepcopy, pickle) start without networks.
    """

    def __init__(self) -> None:
        self.free: list[_Network] = []
        # Counts the backward passes, after which an optimizer may change parameters unseen.
        self.backward_passes = 0
        self._places: tuple[int, ...] = ()
        self._views: list[Any] = []
        # The end of a graph may give a network back in the middle of `take`, on the same thread.
        self._lock = threading.RLock()

    def __deepcopy__(self, memo: dict[int, Any]) -> _Networks:
        return _Networks()

    def __reduce__(self) -> tuple[type[_Networks], tuple[()]]:
        return _Networks, ()

    def take(self, module: Any, weights: Sequence[Tensor]) -> _Network:
        """Returns a network with the current parameters that no other call uses."""
        kind = torch.get_num_threads(), module.precision
        version = self._version(weights)
        with self._lock:
            network = self._find(version, kind) or _Network(module, kind)
            network.load(self._arrays(weights), version)
        return network

    def give_back(self, network: _Network) -> None:
        with self._lock:
            if len(self.free) < _MOST_FREE:
                self.free.append(network)

    def _find(self, version: object, kind: tuple[int, str]) -> _Network | None:
        """Takes an unused network, one with the current parameters if there is one."""
        self.free = [network for network in self.free if network.kind == kind]
        if not self.free:
            return None
        current = (i for i, network in enumerate(self.free) if network.version == version)
        return self.free.pop(next(current, -1))

    def _version(self, weights: Sequence[Tensor]) -> object:
        if any(weight.is_inference() for weight in weights):
            return None
        return self.backward_passes, [(weight.data_ptr(), weight._version) for weight in weights]

    def _arrays(self, weights: Sequence[Tensor]) -> list[Any]:
        """Returns the memory of the parameters as NumPy arrays."""
        places = tuple(weight.data_ptr() for weight in weights)
        if places != self._places or not all(weight.is_contiguous() for weight in weights):
            self._views = [weight.detach().contiguous().numpy() for weight in weights]
            self._places = places if all(weight.is_contiguous() for weight in weights) else ()
        return self._views


class _Network:
    """A native network, and the version of the parameters that it has."""

    def __init__(self, module: nn.RNNBase, kind: tuple[int, str]) -> None:
        shape = {
            "cell": _CELLS[module.mode],
            "nonlinearity": "relu" if module.mode == "RNN_RELU" else "tanh",
            "reset_after": True,
            "input_size": module.input_size,
            "hidden_size": module.hidden_size,
            "num_layers": module.num_layers,
            "bias": module.bias,
            "dropout": module.dropout,
            "bidirectional": bool(module.bidirectional),
            "proj_size": module.proj_size,
        }
        threads, precision = kind
        self.native = _unrolled.Network(shape, 0, threads, precision)  # type: ignore[arg-type]
        self.kind = kind
        self.version: object = None

    def load(self, arrays: list[Any], version: object) -> None:
        self.native.load(arrays, version is None or version != self.version)
        self.version = version


class _Lease:
    """A network that holds the activations of one call, until the backward pass or the end of the
    graph."""

    def __init__(self, networks: _Networks, network: _Network) -> None:
        self._networks = networks
        self.network = network

    def __del__(self) -> None:
        self._networks.give_back(self.network)


class _Call:
    """The arguments of a call that are not tensors of the graph."""

    def __init__(self, module: Any, batch_sizes: Tensor | None) -> None:
        self.module = module
        self.batch_sizes = batch_sizes
        dropping = module.training and module.dropout > 0 and module.num_layers > 1
        self.is_large = False
        self.seed = int(torch.randint(2**62, ())) if dropping else None

    def forward(
        self, keep: bool, x: Tensor, h: Tensor | None, c: Tensor | None, weights: Sequence[Tensor]
    ) -> Any:
        """Runs the layers. Returns the lease of the network and the outputs."""
        networks = self.module._unrolled
        lease = _Lease(networks, networks.take(self.module, weights))
        native = lease.network.native
        self.is_large = _is_large(x, weights)
        if self.is_large:
            _openmp.stop()
        batch_sizes = None if self.batch_sizes is None else self.batch_sizes.numpy()
        state = _array(h), _array(c)
        outputs = native.forward_torch(
            _array(x), self.module.batch_first, batch_sizes, state, keep, self.seed
        )
        return lease, tuple(torch.from_numpy(output) for output in outputs if output is not None)


class _Function(torch.autograd.Function):
    """The layers as one node of PyTorch's graph."""

    @staticmethod
    def forward(
        ctx: Any, call: _Call, x: Tensor, h: Tensor | None, c: Tensor | None, *weights: Tensor
    ) -> Any:
        ctx.call = call
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(x, h, c, *weights)
        ctx.lease, outputs = call.forward(True, x, h, c, weights)
        return outputs

    @staticmethod
    def backward(ctx: Any, dy: Tensor | None, dh: Tensor | None, dc: Tensor | None = None) -> Grads:
        if torch.is_grad_enabled():
            raise RuntimeError(
                "found create_graph=True, expected False: unrolled has no second derivatives; "
                f"use torch.nn.{type(ctx.call.module).__name__} for them"
            )
        x, h, c, *weights = ctx.saved_tensors
        lease, ctx.lease = ctx.lease, None
        if lease is None:  # another backward pass of the same graph
            lease, _ = ctx.call.forward(True, x, h, c, weights)
        ctx.call.module._unrolled.backward_passes += 1
        if dy is None:
            module = ctx.call.module
            width = (module.proj_size or module.hidden_size) * (2 if module.bidirectional else 1)
            dy = x.new_zeros((*x.shape[:-1], width))
        if ctx.call.is_large:
            _openmp.stop()
        dstate = _array(dh), _array(dc)
        dx, dh0, dc0, gradients = lease.network.native.backward(_array(dy), dstate)
        found = (dx, dh0, dc0, *gradients)
        needed = ctx.needs_input_grad[1:]
        return (
            None,
            *(torch.from_numpy(array) if needs else None for array, needs in zip(found, needed)),
        )


def _is_large(x: Tensor, weights: Sequence[Tensor]) -> bool:
    """Returns whether several threads compute for much longer than OpenMP takes to start its
    own."""
    if torch.get_num_threads() == 1:
        return False
    return sum(weight.numel() for weight in weights) * (x.numel() // x.shape[-1]) > _LARGE


def _array(tensor: Tensor | None) -> Any:
    return None if tensor is None else tensor.detach().contiguous().numpy()


class _Layers(nn.RNNBase):
    """The shared part of the three modules. The next class in line is one of `torch.nn`."""

    _unrolled: _Networks
    # The number format of the operands of products. Modules that were pickled before lack it.
    precision: str = "f32"

    def __init__(self, *args: Any, precision: str = "f32", **kwargs: Any) -> None:
        _unrolled.check_precision(precision)
        super().__init__(*args, **kwargs)
        self.precision = precision
        self._unrolled = _Networks()

    def extra_repr(self) -> str:
        more = "" if self.precision == "f32" else f", precision={self.precision!r}"
        return super().extra_repr() + more

    def flatten_parameters(self) -> None:
        """Takes over the parameters again at the next call. PyTorch's own code calls it on some
        devices."""
        super().flatten_parameters()
        if "_unrolled" in self.__dict__:
            for network in self._unrolled.free:
                network.version = None

    def forward(self, input: Any, hx: Any = None) -> Any:
        """Runs the layers on a tensor or a `PackedSequence`, as the class of `torch.nn` does."""
        x = input.data if isinstance(input, PackedSequence) else input
        if not self._fits(x, hx):
            return super().forward(input, hx)
        self._update_flat_weights()
        if isinstance(input, PackedSequence):
            return self._forward_packed(input, hx)
        return self._forward_window(input, hx)

    def _fits(self, x: Tensor, hx: Any) -> bool:
        """Returns whether the native code can run the call. Wrong arguments go to PyTorch, for its
        messages."""
        tensors = (x, *_parts(hx), *self._flat_weights)
        return (
            all(
                isinstance(t, Tensor)
                and t.dtype == torch.float32
                and t.device.type == "cpu"
                and t.layout == torch.strided
                for t in tensors
            )
            and x.numel() > 0
            and self.dropout < 1
            and not _is_transformed()
        )

    def _forward_window(self, x: Tensor, hx: Any) -> Any:
        is_batched = x.dim() == 3
        if x.dim() not in (2, 3) or any(part.dim() != x.dim() for part in _parts(hx)):
            return super().forward(x, hx)
        rows = 0 if self.batch_first else 1
        if not is_batched:
            x = x.unsqueeze(rows)
            hx = _each(hx, lambda part: part.unsqueeze(1))
        self._check(x, hx, None)
        y, h_n = self._run(x, hx, None)
        if not is_batched:
            y, h_n = y.squeeze(rows), _each(h_n, lambda part: part.squeeze(1))
        return y, h_n

    def _forward_packed(self, packed: PackedSequence, hx: Any) -> Any:
        x, batch_sizes, sorted_indices, unsorted_indices = packed
        if hx is not None:
            hx = self.permute_hidden(hx, sorted_indices)
        self._check(x, hx, batch_sizes)
        y, h_n = self._run(x, hx, batch_sizes)
        packed_y = PackedSequence(y, batch_sizes, sorted_indices, unsorted_indices)
        return packed_y, self.permute_hidden(h_n, unsorted_indices)

    def _check(self, x: Tensor, hx: Any, batch_sizes: Tensor | None) -> None:
        self.check_input(x, batch_sizes)
        if hx is not None:
            self.check_forward_args(x, hx, batch_sizes)

    def _run(self, x: Tensor, hx: Any, batch_sizes: Tensor | None) -> Any:
        is_lstm = self.mode == "LSTM"
        h, c = (hx if is_lstm else (hx, None)) if hx is not None else (None, None)
        weights = self._flat_weights
        call = _Call(self, batch_sizes)
        if torch.is_grad_enabled() and any(
            t is not None and t.requires_grad for t in (x, h, c, *weights)
        ):
            outputs = _Function.apply(call, x, h, c, *weights)
        else:
            _, outputs = call.forward(call.seed is not None, x, h, c, weights)
        y, *h_n = outputs
        return y, tuple(h_n) if is_lstm else h_n[0]


class LSTM(_Layers, nn.LSTM):
    """`torch.nn.LSTM`, computed by unrolled. Arguments, parameters and results are the same."""


class GRU(_Layers, nn.GRU):
    """`torch.nn.GRU`, computed by unrolled. Arguments, parameters and results are the same."""


class RNN(_Layers, nn.RNN):
    """`torch.nn.RNN`, computed by unrolled. Arguments, parameters and results are the same."""


_FASTER: dict[type[nn.Module], type[_Layers]] = {nn.LSTM: LSTM, nn.GRU: GRU, nn.RNN: RNN}


def accelerate(model: Module, precision: str = "f32") -> Module:
    """Replaces every `torch.nn.LSTM`, `GRU` and `RNN` inside `model`, and returns the model.

    The new modules share the parameters and the hooks of the old ones, so an optimizer that was
    made before goes on. If `model` itself is such a layer, the result is its replacement.
    Subclasses of these classes stay as they are. `precision` is that of the new modules.
    """
    _unrolled.check_precision(precision)
    made: dict[int, nn.Module] = {}

    def replace(module: nn.Module) -> nn.Module:
        if id(module) not in made:
            faster = _FASTER.get(type(module))
            made[id(module)] = module if faster is None else _as(faster, module, precision)
            for name, child in module._modules.items():
                if child is not None:
                    module._modules[name] = replace(child)
        return made[id(module)]

    return replace(model)  # type: ignore[return-value]


def _as(faster: type[_Layers], module: nn.Module, precision: str) -> _Layers:
    """Returns a module of a class with the parameters and options of another module."""
    new = faster.__new__(faster)
    containers = (dict, list, set)
    for name, value in module.__dict__.items():
        new.__dict__[name] = copy.copy(value) if isinstance(value, containers) else value
    new.__dict__.update(_unrolled=_Networks(), precision=precision)
    return new


def _parts(hx: Any) -> Sequence[Any]:
    """Returns the tensors of a state."""
    return hx if isinstance(hx, (tuple, list)) else () if hx is None else (hx,)


def _each(hx: Any, change: Any) -> Any:
    if hx is None:
        return None
    return tuple(change(part) for part in hx) if isinstance(hx, (tuple, list)) else change(hx)


def _is_transformed() -> bool:
    """Returns whether PyTorch records the call for a later run, differentiates it in another way
    than from the outputs back, or would change its dtypes."""
    compiler = getattr(torch, "compiler", None)
    compiling = compiler is not None and getattr(compiler, "is_compiling", lambda: False)()
    return bool(
        compiling
        or torch.jit.is_tracing()  # type: ignore[no-untyped-call, unused-ignore]
        or torch.jit.is_scripting()
        or torch._C._are_functorch_transforms_active()
        or forward_ad._current_level >= 0
        or _is_autocast()
    )


def _is_autocast() -> bool:
    try:
        return torch.is_autocast_enabled("cpu")
    except TypeError:  # before PyTorch 2.4
        return torch.is_autocast_cpu_enabled()
