"""Small ONNX graphs lowered to TFLite and run in every engine beside onnxruntime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime
from edgepress.export.tflite.lower import Lowered, lower
from edgepress.export.tflite.write import write
from onnx import helper, numpy_helper

ENGINES = ("tflite", "litert")


def make_hub(
    nodes: Sequence[Any],
    inputs: Mapping[str, Sequence[int]],
    outputs: Sequence[str],
    constants: Mapping[str, np.ndarray],
    dtypes: Mapping[str, int] | None = None,
) -> onnx.ModelProto:
    """An opset-21 model with inferred shapes; float32 inputs and outputs unless `dtypes` says else."""
    kind = dtypes or {}
    graph = helper.make_graph(
        list(nodes),
        "g",
        [
            helper.make_tensor_value_info(n, kind.get(n, onnx.TensorProto.FLOAT), s)
            for n, s in inputs.items()
        ],
        [
            helper.make_tensor_value_info(n, kind.get(n, onnx.TensorProto.FLOAT), None)
            for n in outputs
        ],
        [numpy_helper.from_array(np.asarray(v), n) for n, v in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    model = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    onnx.checker.check_model(model, full_check=True)
    return model


def run_onnx(model: onnx.ModelProto, inputs: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """Outputs of onnxruntime with one thread, graph rewriting off."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return session.run(None, dict(inputs))


def interpreter(data: bytes, engine: str) -> Any:
    if engine == "tflite":
        from tflite_runtime.interpreter import Interpreter
    else:
        from ai_edge_litert.interpreter import Interpreter
    made = Interpreter(model_content=data, num_threads=1)
    made.allocate_tensors()
    return made


def run_tflite(data: bytes, inputs: Sequence[np.ndarray], engine: str) -> list[np.ndarray]:
    """Raw outputs; float inputs of int8 tensors are quantized (half to even)."""
    made = interpreter(data, engine)
    for detail, value in zip(made.get_input_details(), inputs, strict=True):
        if detail["dtype"] == np.int8 and value.dtype == np.float32:
            scale, zero = detail["quantization"]
            value = np.clip(np.rint(value / np.float32(scale)) + zero, -128, 127).astype(np.int8)
        made.set_tensor(detail["index"], value.astype(detail["dtype"]))
    made.invoke()
    return [made.get_tensor(detail["index"]) for detail in made.get_output_details()]


def channels_last(array: np.ndarray) -> np.ndarray:
    """NCHW -> NHWC and its like for ranks 3 to 5; other ranks as they are."""
    return np.moveaxis(array, 1, -1) if array.ndim in (3, 4, 5) else array


def channels_first(array: np.ndarray) -> np.ndarray:
    """NHWC -> NCHW and its like."""
    return np.moveaxis(array, -1, 1) if array.ndim in (3, 4, 5) else array


def as_onnx(found: np.ndarray, layout: str) -> np.ndarray:
    """An output in ONNX's axis order, given the layout the lowering reports."""
    return channels_first(found) if layout in ("NHWC", "NLC", "NDHWC") else found


def assert_same_float(
    model: onnx.ModelProto,
    inputs: Mapping[str, np.ndarray],
    tolerance: float = 1e-5,
    engines: Sequence[str] = ENGINES,
    layouts: Sequence[str] = ("nchw", "nhwc"),
    **options: Any,
) -> Lowered:
    """Lower, run, compare with onnxruntime; the model stays as it is. Gives the last lowering."""
    before = model.SerializeToString()
    expected = run_onnx(model, inputs)
    for io_layout in layouts:
        lowered = lower(model, io_layout=io_layout, **options)
        data = write(lowered.model)
        pairs = zip(inputs.values(), lowered.input_layouts, strict=True)
        fed = [channels_last(v) if name in ("NHWC", "NLC", "NDHWC") else v for v, name in pairs]
        for engine in engines:
            found = run_tflite(data, fed, engine)
            for want, have, layout in zip(expected, found, lowered.output_layouts, strict=True):
                np.testing.assert_allclose(
                    as_onnx(have, layout), want, rtol=tolerance, atol=tolerance, err_msg=engine
                )
    assert model.SerializeToString() == before
    return lowered


def lsb_difference(
    model: onnx.ModelProto, inputs: Mapping[str, np.ndarray], engine: str, **options: Any
) -> np.ndarray:
    """|TFLite - onnxruntime| of all outputs of a quantized hub, in steps of their scale."""
    expected = run_onnx(model, inputs)
    lowered = lower(model, **options)
    pairs = zip(inputs.values(), lowered.input_layouts, strict=True)
    fed = [channels_last(v) if name in ("NHWC", "NLC", "NDHWC") else v for v, name in pairs]
    found = run_tflite(write(lowered.model), fed, engine)
    differences = []
    for position, (want, have) in enumerate(zip(expected, found, strict=True)):
        have = as_onnx(have, lowered.output_layouts[position])
        held = lowered.model.tensors[lowered.model.outputs[position]].quantization
        if held is None:
            differences.append(np.abs(have.astype(np.float64) - want).reshape(-1))
            continue
        steps = np.rint(want / np.float64(np.float32(held.scale[0]))) + held.zero_point[0]
        differences.append(np.abs(have - steps).reshape(-1))
    return np.concatenate(differences)
