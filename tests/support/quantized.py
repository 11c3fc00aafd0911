"""A small, plain QDQ quantizer for tests of the TFLite lowering, independent of the real planner."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from edgepress.compress.quantization.qparams import QParams, affine, symmetric
from edgepress.compress.quantization.rules import OutputRule, by_onnx
from onnx import helper, numpy_helper

from .lowering import run_onnx

LAYERS = {"Conv": 0, "ConvTranspose": 1, "Gemm": 0}
FUSED = ("Relu", "Clip")


def ranges(
    model: onnx.ModelProto, samples: Sequence[Mapping[str, np.ndarray]]
) -> dict[str, QParams]:
    """tensor -> min-max parameters over the samples, same-scale operators tied to their input."""
    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    names = [i.name for i in model.graph.input]
    made = [o for n in model.graph.node for o in n.output]
    kinds = {v.name: v for v in [*model.graph.value_info, *model.graph.output, *model.graph.input]}
    made = [n for n in made if kinds[n].type.tensor_type.elem_type == onnx.TensorProto.FLOAT]
    del probe.graph.output[:]
    probe.graph.output.extend(kinds[n] for n in made)
    found: dict[str, list[float]] = {}
    for sample in samples:
        values = {**dict(zip(made, run_onnx(probe, sample), strict=True)), **sample}
        for name in (*names, *made):
            low, high = float(values[name].min()), float(values[name].max())
            held = found.setdefault(name, [low, high])
            found[name] = [min(low, held[0]), max(high, held[1])]
    params = {name: affine(*bounds) for name, bounds in found.items()}
    for node in model.graph.node:
        rule = by_onnx(node.op_type)
        if rule is not None and rule.output is OutputRule.FIXED and rule.fixed is not None:
            params[node.output[0]] = QParams((float(np.float32(rule.fixed[0])),), (rule.fixed[1],))
        elif (
            rule is not None
            and rule.output is OutputRule.SAME_AS_INPUT
            and node.op_type != "Concat"
        ):
            for name in node.output:
                params[name] = params.get(node.input[0], params.get(name, QParams((1.0,), (0,))))
    return params


def quantize(
    model: onnx.ModelProto,
    samples: Sequence[Mapping[str, np.ndarray]],
    keep_float: Sequence[str] = (),
    params: Mapping[str, QParams] | None = None,
    per_channel: bool = True,
) -> onnx.ModelProto:
    """The QDQ form of a float hub."""
    return _Writer(
        model, dict(params or ranges(model, samples)), set(keep_float), per_channel
    ).run()


class _Writer:
    def __init__(self, model, params, keep_float, per_channel):
        self.model, self.params, self.keep, self.per_channel = (
            model,
            params,
            keep_float,
            per_channel,
        )
        self.constants = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
        self.made: dict[str, np.ndarray] = {}
        self.nodes: list[onnx.NodeProto] = []
        self.renamed: dict[str, str] = {}

    def run(self) -> onnx.ModelProto:
        graph = self.model.graph
        users: dict[str, list[onnx.NodeProto]] = {}
        for node in graph.node:
            for name in node.input:
                users.setdefault(name, []).append(node)
        outputs = [o.name for o in graph.output]
        for value in graph.input:
            computes = any(n.name not in self.keep for n in users.get(value.name, []))
            if computes and value.name in self.params:
                self.pair(value.name)
        for node in graph.node:
            copy = onnx.NodeProto()
            copy.CopyFrom(node)
            kept = node.name in self.keep
            names = [n if kept else self.renamed.get(n, n) for n in node.input]
            if not kept:
                names = self.constant_inputs(node, names)
            del copy.input[:]
            copy.input.extend(names)
            copy.output[:] = [
                f"{n}_raw" if n in outputs and not kept and n in self.params else n
                for n in node.output
            ]
            self.nodes.append(copy)
            for name in node.output:
                after = users.get(name, [])
                fused = (
                    len(after) == 1
                    and after[0].op_type in FUSED
                    and node.op_type in (*LAYERS, "Add")
                )
                if name in self.params and not kept and not fused:
                    self.pair(name, name in outputs)
        return self.build()

    def pair(self, name: str, is_output: bool = False) -> None:
        source = f"{name}_raw" if is_output else name
        target = name if is_output else f"{name}_dq"
        self.q_dq(source, target, self.params[name], name)
        self.renamed[name] = target

    def q_dq(self, source: str, target: str, params: QParams, tag: str) -> None:
        scale, zero = self.parameters(tag, params)
        self.nodes.append(
            helper.make_node("QuantizeLinear", [source, scale, zero], [f"{tag}_q"], f"{tag}_Q")
        )
        self.nodes.append(
            helper.make_node("DequantizeLinear", [f"{tag}_q", scale, zero], [target], f"{tag}_DQ")
        )

    def parameters(self, tag: str, params: QParams, kind: type = np.int8) -> tuple[str, str]:
        scale, zero = np.asarray(params.scale, np.float32), np.asarray(params.zero_point, kind)
        if params.axis is None:
            scale, zero = scale.reshape(()), zero.reshape(())
        self.made[f"{tag}_scale"], self.made[f"{tag}_zero"] = scale, zero
        return f"{tag}_scale", f"{tag}_zero"

    def dequantized(self, name: str, data: np.ndarray, params: QParams, kind: type) -> str:
        if f"{name}_int" not in self.made:
            scale, zero = self.parameters(name, params, kind)
            self.made[f"{name}_int"] = data.astype(kind)
            axis = {} if params.axis is None else {"axis": params.axis}
            self.nodes.append(
                helper.make_node(
                    "DequantizeLinear",
                    [f"{name}_int", scale, zero],
                    [f"{name}_dq"],
                    f"{name}_DQ",
                    **axis,
                )
            )
        return f"{name}_dq"

    def constant_inputs(self, node: onnx.NodeProto, names: list[str]) -> list[str]:
        result = list(names)
        for position, name in enumerate(node.input):
            data = self.constants.get(name)
            if data is None or data.dtype != np.float32 or node.op_type in ("Clip", "Resize"):
                continue
            if node.op_type in LAYERS and position == 1 or node.op_type == "MatMul":
                axis = LAYERS.get(node.op_type, data.ndim - 1)
                if node.op_type == "Gemm" and not any(
                    a.name == "transB" and a.i for a in node.attribute
                ):
                    axis = 1
                others = tuple(a for a in range(data.ndim) if a != axis)
                channel = self.per_channel and (data.ndim == 2 or node.op_type != "MatMul")
                params = symmetric(
                    np.abs(data).max(axis=others if channel else None),
                    axis=axis if channel else None,
                )
                result[position] = self.dequantized(name, params.quantize(data), params, np.int8)
                self.weight = params
            elif node.op_type in LAYERS and position == 2:
                scale = np.float32(self.params[node.input[0]].scale[0]) * np.asarray(
                    self.weight.scale, np.float32
                )
                axis = 0 if self.weight.axis is not None else None
                params = QParams(tuple(scale.tolist()), (0,) * len(scale), 32, axis=axis)
                result[position] = self.dequantized(name, params.quantize(data), params, np.int32)
            else:
                params = affine(float(data.min()), float(data.max()))
                result[position] = self.dequantized(name, params.quantize(data), params, np.int8)
        return result

    def build(self) -> onnx.ModelProto:
        kept = {n for node in self.nodes for n in node.input}
        initializers = [numpy_helper.from_array(v, n) for n, v in self.made.items()]
        initializers += [t for t in self.model.graph.initializer if t.name in kept]
        graph = helper.make_graph(
            self.nodes, "quantized", self.model.graph.input, self.model.graph.output, initializers
        )
        model = helper.make_model(graph, opset_imports=self.model.opset_import, ir_version=10)
        model = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
        onnx.checker.check_model(model, full_check=True)
        return model
