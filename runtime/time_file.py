"""One fresh process, one file, one JSON document: `python -m edgepress.runtime.time_file FILE`.

The document on stdout is a `ProcessTiming`, or `{"error": {...}}` with the class, what, where and
hint of an `EdgepressError`; the exit code is that of the error.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from dataclasses import dataclass, fields
from pathlib import Path
from typing import List, Optional, Sequence, Tuple

import numpy as np

from .codec import from_json, to_json
from .errors import EdgepressError, UsageError
from .session import open_session
from .timing import Timing, TimingPlan, read_inputs, time_session


@dataclass(frozen=True)
class ProcessTiming:
    """What one process did: the file, the engine, the plan and the samples.

    `cpus` are the processor numbers the process was allowed to run on, empty where unknown.
    """

    artifact_sha256: str
    file_bytes: int
    engine: str
    engine_version: str
    threads: int
    plan: TimingPlan
    timing: Timing
    python: str
    numpy: str
    cpus: Tuple[int, ...] = ()


def time_file(
    path: Path,
    engine: Optional[str] = None,
    threads: int = 1,
    plan: Optional[TimingPlan] = None,
    inputs: Optional[Path] = None,
) -> ProcessTiming:
    """Open `path`, time it in this process.

    Args:
        inputs: an .npz file; seeded random values if None.

    Raises:
        InputError, UsageError, MissingToolError: see `open_session` and `time_session`.
    """
    plan = plan or TimingPlan()
    session = open_session(path, engine, threads)
    given = None if inputs is None else read_inputs(inputs, session.artifact.inputs)
    timing = time_session(session, plan, given)
    return ProcessTiming(
        artifact_sha256=session.artifact.sha256,
        file_bytes=session.artifact.file_bytes,
        engine=session.engine,
        engine_version=session.engine_version,
        threads=threads,
        plan=plan,
        timing=timing,
        python=platform.python_version(),
        numpy=np.__version__,
        cpus=_allowed_cpus(),
    )


def _allowed_cpus() -> Tuple[int, ...]:
    if not hasattr(os, "sched_getaffinity"):
        return ()
    return tuple(sorted(os.sched_getaffinity(0)))


def pin(cpus: Sequence[int]) -> None:
    """Keep this process on the given processors; `UsageError` where that cannot be."""
    if not hasattr(os, "sched_setaffinity"):
        raise UsageError("this system cannot keep a process on chosen processors")
    try:
        os.sched_setaffinity(0, set(cpus))
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot run on processors {list(cpus)}: {error}") from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="time_file", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("file", type=Path, help="ONNX or TFLite file")
    parser.add_argument("--engine", help="onnxruntime, tflite or litert")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--inputs", type=Path, help=".npz with one array per input")
    parser.add_argument("--cpus", help="processor numbers to run on, separated by commas")
    parser.add_argument("--plan", help="JSON object with fields of TimingPlan")
    return parser


def _plan(text: Optional[str]) -> TimingPlan:
    if not text:
        return TimingPlan()
    try:
        data = json.loads(text)
    except ValueError as error:
        known = ", ".join(field.name for field in fields(TimingPlan))
        raise UsageError(f"--plan is not JSON: {error}", hint=f"its keys are {known}") from error
    return from_json(TimingPlan, data)


def _cpus(text: str) -> List[int]:
    try:
        return [int(number) for number in text.split(",")]
    except ValueError as error:
        raise UsageError(
            f"--cpus {text!r} is no list of numbers", hint="e.g. --cpus 0,1"
        ) from error


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Run from the command line; gives the exit code."""
    options = _parser().parse_args(arguments)
    try:
        if options.cpus:
            pin(_cpus(options.cpus))
        plan = _plan(options.plan)
        result = time_file(options.file, options.engine, options.threads, plan, options.inputs)
    except EdgepressError as error:
        told = {"what": error.what, "where": error.where, "hint": error.hint}
        print(json.dumps({"error": {"class": type(error).__name__, **told}}))
        print(error, file=sys.stderr)
        return error.exit_code
    print(json.dumps(to_json(result)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
