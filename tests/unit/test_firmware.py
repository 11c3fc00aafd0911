"""Firmware without a compiler: vectors, layouts, parity, sizes, faults, counts, and what is missing."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from edgepress.devices.firmware_counts import Interval, read_counts
from edgepress.devices.firmware_elf import link_error, read_sections, read_symbols
from edgepress.devices.firmware_faults import MAGIC, read_fault
from edgepress.devices.firmware_program import Program
from edgepress.devices.firmware_vectors import FILL, Vectors, check_parity, layout_of, pack, unpack
from edgepress.devices.mcu_machines import MACHINES, device_memory, machine_of
from edgepress.devices.mcu_selftest import kernels_for
from edgepress.devices.profile import load_profile
from edgepress.devices.qemu import find_system_emulator
from edgepress.devices.toolchain import ArmToolchain, find_arm_toolchain
from edgepress.runtime.errors import (
    InputError,
    MissingToolError,
    ParityError,
    ToolFailedError,
    UsageError,
)
from hypothesis import given
from hypothesis import strategies as st

SIZES = """fw.elf  :
section             size        addr
.vectors              64           0
.text               1564   285212672
.rodata               36   285214240
.stack             17408   822083584
.data                  8   822100992
.bss                8240   822100992
.debug_info         4846           0
.ARM.attributes       60           0
Total              43929


"""


def rows_of(vectors: Vectors, stack: int = 40) -> bytes:
    """outputs.bin of a program that gives what is expected."""
    layout, data = layout_of(vectors), b""
    for row in vectors.expected:
        buffer = bytearray([FILL] * layout.output_bytes)
        for offset, array in zip(layout.output_offsets, row, strict=True):
            buffer[offset : offset + array.nbytes] = array.tobytes()
        data += struct.pack("<iI", 0, stack) + bytes(buffer)
    return data


@st.composite
def some_vectors(draw: st.DrawFn) -> Vectors:
    kinds = st.sampled_from(["i1", "u1", "<i2", "<i4", "<f4", "<i8", "?"])
    shapes = st.lists(st.integers(1, 5), min_size=0, max_size=3).map(tuple)
    made = []
    for _ in range(2):
        specs = draw(st.lists(st.tuples(kinds, shapes), min_size=1, max_size=3))
        random = np.random.default_rng(draw(st.integers(0, 100)))
        row = [random.integers(0, 2, shape).astype(kind) for kind, shape in specs]
        made.append([row, [np.ones_like(array) for array in row]])
    return Vectors(made[0], made[1])


@given(some_vectors())
def test_outputs_come_back_as_they_were(vectors: Vectors) -> None:
    layout = layout_of(vectors)
    rows = unpack(rows_of(vectors), vectors, layout, "here")
    check_parity(rows, vectors, "here")
    for row, expected in zip(rows, vectors.expected, strict=True):
        assert row.stack_bytes == 40
        for mine, theirs in zip(row.outputs, expected, strict=True):
            assert mine.dtype == theirs.dtype and mine.shape == theirs.shape


@given(some_vectors())
def test_inputs_lie_where_the_layout_says(vectors: Vectors) -> None:
    layout, data = layout_of(vectors), pack(vectors, layout_of(vectors))
    assert len(data) == 16 + len(vectors.inputs) * layout.input_bytes
    assert struct.unpack_from("<4I", data)[1:] == (2, layout.input_bytes, layout.output_bytes)
    last = data[-layout.input_bytes :]
    for offset, array in zip(layout.input_offsets, vectors.inputs[-1], strict=True):
        assert offset % 16 == 0
        assert last[offset : offset + array.nbytes] == array.tobytes()


def two_outputs() -> Vectors:
    row = (np.arange(3, dtype=np.int8), np.arange(4, dtype=np.float32))
    return Vectors([(np.zeros(2, np.int8),)], [row])


def test_a_write_beyond_an_output_is_named() -> None:
    vectors = two_outputs()
    layout, data = layout_of(vectors), bytearray(rows_of(two_outputs()))
    data[8 + 3] = 0
    with pytest.raises(InputError, match="beyond its output 0 of 3 bytes"):
        unpack(bytes(data), vectors, layout, "here")
    data[8 + 3], data[-1] = FILL, 0
    with pytest.raises(InputError, match="beyond its output 1 of 16 bytes"):
        unpack(bytes(data), vectors, layout, "here")


def test_damaged_outputs_are_refused() -> None:
    vectors = two_outputs()
    layout, data = layout_of(vectors), rows_of(vectors)
    for wrong in (data[:-1], data + data):
        with pytest.raises(ToolFailedError, match="outputs of"):
            unpack(wrong, vectors, layout, "here")


@pytest.mark.parametrize(
    ("dtype", "departs", "steps", "fails"),
    [
        (np.int8, 1, 0, True),
        (np.int8, 1, 1, False),
        (np.int8, 2, 1, True),
        (np.uint64, 1, 0, True),
        (np.float32, 1e-7, 0, False),
        (np.float32, 1e-2, 0, True),
        (np.float32, np.nan, 0, True),
    ],
)
def test_parity(dtype: type, departs: float, steps: int, fails: bool) -> None:
    expected = np.array([[1, 2], [3, 4]], dtype)
    vectors = Vectors([(expected,)], [(expected,)], tolerance_steps=steps)
    made = expected.copy()
    made[1, 0] += np.array(departs, dtype)
    given_row = Vectors([(expected,)], [(made,)])
    rows = unpack(rows_of(given_row), vectors, layout_of(vectors), "here")
    if not fails:
        return check_parity(rows, vectors, "here")
    with pytest.raises(ParityError, match=r"output 0: 1 of 4 values depart, first at \(1, 0\)"):
        check_parity(rows, vectors, "here")
    return None


def test_scalars_can_depart() -> None:
    one, two = np.array(1, np.int32), np.array(2, np.int32)
    vectors = Vectors([(one,)], [(one,)])
    rows = unpack(rows_of(Vectors([(one,)], [(two,)])), vectors, layout_of(vectors), "here")
    with pytest.raises(ParityError, match="2 instead of 1"):
        check_parity(rows, vectors, "here")


def test_impossible_vectors() -> None:
    x = np.zeros(2, np.int8)
    for inputs, expected, word in (
        ([], [], "0 vectors"),
        ([(x,)], [], "1 vectors of inputs and 0"),
        ([()], [(x,)], "one or more arrays"),
        ([(np.array(["a"]),)], [(x,)], "arrays of numbers"),
        ([(x,), (x[:1],)], [(x,), (x,)], "vector 1"),
    ):
        with pytest.raises(UsageError, match=word):
            Vectors(inputs, expected)


def test_sizes_leave_out_the_stack_and_what_is_not_loaded() -> None:
    sections = read_sections(SIZES, "here")
    assert (sections.text, sections.data, sections.bss) == (1664, 8, 8240)
    assert (sections.flash_bytes, sections.ram_bytes) == (1672, 8248)


def test_sections_of_the_programs_own_are_refused() -> None:
    with pytest.raises(InputError, match=r"section \.dtcm"):
        read_sections(SIZES.replace(".rodata ", ".dtcm   "), "here")
    with pytest.raises(ToolFailedError, match="no sizes"):
        read_sections("nothing", "here")


def test_symbols_are_those_of_code_without_the_thumb_bit() -> None:
    text = (
        "00000401 T edgepress_step\n20000000 B data\n00000411 t one\n00000421 t one\n         U x\n"
    )
    assert read_symbols(text) == {"edgepress_step": [0x400], "one": [0x410, 0x420]}


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("region `FLASH' overflowed by 10 bytes", "needs 2,097,162 bytes of flash, mps3-an547"),
        ("region `RAM' overflowed by 10 bytes", "needs 4,194,314 bytes of RAM"),
        ("undefined reference to `edgepress_step'", "does not implement edgepress_step"),
        ("undefined reference to `_sbrk'", "needs a heap"),
        ("undefined reference to `relu'", "calls relu, which is nowhere"),
    ],
)
def test_complaints_of_the_linker_are_told_as_what_they_mean(said: str, words: str) -> None:
    error = link_error(f"linking failed: ld: x.o: {said}", MACHINES["mps3-an547"], "net")
    assert error is not None and words in error.what and error.where == "net"


def test_other_words_of_the_linker_are_left_as_they_are() -> None:
    assert link_error("ld: internal error", MACHINES["mps3-an547"], "net") is None


def record(
    number: int, status: int, *, pc: int = 0x100, readable: int = 1, frame: int = 0x2000
) -> bytes:
    return struct.pack("<11I", MAGIC, number, readable, pc, 0x205, status, 0, 7, 9, frame, 0x1000)


@pytest.mark.parametrize(
    ("number", "status", "words"),
    [
        (
            5,
            0x8200,
            "a bus fault (access to an address without memory: 0x00000009) at pc 0x00000100 in f100",
        ),
        (4, 0x82, "a memory fault (access to protected memory: 0x00000007) at pc"),
        (6, 0x10000, "a usage fault (an instruction that the core does not have) at pc"),
        (4, 0x1, "(execution where none may be) at pc 0x00000100 in f100, called from f204"),
        (11, 0, "a supervisor call at pc 0x000000fe in ffe"),
        (40, 0, "exception 40"),
    ],
)
def test_faults_in_words(number: int, status: int, words: str) -> None:
    fault = read_fault(record(number, status))
    assert fault is not None
    assert words in fault.text(lambda address: f"f{address:x}")


@pytest.mark.parametrize(
    "data",
    [
        record(4, 0x92, readable=0, frame=0xFC0),
        record(6, 1 << 20),
        record(3, 0, readable=0, frame=0xFFC),
    ],
)
def test_stack_overflows_are_told_as_such(data: bytes) -> None:
    fault = read_fault(data)
    assert fault is not None
    assert "stack is too small" in fault.text(lambda address: "f")


def test_what_is_no_record_of_a_fault() -> None:
    assert read_fault(b"") is None
    assert read_fault(record(5, 0)[:-4]) is None
    assert read_fault(b"\0" * 44) is None


MARKS = ("edgepress_step", "edgepress_returned", "layer")


def lines(*rows: tuple[int, int]) -> str:
    return "".join(f'{{"mark": {mark}, "total": {total}}}\n' for mark, total in rows)


def test_counts_between_marks() -> None:
    text = lines((2, 5), (0, 100), (2, 110), (2, 150), (1, 180), (0, 300), (1, 390), (-1, 999))
    counts = read_counts(text, MARKS, 2)
    assert counts.steps == (80, 90)
    assert counts.intervals == (
        Interval(0, "edgepress_step", "layer", 10),
        Interval(0, "layer", "layer", 40),
        Interval(0, "layer", "edgepress_returned", 30),
        Interval(1, "edgepress_step", "edgepress_returned", 90),
    )


def test_counts_that_cannot_be() -> None:
    with pytest.raises(ToolFailedError, match="1 of 2 steps"):
        read_counts(lines((0, 1), (1, 2)), MARKS, 2)
    with pytest.raises(InputError, match="more than a million"):
        read_counts(lines((0, 1), (-2, 0), (1, 2)), MARKS, 1)
    for damaged in ("{", "[]\n", lines((9, 1))):
        with pytest.raises(ToolFailedError, match="damaged"):
            read_counts(damaged, MARKS, 1)


def test_every_microcontroller_has_a_machine_and_kernels() -> None:
    found = {
        name: machine_of(load_profile(name))[0].core for name in ("apollo510", "pico2", "stm32h7a3")
    }
    assert found == {"apollo510": "cortex-m55", "pico2": "cortex-m33", "stm32h7a3": "cortex-m7"}
    assert kernels_for(load_profile("apollo510")) == ("plain", "smlad", "mve")
    assert kernels_for(load_profile("stm32l4r5")) == ("plain", "smlad")
    assert device_memory(load_profile("stm32l4r5")) == (2 << 20, 640 << 10)


def test_linux_boards_are_no_microcontrollers() -> None:
    with pytest.raises(UsageError, match="pi4 cannot be emulated as a microcontroller"):
        machine_of(load_profile("pi4"))


def test_sources_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such source"):
        Program((tmp_path / "x.c",)).files()
    with pytest.raises(InputError, match="no C file"):
        Program((tmp_path,)).files()


def fake_tools(folder: Path, library: str) -> Path:
    script = f'#!/bin/sh\ncase "$1" in --version) echo "gcc (x) 13.2.1 2023";; *) echo {library};; esac\n'
    for name in ("gcc", "size", "nm", "addr2line", "objdump"):
        path = folder / f"arm-none-eabi-{name}"
        path.write_text(script)
        path.chmod(0o755)
    return folder / "arm-none-eabi-gcc"


def test_a_compiler_named_in_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gcc = fake_tools(tmp_path, "/lib/nano.specs")
    monkeypatch.setenv("EDGEPRESS_ARM_GCC", str(gcc))
    found = find_arm_toolchain()
    assert found.gcc == gcc and found.nm == tmp_path / "arm-none-eabi-nm"
    assert found.short_version == "13.2.1"
    debian = ArmToolchain(
        gcc, gcc, gcc, gcc, gcc, "arm-none-eabi-gcc (15:12.2.rel1-1) 12.2.1 20221205"
    )
    assert debian.short_version == "12.2.1"


def test_what_is_missing_names_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gcc = fake_tools(tmp_path, "nano.specs")
    with pytest.raises(MissingToolError) as caught:
        find_arm_toolchain(gcc)
    assert "libnewlib-arm-none-eabi" in str(caught.value.hint)
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    with pytest.raises(MissingToolError) as caught:
        find_arm_toolchain()
    assert caught.value.hint == "apt-get install gcc-arm-none-eabi libnewlib-arm-none-eabi"
    with pytest.raises(MissingToolError) as caught:
        find_system_emulator()
    assert caught.value.hint == "apt-get install qemu-system-arm"
    with pytest.raises(MissingToolError, match="no such compiler"):
        find_arm_toolchain(tmp_path / "none")
