"""`edgepress compress`: the passes alone, with their receipts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..exit_codes import ExitCode
from ..invocation import Invocation, common_options
from .options import (
    data_options,
    given_model,
    model_options,
    out_options,
    ptq_options,
    threads_option,
)

if TYPE_CHECKING:
    from ..model_source import ModelSource


@click.command("compress")
@click.argument("model")
@click.option(
    "--method",
    type=click.Choice(["quantize", "qat"]),
    default="quantize",
    show_default=True,
    help="After training (needs inputs), or with training (needs a task with labels and torch).",
)
@click.option(
    "--sensitivity", is_flag=True, help="Also measure what each layer alone costs in int8 (slow)."
)
@click.option("--epochs", type=click.IntRange(0), help="Of qat.")
@click.option("--batch-size", type=click.IntRange(1), help="Of qat.")
@click.option("--learning-rate", type=click.FloatRange(0, min_open=True), help="Of qat.")
@ptq_options
@data_options
@model_options
@threads_option
@out_options
@common_options
@click.pass_obj
def command(call: Invocation, /, model: str, **options: Any) -> int:
    """Quantize MODEL (zoo name, module:factory, or an ONNX file) to int8; --out becomes a run folder.

    It holds the quantized graph (int8.onnx) and a receipt: score before and after on validation data, what became
    smaller, what each layer costs. Killed and started again, training goes on from its checkpoint.
    """
    source = _source(model, options)
    method, out = options["method"], options["out"]
    if call.dry_run:
        from ..plan import make_plan

        steps = [f"{p.folder}: {p.step.title()}" for p in make_plan(source.recipe, method)]
        return call.plan("compress", reads=[model], writes=[out], steps=steps)
    from ..pipeline import run_recipe
    from ..report.build import build_report

    call.tell_user_code(source.recipe)
    with call.progress() as progress:
        run_recipe(
            source.recipe,
            out,
            data=source.data,
            progress=progress,
            force=options["force"],
            until=method,
            command=("edgepress", *call.arguments),
            allow_user_code=source.allow_user_code,
        )
    report = build_report(out)
    graph = next(out.glob(f"steps/*-{method}/int8.onnx"))
    document = {
        "schema": "edgepress-compress/1",
        "model": model,
        "graph": str(graph),
        "receipts": report["steps"],
        "sensitivity": report["sensitivity"],
    }
    call.give(document, "" if call.json else _text(report, graph))
    return ExitCode.OK


def _source(model: str, options: dict[str, Any]) -> ModelSource:
    from ...compress.passes import QatOptions, QuantizeOptions, check_order
    from ..model_source import open_source, start_facts
    from ..recipe_records import PassStep

    if options["task"] is None and options["calibration"] is None:
        raise click.UsageError("real inputs are needed: give --task NAME or --calibration FILE")
    source = open_source(model, **given_model(options))
    method, settings = options["method"], _settings(options)
    check_order([method], start_facts(source.recipe))
    made: Any = QatOptions(**settings) if method == "qat" else QuantizeOptions(**settings)
    return source.changed(passes=(PassStep(method, made),))


def _settings(options: dict[str, Any]) -> dict[str, Any]:
    """Options of the pass; one that belongs to the other method is refused."""
    training = {
        key: options[key] for key in ("epochs", "batch_size", "learning_rate") if options[key]
    }
    if options["epochs"] == 0:
        training["epochs"] = 0
    after = {"keep_float": options["keep_float"], "sensitivity": options["sensitivity"]}
    common = {"calibration_samples": options["calibration_samples"]}
    if options["method"] == "quantize":
        _refuse(training, "quantize")
        return {**common, **after, "observer": options["observer"]}
    _refuse({key: value for key, value in after.items() if value}, "qat")
    observer = {} if options["observer"] == "auto" else {"observer": options["observer"]}
    return {**common, **training, **observer}


def _refuse(given: dict[str, Any], method: str) -> None:
    for name in given:
        raise click.UsageError(f"--{name.replace('_', '-')} does not go with --method {method}")


def _text(report: dict[str, Any], graph: Path) -> str:
    from ..render import kib, table
    from ..report.tables import sensitivity_table
    from ..report.views import notes_of, transitions

    lines = []
    for step in report["steps"]:
        lines += [f"{step['step']}: {line}" for line in (*transitions(step), *notes_of(step))]
    found = sensitivity_table(report)
    if found.rows:
        lines += ["", table(found.headers, found.rows, found.right), ""]
    lines.append(f"graph: {graph} ({kib(graph.stat().st_size)})")
    lines.append(f"files of it: edgepress export {graph} --name {report['name']} --out FOLDER")
    return "\n".join(lines)
