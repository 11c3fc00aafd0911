"""The arena's plan: tensors that are in use at the same call never overlap, on random lives and in real nets."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from edgepress.export.c.arrange import arrange
from edgepress.export.c.lower import lower
from edgepress.export.c.memory import ALIGNMENT, MemoryPlan, Request, plan_memory
from edgepress.export.c.program import Program, TensorRef
from hypothesis import given, settings
from hypothesis import strategies as st


@st.composite
def requests(draw: st.DrawFn) -> Request:
    first = draw(st.integers(0, 12))
    return Request(draw(st.integers(0, 500)), first, first + draw(st.integers(0, 6)))


def check(wanted: Sequence[Request], plan: MemoryPlan, alignment: int) -> None:
    assert len(plan.offsets) == len(wanted)
    assert plan.lower_bound_bytes <= plan.peak_bytes
    for offset, request in zip(plan.offsets, wanted, strict=True):
        assert offset % alignment == 0
        assert 0 <= offset <= offset + request.bytes <= plan.peak_bytes
    for i, a in enumerate(wanted):
        for j in range(i):
            b = wanted[j]
            together = any(b.first <= call <= b.last for call in range(a.first, a.last + 1))
            if together and a.bytes and b.bytes:
                low, high = sorted([(plan.offsets[i], a.bytes), (plan.offsets[j], b.bytes)])
                assert low[0] + low[1] <= high[0]


@settings(max_examples=300, deadline=None)
@given(st.lists(requests(), max_size=14), st.sampled_from([1, 4, 16]))
def test_no_two_tensors_in_use_overlap(wanted: list[Request], alignment: int) -> None:
    plan = plan_memory(wanted, alignment)
    check(wanted, plan, alignment)
    assert plan == plan_memory(wanted, alignment)


@settings(max_examples=100, deadline=None)
@given(st.lists(requests(), max_size=14))
def test_the_bound_is_the_fullest_call(wanted: list[Request]) -> None:
    calls = range(20)
    fullest = max(sum(r.bytes for r in wanted if r.first <= call <= r.last) for call in calls)
    assert plan_memory(wanted).lower_bound_bytes == fullest


def test_a_chain_takes_two_neighbours() -> None:
    """Buffers of a chain need two at a time, not the sum."""
    chain = [Request(64, i, i + 1) for i in range(6)]
    assert plan_memory(chain).peak_bytes == 128


NETS = ("resnet8", "ds_cnn", "har_gru", "autoencoder")


@pytest.mark.parametrize("name", NETS)
def test_values_survive_until_they_are_read(name: str) -> None:
    """Played through call by call: nothing that is still read lies where a call writes."""
    pytest.importorskip("torch")
    from support.c_models import zoo_int8

    program = lower(zoo_int8(name)).program
    places = arrange(program)
    check(places.requests, places.plan, ALIGNMENT)
    play(program, places.offsets, places.scratch, places.plan.peak_bytes)


def play(program: Program, offsets: dict[int, int], scratch: dict[int, int], size: int) -> None:
    """Every byte of the arena remembers which tensor was written there last."""
    owner = [-1] * size
    for number, call in enumerate(program.calls):
        for operand, _ in call.reads:
            if isinstance(operand, TensorRef) and operand.index in offsets:
                start, length = offsets[operand.index], program.tensors[operand.index].bytes
                assert set(owner[start : start + length]) == {operand.index}
        if number in scratch:
            start = scratch[number]
            owner[start : start + call.scratch] = [-1] * call.scratch
            for operand, _ in call.reads:
                if isinstance(operand, TensorRef) and operand.index in offsets:
                    begin = offsets[operand.index]
                    end = begin + program.tensors[operand.index].bytes
                    assert end <= start or start + call.scratch <= begin
        for ref, _ in call.writes:
            if ref.index in offsets:
                start, length = offsets[ref.index], program.tensors[ref.index].bytes
                owner[start : start + length] = [ref.index] * length
