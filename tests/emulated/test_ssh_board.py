"""Boards over ssh for real: an sshd on loopback whose programs are those of an emulated aarch64 machine.

Times taken here are the emulator's and say nothing; nothing is asserted of them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from edgepress.devices.board import measure_visit, visit
from edgepress.devices.board_options import BoardOptions
from edgepress.devices.emulate_pi import open_board, setup
from edgepress.devices.guest import EmulatedBoard
from edgepress.devices.measurement import Evidence
from edgepress.devices.probe import probe
from edgepress.devices.profile import load_profile
from edgepress.devices.qemu import find_emulator
from edgepress.devices.transport import open_transport
from edgepress.runtime.errors import (
    DeviceDiskFull,
    DeviceError,
    DeviceLost,
    DeviceUnreachable,
    EngineCrashedError,
    MissingToolError,
)
from edgepress.runtime.timing import TimingPlan
from support import c_models, ptq
from support.commands import Done, call
from support.data import need_data
from support.ssh_board import SshBoard, descendants, kill, make_key, name_of, start_board

pytestmark = pytest.mark.emulated

QUICK = TimingPlan(
    warmup_invokes=1, warmup_seconds=0, steady_cap_invokes=0, samples=3, seconds=0, cap_seconds=60
)
LONG = TimingPlan(warmup_seconds=0, steady_cap_invokes=0, samples=100_000, cap_seconds=90)
"""A process that is still measuring whenever it is killed."""


@pytest.fixture(scope="module")
def emulated() -> EmulatedBoard:
    """The userland behind the server; skipped where QEMU or sshd is not installed."""
    try:
        find_emulator()
    except MissingToolError as error:
        pytest.skip(f"{error.what}: {error.hint}; `make test-emulated` installs it")
    if not Path("/usr/sbin/sshd").exists() or shutil.which("ssh") is None:
        pytest.skip("openssh-server is not installed; `make test-emulated` installs it")
    setup("pi4")
    return open_board(load_profile("pi4"))


@pytest.fixture(scope="module")
def board(emulated: EmulatedBoard, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshBoard]:
    started = start_board(tmp_path_factory.mktemp("sshd"), emulated)
    yield started
    started.stop()


@pytest.fixture(autouse=True)
def client(board: SshBoard, monkeypatch: pytest.MonkeyPatch) -> None:
    """Our ssh knows this server and nothing else."""
    monkeypatch.setenv("EDGEPRESS_SSH", board.client())


@pytest.fixture(scope="module")
def kws() -> Path:
    return need_data("models/mlperf_tiny/kws_dscnn_int8.tflite")


# ------------------------------------------------------------------ it is a board


def test_probe_says_aarch64(board: SshBoard) -> None:
    found = probe(board.address)
    facts = found["fingerprint"]
    assert facts["machine"] == "aarch64" and facts["cores"] == "4"
    assert facts["midr"] == "4 x 0x41/0xd08/0x0/3" and facts["max_khz"] == "1500000"
    assert found["engines"]["litert"] == "2.3.0" and "onnxruntime" in found["engines"]
    assert "loop_mhz" in found["health"]
    assert board.residue() == []


def test_transport_runs_and_copies(board: SshBoard) -> None:
    way = open_transport(board.address)
    assert way.run(["uname", "-m"]).stdout == b"aarch64\n"
    assert way.run(["sh", "-c", "exit 7"]).code == 7
    path = f"{board.temporary}/a file"
    way.put(b"\0\1", path)
    assert way.get(path) == b"\0\1"
    way.remove(path)
    assert board.residue() == []


def test_exported_c_on_a_board_without_a_compiler(board: SshBoard, tmp_path: Path) -> None:
    """It is compiled here for the cores that the board tells, proven there, and nothing stays."""
    folder = c_models.write(ptq.quantized_hub("residual"), tmp_path, device="pi4")
    with visit(board.address) as there:
        assert there.engines()["native"].endswith("(not on the board)")
        found = measure_visit(there, folder, "native", processes=1, plan=QUICK)
    assert found.engine_version.endswith("-mcpu=cortex-a72 (not on the board)")
    assert found.values["latency_ms"] > 0 and "outputs were those" in found.notes[-1]
    assert board.residue() == []


def profile(board: SshBoard, *arguments: object) -> Done:
    return call("profile", *arguments, "--device", board.address, "--json", "-q")


def test_profile_from_the_command_line(board: SshBoard, kws: Path) -> None:
    done = profile(board, kws, "--engine", "litert", "--processes", 1, "--cooling", "none")
    # a busy machine makes the emulated clock move: then the measurement is invalid, and only then
    row = done.document["measurements"][0]
    assert done.code == (3 if row["invalid"] else 0), done.err
    assert row["evidence"] == "measured" and row["device"] == board.address
    assert row["fingerprint"]["machine"] == "aarch64" and row["fingerprint"]["cooling"] == "none"
    assert row["values"]["latency_ms"] > 0 and len(row["samples"]["latency_ms"]) == 1
    assert any("outputs were those of this machine" in note for note in row["notes"])
    assert board.residue() == []


def test_verify_from_the_command_line(board: SshBoard, kws: Path, tmp_path: Path) -> None:
    features = np.load(need_data("kws_mlperf_tiny/kws01_700.npz"))["x"][:4]
    scale, zero = 0.5847029, 83
    real = (features.astype(np.float32) - zero) * np.float32(scale)
    np.savez(tmp_path / "inputs.npz", input=real)
    words = ["verify", kws, kws, "--inputs", tmp_path / "inputs.npz", "--engine", "litert"]
    done = call(*words, "--no-layers", "--device", board.address, "--json", "-q")
    assert done.code == 0, done.err
    row = done.document["device"][0]
    assert (row["outcome"], row["samples"], row["evidence"]) == ("pass", 4, "measured")
    assert board.residue() == []


# ------------------------------------------------------------------ no way in


def test_an_unknown_host_key_is_refused(
    board: SshBoard, tmp_path: Path, kws: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "known").write_text("")
    monkeypatch.setenv("EDGEPRESS_SSH", board.client(known=tmp_path / "known"))
    done = profile(board, kws, "--engine", "litert")
    assert done.code == 4 and "host key is not known" in done.err
    assert (tmp_path / "known").read_text() == ""


def test_another_host_key_is_refused(
    board: SshBoard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_key(tmp_path / "other")
    public = " ".join((tmp_path / "other.pub").read_text().split()[:2])
    (tmp_path / "known").write_text(f"[127.0.0.1]:{board.port} {public}\n")
    monkeypatch.setenv("EDGEPRESS_SSH", board.client(known=tmp_path / "known"))
    with pytest.raises(DeviceUnreachable, match="not the one that is known"):
        probe(board.address)


def test_a_wrong_key_is_refused(
    board: SshBoard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_key(tmp_path / "other")
    monkeypatch.setenv("EDGEPRESS_SSH", board.client(key=tmp_path / "other"))
    with pytest.raises(DeviceUnreachable, match="refuses the login"):
        probe(board.address)


def test_nobody_listens() -> None:
    with pytest.raises(DeviceUnreachable, match="refuses the connection"):
        probe("ssh://127.0.0.1:1")


# ------------------------------------------------------------------ what the board lacks


def test_missing_engine_numpy_and_python(board: SshBoard, kws: Path) -> None:
    with (
        visit(board.address, BoardOptions(python="python3-bare")) as visited,
        pytest.raises(MissingToolError, match="numpy is not installed"),
    ):
        measure_visit(visited, kws, "litert", processes=1)
    with (
        visit(board.address, BoardOptions(python="python3-numpy")) as visited,
        pytest.raises(MissingToolError, match="ai-edge-litert is not installed"),
    ):
        measure_visit(visited, kws, "litert", processes=1)
    with pytest.raises(MissingToolError, match="no python3-none"):
        probe(board.address, BoardOptions(python="python3-none"))
    assert board.residue() == []


def test_time_out(board: SshBoard, kws: Path) -> None:
    with (
        visit(board.address, BoardOptions(timeout_s=0.5)) as visited,
        pytest.raises(EngineCrashedError, match=r"did not end within 0\.5 s"),
    ):
        visited.time(kws, "litert")
    assert board.residue() == []


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
def test_a_full_disk(
    emulated: EmulatedBoard, tmp_path: Path, kws: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(small)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip(f"no disk can be mounted here: {mounted.stderr.decode().strip()}")
    (tmp_path / "server").mkdir()
    server = start_board(tmp_path / "server", emulated, temporary=small)
    monkeypatch.setenv("EDGEPRESS_SSH", server.client())
    try:
        large = tmp_path / "large.tflite"
        large.write_bytes(kws.read_bytes() + bytes(1 << 20))
        with visit(server.address) as visited:
            with pytest.raises(DeviceDiskFull, match="no space left") as caught:
                visited.time(large, "litert")
            assert caught.value.exit_code == 4 and visited.facts()["machine"] == "aarch64"
        assert server.residue() == []
        (small / "others").write_bytes(bytes(500 << 10))
        with pytest.raises(DeviceDiskFull, match="no space left"):
            probe(server.address)
        assert server.residue() == ["others"]
    finally:
        server.stop()
        subprocess.run(["umount", "-l", str(small)], check=True)


# ------------------------------------------------------------------ killed in the middle


def connection(board: SshBoard) -> list[int]:
    mine = descendants(os.getpid())
    return [pid for pid in mine if name_of(pid).startswith("/usr/bin/ssh ")]


KILLS = {
    "connection": connection,
    "agent": lambda board: board.programs()[:1],
    "timing": lambda board: [p for p in board.programs() if "agent.pyz" in name_of(p)],
    "sshd": lambda board: board.sessions(),
}


@pytest.mark.parametrize("kind", KILLS)
def test_killed_in_the_middle(board: SshBoard, kws: Path, kind: str) -> None:
    killed: list[int] = []

    def strike() -> None:
        end = time.monotonic() + 60
        while time.monotonic() < end and not KILLS["timing"](board):
            time.sleep(0.1)
        time.sleep(4)  # the interpreter has started and the engine is at work
        killed.extend(KILLS[kind](board))
        for pid in killed:
            kill(pid)

    with pytest.raises(DeviceLost) as caught, visit(board.address) as visited:
        thread = threading.Thread(target=strike)
        thread.start()
        visited.time(kws, "litert", plan=LONG)
    thread.join()
    assert killed and caught.value.exit_code == 4
    assert isinstance(caught.value, DeviceError)
    assert board.residue() == [] and board.programs() == []


def test_the_board_works_after_all_that(board: SshBoard, kws: Path) -> None:
    with visit(board.address) as visited:
        found = measure_visit(visited, kws, "litert", processes=1, plan=QUICK)
    assert found.evidence is Evidence.MEASURED and board.residue() == []
