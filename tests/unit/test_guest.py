"""The on-board program as one file, and what becomes of a guest process. No QEMU."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from edgepress.devices.agent import agent_bytes, write_agent
from edgepress.devices.emulate_pi import Request
from edgepress.devices.guest import EmulatedBoard, run_guest
from edgepress.devices.qemu import Emulator
from edgepress.runtime.errors import (
    EngineCrashedError,
    InputError,
    ToolFailedError,
)
from support.lite_files import tiny_dense

ROOT = Path(__file__).parents[2]

# ------------------------------------------------------------------ the on-board program


def agent(folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """The zipapp in a process that sees no edgepress but its own."""
    command = [sys.executable, "-I", str(write_agent(folder)), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)


def test_agent_is_the_same_bytes_each_time() -> None:
    assert agent_bytes() == agent_bytes()
    assert len(agent_bytes()) < 1 << 20


def test_agent_counts_and_gives_outputs(tmp_path: Path) -> None:
    file = tmp_path / "m.tflite"
    file.write_bytes(tiny_dense())
    request = Request.make("count", file, None, None, tmp_path)
    done = agent(tmp_path, *request.arguments)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["marks"] == {"markers": 3, "invokes": 4} and told["threads"] == 1
    ran = Request.make("run", file, told["engine"], None, tmp_path / ".")
    assert agent(tmp_path, *ran.arguments).returncode == 0
    assert all(isinstance(output, np.ndarray) for output in ran.outputs())


def test_agent_tells_errors_as_json(tmp_path: Path) -> None:
    (tmp_path / "m.tflite").write_bytes(b"no model")
    done = agent(tmp_path, "run", tmp_path / "m.tflite")
    assert done.returncode == 2
    assert json.loads(done.stdout)["error"]["class"] == "InputError"


def test_agent_lists_engines(tmp_path: Path) -> None:
    told = json.loads(agent(tmp_path, "engines").stdout)
    engines = {"onnxruntime", "tflite", "litert", "native", "lce-reference"}
    assert set(told["engines"]) == engines


# ------------------------------------------------------------------ a guest process


def guest(folder: Path, script: str) -> EmulatedBoard:
    """A board whose emulator is a shell script."""
    program = folder / "qemu-aarch64"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    emulator = Emulator(program, (7, 2, 0), 1, "")
    return EmulatedBoard("pi5", "cortex-a76", folder, folder, folder, folder, emulator)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("ILL", "instruction that this core does not have"),
        ("SEGV", "memory that is not its own"),
        ("KILL", "killed"),
    ],
)
def test_signals_become_one_clear_error(tmp_path: Path, name: str, words: str) -> None:
    with pytest.raises(EngineCrashedError, match=words) as caught:
        run_guest(guest(tmp_path, f"kill -{name} $$"), ["run", "m", "--engine", "litert"], tmp_path)
    assert f"litert {words.split()[0]}" in caught.value.what or "litert" in caught.value.what
    assert f"SIG{name}" in caught.value.what and caught.value.where == "pi5 (emulated cortex-a76)"


def test_time_out_ends_the_guest_and_its_children(tmp_path: Path) -> None:
    board = guest(tmp_path, "(sleep 1; touch late) & sleep 60")
    start = time.monotonic()
    with pytest.raises(EngineCrashedError, match="no answer within 0.5 s"):
        run_guest(board, ["run"], tmp_path, timeout_s=0.5)
    time.sleep(max(0.0, start + 1.4 - time.monotonic()))
    assert not (tmp_path / "late").exists()


def test_errors_of_the_guest_keep_their_class(tmp_path: Path) -> None:
    told = {"class": "InputError", "what": "takes int8 [1]", "where": "m", "hint": "look"}
    board = guest(tmp_path, f"echo '{json.dumps({'error': told})}'; exit 2")
    with pytest.raises(InputError, match=re.escape("m: takes int8 [1]")) as caught:
        run_guest(board, ["run"], tmp_path)
    assert caught.value.hint == "look"


@pytest.mark.parametrize(
    "script", ["echo broken >&2; exit 3", "echo broken", "echo '{broken'; exit 1"]
)
def test_other_ends_tell_the_last_words(tmp_path: Path, script: str) -> None:
    with pytest.raises(ToolFailedError, match="broken"):
        run_guest(guest(tmp_path, script), ["run"], tmp_path)


def test_nothing_of_ours_reaches_the_guest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "1")
    board = guest(tmp_path, "printf '{\"env\": \"%s\"}' \"$(env | cut -d= -f1 | tr '\\n' ' ')\"")
    names = run_guest(board, ["run"], tmp_path)["env"].split()
    assert "SECRET" not in names and {"PYTHONHASHSEED", "PYTHONDONTWRITEBYTECODE"} <= set(names)


def test_missing_model_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        Request.make("run", tmp_path / "none.tflite", None, None, tmp_path)
