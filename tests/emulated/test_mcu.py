"""C programs on emulated Cortex-M cores: parity, exact counts, memory, stack, and everything that can go wrong."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from edgepress.devices.count_plugin import build_plugin
from edgepress.devices.emulate_mcu import Tools, run_firmware
from edgepress.devices.firmware_program import Program
from edgepress.devices.firmware_vectors import Vectors
from edgepress.devices.mcu_selftest import kernels_for, run_selftest, selftest_vectors
from edgepress.devices.measurement import Evidence
from edgepress.devices.profile import load_profile
from edgepress.runtime.errors import (
    EngineCrashedError,
    InputError,
    MissingToolError,
    ParityError,
    UsageError,
)
from support.mcu import CORES, copy_vectors, write_step

pytestmark = pytest.mark.emulated

COPY = "memcpy(y, x, 8); return 0;"

# GCC 12.2.1, -O3, from the first instruction of the program to its return; elsewhere near these.
COUNTS = {
    ("stm32l4r5", "plain"): 331_374,
    ("stm32l4r5", "smlad"): 200_318,
    ("stm32h7a3", "plain"): 331_372,
    ("stm32h7a3", "smlad"): 200_316,
    ("stm32u585", "plain"): 331_372,
    ("stm32u585", "smlad"): 200_316,
    ("apollo510", "plain"): 266_860,
    ("apollo510", "smlad"): 186_511,
    ("apollo510", "mve"): 19_377,
}


@pytest.mark.parametrize(("device", "kernel"), COUNTS)
def test_kernels_are_exact_and_counted_the_same_three_times(
    tools: Tools, device: str, kernel: str
) -> None:
    profile = load_profile(device)
    assert kernel in kernels_for(profile)
    vectors = selftest_vectors(count=3)
    results = [run_selftest(profile, kernel, tools=tools, vectors=vectors) for _ in range(3)]
    counts = {result.run.counts.steps for result in results}
    assert len(counts) == 1
    assert len(set(results[0].run.counts.steps)) == 1  # no data-dependent path
    instructions = results[0].instructions
    assert instructions is not None
    exact = tools.toolchain.short_version == "12.2.1"
    assert abs(instructions - COUNTS[device, kernel]) <= (0 if exact else 0.2 * instructions)
    for row, expected in zip(results[0].outputs, vectors.expected, strict=True):
        np.testing.assert_array_equal(row[0], expected[0])


def test_the_record_is_emulated_and_has_no_milliseconds(tools: Tools) -> None:
    result = run_selftest(load_profile("stm32u585"), "smlad", tools=tools)
    measured = result.measurement()
    assert measured.evidence is Evidence.EMULATED and measured.device == "stm32u585"
    assert measured.fingerprint["cpu"] == "cortex-m33" and measured.engine == "native"
    assert not any(name.endswith("_ms") for name in measured.values)
    assert measured.values["instructions"] == result.instructions
    assert 60 < measured.values["flash_bytes"] < 400 and measured.values["ram_bytes"] == 0
    assert 0 < measured.values["stack_bytes"] <= measured.values["stack_bound_bytes"] < 200
    assert "without a program" in measured.notes[0]
    measured.comparable_with(
        run_selftest(load_profile("stm32u585"), "plain", tools=tools).measurement()
    )


BODY_OF_9 = """
__asm__ volatile("nop\\n nop\\n nop\\n nop\\n");
__asm__ volatile("movs r3, #0\\n cmp r3, #0\\n beq 1f\\n udf #1\\n 1:" ::: "r3", "cc");
return 0;"""


@pytest.mark.parametrize("device", CORES)
def test_a_count_known_beforehand(tools: Tools, tmp_path: Path, device: str) -> None:
    """4 + 3 of the text above, 1 for the value 0, 1 for the return."""
    write_step(tmp_path, BODY_OF_9)
    same = np.full(4, 0xA5, np.uint8)
    vectors = Vectors([(same,)] * 2, [(same,)] * 2)
    result = run_firmware(load_profile(device), [tmp_path], vectors, tools=tools)
    assert result.run.counts.steps == (9, 9)
    assert result.stack_bytes == 0 and result.bound.bytes == 0


def test_marks_split_a_step_into_layers(tools: Tools, tmp_path: Path) -> None:
    layers = """
static volatile int n;
__attribute__((noinline)) void first(void) { for (int i = 0; i < 100; i++) n += i; }
__attribute__((noinline)) void second(void) { for (int i = 0; i < 1000; i++) n += i; }"""
    write_step(tmp_path, "first(); second(); " + COPY, layers)
    vectors = copy_vectors(2)
    profile = load_profile("stm32l4r5")
    result = run_firmware(profile, [tmp_path], vectors, ("first", "second"), tools=tools)
    of_one = [part for part in result.intervals if part.vector == 1]
    names = ["edgepress_step", "first", "second", "edgepress_returned"]
    assert [part.begin for part in of_one] == names[:-1]
    assert [part.end for part in of_one] == names[1:]
    assert sum(part.instructions for part in of_one) == result.run.counts.steps[1]
    assert 8 < of_one[2].instructions / of_one[1].instructions < 11
    with pytest.raises(InputError, match="no function 'third'"):
        run_firmware(profile, [tmp_path], vectors, ("third",), tools=tools)


def test_many_marks(tools: Tools, tmp_path: Path) -> None:
    """As many as a network has layers, and no more than the plugin keeps."""
    names = [f"layer_{index}" for index in range(300)]
    before = "static volatile int n;\n" + "\n".join(
        f"__attribute__((noinline)) void {name}(void) {{ n += {index}; }}"
        for index, name in enumerate(names)
    )
    write_step(tmp_path, " ".join(f"{name}();" for name in names) + COPY, before)
    profile = load_profile("apollo510")
    result = run_firmware(profile, [tmp_path], copy_vectors(), [*names, names[0]], tools=tools)
    assert [part.begin for part in result.intervals] == ["edgepress_step", *names]
    assert sum(part.instructions for part in result.intervals) == result.instructions
    with pytest.raises(UsageError, match="1002 marks"):
        run_firmware(
            profile, [tmp_path], copy_vectors(), [f"x{i}" for i in range(1000)], tools=tools
        )


EXIT_66 = r"""
static uint32_t block[2] = {0x20026, 66};
__asm__ volatile("mov r0, #0x20\n mov r1, %0\n bkpt 0xAB" :: "r"(block) : "r0", "r1", "memory");
return 0;"""


def test_a_program_that_ends_the_run_itself(tools: Tools, tmp_path: Path) -> None:
    write_step(tmp_path, EXIT_66)
    with pytest.raises(EngineCrashedError, match="ended the run itself in vector 0"):
        run_firmware(load_profile("stm32u585"), [tmp_path], copy_vectors(), tools=tools)


def test_memory_and_stack_of_a_program(tools: Tools, tmp_path: Path) -> None:
    before = """
static const uint8_t weights[5000] = {1, 2, 3};
static uint8_t scratch[3000];
static int32_t scale[25] = {7};"""
    body = (
        """
    volatile uint8_t local[2048];
    for (int i = 0; i < 2048; i++) local[i] = weights[i + 100];
    for (int i = 0; i < 3000; i++) ((volatile uint8_t *)scratch)[i] = local[i % 2048] + weights[i] + scale[i % 25];
    ((volatile int32_t *)scale)[0] = 7;"""
        + COPY
    )
    write_step(tmp_path, body, before)
    result = run_firmware(load_profile("stm32l4r5"), [tmp_path], copy_vectors(2), tools=tools)
    assert 5100 <= result.flash_bytes <= 5500
    assert 3100 <= result.ram_bytes <= 3164
    assert 2048 <= result.stack_bytes <= 2148
    assert result.bound.bytes is None or result.bound.bytes >= result.stack_bytes


@pytest.mark.parametrize("device", CORES)
def test_the_library_is_within_the_bound(tools: Tools, tmp_path: Path, device: str) -> None:
    body = """
    int64_t big, most;
    memcpy(&big, x, 8); memcpy(&most, x + 8, 8);
    float small = (float)x[3] + expf((float)x[1]);
    big /= most; memcpy(y, &big, 8); memcpy(y + 8, &small, 4); return 0;"""
    write_step(tmp_path, body, "#include <math.h>")
    given = np.arange(1, 17, dtype=np.int8)
    big, most = given.view(np.int64)
    small = np.float32(4) + np.exp(np.float32(2))
    expected = np.concatenate(
        [np.array([big // most]).view(np.int8), np.array([small]).view(np.int8)]
    )
    vectors = Vectors([(given,)], [(expected,)], tolerance_steps=1)
    result = run_firmware(load_profile(device), [tmp_path], vectors, tools=tools)
    assert result.bound.bytes is not None and len(result.bound.path) >= 2
    assert 16 <= result.stack_bytes <= result.bound.bytes <= result.stack_bytes + 64


def test_a_measured_stack_does_not_depend_on_the_stack_given(tools: Tools, tmp_path: Path) -> None:
    write_step(
        tmp_path, "volatile char b[600]; for (int i = 0; i < 600; i++) b[i] = x[i % 8];" + COPY
    )
    profile = load_profile("stm32u585")
    found = {
        run_firmware(
            profile, [tmp_path], copy_vectors(), stack_bytes=given, tools=tools
        ).stack_bytes
        for given in (1024, 65536)
    }
    assert len(found) == 1 and 600 <= found.pop() <= 640
    with pytest.raises(EngineCrashedError, match="stack is too small"):
        run_firmware(profile, [tmp_path], copy_vectors(), stack_bytes=512, tools=tools)


FAULTS = {
    "bus fault": "*(volatile int *)0xF0000000 = 1;",
    "memory fault": "*(volatile int *)(uintptr_t)table = 3;",
    "usage fault": '__asm__ volatile("udf #1");',
    "supervisor call": '__asm__ volatile("svc #1");',
}


@pytest.mark.parametrize("device", CORES)
@pytest.mark.parametrize("kind", FAULTS)
def test_faults_name_function_and_line(
    tools: Tools, tmp_path: Path, device: str, kind: str
) -> None:
    before = f"const int table[2] = {{1, 2}};\n__attribute__((noinline)) static void bad(void)\n{{{FAULTS[kind]}\n}}"
    write_step(tmp_path, "if (x[0] == -1) bad(); " + COPY, before)
    vectors = copy_vectors(3)
    with pytest.raises(EngineCrashedError, match=kind) as caught:
        run_firmware(load_profile(device), [tmp_path], vectors, tools=tools)
    assert caught.value.what.startswith("vector 1: ")
    assert "in bad at step.c:8" in caught.value.what
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("device", CORES)
def test_an_overflowing_stack_is_told(tools: Tools, tmp_path: Path, device: str) -> None:
    before = "static int deep(volatile int *n) { volatile int a[50]; a[*n & 7] = *n; *n += 1; return deep(n) + a[3]; }"
    write_step(tmp_path, "volatile int n = 0; return deep(&n);", before)
    with pytest.raises(EngineCrashedError, match="stack is too small: it overflowed"):
        run_firmware(load_profile(device), [tmp_path], copy_vectors(), tools=tools)


@pytest.mark.parametrize(
    ("body", "error", "words"),
    [
        ("y[0] = 9; return 0;", ParityError, "output 0: 8 of 8 values depart"),
        ("memcpy(y, x, 8); y[8] = 1; return 0;", InputError, "beyond its output 0 of 8 bytes"),
        ("return 7;", InputError, "vector 0: the program gave the error 7"),
        ('for (;;) __asm__ volatile("");', EngineCrashedError, "did not end within 2 s"),
        ("void *volatile p = malloc(9); free(p); return 0;", InputError, "needs a heap"),
        ('printf("%d", x[0]); return 0;', InputError, "needs a heap, files or an operating system"),
        ("extern int nowhere(void); return nowhere();", InputError, "calls nowhere"),
        ("return oops;", InputError, "'oops' undeclared"),
        ("static volatile int8_t a[5 << 20]; y[0] = a[x[0]]; return 0;", InputError, "of RAM"),
        ("static const volatile int8_t a[5 << 20] = {1}; return a[x[0]];", InputError, "of flash"),
    ],
)
def test_what_goes_wrong_says_so(
    tools: Tools, tmp_path: Path, body: str, error: type[Exception], words: str
) -> None:
    write_step(tmp_path, body)
    profile = load_profile("apollo510")
    with pytest.raises(error) as caught:
        run_firmware(profile, [tmp_path], copy_vectors(), timeout_s=2, tools=tools)
    assert words in str(caught.value)


def test_a_program_without_the_function(tools: Tools, tmp_path: Path) -> None:
    (tmp_path / "other.c").write_text("int other;\n")
    with pytest.raises(InputError, match="does not implement edgepress_step"):
        run_firmware(load_profile("stm32l4r5"), [tmp_path], copy_vectors(), tools=tools)


def test_builds_are_kept_by_what_the_compiler_sees(tools: Tools, tmp_path: Path) -> None:
    profile = load_profile("stm32l4r5")
    (tmp_path / "sub").mkdir()
    header = tmp_path / "sub" / "values.inc"
    header.write_text("enum { EXTRA = 0 };\n")
    write_step(tmp_path, "memcpy(y, x, 8); y[0] += EXTRA; return 0;", '#include "sub/values.inc"')
    first = run_firmware(profile, [tmp_path], copy_vectors(), tools=tools)
    stamp = first.firmware.elf.stat().st_mtime_ns
    again = run_firmware(profile, [tmp_path], copy_vectors(), tools=tools)
    assert again.firmware.elf == first.firmware.elf
    assert again.firmware.elf.stat().st_mtime_ns == stamp
    smaller = Program((tmp_path,), options=("-Os",))
    assert (
        run_firmware(profile, smaller, copy_vectors(), tools=tools).firmware.elf
        != first.firmware.elf
    )
    header.write_text("enum { EXTRA = 1 };\n")
    with pytest.raises(ParityError, match="1 of 8 values"):
        run_firmware(profile, [tmp_path], copy_vectors(), tools=tools)


def test_an_emulator_that_cannot_count_still_proves(tools: Tools, tmp_path: Path) -> None:
    newer = dataclasses.replace(
        tools.emulator,
        plugin_interface=None,
        no_counts="the plugin interface of QEMU 12.1 is not known",
    )
    with pytest.raises(MissingToolError, match="no counts"):
        build_plugin(tmp_path, newer)
    without = dataclasses.replace(tools, plugin=None, no_counts=newer.no_counts)
    write_step(tmp_path, COPY)
    result = run_firmware(load_profile("stm32l4r5"), [tmp_path], copy_vectors(), tools=without)
    measured = result.measurement()
    assert result.instructions is None and "instructions" not in measured.values
    assert any("12.1 is not known" in note for note in measured.notes)
