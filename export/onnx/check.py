"""onnxruntime as the judge of rewrites: run a model as it is, compare two models on the same random inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...runtime.errors import InputError, ParityError
from .graph import Array

RTOL = 1e-4
"""Largest difference allowed, relative to the largest value of the reference output."""


def open_reference(model: Any, optimise: bool = False) -> Any:
    """An onnxruntime session on one thread; without `optimise` the graph runs exactly as written.

    Raises:
        InputError: onnxruntime refuses the model.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    if not optimise:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    content = model if isinstance(model, bytes) else model.SerializeToString()
    try:
        return onnxruntime.InferenceSession(
            content, options, providers=["CPUExecutionProvider"], enable_fallback=0
        )
    except Exception as error:  # onnxruntime raises a family of unrelated classes
        raise InputError(
            f"onnxruntime cannot load the model: {short(error)}",
            hint="check it with onnx.checker, or export it again",
        ) from error


def run(model: Any, feeds: Mapping[str, Array], optimise: bool = False) -> list[Array]:
    """Outputs of `model` for `feeds`.

    Raises:
        InputError: onnxruntime cannot load or run the model.
    """
    session = open_reference(model, optimise)
    try:
        return [np.asarray(value) for value in session.run(None, dict(feeds))]
    except Exception as error:
        raise InputError(
            f"onnxruntime cannot run the model: {short(error)}",
            hint="check the model's input shapes, or export it again",
        ) from error


def random_feeds(model: Any, seed: int = 0) -> dict[str, Array]:
    """Standard normal values (0 and 1 for integers and booleans) for every input of a static model."""
    import onnx

    rng = np.random.default_rng(seed)
    feeds: dict[str, Array] = {}
    constants = {tensor.name for tensor in model.graph.initializer}
    for value in model.graph.input:
        if value.name in constants:
            continue
        tensor = value.type.tensor_type
        shape = [d.dim_value for d in tensor.shape.dim]
        dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)
        is_float = np.issubdtype(dtype, np.floating)
        values = rng.standard_normal(shape) if is_float else rng.integers(0, 2, shape)
        feeds[value.name] = np.asarray(values).astype(dtype)
    return feeds


def relative_difference(reference: Array, candidate: Array) -> float:
    """max|difference| / max|reference|; infinite if shapes differ or one holds NaN where the other does not."""
    if reference.shape != candidate.shape:
        return float("inf")
    if reference.size == 0:
        return 0.0
    a, b = reference.astype(np.float64), candidate.astype(np.float64)
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    if same.all():
        return 0.0
    finite = a[np.isfinite(a)]
    scale = max(float(np.abs(finite).max(initial=0.0)), 1e-6)
    difference = np.where(same, 0.0, np.abs(a - b)) / scale
    return float("inf") if np.isnan(difference).any() else float(difference.max())


def assert_same(
    reference: Sequence[Array],
    candidate: Sequence[Array],
    names: Sequence[str],
    what: str,
    rtol: float = RTOL,
) -> None:
    """Compare two lists of outputs.

    Raises:
        ParityError: an output differs by more than `rtol` of the reference's largest value.
    """
    for name, a, b in zip(names, reference, candidate, strict=True):
        difference = relative_difference(a, b)
        if not difference <= rtol:
            raise ParityError(
                f"{what}: output '{name}' {tuple(b.shape)} differs from the reference {tuple(a.shape)} by "
                f"{difference:.2g} of its largest value (allowed {rtol:.0e})",
                hint="this is a fault of the conversion; please report the model's operators",
            )


def short(error: Exception) -> str:
    """First 300 characters of an engine's message on one line."""
    return " ".join(str(error).split())[:300]
