"""onnxruntime behind the `Session` interface: one CPU provider, operators one after the other."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, List

import numpy as np

from .artifact import describe
from .errors import EdgepressError, InputError, UsageError
from .session import Session
from .specs import onnx_specs

if TYPE_CHECKING:
    Array = np.ndarray[Any, Any]


def open_onnx(module: Any, path: Path, threads: int, profile: str = "") -> Any:
    """onnxruntime's own session of a file; with `profile` it writes its times to a file of that prefix.

    Raises:
        InputError: onnxruntime refuses the file; its reason is told.
    """
    options = module.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = module.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 4
    if profile:
        options.enable_profiling, options.profile_file_prefix = True, profile
    options.add_session_config_entry("session.load_model_format", "ONNX")
    try:
        return module.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises a family of unrelated classes
        raise refusal(error, "onnxruntime refuses the file", path) from error


def refusal(error: Exception, what: str, path: Path) -> EdgepressError:
    """The engine's reason in one line as an `InputError`."""
    reason = " ".join(str(error).split())[:400]
    return InputError(
        f"{what}: {reason}", where=str(path), hint="export the model again as standard ONNX"
    )


class OnnxSession(Session):
    """A file in onnxruntime. Inputs and outputs are bound, so `invoke` copies nothing."""

    def __init__(self, module: Any, path: Path, data: bytes, threads: int) -> None:
        start = time.perf_counter_ns()
        self._session = open_onnx(module, path, threads)
        self.load_ms = (time.perf_counter_ns() - start) / 1e6
        self.artifact = describe(path, data, onnx_specs(self._session, data))
        self._binding: Any = None
        self._held: List[Array] = []  # bound memory must outlive the binding

    def _set_inputs(self, inputs: List[Array]) -> None:
        # A new binding each time: outputs are allocated by the first run and kept, and another
        # batch size must not meet the old ones.
        binding = self._session.io_binding()
        for spec, value in zip(self.artifact.inputs, inputs):
            binding.bind_cpu_input(spec.name, value)
        for spec in self.artifact.outputs:
            binding.bind_output(spec.name)
        self._binding, self._held = binding, inputs

    def invoke(self) -> None:
        """Compute once with the inputs set last."""
        if self._binding is None:
            raise UsageError("no inputs are set", where=str(self.artifact.path))
        try:
            self._session.run_with_iobinding(self._binding)
        except Exception as error:  # onnxruntime raises a family of unrelated classes
            raise refusal(error, "onnxruntime cannot run the model", self.artifact.path) from error

    def outputs(self) -> List[Array]:
        """Copies of the outputs of the last `invoke`."""
        if self._binding is None:
            raise UsageError("nothing was run yet", where=str(self.artifact.path))
        return list(self._binding.copy_outputs_to_cpu())
