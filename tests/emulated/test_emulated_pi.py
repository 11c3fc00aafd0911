"""The real aarch64 engines on emulated boards: the host's bytes, executed instructions, and what goes wrong."""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path

import numpy as np
import pytest
from edgepress.devices.emulate_pi import open_board, run_emulated, run_emulated_samples, setup
from edgepress.devices.guest import run_guest
from edgepress.devices.instruction_counts import count_instructions
from edgepress.devices.measurement import Evidence, Measurement
from edgepress.devices.profile import Profile, load_profile
from edgepress.devices.qemu import find_emulator
from edgepress.runtime.errors import EngineCrashedError, InputError, MissingToolError, ParityError
from edgepress.runtime.session import open_session
from onnx import helper
from support.data import need_data
from support.lowering import make_hub
from support.quantized import quantize

pytestmark = pytest.mark.emulated

BOARDS = {"pi4": "cortex-a72", "pi5": "cortex-a76"}
# LiteRT 2.3.0, one invoke of the KWS network, without the mark; the engine's kernels differ from core to core.
KWS_INSTRUCTIONS = {"pi4": 1_944_134, "pi5": 715_968}


@pytest.fixture(scope="module")
def boards() -> dict[str, Profile]:
    """Both boards, set up once; skipped where QEMU is not installed."""
    try:
        find_emulator()
    except MissingToolError as error:
        pytest.skip(f"{error.what}: {error.hint}; `make test-emulated` installs it")
    for name, cpu in BOARDS.items():
        report = setup(name)
        assert report.cpu == cpu and report.no_counts == ""
        assert not any(version.startswith("not usable") for version in report.engines.values())
    return {name: load_profile(name) for name in BOARDS}


@pytest.fixture(scope="module")
def kws() -> Path:
    return need_data("models/mlperf_tiny/kws_dscnn_int8.tflite")


@pytest.fixture(scope="module")
def recordings() -> list[list[np.ndarray]]:
    """20 real keyword features, as the int8 network takes them."""
    features = np.load(need_data("kws_mlperf_tiny/kws01_700.npz"))["x"]
    return [[features[index][None]] for index in range(0, 700, 35)]


@pytest.fixture(scope="module")
def counts(boards: dict[str, Profile], kws: Path) -> dict[str, Measurement]:
    return {name: count_instructions(profile, kws, "litert") for name, profile in boards.items()}


@pytest.mark.parametrize(
    ("board", "engine"), [("pi4", "tflite"), ("pi4", "litert"), ("pi5", "litert")]
)
def test_kws_gives_the_bytes_of_this_machine(
    boards: dict[str, Profile],
    kws: Path,
    recordings: list[list[np.ndarray]],
    board: str,
    engine: str,
) -> None:
    session = open_session(kws, engine)
    found = run_emulated_samples(boards[board], kws, engine, recordings)
    for given, outputs in zip(recordings, found, strict=True):
        np.testing.assert_array_equal(outputs[0], session.run(given)[0])


@pytest.mark.parametrize("board", BOARDS)
def test_kws_counts(counts: dict[str, Measurement], board: str) -> None:
    measured = counts[board]
    recorded = KWS_INSTRUCTIONS[board]
    assert abs(measured.values["instructions"] - recorded) <= 0.01 * recorded + 500
    assert measured.evidence is Evidence.EMULATED and measured.threads == 1
    assert not any(name.endswith("_ms") for name in measured.values)
    classes = ("load", "store", "branch")
    assert all(measured.values[f"instructions_{name}"] > 1000 for name in classes)


def test_dot_product_runs_where_the_core_has_it(counts: dict[str, Measurement]) -> None:
    assert counts["pi5"].values["instructions_dot"] == 213_056
    assert counts["pi4"].values["instructions_dot"] == 0
    assert counts["pi4"].values["instructions_smlal"] > 500_000
    assert any("dot product" in note for note in counts["pi5"].notes)
    assert not any("dot product" in note for note in counts["pi4"].notes)


def test_two_runs_differ_by_less_than_a_thousandth(
    boards: dict[str, Profile], kws: Path, counts: dict[str, Measurement]
) -> None:
    again = count_instructions(boards["pi5"], kws, "litert")
    first, second = (m.values["instructions"] for m in (counts["pi5"], again))
    assert abs(first - second) < 0.001 * first
    again.comparable_with(counts["pi5"])


def test_a_wrong_output_is_no_measurement(boards: dict[str, Profile], kws: Path) -> None:
    session = open_session(kws, "litert")
    given = [np.full((1, 49, 10, 1), 83, np.int8)]
    wrong = [session.run(given)[0] + np.int8(1)]
    with pytest.raises(ParityError, match="output 0 departs"):
        count_instructions(boards["pi5"], kws, "litert", given, expected=wrong)


def qdq_conv(folder: Path) -> tuple[Path, list[np.ndarray]]:
    """An int8 3x3 convolution with Q/DQ pairs, 16 to 32 channels on 16x16, and its input."""
    random = np.random.default_rng(0)
    weights = random.normal(size=(32, 16, 3, 3)).astype(np.float32)
    x = random.normal(size=(1, 16, 16, 16)).astype(np.float32)
    path = folder / "conv.onnx"
    conv = helper.make_node("Conv", ["x", "w"], ["y"], pads=[1, 1, 1, 1])
    hub = make_hub([conv], {"x": (1, 16, 16, 16)}, ["y"], {"w": weights})
    path.write_bytes(quantize(hub, [{"x": x}]).SerializeToString())
    return path, [x]


def test_onnxruntime_runs_and_uses_the_core(boards: dict[str, Profile], tmp_path: Path) -> None:
    path, given = qdq_conv(tmp_path)
    expected = open_session(path, "onnxruntime").run(given)
    measured = count_instructions(boards["pi5"], path, "onnxruntime", given, expected=expected)
    assert measured.engine == "onnxruntime" and measured.values["instructions_dot"] > 10_000
    slower = run_emulated(boards["pi4"], path, "onnxruntime", given)
    np.testing.assert_array_equal(slower[0], expected[0])


def test_kernels_of_another_core_end_in_sigill(boards: dict[str, Profile], kws: Path) -> None:
    profile = boards["pi5"]
    assert profile.emulation is not None and profile.emulation.user_cpu is not None
    older = dataclasses.replace(profile.emulation.user_cpu, value="cortex-a53")
    mixed = dataclasses.replace(
        profile, emulation=dataclasses.replace(profile.emulation, user_cpu=older)
    )
    with pytest.raises(EngineCrashedError, match="does not have .SIGILL"):
        run_emulated(mixed, kws, "litert", [np.zeros((1, 49, 10, 1), np.int8)])


def test_the_hosts_cpuinfo_ends_in_sigsegv(boards: dict[str, Profile], kws: Path) -> None:
    board = open_board(boards["pi5"])
    bare = dataclasses.replace(board, prefix=board.python.parents[2])
    with tempfile.TemporaryDirectory() as name, pytest.raises(EngineCrashedError, match="SIGSEGV"):
        run_guest(bare, ["run", str(kws), "--engine", "litert"], Path(name))


def test_errors_of_the_board_are_those_of_a_session(
    boards: dict[str, Profile], kws: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="takes int8"):
        run_emulated(boards["pi5"], kws, "litert", [np.zeros((1, 1), np.int8)])
    damaged = tmp_path / "m.tflite"
    damaged.write_bytes(kws.read_bytes()[:1000])
    with pytest.raises(InputError):
        run_emulated(boards["pi5"], damaged, "litert", [np.zeros((1, 49, 10, 1), np.int8)])


def test_time_out(boards: dict[str, Profile], kws: Path) -> None:
    with pytest.raises(EngineCrashedError, match="no answer within 0.5 s"):
        run_emulated(
            boards["pi5"], kws, "litert", [np.zeros((1, 49, 10, 1), np.int8)], timeout_s=0.5
        )


def test_qemu_of_unknown_version_runs_but_does_not_count(
    boards: dict[str, Profile], kws: Path, tmp_path: Path
) -> None:
    real = find_emulator().path
    fake = tmp_path / "qemu-aarch64"
    says = 'if [ "$1" = --version ]; then echo "qemu-aarch64 version 12.1.0"; exit 0; fi'
    fake.write_text(f'#!/bin/sh\n{says}\nexec {real} "$@"\n')
    fake.chmod(0o755)
    emulator = find_emulator(fake)
    with pytest.raises(MissingToolError, match=r"no counts: the plugin interface of QEMU 12\.1"):
        count_instructions(boards["pi5"], kws, "litert", emulator=emulator)
    given = [np.zeros((1, 49, 10, 1), np.int8)]
    found = run_emulated(boards["pi5"], kws, "tflite", given, emulator=emulator)
    np.testing.assert_array_equal(found[0], open_session(kws, "tflite").run(given)[0])
