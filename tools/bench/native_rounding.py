"""How far int8 outputs of exported C are from the TFLite engines', on real inputs, in steps of the output's scale.

    python -m edgepress.tools.bench.native_rounding --data FOLDER [NET ...] [--samples 100] [--json FILE]

The networks and inputs of `native_parity`; each is written as a C folder and as a TFLite file from the same hub.
Exported C rounds as the integer reference does: a doubling high product, then a shift that rounds half away from zero.
The engines round in other ways, and differences of layers add up; how far the two are from each other stands below.
Evidence "host".
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...runtime.errors import EdgepressError
from ...runtime.files import write_bytes, write_text
from ...runtime.real_values import to_stored
from ...runtime.session import open_session
from ..render import table
from .native_instructions import export
from .native_parity import Case, cases

ENGINES = ("tflite", "litert")

Outputs = tuple[str, "np.ndarray[Any, Any]"]
"""An engine with its version, and what it gave: one row an input."""


@dataclass(frozen=True)
class Row:
    """One network in two engines. Shares are of all values; `same_top` of the inputs."""

    network: str
    engine: str
    against: str
    inputs: int
    values: int
    equal: float
    within_one: float
    largest_steps: int
    same_top: float


def rows_of(case: Case, data: Path, count: int) -> Iterator[Row]:
    """A row for each pair of engines."""
    from ...export.tflite import to_tflite

    hub, samples = case.hub(data), case.samples(data, count)
    with tempfile.TemporaryDirectory() as name:
        mine = open_session(export(hub, case.name, "generic", Path(name)), "native")
        file = write_bytes(Path(name) / "net.tflite", to_tflite(hub))
        specs = mine.artifact.inputs
        stored = [[to_stored(s, v) for s, v in zip(specs, row, strict=True)] for row in samples]
        sessions = [mine, *(open_session(file, engine) for engine in ENGINES)]
        found = {
            f"{session.engine} {session.engine_version}": np.stack(
                [session.run(row)[0].reshape(-1) for row in stored]
            ).astype(np.int64)
            for session in sessions
        }
    for one, other in itertools.combinations(found, 2):
        yield _row(case.name, (one, found[one]), (other, found[other]))


def _row(network: str, one: Outputs, other: Outputs) -> Row:
    ours, theirs = one[1], other[1]
    apart = np.abs(ours - theirs)
    return Row(
        network=network,
        engine=one[0],
        against=other[0],
        inputs=len(ours),
        values=apart.size,
        equal=float(np.mean(apart == 0)),
        within_one=float(np.mean(apart <= 1)),
        largest_steps=int(apart.max()),
        same_top=float(np.mean(ours.argmax(1) == theirs.argmax(1))),
    )


def to_text(rows: Sequence[Row]) -> str:
    """One line a row."""
    body = [
        (
            row.network,
            row.engine,
            row.against,
            str(row.inputs),
            f"{row.values:,}",
            f"{row.equal:.2%}",
            f"{row.within_one:.2%}",
            str(row.largest_steps),
            f"{row.same_top:.1%}",
        )
        for row in rows
    ]
    heads = ("network", "engine", "against", "inputs", "values", "equal", "within 1", "largest")
    return table((*heads, "top-1 same"), body, tuple(range(3, 9)))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run and print; gives the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    chosen = [case for case in cases() if case.precision == "int8"]
    parser.add_argument(
        "networks", nargs="*", metavar="NET", help=", ".join(c.name for c in chosen)
    )
    parser.add_argument("--data", type=Path, required=True, help="data folder, models/ in it")
    parser.add_argument("--samples", type=int, default=100)
    parser.add_argument("--json", type=Path, help="write the rows here")
    options = parser.parse_args(arguments)
    wanted = [case for case in chosen if not options.networks or case.name in options.networks]
    try:
        rows = [row for case in wanted for row in rows_of(case, options.data, options.samples)]
    except EdgepressError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print(to_text(rows))
    if options.json:
        write_text(options.json, json.dumps([asdict(row) for row in rows], indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
