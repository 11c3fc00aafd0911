"""`edgepress doctor`: is this installation complete, and what is it able to do?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..exit_codes import ExitCode
from ..invocation import Invocation, common_options
from .options import PATH

if TYPE_CHECKING:
    from ..health import Finding


@click.command("doctor")
@click.option("--data", type=PATH, help="Folder of the data sets (else EDGEPRESS_DATA).")
@click.option("--prune", is_flag=True, help="Bring the cache under its limit and remove leftovers.")
@click.option("--prune-all", is_flag=True, help="Empty the cache.")
@common_options
@click.pass_obj
def command(call: Invocation, data: Path | None, prune: bool, prune_all: bool) -> int:
    """Check Python, packages, engines, torch, cache, disk and data; exit 2 if something will not work."""
    if call.dry_run:
        from ..cache import default_folder

        writes = [default_folder()] if prune or prune_all else []
        return call.plan("doctor", writes=writes, prune=prune, prune_all=prune_all)
    from ...runtime.codec import to_json
    from .. import health

    pruned = _prune(0 if prune_all else None) if prune or prune_all else None
    findings = [
        *health.python_findings(),
        *health.package_findings(),
        *health.engine_findings(),
        *health.torch_findings(),
        *health.cache_findings(),
        *health.disk_findings(),
        *health.data_findings(data),
    ]
    bad = [finding for finding in findings if finding.state == health.BAD]
    document = {
        "schema": "edgepress-doctor/1",
        "healthy": not bad,
        "pruned": pruned,
        "findings": [to_json(finding) for finding in findings],
    }
    call.give(document, "" if call.json else _text(findings, bad, pruned))
    return ExitCode.USAGE if bad else ExitCode.OK


def _prune(limit: int | None) -> dict[str, object]:
    from ...runtime.codec import to_json
    from ..cache import Cache, default_folder

    state: dict[str, object] = to_json(Cache(default_folder()).prune(limit))
    return state


def _text(findings: list[Finding], bad: list[Finding], pruned: dict[str, object] | None) -> str:
    from ..render import kib, plural, table

    lines = [
        table(
            ("state", "what", "name", "found"),
            [(f.state, f.area, f.name, f.value) for f in findings],
        )
    ]
    hints = [f"{f.name}: {f.hint}" for f in findings if f.hint]
    lines += ["", *hints] if hints else []
    if pruned is not None:
        freed = kib(int(str(pruned["freed_bytes"])))
        lines += ["", f"cache: {pruned['removed']} entries removed, {freed} freed"]
    lines += [
        "",
        "everything needed is there" if not bad else f"{plural(len(bad), 'problem')} found",
    ]
    return "\n".join(lines)
