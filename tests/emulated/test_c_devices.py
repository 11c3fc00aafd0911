"""Exported C on every emulated core and on a pretended watch: proven, counted, measured."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from edgepress.devices.board import measure_board
from edgepress.devices.board_options import BoardOptions
from edgepress.devices.emulate_c import CResult, run_c
from edgepress.devices.firmware_vectors import Vectors
from edgepress.devices.measurement import Evidence
from edgepress.devices.profile import load_profile
from edgepress.export.onnx.intake import from_onnx
from edgepress.export.parity_records import Candidate
from edgepress.runtime.artifact import model_sha256
from edgepress.runtime.errors import ParityError
from edgepress.runtime.session import Session, open_session
from edgepress.tools import device_proof
from edgepress.tools.bench.native_instructions import proven_vectors
from edgepress.tools.bench.native_parity import CORES as NATIVE_CORES
from edgepress.tools.bench.native_parity import cases, find_all_tools, run_case
from edgepress.tools.device_proof import prove_on_device
from support import c_models, ptq
from support.commands import call
from support.data import need_data
from support.mcu import CORES as MCUS
from support.streams import PAIRS, step_model, stream

pytestmark = [pytest.mark.emulated, pytest.mark.usefixtures("tools", "linux_tools")]

BOARDS = {"pi3bplus": "cortex-a53", "pi4": "cortex-a72", "pi5": "cortex-a76"}
DEVICES = {**MCUS, **BOARDS}


def vectors_of(folder: Path, name: str, count: int = 3) -> Vectors:
    """Stored inputs of a quantized test network and the integer reference's outputs, which this machine gives, too."""
    return proven_vectors(ptq.quantized_hub(name), folder, ptq.samples(name, count, 5))


def run_on(folder: Path, device: str, vectors: Vectors) -> CResult:
    return run_c(folder, load_profile(device), vectors, calls=True)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", ["residual", "depthwise"])
def test_every_core_equals_the_integer_reference(name: str, device: str, tmp_path: Path) -> None:
    """Packed for that very core; every call is counted and they add up."""
    folder = c_models.write(ptq.quantized_hub(name), tmp_path, device=DEVICES[device])
    result = run_on(folder, device, vectors_of(folder, name))
    found = result.measurement()
    assert found.evidence is Evidence.EMULATED and found.engine == "native"
    assert (found.device, found.artifact_sha256) == (device, model_sha256(folder))
    assert not any(key.endswith("_ms") for key in found.values)
    assert [call.function for call in result.calls[1:]] == [c.function for c in result.folder.calls]
    assert all(call.instructions > 0 for call in result.calls)
    first = result.run.counts.steps[0]
    assert sum(call.instructions for call in result.calls) == first
    assert found.values["instructions"] == max(result.run.counts.steps)


def test_labels_change_next_to_nothing(tmp_path: Path) -> None:
    folder = c_models.write(ptq.quantized_hub("residual"), tmp_path, device="cortex-m4")
    vectors, profile = vectors_of(folder, "residual", 1), load_profile("stm32l4r5")
    with_labels = run_c(folder, profile, vectors, calls=True).instructions
    without = run_c(folder, profile, vectors).instructions
    assert with_labels is not None and without is not None
    assert abs(with_labels - without) <= 0.005 * without


def test_figures_of_a_microcontroller(tmp_path: Path) -> None:
    folder = c_models.write(ptq.quantized_hub("residual"), tmp_path, device="cortex-m33")
    values = run_on(folder, "stm32u585", vectors_of(folder, "residual", 1)).measurement().values
    assert values["ram_bytes"] >= values["arena_bytes"] > 0
    assert values["flash_bytes"] > 1000
    assert 0 < values["stack_bytes"] <= values["stack_bound_bytes"] < 4096


@pytest.mark.parametrize("device", ["stm32l4r5", "pi5"])
def test_every_vector_begins_a_stream(device: str, tmp_path: Path) -> None:
    """A streaming model: its context is reset before each vector, as `Session.run` does here."""
    folder = c_models.write(from_onnx(step_model(PAIRS)), tmp_path)
    session = open_session(folder)
    rows = [[x.reshape(session.artifact.inputs[0].shape)] for x in stream(3)]
    expected = [session.run(row) for row in rows]
    result = run_on(folder, device, Vectors(rows, expected))
    state = result.folder.state_bytes
    assert state > 0
    if result.firmware is not None:
        assert result.firmware.ram_bytes >= state + result.folder.arena_bytes


@pytest.mark.parametrize("device", ["stm32l4r5", "pi5"])
def test_a_wrong_expectation_is_told(device: str, tmp_path: Path) -> None:
    folder = c_models.write(ptq.quantized_hub("residual"), tmp_path)
    right = vectors_of(folder, "residual", 1)
    wrong = [[np.where(y < 0, y + 1, y - 1).astype(y.dtype) for y in right.expected[0]]]
    with pytest.raises(ParityError, match="depart"):
        run_on(folder, device, Vectors(right.inputs, wrong))


def test_profile_and_verify_from_the_command_line(tmp_path: Path) -> None:
    source = str(tmp_path / "made")
    words = ["toy_cnn", "--random-weights", "--task", "toy", "--precision", "int8"]
    made = call("export", *words, "--format", "onnx,c", "--device", "stm32l4r5", "--out", source)
    assert made.code == 0, made.err
    folder, twin = f"{source}/toy_cnn.int8.c", f"{source}/toy_cnn.int8.onnx"
    told = call("profile", folder, "--device", "stm32l4r5", "--layers", "--json", "-q")
    (row,) = told.document["measurements"]
    assert row["device"] == "stm32l4r5" and row["values"]["flash_bytes"] > 0
    assert not any("packed for" in note for note in row["notes"])
    total = sum(one["instructions"] for one in told.document["calls"][0]["calls"])
    assert total == row["samples"]["instructions"][0][0]
    other = call("profile", folder, "--device", "pi5", "-q")
    assert other.code == 0 and "packed for stm32l4r5, run on pi5" in other.out
    proof = call("verify", twin, folder, "--task", "toy", "--device", "apollo510", "-q")
    assert "PASS toy_cnn.int8.c in native on apollo510" in proof.out


@pytest.mark.parametrize(("name", "precision"), [("ds_cnn", "int8"), ("ds_cnn", "float")])
def test_real_inputs_give_the_same_everywhere(name: str, precision: str) -> None:
    """A trained network on two real inputs; `native_parity` does it for all and on 100."""
    data = need_data("models/mlperf_tiny").parents[1]
    case = next(c for c in cases() if (c.name, c.precision) == (name, precision))
    rows = list(run_case(case, data, 2, NATIVE_CORES, find_all_tools()))
    assert len(rows) == 2 + 2 * len(NATIVE_CORES)
    assert [row for row in rows if row.departing or row.values != 24] == []


_FAKE_ADB = r"""#!/bin/sh
ROOT=@ROOT@
shift 2
place() { printf '%s' "$1" | sed "s#/data/local/tmp#$ROOT#g"; }
case "$1" in
  shell) PATH="$ROOT/bin:$PATH" sh -c "$(place "$2")" ;;
  push) cp "$2" "$(place "$3")" ;;
  pull) cp "$(place "$2")" "$3" ;;
esac
"""
_CHMOD = r"""mv "$2" "$2.elf"
printf '#!/bin/sh\nexec qemu-aarch64 -cpu cortex-a53 %s.elf "$@"\n' "$2" > "$2"
/bin/chmod 755 "$2" "$2.elf"
"""


def watch(tmp_path: Path, script: str = _FAKE_ADB) -> tuple[Path, Path]:
    """(a device's folder, the script that stands in for adb)."""
    root, adb = tmp_path / "device", tmp_path / "adb"
    (root / "bin").mkdir(parents=True)
    for name, text in {"uname": "echo aarch64", "getprop": "", "chmod": _CHMOD}.items():
        (root / "bin" / name).write_text(f"#!/bin/sh\n{text}\n")
        (root / "bin" / name).chmod(0o755)
    adb.write_text(script.replace("@ROOT@", str(root)))
    adb.chmod(0o755)
    return root, adb


def test_a_watch_over_adb_gets_a_static_program(tmp_path: Path) -> None:
    """A script stands in for adb; the program that was pushed runs under QEMU, its times say nothing."""
    root, adb = watch(tmp_path)
    folder = c_models.write(ptq.quantized_hub("residual"), tmp_path / "c", device="cortex-a53")
    found = measure_board(folder, "adb://W7", processes=1, options=BoardOptions(adb=str(adb)))
    assert found.engine == "native" and len(found.samples["latency_ms"][0]) == 100
    assert found.values["latency_ms"] > 0 and "outputs were those" in found.notes[0]
    assert [path.name for path in root.iterdir()] == ["bin"]


def test_one_wrong_value_on_a_watch_is_told(tmp_path: Path) -> None:
    """One byte of the outputs that are pulled is another: the first after the row's two numbers."""
    damage = "data = bytearray(open(sys.argv[1], 'rb').read()); data[8] ^= 1; open(sys.argv[1], 'wb').write(data)"
    pull = 'cp "$(place "$2")" "$3"'
    root, adb = watch(
        tmp_path, _FAKE_ADB.replace(pull, f'{pull}; python3 -c "import sys; {damage}" "$3"')
    )
    folder = c_models.write(ptq.quantized_hub("residual"), tmp_path / "c", device="cortex-a53")
    with pytest.raises(ParityError, match="1 of"):
        measure_board(folder, "adb://W7", processes=1, options=BoardOptions(adb=str(adb)))
    assert [path.name for path in root.iterdir()] == ["bin"]


class OffByOne:
    """A session whose first output value is one step off."""

    def __init__(self, session: Session):
        self.session = session

    def __getattr__(self, name: str) -> object:
        return getattr(self.session, name)

    def run(self, given: list[np.ndarray]) -> list[np.ndarray]:
        outputs = self.session.run(given)
        outputs[0].reshape(-1)[0] ^= 1
        return outputs


@pytest.mark.parametrize("device", ["stm32l4r5", "pi5"])
def test_a_proof_on_a_device_fails_by_one_step(
    device: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = c_models.write(ptq.quantized_hub("residual"), tmp_path, device=DEVICES[device])
    candidate, samples = Candidate(folder, "native"), ptq.samples("residual", 2, 5)
    options = BoardOptions()
    (row,) = prove_on_device(device, [candidate], samples, options, named=True)
    assert (row.outcome, row.samples) == ("pass", 2)
    open_here = device_proof.reference_session
    monkeypatch.setattr(device_proof, "reference_session", lambda *a: OffByOne(open_here(*a)))
    (row,) = prove_on_device(device, [candidate], samples, options, named=True)
    assert row.outcome == "fail" and "depart" in row.reason
