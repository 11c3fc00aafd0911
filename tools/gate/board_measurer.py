"""Times on real boards over ssh or adb, evidence "measured": one visit a gate, one fresh process a measurement."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...devices.measurement import Measurement
from ...devices.transport import is_address
from ...runtime.artifact import model_sha256
from .board_config import Board
from .measure import Job

if TYPE_CHECKING:
    from ...devices.board_visit import BoardVisit
    from ...runtime.timing import TimingPlan

BOARD_METRICS = (
    *("latency_ms", "latency_p90_ms", "first_invoke_ms", "load_ms"),
    *("peak_rss_bytes", "power_mw", "energy_mj"),
)


class BoardTimer:
    """Holds the connection from one process to the next, so that both arms run on one visit in turn."""

    exact = kept = False

    def __init__(self, boards: Mapping[str, Board], plan: TimingPlan | None = None):
        self.boards, self.plan = boards, plan
        self._open: tuple[str, BoardVisit, contextlib.ExitStack] | None = None
        self._proved: dict[tuple[str, str | None], str] = {}

    def serves(self, device: str, metric: str) -> bool:
        """Times on boards of the configuration, and on addresses."""
        return metric in BOARD_METRICS and (device in self.boards or is_address(device))

    def facts(self, job: Job) -> dict[str, str]:
        """Nothing: times are never kept."""
        return {}

    def measure(self, job: Job, number: int) -> Measurement:
        """See `devices.board.measure_visit`; the file is proved once a visit.

        Raises:
            DeviceUnreachable, DeviceLost, DeviceDiskFull: exit code 4.
        """
        board = self.boards.get(job.device, Board(job.device))
        found = self._measure(board, job)
        notes = tuple(note for note in found.notes if "processes" not in note)
        return replace(found, device=job.device, notes=notes)

    def _measure(self, board: Board, job: Job) -> Measurement:
        from ...devices.board import measure_board, measure_visit

        if board.address.startswith("adb://"):
            return measure_board(
                job.path, board.address, job.engine, job.threads, 1, options=board.options
            )
        visit = self._visit(board)
        build = self._build(visit, job.path, job.engine)
        return measure_visit(
            visit, job.path, job.engine, job.threads, 1, plan=self.plan, build=build
        )

    def _visit(self, board: Board) -> BoardVisit:
        if self._open is not None and self._open[0] == board.address:
            return self._open[1]
        self.close()
        stack = contextlib.ExitStack()
        visit: BoardVisit = stack.enter_context(self.reach(board))
        self._open = (board.address, visit, stack)
        return visit

    def reach(self, board: Board) -> Any:
        """The visit, a context manager."""
        from ...devices.board import visit

        return visit(board.address, board.options)

    def _build(self, visit: BoardVisit, path: Path, engine: str | None) -> str:
        """Hash of the engine over there, once the file's outputs are right."""
        from ...devices.board import prove_on

        key = (model_sha256(path), engine)
        if key not in self._proved:
            self._proved[key] = prove_on(visit, path, engine)
        return self._proved[key]

    def close(self) -> None:
        """End the visit; what was proved has to be proved again on the next."""
        opened, self._open, self._proved = self._open, None, {}
        if opened is not None:
            opened[2].close()
