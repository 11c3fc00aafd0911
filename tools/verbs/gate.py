"""`edgepress gate`: let CI fail when a file got slower, bigger or worse. Verbs on kept results: gate_kept.py."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..exit_codes import ExitCode
from ..invocation import Invocation, common_options
from . import gate_kept
from .gate_options import FORMATS, RUN, finish, with_options

if TYPE_CHECKING:
    from ..gate.config import GateConfig


@click.group("gate", invoke_without_command=True)
@with_options(RUN)
@common_options
@click.pass_context
def command(context: click.Context, /, **options: Any) -> int:
    """Measure the files of a configuration and judge them against limits and baselines.

    Without a verb behind it, the same as `gate run`. Exact numbers (sizes, counts, accuracy) decide by default;
    times on this machine warn at most.
    """
    if context.invoked_subcommand is None:
        return _run(context.obj, **options)
    given = [n for n in options if context.get_parameter_source(n) == _GIVEN]
    if given:
        flag = given[0].replace("_", "-")
        raise click.UsageError(f"write --{flag} behind `{context.invoked_subcommand}`", context)
    return ExitCode.OK


_GIVEN = click.core.ParameterSource.COMMANDLINE


@command.command("run")
@with_options(RUN)
@common_options
@click.pass_obj
def run_command(call: Invocation, /, **options: Any) -> int:
    """Measure and judge: the same as `edgepress gate`."""
    return _run(call, **options)


def _run(
    call: Invocation,
    config: Path | None,
    out: Path | None,
    force: bool,
    form: str,
    policy: str,
    exit_zero: bool,
    trust: bool,
    test: str,
    reports: tuple[str, ...],
    data: Path | None,
    no_user_code: bool,
    no_cache: bool,
) -> int:
    if config is None:
        raise click.UsageError("missing option '--config'; docs/gates.md shows a configuration")
    from ...runtime.files import refuse_overwrite
    from ..gate.config import load_config

    loaded = load_config(config)
    targets = [_target(text) for text in reports]
    if call.dry_run:
        return _plan(call, loaded, [out, *(path for _, path in targets)])
    for path in [*([out] if out else []), *(path for _, path in targets)]:
        refuse_overwrite(path, force)
    from ..cache import Cache, default_folder
    from ..gate.run import Settings, run_gates

    with call.progress() as progress:
        settings = Settings(
            cache=None if no_cache else Cache(default_folder()),
            test=test,
            trust_stored=trust,
            policy=policy,
            data=data,
            user_code=not no_user_code,
            progress=progress,
        )
        results = run_gates(loaded, settings)
    return finish(call, results, out, form, exit_zero, targets)


def _plan(call: Invocation, config: GateConfig, writes: list[Path | None]) -> int:
    lines = [
        f"{gate.model} @{gate.device}{'/' + gate.engine if gate.engine else ''}: "
        + ", ".join(limit.metric for limit in gate.budget.limits)
        for gate in config.gates
    ]
    reads = [config.path, *(gate.path for gate in config.gates)]
    reads += [config.baseline.file] if config.baseline.file else []
    return call.plan(
        "gate", reads=list(dict.fromkeys(reads)), writes=[w for w in writes if w], steps=lines
    )


def _target(text: str) -> tuple[str, Path]:
    """`junit=gate.xml` -> format and path."""
    form, _, path = text.partition("=")
    if form not in FORMATS.choices or not path:
        raise click.BadParameter(
            f"{text!r} is not FORMAT=PATH with one of {', '.join(map(str, FORMATS.choices))}",
            param_hint="--report",
        )
    return form, Path(path)


for _verb in (
    gate_kept.compare_command,
    gate_kept.baseline_command,
    gate_kept.report_command,
    gate_kept.history_command,
):
    command.add_command(_verb)
