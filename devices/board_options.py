"""How a board is used: chosen by the user, kept with what was measured."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class BoardOptions:
    """Settings of a visit.

    Attributes:
        python: the word that starts Python there.
        cpus: processors the timed processes stay on; all if empty.
        set_governor: governor during the runs, "" to leave it alone; put back afterwards.
        cooling, power_source: free text for the fingerprint ("heat sink", "USB-C 5 V 3 A").
        timeout_s: seconds one process may take.
        adb: the adb program (adb only).
        program: benchmark_model or a static program to push; None for one that is there (adb only).
        lease_s: seconds without a word from here after which the board cleans itself; None for its default.
        root: below which the board's /proc and /sys are read ("/" but in tests).
    """

    python: str = "python3"
    cpus: tuple[int, ...] = ()
    set_governor: str = ""
    cooling: str = ""
    power_source: str = ""
    timeout_s: float = 600.0
    adb: str = "adb"
    program: Path | None = None
    lease_s: float | None = None
    root: str = "/"
