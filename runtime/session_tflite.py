"""tflite-runtime and ai-edge-litert behind the `Session` interface; their Interpreter is the same.

A file is read by our own parser first and checked: tflite-runtime trusts what a file claims, and a
hostile or damaged one would end the process.
"""

from __future__ import annotations

import difflib
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Sequence, Tuple

import numpy as np

from .artifact import describe
from .errors import InputError, UsageError
from .session import Session
from .specs import tflite_specs
from .tflite_assumptions import check_assumptions
from .tflite_guard import ENGINE_ERRORS, guarded
from .tflite_model import TfliteModel
from .tflite_outputs import with_inner_outputs
from .tflite_schema import read_model

if TYPE_CHECKING:
    Array = np.ndarray[Any, Any]


class TfliteSession(Session):
    """A file in an Interpreter with the engine's default delegates."""

    def __init__(self, module: Any, path: Path, data: bytes, threads: int) -> None:
        self._model: TfliteModel = read_model(data, str(path))
        check_assumptions(self._model, str(path))
        self.artifact = describe(path, data, tflite_specs(self._model))
        self._module, self._data, self.threads = module, data, threads
        self._interpreter, self.load_ms = self._open()
        # Not by the interpreter's details: they raise where a name is not UTF-8.
        main = self._model.main
        self._input_indices, self._output_indices = list(main.inputs), list(main.outputs)
        self._stored_shapes = [main.tensors[index].shape for index in main.inputs]
        self._shapes = self._stored_shapes
        self._stateful = any(t.is_variable for g in self._model.subgraphs for t in g.tensors)
        self._inspector: Any = None
        self._inspected_shapes = self._stored_shapes
        self._inputs: Optional[List[Array]] = None

    def _open(self, keep_all: bool = False) -> Tuple[Any, float]:
        """(new Interpreter with memory allocated, ms); `keep_all` keeps inner tensors, without delegates."""
        options: Dict[str, Any] = {"model_content": self._data, "num_threads": self.threads}
        if keep_all:
            kept = with_inner_outputs(self._data, self._model, str(self.artifact.path))
            options["model_content"] = kept
            options["experimental_preserve_all_tensors"] = True
            options["experimental_op_resolver_type"] = (
                self._module.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
            )
        opened: Tuple[Any, float] = self._guarded(
            "refuses the file", lambda: self._allocated(options)
        )
        return opened

    def _allocated(self, options: Dict[str, Any]) -> Tuple[Any, float]:
        start = time.perf_counter_ns()
        interpreter = self._module.Interpreter(**options)
        interpreter.allocate_tensors()
        return interpreter, (time.perf_counter_ns() - start) / 1e6

    def _guarded(self, what: str, action: Any) -> Any:
        """Result of `action`; an engine error becomes an `InputError` with the engine's reason."""
        hint = "export the model again, or try the other TFLite engine"
        return guarded(action, f"the engine {what}", str(self.artifact.path), hint)

    def _set_inputs(self, inputs: List[Array]) -> None:
        self._inputs = None  # of no use should this fail
        shapes = [value.shape for value in inputs]
        if shapes != self._shapes:
            self._shapes = []  # whatever happens next, the old memory plan is gone
            self._guarded(
                "cannot take these shapes", lambda: self._resize(self._interpreter, shapes)
            )
            self._shapes = shapes
        self._feed(self._interpreter, inputs)
        self._inputs = inputs

    def _resize(self, interpreter: Any, shapes: Sequence[Tuple[int, ...]]) -> None:
        for index, shape in zip(self._input_indices, shapes):
            interpreter.resize_tensor_input(index, list(shape))
        interpreter.allocate_tensors()

    def _feed(self, interpreter: Any, inputs: List[Array]) -> None:
        if self._stateful:
            interpreter.reset_all_variables()
        for index, value in zip(self._input_indices, inputs):
            interpreter.set_tensor(index, value)

    def invoke(self) -> None:
        """Compute once with the inputs set last; variables of the file keep their state."""
        if self._inputs is None:
            raise UsageError("no inputs are set", where=str(self.artifact.path))
        try:
            self._interpreter.invoke()
        except ENGINE_ERRORS as error:
            raise InputError(
                f"the engine cannot run the model: {' '.join(str(error).split())[:400]}",
                where=str(self.artifact.path),
                hint="check the inputs; if they are right, export the model again",
            ) from error

    def outputs(self) -> List[Array]:
        """Copies of the outputs of the last `invoke`."""
        if self._inputs is None:
            raise UsageError("nothing was run yet", where=str(self.artifact.path))
        return [np.array(self._interpreter.get_tensor(index)) for index in self._output_indices]

    def intermediate(self, names: Sequence[str]) -> Dict[str, Array]:
        """Inner tensors by name for the inputs set last.

        They come from a second interpreter without delegates, opened on first use, so that the one
        that is timed stays as it is; kernels of delegates may round differently by a step.

        Raises:
            UsageError: no inputs are set, or no tensor has such a name.
        """
        if self._inputs is None:
            raise UsageError("no inputs are set", where=str(self.artifact.path))
        indices = self._indices(names)
        if self._inspector is None:
            self._inspector = self._open(keep_all=True)[0]
        inspector, inputs = self._inspector, self._inputs

        def compute() -> List[Array]:
            shapes = [value.shape for value in inputs]
            if shapes != self._inspected_shapes:
                self._inspected_shapes = []
                self._resize(inspector, shapes)
                self._inspected_shapes = shapes
            self._feed(inspector, inputs)
            inspector.invoke()
            return [np.array(inspector.get_tensor(index)) for index in indices]

        return dict(zip(names, self._guarded("cannot give inner tensors", compute)))

    def _indices(self, names: Sequence[str]) -> List[int]:
        known: Dict[str, int] = {}
        for tensor in self._model.main.tensors:
            if tensor.name not in known or not tensor.is_constant:
                known[tensor.name] = tensor.index
        for name in names:
            if name not in known:
                near = difflib.get_close_matches(name, known, 1)
                hint = f"the nearest name is {near[0]!r}" if near else "list the names with inspect"
                raise UsageError(
                    f"no tensor is called {name!r}", where=str(self.artifact.path), hint=hint
                )
        return [known[name] for name in names]
