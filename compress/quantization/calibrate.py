"""What the inner tensors of a float hub hold: the model runs on every calibration sample, observers look on."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...runtime.errors import InputError
from ..progress import NoProgress

if TYPE_CHECKING:
    from onnx import ModelProto

    from ..progress import Progress
    from .observers import Observer

Array = NDArray[Any]
Sample = tuple[Array, ...]


def batches_of_one(inputs: Sequence[Array], count: int | None = None) -> list[Sample]:
    """Samples of batch 1 from arrays that hold one sample per row (a split's `inputs`), the first `count`."""
    length = min((len(array) for array in inputs), default=0)
    length = length if count is None else min(length, count)
    return [tuple(array[i : i + 1] for array in inputs) for i in range(length)]


def checked_samples(hub: ModelProto, samples: Iterable[Sample]) -> list[Sample]:
    """The samples in the types the hub takes, all of them sound.

    Raises:
        InputError: there are none, or one has the wrong number of inputs, a wrong shape, NaN or infinite values.
    """
    from onnx import helper

    wanted = [
        (
            value.name,
            tuple(d.dim_value for d in value.type.tensor_type.shape.dim),
            np.dtype(helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)),
        )
        for value in graph_inputs(hub)
    ]
    checked = [_checked(sample, wanted, number) for number, sample in enumerate(samples)]
    if not checked:
        raise InputError(
            "the calibration set is empty",
            hint="give at least one sample, 100 to 512 are usual",
        )
    return checked


def _checked(
    sample: Sample, wanted: list[tuple[str, tuple[int, ...], np.dtype[Any]]], number: int
) -> Sample:
    where = f"calibration sample {number}"
    arrays = tuple(np.asarray(array) for array in sample)
    if len(arrays) != len(wanted):
        raise InputError(f"{len(arrays)} inputs, the model takes {len(wanted)}", where=where)
    for array, (name, shape, _) in zip(arrays, wanted, strict=True):
        if array.shape != shape:
            raise InputError(
                f"input {name!r} has shape {array.shape}, the model takes {shape}",
                where=where,
                hint="samples come one by one, with a batch axis of 1 and channels on axis 1",
            )
        if not np.isfinite(array).all():
            raise InputError(f"input {name!r} holds NaN or infinite values", where=where)
    return tuple(
        np.ascontiguousarray(a, dtype) for a, (_, _, dtype) in zip(arrays, wanted, strict=True)
    )


def graph_inputs(hub: ModelProto) -> list[Any]:
    """The inputs that are fed at run time."""
    constants = {tensor.name for tensor in hub.graph.initializer}
    return [value for value in hub.graph.input if value.name not in constants]


def samples_sha256(samples: Sequence[Sample]) -> str:
    """sha256 over type, shape and bytes of every array, in order."""
    digest = hashlib.sha256()
    for sample in samples:
        for array in sample:
            digest.update(f"{array.dtype.str}{array.shape}".encode())
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


class Runner:
    """A model in onnxruntime, one thread, that gives chosen tensors: inputs, inner values, outputs.

    Args:
        model: float or fake-quantized hub; not changed.
        tensors: names to give, in this order.
    """

    def __init__(self, model: ModelProto, tensors: Sequence[str]):
        self.inputs = [value.name for value in graph_inputs(model)]
        self.tensors = list(tensors)
        self._computed = [name for name in dict.fromkeys(tensors) if name not in self.inputs]
        computed = self._computed  # none where inputs alone are asked for: nothing to open
        self._session = open_session(_with_outputs(model, computed)) if computed else None

    def run(self, sample: Sample) -> dict[str, Array]:
        """Tensor name -> its value for one sample."""
        feeds = dict(zip(self.inputs, sample, strict=True))
        found = self._session.run(self._computed, feeds) if self._session else []
        values = {**feeds, **dict(zip(self._computed, found, strict=True))}
        return {name: values[name] for name in self.tensors}

    def run_all(self, samples: Iterable[Sample]) -> Iterator[dict[str, Array]]:
        """`run` for each sample."""
        return map(self.run, samples)


def _with_outputs(model: ModelProto, names: Sequence[str]) -> bytes:
    """The model with exactly these outputs and the nodes that they need."""
    import onnx

    graph = model.graph
    types = {value.name: value for value in (*graph.value_info, *graph.output)}
    missing = [name for name in names if name not in types]
    if missing:
        raise InputError("the model has no such tensor", where=f"tensor {missing[0]!r}")
    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    needed, kept = set(names), []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            needed.update(_reads(node))
            kept.append(node)
    del probe.graph.node[:], probe.graph.output[:]
    probe.graph.node.extend(reversed(kept))
    probe.graph.output.extend(types[name] for name in names)
    return bytes(probe.SerializeToString())


def _reads(node: Any) -> list[str]:
    """Inputs of a node and what its subgraphs capture."""
    names = list(node.input)
    for attribute in node.attribute:
        for graph in (attribute.g, *attribute.graphs):
            names += [name for inner in graph.node for name in _reads(inner)]
    return names


def open_session(content: bytes) -> Any:
    """An onnxruntime session on one thread that leaves Q/DQ pairs as they are.

    Raises:
        InputError: onnxruntime refuses the model.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    # Pairs that imitate quantization (`simulate.py`) must not be fused into integer kernels of another rounding.
    options.add_session_config_entry("session.disable_quant_qdq", "1")
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises a family of unrelated classes
        raise InputError(
            f"onnxruntime cannot load the model: {' '.join(str(error).split())[:300]}",
            hint="bring the model into hub form first",
        ) from error


def observe(
    hub: ModelProto,
    samples: Sequence[Sample],
    groups: Mapping[int, Sequence[str]],
    observers: Mapping[int, Sequence[Observer]],
    progress: Progress | None = None,
) -> None:
    """Show every sample's values of each group of tensors to the group's observers.

    Raises:
        InputError: a tensor of the float model takes NaN or infinite values.
    """
    progress = progress or NoProgress()
    names = list(dict.fromkeys(name for group in groups.values() for name in group))
    runner = Runner(hub, names)
    progress.stage("calibrate", len(samples))
    for number, values in enumerate(runner.run_all(samples)):
        for key, group in groups.items():
            tensors = [values[name] for name in group]
            _refuse_bad_numbers(group, tensors, number)
            for observer in observers[key]:
                observer.observe(*tensors)
        progress.advance()


def _refuse_bad_numbers(names: Sequence[str], tensors: Sequence[Array], number: int) -> None:
    for name, tensor in zip(names, tensors, strict=True):
        if not np.isfinite(tensor).all():
            raise InputError(
                "the float model computes NaN or infinite values",
                where=f"tensor {name!r}, calibration sample {number}",
                hint="check the weights and the scale of the inputs",
            )
