"""A TFLite model in memory: flat lists of tensors and operators, in TFLite's own layouts and terms.

`lower` builds it from the hub, `write.py` turns it into bytes. Nothing here knows ONNX or flatbuffers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True)
class LiteQuantization:
    """`real = scale * (q - zero_point)`, per tensor (one entry) or per slice of `dimension`."""

    scale: tuple[float, ...]
    zero_point: tuple[int, ...]
    dimension: int = 0


@dataclass
class LiteTensor:
    """A tensor; `data` is None for an activation, the constant otherwise. dtype is numpy's name."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    data: Array | None = None
    quantization: LiteQuantization | None = None


@dataclass
class LiteOperator:
    """An operator: `code` is the BuiltinOperator name ("CONV_2D"), or "CUSTOM" with `custom_code`.

    `options` are the fields of the operator's options table by schema name (Conv2DOptions:
    {"padding": "SAME", "stride_w": 1, ...}); enumerations are given by name. Inputs use -1 for an
    omitted optional tensor. A custom operator has the bytes `custom_options`, or integers in `options` that become a
    flexbuffer map. `source` is the hub node it comes from, for messages.
    """

    code: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: dict[str, Any] = field(default_factory=dict)
    version: int = 1
    custom_code: str = ""
    custom_options: bytes = b""
    source: str = ""


@dataclass
class LiteModel:
    """One subgraph with signature "serving_default" whose names are the hub's input and output names."""

    tensors: list[LiteTensor] = field(default_factory=list)
    operators: list[LiteOperator] = field(default_factory=list)
    inputs: list[int] = field(default_factory=list)
    outputs: list[int] = field(default_factory=list)
    input_names: list[str] = field(default_factory=list)
    output_names: list[str] = field(default_factory=list)
    metadata: dict[str, bytes] = field(default_factory=dict)
    description: str = "edgepress"

    def add_tensor(self, tensor: LiteTensor) -> int:
        """Append a tensor and give its index."""
        if tensor.data is not None:
            tensor.data = np.ascontiguousarray(tensor.data).reshape(tensor.data.shape)
            tensor.shape = tuple(int(n) for n in tensor.data.shape)
        self.tensors.append(tensor)
        return len(self.tensors) - 1
