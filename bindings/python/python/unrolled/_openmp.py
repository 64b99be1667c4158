"""The threads of OpenMP, which PyTorch uses.

After an operation on several threads, those of OpenMP wait for the next one. For milliseconds they
do so in a loop, which keeps the cores busy that unrolled needs. `stop` ends these threads. PyTorch's
next operation starts new ones.
"""

from __future__ import annotations

import ctypes
import os
from typing import Any

_SOFT = 1
_LIBRARIES = ("libgomp", "libiomp5", "libomp")
_PROCESS = os.getpid()


def _find() -> list[Any]:
    """Returns `omp_pause_resource_all` of each OpenMP library that this process has loaded."""
    try:
        with open("/proc/self/maps") as maps:
            paths = {line.split(maxsplit=5)[-1].strip() for line in maps if "/" in line}
    except OSError:  # not Linux
        return []
    names = [path for path in sorted(paths) if os.path.basename(path).startswith(_LIBRARIES)]
    libraries = [ctypes.CDLL(name) for name in names]
    return [
        library.omp_pause_resource_all
        for library in libraries
        if hasattr(library, "omp_pause_resource_all")
    ]


_PAUSES = _find()


def stop() -> None:
    """Ends the waiting threads of OpenMP. Does nothing in a forked process, which has none of them."""
    if os.getpid() == _PROCESS:
        for pause in _PAUSES:
            pause(_SOFT)
