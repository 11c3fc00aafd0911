"""Writes docs/command_line.md and docs/exit_codes.md from the commands themselves.

python -m edgepress.tools.command_docs            # write
python -m edgepress.tools.command_docs --check    # exit 1 if a page is out of date
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import click

from ..runtime.files import write_text
from .cli import cli
from .exit_codes import MEANINGS, PRECEDENCE

DOCS = Path(__file__).parent.parent / "docs"
MADE_BY = "Made by `python -m edgepress.tools.command_docs`; do not edit."
SHARED = ("json", "dry_run", "verbose", "quiet", "help")


def pages() -> dict[str, str]:
    """File name -> text of every page made here."""
    return {"command_line.md": command_line_page(), "exit_codes.md": exit_codes_page()}


def exit_codes_page() -> str:
    """The table of exit codes."""
    lines = ["# Exit codes", "", MADE_BY, "", "| code | meaning |", "|---:|---|"]
    lines += [f"| {int(code)} | {text} |" for code, text in MEANINGS.items()]
    order = " > ".join(str(int(code)) for code in PRECEDENCE)
    lines += [
        "",
        f"Several outcomes in one command: {order}, the first that occurred counts.",
        "",
        "An error is one message on stderr: what, where, what to do next. With `--json` it is also a",
        'document on stdout (`"schema": "edgepress-error/1"` with `exit_code` and `error: {kind, what,',
        "where, hint}`). No traceback is shown; `-v` shows it, and for code 5 the message names the file",
        "it was written to.",
    ]
    return "\n".join(lines) + "\n"


def command_line_page() -> str:
    """Every verb with its arguments and options."""
    context = click.Context(cli, info_name="edgepress")
    lines = ["# Command line", "", MADE_BY, "", *_shared(context)]
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        if command is not None:
            lines += _section(command, click.Context(command, info_name=name, parent=context), 2)
    return "\n".join(lines).rstrip() + "\n"


def _shared(context: click.Context) -> list[str]:
    """What holds for all verbs."""
    options = [p for p in cli.params if isinstance(p, click.Option) and p.name in SHARED]
    lines = [
        "Results go to stdout, everything else to stderr. No verb asks a question; none overwrites"
    ]
    lines += ["without `--force`. Exit codes: [exit_codes.md](exit_codes.md). Every verb takes", ""]
    return [*lines, *_options(options, context), ""]


def _section(command: click.Command, context: click.Context, level: int) -> list[str]:
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    lines = [
        f"{'#' * level} {context.command_path}",
        "",
        f"`{usage}`",
        "",
        *_paragraphs(command),
        "",
    ]
    own = [p for p in command.params if isinstance(p, click.Option) and p.name not in SHARED]
    if own:
        lines += [*_options(own, context), ""]
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            if inner is not None:
                deeper = click.Context(inner, info_name=name, parent=context)
                lines += _section(inner, deeper, level + 1)
    return lines


def _paragraphs(command: click.Command) -> list[str]:
    text = "\n".join(line.strip() for line in (command.help or "").strip().splitlines())
    return text.splitlines()


def _options(options: list[click.Option], context: click.Context) -> Iterator[str]:
    yield "| option | meaning |"
    yield "|---|---|"
    for option in options:
        record = option.get_help_record(context)
        if record is not None:
            names, text = (part.replace("|", "\\|") for part in record)
            yield f"| `{names}` | {text} |"


def main(arguments: list[str]) -> int:
    """Write the pages, or compare them with --check."""
    stale = []
    for name, text in pages().items():
        path = DOCS / name
        if path.is_file() and path.read_text("utf-8") == text:
            continue
        stale.append(name)
        if "--check" not in arguments:
            write_text(path, text)
    word = "out of date" if "--check" in arguments else "written"
    print(f"{', '.join(stale)}: {word}" if stale else "up to date")
    return 1 if stale and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
