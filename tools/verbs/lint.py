"""`edgepress lint`: int8 rules, operator versions, quantization parameters of a TFLite file."""

from __future__ import annotations

from pathlib import Path

import click

from ..exit_codes import ExitCode
from ..invocation import Invocation, common_options


@click.command("lint")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--target-runtime",
    metavar="VERSION",
    help="TensorFlow release of the runtime that must run the file, e.g. 2.14.",
)
@common_options
@click.pass_obj
def command(call: Invocation, file: Path, target_runtime: str | None) -> int:
    """Check a TFLite FILE of any origin; exit 1 if it has errors (warnings do not count)."""
    if call.dry_run:
        return call.plan("lint", reads=[file], target_runtime=target_runtime)
    from ...export.lint import ERROR, lint
    from ...runtime.codec import to_json

    findings = lint(file, target_runtime)
    errors = sum(finding.severity == ERROR for finding in findings)
    document = {
        "schema": "edgepress-lint/1",
        "file": str(file),
        "target_runtime": target_runtime,
        "errors": errors,
        "warnings": len(findings) - errors,
        "findings": [to_json(finding) for finding in findings],
    }
    lines = [str(finding) for finding in findings]
    lines.append(f"{file.name}: {errors} errors, {len(findings) - errors} warnings")
    call.give(document, "\n".join(lines))
    return ExitCode.FAILED if errors else ExitCode.OK
