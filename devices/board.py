"""Measure and prove files on a real board over ssh: evidence `measured`.

    measurement = measure_board(Path("m.tflite"), "ssh://pi@pi4", "litert")
    both = interleave_board((old, new), "ssh://pi@pi4")

Each run is a fresh process there. Before anything is timed, the file's outputs are compared with those of this machine.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..runtime.c_folder import is_folder
from ..runtime.errors import UsageError
from ..runtime.time_file import ProcessTiming
from ..runtime.timing import TimingPlan, random_inputs
from .board_options import BoardOptions
from .board_visit import BoardVisit
from .fingerprint import fingerprint
from .health import State, conditions, doubts, emulated_reasons, invalid_reasons
from .host import Interleaved, Progress
from .measurement import Evidence, Measurement
from .process_rows import check_engines, check_processes, order_of_arms, summarise_rows
from .proof import prove, reference_session
from .remote import Remote
from .statistics import compare, seed_of
from .transport import Transport, open_transport

if TYPE_CHECKING:
    Array = np.ndarray[Any, Any]

PROOF_SAMPLES = 3


@contextmanager
def visit(address: str, options: BoardOptions | None = None) -> Iterator[BoardVisit]:
    """A board, reached: `with visit("ssh://pi@pi4") as board`.

    Raises:
        DeviceUnreachable, MissingToolError: see `Remote`.
        UsageError: adb has no Python over there.
    """
    options = options or BoardOptions()
    transport = open_transport(address, adb=options.adb)
    if address.startswith("adb://"):
        raise UsageError("a device over adb has no Python", where=address)
    with visit_over(transport, options) as board:
        yield board


@contextmanager
def visit_over(transport: Transport, options: BoardOptions) -> Iterator[BoardVisit]:
    """As `visit`, over a transport at hand."""
    remote = Remote(transport, python=options.python, root=options.root, lease_s=options.lease_s)
    with remote:
        yield BoardVisit(remote, options)


def measure_board(
    path: Path,
    device: str,
    engine: str | None = None,
    threads: int = 1,
    processes: int = 5,
    progress: Progress | None = None,
    *,
    options: BoardOptions | None = None,
    plan: TimingPlan | None = None,
) -> Measurement:
    """Latency, load time and memory of one file in `processes` fresh processes on a board.

    Args:
        device: "ssh://[user@]host[:port]", or "adb://serial" (`board_adb.py`, `board_adb_c.py`), which takes no engine.
        options: how the board is used.

    Raises:
        DeviceUnreachable, DeviceLost, DeviceDiskFull: the board; exit code 4.
        ParityError: the file computes something else there than here.
        MissingToolError, UsageError, InputError: no Python, numpy or engine there, or a file it refuses.
    """
    check_processes(processes)
    if device.startswith("adb://"):
        return _over_adb(path, device, threads, processes, progress, options)
    with visit(device, options) as board:
        return measure_visit(board, path, engine, threads, processes, progress, plan=plan)


def _over_adb(
    path: Path,
    device: str,
    threads: int,
    processes: int,
    progress: Progress | None,
    options: BoardOptions | None,
) -> Measurement:
    """A TFLite file in the user's program, or exported C as its own."""
    from .board_adb import measure_adb
    from .board_adb_c import measure_adb_c

    if not is_folder(path):
        return measure_adb(path, device, threads, processes, progress, options=options)
    if threads != 1:
        raise UsageError("exported C computes in one thread", hint="leave --threads out")
    return measure_adb_c(path, device, processes, progress, options=options)


def interleave_board(
    paths: tuple[Path, Path],
    device: str,
    engine: str | None = None,
    threads: int = 1,
    processes: int = 5,
    progress: Progress | None = None,
    *,
    options: BoardOptions | None = None,
    plan: TimingPlan | None = None,
) -> Interleaved:
    """Compare (baseline, candidate) on a board: `processes` each, in the order A B B A A B B A ...

    Raises:
        UsageError: the two run in different engines.
        As `measure_board`.
    """
    with visit(device, options) as board:
        return interleave_visit(board, paths, engine, threads, processes, progress, plan=plan)


def measure_visit(
    board: BoardVisit,
    path: Path,
    engine: str | None = None,
    threads: int = 1,
    processes: int = 5,
    progress: Progress | None = None,
    *,
    plan: TimingPlan | None = None,
    build: str | None = None,
) -> Measurement:
    """As `measure_board`, on a board that is being visited.

    Args:
        build: what `prove_on` gave for this file and engine during the same visit; it is not proved again then.
    """
    check_processes(processes)
    if build is None:
        build = prove_on(board, path, engine)
    board.set_governor()
    states, rows = [board.health()], []
    if progress:
        progress.stage(f"time {Path(path).name} on {board.address}", processes)
    for _ in range(processes):
        rows.append(board.time(path, engine, threads, plan))
        states.append(board.health())
        if progress:
            progress.advance(median_ms=rows[-1].timing.median_ms)
    return _measurement(board, path, rows, states, build)


def interleave_visit(
    board: BoardVisit,
    paths: tuple[Path, Path],
    engine: str | None = None,
    threads: int = 1,
    processes: int = 5,
    progress: Progress | None = None,
    *,
    plan: TimingPlan | None = None,
) -> Interleaved:
    """As `interleave_board`, on a board that is being visited."""
    check_processes(processes)
    builds = [prove_on(board, path, engine) for path in paths]
    board.set_governor()
    states = [board.health()]
    if progress:
        names = " and ".join(Path(p).name for p in paths)
        progress.stage(f"time {names} in turn on {board.address}", 2 * processes)
    arms: tuple[list[ProcessTiming], list[ProcessTiming]] = ([], [])
    for number, arm in enumerate(order_of_arms(processes)):
        arms[arm].append(board.time(paths[arm], engine, threads, plan))
        states.append(board.health())
        if progress:
            progress.advance(median_ms=arms[arm][-1].timing.median_ms)
        if number == 1:
            check_engines(arms[0][0], arms[1][0])
    base, candidate = (
        _measurement(board, path, rows, states, build)
        for path, rows, build in zip(paths, arms, builds, strict=True)
    )
    base.comparable_with(candidate)
    seed = seed_of(base.artifact_sha256, candidate.artifact_sha256)
    samples = [measurement.samples["latency_ms"] for measurement in (base, candidate)]
    return Interleaved(base, candidate, compare(*samples, seed=seed, paired=True))


def prove_on(board: BoardVisit, path: Path, engine: str | None) -> str:
    """Compare outputs on seeded random inputs with this machine's; gives the hash of the engine's library there.

    Raises:
        ParityError: they depart.
    """
    session = reference_session(path, engine)
    samples = [random_inputs(session.artifact.inputs, seed) for seed in range(PROOF_SAMPLES)]
    found, build = board.outputs(path, engine, samples)
    where = f"{path} on {board.address}"
    for given, outputs in zip(samples, found, strict=True):
        prove(outputs, session.run(given), where)
    return build


def _measurement(
    board: BoardVisit,
    path: Path,
    rows: Sequence[ProcessTiming],
    states: Sequence[State],
    build: str,
) -> Measurement:
    first, summary = rows[0], summarise_rows(rows)
    values, notes = dict(summary.values), [*summary.notes, *doubts(states)]
    power = board.take_power_mw(path)
    if power is not None:
        values["power_mw"] = power
        values["energy_mj"] = power * values["latency_ms"] / 1e3
        notes.append(
            "power is the mean of the whole board's meter while it measured, idle power included"
        )
    options = board.options
    known = fingerprint(
        {
            **board.facts(),
            **({"governor": states[0]["governor"]} if "governor" in states[0] else {}),
        },
        numpy=first.numpy,
        engine_build=build,
        affinity=",".join(str(cpu) for cpu in first.cpus),
        cooling=options.cooling,
        power_source=options.power_source,
    )
    return Measurement(
        artifact_sha256=first.artifact_sha256,
        evidence=Evidence.MEASURED,
        device=board.address,
        fingerprint=known,
        engine=first.engine,
        engine_version=first.engine_version,
        threads=first.threads,
        values=values,
        samples=summary.samples,
        conditions_before=conditions(states[0]),
        conditions_after=conditions(states[-1]),
        notes=(*notes, f"outputs were those of this machine on {PROOF_SAMPLES} random inputs"),
        invalid=(*emulated_reasons(board.facts()), *invalid_reasons(states)),
    )
