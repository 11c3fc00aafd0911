"""`edgepress report`: the report of a run folder, shown or written again from its records."""

from __future__ import annotations

from pathlib import Path

import click

from ..exit_codes import ExitCode
from ..invocation import Invocation, common_options


@click.command("report")
@click.argument("run_folder", type=click.Path(path_type=Path))
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "md", "html", "json"]),
    default="text",
    show_default=True,
    help="What to print on stdout.",
)
@click.option(
    "--out", type=click.Path(path_type=Path), help="Write to this file instead of stdout."
)
@click.option(
    "--write", is_flag=True, help="Write report.json, .md and .html in the run folder again."
)
@click.option("--force", is_flag=True, help="Overwrite --out.")
@common_options
@click.pass_obj
def command(
    call: Invocation, run_folder: Path, form: str, out: Path | None, write: bool, force: bool
) -> int:
    """Gather the records of RUN_FOLDER and show them; a failed run still ends in 0 here."""
    from ...runtime.files import refuse_overwrite, write_text

    if out is not None:
        refuse_overwrite(out, force)
    if call.dry_run:
        views = [run_folder / f"report.{end}" for end in ("json", "md", "html")] if write else []
        return call.plan("report", reads=[run_folder], writes=[*views, *([out] if out else [])])
    from ..report import build_report, render, write_report

    report = build_report(run_folder)
    if write:
        for path in write_report(run_folder, report):
            call.say(f"wrote {path}")
    if out is not None:
        write_text(out, click.unstyle(render(report, form)))
        call.say(f"wrote {out}")
        call.give(report)
    else:
        call.give(report, "" if call.json else render(report, form).rstrip("\n"))
    return ExitCode.OK
