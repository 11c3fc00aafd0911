"""Prove files on a device: the outputs there are those of the same file in the same engine on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..devices.board_options import BoardOptions
from ..devices.measurement import Evidence
from ..devices.proof import departs, reference_session
from ..runtime.errors import InputError, MissingToolError, UsageError
from ..runtime.real_values import to_stored

if TYPE_CHECKING:
    import numpy as np

    from ..export.parity_records import Candidate

    Array = np.ndarray[Any, Any]

CHUNK = 64
"""Samples sent at once."""


@dataclass(frozen=True)
class DeviceRow:
    """One file in one engine on the device. `outcome` is "pass" or "fail"; `against` the engine here."""

    candidate: str
    engine: str
    device: str
    evidence: Evidence
    against: str
    samples: int
    outcome: str
    reason: str

    @property
    def text(self) -> str:
        """The row in words."""
        said = f": {self.reason}" if self.reason else ""
        return (
            f"{self.outcome.upper()} {self.candidate} in {self.engine} on {self.device} against {self.against} here, "
            f"{self.samples} samples ({self.evidence}){said}"
        )


def prove_on_device(
    device: str,
    candidates: Sequence[Candidate],
    samples: Sequence[Sequence[Array]],
    options: BoardOptions,
    *,
    named: bool,
) -> list[DeviceRow]:
    """Run every candidate there and here.

    Args:
        samples: raw real values, axes as in ONNX, batch 1.
        named: the engines were asked for by name; else those that the device lacks are passed over.

    Raises:
        UsageError: a device on which outputs cannot be had.
        As `visit` and `run_emulated_samples`.
    """
    with ExitStack() as stack:
        run = _runner(device, options, stack)
        chosen = [one for one in candidates if named or run.has(one.engine)]
        if not chosen:
            names = ", ".join(sorted({one.engine for one in candidates}))
            raise MissingToolError(f"none of the engines {names} works there", where=device)
        return [_row(run, candidate, samples, device) for candidate in chosen]


def _row(
    run: _Board | _Emulated, candidate: Candidate, samples: Sequence[Sequence[Array]], device: str
) -> DeviceRow:
    path = Path(candidate.path)
    session = reference_session(path, candidate.engine)
    specs = session.artifact.inputs
    if len(specs) != len(samples[0]):
        raise InputError(
            f"{len(samples[0])} inputs given, it takes {len(specs)}",
            where=path.name,
            hint=f"give one array for each of {', '.join(spec.name for spec in specs)}",
        )
    stored = [
        [to_stored(spec, value, str(path)) for spec, value in zip(specs, sample, strict=True)]
        for sample in samples
    ]
    reason = ""
    for start in range(0, len(stored), CHUNK):
        part = stored[start : start + CHUNK]
        expected = [session.run(given) for given in part]
        if candidate.engine == "native" and isinstance(run, _Emulated):
            reason = reason or run.c_problem(path, part, expected, start)
            continue
        found = run.outputs(path, candidate.engine, part)
        for index, (wanted, outputs) in enumerate(zip(expected, found, strict=True)):
            problem = departs(outputs, wanted)
            if problem and not reason:
                reason = f"sample {start + index}: {problem}"
    return DeviceRow(
        candidate=path.name,
        engine=candidate.engine,
        device=device,
        evidence=run.evidence,
        against=f"{session.engine} {session.engine_version}",
        samples=len(stored),
        outcome="fail" if reason else "pass",
        reason=reason,
    )


class _Board:
    """A board over ssh."""

    evidence = Evidence.MEASURED

    def __init__(self, device: str, options: BoardOptions, stack: ExitStack):
        from ..devices.board import visit

        self._board = stack.enter_context(visit(device, options))
        self._engines: dict[str, str] | None = None

    def has(self, engine: str) -> bool:
        """True if the engine works there."""
        if self._engines is None:
            self._engines = self._board.engines()
            if self._engines["numpy"].startswith("not usable"):
                raise MissingToolError(self._engines["numpy"], where=self._board.address)
        return not self._engines.get(engine, "not usable").startswith("not usable")

    def outputs(
        self, path: Path, engine: str, samples: Sequence[Sequence[Array]]
    ) -> list[list[Array]]:
        """Outputs there."""
        return self._board.outputs(path, engine, samples)[0]


class _Emulated:
    """An emulated board or microcontroller; the latter runs exported C only."""

    evidence = Evidence.EMULATED

    def __init__(self, device: str):
        from ..devices.profile import load_profile

        self._profile = load_profile(device)
        self._ready = False

    def has(self, engine: str) -> bool:
        """All engines were set up with a board; C is compiled here for whatever can be emulated."""
        if engine == "native":
            return True
        if self._profile.device_class == "mcu":
            return False
        if not self._ready:
            from ..devices.emulate_pi import open_board

            open_board(self._profile)
            self._ready = True
        return True

    def outputs(
        self, path: Path, engine: str, samples: Sequence[Sequence[Array]]
    ) -> list[list[Array]]:
        """Outputs there."""
        from ..devices.emulate_pi import run_emulated_samples

        return run_emulated_samples(self._profile, path, engine, samples)

    def c_problem(
        self,
        path: Path,
        samples: Sequence[Sequence[Array]],
        expected: Sequence[Sequence[Array]],
        start: int,
    ) -> str:
        """What is wrong with an exported C folder there, "" if nothing: integers must be equal."""
        from ..devices.emulate_c import run_c
        from ..devices.firmware_vectors import Vectors
        from ..runtime.errors import ParityError

        try:
            run_c(path, self._profile, Vectors(samples, expected))
        except ParityError as error:
            return f"from sample {start} on: {error.what}"
        return ""


def _runner(device: str, options: BoardOptions, stack: ExitStack) -> _Board | _Emulated:
    if device.startswith("adb://"):
        raise UsageError(
            "outputs cannot be had over adb: the program there prints times only",
            where=device,
            hint="prove the file on this machine or on an emulated board",
        )
    return _Board(device, options, stack) if "://" in device else _Emulated(device)
