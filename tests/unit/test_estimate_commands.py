"""`profile --estimate` and `devices calibrate`: what is printed, and that a measured board is used afterwards."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from edgepress.devices.measurement import Evidence, Measurement
from edgepress.export.tflite.write import write
from edgepress.runtime.codec import to_json
from edgepress.runtime.files import sha256_file
from support.commands import call, refused
from support.lite_models import conv_model


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    path = tmp_path / "conv.tflite"
    path.write_bytes(write(conv_model()))
    return path


def measured(model: Path, evidence: Evidence = Evidence.MEASURED) -> Path:
    one = Measurement(
        sha256_file(model), evidence, "ssh://pi", {}, "litert", "2.3.0", 1, {"latency_ms": 3.0}
    )
    path = model.with_suffix(".json")
    path.write_text(json.dumps({"measurements": [{"file": "x", **to_json(one)}]}))
    return path


def test_a_microcontroller_is_estimated_and_the_reason_told(model: Path) -> None:
    done = call("profile", model, "--device", "stm32l4r5")
    assert done.code == 0
    assert "estimated" in done.out and "not faster than" in done.out
    assert "says nothing outside" in done.out and "devices import" in done.out
    (row,) = call("profile", model, "--device", "stm32l4r5", "--json").document["measurements"]
    assert row["evidence"] == "estimated" and set(row["values"]) <= {"latency_floor_ms"}


def test_a_measured_board_is_estimated_by_its_own_record(model: Path) -> None:
    before = call("profile", model, "--device", "pi4", "--estimate", "--json").document
    assert "latency_ms" not in before["measurements"][0]["values"]
    kept = call("devices", "calibrate", "pi4", measured(model), "--model", model, "--json")
    assert kept.code == 0 and kept.document["records"][0]["device"] == "pi4"
    after = call("profile", model, "--device", "pi4", "--estimate", "--json").document
    (row,) = after["measurements"]
    assert row["engine"] == "litert" and row["values"]["latency_ms"] == pytest.approx(3.0)
    assert row["values"]["latency_low_ms"] < 3.0 < row["values"]["latency_high_ms"]


def test_what_calibrates_nothing_is_refused(model: Path) -> None:
    words = ("devices", "calibrate", "pi4")
    refused(call(*words, measured(model, Evidence.HOST), "--model", model), "calibrates nothing")
    other = model.with_name("other.json")
    other.write_text("[]")
    refused(call(*words, other, "--model", model), "not the measurements")
    other.write_text('{"measurements": []}')
    refused(call(*words, other, "--model", model), "no measurement of conv.tflite")
