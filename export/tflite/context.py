"""`Lowering`: the growing LiteModel, and where and in which axis order each value of the hub lies in it.

How families use it is written in `lower.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...compress.quantization.qparams import QParams
from ...runtime.errors import UnsupportedOperatorError
from .checks import check_int8, operator_version
from .ir import LiteModel, LiteOperator, LiteQuantization, LiteTensor
from .layout import (
    Order,
    Shape,
    conversion,
    identity,
    physical_array,
    physical_shape,
)
from .neutral import Array, Graph, Node, Value, same_parameters


def lite_quantization(
    params: QParams | None, order: Order | None = None
) -> LiteQuantization | None:
    """Parameters as TFLite has them; a per-channel axis is found in the physical `order`."""
    if params is None:
        return None
    dimension = 0 if params.axis is None else params.axis
    if params.axis is not None and order is not None:
        dimension = order.index(params.axis)
    return LiteQuantization(params.scale, params.zero_point, dimension)


class Lowering:
    """One lowering in progress. Attributes for families: graph, model, precision, consumers."""

    def __init__(
        self,
        graph: Graph,
        precision: str = "float32",
        io_layout: str = "nhwc",
        fc_granularity: str = "channel",
    ):
        self.graph = graph
        self.model = LiteModel()
        self.precision = precision
        self.io_layout = io_layout
        self.fc_granularity = fc_granularity
        self.consumers = graph.consumers()
        self.extra_quantize: list[tuple[str, str]] = []
        self.notes: list[tuple[str, str]] = []
        self.columns: dict[str, Array] = {}  # flattened in memory order: see ops_shape, ops_dense
        self.input_layouts: tuple[str, ...] = ()
        self.output_orders: dict[int, Order] = {}  # tensor -> order, of the model's outputs
        self.dequantized: dict[int, int] = {}  # compressed constant -> its float32 tensor
        self._places: dict[str, list[tuple[Order, int]]] = {}
        self._constants: dict[Any, int] = {}
        self._requantized: dict[tuple[int, QParams], int] = {}
        self._reshaped: dict[int, int] = {}  # tensor -> the one whose memory it repeats
        self._names: set[str] = set()

    # --- values and their places ---------------------------------------------------------------

    def value(self, name: str) -> Value:
        """Shape, dtype, parameters and constant data of a value, in ONNX terms."""
        return self.graph.values[name]

    def quantization(self, name: str) -> QParams | None:
        """Parameters of a value; None if it is stored as it is."""
        return self.graph.values[name].quantization

    def constant_of(self, node: Node, position: int) -> Array | None:
        """Real values of a constant input; None if it is omitted or computed."""
        if position >= len(node.inputs) or not node.inputs[position]:
            return None
        value = self.graph.values[node.inputs[position]]
        return value.real() if value.is_constant else None

    def order_of(self, name: str) -> Order:
        """The order in which the value lies (its first place); constants lie as ONNX has them."""
        places = self._places.get(name)
        return places[0][0] if places else identity(len(self.value(name).shape))

    def natural(self, name: str) -> int:
        """The tensor of a value as it lies."""
        return self.ordered(name, self.order_of(name))

    def ordered(self, name: str, order: Order) -> int:
        """The tensor of a value in `order`; the operators that bring it there are emitted once."""
        places = self._places.setdefault(name, [])
        for known, index in places:
            if known == order:
                return index
        value = self.value(name)
        if value.data is not None:
            array = physical_array(value.data, order)
            quantization = lite_quantization(value.quantization, order)
            index = self.constant(name, array, quantization)
        else:
            index = self._converted(name, value, places, order)
        places.append((order, index))
        return index

    def _converted(
        self, name: str, value: Value, places: list[tuple[Order, int]], order: Order
    ) -> int:
        if not places:
            raise ValueError(f"value {name!r} is used before it is made")
        routes = [(conversion(value.shape, known, order), index) for known, index in places]
        steps, index = min(routes, key=lambda route: _cost(route[0]))
        source = Node(name, "layout", (name,), (name,))
        for step in steps:
            made = self.temporary(source, "order", step.shape, like=name)
            if step.code == "RESHAPE":
                self.reshape_into(source, index, made)
            else:
                self.emit(source, step.code, [index, self.integers(step.permutation)], [made])
            index = made
        return index

    def input_as(self, node: Node, name: str, order: Order, params: QParams | None) -> int:
        """`ordered`, and under `params` if the value is int8: a QUANTIZE is recorded where they differ."""
        index = self.ordered(name, order)
        value = self.value(name)
        if value.quantization is None or params is None:
            return index
        if same_parameters(value.quantization, params):
            return index
        if value.data is not None:
            data = physical_array(params.quantize(value.real()).astype(np.int8), order)
            return self.constant(f"{name}/requantized", data, lite_quantization(params))
        return self.requantize(node, index, params, f"{node.operator} needs one scale throughout")

    def requantize(self, node: Node, index: int, params: QParams, reason: str) -> int:
        """The int8 tensor under other parameters, by one QUANTIZE (shared by all who ask)."""
        key = (index, params)
        if key not in self._requantized:
            source = self.model.tensors[index]
            made = self.model.add_tensor(
                LiteTensor(
                    self.unique(f"{source.name}/requantized"),
                    source.shape,
                    "int8",
                    None,
                    lite_quantization(params),
                )
            )
            self.emit(node, "QUANTIZE", [index], [made], version=2)
            self.extra_quantize.append(
                (self.model.tensors[made].name, f"node {node.name!r}: {reason}")
            )
            self._requantized[key] = made
        return self._requantized[key]

    # --- making tensors ------------------------------------------------------------------------

    def unique(self, name: str) -> str:
        """`name`, numbered if another tensor has it."""
        candidate, count = name, 1
        while candidate in self._names:
            count += 1
            candidate = f"{name}_{count}"
        self._names.add(candidate)
        return candidate

    def result(self, name: str, order: Order) -> int:
        """Create the tensor of an activation value; it lies in `order` from now on."""
        value = self.value(name)
        tensor = LiteTensor(
            self.unique(name),
            physical_shape(value.shape, order),
            value.dtype,
            None,
            lite_quantization(value.quantization),
        )
        index = self.model.add_tensor(tensor)
        self._places[name] = [(order, index)]
        return index

    def alias(self, name: str, index: int, order: Order) -> None:
        """Let a value share an existing tensor (same memory, shape and parameters)."""
        self._places.setdefault(name, []).append((order, index))

    def temporary(
        self,
        node: Node,
        tag: str,
        shape: Shape,
        like: str | None = None,
        params: QParams | None = None,
    ) -> int:
        """An intermediate tensor named after the node's output; dtype and parameters like value `like`."""
        value = self.value(like if like is not None else node.outputs[0])
        quantization = params if params is not None else value.quantization
        return self.model.add_tensor(
            LiteTensor(
                self.unique(f"{node.outputs[0]}/{tag}"),
                tuple(int(n) for n in shape),
                value.dtype,
                None,
                lite_quantization(quantization),
            )
        )

    def constant(self, name: str, data: Array, quantization: LiteQuantization | None = None) -> int:
        """A constant tensor, laid out as TFLite wants it; the same one is stored once."""
        key = (name, data.shape, data.dtype.name, quantization)
        index = self._constants.get(key)
        if index is not None:
            held = self.model.tensors[index].data
            if held is not None and np.array_equal(held, data):
                return index
        tensor = LiteTensor(self.unique(name), data.shape, data.dtype.name, data, quantization)
        self._constants[key] = self.model.add_tensor(tensor)
        return self._constants[key]

    def integers(self, values: int | Sequence[int] | Array) -> int:
        """An int32 constant: shapes, axes, paddings."""
        data = np.asarray(values, np.int32)
        text = "_".join(str(n) for n in data.reshape(-1).tolist())
        return self.constant(f"int32/{text}", data)

    # --- operators -----------------------------------------------------------------------------

    def emit(
        self,
        node: Node,
        code: str,
        inputs: Sequence[int],
        outputs: Sequence[int],
        options: Mapping[str, Any] | None = None,
        version: int | None = None,
        custom_code: str = "",
        custom_options: bytes = b"",
    ) -> None:
        """Append an operator after checking the int8 rules; its version is the lowest that serves."""
        read = [self.model.tensors[i] for i in inputs if i >= 0]
        made = [self.model.tensors[i] for i in outputs]
        check_int8(node, code, read, made)
        self.model.operators.append(
            LiteOperator(
                code,
                tuple(inputs),
                tuple(outputs),
                dict(options or {}),
                version or operator_version(code, read, made),
                custom_code,
                custom_options,
                node.name,
            )
        )

    def reshape_into(self, node: Node, index: int, made: int) -> None:
        """Give tensor `made` the memory of `index`: RESHAPE, or SQUEEZE to a shape without axes.

        A tensor that is itself only reshaped is passed over, so chains become one operator.
        """
        index = self._reshaped.get(index, index)
        self._reshaped[made] = index
        shape = self.model.tensors[made].shape
        if shape:
            options = {"new_shape": list(shape)}
            self.emit(node, "RESHAPE", [index, self.integers(shape)], [made], options)
        else:
            self.emit(node, "SQUEEZE", [index], [made], {"squeeze_dims": []})

    def emit_result(
        self,
        node: Node,
        code: str,
        inputs: Sequence[int],
        order: Order,
        options: Mapping[str, Any] | None = None,
        *,
        activation: str = "after",
        produced: QParams | None = None,
        version: int | None = None,
    ) -> int:
        """Emit the operator that makes output 0, lying in `order`; gives its tensor.

        Args:
            activation: "fused" (the operator's options take the node's), "done" (applied already)
                or "after" (follows as its own operator if the node has one).
            produced: parameters the kernel makes; a QUANTIZE to the value's own follows if they differ.
        """
        options = dict(options or {})
        final = self.result(node.outputs[0], order)
        value = self.value(node.outputs[0])
        shape = self.model.tensors[final].shape
        requantizes = produced is not None and not same_parameters(produced, value.quantization)
        params = produced if requantizes else value.quantization
        if activation == "fused":
            options["fused_activation_function"] = node.activation
        follows = activation == "after" and node.activation != "NONE"
        if follows and value.dtype == "int8":
            follows = _clamps(node.activation, params)
        after_activation = (
            self.temporary(node, "raw", shape, params=params) if requantizes else final
        )
        first = (
            self.temporary(node, "linear", shape, params=params) if follows else after_activation
        )
        self.emit(node, code, inputs, [first], options, version)
        if follows:
            self.emit(node, node.activation, [first], [after_activation])
        if requantizes:
            self.emit(node, "QUANTIZE", [after_activation], [final], version=2)
            name = self.model.tensors[final].name
            self.extra_quantize.append((name, f"node {node.name!r}: {code} fixes its own scale"))
        return final

    def unsupported(self, node: Node, what: str, hint: str) -> UnsupportedOperatorError:
        """The error to raise for a combination no engine runs."""
        return UnsupportedOperatorError(
            f"{node.operator}: {what}", where=f"node {node.name!r}", hint=hint
        )

    def rename(self, index: int, name: str) -> None:
        """Name a tensor, unless another has that name."""
        tensor = self.model.tensors[index]
        if tensor.name != name and name not in self._names:
            self._names.add(name)
            tensor.name = name

    def orders(self) -> dict[str, Order]:
        """tensor name -> order of the value it is named after.

        Several values can share a tensor (a Transpose costs nothing): its maker's order counts, for an
        output of the model the order of that output.
        """
        found: dict[int, Order] = {}
        for places in self._places.values():
            if places and self.model.tensors[places[0][1]].data is None:
                found.setdefault(places[0][1], places[0][0])
        found.update(self.output_orders)
        return {self.model.tensors[index].name: order for index, order in found.items()}


def _cost(steps: Sequence[Any]) -> tuple[int, int]:
    return sum(step.code == "TRANSPOSE" for step in steps), len(steps)


def _clamps(activation: str, params: QParams | None) -> bool:
    """False if int8 saturation under `params` is the activation already."""
    if params is None:
        return True
    low, high = params.dequantize(np.asarray([-128, 127]))
    bounds = {"RELU": (0.0, np.inf), "RELU6": (0.0, 6.0), "RELU_N1_TO_1": (-1.0, 1.0)}[activation]
    return bool(low < bounds[0] or high > bounds[1])
