"""What the planner decides for a float ONNX graph, before anything is written.

`plan(model, calibration) -> QuantPlan` lives in `plan.py`; `export/onnx/qdq.py` alone turns it into Q/DQ nodes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from .qparams import QParams


@dataclass(frozen=True)
class QuantizedConstant:
    """A weight or bias as integers, in ONNX layout, with the parameters they were made with."""

    values: NDArray[Any]
    qparams: QParams


@dataclass(frozen=True)
class QuantPlan:
    """Quantization of every tensor of a hub model (opset 21, BN folded, shapes known, batch 1).

    Attributes:
        activations: tensor name -> parameters; tensors absent here stay float.
        constants: initializer name -> int8 weights, int32 biases or int8 elementwise constants. A name
            used by two nodes with different needs appears as "name@node" and the writer splits it.
        requantize: (node name, input index) -> parameters the consumer needs that differ from the
            producer's; the writer puts one Q/DQ pair on that edge. Every entry has its reason.
        float_nodes: nodes kept float (asked for, or no int8 kernel), with the reason.
        observer: name of the range observer; calibration_sha256 and samples identify what it saw.
    """

    activations: Mapping[str, QParams]
    constants: Mapping[str, QuantizedConstant]
    requantize: Mapping[tuple[str, int], tuple[QParams, str]] = field(default_factory=dict)
    float_nodes: Mapping[str, str] = field(default_factory=dict)
    observer: str = ""
    calibration_sha256: str = ""
    samples: int = 0
