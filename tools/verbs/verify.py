"""`edgepress verify`: the parity proof of files against the model they were made from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..exit_codes import ExitCode, worst
from ..invocation import Invocation, common_options
from .device_options import board_options, reach_options
from .options import PATH, data_options, model_options, threads_option

if TYPE_CHECKING:
    from ...export.parity_records import Candidate, ParityReport
    from ..device_proof import DeviceRow

OUTCOMES = {"pass": ExitCode.OK, "fail": ExitCode.FAILED, "none": ExitCode.NO_VERDICT}


@click.command("verify")
@click.argument("reference")
@click.argument("candidates", nargs=-1, required=True, type=PATH, metavar="CANDIDATE...")
@click.option(
    "--inputs", "inputs_file", type=PATH, help="Real inputs: .npz, one array per model input."
)
@click.option(
    "--split", default="test", show_default=True, help="Split of the task (labels unused)."
)
@click.option(
    "--samples", type=click.IntRange(1), default=64, show_default=True, help="At most so many."
)
@click.option(
    "--engine",
    "engines",
    multiple=True,
    help="Engine to prove in; every installed one if left out.",
)
@click.option(
    "--file-layout",
    type=click.Choice(["nhwc", "nchw"]),
    help="Axes of TFLite files that state none, where shapes fit both (H = W = C).",
)
@click.option(
    "--layers/--no-layers",
    default=True,
    help="Compare inner values and name the first that departs.",
)
@data_options
@model_options
@threads_option
@reach_options
@common_options
@click.pass_obj
def command(
    call: Invocation, /, reference: str, candidates: tuple[Path, ...], **options: Any
) -> int:
    """Compare files with the model they were made from, on real inputs; exit 1 if one departs, 3 if nothing was judged.

    REFERENCE is a zoo name, module:factory, or an ONNX or TFLite file; CANDIDATE an ONNX or TFLite file, or a folder
    of exported C; one that keeps a state is run as a stream over the samples. Float files must agree within a relative
    tolerance, an int8 TFLite file with the int8 ONNX file of the same numbers within steps of its scale; what
    quantization itself costs is reported, not judged. With --device every file runs there, too, and its outputs must
    be those of this machine; that is a verdict also where the proof here gives none.
    """
    inputs_file, task = options["inputs_file"], options["task"]
    if (inputs_file is None) == (task is None):
        raise click.UsageError("real inputs are needed: give either --inputs FILE or --task NAME")
    if call.dry_run:
        reads = [reference, *candidates, *([inputs_file] if inputs_file else [])]
        return call.plan(
            "verify",
            reads=reads,
            **{k: options[k] for k in ("task", "samples", "layers", "device")},
        )
    from ...export.parity_stream import verify_all
    from ...runtime.codec import to_json
    from ..report.build import parity_outcome

    run, samples, label = _reference(reference, options)
    chosen = _candidates(candidates, options["engines"], options["file_layout"] or "")
    with call.progress() as progress:
        there = _on_device(options, chosen, samples)
        report = verify_all(
            run,
            chosen,
            samples,
            layers=options["layers"],
            progress=progress,
            reference_label=label,
        )
    proof = _finite(to_json(report))
    outcome = parity_outcome(proof)
    document = {"schema": "edgepress-verify/1", **proof, "outcome": outcome, "evidence": "host"}
    document["inputs"] = str(inputs_file) if inputs_file else f"{task}/{options['split']}"
    document["device"] = to_json(there)
    text = "" if call.json else _text(report, outcome, document["inputs"])
    call.give(document, "\n".join([text, *(row.text for row in there)]))
    codes = [ExitCode.FAILED if row.outcome == "fail" else ExitCode.OK for row in there]
    # rows of the device are verdicts, too: with them, "none" of the others is not the last word
    return worst([*codes, *([OUTCOMES[outcome]] if outcome != "none" or not codes else [])])


def _on_device(
    options: Mapping[str, Any], candidates: Sequence[Candidate], samples: Sequence[Any]
) -> list[DeviceRow]:
    """The files on the device against themselves on this machine; nothing for the host."""
    if options["device"] == "host":
        return []
    from ..device_proof import prove_on_device

    named = bool(options["engines"])
    return prove_on_device(
        options["device"], candidates, samples, board_options(options), named=named
    )


def _reference(reference: str, options: Mapping[str, Any]) -> tuple[Any, Sequence[Any], str]:
    """(what `verify_all` takes as reference, samples, its name)."""
    from ..model_source import open_source

    is_tflite = reference.lower().endswith(".tflite")
    keys = ("weights", "task", "inputs_file", "normalisation", "data", "seed", "threads")
    given = {key: options[key] for key in (*keys, "no_user_code", "random_weights")}
    # the samples do not depend on the model: any network stands in for a TFLite file
    stand_in = {"random_weights": True} if is_tflite else {}
    source = open_source("toy_cnn" if is_tflite else reference, **{**given, **stand_in})
    samples = source.samples(options["split"], options["samples"])
    if is_tflite:
        from ...export.parity_records import Candidate

        file = Candidate(Path(reference), layout=options["file_layout"] or "")
        return file, samples, file.path.name
    if source.recipe.model_kind == "onnx":
        return Path(reference), samples, Path(reference).name
    from ...export.parity import torch_reference

    model = source.torch_model()
    return torch_reference(model, source.inputs.normalisation()), samples, f"{source.label} (torch)"


def _candidates(paths: Sequence[Path], engines: Sequence[str], layout: str) -> list[Candidate]:
    """ONNX files first, which TFLite files are compared with; every file in each engine that runs it."""
    from ...export.parity_records import Candidate
    from ...runtime.artifact import detect_format, read_model_bytes
    from ...runtime.engines import engines_for
    from ..engines import usable_engines

    formats = {path: detect_format(read_model_bytes(path), str(path)) for path in paths}
    found = []
    for path in sorted(paths, key=lambda p: formats[p]):
        able = engines_for(formats[path])
        wanted = [name for name in engines if name in able]
        if engines and not wanted:
            raise click.UsageError(
                f"none of {', '.join(engines)} runs {path}: use {' or '.join(able)}"
            )
        found += [
            Candidate(path, name, layout=layout) for name in usable_engines(wanted, [formats[path]])
        ]
    return found


def _finite(value: Any) -> Any:
    from ..report.build import finite

    return finite(value)


def _text(report: ParityReport, outcome: str, inputs: str) -> str:
    from ..render import number, table, verdict
    from ..report.build import NOTHING_JUDGED

    headers = ("file", "engine", "against", "output", "verdict", "top-1 same", "figures")
    rows = [
        (
            row.candidate,
            row.engine,
            row.against,
            row.output,
            row.outcome.value,
            "-" if row.agreement is None else number(100 * row.agreement, "%"),
            row.reason if row.outcome != "reported" else _distance(row.distance),
        )
        for row in report.outputs
    ]
    lines = [table(headers, rows, (5,)), ""]
    failed = [row for row in report.layers if row.outcome == "fail"]
    if report.layers:
        judged = sum(row.outcome != "reported" for row in report.layers)
        where = f"{len(report.layers)} inner values on {report.layer_samples} samples"
        lines.append(f"{where}, {judged} judged, {len(failed)} failed")
    lines += [f"{name}: first departs at {layer}" for name, layer in sorted(report.departs.items())]
    lines += [f"note: {note}" for note in report.notes]
    if outcome == "none":
        lines.append(NOTHING_JUDGED)
    word = "NO VERDICT" if outcome == "none" else verdict(outcome)
    lines.append(
        f"{word} against {report.reference} on {report.samples} samples of {inputs} (host)"
    )
    return "\n".join(lines)


def _distance(distance: Any) -> str:
    from ...runtime.codec import to_json
    from ..report.views import distance_text

    return distance_text(_finite(to_json(distance)))
