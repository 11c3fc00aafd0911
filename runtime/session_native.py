"""An exported C folder behind the `Session` interface: compiled once, loaded, one context a session.

Inputs and outputs are the caller's memory, so `invoke` copies nothing. One thread, whatever is asked for.
"""

from __future__ import annotations

import ctypes
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, List, Sequence

import numpy as np

from .artifact import describe_folder
from .c_folder import of_bytes
from .errors import InputError, UsageError
from .native import built_elsewhere, compile_folder
from .session import Session

if TYPE_CHECKING:
    Array = np.ndarray[Any, Any]

ALIGNMENT = 64
MEMBER_ALIGNMENT = 16
"""Of the members of a context."""


class NativeSession(Session):
    """A compiled model. Sessions of one folder share the code and nothing else."""

    def __init__(self, path: Path, data: bytes) -> None:
        start = time.perf_counter_ns()
        self.artifact = describe_folder(path, data)
        folder = of_bytes(data, str(path))
        library = built_elsewhere(data) or compile_folder(data, str(path))
        try:
            loaded = ctypes.CDLL(str(library))
            self._invoke = getattr(loaded, f"{folder.name}_invoke")
            self._reset = getattr(loaded, f"{folder.name}_reset") if folder.state_bytes else None
        except (OSError, AttributeError) as error:
            raise InputError(
                f"the compiled model does not load: {error}",
                where=str(path),
                hint="compile for this machine: check EDGEPRESS_CC and EDGEPRESS_CFLAGS",
            ) from error
        self._invoke.restype = ctypes.c_int
        arena = -(-max(folder.arena_bytes, 1) // MEMBER_ALIGNMENT) * MEMBER_ALIGNMENT
        self._context = aligned(arena + folder.state_bytes)
        self._begin()
        self._outputs = [_output(spec.shape, spec.dtype) for spec in self.artifact.outputs]
        self._out = _pointers(self._outputs)
        self._inputs: List[Array] = []
        self._in: Any = None
        self._done = False
        self.load_ms = (time.perf_counter_ns() - start) / 1e6

    def step(self, inputs: Sequence[Array]) -> List[Array]:
        """As `run`, but a streaming model goes on from the state that the last call left."""
        reset, self._reset = self._reset, None
        try:
            return self.run(inputs)
        finally:
            self._reset = reset

    def _begin(self) -> None:
        """Begin a stream, if the model has a state."""
        if self._reset is not None:
            self._reset(ctypes.c_void_p(self._context.ctypes.data))

    def _set_inputs(self, inputs: List[Array]) -> None:
        self._begin()
        self._inputs = [_aligned_copy(value) for value in inputs]
        self._in = _pointers(self._inputs)
        self._arguments = (ctypes.c_void_p(self._context.ctypes.data), self._in, self._out)

    def invoke(self) -> None:
        """Compute once with the inputs set last."""
        if self._in is None:
            raise UsageError("no inputs are set", where=str(self.artifact.path))
        self._invoke(*self._arguments)
        self._done = True

    def outputs(self) -> List[Array]:
        """Copies of the outputs of the last `invoke`."""
        if not self._done:
            raise UsageError("nothing was run yet", where=str(self.artifact.path))
        return [value.copy() for value in self._outputs]


def aligned(size: int) -> Array:
    """Zeroed bytes that begin at a multiple of `ALIGNMENT`."""
    raw = np.zeros(size + ALIGNMENT, np.uint8)
    start = -raw.ctypes.data % ALIGNMENT
    return raw[start : start + size]


def _output(shape: Any, dtype: str) -> Array:
    count = int(np.prod(shape, dtype=np.int64))
    kind = np.dtype(dtype)
    return aligned(count * kind.itemsize).view(kind).reshape(tuple(shape))


def _aligned_copy(value: Array) -> Array:
    made = _output(value.shape, value.dtype.name)
    made[...] = value
    return made


def _pointers(arrays: List[Array]) -> Any:
    return (ctypes.c_void_p * len(arrays))(*(array.ctypes.data for array in arrays))
