"""Executed instructions of exported int8 C on emulated cores, as a whole and call by call; outputs proven first.

    python -m edgepress.tools.bench.native_instructions NET... --device cortex-m4 [--layers] [--against litert]

NET is a network of the zoo with seeded weights, calibrated on seeded noise: counts hardly depend on the values; or an
int8 TFLite file of MLPerf Tiny (`lite_hub.py`). It is exported for the core, built at -O3, run on seeded inputs under
QEMU, and its outputs must be those of the integer reference to the last bit. `--against litert` (boards) counts the
same network as a TFLite file in LiteRT in the same call; what Python and the marks take is off both. Evidence
"emulated": instructions, never milliseconds.
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

import numpy as np

from ...devices.c_program import CallCount
from ...devices.emulate_c import CResult, run_c
from ...devices.firmware_vectors import Vectors
from ...devices.profile import load_profile
from ...runtime.artifact import TensorSpec
from ...runtime.errors import EdgepressError, ParityError
from ...runtime.files import write_bytes, write_text
from ...runtime.real_values import to_real, to_stored
from ...runtime.session import open_session
from ..render import table
from .native_speed import NETWORKS, int8_hub

PROFILES = {
    "cortex-m4": "stm32l4r5",
    "cortex-m7": "stm32h7a3",
    "cortex-m33": "stm32u585",
    "cortex-m55": "apollo510",
    "cortex-a53": "pi3bplus",
    "cortex-a72": "pi4",
    "cortex-a76": "pi5",
}
"""Core -> a device that has it and can be emulated."""

SAMPLES = 2

Sample = tuple[np.ndarray[Any, Any], ...]


@dataclass(frozen=True)
class Row:
    """One network on one core. `engine` is "native", or the one it is compared with."""

    network: str
    core: str
    engine: str
    instructions: int
    macs: int
    macs_per_instruction: float
    arena_bytes: int
    flash_bytes: int
    text_bytes: int
    classes: dict[str, int]
    calls: tuple[CallCount, ...]


def export(hub: Any, name: str, device: str, folder: Path) -> Path:
    """The exported folder of a hub for a core."""
    from ...export.c import to_c

    target = folder / f"{name}-{device}"
    for file, data in to_c(hub, name, device=device).items():
        write_bytes(target / file, data)
    return target


def hub_named(name: str) -> Any:
    """The quantized hub of a zoo network or of a TFLite file."""
    from .lite_hub import hub_of

    return hub_of(Path(name)) if name.endswith(".tflite") else int8_hub(name)


def samples_of(hub: Any, count: int = SAMPLES, seed: int = 1) -> list[Sample]:
    """Seeded inputs of a hub."""
    rng = np.random.default_rng(seed)
    shapes = [[d.dim_value for d in v.type.tensor_type.shape.dim] for v in hub.graph.input]
    return [tuple(rng.normal(size=s).astype(np.float32) for s in shapes) for _ in range(count)]


def proven_vectors(hub: Any, folder: Path, samples: Sequence[Sample]) -> Vectors:
    """Inputs and outputs as the C function takes and gives them, expected by the integer reference of the hub.

    The folder is run on this machine first.

    Raises:
        ParityError: this machine's own run departs from the reference.
    """
    from ...compress.quantization.integer import IntegerModel

    session, reference = open_session(folder, "native"), IntegerModel(hub)
    inputs, expected = [], []
    for number, sample in enumerate(samples):
        stored = [
            to_stored(spec, value)
            for spec, value in zip(session.artifact.inputs, sample, strict=True)
        ]
        given = session.run(stored)
        real = [to_real(s, v) for s, v in zip(session.artifact.outputs, given, strict=True)]
        wanted = reference.run(sample, "double")
        for spec, mine, theirs in zip(session.artifact.outputs, real, wanted, strict=True):
            _same(spec, mine, theirs, f"sample {number} on this machine")
        inputs.append(stored)
        expected.append(given)
    return Vectors(inputs, expected)


def _same(spec: TensorSpec, mine: Any, theirs: Any, where: str) -> None:
    wrong = int((mine != theirs).sum())
    if wrong:
        raise ParityError(
            f"output {spec.name}: {wrong} of {mine.size} values depart from the integer reference",
            where=where,
        )


def count(name: str, core: str, hub: Any, folder: Path) -> Row:
    """Export, prove, count."""
    exported = export(hub, Path(name).stem, core, folder)
    vectors = proven_vectors(hub, exported, samples_of(hub))
    result = run_c(exported, load_profile(PROFILES[core]), vectors, calls=True)
    return row_of(Path(name).stem, core, result)


def row_of(name: str, core: str, result: CResult) -> Row:
    """The figures of a result."""
    instructions = result.instructions or 0
    linux, firmware = result.linux, result.firmware
    return Row(
        network=name,
        core=core,
        engine="native",
        instructions=instructions,
        macs=result.macs,
        macs_per_instruction=result.macs / instructions if instructions else float("nan"),
        arena_bytes=result.folder.arena_bytes,
        flash_bytes=firmware.flash_bytes if firmware else 0,
        text_bytes=linux[0].text_bytes if linux else 0,
        classes=linux[1].classes if linux else {},
        calls=result.calls,
    )


def count_engine(name: str, core: str, engine: str, hub: Any, macs: int, folder: Path) -> Row:
    """The same network as a TFLite file in another engine on the emulated board."""
    from ...devices.instruction_counts import count_instructions
    from ...export.tflite import to_tflite
    from ...runtime.timing import random_inputs

    path = Path(name)
    if not name.endswith(".tflite"):
        path = write_bytes(folder / f"{name}.tflite", to_tflite(hub))
    session = open_session(path, engine)
    given = random_inputs(session.artifact.inputs, 0)
    # this machine's outputs are not asked for: engines round differently on another architecture
    found = count_instructions(load_profile(PROFILES[core]), path, engine, given)
    total = int(found.values["instructions"])
    kinds = {
        key.removeprefix("instructions_"): int(value)
        for key, value in found.values.items()
        if key.startswith("instructions_")
    }
    return Row(path.stem, core, engine, total, macs, macs / total, 0, 0, 0, kinds, ())


def calls_table(row: Row) -> str:
    """One line a call."""
    body = [
        (
            "-" if call.number < 0 else str(call.number),
            call.function,
            call.source or "-",
            f"{call.macs:,}",
            f"{call.instructions:,}",
            f"{call.macs / call.instructions:.2f}" if call.instructions else "-",
            f"{100 * call.instructions / row.instructions:.1f} %",
        )
        for call in row.calls
    ]
    return table(
        ("call", "kernel", "layer", "MAC", "instructions", "MAC/instr", "share"),
        body,
        (3, 4, 5, 6),
    )


def line(row: Row, base: Row | None = None) -> str:
    """One figure in words."""
    text = (
        f"{row.network} {row.core} {row.engine}: {row.instructions:,} instructions, "
        f"{row.macs:,} MAC, {row.macs_per_instruction:.3f} MAC/instruction"
    )
    if row.engine == "native":
        code = f"flash {row.flash_bytes:,} B" if row.flash_bytes else f"text {row.text_bytes:,} B"
        text += f"; arena {row.arena_bytes:,} B, {code}; outputs exact"
    if row.classes:
        text += "; " + " ".join(f"{key} {row.classes[key]:,}" for key in ("dot", "smlal", "load"))
    if base is not None:
        text += f"; native / {row.engine} {base.instructions / row.instructions:.3f}"
    return text


def main(arguments: Sequence[str] | None = None) -> int:
    """Count and print; gives the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "networks", nargs="*", metavar="NET", help=f"{', '.join(NETWORKS)}, or a file"
    )
    parser.add_argument("--device", required=True, help="one or several of " + ", ".join(PROFILES))
    parser.add_argument("--layers", action="store_true", help="a table of the kernel calls as well")
    parser.add_argument("--against", metavar="ENGINE", help="litert or tflite; boards only")
    parser.add_argument("--json", type=Path, help="write the rows here")
    options = parser.parse_args(arguments)
    cores = options.device.split(",")
    unknown = [core for core in cores if core not in PROFILES]
    if unknown:
        parser.error(f"no core is called {unknown[0]!r}: {', '.join(PROFILES)}")
    if options.against and any(core.startswith("cortex-m") for core in cores):
        parser.error("--against is of boards: TFLite engines do not run on microcontrollers here")
    rows: list[Row] = []
    try:
        with tempfile.TemporaryDirectory() as name:
            for network in options.networks or NETWORKS:
                hub = hub_named(network)
                for core in cores:
                    rows.append(row := count(network, core, hub, Path(name)))
                    print(line(row), flush=True)
                    if options.layers:
                        print(calls_table(row), flush=True)
                    if options.against:
                        other = count_engine(
                            network, core, options.against, hub, row.macs, Path(name)
                        )
                        rows.append(other)
                        print(line(other, row), flush=True)
    except EdgepressError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    if options.json:
        write_text(options.json, json.dumps([asdict(row) for row in rows], indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
