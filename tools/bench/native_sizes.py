"""Memory of exported C: arenas beside TensorFlow Lite Micro's, and flash, RAM and stack of whole programs.

    python -m edgepress.tools.bench.native_sizes --data FOLDER [--cores cortex-m4,...] [--optimize=-O3,-Os]

The four int8 networks of MLPerf Tiny, from the same TFLite files (`lite_hub.py`). First table: the arena as it is
packed for a core, what no plan can be below, and the head section that TFLite Micro plans for the same file (it holds
the tensors; its tail holds what belongs to its interpreter, which exported C has not). The goal is the head and 5 %
for scratch. Second table ("emulated"): a program for a core. `code` is flash without the constants of the model,
kernels and library functions included; the harness is taken off. Exit 1 where an arena is above the goal.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ...devices.c_program import OPTIONS
from ...devices.emulate_c import run_c
from ...devices.emulate_mcu import find_tools
from ...devices.firmware_vectors import Vectors
from ...devices.profile import load_profile
from ...devices.tflm import measure_tflm
from ...runtime.artifact import open_artifact
from ...runtime.c_folder import MANIFEST, CFolder, parse
from ...runtime.errors import EdgepressError
from ...runtime.files import write_text
from ...runtime.session import open_session
from ...runtime.timing import random_inputs
from ..render import number, table
from .lite_hub import hub_of
from .mcu_harness import MODELS
from .native_instructions import PROFILES, export

CORES = ("cortex-m4", "cortex-m7", "cortex-m33", "cortex-m55")
ALLOWED = 1.05
"""Of TFLite Micro's head section."""


@dataclass(frozen=True)
class ArenaRow:
    """Arena of one network packed for one core; `scratch` is the largest scratch of a call (it shares the arena)."""

    model: str
    core: str
    arena_bytes: int
    lower_bound_bytes: int
    scratch_bytes: int
    head_bytes: int

    @property
    def reaches_goal(self) -> bool:
        """True if it takes no more than TFLite Micro's head section and 5 %."""
        return self.arena_bytes <= ALLOWED * self.head_bytes


@dataclass(frozen=True)
class ProgramRow:
    """One network as a program for one core."""

    model: str
    core: str
    optimize: str
    weights_bytes: int
    code_bytes: int
    ram_bytes: int
    arena_bytes: int
    stack_bytes: int
    stack_bound_bytes: int | None
    instructions: int


def arena_row(model: str, core: str, hub: Any, head: int, folder: Path) -> ArenaRow:
    """Export and read the plan."""
    from ...export.c.lower import lower
    from ...export.c.pack import layout_of

    made = manifest(export(hub, model.lower(), core, folder))
    program = lower(hub, layout=layout_of(core)).program
    scratch = max((call.scratch for call in program.calls), default=0)
    return ArenaRow(model, core, made.arena_bytes, made.arena_lower_bound_bytes, scratch, head)


def manifest(folder: Path) -> CFolder:
    """What edgepress_c.json says."""
    return parse((folder / MANIFEST).read_bytes(), str(folder))


def program_row(model: str, core: str, optimize: str, folder: Path) -> ProgramRow:
    """Build and run on one seeded input."""
    session = open_session(folder, "native")
    given = random_inputs(open_artifact(folder).inputs, 0)
    vectors = Vectors([given], [session.run(given)])
    options = (optimize, *OPTIONS[1:])
    profile = load_profile(PROFILES[core])
    result = run_c(folder, profile, vectors, options=options, tools=find_tools())
    values = result.measurement().values
    weights = result.folder.weights_bytes
    bound = values.get("stack_bound_bytes")
    return ProgramRow(
        model=model,
        core=core,
        optimize=optimize,
        weights_bytes=weights,
        code_bytes=int(values["flash_bytes"]) - weights,
        ram_bytes=int(values["ram_bytes"]),
        arena_bytes=result.folder.arena_bytes,
        stack_bytes=int(values["stack_bytes"]),
        stack_bound_bytes=None if bound is None else int(bound),
        instructions=result.instructions or 0,
    )


def arena_table(rows: Sequence[ArenaRow]) -> str:
    """Bytes, and the share of TFLite Micro's head."""
    body = [
        (
            row.model,
            row.core,
            f"{row.arena_bytes:,}",
            f"{row.lower_bound_bytes:,}",
            f"{row.scratch_bytes:,}",
            f"{row.head_bytes:,}",
            f"{row.arena_bytes / row.head_bytes:.3f}",
            "yes" if row.reaches_goal else "NO",
        )
        for row in rows
    ]
    heads = ("model", "packed for", "arena", "lower bound", "scratch", "TFLM head", "share", "goal")
    return table(heads, body, (2, 3, 4, 5, 6))


def program_table(rows: Sequence[ProgramRow]) -> str:
    """Bytes of whole programs."""
    body = [
        (
            row.model,
            row.core,
            row.optimize,
            f"{row.weights_bytes:,}",
            f"{row.code_bytes:,}",
            f"{row.ram_bytes:,}",
            f"{row.stack_bytes:,}",
            number(row.stack_bound_bytes),
            f"{row.instructions:,}",
        )
        for row in rows
    ]
    heads = (
        "model",
        "core",
        "options",
        "constants",
        "code",
        "RAM",
        "stack",
        "at most",
        "instructions",
    )
    return table(heads, body, tuple(range(3, 9)))


def measure(
    data: Path, cores: Sequence[str], optimize: Sequence[str], folder: Path
) -> tuple[list[ArenaRow], list[ProgramRow]]:
    """All rows of the four networks."""
    arenas, programs = [], []
    for model, file in MODELS.items():
        path = data / "models" / "mlperf_tiny" / file
        hub, head = hub_of(path), measure_tflm(path).arena.head
        arenas += [arena_row(model, core, hub, head, folder) for core in ("generic", *cores)]
        for core in cores:
            target = folder / f"{model.lower()}-{core}"
            programs += [program_row(model, core, level, target) for level in optimize]
    return arenas, programs


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, judge; 1 if an arena is above the goal."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="data folder, models/ in it")
    parser.add_argument("--cores", default=",".join(CORES))
    parser.add_argument("--optimize", default="-O3", help="compiler's levels: -O3,-Os")
    parser.add_argument("--json", type=Path, help="write the rows here")
    options = parser.parse_args(arguments)
    try:
        with tempfile.TemporaryDirectory() as name:
            arenas, programs = measure(
                options.data, options.cores.split(","), options.optimize.split(","), Path(name)
            )
    except EdgepressError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print(arena_table(arenas))
    print(f"\nemulated:\n{program_table(programs)}")
    if options.json:
        rows = {"arenas": [asdict(r) for r in arenas], "programs": [asdict(r) for r in programs]}
        write_text(options.json, json.dumps(rows, indent=1))
    return 0 if all(row.reaches_goal for row in arenas) else 1


if __name__ == "__main__":
    sys.exit(main())
