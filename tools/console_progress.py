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

BAR_COLUMNS = 26 + 12 + 5 + 14 + 4
"""What the columns before the facts take of a terminal's width."""


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
    """One live bar of rich's: stage, share, time left, epoch and loss. A finished stage becomes a line above it."""

    def __init__(self, stream: TextIO):
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn
        from rich.table import Column

        self.console = Console(file=stream, no_color="NO_COLOR" in os.environ, highlight=False)
        self.bar = Progress(
            TextColumn("[bold]{task.description}", table_column=_fixed(Column, 26)),
            BarColumn(bar_width=12),
            TextColumn("{task.fields[share]}", table_column=_fixed(Column, 5)),
            TextColumn("{task.fields[left]}", table_column=_fixed(Column, 14)),
            TextColumn("{task.fields[facts]}"),
            console=self.console,
            transient=True,
        )
        self.name = ""
        self.task: Any = None
        self.started = 0.0
        self.facts: dict[str, object] = {}

    def stage(self, name: str, total: int) -> None:
        """Begins a bar; the one before becomes a line."""
        self._finish()
        self.name, self.facts, self.started = name, {}, time.monotonic()
        self.task = self.bar.add_task(name, total=total or None, share="", left="", facts="")
        self.bar.start()

    def advance(self, count: int = 1, **facts: object) -> None:
        """Moves the bar."""
        if self.task is None:
            return
        self.facts.update(facts)
        self.bar.update(self.task, advance=count)
        task = self.bar.tasks[0]
        share = f"{task.percentage:3.0f} %" if task.total else ""
        left = "" if task.time_remaining is None else f"{seconds(task.time_remaining)} left"
        room = max(self.console.width - BAR_COLUMNS, 0)
        told = "  ".join(facts_text(self.facts))[:room]
        self.bar.update(self.task, share=share, left=left, facts=told)

    def close(self) -> None:
        """Leaves the terminal in order."""
        self._finish()
        self.bar.stop()

    def _finish(self) -> None:
        if self.task is None:
            return
        task = self.bar.tasks[0]
        stopped = task.total is not None and task.completed < task.total
        state = f"stopped at {task.percentage:.0f} %" if stopped else "done"
        took = seconds(time.monotonic() - self.started)
        line = "  ".join(
            [f"{self.name:<40.60}", f"{took:>12}", f"{state:<6}", *facts_text(self.facts)]
        )
        self.bar.remove_task(self.task)
        self.task = None
        self.console.print(line, markup=False, overflow="ellipsis", no_wrap=True)


def _fixed(column: Any, width: int) -> Any:
    """A column of rich's that shortens its text instead of wrapping it."""
    return column(no_wrap=True, overflow="ellipsis", width=width)


def facts_text(facts: dict[str, object]) -> list[str]:
    """ "epoch 3/20", "loss 0.4123"; the epoch first, since narrow terminals cut the end."""
    return [
        f"{name.replace('_', ' ')} {number(value) if isinstance(value, (int, float)) else value}"
        for name, value in sorted(facts.items(), key=lambda fact: fact[0] != "epoch")
    ]


def make_progress(enabled: bool | None = None, stream: TextIO | None = None) -> ConsoleProgress:
    """The progress that suits `stream` (stderr): a bar on a terminal, lines elsewhere, nothing if not `enabled`."""
    out = stream if stream is not None else sys.stderr
    if enabled is False:
        return ConsoleProgress()
    return BarProgress(out) if out.isatty() else PlainProgress(out)
