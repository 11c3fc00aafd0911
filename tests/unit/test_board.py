"""A visit to a board: the real on-board program over a stand-in for ssh, and everything that can go wrong there."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from edgepress.devices.board import interleave_visit, measure_visit, visit_over
from edgepress.devices.board_options import BoardOptions
from edgepress.devices.board_visit import BoardVisit
from edgepress.devices.measurement import Evidence
from edgepress.devices.remote import Remote
from edgepress.devices.remote_errors import told_error
from edgepress.devices.transport_local import LocalTransport
from edgepress.runtime.errors import (
    DeviceDiskFull,
    DeviceError,
    DeviceLost,
    EdgepressError,
    EngineCrashedError,
    InputError,
    MissingToolError,
    ParityError,
    UsageError,
)
from edgepress.runtime.timing import TimingPlan
from edgepress.tools.bench.board_stand_in import StandIn

QUICK = TimingPlan(warmup_seconds=0, seconds=0.01, steady_cap_invokes=0)


@pytest.fixture
def stand_in(tmp_path: Path) -> StandIn:
    return StandIn(tmp_path, seconds=0.01)


def python(folder: Path, script: str) -> str:
    """A program in place of the board's Python; `$REAL` is the real one."""
    path = folder / "some-python"
    path.write_text(f"#!/bin/sh\nREAL={sys.executable}\n{script}\n")
    path.chmod(0o755)
    return str(path)


@contextmanager
def real_board(folder: Path, **options: object) -> Iterator[BoardVisit]:
    """This machine as a board: everything on it is real."""
    temporary = folder / "board-tmp"
    temporary.mkdir(exist_ok=True)
    transport = LocalTransport(environment={"TMPDIR": str(temporary)})
    chosen = BoardOptions(**{"python": sys.executable, **options})  # type: ignore[arg-type]
    with visit_over(transport, chosen) as board:
        yield board


# ------------------------------------------------------------------ what a visit gives


def test_measures_proves_and_leaves_nothing(tmp_path: Path, stand_in: StandIn) -> None:
    with real_board(tmp_path, cooling="fan") as board:
        found = measure_visit(board, stand_in.model, processes=2, plan=QUICK)
    assert found.evidence is Evidence.MEASURED and found.device == "local://"
    assert found.engine == "onnxruntime" and len(found.samples["latency_ms"]) == 2
    assert {"latency_ms", "load_ms", "first_invoke_ms", "peak_rss_bytes"} <= set(found.values)
    keys = {"machine", "kernel", "python", "numpy", "engine_build", "affinity", "cooling"}
    assert keys <= set(found.fingerprint) and "serial" not in found.fingerprint
    assert {"load_average", "loop_mhz"} <= set(found.conditions_after)
    assert list((tmp_path / "board-tmp").iterdir()) == []


def test_compares_in_turn(tmp_path: Path, stand_in: StandIn) -> None:
    other = tmp_path / "other.onnx"
    other.write_bytes(stand_in.model.read_bytes())
    with real_board(tmp_path) as board:
        both = interleave_visit(board, (stand_in.model, other), processes=2, plan=QUICK)
        engines = board.engines()
    assert both.comparison.paired and both.base.artifact_sha256 == both.candidate.artifact_sha256
    assert engines["numpy"] == np.__version__ and "not usable" not in engines["onnxruntime"]


def test_layers_of_the_board(tmp_path: Path, stand_in: StandIn) -> None:
    with real_board(tmp_path) as board:
        found = board.layers(stand_in.model, "onnxruntime")
    assert [layer.operator for layer in found.layers] == ["Add"]


def test_a_file_that_is_wrong_there_is_no_measurement(stand_in: StandIn) -> None:
    outputs = stand_in.model.parent / "outputs.npz"
    with np.load(outputs) as archive:
        wrong = archive["output_0"] * np.float32(1.01)
    np.savez(outputs, output_0=wrong)
    with (
        visit_over(stand_in.transport, stand_in.options) as board,
        pytest.raises(ParityError, match="output 0 departs") as caught,
    ):
        measure_visit(board, stand_in.model, "onnxruntime", processes=1)
    assert caught.value.exit_code == 1 and stand_in.residue() == []


def test_another_file_than_was_sent_is_refused(stand_in: StandIn) -> None:
    told = json.loads((stand_in.model.parent / "time.json").read_text())
    told["artifact_sha256"] = "0" * 64
    (stand_in.model.parent / "time.json").write_text(json.dumps(told))
    with (
        visit_over(stand_in.transport, stand_in.options) as board,
        pytest.raises(DeviceError, match="another file"),
    ):
        measure_visit(board, stand_in.model, "onnxruntime", processes=1)


def test_what_a_login_prints_is_skipped(tmp_path: Path) -> None:
    transport = LocalTransport(["sh", "-c", 'echo "Welcome {"; eval "$0"'])
    with visit_over(transport, BoardOptions(python=sys.executable)) as board:
        assert board.facts()["machine"] == os.uname().machine


# ------------------------------------------------------------------ what can be missing


@pytest.mark.parametrize(
    ("script", "words", "code"),
    [
        ("echo 'old 3.7.3'", "is 3.7.3, 3.9 is the oldest", 2),
        ("exit 127", "there is no", 2),
        ("echo mine >&2; exit 3", "did not start: mine", 4),
        ("yes | head -c 300000", "something else", 4),
    ],
)
def test_no_usable_python(tmp_path: Path, script: str, words: str, code: int) -> None:
    with (
        pytest.raises(EdgepressError, match=words) as caught,
        visit_over(LocalTransport(), BoardOptions(python=python(tmp_path, script))),
    ):
        pass
    assert caught.value.exit_code == code


def test_python_that_is_not_there() -> None:
    with (
        pytest.raises(MissingToolError, match="there is no no-such-python"),
        visit_over(LocalTransport(), BoardOptions(python="no-such-python")),
    ):
        pass


def test_missing_numpy_and_engine(tmp_path: Path, stand_in: StandIn) -> None:
    bare = python(tmp_path, 'exec $REAL -S -E "$@"')
    with real_board(tmp_path, python=bare) as board:
        assert board.engines()["numpy"].startswith("not usable")
        with pytest.raises(MissingToolError, match="numpy is not installed") as caught:
            measure_visit(board, stand_in.model, processes=1)
    assert "pip install numpy" in str(caught.value.hint)
    (tmp_path / "hiding").mkdir()
    (tmp_path / "hiding/onnxruntime.py").write_text("raise ModuleNotFoundError('gone')")
    hidden = python(tmp_path, f'export PYTHONPATH={tmp_path}/hiding; exec $REAL "$@"')
    with (
        real_board(tmp_path, python=hidden) as board,
        pytest.raises(MissingToolError, match="onnxruntime is not installed"),
    ):
        measure_visit(board, stand_in.model, "onnxruntime", processes=1)


def test_errors_of_the_board_keep_their_class() -> None:
    error = told_error({"class": "InputError", "what": "a", "where": "b", "hint": "c"}, "ssh://x")
    assert isinstance(error, InputError) and error.where == "ssh://x: b"
    full = told_error({"class": "LocalDiskFullError", "what": "a"}, "ssh://x")
    assert isinstance(full, DeviceDiskFull) and full.exit_code == 4
    assert isinstance(told_error({"class": "os", "what": "a"}, "ssh://x"), DeviceError)


def test_wrong_architecture(stand_in: StandIn) -> None:
    script = stand_in.options.python
    text = (
        Path(script).read_text().replace("sleep", "echo 'x.so: wrong ELF class' >&2; exit 1; sleep")
    )
    Path(script).write_text(text)
    with (
        visit_over(stand_in.transport, stand_in.options) as board,
        pytest.raises(UsageError, match="built for another processor than its"),
    ):
        measure_visit(board, stand_in.model, "onnxruntime", processes=1)


@pytest.mark.parametrize(("name", "kind"), [("SEGV", EngineCrashedError), ("KILL", DeviceLost)])
def test_a_process_ended_by_a_signal(stand_in: StandIn, name: str, kind: type[Exception]) -> None:
    script = Path(stand_in.options.python)
    script.write_text(script.read_text().replace("sleep", f"kill -{name} $$; sleep"))
    with (
        visit_over(stand_in.transport, stand_in.options) as board,
        pytest.raises(kind, match=f"ended by SIG{name}"),
    ):
        measure_visit(board, stand_in.model, "onnxruntime", processes=1)
    assert stand_in.residue() == []


# ------------------------------------------------------------------ time limits


def test_a_process_that_takes_too_long_is_ended_there(tmp_path: Path) -> None:
    board = StandIn(tmp_path, seconds=60)
    options = replace(board.options, timeout_s=0.3)
    with (
        visit_over(board.transport, options) as visited,
        pytest.raises(EngineCrashedError, match=r"did not end within 0\.3 s"),
    ):
        measure_visit(visited, board.model, "onnxruntime", processes=1)
    assert board.residue() == []


def test_a_board_that_says_nothing(tmp_path: Path) -> None:
    silent = Remote(LocalTransport(), python=python(tmp_path, "sleep 60"), open_s=0.3)
    start = time.monotonic()
    with pytest.raises(DeviceLost, match="no answer in time"), silent:
        pass
    assert time.monotonic() - start < 15


def test_the_board_cleans_itself_when_the_host_falls_silent(stand_in: StandIn) -> None:
    remote = Remote(stand_in.transport, python=stand_in.options.python, lease_s=0.3)
    with remote:
        client = stand_in.find("connection")
        os.kill(client, signal.SIGSTOP)
        try:
            end = time.monotonic() + 10
            while list(stand_in.temporary.iterdir()) and time.monotonic() < end:
                time.sleep(0.02)
            assert list(stand_in.temporary.iterdir()) == []
        finally:
            os.kill(client, signal.SIGCONT)


# ------------------------------------------------------------------ what a visit changes is put back


@pytest.fixture
def governed(tmp_path: Path) -> Path:
    """A root whose two cores have governors."""
    for core in (0, 1):
        folder = tmp_path / f"root/sys/devices/system/cpu/cpu{core}/cpufreq"
        folder.mkdir(parents=True)
        (folder / "scaling_governor").write_text("ondemand\n")
    return tmp_path / "root"


def governors(root: Path) -> list[str]:
    return sorted(path.read_text().strip() for path in root.rglob("scaling_governor"))


def test_governor_is_set_and_put_back(stand_in: StandIn, governed: Path) -> None:
    options = replace(stand_in.options, root=str(governed), set_governor="performance")
    with visit_over(stand_in.transport, options) as board:
        found = measure_visit(board, stand_in.model, "onnxruntime", processes=1)
        assert governors(governed) == ["performance"] * 2
    assert stand_in.residue() == [] and governors(governed) == ["ondemand"] * 2
    assert found.fingerprint["governor"] == "performance"
    assert not any("governor" in reason for reason in found.invalid)


@pytest.mark.parametrize("kind", ["connection", "agent", "sshd"])
def test_governor_is_put_back_after_a_crash(stand_in: StandIn, governed: Path, kind: str) -> None:
    options = replace(stand_in.options, root=str(governed), set_governor="performance")
    with pytest.raises(DeviceError), visit_over(stand_in.transport, options) as board:
        board.set_governor()
        assert stand_in.kill(kind)
        board.health()
        board.health()
    assert stand_in.residue() == [] and governors(governed) == ["ondemand"] * 2


def test_the_next_visit_sweeps_what_two_kills_left(stand_in: StandIn, governed: Path) -> None:
    options = replace(stand_in.options, root=str(governed), set_governor="performance")
    with pytest.raises(DeviceError), visit_over(stand_in.transport, options) as board:
        board.set_governor()
        for kind in ("janitor", "agent"):
            assert stand_in.kill(kind)
        board.health()
    assert len(list(stand_in.temporary.iterdir())) == 1
    assert governors(governed) == ["performance"] * 2
    with visit_over(stand_in.transport, stand_in.options):
        assert governors(governed) == ["ondemand"] * 2
        assert len(list(stand_in.temporary.iterdir())) == 1
    assert stand_in.residue() == []


def test_a_visit_leaves_the_folder_of_another_alone(stand_in: StandIn) -> None:
    with (
        visit_over(stand_in.transport, stand_in.options) as first,
        visit_over(stand_in.transport, stand_in.options),
    ):
        assert len(list(stand_in.temporary.iterdir())) == 2
        measure_visit(first, stand_in.model, "onnxruntime", processes=1)
    assert stand_in.residue() == []


def test_a_board_without_governors(stand_in: StandIn, tmp_path: Path) -> None:
    options = replace(stand_in.options, root=str(tmp_path), set_governor="performance")
    with (
        visit_over(stand_in.transport, options) as board,
        pytest.raises(InputError, match="no governors"),
    ):
        measure_visit(board, stand_in.model, "onnxruntime", processes=1)
