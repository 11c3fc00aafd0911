"""The counting plugin's classifier, compiled natively, against assembled AArch64 words; and which QEMU can count."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from edgepress.devices.build_once import key_of
from edgepress.devices.count_plugin import build_plugin, plugin_source
from edgepress.devices.qemu import Emulator, find_emulator, plugin_interface
from edgepress.runtime.errors import MissingToolError, ToolFailedError

COMPILER = shutil.which("cc") or shutil.which("gcc") or ""
needs_compiler = pytest.mark.skipif(
    not COMPILER, reason="no C compiler: apt-get install gcc libc6-dev"
)

# Assembled with binutils' aarch64 assembler, -march=armv8.6-a+i8mm+fp16.
WORDS = {
    "dot": """
        4e829420 sdot v0.4s, v1.16b, v2.16b
        2e859483 udot v3.2s, v4.8b, v5.8b
        4fa2e020 sdot v0.4s, v1.16b, v2.4b[1]
        6fa8e8e6 udot v6.4s, v7.16b, v8.4b[3]""",
    "smlal": """
        0e628020 smlal v0.4s, v1.4h, v2.4h
        4e228020 smlal2 v0.8h, v1.16b, v2.16b
        2ea28020 umlal v0.2d, v1.2s, v2.2s
        0f722020 smlal v0.4s, v1.4h, v2.h[3]
        6f722820 umlal2 v0.4s, v1.8h, v2.h[7]
        0e22c020 smull v0.8h, v1.8b, v2.8b
        6e62c020 umull2 v0.4s, v1.8h, v2.8h
        0f52a020 smull v0.4s, v1.4h, v2.h[1]""",
    "fmla": """
        4e22cc20 fmla v0.4s, v1.4s, v2.4s
        4e62cc20 fmla v0.2d, v1.2d, v2.2d
        4e420c20 fmla v0.8h, v1.8h, v2.8h
        4f821820 fmla v0.4s, v1.4s, v2.s[2]
        4f121820 fmla v0.8h, v1.8h, v2.h[5]
        1f020c20 fmadd s0, s1, s2, s3
        1f420c20 fmadd d0, d1, d2, d3""",
    "cnt": "4e205820 cnt v0.16b, v1.16b\n0e205820 cnt v0.8b, v1.8b",
    "mmla": "4e82a420 smmla v0.4s, v1.16b, v2.16b\n6e82a420 ummla v0.4s, v1.16b, v2.16b",
    "simd_fp": """
        0e62a020 smlsl v0.4s, v1.4h, v2.4h
        4ea2cc20 fmls v0.4s, v1.4s, v2.4s
        6e22dc20 fmul v0.4s, v1.4s, v2.4s
        4ea28420 add v0.4s, v1.4s, v2.4s
        4ea29420 mla v0.4s, v1.4s, v2.4s
        4e606820 sadalp v0.4s, v1.8h
        6ea2b420 sqrdmulh v0.4s, v1.4s, v2.4s
        4e020020 tbl v0.16b, {v1.16b}, v2.16b
        1e222820 fadd s0, s1, s2
        1e380020 fcvtzs w0, s1""",
    "integer": """
        1b027c20 mul w0, w1, w2
        9b020c20 madd x0, x1, x2, x3
        91001020 add x0, x1, #4
        d2800020 mov x0, #1
        90000000 adrp x0, .
        9a820020 csel x0, x1, x2, eq""",
    "load": """
        f9400020 ldr x0, [x1]
        f8627820 ldr x0, [x1, x2, lsl #3]
        f8408420 ldr x0, [x1], #8
        39400c20 ldrb w0, [x1, #3]
        b9800020 ldrsw x0, [x1]
        3dc00020 ldr q0, [x1]
        3ce26820 ldr q0, [x1, x2]
        bc5fc020 ldur s0, [x1, #-4]
        a8c107e0 ldp x0, x1, [sp], #16
        ad400440 ldp q0, q1, [x2]
        58000000 ldr x0, .
        9c000000 ldr q0, .
        4c407000 ld1 {v0.16b}, [x0]
        4cdf0800 ld4 {v0.4s-v3.4s}, [x0], #64
        4d40c800 ld1r {v0.4s}, [x0]
        c85f7c20 ldxr x0, [x1]
        c8dffc20 ldar x0, [x1]
        d9400020 ldapur x0, [x1]
        99800020 ldapursw x0, [x1]
        f9800000 prfm pldl1keep, [x0]""",
    "store": """
        f9000020 str x0, [x1]
        38001420 strb w0, [x1], #1
        3d800020 str q0, [x1]
        3ca26820 str q0, [x1, x2]
        bd000420 str s0, [x1, #4]
        fc1f8020 stur d0, [x1, #-8]
        a9bf07e0 stp x0, x1, [sp, #-16]!
        ad000440 stp q0, q1, [x2]
        4c007000 st1 {v0.16b}, [x0]
        4c008400 st2 {v0.8h, v1.8h}, [x0]
        c89ffc20 stlr x0, [x1]
        d9000020 stlur x0, [x1]
        c8007c41 stxr w0, x1, [x2]""",
    "branch": """
        14000000 b .
        54000000 b.eq .
        94000000 bl .
        d61f0000 br x0
        d65f03c0 ret
        b4000000 cbz x0, .
        37180000 tbnz w0, #3, .
        d4000001 svc #0
        d503201f nop
        d53b4200 mrs x0, nzcv""",
}


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("classifier")
    (folder / "p.c").write_text(plugin_source())
    strict = ["-Wall", "-Wextra", "-Werror", "-std=c11", "-DEDGEPRESS_CLASSIFIER_ONLY"]
    subprocess.run([COMPILER, *strict, "-o", folder / "p", folder / "p.c"], check=True)
    return folder / "p"


@needs_compiler
@pytest.mark.parametrize("kind", WORDS)
def test_words_are_classified(classifier: Path, kind: str) -> None:
    lines = [line.strip() for line in WORDS[kind].strip().splitlines()]
    words = "\n".join(line.split()[0] for line in lines)
    done = subprocess.run([classifier], input=words, capture_output=True, text=True, check=True)
    found = dict(zip(lines, done.stdout.split(), strict=True))
    assert found == dict.fromkeys(lines, kind)


@needs_compiler
@pytest.mark.parametrize("interface", [1, 2, 3])
def test_plugin_compiles_for_each_interface_once(tmp_path: Path, interface: int) -> None:
    emulator = Emulator(Path("qemu"), (9, 1, 0), interface, "")
    made = build_plugin(tmp_path, emulator)
    stamp = made.stat().st_mtime_ns
    assert build_plugin(tmp_path, emulator).stat().st_mtime_ns == stamp
    assert [p.name for p in tmp_path.iterdir()] == [made.name]
    symbols = made.read_bytes()
    assert (b"qemu_plugin_scoreboard_new" in symbols) == (interface >= 2)
    assert (b"qemu_plugin_register_vcpu_tb_exec_inline\0" in symbols) == (interface == 1)


@pytest.mark.parametrize(
    ("version", "interface"),
    [((7, 2, 22), 1), ((8, 2, 0), 1), ((9, 0, 1), 2), ((9, 1, 0), 3), ((10, 0, 2), 3)],
)
def test_interface_follows_the_version(version: tuple[int, int, int], interface: int) -> None:
    assert plugin_interface(version) == (interface, "")


@pytest.mark.parametrize(
    ("version", "word"), [((5, 2, 0), "older"), ((10, 1, 0), "not known"), ((99, 0, 0), "99.0")]
)
def test_other_versions_say_why_not(version: tuple[int, int, int], word: str) -> None:
    interface, reason = plugin_interface(version)
    assert interface is None and word in reason


def fake_qemu(folder: Path, version: str, options: str = "-plugin") -> Path:
    path = folder / "qemu-aarch64"
    path.write_text(
        f'#!/bin/sh\ncase "$1" in --version) echo "qemu-aarch64 version {version}";; *) echo "{options}";; esac\n'
    )
    path.chmod(0o755)
    return path


def test_newer_qemu_gives_no_counts_and_says_why(tmp_path: Path) -> None:
    emulator = find_emulator(fake_qemu(tmp_path, "12.1.0 (Debian)"))
    assert emulator.version == (12, 1, 0) and emulator.plugin_interface is None
    with pytest.raises(
        MissingToolError, match=r"no counts: the plugin interface of QEMU 12\.1 is not known"
    ) as caught:
        build_plugin(tmp_path, emulator)
    assert caught.value.hint and caught.value.exit_code == 2


def test_qemu_without_plugins_gives_no_counts_and_says_why(tmp_path: Path) -> None:
    emulator = find_emulator(fake_qemu(tmp_path, "7.2.22", "-cpu -L"))
    assert emulator.plugin_interface is None and "built without plugins" in emulator.no_counts


def test_qemu_on_the_search_path_and_in_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = fake_qemu(tmp_path, "7.2")
    monkeypatch.setenv("EDGEPRESS_QEMU_AARCH64", str(path))
    assert find_emulator() == Emulator(path, (7, 2, 0), 1, "")
    monkeypatch.delenv("EDGEPRESS_QEMU_AARCH64")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_emulator().path == path
    path.unlink()
    with pytest.raises(MissingToolError, match="qemu-aarch64 is not installed") as caught:
        find_emulator()
    assert caught.value.hint == "apt-get install qemu-user"


def test_qemu_that_tells_no_version(tmp_path: Path) -> None:
    with pytest.raises(ToolFailedError, match="does not tell its version"):
        find_emulator(fake_qemu(tmp_path, "unknown"))


def test_no_compiler_names_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingToolError, match="cc is not installed") as caught:
        build_plugin(tmp_path / "out", Emulator(Path("qemu"), (7, 2, 0), 1, ""))
    assert "gcc" in str(caught.value.hint)


def test_keys_follow_content() -> None:
    assert key_of("a", ("b",)) == key_of("a", ("b",)) != key_of("a", ("c",))
