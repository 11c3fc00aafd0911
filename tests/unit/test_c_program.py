"""Exported C as a program of the harness: labels, counts by call, what boards get compiled."""

from __future__ import annotations

from pathlib import Path

import pytest
from edgepress.devices.c_library import library_for, target_options
from edgepress.devices.c_program import counts_of_calls, program_of, with_labels
from edgepress.devices.firmware_counts import Interval
from edgepress.devices.linux_program import _counts
from edgepress.runtime import native
from edgepress.runtime.errors import InputError, MissingToolError, ToolFailedError, UsageError
from edgepress.runtime.files import sha256_bytes
from edgepress.tools.c_profile import calls_text
from support import c_models, ptq


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return c_models.write(ptq.quantized_hub("residual"), tmp_path_factory.mktemp("c") / "m")


def test_every_call_gets_a_label_of_its_own(folder: Path) -> None:
    with program_of(folder, marked=True) as made:
        numbers = range(len(made.folder.calls))
        assert made.labels == tuple(f"model_call_{n}" for n in numbers)
        text = (made.program.sources[0] / "model.c").read_text()
        assert all(text.count(f'"{label}:"') == 0 for label in made.labels)  # one string, two lines
        assert all(text.count(f"\\n{label}:") == 1 for label in made.labels)
        assert made.program.sources[0].is_dir()
    assert not made.program.sources[0].exists()


def test_without_labels_the_model_is_what_was_exported(folder: Path) -> None:
    with program_of(folder) as made:
        root = made.program.sources[0]
        assert made.labels == ()
        assert (root / "model.c").read_bytes() == (folder / "model.c").read_bytes()
        assert "model_invoke(&context" in (root / "edgepress_step.c").read_text()


def test_arduino_folders_are_taken_flat(tmp_path: Path) -> None:
    made_folder = c_models.write(ptq.quantized_hub("residual"), tmp_path, packaging="arduino")
    with program_of(made_folder, marked=True) as made:
        assert (made.program.sources[0] / "model.c").is_file() and made.labels


def test_sources_that_do_not_compile_are_told_with_the_folder(folder: Path) -> None:
    with pytest.raises(InputError) as told, program_of(folder) as made:
        raise InputError("expected ';'", where=str(made.program.sources[0] / "model.c"))
    assert told.value.where == str(folder)


def test_macs_are_those_of_the_layer_table(folder: Path) -> None:
    from edgepress.devices.layers import layer_table
    from edgepress.export.tflite import to_tflite

    with program_of(folder) as made:
        mine = sum(call.macs for call in made.folder.calls)
    assert mine == layer_table(to_tflite(ptq.quantized_hub("residual")), "r.tflite").macs > 0


def test_labels_are_put_before_kernel_calls_only() -> None:
    text = "int f(void)\n{\n    ep_add_s8(&call_0, x, y);\n    other(&call_1);\n    ep_add_s8(&call_0, y, x);\n}\n"
    marked, labels = with_labels(text, "net")
    assert labels == ("net_call_0", "net_call_1")  # by place: both have the same arguments
    assert marked.index("net_call_0:") < marked.index("other(") < marked.index("net_call_1:")
    assert marked.count("__asm__ volatile") == 2 and "other(&call_1);" in marked


def test_counts_of_one_vector_by_call(folder: Path) -> None:
    with program_of(folder, marked=True) as made:
        first, second = made.labels[:2]
    intervals = [
        Interval(0, "edgepress_step", first, 7),
        Interval(0, first, second, 100),
        Interval(0, second, "edgepress_returned", 30),
        Interval(1, first, second, 999),
    ]
    rows = counts_of_calls(made, intervals)
    assert [row.instructions for row in rows[:3]] == [7, 100, 30]
    assert sum(row.instructions for row in rows) == 137
    assert rows[1].function == made.folder.calls[0].function and rows[1].source


def test_counts_by_kind_are_without_the_marks() -> None:
    kinds = "".join(f', "{n}": {{0}}' for n in ("store", "branch", "smlal", "fmla", "cnt"))
    marks = [(0, 10, 1), (1, 13, 1), (2, 20, 2), (3, 95, 52)]
    lines = [
        f'{{"mark": {m}, "total": {total}, "load": {total}, "dot": {dot}{kinds.replace("{0}", "0")}}}'
        for m, total, dot in marks
    ]
    lines[3:3] = ['{"mark": 0, "total": 30}', '{"mark": 1, "total": 80}']
    counts, classes = _counts("\n".join(lines), ["edgepress_step", "edgepress_returned"], 1)
    assert counts.steps == (50,)
    assert classes["load"] == 75 - 3 and classes["dot"] == 50 and classes["store"] == 0
    with pytest.raises(ToolFailedError, match="no marks"):
        _counts("", ["edgepress_step", "edgepress_returned"], 1)


@pytest.mark.parametrize(
    ("midr", "options"),
    [
        ("4 x 0x41/0xd08/0x0/3", ("-mcpu=cortex-a72",)),
        ("4 x 0x41/0xd0b/0x4/1", ("-mcpu=cortex-a76",)),
        ("4 x 0x41/0xd05/0x1/0, 4 x 0x41/0xd0b/0x4/1", ("-march=armv8-a",)),
        ("8 x 0x61/0xd08/0x0/3", ("-march=armv8-a",)),
        ("", ("-march=armv8-a",)),
    ],
)
def test_a_library_is_for_the_cores_that_a_board_tells(midr: str, options: tuple[str, ...]) -> None:
    assert target_options(midr) == options


def test_nothing_is_compiled_for_another_machine() -> None:
    with pytest.raises(UsageError, match="armv7l"):
        library_for(b"", "folder", {"machine": "armv7l"})


def test_a_missing_cross_compiler_names_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.delenv("EDGEPRESS_AARCH64_GCC", raising=False)
    with pytest.raises(MissingToolError, match="libc6-dev-arm64-cross"):
        library_for(b"", "folder", {"machine": "aarch64"})


def test_a_model_compiled_elsewhere_is_found_by_its_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEPRESS_CC", "no-such-compiler")
    with pytest.raises(MissingToolError):
        native.compiler_version()
    (tmp_path / f"{sha256_bytes(b'this')}.so").write_bytes(b"")
    (tmp_path / native.COMPILER_NOTE).write_text("gcc 1 (not on the board)\n")
    monkeypatch.setenv(native.BUILT, str(tmp_path))
    assert native.compiler_version() == "gcc 1 (not on the board)"
    assert native.built_elsewhere(b"this") is not None
    assert native.built_elsewhere(b"that") is None


def test_calls_without_counts_say_so() -> None:
    told = {"file": "a/net.c", "device": "pi5", "evidence": "emulated", "calls": []}
    assert "not counted" in calls_text(told)
