"""A TFLite file opened for comparison: real-valued inputs and outputs, inner values in ONNX's axis order."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..runtime.artifact import read_model_bytes
from .parity_axes import settle_axes
from .parity_bits import PackedBits
from .parity_distance import Array
from .parity_layers import layer_names
from .parity_lowering import orders_by_lowering
from .parity_onnx import OnnxSubject
from .parity_orders import Order, axis_orders, to_logical


class TfliteSubject:
    """A file run by one engine, fed and read in real values."""

    def __init__(
        self, path: Path, engine: str, known_orders: Mapping[str, Order], layout: str = ""
    ):
        from ..runtime.session import open_session
        from ..runtime.tflite_schema import read_model

        self.path = Path(path)
        self.model = read_model(read_model_bytes(self.path), str(path))
        self.session = open_session(self.path, engine or None)
        self.known = dict(known_orders)
        self.layout = layout
        self.tensors = {t.name: t for t in self.model.subgraphs[0].tensors if not t.is_constant}

    def settle(self, inputs: Sequence[Array], outputs: Sequence[Array]) -> None:
        """Find out where channels lie at the borders, from a sample and what the reference gives for it.

        Raises:
            InputError: the file takes other shapes, or does not say what cannot be told from them.
        """
        self.session.artifact = settle_axes(
            self.session.artifact,
            [np.asarray(value).shape for value in inputs],
            [np.asarray(value).shape for value in outputs],
            self.layout,
        )

    def run(self, values: Sequence[Array]) -> list[Array]:
        """Real outputs for real inputs in ONNX's axis order."""
        from ..runtime.session import run_real

        return [np.asarray(value) for value in run_real(self.session, list(values))]

    def step(self, name: str) -> float | None:
        """Quantization step of a tensor, None if it is float."""
        tensor = self.tensors.get(name)
        if tensor is None or tensor.quantization is None or len(tensor.quantization.scale) != 1:
            return None
        return float(tensor.quantization.scale[0])

    def output_step(self, index: int) -> float | None:
        """Step of output `index`; a float output behind DEQUANTIZE has the step of what is dequantized."""
        subgraph = self.model.subgraphs[0]
        tensor = subgraph.outputs[index]
        by_index = {t.index: t for t in subgraph.tensors}
        for operator in subgraph.operators:
            if tensor in operator.outputs and operator.name == "DEQUANTIZE":
                tensor = operator.inputs[0]
        return self.step(by_index[tensor].name)

    def operators(self) -> dict[str, str]:
        """Tensor name -> operator that writes it."""
        subgraph = self.model.subgraphs[0]
        names = {t.index: t.name for t in subgraph.tensors}
        return {
            names[i]: operator.name for operator in subgraph.operators for i in operator.outputs
        }

    def orders(
        self, shapes: Mapping[str, tuple[int, ...]], models: Iterable[Any], precision: str
    ) -> dict[str, Order]:
        """Axis orders of the tensors named in `shapes`, as far as they are certain.

        What shapes and kernels leave open is asked of the lowering of `models`, from which the file may come.
        """
        found = axis_orders(self.model, shapes, self.known)
        if found.keys() >= shapes.keys() or self.known:
            return found
        self.known = orders_by_lowering(self.model, models, precision)
        return axis_orders(self.model, shapes, self.known) if self.known else found

    def inner(
        self,
        names: Sequence[str],
        orders: Mapping[str, Order],
        shapes: Mapping[str, tuple[int, ...]],
    ) -> dict[str, Array]:
        """Real values of inner tensors of the last run, in ONNX's axis order."""
        raw = self.session.intermediate(list(names))
        found: dict[str, Array] = {}
        for name in names:
            found[name] = to_logical(
                self._real(name, np.asarray(raw[name])), orders[name], shapes[name]
            )
        return found

    def _real(self, name: str, values: Array) -> Array:
        quantization = self.tensors[name].quantization
        if quantization is None or values.dtype.kind == "f":
            return values.astype(np.float32)
        zero = np.float32(quantization.zero_point[0])
        return (values.astype(np.float32) - zero) * np.float32(quantization.scale[0])


class TfliteValues:
    """Inner values of a TFLite candidate, for the comparison layer by layer.

    `models` are ONNX models it may have been made from, `precision` is the precision it was made with.
    """

    def __init__(self, subject: TfliteSubject, models: Iterable[Any] = (), precision: str = "auto"):
        self.subject = subject
        self.models = tuple(models)
        self.precision = precision
        self._operators = subject.operators()
        self._orders: dict[str, Order] = {}
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._tensors: dict[str, str] = {}
        self._bits = PackedBits({}, {})

    def layers(self, reference: OnnxSubject) -> tuple[list[str], list[str]]:
        """Tensors that have a name, a size and a certain axis order in common with an ONNX value."""
        every = layer_names(reference)
        self._tensors = {n: t for n in every if (t := self._tensor_of(n)) is not None}
        shapes = {t: reference.shapes[n] for n, t in self._tensors.items() if n in reference.shapes}
        models = (reference.model, *self.models)
        orders = self.subject.orders(shapes, models, self.precision)
        names, notes = [], []
        for name, made in self._tensors.items():
            tensor = self.subject.tensors[made]
            if made in orders and tensor.n_elements == int(np.prod(shapes[made])):
                names.append(name)
            else:
                notes.append(
                    f"{self.subject.path.name}: '{name}' {tensor.shape} is not compared by itself: flattened "
                    "as it lies in memory, or its axis order is open; the layer behind it is"
                )
        self._orders, self._shapes = orders, shapes
        self._bits = PackedBits.read(reference, self.subject.tensors, set(every) - set(names))
        return [name for name in every if name in {*names, *self._bits.names}], notes

    def _tensor_of(self, name: str) -> str | None:
        """The tensor that holds a value: of its name, or what an operator with another result makes of it at once."""
        return next((t for t in (name, f"{name}/quantized") if t in self.subject.tensors), None)

    def signs(self) -> Collection[str]:
        """Values that the file keeps as bits."""
        return self._bits.names

    def step(self, name: str) -> float | None:
        """Quantization step of a value."""
        return self.subject.step(self._tensors.get(name, name))

    def operator(self, name: str) -> str:
        """TFLite operator that writes it."""
        made = (
            self._bits.tensor(name) if name in self._bits.names else self._tensors.get(name, name)
        )
        return self._operators.get(made, "")

    def inner(self, values: Sequence[Array], names: Sequence[str]) -> dict[str, Array]:
        """One run, and the values it leaves."""
        self.subject.run(values)
        bits = [name for name in names if name in self._bits.names]
        kept = {name: self._tensors[name] for name in names if name not in self._bits.names}
        found = self.subject.inner(list(kept.values()), self._orders, self._shapes)
        raw = self.subject.session.intermediate([self._bits.tensor(name) for name in bits])
        signs = {name: self._bits.unpack(name, raw[self._bits.tensor(name)]) for name in bits}
        return {name: found[tensor] for name, tensor in kept.items()} | signs


def precision_of(model: Any) -> str:
    """Precision class of a parsed TFLite file, from what it stores."""
    tensors = model.subgraphs[0].tensors
    if any(t.dtype in ("int8", "uint8") and not t.is_constant and t.quantization for t in tensors):
        return "int8"
    constants = [t for t in tensors if t.is_constant and t.n_elements > 1]
    if any(t.dtype == "float16" for t in constants):
        return "fp16"
    quantized = {t.index for t in constants if t.dtype in ("int8", "uint8") and t.quantization}
    if not quantized:
        return "float32"
    operators = model.subgraphs[0].operators
    unpacked = {i for o in operators if o.name == "DEQUANTIZE" for i in o.inputs}
    return "weight-only" if quantized <= unpacked else "dynamic"
