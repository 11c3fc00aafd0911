"""Torch's own ONNX exporter, called quietly, with the model left exactly as it was."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

from ...runtime.errors import InputError
from .graph import OPSET

LEGACY_OPSET = 17
_log = logging.getLogger(__name__)


def example_inputs(shapes: Sequence[Sequence[int]], seed: int = 0) -> tuple[Any, ...]:
    """Standard normal float32 tensors of the given shapes, the same every time."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(*shape, generator=generator) for shape in shapes)


def device_of(model: Any) -> Any:
    """Where the model's first parameter or buffer lies; the processor if it has none."""
    import torch

    held = next(iter(model.parameters()), None)
    held = next(iter(model.buffers()), None) if held is None else held
    return torch.device("cpu") if held is None else held.device


@contextlib.contextmanager
def evaluation_mode(model: Any) -> Iterator[None]:
    """Put every module into eval mode; afterwards each has the mode it had."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep the exporter's prints, warnings and log lines away from the user."""
    disabled = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)


def run_torch(model: Any, inputs: Sequence[Any]) -> list[Any]:
    """Outputs of the model as numpy arrays, nested tuples, lists and dicts flattened.

    Raises:
        InputError: the model does not run on these inputs.
    """
    import torch

    try:
        with torch.no_grad(), evaluation_mode(model):
            result = model(*inputs)
    except Exception as error:  # user code may raise anything
        shapes = ", ".join(str(tuple(t.shape)) for t in inputs)
        raise InputError(
            f"the model does not run on inputs of shape {shapes}: {error}",
            where=type(model).__name__,
            hint="check the input shapes (batch first) against the model",
        ) from error
    return [tensor.detach().cpu().numpy() for tensor in flatten(result)]


def flatten(value: Any) -> list[Any]:
    """Tensors inside nested tuples, lists and dicts, in order."""
    import torch

    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, dict):
        return [tensor for item in value.values() for tensor in flatten(item)]
    if isinstance(value, (tuple, list)):
        return [tensor for item in value for tensor in flatten(item)]
    return []


def export(model: Any, inputs: tuple[Any, ...]) -> tuple[Any, str]:
    """ModelProto of `model` and the exporter that made it: "dynamo", or "torchscript" where dynamo cannot.

    Raises:
        InputError: neither exporter can.
    """
    with evaluation_mode(model), quiet():
        try:
            return _dynamo(model, inputs), "dynamo"
        except Exception as error:  # the exporter raises a large family of errors
            first = error
            _refuse_data_dependence(model, error)
        try:
            proto = _torchscript(model, inputs)
        except Exception as error:
            raise InputError(
                f"torch cannot export this model to ONNX: {_short(first)} (tracing: {_short(error)})",
                where=type(model).__name__,
                hint="remove data-dependent Python control flow or unsupported operators from forward()",
            ) from error
    _log.info(
        "%s: exported by tracing, since torch.export failed: %s",
        type(model).__name__,
        _short(first),
    )
    return proto, "torchscript"


def _refuse_data_dependence(model: Any, error: Exception) -> None:
    """Tracing would freeze a branch that depends on the data the way the example took it: refuse instead."""
    text = f"{error} {error.__cause__}"
    if "data-dependent" in text or "DataDependent" in text:
        raise InputError(
            "forward() takes a branch that depends on the data, which no exported graph can",
            where=type(model).__name__,
            hint="express the choice with torch.where, or move it out of the model",
        ) from error


def _dynamo(model: Any, inputs: tuple[Any, ...]) -> Any:
    import torch

    program = torch.onnx.export(
        model, inputs, dynamo=True, opset_version=OPSET, verbose=False, optimize=False
    )
    return program.model_proto


def _torchscript(model: Any, inputs: tuple[Any, ...]) -> Any:
    import onnx
    import torch

    buffer = io.BytesIO()
    torch.onnx.export(
        model,
        inputs,
        buffer,
        dynamo=False,
        opset_version=LEGACY_OPSET,
        do_constant_folding=False,  # weights keep their names, folding is ours
        training=torch.onnx.TrainingMode.PRESERVE,  # the model is in eval mode; EVAL would fuse batch norms
        keep_initializers_as_inputs=False,
    )
    return onnx.load_model_from_string(buffer.getvalue())


def _short(error: BaseException) -> str:
    """The telling line of an exporter's long message."""
    cause = error.__cause__ or error
    lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
    text = lines[0] if lines else type(cause).__name__
    return text[:200]
