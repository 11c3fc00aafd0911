"""TFLite files with Larq Compute Engine's operators behind the `Session` interface: a reference, not an engine.

The four operators run in numpy (`lce_kernels`); the built-in operators between them run in a TFLite engine, one
interpreter per run of them. Exact and slow: for proofs, never for times.
"""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Sequence, Union

import numpy as np

from .artifact import describe
from .errors import UnsupportedOperatorError, UsageError
from .lce_operators import FORMULA, LceOperator, foreign_operator, is_lce
from .session import Session
from .specs import tflite_specs
from .tflite_assumptions import check_assumptions
from .tflite_guard import guarded
from .tflite_islands import borders, island
from .tflite_model import TfliteModel
from .tflite_schema import read_model

if TYPE_CHECKING:
    Array = np.ndarray[Any, Any]


class _Island:
    """A run of built-in operators in an interpreter."""

    def __init__(self, interpreter: Any, inputs: List[int], outputs: List[int]) -> None:
        self.interpreter, self.inputs, self.outputs = interpreter, inputs, outputs

    def run(self, values: Dict[int, Array]) -> None:
        """Read `values`, add what the operators make."""
        for index in self.inputs:
            self.interpreter.set_tensor(index, np.ascontiguousarray(values[index]))
        self.interpreter.invoke()
        for index in self.outputs:
            values[index] = np.array(self.interpreter.get_tensor(index))


_Step = Union[_Island, LceOperator]


class LceSession(Session):
    """A file of built-in and LCE operators. `module` is a TFLite engine's interpreter module.

    `rounding`: of float results, `lce_operators.FORMULA` or `lce_operators.LCE`.
    """

    def __init__(
        self, module: Any, path: Path, data: bytes, threads: int, rounding: str = FORMULA
    ) -> None:
        where = str(path)
        self._model: TfliteModel = read_model(data, where)
        check_assumptions(self._model, where)
        self.artifact = describe(path, data, tflite_specs(self._model))
        self._module, self._data, self.threads = module, data, threads
        self._rounding = rounding
        foreign = foreign_operator(self._model.main)
        if foreign is not None or len(self._model.subgraphs) > 1:
            what = "several graphs" if foreign is None else f"the custom operator {foreign.name}"
            raise UnsupportedOperatorError(f"the reference knows no file with {what}", where=where)
        start = time.perf_counter_ns()
        self._steps = self._plan(every=False)
        self._constants = self._constants_read()
        self.load_ms = (time.perf_counter_ns() - start) / 1e6
        self._every: Optional[List[_Step]] = None
        self._inputs: Optional[List[Array]] = None
        self._values: Dict[int, Array] = {}

    def _plan(self, every: bool) -> List[_Step]:
        """The file's operators in order, built-in ones joined; `every`: keep all that they make."""
        graph, where = self._model.main, str(self.artifact.path)
        steps: List[_Step] = []
        first = 0
        while first < len(graph.operators):
            if is_lce(graph.operators[first]):
                steps.append(LceOperator(graph, graph.operators[first], where, self._rounding))
                first += 1
                continue
            count = 1
            while first + count < len(graph.operators) and not is_lce(
                graph.operators[first + count]
            ):
                count += 1
            steps.append(self._open(first, count, every))
            first += count
        return steps

    def _open(self, first: int, count: int, every: bool) -> _Island:
        inputs, made = borders(self._model, first, count)
        later = {i for o in self._model.main.operators[first + count :] for i in o.inputs}
        wanted = later | set(self._model.main.outputs)
        outputs = made if every else [index for index in made if index in wanted]
        part = island(self._data, first, count, inputs, outputs, str(self.artifact.path))
        options: Dict[str, Any] = {"model_content": part, "num_threads": self.threads}
        if every:
            options["experimental_op_resolver_type"] = (
                self._module.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
            )

        def allocate() -> Any:
            interpreter = self._module.Interpreter(**options)
            interpreter.allocate_tensors()
            return interpreter

        return _Island(self._guarded("refuses the file", allocate), inputs, outputs)

    def _constants_read(self) -> Dict[int, Array]:
        """Constants that an LCE operator reads as its input, or that the file gives back."""
        graph = self._model.main
        read = [o.inputs[0] for o in graph.operators if is_lce(o)]
        tensors = [graph.tensors[index] for index in (*read, *graph.outputs)]
        return {t.index: t.values() for t in tensors if t.is_constant}

    def _guarded(self, what: str, action: Any) -> Any:
        hint = "export the model again"
        return guarded(
            action, f"the engine of the built-in operators {what}", str(self.artifact.path), hint
        )

    def _set_inputs(self, inputs: List[Array]) -> None:
        self._inputs = inputs

    def invoke(self) -> None:
        """Compute once with the inputs set last."""
        self._values = self._run(self._steps)

    def _run(self, steps: Sequence[_Step]) -> Dict[int, Array]:
        if self._inputs is None:
            raise UsageError("no inputs are set", where=str(self.artifact.path))
        values = {**self._constants, **dict(zip(self._model.main.inputs, self._inputs))}
        for step in steps:
            if isinstance(step, LceOperator):
                values[step.target] = step.run(values[step.source])
            else:
                self._guarded("cannot run it", partial(step.run, values))
        return values

    def outputs(self) -> List[Array]:
        """Copies of the outputs of the last `invoke`."""
        if not self._values:
            raise UsageError("nothing was run yet", where=str(self.artifact.path))
        return [np.array(self._values[index]) for index in self._model.main.outputs]

    def intermediate(self, names: Sequence[str]) -> Dict[str, Array]:
        """Inner tensors by name for the inputs set last, from interpreters that keep every tensor.

        Raises:
            UsageError: no inputs are set, or no tensor has such a name.
        """
        known = {t.name: t.index for t in self._model.main.tensors}
        for name in names:
            if name not in known:
                raise UsageError(f"no tensor is called {name!r}", where=str(self.artifact.path))
        if self._every is None:
            self._every = self._plan(every=True)
        values = self._run(self._every)
        return {name: values[known[name]] for name in names}
