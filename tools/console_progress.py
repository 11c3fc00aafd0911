"""Progress of long work on the console: a bar on a terminal, a line now and then elsewhere, nothing with --quiet.

with make_progress() as progress:
    progress.stage("train", 240)
    progress.advance(epoch="3/20", loss=0.41)
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from typing import Any, TextIO

from .render import number, seconds

LINE_SECONDS = 5.0
"""Plain lines come at most this often."""


class ConsoleProgress:
    """Does nothing: the base, and what --quiet gets."""

    def stage(self, name: str, total: int) -> None:
        """A new stage of `total` steps (0: nobody knows how many) begins; the one before is over."""

    def advance(self, count: int = 1, **facts: object) -> None:
        """`count` steps are done; `facts` (epoch="3/20", loss=0.4) stand beside the bar."""

    def close(self) -> None:
        """The work is over, or has failed."""

    def __enter__(self) -> ConsoleProgress:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class PlainProgress(ConsoleProgress):
    """A line when a stage begins, every few seconds, and when it ends."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic):
        self.stream = stream
        self.clock = clock
        self.name = ""
        self.total = self.done = 0
        self.started = self.spoke = 0.0
        self.facts: dict[str, object] = {}

    def stage(self, name: str, total: int) -> None:
        """Ends the stage before with a line, begins this one."""
        self.close()
        self.name, self.total, self.done, self.facts = name, total, 0, {}
        self.started = self.spoke = self.clock()
        self._line(f"{name} ...")

    def advance(self, count: int = 1, **facts: object) -> None:
        """Counts; speaks if the last line is old enough."""
        self.done += count
        self.facts.update(facts)
        now = self.clock()
        if now - self.spoke < LINE_SECONDS or self.done >= self.total > 0:
            return
        self.spoke = now
        parts = [f"{self.done} done", *facts_text(self.facts)]
        if self.total:
            share = self.done / self.total
            parts[0] = f"{share:.0%}"
            if share:
                left = (now - self.started) * (1 - share) / share
                parts.append(f"about {seconds(left)} left")
        self._line(f"{self.name}: " + ", ".join(parts))

    def close(self) -> None:
        """Ends the stage; one that stopped half way says how far it came."""
        if not self.name:
            return
        took = seconds(self.clock() - self.started)
        whole = self.done >= self.total
        state = f"done in {took}" if whole else f"stopped after {self.done} of {self.total}, {took}"
        self._line(f"{self.name}: " + ", ".join([state, *facts_text(self.facts)]))
        self.name = ""

    def _line(self, text: str) -> None:
        print(text, file=self.stream, flush=True)


class BarProgress(ConsoleProgress):
    """rich's bar: stage, share, epoch and loss, time left. Finished stages stay as a line."""

    def __init__(self, stream: TextIO):
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            Progress,
            TaskProgressColumn,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        self.bar = Progress(
            TextColumn("[bold]{task.description:<18}"),
            BarColumn(bar_width=30),
            TaskProgressColumn(),
            TextColumn("{task.fields[facts]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=Console(file=stream, no_color="NO_COLOR" in os.environ),
        )
        self.task: Any = None
        self.facts: dict[str, object] = {}

    def stage(self, name: str, total: int) -> None:
        """Begins a bar."""
        self._finish()
        self.bar.start()
        self.facts = {}
        self.task = self.bar.add_task(name, total=total or None, facts="")

    def advance(self, count: int = 1, **facts: object) -> None:
        """Moves the bar."""
        self.facts.update(facts)
        if self.task is not None:
            text = "  ".join(facts_text(self.facts))
            self.bar.update(self.task, advance=count, facts=text)

    def close(self) -> None:
        """Leaves the terminal in order."""
        self._finish()
        self.bar.stop()

    def _finish(self) -> None:
        if self.task is not None:
            self.bar.stop_task(self.task)
            self.task = None


def facts_text(facts: dict[str, object]) -> list[str]:
    """ "epoch 3/20", "loss 0.4123"."""
    return [
        f"{name} {number(value) if isinstance(value, (int, float)) else value}"
        for name, value in facts.items()
    ]


def make_progress(enabled: bool | None = None, stream: TextIO | None = None) -> ConsoleProgress:
    """The progress that suits `stream` (stderr): a bar on a terminal, lines elsewhere, nothing if not `enabled`."""
    out = stream if stream is not None else sys.stderr
    if enabled is False:
        return ConsoleProgress()
    return BarProgress(out) if out.isatty() else PlainProgress(out)
