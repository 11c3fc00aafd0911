"""An ONNX model opened for comparison: real-valued inputs and outputs, inner values, and layers fed from outside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..runtime.errors import InputError
from .onnx.check import open_reference, short
from .parity_axes import channels_last
from .parity_distance import Array


class OnnxSubject:
    """A model with float or int8 interfaces that is fed and read in real values."""

    def __init__(self, model: Any, label: str):
        import onnx

        self.model = model
        self.label = label
        self.constants = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}
        self.producers = {name: node for node in model.graph.node for name in node.output if name}
        self.readers: dict[str, list[Any]] = {}
        for node in model.graph.node:
            for name in node.input:
                self.readers.setdefault(name, []).append(node)
        self.inputs = [i.name for i in model.graph.input if i.name not in self.constants]
        self.outputs = [o.name for o in model.graph.output]
        self.shapes, self._floats = _types(model)
        self._session: Any = None

    # ------------------------------------------------------------- whole model

    def run(self, values: Sequence[Array]) -> list[Array]:
        """Real outputs for real inputs, with the optimisations onnxruntime ships."""
        if self._session is None:
            self._session = open_reference(self.model, optimise=True)
        results = run_session(self._session, self.feeds(values), self.label)
        return [self.real(name, value) for name, value in zip(self.outputs, results, strict=True)]

    def feeds(self, values: Sequence[Array]) -> dict[str, Array]:
        """Inputs as the model takes them: float32, or quantized by the DequantizeLinear that reads them.

        Raises:
            InputError: the number of inputs or a shape is wrong.
        """
        if len(values) != len(self.inputs):
            raise InputError(
                f"{len(values)} inputs given, the model takes {len(self.inputs)}",
                where=self.label,
                hint=f"give one array per input, in this order: {', '.join(self.inputs)}",
            )
        feeds: dict[str, Array] = {}
        for name, value in zip(self.inputs, values, strict=True):
            shape = self.shapes.get(name)
            if shape is not None and shape != value.shape and shape == channels_last(value.shape):
                value = np.moveaxis(value, 1, -1)  # a graph that came from TensorFlow
            if shape is not None and tuple(value.shape) != shape:
                raise InputError(
                    f"input '{name}' has shape {tuple(value.shape)}, the model takes {shape}",
                    where=self.label,
                    hint="feed single samples, the batch axis in front and channels on axis 1",
                )
            feeds[name] = self._stored(name, value)
        return feeds

    def _stored(self, name: str, value: Array) -> Array:
        dtype = self._input_dtype(name)
        if dtype not in (np.int8, np.uint8):
            return value.astype(dtype)
        reader = next(
            (n for n in self.readers.get(name, []) if n.op_type == "DequantizeLinear"), None
        )
        if reader is None or np.issubdtype(value.dtype, np.integer):
            return value.astype(dtype)
        scale, zero = self._parameters(reader)
        limits = np.iinfo(dtype)
        stored: Array = np.clip(np.rint(value / scale) + zero, limits.min, limits.max)
        return stored.astype(dtype)

    def _input_dtype(self, name: str) -> Any:
        import onnx

        value = next(i for i in self.model.graph.input if i.name == name)
        return onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)

    def real(self, name: str, value: Array) -> Array:
        """A value in real numbers: integers that QuantizeLinear wrote are dequantized."""
        node = self.producers.get(name)
        if node is None or node.op_type != "QuantizeLinear":
            return value
        scale, zero = self._parameters(node)
        return (value.astype(np.float32) - np.float32(zero)) * np.float32(scale)

    def _parameters(self, node: Any) -> tuple[float, float]:
        """Scale and zero point of a per-tensor Q or DQ node."""
        scale = self.constants[node.input[1]]
        zero = (
            self.constants[node.input[2]] if len(node.input) > 2 and node.input[2] else np.zeros(1)
        )
        return float(scale.reshape(-1)[0]), float(zero.reshape(-1)[0])

    # ------------------------------------------------------------- inner values

    def step(self, name: str) -> float | None:
        """Quantization step of a value, None if it is float."""
        real = self.real_name(name)
        node = self.producers.get(real)
        if node is not None and node.op_type in ("DequantizeLinear", "QuantizeLinear"):
            scale = self.constants.get(node.input[1])
            return float(scale) if scale is not None and scale.size == 1 else None
        return None

    def rounded(self, name: str, values: Array) -> Array:
        """Real values as the pair behind `name` leaves them; a value without a pair stays."""
        node = self.producers.get(self.real_name(name))
        if node is None or node.op_type != "DequantizeLinear":
            return values
        scale, zero = self._parameters(node)
        unsigned = len(node.input) > 2 and self.constants[node.input[2]].dtype == np.uint8
        low = 0 if unsigned else -128
        integers: Array = np.clip(np.rint(values / np.float32(scale)) + zero, low, low + 255)
        return np.asarray((integers - zero) * np.float32(scale), np.float32)

    def float_values(self) -> set[str]:
        """Names of inner float32 values, the outputs included."""
        return self._floats

    def real_name(self, name: str) -> str:
        """The value that holds `name` after quantization: the DequantizeLinear behind it, else itself."""
        quantizers = [n for n in self.readers.get(name, []) if n.op_type == "QuantizeLinear"]
        node = self.producers.get(name)
        if node is not None and node.op_type == "QuantizeLinear":
            quantizers = [node]
        if len(quantizers) == 1:
            behind = self.readers.get(quantizers[0].output[0], [])
            if behind and behind[0].op_type == "DequantizeLinear":
                return str(behind[0].output[0])
        return name

    def tap(self, names: Sequence[str]) -> Tap:
        """A session that gives the real values of `names` beside the run."""
        return Tap(self, names, cut=False)

    def cut(self, names: Sequence[str]) -> Tap:
        """A session in which every layer reads given values of `names` instead of computed ones."""
        return Tap(self, names, cut=True)


class Tap:
    """A copy of a model with inner values as outputs and, if `cut`, as inputs too."""

    def __init__(self, subject: OnnxSubject, names: Sequence[str], cut: bool):
        self.subject = subject
        self.names = list(names)
        self.inner = [subject.real_name(name) for name in self.names]
        model = _copy(subject.model)
        self.given: dict[str, str] = {}
        if cut:
            self._open_inputs(model)
        del model.graph.output[:]
        for name in dict.fromkeys(self.inner):
            model.graph.output.add(name=name).type.tensor_type.elem_type = 1
        self.session = open_reference(model)

    def _open_inputs(self, model: Any) -> None:
        import onnx

        twins = {twin: name for name in self.inner for twin in self._twins(name)}
        for name in dict.fromkeys(self.inner):
            given = f"{name}::given"
            self.given[name] = given
            model.graph.input.append(
                onnx.helper.make_tensor_value_info(
                    given, onnx.TensorProto.FLOAT, self.subject.shapes.get(name)
                )
            )
        for node in model.graph.node:
            node.input[:] = [self.given[twins[n]] if n in twins else n for n in node.input]

    def _twins(self, name: str) -> list[str]:
        """Values equal to `name`: every DequantizeLinear of the same integers."""
        node = self.subject.producers.get(name)
        if node is None or node.op_type != "DequantizeLinear":
            return [name]
        readers = self.subject.readers.get(node.input[0], [])
        return [n.output[0] for n in readers if n.op_type == "DequantizeLinear"]

    def run(
        self, values: Sequence[Array], given: Mapping[str, Array] | None = None
    ) -> dict[str, Array]:
        """name -> real value; `given` holds the values that layers are fed with when cut."""
        feeds = self.subject.feeds(values)
        for name, inner in zip(self.names, self.inner, strict=True):
            if given is not None and inner in self.given:
                feeds[self.given[inner]] = np.ascontiguousarray(given[name], np.float32)
        accepted = {i.name for i in self.session.get_inputs()}
        results = run_session(
            self.session, {k: v for k, v in feeds.items() if k in accepted}, self.subject.label
        )
        wanted = dict(zip((o.name for o in self.session.get_outputs()), results, strict=True))
        return {name: wanted[inner] for name, inner in zip(self.names, self.inner, strict=True)}


def run_session(session: Any, feeds: Mapping[str, Array], label: str) -> list[Array]:
    """Outputs of an onnxruntime session.

    Raises:
        InputError: it cannot run.
    """
    try:
        return [np.asarray(value) for value in session.run(None, dict(feeds))]
    except Exception as error:  # onnxruntime raises a family of unrelated classes
        raise InputError(
            f"onnxruntime cannot run the model: {short(error)}",
            where=label,
            hint="check the inputs' shapes and types against the model",
        ) from error


def _copy(model: Any) -> Any:
    import onnx

    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    del copy.graph.value_info[:]
    return copy


def _types(model: Any) -> tuple[dict[str, tuple[int, ...]], set[str]]:
    """Static shapes by name, and the names of float32 values; inferred where the file does not tell."""
    import onnx

    written = sum(len(node.output) for node in model.graph.node)
    if len(model.graph.value_info) < written // 2:
        model = onnx.shape_inference.infer_shapes(model)
    shapes: dict[str, tuple[int, ...]] = {}
    floats: set[str] = set()
    inputs = {value.name for value in model.graph.input}
    for value in [*model.graph.input, *model.graph.value_info, *model.graph.output]:
        tensor = value.type.tensor_type
        if tensor.HasField("shape") and all(d.HasField("dim_value") for d in tensor.shape.dim):
            shapes[value.name] = tuple(d.dim_value for d in tensor.shape.dim)
        if tensor.elem_type == onnx.TensorProto.FLOAT and value.name not in inputs:
            floats.add(value.name)
    return shapes, floats
