"""`Builder`: the growing `Program` of a TFLite-lowered model, and what operator families ask of it.

A family `ops_*.py` defines LOWERINGS: operator code -> function(builder, operator); the functions call `tensor`,
`constant`, `read`, `write`, `call`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...compress.quantization.requantize import quantize_multiplier
from ...runtime.errors import UnsupportedOperatorError
from ..tflite.ir import LiteModel, LiteOperator, LiteQuantization, LiteTensor
from .layout import ROWS, Layout
from .program import (
    C_TYPES,
    Array,
    Call,
    ConstantRef,
    Fields,
    Operand,
    Program,
    State,
    TensorRef,
)

INT8_LOW, INT8_HIGH = -128, 127

_BOUNDS = {
    "NONE": (-np.inf, np.inf),
    "RELU": (0.0, np.inf),
    "RELU6": (0.0, 6.0),
    "RELU_N1_TO_1": (-1.0, 1.0),
}


class Builder:
    """One program in the making."""

    def __init__(self, model: LiteModel, layout: Layout = ROWS):
        self.model = model
        self.layout = layout
        self.program = Program()
        self._memory: dict[int, TensorRef] = {}
        self._folded: dict[int, Array] = {}  # constants computed at export

    # --- tensors -------------------------------------------------------------------------------

    def tensor(self, index: int) -> LiteTensor:
        """Shape, dtype and parameters of a tensor."""
        return self.model.tensors[index]

    def data(self, index: int) -> Array | None:
        """Elements of a constant; None for an activation."""
        return self._folded.get(index, self.tensor(index).data)

    def fold(self, index: int, data: Array) -> None:
        """Make a tensor a constant of these elements."""
        self._folded[index] = data

    def integers(self, operator: LiteOperator, position: int) -> list[int]:
        """Elements of a constant integer input: axes, shapes, paddings."""
        data = self.data(operator.inputs[position])
        if data is None:
            raise self.unsupported(operator, "an axis or shape computed at run time")
        return [int(n) for n in data.reshape(-1)]

    def read(self, index: int) -> tuple[Operand, str]:
        """A tensor as an operand: its memory, or its constant."""
        tensor = self.tensor(index)
        data = self.data(index)
        ctype = C_TYPES[tensor.dtype]
        if data is not None:
            return self.constant(tensor.name, data), ctype
        return self._memory[index], ctype

    def write(self, index: int) -> tuple[TensorRef, str]:
        """A tensor as a result; its memory is made."""
        tensor = self.tensor(index)
        if index not in self._memory:
            role, position = "", 0
            if index in self.model.outputs:
                role, position = "output", self.model.outputs.index(index)
            size = bytes_of(tensor)
            self._memory[index] = self.program.add_tensor(tensor.name, size, role, position)
        return self._memory[index], C_TYPES[tensor.dtype]

    def add_input(self, index: int) -> None:
        """A tensor that the caller brings."""
        tensor, position = self.tensor(index), len(self.program.inputs)
        ref = self.program.add_tensor(tensor.name, bytes_of(tensor), "input", position)
        self._memory[index] = ref
        self.program.inputs.append(ref.index)

    def add_state(self, index: int, state: State) -> None:
        """A tensor that the context keeps from call to call."""
        program = self.program
        self._memory[index] = program.add_tensor(
            state.name, state.bytes, "state", len(program.states)
        )
        program.states.append(state)

    def share(self, index: int, source: int) -> None:
        """Let a tensor be the memory of another."""
        self._memory[index] = self._memory[source]

    def give_out(self, index: int, output: int) -> bool:
        """Let an inner tensor lie in the caller's memory of an output; False where it belongs to the caller already."""
        held = self.program.tensors[self._memory[index].index]
        if held.role:
            return False
        held.role, held.position = "output", self.model.outputs.index(output)
        return True

    def is_border(self, index: int) -> bool:
        """True for inputs and outputs of the model, and for what it keeps."""
        held = self._memory.get(index)
        kept = held is not None and self.program.tensors[held.index].role == "state"
        return kept or index in self.model.inputs or index in self.model.outputs

    def temporary(self, name: str, size: int) -> TensorRef:
        """Memory between two calls of one operator."""
        return self.program.add_tensor(name, size)

    # --- constants and calls -------------------------------------------------------------------

    def constant(self, name: str, data: Array) -> ConstantRef:
        """A constant array in flash."""
        data = np.asarray(data)
        return self.program.add_constant(
            name, data.astype(np.uint8) if data.dtype == bool else data
        )

    def call(
        self,
        operator: LiteOperator,
        function: str,
        header: str,
        arguments: str,
        fields: Fields,
        reads: Sequence[tuple[Operand, str]],
        writes: Sequence[tuple[TensorRef, str]],
        *,
        in_place: bool = False,
        scratch: int = 0,
        scratch_type: str = "",
    ) -> None:
        """Append a kernel call."""
        self.program.calls.append(
            Call(
                function,
                header,
                arguments,
                fields,
                tuple(reads),
                tuple(writes),
                operator.source,
                in_place,
                scratch,
                scratch_type,
            )
        )

    # --- parameters ----------------------------------------------------------------------------

    def quantization(self, index: int) -> LiteQuantization | None:
        """Parameters of a tensor."""
        return self.tensor(index).quantization

    def scale(self, index: int) -> float:
        """Scale of an int8 tensor."""
        return self._parameters(index).scale[0]

    def zero(self, index: int) -> int:
        """Zero point of an int8 tensor."""
        return self._parameters(index).zero_point[0]

    def _parameters(self, index: int) -> LiteQuantization:
        found = self.tensor(index).quantization
        if found is None:
            raise UnsupportedOperatorError(
                "an int8 tensor without scale", where=f"tensor {self.tensor(index).name!r}"
            )
        return found

    def clamp_int8(self, operator: LiteOperator, index: int) -> tuple[int, int]:
        """Bounds of an int8 result under the operator's fused activation."""
        name = str(operator.options.get("fused_activation_function", "NONE"))
        return self.bounds_int8(name, index)

    def bounds_int8(self, activation: str, index: int) -> tuple[int, int]:
        """Bounds of an int8 tensor under an activation."""
        scale, zero, bounds = self.scale(index), self.zero(index), _BOUNDS[activation]
        low, high = INT8_LOW, INT8_HIGH
        if np.isfinite(bounds[0]):
            low = max(low, zero + int(np.rint(bounds[0] / scale)))
        if np.isfinite(bounds[1]):
            high = min(high, zero + int(np.rint(bounds[1] / scale)))
        return low, high

    def clamp_float(self, operator: LiteOperator) -> tuple[float, float]:
        """Bounds of a float result under the operator's fused activation."""
        return _BOUNDS[str(operator.options.get("fused_activation_function", "NONE"))]

    def is_int8(self, operator: LiteOperator) -> bool:
        """True if the operator's first result is int8."""
        return self.tensor(operator.outputs[0]).dtype == "int8"

    def only(self, operator: LiteOperator, *dtypes: str) -> None:
        """Refuse results of other types."""
        dtype = self.tensor(operator.outputs[0]).dtype
        if dtype not in dtypes:
            raise self.unsupported(operator, f"a result of type {dtype}")

    def unsupported(self, operator: LiteOperator, what: str) -> UnsupportedOperatorError:
        """The error to raise for what no kernel does."""
        return UnsupportedOperatorError(
            f"{operator.code}: {what} has no C form here",
            where=f"node {operator.source!r}",
            hint="rewrite it with operators of the C column of docs/operators.md, or export to ONNX or TFLite",
        )


def bytes_of(tensor: LiteTensor) -> int:
    """Bytes of a tensor's elements."""
    width = 1 if tensor.dtype == "bool" else np.dtype(tensor.dtype).itemsize
    return int(np.prod(tensor.shape, dtype=np.int64)) * width


def size_of(shape: Sequence[int]) -> int:
    """Number of elements."""
    return int(np.prod(shape, dtype=np.int64))


def scale_fields(real: float) -> dict[str, Any]:
    """An `ep_scale`."""
    made = quantize_multiplier(real)
    return {"multiplier": int(made.m0), "shift": int(made.shift)}


def scale_arrays(real: Array) -> tuple[Array, Array]:
    """(multipliers, shifts) of several factors, int32."""
    made = quantize_multiplier(real)
    return made.m0.astype(np.int32), made.shift.astype(np.int32)
