"""How long work tells whoever watches how far it is; the default watcher does nothing."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """What a bar, a log or a test must offer."""

    def stage(self, name: str, total: int) -> None:
        """A stage of `total` units starts; 0 when nobody knows how many."""

    def advance(self, count: int = 1, **facts: object) -> None:
        """`count` units are done; `facts` are worth showing beside the bar (loss=0.31, epoch="3/20")."""


class NoProgress:
    """Watches and says nothing."""

    def stage(self, name: str, total: int) -> None:
        """Nothing."""

    def advance(self, count: int = 1, **facts: object) -> None:
        """Nothing."""
