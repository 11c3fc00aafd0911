"""Options of the gate's verbs, and how they all end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ..exit_codes import ExitCode
from ..invocation import Invocation
from .options import PATH

if TYPE_CHECKING:
    from ..gate.records import Results

F = TypeVar("F", bound=Callable[..., Any])

FORMATS = click.Choice(["text", "md", "junit", "github", "json", "benchmark-action"])
CONFIG = click.option("--config", type=PATH, help="Gates: a YAML or TOML file.")
OUT = click.option("--out", type=PATH, help="Write the results here (JSON).")
FORCE = click.option("--force", is_flag=True, help="Overwrite files that are there.")
FORMAT = click.option(
    "--format", "form", type=FORMATS, default="text", show_default=True, help="What is printed."
)
VERDICT = (
    click.option(
        "--inconclusive",
        "policy",
        type=click.Choice(["none", "warn", "fail", "pass"]),
        default="none",
        show_default=True,
        help="What no verdict counts as; none is exit code 3.",
    ),
    click.option("--exit-zero", is_flag=True, help="Report only: failed gates end with 0 too."),
    click.option(
        "--trust-stored-baseline",
        "trust",
        is_flag=True,
        help="Let stored times fail a gate, not only warn.",
    ),
    click.option(
        "--test",
        type=click.Choice(["bootstrap", "mwu"]),
        default="bootstrap",
        show_default=True,
        help="How times are told apart; mwu is the exact Mann-Whitney test.",
    ),
)
RUN = (
    CONFIG,
    OUT,
    FORCE,
    FORMAT,
    *VERDICT,
    click.option(
        "--report",
        "reports",
        multiple=True,
        metavar="FORMAT=PATH",
        help="Write a report too (repeatable).",
    ),
    click.option("--data", type=PATH, help="Folder of the data sets (else EDGEPRESS_DATA)."),
    click.option("--no-user-code", is_flag=True, help="Refuse module:factory as task."),
    click.option("--no-cache", is_flag=True, help="Measure again what is in the cache."),
)


def with_options(options: tuple[Callable[[F], F], ...]) -> Callable[[F], F]:
    """All options of a group, in their order."""

    def decorate(function: F) -> F:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


def finish(
    call: Invocation,
    results: Results,
    out: Path | None,
    form: str,
    exit_zero: bool,
    targets: list[tuple[str, Path]],
) -> int:
    """Write, print, append to the job's summary, and give the exit code."""
    from ...runtime.files import write_text
    from ..gate.records import results_json, write_results
    from ..gate.reports import render
    from ..gate.run import exit_code
    from ..gate.summary import append_summary

    if out is not None:
        write_results(results, out)
    for kind, path in targets:
        write_text(path, render(results, kind))
    append_summary(results)
    call.give(results_json(results), "" if call.json else render(results, form).rstrip("\n"))
    code = exit_code(results.judgements)
    return ExitCode.OK if exit_zero and code in (ExitCode.FAILED, ExitCode.NO_VERDICT) else code
