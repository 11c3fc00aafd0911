"""`edgepress recipes`: what comes with edgepress, and the schema of a recipe."""

from __future__ import annotations

import click

from ..exit_codes import ExitCode
from ..invocation import Invocation, common_options


@click.group("recipes", invoke_without_command=True)
@common_options
@click.pass_context
def command(context: click.Context) -> int:
    """List the recipes that come with edgepress (`show NAME`, `schema` for more)."""
    if context.invoked_subcommand is None:
        return _list(context.obj)
    return ExitCode.OK


@command.command("list")
@common_options
@click.pass_obj
def list_command(call: Invocation) -> int:
    """List the recipes that come with edgepress."""
    return _list(call)


@command.command("show")
@click.argument("name")
@click.option("--resolved", is_flag=True, help="With every default spelled out.")
@common_options
@click.pass_obj
def show_command(call: Invocation, name: str, resolved: bool) -> int:
    """Print the recipe NAME (shipped, or a file), to be changed and run."""
    from ..recipe import find_recipe, load_recipe, recipe_values, recipe_yaml

    recipe = load_recipe(name)
    text = recipe_yaml(recipe) if resolved else find_recipe(name)[0].decode("utf-8")
    document = {
        "schema": "edgepress-recipe/1",
        "name": recipe.name,
        "recipe": recipe_values(recipe),
    }
    call.give(document, text.rstrip("\n"))
    return ExitCode.OK


@command.command("schema")
@common_options
@click.pass_obj
def schema_command(call: Invocation) -> int:
    """Print the JSON Schema of recipes, for editors."""
    import json

    from ..recipe import recipe_json_schema

    schema = recipe_json_schema()
    call.give(schema, json.dumps(schema, indent=2))
    return ExitCode.OK


def _list(call: Invocation) -> int:
    from ..recipe import load_recipe, shipped_recipes
    from ..render import table

    rows: list[dict[str, str]] = []
    for name in shipped_recipes():
        recipe = load_recipe(name)
        passes = ", ".join(step.name for step in recipe.passes)
        rows.append(
            {"name": name, "model": recipe.model, "task": recipe.task or "", "passes": passes}
        )
    body = [(row["name"], row["model"], row["task"], row["passes"]) for row in rows]
    text = table(("recipe", "model", "task", "passes"), body)
    hint = "run one with `edgepress run NAME --out FOLDER`; start your own from `edgepress recipes show NAME`"
    call.give({"schema": "edgepress-recipes/1", "recipes": rows}, f"{text}\n\n{hint}")
    return ExitCode.OK
