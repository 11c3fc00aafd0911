"""`profile`, `verify` and `devices` on boards and emulated devices, without any: what is asked for and refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from edgepress.devices import board as boards
from edgepress.devices.proof import departs, reference_session
from edgepress.runtime.errors import MissingToolError
from edgepress.tools.bench.board_stand_in import StandIn
from support.commands import call, refused
from support.lite_files import tiny_dense


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    """Every ssh address is this board; `--python` names its fake agent."""
    found = StandIn(tmp_path, seconds=0.01)
    monkeypatch.setattr(boards, "open_transport", lambda address, adb: found.transport)
    return found


def test_profile_on_a_board(stand_in: StandIn) -> None:
    words = ["profile", stand_in.model, "--device", "ssh://pi", "--python", stand_in.options.python]
    done = call(*words, "--engine", "onnxruntime", "--processes", 2, "--json", "-q")
    row = done.document["measurements"][0]
    assert done.code == (3 if row["invalid"] else 0)
    assert row["evidence"] == "measured" and len(row["samples"]["latency_ms"]) == 2
    assert stand_in.residue() == []


def test_an_invalid_measurement_is_shown_and_ends_with_3(
    stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(boards, "invalid_reasons", lambda states: ("throttled: throttled",))
    words = ["profile", stand_in.model, "--device", "ssh://pi", "--python", stand_in.options.python]
    done = call(*words, "--engine", "onnxruntime", "--processes", 1, "-q")
    assert done.code == 3 and "INVALID model.onnx in onnxruntime: throttled" in done.out
    assert "measured (invalid)" in done.out


def test_compare_on_a_board(stand_in: StandIn, tmp_path: Path) -> None:
    other = tmp_path / "other.onnx"
    other.write_bytes(stand_in.model.read_bytes())
    words = ["profile", stand_in.model, "--device", "ssh://pi", "--python", stand_in.options.python]
    more = ["--engine", "onnxruntime", "--processes", 2, "--compare", other, "--json", "-q"]
    document = call(*words, *more).document
    assert len(document["measurements"]) == 2
    assert document["comparisons"][0]["evidence"] == "measured"
    assert document["comparisons"][0]["ratio"] == 1.0  # the fake agent tells one process's times


def test_verify_on_a_board(stand_in: StandIn, tmp_path: Path) -> None:
    """The fake agent's outputs are those of three seeded inputs."""
    session = reference_session(stand_in.model, "onnxruntime")
    from edgepress.runtime.timing import random_inputs

    given = [random_inputs(session.artifact.inputs, n)[0] for n in range(3)]
    np.savez(tmp_path / "inputs.npz", x=np.concatenate(given))
    words = ["verify", stand_in.model, stand_in.model, "--inputs", tmp_path / "inputs.npz"]
    words += ["--device", "ssh://pi", "--python", stand_in.options.python, "-q"]
    done = call(*words, "--engine", "onnxruntime")
    assert done.code == 0 and "PASS model.onnx in onnxruntime on ssh://pi" in done.out
    np.savez(tmp_path / "outputs.npz", output_0=np.stack(given) + np.float32(1.1))
    done = call(*words, "--engine", "onnxruntime")
    assert done.code == 1 and "FAIL model.onnx" in done.out and "sample 0" in done.out


def test_outputs_cannot_be_had_over_adb(tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(tiny_dense())
    np.savez(tmp_path / "inputs.npz", x=np.ones((2, 4), np.float32))
    words = ["verify", path, path, "--inputs", tmp_path / "inputs.npz", "--device", "adb://x", "-q"]
    refused(call(*words), "cannot be had over adb")


@pytest.mark.parametrize(
    ("words", "told", "code"),
    [
        (("--device", "pi44"), ("no device is called 'pi44'", "pi4"), 2),
        (("--device", "host", "--estimate"), ("of a device by its name",), 2),
        (("--device", "stm32h7a3", "--layers"), ("not of estimates",), 2),
        (("--device", "http://x"), ("no address of a board",), 2),
        (("--device", "adb://x", "--engine", "litert"), ("program is the engine",), 2),
        (("--device", "pi4", "--threads", 2), ("one thread",), 2),
        (("--cpus", "a"), ("list of processor numbers",), 2),
        (("--cpus", "1"), ("--cpus has no effect on host", "ssh:// and adb://"), 2),
        (("--device", "pi4", "--set-governor"), ("--set-governor has no effect on pi4",), 2),
        (("--device", "adb://x", "--set-governor"), ("no effect on adb://x",), 2),
        (("--device", "ssh://x", "--program", "b"), ("--program has no effect on ssh",), 2),
        (("--device", "ssh://127.0.0.1:1"), ("refuses the connection",), 4),
    ],
)
def test_what_is_refused(
    tmp_path: Path, words: tuple[object, ...], told: tuple[str, ...], code: int
) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(tiny_dense())
    refused(call("profile", path, *words, "-q"), *told, code=code)


def test_a_missing_file_is_told_before_the_board_is_asked() -> None:
    refused(call("profile", "none.tflite", "--device", "ssh://127.0.0.1:1"), "none.tflite")


def test_list_and_show() -> None:
    rows = call("devices", "--json").document["devices"]
    assert {"pi4", "stm32h7a3", "w5plus"} <= {row["name"] for row in rows}
    shown = call("devices", "show", "rpi4", "--json").document
    assert shown["name"] == "pi4" and shown["soc"] == {
        "value": "BCM2711",
        "source": shown["soc"]["source"],
        "confirmed": True,
    }
    assert "BCM2711" in call("devices", "show", "pi4").out
    refused(call("devices", "show", "pi"), "no device is called")


def test_setup_and_probe_can_be_planned() -> None:
    assert call("devices", "setup", "pi4", "--dry-run").code == 0
    assert call("devices", "probe", "ssh://nowhere", "--dry-run").code == 0


# ------------------------------------------------------------------ outputs of a device


def test_departures() -> None:
    a = np.arange(1000, dtype=np.int8).reshape(1, -1)
    off = a.copy()
    off[0, 0] += 1
    assert departs([a], [a]) == "" and departs([off], [a]) == ""
    off[0, 0] += 2
    assert "by up to 3 steps" in departs([off], [a])
    many = a.copy()
    many[0, :10] += 2
    assert "departs in 1.00% of its values" in departs([many], [a])
    assert departs([a, a], [a]) == "2 outputs, expected 1"
    assert "expected int8" in departs([a.astype(np.int32)], [a])


def test_departures_of_floats() -> None:
    a = np.array([1.0, 2.0, np.inf, np.nan], np.float32)
    assert departs([a], [a]) == ""
    assert departs([a * np.float32(1 + 1e-6)], [a]) == ""
    assert "departs by up to" in departs([a * np.float32(1.001)], [a])
    assert "NaN or infinity" in departs([np.zeros(4, np.float32)], [a])


def test_another_engine_stands_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(tiny_dense())
    assert reference_session(path, "litert").engine == "litert"
    from edgepress.devices import proof

    real = proof.open_session

    def without_litert(where: Path, name: str) -> object:
        if name == "litert":
            raise MissingToolError("not installed")
        return real(where, name)

    monkeypatch.setattr(proof, "open_session", without_litert)
    assert reference_session(path, "litert").engine == "tflite"
