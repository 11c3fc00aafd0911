"""Where tensors lie in the arena: those that live at the same time never overlap.

Offsets are chosen greedily in several orders (by size, by length of life, by the fullest call), each tensor in the
smallest gap that holds it; the smallest arena wins. Which tensors must lie beside each other bounds it from below: no
plan is smaller than the largest sum over the tensors that one call needs. Source of the greedy order: Pisarchyk & Lee,
"Efficient Memory Management for Deep Neural Net Inference", 2020, section 5.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

ALIGNMENT = 16
"""Of every tensor in the arena, in bytes."""


@dataclass(frozen=True)
class Request:
    """Memory wanted: `bytes`, in use from call `first` to call `last`, both included."""

    bytes: int
    first: int
    last: int

    def meets(self, other: Request) -> bool:
        """True if there is a call at which both are in use."""
        return self.first <= other.last and other.first <= self.last


@dataclass(frozen=True)
class MemoryPlan:
    """An offset for each request, in their order; `peak_bytes` holds them all, no plan needs less than the bound."""

    offsets: tuple[int, ...]
    peak_bytes: int
    lower_bound_bytes: int


def plan_memory(requests: Sequence[Request], alignment: int = ALIGNMENT) -> MemoryPlan:
    """Offsets, multiples of `alignment`, under which no two requests that meet overlap. Deterministic."""
    crowded = _crowding(requests)
    orders: tuple[Callable[[int], tuple[int, ...]], ...] = (
        lambda i: (-requests[i].bytes, requests[i].first, i),
        lambda i: (-crowded[i], -requests[i].bytes, requests[i].first, i),
        lambda i: (-(requests[i].last - requests[i].first + 1) * requests[i].bytes, i),
        lambda i: (requests[i].first, -requests[i].bytes, i),
        lambda i: (-requests[i].last, -requests[i].bytes, i),
    )
    plans = [_place(requests, sorted(range(len(requests)), key=key), alignment) for key in orders]
    offsets, peak = min(plans, key=lambda plan: plan[1])
    return MemoryPlan(offsets, peak, lower_bound(requests))


def lower_bound(requests: Sequence[Request]) -> int:
    """The largest sum of bytes in use at one call."""
    return max(_loads(requests).values(), default=0)


def _loads(requests: Sequence[Request]) -> dict[int, int]:
    """Bytes in use at each call where a request begins: sums only grow there."""
    starts = {request.first for request in requests}
    return {
        call: sum(r.bytes for r in requests if r.first <= call <= r.last) for call in sorted(starts)
    }


def _crowding(requests: Sequence[Request]) -> list[int]:
    """For each request the fullest call of its life."""
    loads = _loads(requests)
    return [
        max((load for call, load in loads.items() if r.first <= call <= r.last), default=0)
        for r in requests
    ]


def _place(
    requests: Sequence[Request], order: Sequence[int], alignment: int
) -> tuple[tuple[int, ...], int]:
    """Offsets when placed one after the other, each in the smallest gap that holds it; and the peak."""
    offsets = [0] * len(requests)
    placed: list[int] = []
    peak = 0
    for index in order:
        wanted = requests[index]
        taken = sorted(
            (offsets[i], offsets[i] + requests[i].bytes)
            for i in placed
            if requests[i].meets(wanted) and requests[i].bytes
        )
        offsets[index] = _best_gap(taken, wanted.bytes, alignment)
        peak = max(peak, offsets[index] + wanted.bytes)
        placed.append(index)
    return tuple(offsets), -(-peak // alignment) * alignment


def _best_gap(taken: Sequence[tuple[int, int]], size: int, alignment: int) -> int:
    """Start of the smallest gap between taken ranges that holds `size`; behind all of them if none does."""
    best, best_room, end = -1, 0, 0
    for start, stop in taken:
        room = start - end
        if room >= size and (best < 0 or room < best_room):
            best, best_room = end, room
        end = max(end, -(-stop // alignment) * alignment)
    return best if best >= 0 else end
