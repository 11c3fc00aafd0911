"""What a file computes, layer by layer: shapes, parameters, multiply-accumulates and weight bytes.

Works on any ONNX or TFLite file, whoever wrote it; nothing is run. One convention for both formats
(it is Ethos-U Vela's, whose counts MLPerf Tiny results are compared by):

- convolution, dense, matrix product, recurrent: one MAC per product that enters a sum;
- pooling and reductions: one MAC per element of every window; softmax and layer normalisation:
  two per element, for maximum and sum, mean and variance;
- everything else (bias, activation, add, multiply, resize, ...) counts nothing.

`parameters` are the stored numbers a layer computes with (weights, biases, scales of a batch
normalisation); `weight_bytes` are those numbers at the bit width they need, whatever the file
takes: 4-bit weights half a byte each, 1-bit weights an eighth. Scales, zero points, shapes and
axes are not parameters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..runtime.artifact import detect_format, read_model_bytes
from ..runtime.errors import InputError

if TYPE_CHECKING:
    import onnx

Shape = tuple[int, ...]


@dataclass(frozen=True)
class LayerInfo:
    """One operator. Shapes have -1 where nothing tells the length.

    `macs` includes `binary_macs` (both factors 1 bit). `bit_operations` are MACs x weight bits x
    activation bits of layers that multiply (Hubara et al. 2016; HAWQ-V3, Yao et al. 2021), 0 for
    pooling, reductions and softmax. `weight_bits` is 0 without weights; for a product of two
    activations it stays 0 and the second factor's width enters `bit_operations` alone.
    """

    name: str
    operator: str
    input_shapes: tuple[Shape, ...]
    output_shapes: tuple[Shape, ...]
    parameters: int
    macs: int
    binary_macs: int
    bit_operations: int
    weight_bytes: int
    weight_bits: int
    activation_bits: int
    quantization: str
    note: str = ""


@dataclass(frozen=True)
class LayerTable:
    """All layers of a file in the order of execution. `notes` say what was assumed or left out."""

    path_name: str
    format: str
    layers: tuple[LayerInfo, ...]
    notes: tuple[str, ...] = ()

    @property
    def parameters(self) -> int:
        """Stored numbers the network computes with."""
        return sum(layer.parameters for layer in self.layers)

    @property
    def macs(self) -> int:
        """Multiply-accumulates of one inference, binary ones included."""
        return sum(layer.macs for layer in self.layers)

    @property
    def binary_macs(self) -> int:
        """MACs whose factors both have 1 bit."""
        return sum(layer.binary_macs for layer in self.layers)

    @property
    def bit_operations(self) -> int:
        """Sum of MACs x weight bits x activation bits."""
        return sum(layer.bit_operations for layer in self.layers)

    @property
    def weight_bytes(self) -> int:
        """Bytes of all parameters at their real bit width; computed, not the size of a file."""
        return sum(layer.weight_bytes for layer in self.layers)


@dataclass(frozen=True)
class TableFootprint:
    """Totals under the names a receipt uses for them."""

    parameters: int
    macs: int
    bit_operations: int
    packed_weight_bytes: int


def footprint(table: LayerTable) -> TableFootprint:
    """Parameters, MACs, bit operations and packed bytes of a table."""
    return TableFootprint(
        parameters=table.parameters,
        macs=table.macs,
        bit_operations=table.bit_operations,
        packed_weight_bytes=table.weight_bytes,
    )


def layer_table(source: Path | str | bytes | onnx.ModelProto, where: str = "") -> LayerTable:
    """The layer table of an ONNX or TFLite file.

    Args:
        source: path, content, or a loaded ONNX model (which stays as it is).
        where: name for messages and `path_name`; the file's name by default.

    Raises:
        InputError: it cannot be read, is damaged, or is neither format.
    """
    if isinstance(source, (str, Path)):
        where = where or str(source)
        source = read_model_bytes(Path(source))
    name = Path(where).name
    if isinstance(source, bytes):
        form = detect_format(source, where)
        if form in ("tflite", "lce"):
            from ..runtime.tflite_schema import read_model
            from .layers_tflite import tflite_layers

            layers, notes = tflite_layers(read_model(source, where))
            return LayerTable(name, "tflite", layers, notes)
        if form == "c":
            raise InputError(
                "a C folder has no layer table",
                where=where,
                hint="look at the ONNX or TFLite file of the same model",
            )
        source = _parse_onnx(source, where)
    from .layers_onnx import onnx_layers

    layers, notes = onnx_layers(source, where)
    return LayerTable(name, "onnx", layers, notes)


def _parse_onnx(data: bytes, where: str) -> Any:
    import onnx

    try:
        return onnx.load_model_from_string(data)
    except Exception as error:  # protobuf's DecodeError, by whichever implementation is installed
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"damaged ONNX file: {reason}", where=where or None, hint="export the model again"
        ) from error


@dataclass(frozen=True)
class Weight:
    """A stored constant of a layer: how many numbers of how many bits. `key` tells shared ones."""

    key: str
    elements: int
    bits: int
    text: str = ""
    note: str = ""

    @property
    def n_bytes(self) -> int:
        """Bytes at the real bit width, rounded up to whole bytes."""
        return (self.elements * self.bits + 7) // 8


class Counter:
    """Makes `LayerInfo`s; a constant that several layers use counts for the first."""

    def __init__(self) -> None:
        self._owner: dict[str, str] = {}

    def layer(
        self,
        name: str,
        operator: str,
        shapes: tuple[Sequence[Shape], Sequence[Shape]],
        weights: Sequence[Weight],
        macs: int,
        factors: tuple[int, int] | None,
        bits: tuple[int, int],
        quantization: str,
        notes: Sequence[str] = (),
    ) -> LayerInfo:
        """One row.

        Args:
            shapes: (inputs, outputs).
            weights: constants the layer computes with.
            factors: bits of the two factors of a MAC, None where nothing is multiplied.
            bits: (weight bits, activation bits) to be shown.
        """
        said = [*notes, *(w.note for w in weights if w.note)]
        new = []
        for weight in weights:
            owner = self._owner.setdefault(weight.key, name)
            if owner == name:
                new.append(weight)
            else:
                said.append(f"shares '{weight.key}' with '{owner}'")
        first, second = factors or (0, 0)
        return LayerInfo(
            name=name,
            operator=operator,
            input_shapes=tuple(shapes[0]),
            output_shapes=tuple(shapes[1]),
            parameters=sum(weight.elements for weight in new),
            macs=macs,
            binary_macs=macs if factors == (1, 1) else 0,
            bit_operations=macs * first * second,
            weight_bytes=sum(weight.n_bytes for weight in new),
            weight_bits=bits[0],
            activation_bits=bits[1],
            quantization=quantization,
            note="; ".join(dict.fromkeys(said)),
        )
