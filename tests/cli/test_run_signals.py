"""`edgepress run` told to stop: the exit code says so, nothing is half-written, and the next call goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from support.recipes import write

LONG = """\
name: long
model: toy_cnn
task: toy
passes:
  - train: {epochs: 1000, batch_size: 8}
export: {precisions: [float32]}
profile: null
"""


def run(recipe: Path, out: Path, number: int) -> subprocess.CompletedProcess[str]:
    """Start, wait until an epoch more is saved, send the signal."""
    command = [sys.executable, "-c", "from edgepress.tools.cli import main; main()"]
    process = subprocess.Popen(
        [*command, "run", str(recipe), "--out", str(out), "--no-cache"],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    checkpoint, deadline = out / "steps/01-train/checkpoint.pt", time.monotonic() + 100
    before = checkpoint.stat().st_mtime_ns if checkpoint.exists() else 0
    while time.monotonic() < deadline and process.poll() is None:
        if checkpoint.exists() and checkpoint.stat().st_mtime_ns != before:
            break
        time.sleep(0.01)
    process.send_signal(number)
    texts = process.communicate(timeout=60)
    return subprocess.CompletedProcess(command, process.returncode, *texts)


def test_stopped_by_interrupt_and_by_termination(tmp_path: Path) -> None:
    recipe, out = write(tmp_path, LONG), tmp_path / "run"
    for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        ended = run(recipe, out, number)
        assert ended.returncode == code, ended.stderr
        assert "Traceback" not in ended.stderr and "stopped" in ended.stderr
        assert not list(out.rglob("*edgepress-tmp"))
        assert (out / "steps/01-train/checkpoint.pt").exists()
        assert not (out / "steps/01-train/step.json").exists()
