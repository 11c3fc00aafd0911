"""`edgepress compress`: the passes alone, with their receipts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ...compress.binarization.catalogue import OPERATORS
from ...compress.binarization.records import ACTIVATIONS
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
    type=click.Choice(["quantize", "qat", "binarize"]),
    default="quantize",
    show_default=True,
    help="int8 after training (needs inputs), int8 or one bit by training (need a task and torch).",
)
@click.option(
    "--sensitivity", is_flag=True, help="Also measure what each layer alone costs in int8 (slow)."
)
@click.option("--epochs", type=click.IntRange(0), help="Of qat and binarize.")
@click.option("--batch-size", type=click.IntRange(1), help="Of qat and binarize.")
@click.option(
    "--learning-rate", type=click.FloatRange(0, min_open=True), help="Of qat and binarize."
)
@click.option(
    "--operator",
    type=click.Choice(tuple(OPERATORS)),
    help="Of binarize: how weights and inputs become signs (react).",
)
@click.option(
    "--activation",
    type=click.Choice(ACTIVATIONS),
    help="Of binarize: what replaces a ReLU in front of a sign (hardtanh).",
)
@click.option(
    "--border", type=click.Choice(["0", "1", "-1"]), help="Of binarize: what padding holds (1)."
)
@click.option(
    "--first-stage",
    type=click.FloatRange(0, 1, max_open=True),
    help="Of binarize: share of the epochs with binary inputs and real weights (0.5).",
)
@click.option("--first", is_flag=True, help="Of binarize: layers next to the inputs, too.")
@click.option("--last", is_flag=True, help="Of binarize: layers next to the outputs, too.")
@ptq_options
@data_options
@model_options
@threads_option
@out_options
@common_options
@click.pass_obj
def command(call: Invocation, /, model: str, **options: Any) -> int:
    """Quantize MODEL (zoo name, module:factory, or an ONNX file) to int8 or one bit; --out becomes a run folder.

    It holds the new graph (int8.onnx, or binary.onnx with packed signs) and a receipt: score before and after on
    validation data, what became smaller, what each layer costs. Killed and started again, training goes on from its
    checkpoint.
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
    graph = next(out.glob(f"steps/*-{method}/{_GRAPHS[method]}"))
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
    from ...compress.passes import BinarizeOptions, QatOptions, QuantizeOptions, check_order
    from ..model_source import open_source, start_facts
    from ..recipe_records import PassStep

    if options["task"] is None and options["calibration"] is None:
        raise click.UsageError("real inputs are needed: give --task NAME or --calibration FILE")
    source = open_source(model, **given_model(options))
    method, settings = options["method"], _settings(options)
    check_order([method], start_facts(source.recipe))
    kinds = {"qat": QatOptions, "quantize": QuantizeOptions, "binarize": BinarizeOptions}
    made: Any = kinds[method](**settings)
    return source.changed(passes=(PassStep(method, made),))


_GRAPHS = {"quantize": "int8.onnx", "qat": "int8.onnx", "binarize": "binary.onnx"}
"""What each pass leaves in its step's folder."""


def _settings(options: dict[str, Any]) -> dict[str, Any]:
    """Options of the pass; one that belongs to another method is refused."""
    training = _given(options, ("epochs", "batch_size", "learning_rate"))
    signs = _given(options, ("operator", "activation", "border", "first_stage"))
    signs.update({name: True for name in ("first", "last") if options[name]})
    after = {"keep_float": options["keep_float"], "sensitivity": options["sensitivity"]}
    observer = {} if options["observer"] == "auto" else {"observer": options["observer"]}
    common = {"calibration_samples": options["calibration_samples"]}
    method = options["method"]
    if method == "quantize":
        _refuse({**training, **signs}, method)
        return {**common, **after, "observer": options["observer"]}
    if method == "qat":
        _refuse({**signs, **{key: value for key, value in after.items() if value}}, method)
        return {**common, **training, **observer}
    _refuse({**observer, **_given({"sensitivity": options["sensitivity"] or None})}, method)
    border = {"border": int(signs["border"])} if "border" in signs else {}
    return {**training, **signs, **border, "keep_float": options["keep_float"]}


def _given(options: dict[str, Any], names: tuple[str, ...] | None = None) -> dict[str, Any]:
    """Those of the options that the user gave."""
    chosen = options if names is None else {name: options[name] for name in names}
    return {name: value for name, value in chosen.items() if value is not None}


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
