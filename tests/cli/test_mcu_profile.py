"""`edgepress profile` and `devices setup` for microcontrollers: arena, Vela, what is not installed, what cannot be."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from edgepress.devices import extras
from edgepress.export.tflite.write import write
from support.commands import call, refused, spawn
from support.lite_models import conv_model

needs_extras = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("ethosu", "tflite_micro")),
    reason="needs pip install 'edgepress[ethosu,tflm]'",
)


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path, model = tmp_path / "small.tflite", conv_model()
    model.metadata.clear()
    path.write_bytes(write(model))
    return path


@needs_extras
def test_a_device_with_an_ethos_u_gets_arena_and_cycles(small: Path) -> None:
    done = call("profile", small, "--device", "e3", "--json")
    assert done.code == 0
    rows = {
        (m["engine"], m["fingerprint"].get("accelerator")): m for m in done.document["measurements"]
    }
    assert rows["tflm", None]["evidence"] == "host" and rows["tflm", None]["device"] == "host"
    for accelerator in ("ethos-u55-256", "ethos-u55-128"):
        row = rows["vela", accelerator]
        assert row["evidence"] == "estimated" and row["device"] == "ensemble-e3"
        assert row["values"]["vela_cycles"] > 0 and "latency_ms" not in row["values"]


@needs_extras
def test_an_engine_asked_for_comes_alone_and_names_its_configuration(small: Path) -> None:
    done = call("profile", small, "--device", "e3", "--engine", "vela")
    assert done.code == 0 and "tflm" not in done.out
    assert "ethos-u55-256, Ethos_U55_High_End_Embedded, Shared_Sram: estimated" in done.out


def test_what_is_not_installed_is_a_note_or_an_error(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = importlib.util.find_spec
    hidden = ("ethosu", "tflite_micro")
    monkeypatch.setattr(
        extras.importlib.util, "find_spec", lambda n: None if n in hidden else found(n)
    )
    done = call("profile", small, "--device", "e3")
    assert done.code == 0
    assert "pip install 'edgepress[tflm]'" in done.out and "'edgepress[ethosu]'" in done.out


def test_vela_needs_a_device_that_has_one(small: Path) -> None:
    done = spawn("profile", small, "--device", "stm32l4r5", "--engine", "vela")
    refused(done, "stm32l4r5 has no Ethos-U")


def test_setup_of_a_microcontroller_says_what_is_missing(tmp_path: Path) -> None:
    done = spawn("devices", "setup", "stm32l4r5", PATH=str(tmp_path))
    refused(done, "arm-none-eabi-gcc is not installed", "gcc-arm-none-eabi")
    assert call("devices", "setup", "stm32l4r5", "--dry-run").code == 0
