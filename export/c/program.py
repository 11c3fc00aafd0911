"""A model as calls of C kernels: constants, tensors that need memory, calls in their order. `emit.py` writes it down.

Nothing here knows ONNX or TFLite; `lower.py` makes a `Program`, `memory.py` gives its tensors their places.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

C_TYPES = {
    "int8": "int8_t",
    "uint8": "uint8_t",
    "int16": "int16_t",
    "int32": "int32_t",
    "uint32": "uint32_t",
    "int64": "int64_t",
    "float32": "float",
    "bool": "uint8_t",
}
"""numpy dtype -> C type of its elements; booleans are bytes, 0 or 1."""


STATE_ALIGNMENT = 16


@dataclass(frozen=True)
class ConstantRef:
    """The constant array of this number."""

    index: int


Fields = dict[str, Any]
"""Members of an argument structure: numbers, constants, tuples (arrays) and further structures."""


@dataclass(frozen=True)
class TensorRef:
    """The memory of this tensor."""

    index: int


Operand = TensorRef | ConstantRef


@dataclass
class Tensor:
    """Memory of an activation. `role` is "input", "output", "state" (kept in the context) or "" (lies in the arena)."""

    name: str
    bytes: int
    role: str = ""
    position: int = 0


@dataclass(frozen=True)
class Call:
    """One kernel call: `function(&arguments, reads..., writes..., scratch)`.

    `reads` and `writes` pair an operand with the C type of its elements. With `in_place` the first result may lie where
    the first operand lies. `scratch` is in bytes, of C type `scratch_type`. `macs` is what it multiplies and adds.
    """

    function: str
    header: str
    arguments: str
    fields: Fields
    reads: tuple[tuple[Operand, str], ...]
    writes: tuple[tuple[TensorRef, str], ...]
    source: str
    in_place: bool = False
    scratch: int = 0
    scratch_type: str = ""
    macs: int = 0


@dataclass(frozen=True)
class State:
    """Memory that outlives a call: `zero` is the byte that every byte of it is after a reset."""

    name: str
    bytes: int
    zero: int


@dataclass
class Program:
    """Constants, tensors, calls and states; `inputs` and `outputs` are tensor numbers."""

    constants: list[tuple[str, Array]] = field(default_factory=list)
    tensors: list[Tensor] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    inputs: list[int] = field(default_factory=list)
    outputs: list[int] = field(default_factory=list)
    states: list[State] = field(default_factory=list)

    @property
    def state_offsets(self) -> tuple[int, ...]:
        """Where each state lies in the memory of all, at multiples of 16 bytes."""
        offsets, at = [], 0
        for state in self.states:
            offsets.append(at)
            at += -(-state.bytes // STATE_ALIGNMENT) * STATE_ALIGNMENT
        return tuple(offsets)

    @property
    def state_bytes(self) -> int:
        """Memory of all states."""
        return sum(-(-s.bytes // STATE_ALIGNMENT) * STATE_ALIGNMENT for s in self.states)

    @property
    def weights_bytes(self) -> int:
        """Bytes of all constants, as they lie in flash."""
        return sum(data.nbytes for _, data in self.constants)

    def add_tensor(self, name: str, size: int, role: str = "", position: int = 0) -> TensorRef:
        """A new tensor."""
        self.tensors.append(Tensor(name, size, role, position))
        return TensorRef(len(self.tensors) - 1)

    def add_constant(self, name: str, data: Array) -> ConstantRef:
        """A constant array; one of the same type and elements is stored once."""
        flat = np.ascontiguousarray(data).reshape(-1)
        for index, (_, held) in enumerate(self.constants):
            if held.dtype == flat.dtype and held.tobytes() == flat.tobytes():
                return ConstantRef(index)
        self.constants.append((name, flat))
        return ConstantRef(len(self.constants) - 1)


def lifetimes(program: Program) -> dict[int, tuple[int, int]]:
    """Tensor -> (first call, last call) in which its memory is in use; tensors nobody touches are left out."""
    found: dict[int, tuple[int, int]] = {}
    for number, call in enumerate(program.calls):
        for operand, _ in (*call.reads, *call.writes):
            if isinstance(operand, TensorRef):
                first, _last = found.get(operand.index, (number, number))
                found[operand.index] = (first, number)
    return found


def shared_arguments(program: Program) -> list[int]:
    """For each call the first one with equal arguments: steps of a recurrent layer have theirs in flash once."""
    first: dict[tuple[str, str], int] = {}
    return [
        first.setdefault((call.arguments, repr(call.fields)), number)
        for number, call in enumerate(program.calls)
    ]


def of_arena(program: Program, indices: Sequence[int]) -> list[int]:
    """Those of the tensors that lie in the arena."""
    return [index for index in indices if program.tensors[index].role == ""]


def constant_bytes(program: Program, call: Call) -> int:
    """Bytes of the constants that a call uses; one that several calls use counts for each."""
    found: set[int] = set()
    left: list[Any] = [call.fields, *(operand for operand, _ in call.reads)]
    while left:
        value = left.pop()
        if isinstance(value, ConstantRef):
            found.add(value.index)
        elif isinstance(value, dict):
            left += value.values()
    return sum(program.constants[index][1].nbytes for index in found)
