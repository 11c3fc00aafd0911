"""What every verb shares: --json, --dry-run, -v, -q, and the two streams.

    @click.command("inspect")
    @common_options
    @click.pass_obj
    def command(call: Invocation, ...) -> int: ...

Results go to stdout (with --json exactly one JSON document), everything else to stderr.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import click

from .exit_codes import ExitCode

F = TypeVar("F", bound=Callable[..., Any])


@dataclass
class Invocation:
    """Settings of one call. `verbosity`: -1 quiet, 0 normal, 1 and more verbose."""

    json: bool = False
    dry_run: bool = False
    verbosity: int = 0
    arguments: list[str] = field(default_factory=list)

    def give(self, document: Mapping[str, Any], text: str = "") -> None:
        """Print the verb's result: `document` as JSON under --json, else `text`."""
        if self.json:
            click.echo(json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False))
        elif text:
            click.echo(text)

    def say(self, text: str) -> None:
        """A remark for the reader (stderr); not with --quiet."""
        if self.verbosity >= 0:
            click.echo(text, err=True)

    def detail(self, text: str) -> None:
        """A remark only with --verbose (stderr)."""
        if self.verbosity > 0:
            click.echo(text, err=True)

    def tell_user_code(self, recipe: Any) -> None:
        """Say which code of the user's a recipe will run."""
        from .model_source import user_code_of

        names = user_code_of(recipe)
        if names:
            self.say(
                f"note: importing {', '.join(names)} runs your code; --no-user-code forbids it"
            )

    def plan(
        self,
        verb: str,
        *,
        reads: Sequence[Path | str] = (),
        writes: Sequence[Path | str] = (),
        steps: Sequence[str] = (),
        **settings: Any,
    ) -> int:
        """Print what the verb would do and change nothing; for --dry-run."""
        told = {
            "reads": [str(path) for path in reads],
            "steps": list(steps),
            "writes": [str(path) for path in writes],
        }
        plain = {key: _plain(value) for key, value in settings.items()}
        document = {"schema": "edgepress-plan/1", "verb": verb, **told, "settings": plain}
        lines = [f"{verb}: nothing is done (--dry-run)"]
        lines += [f"  {kind:<8} {item}" for kind, items in told.items() for item in items]
        lines += [f"  setting  {key} = {value}" for key, value in plain.items()]
        self.give(document, "\n".join(lines))
        return ExitCode.OK

    def progress(self) -> Any:
        """Where long work reports (tools/console_progress.py): bars on a terminal, plain lines elsewhere."""
        from .console_progress import make_progress

        return make_progress(enabled=self.verbosity >= 0)


def _plain(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    return value if value is None or isinstance(value, (str, int, float, bool)) else str(value)


def _set(name: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    def callback(context: click.Context, _: click.Parameter, value: Any) -> None:
        call = context.ensure_object(Invocation)
        if name == "verbosity":
            call.verbosity += value
        elif name == "quiet":
            call.verbosity -= value
        elif value:
            setattr(call, name, True)

    return callback


_OPTIONS: tuple[tuple[tuple[str, ...], dict[str, Any], str], ...] = (
    (("--json",), {"is_flag": True, "help": "One JSON document on stdout."}, "json"),
    (
        ("--dry-run",),
        {"is_flag": True, "help": "Print what would be done, and do nothing."},
        "dry_run",
    ),
    (("-v", "--verbose"), {"count": True, "help": "Say more; show tracebacks."}, "verbosity"),
    (("-q", "--quiet"), {"count": True, "help": "Say only what matters."}, "quiet"),
)


def common_options(function: F) -> F:
    """Add --json, --dry-run, -v and -q; their values go to the `Invocation` of the context."""
    for names, settings, target in reversed(_OPTIONS):
        option = click.option(
            *names, **settings, callback=_set(target), expose_value=False, is_eager=True
        )
        function = option(function)
    return function
