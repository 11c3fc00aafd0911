"""Bounds of a firmware's stack: the deepest path of the call graph, and frames read off the library's code."""

from __future__ import annotations

import pytest
from edgepress.devices.firmware_library import add_library
from edgepress.devices.firmware_stack import read_call_graph, stack_bound


def node(name: str, frame: str) -> str:
    return f'node: {{ title: "{name}" label: "{name}\\na.c:1:1\\n{frame}" }}\n'


def edge(source: str, target: str) -> str:
    return f'edge: {{ sourcename: "{source}" targetname: "{target}" label: "a.c:1:1" }}\n'


LEAVES = (
    node("main", "8 bytes (static)")
    + node("a", "16 bytes (static)")
    + node("b", "4 bytes (static)")
)


def test_the_deepest_path_bounds_the_stack() -> None:
    first = LEAVES + edge("main", "a") + edge("main", "b")
    second = node("c", "100 bytes (dynamic,bounded)") + edge("b", "c")
    bound = stack_bound(read_call_graph([first, second]), "main")
    assert (bound.bytes, bound.path, bound.reason) == (112, ("main", "b", "c"), "")


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        (edge("b", "main"), "main calls itself"),
        (edge("b", "__indirect_call"), "b calls through a pointer"),
        (edge("b", "memcpy"), "frame of memcpy, called by b,"),
        (node("c", "8 bytes (dynamic)") + edge("a", "c"), "frame of c has a size known only"),
    ],
)
def test_what_cannot_be_bounded_says_why(more: str, reason: str) -> None:
    text = LEAVES + edge("main", "a") + edge("main", "b") + more
    bound = stack_bound(read_call_graph([text]), "main")
    assert bound.bytes is None and reason in bound.reason


CODE = """
firmware.elf:     file format elf32-littlearm

Disassembly of section .text:

10000400 <memcpy>:
10000400:	b5f0      	push	{r4, r5, r6, r7, lr}
10000402:	b082      	sub	sp, #8
10000404:	9301      	str	r3, [sp, #4]
10000406:	f000 f813 	bl	10000420 <inner>
1000040a:	d1f9      	bne.n	10000400 <memcpy>
1000040c:	b002      	add	sp, #8
1000040e:	bdf0      	pop	{r4, r5, r6, r7, pc}

10000420 <inner>:
10000420:	ed2d 8b04 	vpush	{d8-d9}
10000424:	e96d 4504 	strd	r4, r5, [sp, #-16]!
10000428:	4770      	bx	lr
1000042a:	e7fe      	b.n	10000430 <last+0x0>

10000430 <last>:
10000430:	e92d 41f0 	stmdb	sp!, {r4-r8, lr}	@ comment
10000434:	LAST
"""
SYMBOLS = {"memcpy": [0x10000400], "inner": [0x10000420], "last": [0x10000430]}
COMPILED = node("main", "8 bytes (static)") + edge("main", "memcpy")


@pytest.mark.parametrize(
    ("last", "bound", "reason"),
    [
        ("4770      	bx	lr", 8 + 28 + 32 + 24, ""),
        ("4770      	ldr	r3, [pc, #8]", 8 + 28 + 32 + 24, ""),
        ("4685      	mov	sp, r0", None, "frame of last, called by inner,"),
        ("4485      	add	sp, r0", None, "frame of last"),
        ("4718      	bx	r3", None, "frame of last"),
        ("4718      	ldr	pc, [r3]", None, "frame of last"),
        ("4798      	blx	r3", None, "last calls through a pointer"),
        ("e7fe      	b.n	10000402 <memcpy+0x2>", None, "frame of last"),
        ("e7fe      	bl	10000400 <memcpy>", None, "memcpy calls itself"),
    ],
)
def test_frames_of_the_library_are_read_off_its_code(
    last: str, bound: int | None, reason: str
) -> None:
    graph = read_call_graph([COMPILED])
    add_library(graph, CODE.replace("LAST", last), SYMBOLS, "main")
    found = stack_bound(graph, "main")
    assert found.bytes == bound and reason in found.reason


def test_a_function_without_code_stays_unknown() -> None:
    graph = read_call_graph([COMPILED])
    add_library(graph, "10000400 <memcpy>:\n", SYMBOLS, "main")
    assert "frame of memcpy" in stack_bound(graph, "main").reason
