"""A small convolutional hub with all its weights from a seed, its int8 form, and inputs for both."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import helper

from .lowering import make_hub
from .quantized import quantize

SHAPE = (1, 3, 12, 12)


def hub(seed: int = 0) -> onnx.ModelProto:
    """conv1 - Relu - pool - conv2 - Relu - flatten - dense."""
    random = np.random.default_rng(seed)

    def normal(*shape: int) -> np.ndarray:
        fan_in = np.prod(shape[1:]) if len(shape) > 1 else 4
        return (random.normal(size=shape) / np.sqrt(fan_in)).astype(np.float32)

    def node(operator: str, inputs: list[str], output: str, **attributes: Any) -> Any:
        return helper.make_node(operator, inputs, [output], output, **attributes)

    nodes = [
        node("Conv", ["x", "w1", "b1"], "conv1", pads=[1] * 4),
        node("Relu", ["conv1"], "relu1"),
        node("MaxPool", ["relu1"], "pool", kernel_shape=[2, 2], strides=[2, 2]),
        node("Conv", ["pool", "w2", "b2"], "conv2"),
        node("Relu", ["conv2"], "relu2"),
        node("Flatten", ["relu2"], "flat", axis=1),
        node("Gemm", ["flat", "w3", "b3"], "y", transB=1),
    ]
    constants = {
        "w1": normal(8, 3, 3, 3),
        "b1": normal(8),
        "w2": normal(6, 8, 3, 3),
        "b2": normal(6),
        "w3": normal(5, 96),
        "b3": normal(5),
    }
    return make_hub(nodes, {"x": SHAPE}, ["y"], constants)


def samples(count: int = 6, seed: int = 1) -> list[tuple[np.ndarray, ...]]:
    random = np.random.default_rng(seed)
    return [(random.normal(size=SHAPE).astype(np.float32),) for _ in range(count)]


def int8(model: onnx.ModelProto) -> onnx.ModelProto:
    return quantize(model, [{"x": x} for (x,) in samples(16, seed=2)])
