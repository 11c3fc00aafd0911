"""From a recipe to its steps in order, wired by the roles of the files they take and give, each with its key."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .digest import digest, own_source_sha256, package_versions
from .recipe_records import Recipe

if TYPE_CHECKING:
    from .inputs import Inputs
    from .steps.base import Step

KEY_SCHEMA = 1


@dataclass(frozen=True)
class PlannedStep:
    """A step in its place. `sources` maps a role it takes to (folder of the step that gives it, file name)."""

    folder: str
    step: Step
    sources: Mapping[str, tuple[str, str]] = field(default_factory=dict)


def make_plan(recipe: Recipe, until: str = "") -> tuple[PlannedStep, ...]:
    """The steps of a recipe; `until` names the last one wanted ("quantize", "export", ...)."""
    planned: list[PlannedStep] = []
    given: dict[str, tuple[str, str]] = {}
    for number, step in enumerate(_steps(recipe), 1):
        folder = f"{number:02d}-{step.name}"
        sources = {role: given[role] for role in step.takes if role in given}
        planned.append(PlannedStep(folder, step, sources))
        given.update({role: (folder, name) for role, name in step.gives.items()})
    if until:
        last = max((i for i, p in enumerate(planned) if p.step.name == until), default=None)
        if last is None:
            from ..runtime.errors import UsageError

            names = ", ".join(p.step.name for p in planned)
            raise UsageError(f"the run has no step {until!r}", hint=f"its steps: {names}")
        planned = planned[: last + 1]
    return tuple(planned)


def _steps(recipe: Recipe) -> list[Step]:
    from .steps.binarize import BinarizeStep
    from .steps.budget import BudgetStep
    from .steps.evaluate import EvaluateStep
    from .steps.export import ExportStep
    from .steps.hub import HubStep
    from .steps.profile import ProfileStep
    from .steps.qat import QatStep
    from .steps.quantize import QuantizeStep
    from .steps.train import TrainStep
    from .steps.verify import VerifyStep

    steps: list[Step] = []
    has_hub = False
    for item in recipe.passes:
        if item.name in ("quantize", "qat", "binarize") and not has_hub:
            steps.append(HubStep())
            has_hub = True
        made: dict[str, Any] = {
            "train": TrainStep,
            "quantize": QuantizeStep,
            "qat": QatStep,
            "binarize": BinarizeStep,
        }
        steps.append(made[item.name](item.options))
    if not has_hub:
        steps.append(HubStep())
    steps.append(ExportStep())
    if recipe.verify is not None:
        steps.append(VerifyStep(recipe.verify))
    if recipe.evaluate is not None and recipe.task is not None:
        steps.append(EvaluateStep(recipe.evaluate))
    if recipe.profile is not None:
        steps.append(ProfileStep(recipe.profile))
    steps.append(BudgetStep())
    return steps


def common_facts(recipe: Recipe) -> dict[str, Any]:
    """What every key covers: our code, packages, machine type, seed, threads, device."""
    return {
        "schema": KEY_SCHEMA,
        "code": own_source_sha256(),
        "packages": package_versions(),
        "machine": platform.machine(),
        "seed": recipe.seed,
        "threads": recipe.threads,
        "device": recipe.device,
    }


def step_keys(plan: tuple[PlannedStep, ...], inputs: Inputs) -> dict[str, str]:
    """Folder -> key of every step: over the common facts, its own, and the keys of the steps it takes from."""
    common = common_facts(inputs.recipe)
    keys: dict[str, str] = {}
    for planned in plan:
        upstream = {role: keys[folder] for role, (folder, _) in planned.sources.items()}
        keys[planned.folder] = digest(
            {
                "common": common,
                "folder": planned.folder,
                "facts": dict(planned.step.key_facts(inputs)),
                "upstream": upstream,
            }
        )
    return keys
