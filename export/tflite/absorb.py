"""Q/DQ pairs become parameters of values; what remains at the borders becomes a node of its own.

A compute node runs on integers if its family can, every real activation it reads comes from a
DequantizeLinear and every output it makes goes to a QuantizeLinear. Otherwise it runs in float
between "Dequantize" and "Quantize" nodes. The same real tensor wanted under other parameters costs
one "Requantize" per set of parameters, listed in `Graph.notes`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from ...compress.quantization.qparams import QParams
from ...runtime.errors import InputError, UnsupportedOperatorError
from .neutral import BORDER, Graph, Node, Value, same_parameters
from .parameters import activation_parameters

Int8Test = Callable[[Node, Mapping[str, Value]], bool]
"""(node, values made so far) -> whether the family can lower the node on integers."""

PASSING = frozenset(
    {"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Slice", "Split", "Gather"}
) | {"MaxPool", "GlobalMaxPool", "DepthToSpace", "SpaceToDepth", "Expand", "Tile"}
"""Operators whose outputs are some of their input's values: they need no Q/DQ of their own."""


class Absorber:
    """One run over the hub's nodes; all tables are keyed by the hub's tensor names."""

    def __init__(
        self,
        nodes: list[Node],
        constants: dict[str, Value],
        types: Mapping[str, tuple[str, tuple[int, ...]]],
        inputs: list[str],
        outputs: list[str],
        int8_operators: Mapping[str, Int8Test],
        io: str,
        input_layouts: tuple[str, ...] = (),
    ):
        self.source = nodes
        self.types = types
        self.int8_operators = int8_operators
        self.io = io
        self.graph = Graph([], dict(constants), [], [], list(inputs), list(outputs))
        self.graph.input_layouts = input_layouts
        self.values = self.graph.values
        self.quantized: dict[str, str] = {}  # Q or DQ output -> the int8 value it stands for
        self.integers: dict[
            str, list[str]
        ] = {}  # value -> its int8 forms, the first is the main one
        self.reals: dict[str, str] = {}  # int8 value -> its float form
        self.quantizers: dict[str, list[Node]] = {}  # float tensor -> Q nodes that read it
        self.used: set[str] = set(outputs)
        for node in nodes:
            self.used.update(node.inputs)
            if node.operator == "QuantizeLinear" and node.domain == "":
                self.quantizers.setdefault(node.inputs[0], []).append(node)

    def run(self) -> Graph:
        """The neutral graph."""
        for name in self.graph.input_names:
            self._enter(name)
        for node in self.source:
            if node.domain == "" and node.operator == "QuantizeLinear":
                self._quantize(node)
            elif node.domain == "" and node.operator == "DequantizeLinear":
                self._dequantize(node)
            elif self._is_integer_clip(node):
                self._clamp(node)
            else:
                self._compute(node)
        self.graph.outputs = [self._leave(name) for name in self.graph.output_names]
        return without_dead_nodes(self.graph)

    def _activation(self, name: str, alias: str = "", params: QParams | None = None) -> str:
        """Add the value of hub tensor `name` (as `alias`), int8 if it has parameters."""
        found = self.types.get(name)
        if found is None or any(n < 0 for n in found[1]):
            raise InputError(
                "the shape is unknown or dynamic",
                where=f"tensor {name!r}",
                hint="export the model with static shapes and batch 1",
            )
        alias = alias or name
        dtype = "int8" if params is not None else found[0]
        self.values[alias] = Value(alias, found[1], dtype, None, params)
        return alias

    def _fresh(self, name: str) -> str:
        """An unused value name that starts with `name`."""
        candidate, count = name, 1
        while candidate in self.values or candidate in self.types:
            count += 1
            candidate = f"{name}_{count}"
        return candidate

    def _border(self, operator: str, source: str, params: QParams | None, suffix: str) -> str:
        """Add a Quantize, Dequantize or Requantize node; gives the new value."""
        before = self.values[source]
        name = self._fresh(f"{source}/{suffix}")
        dtype = "float32" if params is None else "int8"
        self.values[name] = Value(name, before.shape, dtype, None, params)
        self.graph.nodes.append(Node(name, operator, (source,), (name,), {}, BORDER))
        return name

    # --- inputs and outputs ------------------------------------------------------------------

    def _enter(self, name: str) -> None:
        readers = self.quantizers.get(name, [])
        only = all(n.operator == "QuantizeLinear" for n in self.source if name in n.inputs)
        params = None
        if readers and only and self.io == "int8":
            params = activation_parameters(readers[0], self.values)
            self.integers[name] = [name]
        if self.types.get(name, ("",))[0] in ("int8", "uint8"):
            first = next((n for n in self.source if name in n.inputs), None)
            if first is not None and first.operator == "DequantizeLinear":
                params = activation_parameters(first, self.values)
                self.quantized[name] = name
        self.graph.inputs.append(self._activation(name, params=params))

    def _leave(self, name: str) -> str:
        integer = self.quantized.get(name) or next(iter(self.integers.get(name, ())), None)
        if integer is None:
            if name not in self.values:
                raise InputError("no node makes this graph output", where=f"tensor {name!r}")
            return name
        return integer if self.io == "int8" else self._real(integer)

    # --- Q, DQ and what stands between them ----------------------------------------------------

    def _quantize(self, node: Node) -> None:
        params = activation_parameters(node, self.values)
        name, out = node.inputs[0], node.outputs[0]
        if out not in self.used:
            return
        main = self.quantized.get(name)
        key = name if main is None else main
        forms = self.integers.setdefault(key, [] if main is None else [main])
        for form in forms:
            if same_parameters(self.values[form].quantization, params):
                self.quantized[out] = form
                return
        if forms:
            made = self._border("Requantize", forms[0], params, "requantized")
            self.graph.notes.append(
                (made, f"{forms[0]!r} is wanted under the parameters of {node.name!r} too")
            )
        else:
            made = self._border("Quantize", name, params, "quantized")
        forms.append(made)
        self.quantized[out] = made

    def _dequantize(self, node: Node) -> None:
        held = self.quantized.get(node.inputs[0])
        if held is None:
            raise UnsupportedOperatorError(
                "DequantizeLinear of a tensor no QuantizeLinear made",
                where=f"node {node.name!r}",
                hint="keep Q and DQ in pairs",
            )
        params = activation_parameters(node, self.values)
        if not same_parameters(self.values[held].quantization, params):
            raise InputError(
                "DequantizeLinear has other parameters than its QuantizeLinear",
                where=f"node {node.name!r}",
                hint="quantize the model again; Q and DQ of a pair share scale and zero point",
            )
        self.quantized[node.outputs[0]] = held

    def _is_integer_clip(self, node: Node) -> bool:
        return node.operator == "Clip" and node.domain == "" and self._from_q(node.inputs[0])

    def _from_q(self, name: str) -> bool:
        found = self.types.get(name, ("",))[0]
        return name in self.quantized and found in ("int8", "uint8")

    def _clamp(self, node: Node) -> None:
        """Clip between Q and DQ: how fewer than 8 bits are written in standard ONNX."""
        source = self.quantized[node.inputs[0]]
        shift = 128 if self.types[node.inputs[0]][0] == "uint8" else 0
        bounds = [-128, 127]
        for position, name in enumerate(node.inputs[1:3]):
            if name:
                bounds[position] = int(self.values[name].real().reshape(())) - shift
        if bounds == [-128, 127]:
            self.quantized[node.outputs[0]] = source
            return
        made = self._fresh(f"{source}/clamped")
        self.values[made] = replace(self.values[source], name=made)
        limits = {"low": bounds[0], "high": bounds[1]}
        self.graph.nodes.append(Node(node.name, "Clamp", (source,), (made,), limits, BORDER))
        self.quantized[node.outputs[0]] = made

    # --- everything else -----------------------------------------------------------------------

    def _compute(self, node: Node) -> None:
        node.int8 = self._computes_on_integers(node)
        read = self._integer if node.int8 else self._float
        node.inputs = tuple(read(name) if name else "" for name in node.inputs)
        for name in node.outputs:
            if name:
                self._make(node, name)
        self.graph.nodes.append(node)

    def _make(self, node: Node, name: str) -> None:
        """Add an output value: int8 under its first Q's parameters, or its input's if it passes values."""
        params = None
        if node.int8 and self.types.get(name, ("float32",))[0] == "float32":
            readers = self.quantizers.get(name)
            if readers:
                params = activation_parameters(readers[0], self.values)
            else:
                params = self.values[node.inputs[0]].quantization
                self.quantized[name] = name
            self.integers[name] = [name]
        self._activation(name, params=params)

    def _computes_on_integers(self, node: Node) -> bool:
        test = self.int8_operators.get(node.operator) if node.domain == "" else None
        if test is None:
            return False
        some = False
        for name in node.inputs:
            if not name or name in self.values and not self._is_float_activation(name):
                some |= bool(name) and self._is_table(node, name)
                continue
            if name not in self.quantized:
                return False
            some = True
        wanted = [n for n in node.outputs if n in self.used]
        real = [n for n in wanted if self.types.get(n, ("float32",))[0] == "float32"]
        ready = all(n in self.quantizers for n in real)
        if not some or not (
            ready or node.operator in PASSING and not _any_in(real, self.quantizers)
        ):
            return False
        values = {n: self.values[self.quantized[n]] for n in node.inputs if n in self.quantized}
        values.update(
            {n: self.values[n] for n in node.inputs if n in self.values and n not in values}
        )
        return test(node, values)

    def _is_table(self, node: Node, name: str) -> bool:
        """True for the int8 constant a Gather selects from: it needs no int8 activation beside it."""
        return node.operator == "Gather" and self.values[name].quantization is not None

    def _is_float_activation(self, name: str) -> bool:
        value = self.values[name]
        return value.data is None and value.is_real

    def _integer(self, name: str) -> str:
        return self.quantized.get(name, name)

    def _float(self, name: str) -> str:
        """The value to read in a float node: quantized activations are dequantized once."""
        held = self.quantized.get(name)
        if held is None and name in self.integers and self.values.get(name) is not None:
            held = self.integers[name][0] if self.values[name].quantization is not None else None
        return name if held is None else self._real(held)

    def _real(self, integer: str) -> str:
        if integer not in self.reals:
            self.reals[integer] = self._border("Dequantize", integer, None, "dequantized")
        return self.reals[integer]


def _any_in(names: list[str], table: Mapping[str, object]) -> bool:
    return any(name in table for name in names)


def without_dead_nodes(graph: Graph) -> Graph:
    """Drop nodes whose outputs nobody reads."""
    needed = set(graph.outputs)
    kept = []
    for node in reversed(graph.nodes):
        if any(name in needed for name in node.outputs):
            needed.update(node.inputs)
            kept.append(node)
    graph.nodes = kept[::-1]
    return graph


def always(node: Node, values: Mapping[str, Value]) -> bool:
    """Int8Test of operators whose int8 form has no conditions."""
    return True
