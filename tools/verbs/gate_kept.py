"""Verbs of the gate that run nothing: compare, baseline update, report, history."""

from __future__ import annotations

from pathlib import Path

import click

from ..exit_codes import ExitCode
from ..invocation import Invocation, common_options
from .gate_options import CONFIG, FORCE, FORMAT, OUT, VERDICT, finish, with_options
from .options import PATH


def _share(context: click.Context, parameter: click.Parameter, text: str) -> float:
    """Callback: 5% or 0.05 -> 0.05."""
    number, percent = text.strip().removesuffix("%"), text.strip().endswith("%")
    try:
        value = float(number) / (100 if percent else 1)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1:
        raise click.BadParameter(f"{text!r} is no share such as 5%", context, parameter)
    return value


@click.command("compare")
@click.option(
    "--base", type=PATH, required=True, help="Old results, or a history (.jsonl) with --best-of."
)
@click.option("--new", type=PATH, required=True, help="New results.")
@click.option(
    "--best-of", type=click.IntRange(1), help="Against the best of the last N of a history."
)
@click.option(
    "--tolerance",
    default="5%",
    show_default=True,
    callback=_share,
    help="Of times that no configuration limits.",
)
@CONFIG
@OUT
@FORCE
@FORMAT
@with_options(VERDICT)
@common_options
@click.pass_obj
def compare_command(
    call: Invocation,
    base: Path,
    new: Path,
    best_of: int | None,
    tolerance: float,
    config: Path | None,
    out: Path | None,
    force: bool,
    form: str,
    policy: str,
    exit_zero: bool,
    trust: bool,
    test: str,
) -> int:
    """Judge results that were measured before; nothing is run."""
    if call.dry_run:
        return call.plan("gate compare", reads=[base, new], writes=[out] if out else [])
    import datetime

    from ...runtime.files import refuse_overwrite
    from ..gate.compare import compare_results
    from ..gate.config import load_config
    from ..gate.history import best_of as best_of_history
    from ..gate.judge import Rules
    from ..gate.records import read_results

    if out is not None:
        refuse_overwrite(out, force)
    if (best_of is not None) != (base.suffix == ".jsonl"):
        raise click.UsageError("--best-of N goes with a history (.jsonl) as --base, and only there")
    old = best_of_history(base, best_of) if best_of else read_results(base)
    today = datetime.datetime.now(datetime.UTC).date()
    results = compare_results(
        old,
        read_results(new),
        config=load_config(config) if config else None,
        tolerance=tolerance,
        rules=Rules(test=test, trust_stored=trust, today=today),
        policy=policy,
    )
    return finish(call, results, out, form, exit_zero, [])


@click.group("baseline")
@common_options
def baseline_command() -> None:
    """Keep the numbers that others are compared with."""


@baseline_command.command("update")
@click.option("--results", "source", type=PATH, required=True, help="Results of `gate run`.")
@click.option("--file", "target", type=PATH, help="The baseline (else that of --config).")
@CONFIG
@click.option("--force", is_flag=True, help="Accept results with a fail or an invalid number.")
@common_options
@click.pass_obj
def update_command(
    call: Invocation, source: Path, target: Path | None, config: Path | None, force: bool
) -> int:
    """Make results the baseline; refused after a fail or an invalid number."""
    from ..gate.baseline import update_baseline
    from ..gate.config import load_config
    from ..gate.records import read_results

    if target is None and config is not None:
        target = load_config(config).baseline.file
    if target is None:
        raise click.UsageError(
            "name the baseline: --file, or --config with `baseline: {file: ...}`"
        )
    if call.dry_run:
        return call.plan("gate baseline update", reads=[source], writes=[target])
    kept = update_baseline(read_results(source), target, force=force)
    document = {
        "schema": "edgepress-baseline-update/1",
        "file": str(target),
        "entries": len(kept.entries),
        "commit": kept.commit,
        "updated_by": kept.updated_by,
    }
    told = f"{target}: {len(kept.entries)} numbers of {kept.commit or 'no commit'}, by {kept.updated_by}"
    call.give(document, told)
    return ExitCode.OK


@click.command("report")
@click.option("--results", "source", type=PATH, required=True, help="Results of `gate run`.")
@click.option("--out", type=PATH, help="Write it here instead of printing it.")
@FORCE
@FORMAT
@common_options
@click.pass_obj
def report_command(call: Invocation, source: Path, out: Path | None, force: bool, form: str) -> int:
    """Show results in another format; the exit code is 0."""
    if call.dry_run:
        return call.plan("gate report", reads=[source], writes=[out] if out else [], format=form)
    from ...runtime.files import refuse_overwrite, write_text
    from ..gate.records import read_results, results_json
    from ..gate.reports import render

    results = read_results(source)
    text = render(results, form)
    if out is not None:
        refuse_overwrite(out, force)
        write_text(out, text)
    call.give(results_json(results), "" if out else text.rstrip("\n"))
    return ExitCode.OK


@click.command("history")
@click.option("--file", "source", type=PATH, required=True, help="History, one document a line.")
@click.option("--add", type=PATH, help="Results to add first.")
@click.option(
    "--tolerance",
    default="5%",
    show_default=True,
    callback=_share,
    help="Smallest step worth telling.",
)
@click.option("--index", type=PATH, help="The sqlite index (else beside the history).")
@common_options
@click.pass_obj
def history_command(
    call: Invocation, source: Path, add: Path | None, tolerance: float, index: Path | None
) -> int:
    """Show how each number went: its steps, and the commit of the last one for the worse."""
    if call.dry_run:
        return call.plan("gate history", reads=[add or source], writes=[source] if add else [])
    from ...runtime.codec import to_json
    from ..gate.history import append, trends
    from ..gate.records import read_results
    from ..gate.trend_text import trend_text

    if add is not None:
        append(read_results(add), source)
    found = trends(source, tolerance, index)
    document = {"schema": "edgepress-trends/1", "trends": [to_json(trend) for trend in found]}
    call.give(document, "" if call.json else trend_text(found))
    return ExitCode.OK
