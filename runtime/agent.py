"""The on-board program: `python3 agent.pyz run|count|time FILE ...`, one JSON document as the last line of stdout.

`run` computes outputs, `count` invokes between marks (`count.py`), `time` is `time_file.py`, `layers` is
`layer_times.py`, `engines` tells which engines are usable. An error is
`{"error": {"class", "what", "where", "hint"}}`; the exit code is that of the error.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import json
import os
import platform
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence

import numpy as np

from . import layer_times, time_file
from .codec import to_json
from .count import MarkedRun, count_session
from .engines import build_of
from .errors import EdgepressError, LocalDiskFullError
from .session import installed_engines, open_session
from .timing import random_inputs, read_inputs


@dataclass(frozen=True)
class Answer:
    """What one process did; `marks` only where instructions are counted, `build` only where asked for."""

    artifact_sha256: str
    engine: str
    engine_version: str
    threads: int
    python: str
    numpy: str
    libc: str
    marks: Optional[MarkedRun] = None
    build: str = ""


def answer(options: argparse.Namespace) -> Answer:
    """Open the file, do what is asked, write the outputs.

    Raises:
        InputError, UsageError, MissingToolError: see `open_session`, `read_inputs` and `Session.run`.
    """
    session = open_session(options.file, options.engine, options.threads)
    specs = session.artifact.inputs
    inputs = (
        random_inputs(specs, 0) if options.inputs is None else read_inputs(options.inputs, specs)
    )
    marks = None
    if options.verb == "count":
        marks = count_session(session, inputs)
        outputs = session.outputs()
    elif options.samples:
        runs = [session.run([value[index] for value in inputs]) for index in range(len(inputs[0]))]
        outputs = [np.stack(values) for values in zip(*runs)]
    else:
        outputs = session.run(inputs)
    if options.outputs is not None:
        named: Dict[str, Any] = {f"output_{index}": value for index, value in enumerate(outputs)}
        np.savez(options.outputs, **named)
    return Answer(
        artifact_sha256=session.artifact.sha256,
        engine=session.engine,
        engine_version=session.engine_version,
        threads=session.threads,
        python=platform.python_version(),
        numpy=np.__version__,
        libc=platform.libc_ver()[1],
        marks=marks,
        build=build_of(session.engine) if options.build else "",
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="agent", description=(__doc__ or "").splitlines()[0])
    verbs = parser.add_subparsers(dest="verb", required=True)
    for name, text in (("run", "compute the outputs"), ("count", "invoke between marks")):
        verb = verbs.add_parser(name, help=text)
        verb.add_argument("file", type=Path, help="ONNX or TFLite file")
        verb.add_argument("--engine", help="onnxruntime, tflite or litert")
        verb.add_argument("--threads", type=int, default=1)
        verb.add_argument("--inputs", type=Path, help=".npz with one array per input")
        verb.add_argument("--outputs", type=Path, help="where the outputs go, as .npz")
        verb.add_argument(
            "--samples",
            action="store_true",
            help="inputs and outputs have a leading axis of samples",
        )
        verb.add_argument(
            "--build", action="store_true", help="tell the hash of the engine's library"
        )
    verbs.add_parser("engines", help="which engines are usable here")
    return parser


def _end_with_parent() -> None:
    """Under the on-board keeper: die with it, whatever ended it (Linux)."""
    parent = os.environ.get("EDGEPRESS_PARENT", "")
    if not parent:
        return
    with contextlib.suppress(ImportError, OSError, AttributeError):
        import ctypes

        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    if str(os.getppid()) != parent:
        os._exit(4)


def _no_core_files() -> None:
    """A crash of an engine must not leave a file of hundreds of megabytes behind."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Run from the command line; gives the exit code."""
    given: List[str] = list(sys.argv[1:] if arguments is None else arguments)
    _end_with_parent()
    _no_core_files()
    try:
        return _main(given)
    except EdgepressError as error:
        return _tell(error)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        return _tell(LocalDiskFullError("no space left while it ran", where=error.filename))


def _main(given: List[str]) -> int:
    if given[:1] == ["time"]:
        return time_file.main(given[1:])
    if given[:1] == ["layers"]:
        print(json.dumps(to_json(layer_times.from_arguments(given[1:]))))
        return 0
    options = _parser().parse_args(given)
    if options.verb == "engines":
        told = {"machine": platform.machine(), "numpy": np.__version__}
        print(json.dumps({**told, "engines": installed_engines()}))
    else:
        print(json.dumps(to_json(answer(options))))
    return 0


def _tell(error: EdgepressError) -> int:
    told = {"what": error.what, "where": error.where, "hint": error.hint}
    print(json.dumps({"error": {"class": type(error).__name__, **told}}))
    return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
