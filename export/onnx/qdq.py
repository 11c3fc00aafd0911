"""The one place that puts QuantizeLinear / DequantizeLinear pairs into a hub model.

Takes a float hub and a `QuantPlan`, gives the quantized hub: constants as integers behind a
DequantizeLinear, activations as Q -> DQ behind their producer, one more pair on every edge whose consumer
needs other parameters. The float model is not changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...compress.quantization.qparams import QParams
from ...compress.quantization.records import QuantizedConstant, QuantPlan
from ...runtime.errors import InputError

if TYPE_CHECKING:
    from onnx import ModelProto

_STORAGE = {(8, True): "int8", (8, False): "uint8", (32, True): "int32", (16, True): "int16"}


def apply(model: ModelProto, plan: QuantPlan) -> ModelProto:
    """The quantized hub of float hub `model`; `model` itself stays as it is.

    Raises:
        InputError: the plan names a tensor, constant or edge that the model does not have.
    """
    import onnx

    hub = onnx.ModelProto()
    hub.CopyFrom(model)
    _Writer(hub, plan).write()
    return hub


class _Writer:
    """Rewrites one graph; node order stays topological because every pair follows its producer."""

    def __init__(self, hub: ModelProto, plan: QuantPlan):
        self.graph, self.plan = hub.graph, plan
        self.known_constants = {tensor.name for tensor in self.graph.initializer}
        self.new_initializers: dict[str, Any] = {}
        self.nodes: list[Any] = []
        self.reads: dict[str, str] = {}
        self.outputs = {value.name for value in self.graph.output}
        self.done_constants: set[str] = set()
        self.original_inputs = [list(node.input) for node in self.graph.node]

    def write(self) -> None:
        """Rewrite the graph in place."""
        self._check_names()
        for value in self.graph.input:
            if value.name in self.plan.activations:
                dequantized = f"{value.name}_dq"
                self._pair(value.name, value.name, dequantized, self.plan.activations[value.name])
                self.reads[value.name] = dequantized
        for node in list(self.graph.node):
            self._read_operands(node)
            self.nodes.append(node)
            self._quantize_outputs(node)
        del self.graph.node[:]
        self.graph.node.extend(self.nodes)
        self._replace_constants()

    def _check_names(self) -> None:
        produced = {name for node in self.graph.node for name in node.output}
        produced |= {value.name for value in self.graph.input}
        for name in self.plan.activations:
            if name not in produced:
                raise InputError("the plan quantizes a tensor the model does not have", where=name)
        for key in self.plan.constants:
            if key.split("@")[0] not in self.known_constants:
                raise InputError("the plan quantizes a constant the model does not have", where=key)
        nodes = {node.name for node in self.graph.node}
        for node_name, _ in self.plan.requantize:
            if node_name not in nodes:
                raise InputError(
                    "the plan requantizes for a node that is not there", where=node_name
                )

    def _read_operands(self, node: Any) -> None:
        """Point a node at dequantized values and constants."""
        for index, name in enumerate(list(node.input)):
            key = f"{name}@{node.name}"
            if key not in self.plan.constants:
                key = name
            if name and key in self.plan.constants:
                node.input[index] = self._constant(key)
            elif (node.name, index) in self.plan.requantize:
                qparams, _ = self.plan.requantize[(node.name, index)]
                source = self.reads.get(name, name)
                target = f"{name}_for_{node.name}_{index}"
                self._pair(target, source, f"{target}_dq", qparams)
                node.input[index] = f"{target}_dq"
            else:
                node.input[index] = self.reads.get(name, name)

    def _quantize_outputs(self, node: Any) -> None:
        for index, name in enumerate(list(node.output)):
            if name not in self.plan.activations:
                continue
            qparams = self.plan.activations[name]
            if name in self.outputs:  # the graph output keeps its name, its producer takes another
                node.output[index] = f"{name}_float"
                self._pair(name, f"{name}_float", name, qparams)
            else:
                self._pair(name, name, f"{name}_dq", qparams)
                self.reads[name] = f"{name}_dq"

    def _pair(self, stem: str, source: str, target: str, qparams: QParams) -> None:
        from onnx import helper

        scale, zero_point = self._parameters(qparams)
        quantized = f"{stem}_q"
        operands = [source, scale, zero_point]
        self.nodes.append(
            helper.make_node("QuantizeLinear", operands, [quantized], name=f"{stem}_quantize")
        )
        operands = [quantized, scale, zero_point]
        self.nodes.append(
            helper.make_node("DequantizeLinear", operands, [target], name=f"{stem}_dequantize")
        )

    def _constant(self, key: str) -> str:
        """Name of the dequantized constant `key`, written at its first use."""
        from onnx import helper

        target = f"{key}_dq"
        if key in self.done_constants:
            return target
        self.done_constants.add(key)
        constant: QuantizedConstant = self.plan.constants[key]
        storage = _storage(constant.qparams, key)
        self._initializer(f"{key}_q", np.asarray(constant.values).astype(storage))
        scale, zero_point = self._parameters(constant.qparams)
        attributes = {} if constant.qparams.axis is None else {"axis": constant.qparams.axis}
        operands = [f"{key}_q", scale, zero_point]
        self.nodes.append(
            helper.make_node(
                "DequantizeLinear", operands, [target], name=f"{key}_dequantize", **attributes
            )
        )
        return target

    def _parameters(self, qparams: QParams) -> tuple[str, str]:
        """Initializer names of scale and zero point; equal ones are shared, which keeps files small."""
        scale = np.asarray(qparams.scale, np.float32)
        zero_point = np.asarray(qparams.zero_point).astype(_storage(qparams, "a tensor"))
        if qparams.axis is None:
            scale, zero_point = scale.reshape(()), zero_point.reshape(())
        return self._shared("s", scale), self._shared("z", zero_point)

    def _shared(self, stem: str, value: Any) -> str:
        content = f"{value.dtype}{value.shape}{value.tobytes().hex()}"
        if content not in self.new_initializers:
            self.new_initializers[content] = (f"{stem}{len(self.new_initializers)}", value)
        return str(self.new_initializers[content][0])

    def _initializer(self, name: str, value: Any) -> None:
        self.new_initializers[f"name:{name}"] = (name, value)

    def _replace_constants(self) -> None:
        """Drop float constants nobody reads any more, add the integers and parameters."""
        from onnx import numpy_helper

        used = {name for node in self.graph.node for name in node.input} | self.outputs
        kept = [tensor for tensor in self.graph.initializer if tensor.name in used]
        taken = {tensor.name for tensor in kept}
        del self.graph.initializer[:]
        self.graph.initializer.extend(kept)
        for name, value in self.new_initializers.values():
            if name in taken:
                raise InputError(f"the model already has a tensor called {name!r}")
            self.graph.initializer.append(numpy_helper.from_array(value, name))


def _storage(qparams: QParams, where: str) -> str:
    key = (qparams.bits, qparams.signed)
    if key not in _STORAGE:
        raise InputError(f"no ONNX storage for {qparams.bits} bits here", where=where)
    return _STORAGE[key]
