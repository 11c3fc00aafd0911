"""One file opened in one engine: fed, invoked and read.

session = open_session(Path("model.tflite"))
outputs = session.run([image])                    # dtypes and axes as in the file
outputs = run_real(session, [image_float_nchw])   # real numbers, axes as in ONNX
"""

from __future__ import annotations

import abc
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Sequence

import numpy as np

from .artifact import Artifact, TensorSpec, detect_format, read_model_bytes
from .engines import choose_engine, engine_version, engines_for, installed_engines
from .errors import InputError, UsageError
from .real_values import run_real

if TYPE_CHECKING:
    Array = np.ndarray[Any, Any]

__all__ = ["Session", "engines_for", "installed_engines", "open_session", "run_real"]


class Session(abc.ABC):
    """A file ready to run.

    `set_inputs`, `invoke` and `outputs` are the three parts of `run`, so that a timing loop can put
    the clock around `invoke` alone. `load_ms` is what the engine took to open the file.
    """

    artifact: Artifact
    engine: str
    engine_version: str
    threads: int
    load_ms: float

    def run(self, inputs: Sequence[Array]) -> List[Array]:
        """Outputs for `inputs`, both with dtypes and axes as in the file; state starts from zero.

        Raises:
            InputError: wrong number of inputs, shape or dtype, or the engine cannot run them.
        """
        self.set_inputs(inputs)
        self.invoke()
        return self.outputs()

    def set_inputs(self, inputs: Sequence[Array]) -> None:
        """Check and hand over the inputs of the next `invoke`; resets the file's inner state."""
        arrays = [np.asarray(value) for value in inputs]
        check_inputs(self.artifact.inputs, arrays, str(self.artifact.path))
        self._set_inputs([np.ascontiguousarray(a).reshape(a.shape) for a in arrays])

    @abc.abstractmethod
    def _set_inputs(self, inputs: List[Array]) -> None:
        """Hand over checked, contiguous arrays."""

    @abc.abstractmethod
    def invoke(self) -> None:
        """Compute once with the inputs set last."""

    @abc.abstractmethod
    def outputs(self) -> List[Array]:
        """Copies of the outputs of the last `invoke`."""

    def intermediate(self, names: Sequence[str]) -> Dict[str, Array]:
        """Inner tensors of the last run by name, as stored.

        Raises:
            UsageError: this engine does not give them.
        """
        raise UsageError(
            f"the engine {self.engine} does not give inner tensors",
            where=str(self.artifact.path),
            hint="add the values to the graph's outputs, or use a TFLite engine",
        )


def open_session(path: Path, engine: Optional[str] = None, threads: int = 1) -> Session:
    """Open a file in an engine.

    Args:
        path: ONNX or TFLite file, or the folder of an exported C model, judged by its content.
        engine: "onnxruntime", "tflite", "litert", "native" or "lce-reference"; None for the
            format's first usable engine.
        threads: threads an operator may use; operators run one after the other.

    Raises:
        InputError: the file cannot be read, is damaged, or the engine refuses it.
        UsageError: unknown engine, one that does not run the format, or less than one thread.
        MissingToolError: the engine is not installed; the message says how to get it.
    """
    if threads < 1:
        raise UsageError(f"{threads} threads asked for", hint="use 1 or more")
    path = Path(path)
    data = read_model_bytes(path)
    fmt = detect_format(data, str(path))
    chosen, module = choose_engine(fmt, engine, str(path))
    made: Session
    if fmt == "onnx":
        from .session_onnx import OnnxSession

        made = OnnxSession(module, path, data, threads)
    elif fmt == "c":
        from .session_native import NativeSession

        made = NativeSession(path, data)
    elif fmt == "lce":
        from .session_lce import LceSession

        made = LceSession(module, path, data, threads)
    else:
        from .session_tflite import TfliteSession

        made = TfliteSession(module, path, data, threads)
    made.engine, made.engine_version, made.threads = chosen.name, engine_version(chosen), threads
    return made


def check_inputs(specs: Sequence[TensorSpec], arrays: Sequence[Array], where: str) -> None:
    """Raise `InputError` naming the input, what it takes and what was given."""
    if len(arrays) != len(specs):
        names = ", ".join(spec.name for spec in specs) or "none"
        raise InputError(f"takes {len(specs)} inputs ({names}), got {len(arrays)}", where=where)
    for spec, array in zip(specs, arrays):
        same_rank = len(spec.shape) == array.ndim
        fits = same_rank and all(n in (-1, m) for n, m in zip(spec.shape, array.shape))
        if not fits or array.dtype.name != spec.dtype:
            raise InputError(
                f"input '{spec.name}' takes {spec.dtype} {_shape(spec.shape)}, "
                f"got {array.dtype.name} {_shape(array.shape)}",
                where=where,
            )


def _shape(shape: Sequence[int]) -> str:
    return "[" + ", ".join("?" if n < 0 else str(n) for n in shape) + "]"
