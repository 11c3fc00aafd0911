"""The command line: `edgepress VERB ...`. Verbs live in tools/verbs/, one file each, loaded when called.

`edgepress --help` and the import of this module load click only: no torch, onnx, onnxruntime, pydantic or rich.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import traceback
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

import click

from .. import __version__
from ..runtime.errors import EdgepressError
from .exit_codes import ExitCode, Terminated, judge
from .invocation import Invocation, common_options

VERBS = {
    "run": "Compress, export, prove and profile in one go, from a recipe.",
    "compress": "Quantize or binarize a model (after training, or with training).",
    "export": "Write ONNX and TFLite files of a model.",
    "verify": "Prove that files compute what the model computes.",
    "profile": "Measure files on this machine or a board; count on an emulated one.",
    "gate": "Fail when a file got slower, bigger or worse than allowed.",
    "bench-binary": "Compare binarization operators on six tracks.",
    "report": "Show or rewrite the report of a run folder.",
    "inspect": "Show the layers, sizes and tensors of any ONNX or TFLite file.",
    "lint": "Check a TFLite file against the int8 rules and engine versions.",
    "devices": "List devices, probe and set up boards, import records.",
    "recipes": "List and show recipes, print their schema.",
    "doctor": "Check this installation, its engines, data and cache.",
}


class EdgepressGroup(click.Group):
    """Loads a verb's module on use, and ends every command with one message and the right exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The verbs in the order of work."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a verb, from tools/verbs/VERB.py."""
        if cmd_name not in VERBS:
            return None
        module = import_module(f".verbs.{cmd_name.replace('-', '_')}", __package__)
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The table of verbs, without loading any."""
        with formatter.section("Verbs"):
            formatter.write_dl(list(VERBS.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """click's, with the nearest verb named for an unknown one."""
        if args and args[0] not in VERBS and not args[0].startswith("-"):
            from difflib import get_close_matches

            near = get_close_matches(args[0], VERBS, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            ctx.fail(f"There is no verb {args[0]!r}{hint}")
        return super().resolve_command(ctx, args)

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        *rest: Any,
        **extra: Any,
    ) -> NoReturn:
        """Run and leave the process with an exit code; nothing but `SystemExit` comes out."""
        if "_EDGEPRESS_COMPLETE" in os.environ:
            super().main(args, prog_name, *rest, **extra)  # shell completion
        call = Invocation(arguments=list(sys.argv[1:] if args is None else args))
        try:
            with _sigterm():
                code = self._run(call, prog_name or "edgepress")
                sys.stdout.flush()
        except BaseException as error:
            # click gives up parsing at the first mistake: the flags after it still say how to report it
            call.json = call.json or "--json" in call.arguments
            code = _end(error, call)
        sys.exit(code)

    def _run(self, call: Invocation, name: str) -> int:
        """The exit code of the verb; --help and --version leave through `click.exceptions.Exit`."""
        try:
            with self.make_context(name, list(call.arguments), obj=call) as context:
                if not call.arguments:
                    click.echo(context.get_help(), err=True)
                    return ExitCode.USAGE
                return int(self.invoke(context) or 0)
        except click.exceptions.Exit as done:
            return done.exit_code


def _end(error: BaseException, call: Invocation) -> int:
    """Say what went wrong, once, and give the exit code."""
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else ExitCode.INTERNAL
    code, known = judge(error)
    if code == ExitCode.BROKEN_PIPE:
        with contextlib.suppress(OSError), Path(os.devnull).open("w") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())  # what is still buffered
        return code
    if code in (ExitCode.INTERRUPTED, ExitCode.TERMINATED):
        click.echo(
            "stopped: " + ("terminated" if code == ExitCode.TERMINATED else "interrupted"), err=True
        )
        return code
    if known is None:
        known = _crash(error)
    if call.json:
        document = {
            "schema": "edgepress-error/1",
            "exit_code": int(code),
            "error": _facts(known, error),
        }
        click.echo(json.dumps(document, indent=2))
    click.echo(f"error: {known}", err=True)
    if call.verbosity > 0:
        click.echo("".join(traceback.format_exception(error)), err=True)
    return code


def _facts(known: EdgepressError, error: BaseException) -> dict[str, Any]:
    kind = type(error if isinstance(error, EdgepressError) else known).__name__
    return {"kind": kind, "what": known.what, "where": known.where, "hint": known.hint}


def _crash(error: BaseException) -> EdgepressError:
    """The message of an unforeseen exception; its traceback goes to a file."""
    import tempfile

    text = "".join(traceback.format_exception(error))
    hint = "run again with -v to see the traceback"
    with contextlib.suppress(OSError):
        handle, name = tempfile.mkstemp(prefix="edgepress-crash-", suffix=".txt")
        with os.fdopen(handle, "w") as stream:
            stream.write(f"edgepress {__version__}\n{' '.join(sys.argv)}\n\n{text}")
        hint = f"the traceback is in {name}; please report it"
    first = str(error).strip().splitlines()[:1]
    what = f"{type(error).__name__}: {first[0] if first else 'no message'}"
    return EdgepressError(f"internal error: {what}", hint=hint)


@contextlib.contextmanager
def _sigterm() -> Iterator[None]:
    """SIGTERM raises `Terminated`, so that temporary files are removed on the way out."""

    def handler(*_: Any) -> NoReturn:
        raise Terminated

    try:
        before = signal.signal(signal.SIGTERM, handler)
    except ValueError:  # not the main thread
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@click.group(
    cls=EdgepressGroup,
    no_args_is_help=False,
    name="edgepress",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 ok, 1 a check failed, 2 usage or input, 3 no verdict, 4 device, 5 internal.",
)
@click.version_option(__version__, prog_name="edgepress")
@common_options
def cli() -> None:
    """Make a trained network small and fast for the edge, and prove it.

    Start with `edgepress recipes` and `edgepress run watch-har --out runs/watch-har`, or with any file:
    `edgepress inspect model.onnx`.
    """


def main() -> NoReturn:
    """Entry point of the console script."""
    cli.main(prog_name="edgepress")
