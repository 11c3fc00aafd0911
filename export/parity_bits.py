"""Bits that packed layers of a TFLite file hand to each other, beside the ONNX values whose signs they are."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np

from .parity_distance import Array
from .parity_onnx import OnnxSubject
from .parity_signs import is_packed
from .tflite.lce_bits import unpack_words, words


@dataclass(frozen=True)
class PackedBits:
    """Values of which a file keeps bits, in tensors NAME/bits [N, H, W, words].

    Attributes:
        names: value -> its shape in the model.
        rows: value -> whether dense layers read it, so that its channels are the last axis, not axis 1.
    """

    names: dict[str, tuple[int, ...]]
    rows: dict[str, bool]

    @staticmethod
    def read(reference: OnnxSubject, tensors: dict[str, Any], names: Collection[str]) -> PackedBits:
        """Those of `names` that packed layers, or max pools behind them, write and that the file has bits of."""
        shapes: dict[str, tuple[int, ...]] = {}
        rows: dict[str, bool] = {}
        for name in names:
            node, tensor = reference.producers[name], tensors.get(f"{name}/bits")
            readers = [n.op_type for n in reference.readers.get(name, [])]
            pooled = node.op_type == "MaxPool"
            if tensor is None or name not in reference.shapes or not (is_packed(node) or pooled):
                continue
            if not pooled and "Mul" in readers:
                continue  # the bits may be those behind the factor
            shape, dense = reference.shapes[name], node.op_type == "BinaryGemm"
            channels = shape[-1] if dense else shape[1]
            if tensor.n_elements == int(np.prod(shape)) // channels * words(channels):
                shapes[name], rows[name] = shape, dense
        return PackedBits(shapes, rows)

    @staticmethod
    def tensor(name: str) -> str:
        """Name of the tensor that holds the bits of a value."""
        return f"{name}/bits"

    def unpack(self, name: str, packed: Array) -> Array:
        """1 and -1, as float32, with the axes of the model."""
        shape = self.names[name]
        channels = shape[-1] if self.rows[name] else shape[1]
        signs = unpack_words(np.asarray(packed), channels).astype(np.float32)
        if self.rows[name]:
            return signs.reshape(shape)
        return np.moveaxis(signs, -1, 1).reshape(shape)
