"""The neutral graph the TFLite lowerings read: nodes and values with Q/DQ absorbed into the values.

`graph.py` makes it from a hub model. A value holds its logical (ONNX) shape and, if it is stored as
integers, its parameters; every crossing between float and int8 is a node of its own ("Quantize",
"Dequantize", "Requantize" of domain "border").
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from ...compress.quantization.qparams import QParams

Array = NDArray[Any]

BORDER = "border"
"""Domain of the three nodes that change how a value is stored."""


@dataclass
class Value:
    """One tensor: activation (`data` is None) or constant, in ONNX axis order.

    `dtype` is numpy's name of what is stored; `quantization` tells what the integers mean (its
    axis counts in ONNX order). Constants are as the hub holds them, uint8 shifted to int8.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    data: Array | None = None
    quantization: QParams | None = None

    @property
    def is_constant(self) -> bool:
        """True for weights, biases and other constants."""
        return self.data is not None

    @property
    def is_real(self) -> bool:
        """True if the values stand for real numbers: float32, or integers with parameters."""
        return self.dtype == "float32" or self.quantization is not None

    def real(self) -> Array:
        """float32 (or unquantized integer) values of a constant."""
        if self.data is None:
            raise ValueError(f"{self.name} is not a constant")
        return self.data if self.quantization is None else self.quantization.dequantize(self.data)


@dataclass
class Node:
    """One operator of the hub. `activation` names the fused one: NONE, RELU, RELU6, RELU_N1_TO_1.

    `int8` is True if the node computes on integers: its real inputs and outputs are quantized.
    """

    name: str
    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any] = field(default_factory=dict)
    domain: str = ""
    activation: str = "NONE"
    int8: bool = False


@dataclass
class Graph:
    """Nodes in topological order; `inputs` and `outputs` are value names, `*_names` the hub's."""

    nodes: list[Node]
    values: dict[str, Value]
    inputs: list[str]
    outputs: list[str]
    input_names: list[str]
    output_names: list[str]
    notes: list[tuple[str, str]] = field(default_factory=list)
    input_layouts: tuple[str, ...] = ()

    def consumers(self) -> dict[str, list[Node]]:
        """value name -> nodes that read it."""
        found: dict[str, list[Node]] = {}
        for node in self.nodes:
            for name in set(node.inputs):
                found.setdefault(name, []).append(node)
        return found


def same_parameters(a: QParams | None, b: QParams | None) -> bool:
    """True if both are the same scale and zero point (False if either is missing)."""
    return a is not None and b is not None and (a.scale, a.zero_point) == (b.scale, b.zero_point)
