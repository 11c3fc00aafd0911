"""The MLPerf Tiny reference networks as hubs: TFLite files read into ONNX, int8 ones with the scales they have.

    hub = hub_of(Path("ic_resnet8_int8.tflite"))       # ONNX axis order: channels on axis 1

For the operators of those files: convolutions, dense layers, additions, average pools, reshapes to rows, softmax.
The weights are trained, so that figures are those of real networks. No importer of any TFLite file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ...export.tflite.window import same_pads
from ...runtime.errors import UnsupportedOperatorError
from ...runtime.tflite_model import TfliteOperator, TfliteTensor
from ...runtime.tflite_schema import read_model

OPSET = 21


def hub_of(path: Path) -> Any:
    """The hub of a float or int8 TFLite file.

    Raises:
        UnsupportedOperatorError: an operator that those networks have not.
        InputError: the file cannot be read.
    """
    from ...export.onnx.intake import from_onnx

    return from_onnx(_Reader(path).model().SerializeToString())


class _Reader:
    """One file; tensors are called t0, t1, ... by their index."""

    def __init__(self, path: Path):
        self.path = path
        graph = read_model(path.read_bytes(), str(path)).main
        self.graph, self.tensors = graph, graph.tensors
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.real: dict[int, str] = {}  # activation -> the name of its dequantized values

    def model(self) -> Any:
        """The ONNX model."""
        from onnx import helper

        borders: dict[str, list[Any]] = {"inputs": [], "outputs": []}
        for number, index in enumerate(self.graph.inputs):
            name = f"input_{number}" if number else "input"
            borders["inputs"].append(self._border(name, index))
            self._pair(name, index)
        for operator in self.graph.operators:
            self._operator(operator)
        for number, index in enumerate(self.graph.outputs):
            name = f"output_{number}" if number else "output"
            self.nodes[-1].output[0] = name  # the last node gives it
            self.real[index] = name
            borders["outputs"].append(self._border(name, index))
        name = self.path.stem.replace("_int8", "").replace("_float", "")
        graph = helper.make_graph(
            self.nodes, name, borders["inputs"], borders["outputs"], self.constants
        )
        return helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10
        )

    def _border(self, name: str, index: int) -> Any:
        from onnx import TensorProto, helper

        return helper.make_tensor_value_info(
            name, TensorProto.FLOAT, _first(self.tensors[index].shape)
        )

    def _constant(self, name: str, value: Any) -> str:
        from onnx import numpy_helper

        if all(name != held.name for held in self.constants):
            self.constants.append(numpy_helper.from_array(np.array(value, order="C"), name))
        return name

    def _node(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        from onnx import helper

        name = f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [output], name=name, **attributes))
        return output

    def _pair(self, source: str, index: int) -> None:
        """Quantize and dequantize an activation with the parameters of its tensor; floats stay."""
        held = self.tensors[index].quantization
        if held is None:
            self.real[index] = source
            return
        scale = self._constant(f"t{index}_scale", np.float32(held.scale[0]))
        zero = self._constant(f"t{index}_zero", np.int8(held.zero_point[0]))
        stored = self._node("QuantizeLinear", [source, scale, zero], f"t{index}_q")
        self.real[index] = self._node("DequantizeLinear", [stored, scale, zero], f"t{index}")

    def _weights(self, tensor: TfliteTensor, values: Any) -> str:
        """A constant behind a DequantizeLinear; slices lie on axis 0 of `values`."""
        held = tensor.quantization
        if held is None:
            return self._constant(f"w{tensor.index}", values)
        many = len(held.scale) > 1
        scales = np.array(held.scale if many else held.scale[0], np.float32)
        name = f"w{tensor.index}"
        parts = [
            self._constant(f"{name}_q", values),
            self._constant(f"{name}_scale", scales),
            self._constant(f"{name}_zero", np.zeros(scales.shape, values.dtype)),
        ]
        if any(node.output[0] == name for node in self.nodes):
            return name
        return self._node("DequantizeLinear", parts, name, **({"axis": 0} if many else {}))

    def _operator(self, operator: TfliteOperator) -> None:
        makers = {
            "CONV_2D": self._conv,
            "DEPTHWISE_CONV_2D": self._conv,
            "FULLY_CONNECTED": self._dense,
            "ADD": self._add,
            "AVERAGE_POOL_2D": self._pool,
            "RESHAPE": self._rows,
            "SOFTMAX": self._softmax,
        }
        if operator.name not in makers:
            raise UnsupportedOperatorError(
                f"{operator.name} is not read here", where=str(self.path)
            )
        made = makers[operator.name](operator)
        if operator.options.get("fused_activation_function") == "RELU":
            made = self._node("Relu", [made], f"{made}_relu")
        self._pair(made, operator.outputs[0])

    def _conv(self, operator: TfliteOperator) -> str:
        x, w, b = (self.tensors[i] for i in operator.inputs[:3])
        depthwise = operator.name == "DEPTHWISE_CONV_2D"
        values = w.values().transpose((3, 0, 1, 2) if depthwise else (0, 3, 1, 2))
        kernel = values.shape[2:]
        strides = [int(operator.options[f"stride_{axis}"]) for axis in "hw"]
        inputs = [self.real[x.index], self._weights(w, values), self._weights(b, b.values())]
        return self._node(
            "Conv",
            inputs,
            f"t{operator.outputs[0]}_sum",
            kernel_shape=list(kernel),
            strides=strides,
            dilations=[int(operator.options[f"dilation_{axis}_factor"]) for axis in "hw"],
            group=x.shape[3] if depthwise else 1,
            pads=self._pads(operator, x.shape[1:3], kernel, strides),
        )

    def _pads(
        self, operator: TfliteOperator, size: Any, kernel: Any, strides: list[int]
    ) -> list[int]:
        if operator.options["padding"] != "SAME":
            return [0, 0, 0, 0]
        pads = [same_pads(size[i], kernel[i], strides[i]) for i in (0, 1)]
        return [pads[0][0], pads[1][0], pads[0][1], pads[1][1]]

    def _dense(self, operator: TfliteOperator) -> str:
        x, w, b = (self.tensors[i] for i in operator.inputs[:3])
        inputs = [self.real[x.index], self._weights(w, w.values()), self._weights(b, b.values())]
        return self._node("Gemm", inputs, f"t{operator.outputs[0]}_sum", transB=1)

    def _add(self, operator: TfliteOperator) -> str:
        inputs = [self.real[i] for i in operator.inputs]
        return self._node("Add", inputs, f"t{operator.outputs[0]}_sum")

    def _pool(self, operator: TfliteOperator) -> str:
        options = operator.options
        return self._node(
            "AveragePool",
            [self.real[operator.inputs[0]]],
            f"t{operator.outputs[0]}_mean",
            kernel_shape=[int(options["filter_height"]), int(options["filter_width"])],
            strides=[int(options["stride_h"]), int(options["stride_w"])],
        )

    def _rows(self, operator: TfliteOperator) -> str:
        shape, target = (self.tensors[i].shape for i in (operator.inputs[0], operator.outputs[0]))
        if len(target) != 2 or any(n != 1 for n in shape[1:-1]):
            raise UnsupportedOperatorError(
                "a reshape that is not of one pixel to a row", where=str(self.path)
            )
        made = f"t{operator.outputs[0]}_rows"
        return self._node("Flatten", [self.real[operator.inputs[0]]], made, axis=1)

    def _softmax(self, operator: TfliteOperator) -> str:
        made = f"t{operator.outputs[0]}_share"
        return self._node("Softmax", [self.real[operator.inputs[0]]], made, axis=1)


def _first(shape: tuple[int, ...]) -> list[int]:
    """The shape with channels on axis 1."""
    return [shape[0], shape[-1], *shape[1:-1]] if len(shape) > 2 else list(shape)
