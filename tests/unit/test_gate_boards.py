"""Gates on real boards: one visit a gate, both arms in turn, and a board that goes away."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from edgepress.devices import board as boards
from edgepress.devices.board import visit_over
from edgepress.devices.board_options import BoardOptions
from edgepress.devices.board_visit import BoardVisit
from edgepress.devices.transport_local import LocalTransport
from edgepress.runtime.errors import DeviceLost, DeviceUnreachable, UsageError
from edgepress.runtime.timing import TimingPlan
from edgepress.tools.exit_codes import ExitCode
from edgepress.tools.gate.board_config import Board
from edgepress.tools.gate.board_measurer import BoardTimer
from edgepress.tools.gate.config import load_config
from edgepress.tools.gate.measurers import standard
from edgepress.tools.gate.records import Results
from edgepress.tools.gate.run import Settings, exit_code, run_gates
from support.gates import write_config
from support.onnx_files import affine_model, save

QUICK = TimingPlan(warmup_seconds=0, seconds=0.01, steady_cap_invokes=0)
GATES = """\
boards: {pi: {address: "ssh://pi@nowhere"}}
baseline: {models: old}
defaults: {processes: 2, max_processes: 2}
gates:
  - {model: net.onnx, device: pi, metrics: {latency_ms: {max: 1000, max_regression: 90%}}}
  - {model: net.onnx, metrics: {file_bytes: {max: 1MB}}}
"""


class Here(BoardTimer):
    """This machine as the board."""

    def __init__(self, folder: Path, lose_after: int = 99):
        super().__init__({"pi": Board("ssh://pi@nowhere")}, QUICK)
        self.temporary = folder / "board-tmp"
        self.temporary.mkdir()
        self.visits, self.left, self.order = 0, lose_after, [""]

    def reach(self, board: Board) -> AbstractContextManager[BoardVisit]:
        self.visits += 1
        if self.left < 0:
            raise DeviceUnreachable("no route", where=board.address)
        transport = LocalTransport(environment={"TMPDIR": str(self.temporary)})
        return visit_over(transport, BoardOptions(python=sys.executable))

    def _measure(self, board, job):  # type: ignore[no-untyped-def]
        self.left -= 1
        if self.left < 0:
            raise DeviceLost("the connection broke", where=board.address)
        self.order.append("A" if job.path.parent.name == "old" else "B")
        return super()._measure(board, job)


def run(tmp_path: Path, here: Here) -> Results:
    (tmp_path / "old").mkdir()
    save(affine_model((1, 2)), tmp_path / "net.onnx")
    save(affine_model((1, 2), scale=3.0), tmp_path / "old" / "net.onnx")
    config = load_config(write_config(tmp_path, GATES))
    return run_gates(config, Settings(measurers=(here, *standard())))


def test_both_arms_share_one_visit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here, proved, real = Here(tmp_path), list[str](), boards.prove_on

    def noting(visit: BoardVisit, path: Path, engine: str | None) -> str:
        proved.append(path.parent.name)
        return real(visit, path, engine)

    monkeypatch.setattr(boards, "prove_on", noting)
    judgement, size = run(tmp_path, here).judgements
    assert here.visits == 1 and "".join(here.order) == "ABBA" and size.verdict.word == "pass"
    entry = judgement.candidate
    assert entry is not None and (entry.device, entry.evidence) == ("pi", "measured")
    assert [p.order for p in entry.processes] == [1, 2] and entry.processes[0].n >= 30
    assert judgement.baseline is not None and judgement.baseline.fingerprint == entry.fingerprint
    assert list(here.temporary.iterdir()) == []
    assert proved == ["old", tmp_path.name]  # each file once, not once a process


def test_a_board_that_goes_away_is_4_and_the_others_are_judged(tmp_path: Path) -> None:
    here = Here(tmp_path, lose_after=2)
    results = run(tmp_path, here)
    lost, size = results.judgements
    assert (lost.verdict.word, lost.verdict.exit_code) == ("error", 4)
    assert "the connection broke" in lost.verdict.reason and lost.candidate is None
    assert size.verdict.word == "pass" and exit_code(results.judgements) == ExitCode.DEVICE
    assert list(here.temporary.iterdir()) == []


def test_a_board_that_cannot_be_reached(tmp_path: Path) -> None:
    here = Here(tmp_path, lose_after=-1)
    assert exit_code(run(tmp_path, here).judgements) == ExitCode.DEVICE


def test_boards_are_read(tmp_path: Path) -> None:
    text = """\
boards:
  pi: {address: "ssh://pi@h:22", cpus: [2, 3], set_governor: performance, cooling: fan, timeout_s: 60}
gates: [{model: m, device: pi}]
"""
    board = load_config(write_config(tmp_path, text)).boards["pi"]
    assert board.address == "ssh://pi@h:22"
    assert board.options == BoardOptions(
        cpus=(2, 3), set_governor="performance", cooling="fan", timeout_s=60.0
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{adress: x}", "did you mean 'address'"),
        ("{}", "'address' is missing"),
        ("{address: pi4}", "no address of a board"),
        ('{address: "ssh://h", cpus: [a]}', "processor numbers"),
    ],
)
def test_wrong_boards_name_their_line(tmp_path: Path, text: str, words: str) -> None:
    path = write_config(tmp_path, f"boards:\n  pi: {text}\ngates: [{{model: m}}]\n")
    with pytest.raises(UsageError, match=words) as caught:
        load_config(path)
    assert caught.value.where == f"{path}:3"
