"""Dense one-bit layers in exported C against a plain popcount loop and against int8: host time, emulated instructions.

    python -m edgepress.tools.bench.xnor layers [--rounds 30]                 host time, one thread, in turn
    python -m edgepress.tools.bench.xnor layers --cores cortex-m4,cortex-a53  emulated instructions
    python -m edgepress.tools.bench.xnor nets [--cores ...]                   binary ResNet-20 and VGG-small

Layers: 3x3, as many outputs as channels, borders of 0, bits in and bits out; int8 in and int8 out of the same sizes.
The loop goes word by word with __builtin_popcount and is compiled with the same options. In every round each program
runs for about 10 ms; the median of the rounds' ratios counts. Outputs are proven first. Nets have seeded weights:
times and counts hardly depend on them. Host times are evidence "host", instructions "emulated", never milliseconds.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ...devices.emulate_c import run_c
from ...devices.firmware_vectors import Vectors
from ...devices.profile import load_profile
from ...export.tflite.lce_bits import pack_words
from ...export.tflite.write import write
from ...runtime.engines import installed_engines
from ...runtime.errors import EdgepressError, ParityError
from ...runtime.files import write_bytes, write_text
from ...runtime.session import Session, open_session
from ...runtime.timing import random_inputs
from ..render import table
from .native_instructions import PROFILES
from .native_speed import measure
from .xnor_layers import Layer, compiled_with, expected_bits, int8_model, packed_model, write_layer

HOST_LAYERS = (Layer(64, 56), Layer(128, 28), Layer(256, 14))
CORE_LAYERS = (Layer(64, 14), Layer(128, 14), Layer(256, 14))
INSTRUCTION_SETS = {
    "avx512": "-O3 -march=native",
    "avx2": "-O3 -mavx2 -mpopcnt",
    "plain": "-O3",
}
"""Name -> options of the compiler on x86-64."""


@dataclass(frozen=True)
class Row:
    """Something against dense one-bit: `ratio` is its cost over that of the one-bit kernel.

    `other` is None where it does not fit the place; `reason` says so then.
    """

    what: str
    place: str
    against: str
    xnor: float
    other: float | None
    unit: str
    macs: int
    reason: str = ""

    @property
    def ratio(self) -> float | None:
        """How many times dearer the other is."""
        return None if self.other is None else self.other / self.xnor


# --------------------------------------------------------------------------- layers on the host


def host_rows(layer: Layer, rounds: int) -> list[Row]:
    """A layer on this machine, each instruction set."""
    rows = []
    for name, flags in INSTRUCTION_SETS.items():
        with tempfile.TemporaryDirectory() as folder, compiled_with(flags):
            times = measure(_sessions(layer, Path(folder)), rounds)
        others = [key for key in times if key != "xnor"]
        rows += [row_of(f"3x3x{layer.channels}", name, key, times, layer.macs) for key in others]
    return rows


def row_of(what: str, place: str, other: str, times: dict[str, list[float]], macs: int) -> Row:
    """Medians of the rounds; the other's is that of the ratios, times the one-bit median."""
    xnor = statistics.median(times["xnor"])
    ratio = statistics.median(b / a for a, b in zip(times["xnor"], times[other], strict=True))
    return Row(what, place, other, xnor, xnor * ratio, "ms", macs)


def _sessions(layer: Layer, folder: Path) -> dict[str, Session]:
    bits, int8 = packed_model(layer), int8_model(layer)
    lite = write_bytes(folder / "int8.tflite", write(int8))
    found = {
        "xnor": open_session(write_layer(bits, folder / "xnor", "x86-64")),
        "loop": open_session(write_layer(bits, folder / "loop", "generic", loop=True)),
        "int8": open_session(write_layer(int8, folder / "int8", "x86-64")),
        "litert-int8": open_session(lite, "litert"),
    }
    for name in ("xnor", "loop"):
        _prove(found[name].run([pack_words(layer.signs())])[0], expected_bits(layer), name)
    for session in found.values():
        warm(session)
    return found


def _prove(found: Any, wanted: Any, where: str) -> None:
    wrong = int((found != wanted).sum())
    if wrong:
        raise ParityError(f"{wrong} of {wanted.size} words depart from numpy", where=where)


def warm(session: Session) -> None:
    """Seeded inputs, a few invokes."""
    session.set_inputs(random_inputs(session.artifact.inputs, 0))
    for _ in range(3):
        session.invoke()


# ------------------------------------------------------------------------ layers on emulated cores


def core_rows(layer: Layer, core: str) -> list[Row]:
    """Instructions of a layer on an emulated core."""
    profile, bits, int8 = load_profile(PROFILES[core]), packed_model(layer), int8_model(layer)
    signs = Vectors([[pack_words(layer.signs())]], [[expected_bits(layer)]])
    found = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        programs = {
            "xnor": (write_layer(bits, folder / "xnor", core), signs),
            "loop": (write_layer(bits, folder / "loop", "generic", loop=True), signs),
            "int8": (write_layer(int8, folder / "int8", core), _own_vectors(int8, folder, core)),
        }
        for key, (path, vectors) in programs.items():
            result = run_c(path, profile, vectors)
            if result.instructions is None:
                raise EdgepressError(f"no counts: {result.run.no_counts}")
            found[key] = float(result.instructions)
    return [
        Row(
            f"3x3x{layer.channels}",
            core,
            other,
            found["xnor"],
            found[other],
            "instructions",
            layer.macs,
        )
        for other in ("loop", "int8")
    ]


def _own_vectors(model: Any, folder: Path, core: str) -> Vectors:
    """Seeded inputs and what this machine's run of the same folder gives."""
    session = open_session(write_layer(model, folder / "int8", core))
    inputs = random_inputs(session.artifact.inputs, 0)
    return Vectors([inputs], [session.run(inputs)])


# ------------------------------------------------------------------------------------ output


def lines(rows: Sequence[Row]) -> str:
    """One line a row."""
    body = [
        (
            row.what,
            row.place,
            row.against,
            _number(row.xnor, row.unit),
            _number(row.other, row.unit),
            row.unit,
            f"{row.macs / row.xnor / (1e6 if row.unit == 'ms' else 1):,.1f}",
            "-" if row.ratio is None else f"{row.ratio:.2f}",
        )
        for row in rows
    ]
    heads = ("what", "place", "against", "one-bit", "other", "unit", "MAC/ns or /instr", "ratio")
    reasons = [
        f"{row.what} {row.against} on {row.place}: {row.reason}" for row in rows if row.reason
    ]
    return "\n".join([table(heads, body, (3, 4, 6, 7)), *reasons])


def _number(value: float | None, unit: str) -> str:
    if value is None:
        return "-"
    return f"{value:,.4f}" if unit == "ms" else f"{value:,.0f}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; gives the exit code."""
    parser = argparse.ArgumentParser(prog="xnor", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("kind", choices=("layers", "nets"))
    parser.add_argument("--cores", default="", help="of " + ", ".join(PROFILES))
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--names", default="resnet20,vgg_small", help="networks")
    parser.add_argument("--json", type=Path, help="write the rows here")
    options = parser.parse_args(arguments)
    cores = [core for core in options.cores.split(",") if core]
    unknown = [core for core in cores if core not in PROFILES]
    if unknown:
        parser.error(f"no core is called {unknown[0]!r}: {', '.join(PROFILES)}")
    rows: list[Row] = []
    try:
        for part in _parts(options.kind, cores, options.names.split(","), options.rounds):
            rows += part
            print(lines(part), flush=True)
    except EdgepressError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    if options.json:
        document = {
            "schema": "edgepress-xnor/1",
            "threads": 1,
            "engines": installed_engines(),
            "rows": [{**asdict(row), "ratio": row.ratio} for row in rows],
        }
        write_text(options.json, json.dumps(document, indent=1))
    return 0


def _parts(kind: str, cores: Sequence[str], names: Sequence[str], rounds: int) -> Any:
    """Lists of rows, one after the other."""
    if kind == "nets":
        from .xnor_nets import core_rows_of, host_rows_of

        for name in names:
            if not cores:
                yield host_rows_of(name, rounds)
            for core in cores:
                yield core_rows_of(name, core)
        return
    for core in cores:
        for layer in CORE_LAYERS:
            yield core_rows(layer, core)
    if not cores:
        for layer in HOST_LAYERS:
            yield host_rows(layer, rounds)


if __name__ == "__main__":
    sys.exit(main())
