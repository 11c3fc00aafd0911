"""Records that firmware prints: what is taken, what is refused, and that outputs are compared."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from edgepress.devices.firmware_record import import_record
from edgepress.devices.measurement import Evidence, Measurement
from edgepress.runtime.codec import from_json
from edgepress.runtime.errors import EdgepressError, InputError, ParityError, UsageError
from edgepress.runtime.files import sha256_bytes
from edgepress.runtime.session import open_session
from edgepress.runtime.timing import random_inputs
from support.commands import call, refused
from support.lite_files import tiny_dense


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "m.tflite"
    path.write_bytes(tiny_dense())
    return path


def record(model: Path, **changes: Any) -> Path:
    """A good record with changes; None takes a key out."""
    told: dict[str, Any] = {
        "schema": "edgepress-firmware/1",
        "device": "stm32h7a3",
        "model_sha256": sha256_bytes(model.read_bytes()),
        "engine": "tflite-micro",
        "engine_version": "2026-01",
        "counter": "dwt",
        "clock_mhz": 280,
        "cycles": [[2_800_000, 2_828_000, 2_800_000], [2_800_000]],
        "first_cycles": 5_600_000,
        "arena_bytes": 20_000,
        "power_mw": 122,
        **changes,
    }
    path = model.with_name("record.json")
    path.write_text(json.dumps({key: value for key, value in told.items() if value is not None}))
    return path


def test_cycles_become_milliseconds(model: Path) -> None:
    found = import_record(record(model), model)
    assert found.evidence is Evidence.MEASURED and found.device == "stm32h7a3"
    assert found.values["latency_ms"] == pytest.approx(10.0)
    assert found.values["first_invoke_ms"] == pytest.approx(20.0)
    assert found.values["energy_mj"] == pytest.approx(1.22)
    assert found.samples["latency_ms"][0][1] == pytest.approx(10.1)
    assert found.fingerprint == {"clock_mhz": "280"}
    assert any("not proved" in note for note in found.notes)


def outputs_of(model: Path) -> list[list[float]]:
    session = open_session(model)
    found = session.run(random_inputs(session.artifact.inputs, 0))
    return [[float(v) for v in value.ravel()] for value in found]


def test_outputs_are_compared(model: Path) -> None:
    right = outputs_of(model)
    found = import_record(record(model, outputs=right), model)
    assert "outputs were those of this machine" in found.notes
    wrong = [[value + 1 for value in right[0]]]
    with pytest.raises(ParityError, match="output 0 departs"):
        import_record(record(model, outputs=wrong), model)
    with pytest.raises(InputError, match="outputs: the model gives"):
        import_record(record(model, outputs=[[1.0]]), model)


def test_the_last_line_of_a_log_is_enough(model: Path) -> None:
    path = record(model)
    path.write_text(f"boot\nKWS ready\n{path.read_text()}\nbye\n")
    assert import_record(path, model).values["latency_ms"] == pytest.approx(10.0)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"cycles": [[0]]}, "cycles.0.0"),
        ({"cycles": [[1 << 32]]}, "cycles.0.0"),
        ({"cycles": []}, "cycles"),
        ({"cycles": [[1.5]]}, "cycles.0.0"),
        ({"clock_mhz": None}, "clock_mhz: Field required"),
        ({"clock_mhz": 280_000_000}, "280 MHz at most"),
        ({"clock_mhz": "280"}, "clock_mhz"),
        ({"counter": "guess"}, "counter"),
        ({"speed": 3}, "speed"),
        ({"schema": "other/1"}, "schema"),
        ({"model_sha256": "0" * 64}, "the record is of the file"),
    ],
)
def test_what_is_refused(model: Path, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(EdgepressError, match=words) as caught:
        import_record(record(model, **changes), model)
    assert caught.value.exit_code == 2 and caught.value.where


def test_unknown_device_names_the_nearest(model: Path) -> None:
    with pytest.raises(UsageError, match="stm32h7a4") as caught:
        import_record(record(model, device="stm32h7a4"), model)
    assert "stm32h7a3" in str(caught.value.hint)


@pytest.mark.parametrize("text", ["", "no json", "[1]", "{broken", "\0"])
def test_no_record(model: Path, text: str) -> None:
    path = model.with_name("record.json")
    path.write_text(text)
    with pytest.raises(InputError, match="holds no JSON object"):
        import_record(path, model)


def test_command(model: Path, tmp_path: Path) -> None:
    out = tmp_path / "measurement.json"
    done = call("devices", "import", record(model), "--model", model, "--out", out)
    assert done.code == 0 and "10 ms" in done.out and "measured" in done.out
    assert from_json(Measurement, json.loads(out.read_text())).device == "stm32h7a3"
    again = call("devices", "import", record(model), "--model", model, "--out", out)
    refused(again, "the file exists", "--force")
    wrong = record(model, outputs=[[v + 1 for v in outputs_of(model)[0]]])
    refused(call("devices", "import", wrong, "--model", model), "departs", code=1)
