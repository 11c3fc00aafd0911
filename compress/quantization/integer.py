"""Reference engine for quantized hubs: everything that int8 computes, in integers alone, exactly reproducible.

Operators fall into four kinds: kernels with a rescaled accumulator (`integer_ops`); functions of one value, a table
of 256 entries; operators that only choose or arrange values (their input's scale is their output's, so they are
applied to q - z as they are); and what stayed float, which onnxruntime computes between the pairs around it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...runtime.errors import InputError, UsageError
from .calibrate import open_session
from .graph import GraphView, NodeView
from .integer_ops import KERNELS, Call, Operand, mean, requantize
from .qparams import QParams
from .requantize import ROUNDINGS
from .rules import OutputRule
from .tying import output_rule

if TYPE_CHECKING:
    from onnx import ModelProto

Array = NDArray[Any]

_TABLES = frozenset(
    {"Sigmoid", "Tanh", "HardSwish", "HardSigmoid", "Gelu", "LeakyRelu", "Exp", "Abs", "Neg"}
)
_MEANS = ("ReduceMean", "GlobalAveragePool", "ReduceSum")


def run_integer(hub: ModelProto, inputs: Sequence[Array], rounding: str = "double") -> list[Array]:
    """Real outputs of a quantized hub for one sample of real inputs, computed in integers.

    Args:
        hub: hub with Q/DQ pairs (`export/onnx/qdq.py`).
        inputs: one array per input, as onnxruntime takes them.
        rounding: one of `requantize.ROUNDINGS`.

    Raises:
        UsageError: unknown rounding.
        InputError: the hub's pairs are not as `qdq.apply` writes them.
    """
    return IntegerModel(hub).run(inputs, rounding)


@dataclass(frozen=True)
class _Target:
    """Where an integer result goes: its parameters, and the clamp of a fused activation."""

    params: QParams
    low: float = -np.inf
    high: float = np.inf


class IntegerModel:
    """A quantized hub, read once, to be run on many samples."""

    def __init__(self, hub: ModelProto):
        import onnx

        self.view = GraphView(onnx.shape_inference.infer_shapes(hub, data_prop=True))
        self._sessions: dict[str, Any] = {}
        self._targets = {node.name: self._target(node) for node in self.view.nodes}
        self._values: dict[str, Operand | Array] = {}

    def run(self, inputs: Sequence[Array], rounding: str = "double") -> list[Array]:
        """Real outputs for one sample."""
        self._run(inputs, rounding, {})
        return [self._real(name) for name in self.view.outputs]

    def run_tensors(
        self,
        inputs: Sequence[Array],
        rounding: str = "double",
        given: Mapping[str, Array] | None = None,
    ) -> dict[str, Array]:
        """The integers of every QuantizeLinear's output, as int64.

        `given` holds integers of some of them (another engine's): what reads them goes on from these, so that
        each layer can be compared by itself.
        """
        return self._run(inputs, rounding, given or {})

    def _run(
        self, inputs: Sequence[Array], rounding: str, given: Mapping[str, Array]
    ) -> dict[str, Array]:
        if rounding not in ROUNDINGS:
            raise UsageError(f"rounding is {rounding!r}", hint=f"one of {', '.join(ROUNDINGS)}")
        if len(inputs) != len(self.view.inputs):
            raise InputError(f"{len(inputs)} inputs, the model takes {len(self.view.inputs)}")
        self._values = dict(zip(self.view.inputs, map(np.asarray, inputs), strict=True))
        made: dict[str, Array] = {}
        for node in self.view.nodes:
            self._step(node, rounding)
            held = self._values.get(node.outputs[0])
            if node.op == "QuantizeLinear" and isinstance(held, Operand):
                name = node.outputs[0]
                made[name] = held.q
                if name in given:
                    self._values[name] = Operand(given[name].astype(np.int64), held.params)
        return made

    # ------------------------------------------------------------------- reading the graph

    def _parameters(self, node: NodeView) -> QParams:
        """Parameters of a Q or DQ node."""
        scale = self.view.constants.get(node.input(1))
        if scale is None:
            raise InputError("the scale is no constant", where=f"node {node.name!r}")
        zero = self.view.constants.get(node.input(2), np.zeros(scale.shape, np.int8))
        axis = int(node.attributes.get("axis", 1)) if scale.ndim else None
        return QParams(
            tuple(np.atleast_1d(scale).tolist()),
            tuple(np.atleast_1d(zero).tolist()),
            bits=8 * zero.dtype.itemsize,
            signed=zero.dtype.kind == "i",
            axis=axis,
        )

    def _target(self, node: NodeView) -> _Target | None:
        """The QuantizeLinear behind a node, directly or behind the Relu or Clip in its kernel."""
        if node.op in ("QuantizeLinear", "DequantizeLinear") or len(node.outputs) != 1:
            return None
        readers = self.view.consumers.get(node.outputs[0], [])
        if len(readers) == 1 and node.outputs[0] not in self.view.outputs:
            after = readers[0][0]
            bounds = self.view.clip_bounds(after)
            if bounds is not None and self.view.fused_into(after) is node:
                behind = self._target(after)
                return None if behind is None else _Target(behind.params, *bounds)
        quantizers = [reader for reader, _ in readers if reader.op == "QuantizeLinear"]
        if not quantizers or len(quantizers) != len(readers):
            return None
        params = {self._parameters(reader) for reader in quantizers}
        bounds = self.view.clip_bounds(node) or (-np.inf, np.inf)
        return _Target(params.pop(), *bounds) if len(params) == 1 else None

    # ------------------------------------------------------------------- computing

    def _step(self, node: NodeView, rounding: str) -> None:
        if node.op == "QuantizeLinear":
            self._quantize(node, rounding)
        elif node.op == "DequantizeLinear":
            self._dequantize(node)
        elif self._is_done(node):
            self._values[node.outputs[0]] = self._values[node.inputs[0]]
        elif not self._compute(node, rounding):
            self._compute_float(node)

    def _is_done(self, node: NodeView) -> bool:
        """True for the activation that its compute node has applied."""
        before = self.view.fused_into(node)
        held = self._values.get(node.inputs[0])
        return before is not None and isinstance(held, Operand)

    def _quantize(self, node: NodeView, rounding: str) -> None:
        params = self._parameters(node)
        held = self._values[node.inputs[0]]
        if not isinstance(held, Operand):
            held = Operand(params.quantize(held), params)
        elif held.params != params:
            q = requantize(held, params, rounding)
            held = Operand(np.clip(q, params.qmin, params.qmax), params)
        self._values[node.outputs[0]] = held

    def _dequantize(self, node: NodeView) -> None:
        constant = self.view.constants.get(node.inputs[0])
        if constant is None:
            self._values[node.outputs[0]] = self._values[node.inputs[0]]
            return
        operand = Operand(constant.astype(np.int64), self._parameters(node))
        self._values[node.outputs[0]] = operand

    def _compute(self, node: NodeView, rounding: str) -> bool:
        """Compute on integers; False if this node does not."""
        target, rule = self._targets[node.name], output_rule(self.view, node)
        operands = [self._operand(name) for name in node.inputs]
        first = next((o for o in operands if o is not None), None)
        if rule is None or first is None or self._reads_floats(node):
            return False
        if target is None:
            return self._pass_on(node, first) if rule is OutputRule.SAME_AS_INPUT else False
        call = Call(node, operands, target.params, rounding)
        q = self._integers(call, rule)
        if q is None:
            return False
        self._values[node.outputs[0]] = Operand(_clamped(q, target), target.params)
        return True

    def _operand(self, name: str) -> Operand | None:
        held = self._values.get(name)
        return held if isinstance(held, Operand) else None

    def _reads_floats(self, node: NodeView) -> bool:
        """True if a real input is neither quantized nor a bound that the kernel reads itself."""
        if self.view.clip_bounds(node) is not None:
            return self._operand(node.inputs[0]) is None
        return any(self._operand(name) is None for _, name in self.view.real_inputs(node))

    def _integers(self, call: Call, rule: OutputRule) -> Array | None:
        node = call.node
        if node.op in KERNELS:
            return KERNELS[node.op](call)
        if node.op in _MEANS or self.view.is_global_pool(node):
            return self._mean(call)
        if node.op in _TABLES:
            return self._table(call)
        if rule is OutputRule.SAME_AS_INPUT:
            return self._arranged(node, call.out.zero_point[0])
        return None

    def _mean(self, call: Call) -> Array:
        node = call.node
        rank = call.operand(0).q.ndim
        if node.op in ("GlobalAveragePool", "AveragePool"):
            return mean(call, range(2, rank), True)
        axes = self.view.constants.get(node.input(1))
        chosen = range(rank) if axes is None else [int(a) for a in axes.reshape(-1)]
        keep = bool(node.attributes.get("keepdims", 1))
        return mean(call, chosen, keep, node.op != "ReduceSum")

    def _table(self, call: Call) -> Array:
        """A function of one value: computed for all 256 integers, looked up for each."""
        x = call.operand(0)
        every = np.arange(x.params.qmin, x.params.qmax + 1)
        real = self._run_node(call.node, [x.params.dequantize(every)], shape=every.shape)[0]
        return call.out.quantize(real)[x.q - x.params.qmin]

    def _pass_on(self, node: NodeView, first: Operand) -> bool:
        """Operators without a QuantizeLinear of their own behind them: their input's parameters hold on."""
        if len(node.outputs) == 1:
            q = self._arranged(node, first.params.zero_point[0])
            self._values[node.outputs[0]] = Operand(q, first.params)
            return True
        parts = self._run_node(node, self._centred(node))
        for name, part in zip(node.outputs, parts, strict=True):
            q = np.rint(part).astype(np.int64) + first.params.zero_point[0]
            self._values[name] = Operand(q, first.params)
        return True

    def _arranged(self, node: NodeView, zero_point: int) -> Array:
        """A same-scale operator on q - z; interpolated values are rounded half away from zero."""
        values = self._run_node(node, self._centred(node))[0].astype(np.float64)
        rounded = np.sign(values) * np.floor(np.abs(values) + 0.5)
        return rounded.astype(np.int64) + zero_point

    def _centred(self, node: NodeView) -> list[Array | None]:
        """Inputs with integers as float32 q - z; those that are no real values stay."""
        found: list[Array | None] = []
        for name in node.inputs:
            held = self._values.get(name)
            if isinstance(held, Operand):
                found.append(np.asarray(held.centred, np.float32))
            else:
                found.append(self.view.constants.get(name) if held is None else held)
        return found

    def _compute_float(self, node: NodeView) -> None:
        inputs = [self._real(name) if name else None for name in node.inputs]
        for name, value in zip(node.outputs, self._run_node(node, inputs), strict=True):
            self._values[name] = value

    def _real(self, name: str) -> Array:
        held = self._values.get(name)
        if held is None:
            return self.view.constants[name]
        return np.asarray(held.real() if isinstance(held, Operand) else held)

    def _run_node(
        self, node: NodeView, inputs: Sequence[Array | None], shape: tuple[int, ...] | None = None
    ) -> list[Array]:
        """One node in onnxruntime; constants among its inputs are given as constants."""
        held = {n: v for n, v in zip(node.inputs, inputs, strict=False) if n and v is not None}
        feeds = {n: v for n, v in held.items() if n not in self.view.constants}
        key = node.name if shape is None else f"{node.name}/table"
        if key not in self._sessions:
            self._sessions[key] = open_session(_single(node, feeds, held))
        return [np.asarray(v) for v in self._sessions[key].run(None, feeds)]


def _clamped(q: Array, target: _Target) -> Array:
    """Clip to the integers and, for a fused activation, to its bounds in the output's units."""
    params = target.params
    scale, zero = params.scale[0], params.zero_point[0]
    low, high = params.qmin, params.qmax
    if np.isfinite(target.low):
        low = max(low, zero + int(np.rint(target.low / scale)))
    if np.isfinite(target.high):
        high = min(high, zero + int(np.rint(target.high / scale)))
    return np.clip(q, low, high)


def _single(node: NodeView, feeds: dict[str, Array], held: dict[str, Array]) -> bytes:
    """A model of one node; inputs have the shapes of `feeds`."""
    from onnx import helper, numpy_helper

    types = helper.np_dtype_to_tensor_dtype
    inputs = [helper.make_tensor_value_info(n, types(v.dtype), v.shape) for n, v in feeds.items()]
    outputs = [helper.make_empty_tensor_value_info(n) for n in node.outputs]
    constants = [numpy_helper.from_array(v, n) for n, v in held.items() if n not in feeds]
    graph = helper.make_graph([node.proto], "one", inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    return bytes(model.SerializeToString())
