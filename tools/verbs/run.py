"""`edgepress run`: a recipe from model to report, resumable."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ..invocation import Invocation, common_options
from .options import PATH


@click.command("run")
@click.argument("recipe")
@click.option(
    "--out",
    type=PATH,
    required=True,
    help="Run folder; an interrupted run there is taken up again.",
)
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Change the recipe, e.g. passes.train.epochs=2 (repeatable).",
)
@click.option("--data", type=PATH, help="Folder of the data sets (else EDGEPRESS_DATA).")
@click.option("--seed", type=click.IntRange(0), help="Short for --set seed=N.")
@click.option("--threads", type=click.IntRange(1, 256), help="Short for --set threads=N.")
@click.option("--force", is_flag=True, help="Replace the run that is in the folder.")
@click.option("--no-cache", is_flag=True, help="Neither use nor fill the cache of finished steps.")
@click.option("--no-user-code", is_flag=True, help="Refuse module:factory, which runs your code.")
@common_options
@click.pass_obj
def command(call: Invocation, /, recipe: str, out: Path, **options: Any) -> int:
    """Compress, export, prove, profile and report in one go.

    RECIPE is a YAML file or the name of a recipe that comes with edgepress (`edgepress recipes`). Killed and started
    again, a run goes on from its last finished step, training from its last checkpoint. Exit 1 if a proof or a
    budget fails.
    """
    from ..recipe import load_recipe

    overrides = list(options["overrides"])
    overrides += [
        f"{key}={options[key]}" for key in ("seed", "threads") if options[key] is not None
    ]
    loaded = load_recipe(recipe, overrides)
    if call.dry_run:
        return _plan(call, loaded, out, options)
    from ...runtime.codec import to_json
    from ..cache import Cache, default_folder
    from ..pipeline import run_recipe

    call.tell_user_code(loaded)
    with call.progress() as progress:
        result = run_recipe(
            loaded,
            out,
            data=options["data"],
            progress=progress,
            force=options["force"],
            cache=None if options["no_cache"] else Cache(default_folder()),
            command=("edgepress", *call.arguments),
            allow_user_code=not options["no_user_code"],
        )
    document = to_json(result)
    if not call.json:
        call.give(document, _closing(out, result))
    else:
        call.give(document)
    return int(result.exit_code)


def _plan(call: Invocation, recipe: Any, out: Path, options: dict[str, Any]) -> int:
    from ..artifact_names import artifact_names
    from ..inputs import Inputs
    from ..plan import make_plan
    from ..recipe import recipe_values

    inputs = Inputs(recipe, options["data"], not options["no_user_code"])
    names = [str(value) for value in (recipe.model, recipe.weights, recipe.task) if value]
    steps = [f"{planned.folder}: {planned.step.title()}" for planned in make_plan(recipe)]
    writes = [*(out / "artifacts" / name for name in artifact_names(recipe)), out / "report.html"]
    inputs.hashes  # noqa: B018  # every input is there and readable, or this says which is not
    values = recipe_values(recipe)
    if call.json:
        return call.plan("run", reads=names, writes=writes, steps=steps, recipe=values)
    call.plan("run", reads=names, writes=writes, steps=steps)
    from ..recipe import recipe_yaml

    call.give({}, "\n" + recipe_yaml(recipe).rstrip())
    return 0


def _closing(out: Path, result: Any) -> str:
    """The closing table and where everything is."""
    from ..render import seconds
    from ..report import build_report, render

    text = render(build_report(out), "text").rstrip()
    taken = [f"{s.folder} ({s.origin}, {seconds(s.seconds)})" for s in result.steps]
    lines = [text, "", f"steps: {', '.join(taken)}"]
    lines += [f"FAIL {failure.step}: {failure.what}" for failure in result.failures]
    lines += [f"report: {out / 'report.html'}"]
    return "\n".join(lines)
