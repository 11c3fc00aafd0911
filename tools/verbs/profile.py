"""`edgepress profile`: latency and memory of files here or on a board, executed instructions on an emulated one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ..exit_codes import ExitCode
from ..invocation import Invocation, common_options
from .device_options import board_options, measure_options, reach_options
from .options import PATH, threads_option

if TYPE_CHECKING:
    from ..device_profile import Profiled


@click.command("profile")
@click.argument("files", nargs=-1, required=True, type=PATH, metavar="FILE...")
@click.option(
    "--engine",
    "engines",
    multiple=True,
    help="onnxruntime, tflite, litert, native (C); microcontrollers: tflm, vela. All that fit if left out.",
)
@threads_option
@click.option(
    "--processes",
    type=click.IntRange(1, 100),
    default=5,
    show_default=True,
    help="Fresh processes each.",
)
@click.option(
    "--compare",
    type=PATH,
    metavar="BASELINE",
    help="Measure this file in turn with each, and say how they differ.",
)
@click.option(
    "--layers",
    is_flag=True,
    help="Layers as well: their times where the engine tells them, instructions of exported C under emulation.",
)
@click.option(
    "--estimate",
    is_flag=True,
    help="Run nothing: tell what published tables say of a device, with a band, and the floor.",
)
@reach_options
@measure_options
@common_options
@click.pass_obj
def command(call: Invocation, /, **options: Any) -> int:
    """Measure FILES on this machine, on a board, or count their instructions on an emulated one.

    Every number stands with its evidence: "host" is never the latency of another device, a board's is "measured", an
    emulated board gives instruction counts and never milliseconds, and what is "estimated" (--estimate, and TFLite and
    ONNX files on microcontrollers) has a band or is not told. Exported C folders run on emulated boards and
    microcontrollers: instructions, flash, RAM and stack, with --layers those of every kernel call. On a board the
    outputs are compared with this machine's first; a throttled run, or one during which the clock moved, is shown and
    ends with exit code 3.
    """
    from ..device_profile import Request, profile_files

    files, compare = options["files"], options["compare"]
    if call.dry_run:
        reads = [*files, *([compare] if compare else [])]
        names = ("device", "engines", "threads", "processes", "layers", "estimate")
        return call.plan("profile", reads=reads, **{name: options[name] for name in names})
    request = Request(
        files=files,
        device=options["device"],
        engines=options["engines"],
        threads=options["threads"],
        processes=options["processes"],
        compare=compare,
        layers=options["layers"],
        estimate=options["estimate"],
        options=board_options(options),
    )
    with call.progress() as progress:
        found = profile_files(request, progress)
    call.give(_document(found), "" if call.json else _text(found))
    return ExitCode.NO_VERDICT if found.invalid else ExitCode.OK


def _document(found: Profiled) -> dict[str, Any]:
    from ...runtime.codec import to_json

    return {
        "schema": "edgepress-profile/1",
        "measurements": [{"file": str(path), **to_json(m)} for path, m in found.rows],
        "comparisons": found.ratios,
        "layers": found.layers,
        "calls": found.calls,
        "notes": found.notes,
    }


def _text(found: Profiled) -> str:
    from ..c_profile import calls_text, firmware_table, is_firmware_row
    from ..estimate_profile import estimates_table, in_table, is_estimate
    from ..mcu_profile import is_mcu_row, mcu_table
    from ..profile_text import counts_table, difference, latency_table, layers_text

    guessed = [(path, m) for path, m in found.rows if is_estimate(m) and not is_mcu_row(m)]
    special = [(path, m) for path, m in found.rows if is_mcu_row(m)]
    timed = [(path, m) for path, m in found.rows if "latency_ms" in m.values and not is_estimate(m)]
    firmware = [(path, m) for path, m in found.rows if is_firmware_row(m)]
    counted = [
        (path, m) for path, m in found.rows if "instructions" in m.values and not is_firmware_row(m)
    ]
    lines = [latency_table(timed)] * bool(timed) + [counts_table(counted)] * bool(counted)
    lines += [estimates_table(guessed)] * bool(guessed) + [mcu_table(special)] * bool(special)
    lines += [firmware_table(firmware)] * bool(firmware)
    lines += [difference(ratio) for ratio in found.ratios]
    lines += [layers_text(layers) for layers in found.layers]
    lines += [calls_text(calls) for calls in found.calls]
    notes = [note for _, m in found.rows for note in m.notes if not in_table(note)] + found.notes
    lines += [f"note: {note}" for note in dict.fromkeys(notes)]
    for path, m in found.rows:
        lines += [f"INVALID {path.name} in {m.engine}: {reason}" for reason in m.invalid]
    return "\n".join(lines)
