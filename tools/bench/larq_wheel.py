"""Larq Compute Engine's own interpreter, out of its unpacked wheel: the judge of what the reference says.

    pip download --no-deps larq-compute-engine && unzip -d FOLDER larq_compute_engine-*.whl

The package imports TensorFlow when it is imported; its interpreter needs numpy alone, so the package is stood in for.
"""

from __future__ import annotations

import importlib
import sys
import types
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...runtime.errors import MissingToolError
from ...runtime.tflite_schema import read_model

Array = NDArray[Any]

KERNELS: Mapping[str, Mapping[str, bool]] = {
    "reference": {"use_reference_bconv": True},
    "default": {},
    "indirect": {"use_indirect_bgemm": True},
}
"""LCE's three convolutions of bits, by the option that chooses them."""

_PACKAGE = "larq_compute_engine"


def load(folder: Path) -> Any:
    """The class LCE's `Interpreter` from the folder a wheel was unpacked to.

    Raises:
        MissingToolError: it is not there, or does not fit this Python.
    """
    package = types.ModuleType(_PACKAGE)
    package.__path__ = [str(folder / _PACKAGE)]
    sys.modules[_PACKAGE] = package
    try:
        return importlib.import_module(f"{_PACKAGE}.tflite.python.interpreter").Interpreter
    except ImportError as error:
        raise MissingToolError(
            f"no interpreter of Larq Compute Engine: {error}",
            where=str(folder),
            hint="unpack the wheel of this Python version there",
        ) from error


def runner(interpreter: Any, data: bytes, kernel: str) -> Callable[[Array], Array]:
    """input -> output of a file in LCE with one of `KERNELS`, one thread."""
    opened = interpreter(data, num_threads=1, **KERNELS[kernel])

    def run(x: Array) -> Array:
        return np.asarray(opened.predict(x)).reshape(opened.output_shapes[0])

    return run


class Module:
    """LCE's interpreter in the place of a TFLite engine's module, for the built-in operators of a session."""

    class OpResolverType:
        """Named by sessions that keep inner tensors."""

        BUILTIN_WITHOUT_DEFAULT_DELEGATES = 0

    def __init__(self, interpreter: Any):
        self._interpreter = interpreter

    def Interpreter(self, model_content: bytes, num_threads: int, **_: Any) -> _Adapter:  # noqa: N802
        """As tflite-runtime's."""
        return _Adapter(self._interpreter, model_content, num_threads)


class _Adapter:
    """tensor numbers instead of positions."""

    def __init__(self, interpreter: Any, data: bytes, threads: int):
        graph = read_model(data).main
        self._opened = interpreter(data, num_threads=threads)
        self._inputs, self._outputs = list(graph.inputs), list(graph.outputs)
        self._shapes = [graph.tensors[index].shape for index in self._outputs]
        self._given: dict[int, Array] = {}
        self._made: dict[int, Array] = {}

    def allocate_tensors(self) -> None:
        """Done when it was opened."""

    def set_tensor(self, index: int, value: Array) -> None:
        """An input."""
        self._given[index] = value

    def invoke(self) -> None:
        """Run."""
        found = self._opened.predict([self._given[index] for index in self._inputs])
        values = found if isinstance(found, (list, tuple)) else [found]
        self._made = {
            index: np.asarray(value).reshape(shape)
            for index, value, shape in zip(self._outputs, values, self._shapes, strict=True)
        }

    def get_tensor(self, index: int) -> Array:
        """An output."""
        return self._made[index]
