"""QONNX files (Pappalardo et al., 2022; what brevitas' export_qonnx writes): quantizers become standard operators.

    BipolarQuant(x, s)                    s where x >= 0, else -s
    Quant(x, s, z, bits)                  (clip(round(x / s + z), low, high) - z) s

`signed` and `narrow` fix low and high. Quantizers over constants are computed; those over values become Less and
Where, or Div, Add, Round, Clip, Sub and Mul. What products of signs and 2-bit numbers are left is packed afterwards
(`binary.pack_binary`, `binary.pack_codes`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...runtime.errors import InputError, UnsupportedOperatorError
from .graph import IR_VERSION, OPSET, Array

DOMAINS = ("onnx.brevitas", "qonnx.custom_op.general", "finn.custom_op.general")
_ROUNDING = {"ROUND": "Round", "CEIL": "Ceil", "FLOOR": "Floor"}
_NUMPY_ROUNDING: dict[str, Callable[[Array], Array]] = {
    "ROUND": np.round,
    "CEIL": np.ceil,
    "FLOOR": np.floor,
}


def has_quantizers(model: Any) -> bool:
    """True if the main graph holds operators of a QONNX domain."""
    return any(node.domain in DOMAINS for node in model.graph.node)


def expand_quantizers(model: Any, where: str = "") -> Any:
    """A copy of `model` without QONNX operators and with constants that are no inputs.

    Raises:
        UnsupportedOperatorError: a QONNX operator or rounding mode without a standard form.
        InputError: scale, zero point or bit width are not constant.
    """
    import onnx

    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    graph = copy.graph
    constants = _constants(graph, where)
    inputs = [i for i in graph.input if i.name not in {t.name for t in graph.initializer}]
    del graph.input[:]
    graph.input.extend(inputs)
    taken = {name for node in graph.node for name in (*node.input, *node.output)}
    writer = _Writer(constants, where, taken)
    for node in graph.node:
        writer.take(node)
    _replace_nodes(graph, writer.nodes)
    kept = [o for o in copy.opset_import if o.domain not in DOMAINS]
    del copy.opset_import[:]
    copy.opset_import.extend(kept)
    converted = _converted(copy, writer, where)
    later = {n.output[0]: n for n in writer.later}
    nodes: list[Any] = []
    for node in converted.graph.node:
        nodes += writer.chains[node.output[0]] if node.output[0] in later else [node]
    _replace_nodes(converted.graph, nodes)
    return converted


def _constants(graph: Any, where: str) -> dict[str, Array]:
    """Initializers and Constant nodes by name."""
    import onnx

    tensors = {t.name: t for t in graph.initializer}
    for node in graph.node:
        held = next((a.t for a in node.attribute if a.name == "value"), None)
        if node.op_type == "Constant" and node.output and held is not None:
            tensors[node.output[0]] = held
    try:
        return {name: onnx.numpy_helper.to_array(tensor) for name, tensor in tensors.items()}
    except Exception as error:  # numpy, struct and onnx raise different classes for damaged data
        raise InputError(
            "a constant of the QONNX file cannot be read",
            where=where or None,
            hint="it is damaged, or its data lies in another file; export it again as one file",
        ) from error


def _replace_nodes(graph: Any, nodes: list[Any]) -> None:
    copies = [type(n).FromString(n.SerializeToString()) for n in nodes]
    del graph.node[:]
    graph.node.extend(copies)


def _converted(model: Any, writer: _Writer, where: str) -> Any:
    """The model in the hub's opset: old files know no Round. Identities stand where quantizers will."""
    import onnx

    model.graph.initializer.extend(
        onnx.numpy_helper.from_array(np.ascontiguousarray(v), n) for n, v in writer.made.items()
    )
    try:
        converted = onnx.version_converter.convert_version(model, OPSET)
    except Exception as error:  # the converter raises plain RuntimeErrors
        raise InputError(
            f"cannot convert the QONNX file to opset {OPSET}: {' '.join(str(error).split())[:200]}",
            where=where or None,
            hint="export the model again with a newer opset",
        ) from error
    converted.ir_version = IR_VERSION
    return converted


class _Writer:
    """Nodes of the new graph, and constants made on the way."""

    def __init__(self, constants: dict[str, Array], where: str, taken: set[str]):
        self.constants, self.where, self.taken = constants, where, taken
        self.nodes: list[Any] = []
        self.later: list[Any] = []
        self.chains: dict[str, list[Any]] = {}
        self.made: dict[str, Array] = {}
        self._open: list[Any] = []

    def take(self, node: Any) -> None:
        """Copy a node, or write what it stands for."""
        if node.domain not in DOMAINS:
            self.nodes.append(node)
        elif not node.input or not node.output:
            raise InputError(
                f"{node.op_type} '{node.name}' has no input or no output",
                where=self.where or None,
                hint="the file is damaged; export it again",
            )
        elif node.op_type == "BipolarQuant":
            self._bipolar(node)
        elif node.op_type in ("Quant", "IntQuant"):
            self._quant(node)
        else:
            raise UnsupportedOperatorError(
                f"QONNX operator {node.op_type} (node '{node.name or node.output[0]}') has no standard form here",
                where=self.where or None,
                hint="BipolarQuant and Quant are understood; export the model without the others",
            )

    def _bipolar(self, node: Any) -> None:
        scale = self._constant(node, 1, "scale")
        source, result = node.input[0], node.output[0]
        if source in self.constants:
            signs = np.where(self.constants[source] < 0, -1.0, 1.0)
            self._give(result, (signs * scale).astype(np.float32))
            return
        self._reserve(source, result)
        one = bool((scale == 1).all())
        value = result if one else f"{result}_sign"
        test = f"{result}_negative"
        self._node("Less", [source, self._number(result, "zero", 0.0)], test)
        ends = [self._number(result, "minus", -1.0), self._number(result, "plus", 1.0)]
        self._node("Where", [test, *ends], value)
        if not one:
            self._node("Mul", [value, self._number(result, "scale", scale)], result)

    def _quant(self, node: Any) -> None:
        scale, zero = self._constant(node, 1, "scale"), self._constant(node, 2, "zero point")
        bits = self._constant(node, 3, "bit width")
        attributes = {a.name: a for a in node.attribute}
        mode = attributes["rounding_mode"].s.decode() if "rounding_mode" in attributes else "ROUND"
        if mode not in _ROUNDING:
            raise UnsupportedOperatorError(
                f"rounding mode {mode} of {node.op_type} (node '{node.name or node.output[0]}')",
                where=self.where or None,
                hint=f"understood: {', '.join(_ROUNDING)}",
            )
        signed = bool(attributes["signed"].i) if "signed" in attributes else True
        narrow = bool(attributes["narrow"].i) if "narrow" in attributes else False
        low, high = _limits(float(bits.reshape(-1)[0]), signed, narrow)
        source, result = node.input[0], node.output[0]
        if source in self.constants:
            real = self.constants[source].astype(np.float32)
            steps = np.clip(_NUMPY_ROUNDING[mode](real / scale + zero), low, high)
            self._give(result, ((steps - zero) * scale).astype(np.float32))
            return
        self._reserve(source, result)
        self._steps(source, result, scale, zero, _ROUNDING[mode], (low, high))

    def _steps(
        self,
        value: str,
        result: str,
        scale: Array,
        zero: Array,
        rounding: str,
        limits: tuple[float, float],
    ) -> None:
        """The quantizer over a value that flows; steps that change nothing are left out."""
        chain: list[tuple[str, list[str]]] = []
        plain, centred = bool((scale == 1).all()), bool((zero == 0).all())
        if not plain:
            chain.append(("Div", [self._number(result, "scale", scale)]))
        if not centred:
            chain.append(("Add", [self._number(result, "zero_point", zero)]))
        chain.append((rounding, []))
        ends = [self._number(result, n, v) for n, v in zip(("low", "high"), limits, strict=True)]
        chain += [("Max", ends[:1]), ("Min", ends[1:])]
        if not centred:
            chain.append(("Sub", [self._number(result, "zero_point", zero)]))
        if not plain:
            chain.append(("Mul", [self._number(result, "scale", scale)]))
        for index, (op, more) in enumerate(chain):
            target = result if index + 1 == len(chain) else f"{result}_{index}"
            self._node(op, [value, *more], target)
            value = target

    def _reserve(self, source: str, result: str) -> None:
        """An Identity in the quantizer's place, until the opset is new enough for what it stands for."""
        import onnx

        holder = onnx.helper.make_node("Identity", [source], [result], name=result)
        self.nodes.append(holder)
        self.later.append(holder)
        self.chains[result] = self._open = []

    def _node(self, op: str, inputs: list[str], output: str) -> None:
        import onnx

        self._open.append(onnx.helper.make_node(op, inputs, [output], name=output))

    def _number(self, base: str, text: str, value: Any) -> str:
        name = f"{base}_{text}"
        while name in self.constants or name in self.taken:  # the file may use such names itself
            name += "_"
        self.made[name] = np.asarray(value, np.float32)
        return name

    def _give(self, name: str, values: Array) -> None:
        self.constants[name] = self.made[name] = values

    def _constant(self, node: Any, index: int, what: str) -> Array:
        name = node.input[index] if index < len(node.input) else ""
        if name not in self.constants:
            raise InputError(
                f"the {what} of {node.op_type} '{node.name or node.output[0]}' is not a constant",
                where=self.where or None,
                hint="export the model in evaluation mode",
            )
        return self.constants[name].astype(np.float32)


def _limits(bits: float, signed: bool, narrow: bool) -> tuple[float, float]:
    """Lowest and highest step of a quantizer."""
    if signed:
        return -(2.0 ** (bits - 1)) + narrow, 2.0 ** (bits - 1) - 1
    return 0.0, 2.0**bits - 1 - narrow
