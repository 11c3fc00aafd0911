"""Constants, bit widths and shapes of an ONNX graph, seen through Q/DQ pairs and constant expressions."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from .layers import Shape, Weight

QUANTIZERS = {"BipolarQuant": 1, "Quant": 0, "IntQuant": 0, "Trunc": 0, "FloatQuant": 0}
"""QONNX operators (Pappalardo et al. 2022) -> their bits, 0 where an input tells them."""

QONNX_DOMAINS = ("onnx.brevitas", "qonnx.custom_op.general", "finn.custom_op.general")

OWN_DOMAIN = "edgepress"
OWN_FUNCTIONS = frozenset({("BinaryConv", 5), ("BinaryGemm", 5), ("TernaryGemm", 3)})
"""(name, number of inputs) of our own packed functions, which have rows of their own (`layers_own`)."""

STANDARD = ("", "ai.onnx")
"""Names of the domain of ONNX's own operators."""

_UNPACKING = frozenset({"BitShift", "BitwiseAnd", "Mod"})
_KEEPS_BITS = frozenset(
    {
        *("Reshape", "Transpose", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Slice"),
        *(
            "MaxPool",
            "GlobalMaxPool",
            "Gather",
            "Expand",
            "DepthToSpace",
            "SpaceToDepth",
            "Dropout",
        ),
    }
)


class Values:
    """The values of a graph. `model` has been through `prepare`."""

    def __init__(self, model: Any) -> None:
        graph = model.graph
        self.initializers = {tensor.name: tensor for tensor in graph.initializer}
        self.nodes = list(graph.node)
        self.producers = {name: node for node in self.nodes for name in node.output if name}
        self.inputs = [v.name for v in graph.input if v.name not in self.initializers]
        self.shapes: dict[str, Shape] = {n: tuple(t.dims) for n, t in self.initializers.items()}
        self.types: dict[str, int] = {n: t.data_type for n, t in self.initializers.items()}
        for value in (*graph.input, *graph.value_info, *graph.output):
            tensor = value.type.tensor_type
            self.types.setdefault(value.name, tensor.elem_type)
            if tensor.HasField("shape") and value.name not in self.shapes:
                dims = tensor.shape.dim
                self.shapes[value.name] = tuple(
                    d.dim_value if d.HasField("dim_value") else -1 for d in dims
                )
        self._constant: dict[str, bool] = {}
        for node in self.nodes:
            fixed = self._is_fixed(node)
            self._constant.update(dict.fromkeys(node.output, fixed))

    def _is_fixed(self, node: Any) -> bool:
        """True if the node computes on constants alone, or on a shape that is known."""
        if node.op_type in ("Shape", "Size"):
            return True
        if node.op_type.startswith("Random") or node.op_type in ("Multinomial", "Bernoulli"):
            return False
        return all(self.is_constant(name) for name in node.input if name)

    def is_constant(self, name: str) -> bool:
        """True for stored values and whatever is computed from them alone."""
        return name in self.initializers or self._constant.get(name, False)

    def shape(self, name: str) -> Shape:
        """Shape of a value, () with one unknown length where nothing tells it."""
        return self.shapes.get(name, (-1,))

    # ---------------------------------------------------------------- constants

    def weight(self, name: str) -> Weight | None:
        """The stored numbers behind a constant value, None for shapes and other plain integers."""
        found = self._stored(name)
        return None if found is None or found.elements < 1 else found

    def integers(self, name: str) -> Weight | None:
        """Like `weight`, for a value that is quantized whatever its type: an int32 bias."""
        return self._stored(name, integers=True)

    def _stored(self, name: str, integers: bool = False) -> Weight | None:
        """`integers`: the value is read as quantized, so int32 counts as well."""
        import onnx

        if name in self.initializers:
            kind = self.types[name]
            plain = kind in (onnx.TensorProto.INT64, onnx.TensorProto.INT32, onnx.TensorProto.BOOL)
            if (plain and not integers) or kind == onnx.TensorProto.STRING:
                return None
            return Weight(name, math.prod(self.shapes[name]), bits_of(kind), type_name(kind))
        node = self.producers.get(name)
        if node is None or not self.is_constant(name) or node.op_type in ("Shape", "Size"):
            return None
        if node.op_type == "Constant":
            return self._of_constant(node)
        return self._of_expression(node, name, integers)

    def _of_constant(self, node: Any) -> Weight | None:
        """A Constant node: one tensor, or one number or list of floats."""
        for attribute in node.attribute:
            if attribute.name == "value":
                kind = attribute.t.data_type
                if type_name(kind) in ("int64", "int32", "bool", "string"):
                    return None
                count = math.prod(attribute.t.dims)
                return Weight(node.output[0], count, bits_of(kind), type_name(kind))
            if attribute.name in ("value_float", "value_floats"):
                count = len(attribute.floats) if attribute.name == "value_floats" else 1
                return Weight(node.output[0], count, 32, "float32")
        return None

    def _of_expression(self, node: Any, name: str, integers: bool) -> Weight | None:
        if node.op_type == "DequantizeLinear":
            inner = self._stored(node.input[0], integers=True)
            return inner and replace(inner, text=f"{inner.text} {self._granularity(node)}")
        if node.op_type == "QuantizeLinear":
            inner = self._stored(node.input[0])
            kind = self._quantized_type(node)
            return inner and replace(inner, bits=bits_of(kind), text=type_name(kind))
        if node.op_type == "Clip":
            inner = self._stored(node.input[0], integers)
            bits = self._clip_bits(node)
            return inner and (replace(inner, bits=bits, text=f"{bits}-bit") if bits else inner)
        if node.op_type in QUANTIZERS:
            inner, bits = self._stored(node.input[0]), self._quant_bits(node)
            return inner and replace(inner, bits=bits, text=f"{bits}-bit {self._granularity(node)}")
        parts = [self._stored(i, integers or node.op_type in _UNPACKING) for i in node.input if i]
        largest = max((p for p in parts if p), key=lambda part: part.elements, default=None)
        if largest is None:
            return None
        return self._unpacked(largest, name, node)

    def _unpacked(self, packed: Weight, name: str, node: Any) -> Weight:
        """8 signs a byte become 8 weights of one bit; other expressions keep their numbers."""
        if node.op_type in _UNPACKING and packed.bits == 8:
            return replace(packed, elements=packed.elements * 8, bits=1, text="1-bit packed")
        total = math.prod(self.shape(name))
        if packed.text == "1-bit packed" and 0 < total <= packed.elements:
            return replace(packed, elements=total)  # without the last byte's unused bits
        return packed

    def _granularity(self, node: Any) -> str:
        scale = self.shapes.get(node.input[1], ())
        count = math.prod(scale)
        return f"per channel ({count})" if count > 1 else "per tensor"

    # ---------------------------------------------------------------- bit widths

    def bits(self, name: str) -> int:
        """Bits a value of an activation or a constant takes, quantizers in front of it seen."""
        if self.is_constant(name):
            stored = self._stored(name, integers=True)
            return stored.bits if stored else 0
        node = self.producers.get(name)
        if node is not None and node.input:
            if node.op_type in QUANTIZERS:
                return self._quant_bits(node)
            if node.op_type == "DequantizeLinear":
                return self._dequantized_bits(node)
            if node.op_type in _KEEPS_BITS:
                return self.bits(node.input[0])
            if node.op_type == "Sign" or self._is_sign(node):
                return 1
        return bits_of(self.types.get(name, 1))

    def _dequantized_bits(self, node: Any) -> int:
        """A Clip between Q and DQ narrows the integers."""
        source = self.producers.get(node.input[0])
        while source is not None and source.op_type in _KEEPS_BITS:
            source = self.producers.get(source.input[0])
        if source is not None and source.op_type == "Clip":
            return self._clip_bits(source) or bits_of(self.types.get(node.input[0], 3))
        if source is not None and source.op_type == "QuantizeLinear":
            return bits_of(self._quantized_type(source))
        return bits_of(self.types.get(node.input[0], 3))

    def _is_sign(self, node: Any) -> bool:
        """Where(x >= 0, 1, -1)."""
        if node.op_type != "Where":
            return False
        values = [self._number(name) for name in node.input[1:3]]
        return sorted(v for v in values if v is not None) == [-1.0, 1.0]

    def _quantized_type(self, node: Any) -> int:
        if len(node.input) > 2 and node.input[2]:
            return self.types.get(node.input[2], 2)
        return next((a.i for a in node.attribute if a.name == "output_dtype" and a.i), 2)

    def _quant_bits(self, node: Any) -> int:
        fixed = QUANTIZERS[node.op_type]
        if fixed or len(node.input) < 4:
            return fixed or 32
        return math.ceil(self._number(node.input[3]) or 32)

    def _clip_bits(self, node: Any) -> int:
        """Bits of the integers between two constant limits, 0 if they are no such limits."""
        limits = [self._number(name) for name in node.input[1:3] if name]
        if len(limits) != 2 or limits[0] is None or limits[1] is None or limits[1] <= limits[0]:
            return 0
        if bits_of(self.types.get(node.input[0], 1)) > 8:
            return 0
        return max(1, math.ceil(math.log2(limits[1] - limits[0] + 1)))

    def integer_list(self, name: str) -> tuple[int, ...]:
        """Values of a stored integer list, () if it is none."""
        import onnx

        tensor = self.initializers.get(name)
        if tensor is None or tensor.data_type != onnx.TensorProto.INT64 or len(tensor.dims) != 1:
            return ()
        return tuple(int(n) for n in onnx.numpy_helper.to_array(tensor))

    def _number(self, name: str) -> float | None:
        """A constant with one element."""
        import onnx

        tensor = self.initializers.get(name)
        node = self.producers.get(name)
        if tensor is None and node is not None and node.op_type == "Constant":
            plain = next((a.f for a in node.attribute if a.name == "value_float"), None)
            if plain is not None:
                return float(plain)
            tensor = next((a.t for a in node.attribute if a.name == "value"), None)
        if tensor is None or math.prod(tensor.dims) != 1 or tensor.data_location == 1:
            return None
        return float(onnx.numpy_helper.to_array(tensor).reshape(-1)[0])


def bits_of(kind: int) -> int:
    """Bits of an ONNX element type, 0 where it has none (string, unknown)."""
    name = type_name(kind)
    digits = "".join(c for c in name.replace("e4m3", "").replace("e5m2", "") if c.isdigit())
    return {"bool": 8, "double": 64}.get(name, int(digits or 0))


def type_name(kind: int) -> str:
    """numpy's name of an ONNX element type where there is one, else ONNX's in small letters."""
    import onnx

    name = str(onnx.TensorProto.DataType.Name(kind)).lower() if kind else "unknown"
    return {"float": "float32", "double": "float64"}.get(name, name)


def prepare(model: Any) -> Any:
    """A copy for reading: functions inlined, free dimensions 1, QONNX quantizers open, shapes inferred.

    What shape inference cannot tell stays open; nothing here raises for a file's content.
    """
    import onnx
    import onnx.inliner

    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    others = [
        (f.domain, f.name)
        for f in copy.functions
        if f.domain != OWN_DOMAIN or (f.name, len(f.input)) not in OWN_FUNCTIONS
    ]
    if others and len(others) == len(copy.functions):
        copy = onnx.inliner.inline_local_functions(copy)
    elif others:
        copy = onnx.inliner.inline_selected_functions(copy, others)
    _fix_free_dimensions(copy.graph.input)
    probe = onnx.ModelProto()
    probe.CopyFrom(copy)
    for node in probe.graph.node:
        if node.op_type in QUANTIZERS and node.domain in QONNX_DOMAINS:
            node.op_type, node.domain = "Identity", ""
            del node.input[1:]
            del node.attribute[:]
    probe.ir_version = max(probe.ir_version, 4)  # older ones want initializers among the inputs
    told = _of_foreign_nodes(probe.graph)
    del probe.graph.value_info[:]
    probe.graph.value_info.extend(told)
    for value in probe.graph.output:
        value.type.tensor_type.ClearField("shape")
    known = _inferred(probe)
    return copy if known is None else _with_shapes(copy, known)


def _inferred(probe: Any) -> Any:
    """The model with inferred shapes, None if inference refuses it.

    Sizes computed by the graph are followed from opset 13 on only, so older graphs are lifted.
    """
    import onnx
    import onnx.version_converter

    errors = (RuntimeError, ValueError, TypeError, onnx.version_converter.ConvertError)
    opset = next((o.version for o in probe.opset_import if o.domain in STANDARD), 21)
    if opset < 13:
        with contextlib.suppress(*errors):
            probe = onnx.version_converter.convert_version(probe, 21)
    try:
        return onnx.shape_inference.infer_shapes(probe, data_prop=True)
    except (*errors, onnx.shape_inference.InferenceError):
        return None


def _with_shapes(model: Any, known: Any) -> Any:
    """Inferred shapes first; those of the file stay for values inference did not reach."""
    inferred = {v.name for v in known.graph.value_info}
    kept = [v for v in model.graph.value_info if v.name not in inferred]
    del model.graph.value_info[:]
    model.graph.value_info.extend([*known.graph.value_info, *kept])
    outputs = {v.name: v for v in known.graph.output}
    for value in model.graph.output:
        better = outputs[value.name].type.tensor_type
        if better.HasField("shape"):
            value.type.tensor_type.CopyFrom(better)
    return model


def _of_foreign_nodes(graph: Any) -> list[Any]:
    """Types the file tells of values that inference cannot know; free dimensions become 1."""
    foreign = {name for n in graph.node if n.domain not in STANDARD for name in n.output}
    told = [value for value in graph.value_info if value.name in foreign]
    _fix_free_dimensions(told)
    return told


def _fix_free_dimensions(inputs: Iterable[Any]) -> None:
    for value in inputs:
        for dim in value.type.tensor_type.shape.dim:
            if not dim.HasField("dim_value") or dim.dim_value <= 0:
                dim.dim_value = 1
