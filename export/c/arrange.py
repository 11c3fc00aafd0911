"""Places of all tensors of a `Program`: results overwrite an operand where they may, `memory.py` plans the rest."""

from __future__ import annotations

from dataclasses import dataclass

from .memory import MemoryPlan, Request, plan_memory
from .program import Call, Program, TensorRef, lifetimes


@dataclass(frozen=True)
class Arrangement:
    """Where everything lies.

    Attributes:
        offsets: arena tensor -> offset in bytes.
        scratch: call number -> offset of its scratch memory.
        plan: of the whole arena.
        requests: what was planned, for proofs: (bytes, first call, last call) in the plan's order.
    """

    offsets: dict[int, int]
    scratch: dict[int, int]
    plan: MemoryPlan
    requests: tuple[Request, ...]


def arrange(program: Program) -> Arrangement:
    """Plan the arena of a program. Deterministic."""
    lives = lifetimes(program)
    home = _shared_homes(program, lives)
    members: dict[int, list[int]] = {}
    for index in sorted(lives):
        if program.tensors[index].role == "":
            members.setdefault(_root(home, index), []).append(index)
    requests, owners = [], []
    for root, group in sorted(members.items()):
        size = max(program.tensors[index].bytes for index in group)
        first = min(lives[index][0] for index in group)
        last = max(lives[index][1] for index in group)
        requests.append(Request(size, first, last))
        owners.append(root)
    tensors = len(requests)
    calls = [number for number, call in enumerate(program.calls) if call.scratch]
    requests += [Request(program.calls[number].scratch, number, number) for number in calls]
    plan = plan_memory(requests)
    place = dict(zip(owners, plan.offsets, strict=False))
    offsets = {index: place[root] for root, group in members.items() for index in group}
    scratch = dict(zip(calls, plan.offsets[tensors:], strict=True))
    return Arrangement(offsets, scratch, plan, tuple(requests))


def _root(home: dict[int, int], index: int) -> int:
    while index in home:
        index = home[index]
    return index


def _shared_homes(program: Program, lives: dict[int, tuple[int, int]]) -> dict[int, int]:
    """Tensor -> the tensor whose memory it takes over."""
    home: dict[int, int] = {}
    for number, call in enumerate(program.calls):
        pair = _pair(program, call)
        if pair is None:
            continue
        x, y = pair
        dies_here = lives[x][1] == number and lives[y][0] == number
        read_twice = sum(o == TensorRef(x) for o, _ in call.reads) > 1
        if dies_here and not read_twice:
            home[y] = x
    return home


def _pair(program: Program, call: Call) -> tuple[int, int] | None:
    """(operand, result) of a call that may work in place, both in the arena and equally large."""
    if not call.in_place or not call.reads:
        return None
    source, target = call.reads[0][0], call.writes[0][0]
    if not isinstance(source, TensorRef):
        return None
    x, y = program.tensors[source.index], program.tensors[target.index]
    if x.role or y.role or x.bytes != y.bytes:
        return None
    return source.index, target.index
