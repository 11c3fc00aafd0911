"""The zoo: named float networks, plain torch modules without any quantization code.

    from edgepress.compress import zoo
    model = zoo.build("resnet20")                    # the published network
    model = zoo.build("ds_cnn", classes=10)          # options of the family, see its module
    model = zoo.build_for("ds_cnn", task)            # as many outputs as the task has labels

Building draws weights from torch's global generator: seed it first. Nothing here imports torch before `build`.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ...runtime.errors import UsageError
from .entries import ENTRIES, ZooEntry

if TYPE_CHECKING:
    import torch

    from ..task import Task

__all__ = ["ZooEntry", "build", "build_for", "entry", "names"]


def names() -> tuple[str, ...]:
    """All names that `build` knows."""
    return tuple(ENTRIES)


def entry(name: str) -> ZooEntry:
    """What is known about a network without building it; an unknown name is a `UsageError`."""
    if name not in ENTRIES:
        near = difflib.get_close_matches(name, ENTRIES, n=3, cutoff=0.4)
        hint = f"did you mean {' or '.join(near)}?" if near else f"it has {', '.join(ENTRIES)}"
        raise UsageError(f"the zoo has no network {name!r}", hint=hint)
    return ENTRIES[name]


def build(name: str, **options: object) -> torch.nn.Module:
    """A fresh network in training mode.

    Raises:
        UsageError: unknown name, or an option that this family does not have.
    """
    known = _options(entry(name))
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise UsageError(
            f"{name} has no option {unknown[0]!r}", hint=f"it has {', '.join(known) or 'none'}"
        )
    return _factory(entry(name))(**options)


def build_for(name: str, task: Task, **options: object) -> torch.nn.Module:
    """A fresh network with as many outputs as `task` has labels and the input channels it feeds.

    `options` go to `build` and win over what the task says.

    Raises:
        UsageError: the network cannot take the shape of the task's input, or has no such option.
    """
    known = entry(name)
    shape = task.input_shapes[0]
    if len(shape) != len(known.input_shapes[0]):
        raise UsageError(
            f"{name} takes inputs of {len(known.input_shapes[0])} axes {known.input_shapes[0]}, "
            f"task {task.name} feeds {shape}",
            hint=f"choose another network for {task.name}",
        )
    wanted = {"classes": len(task.labels), "channels": shape[0]}
    accepted = _options(known)
    fitting: dict[str, object] = {k: v for k, v in wanted.items() if v and k in accepted}
    return build(name, **{**fitting, **options})


def _factory(known: ZooEntry) -> Callable[..., Any]:
    module = importlib.import_module(f".{known.module}", __name__)
    return getattr(module, known.factory)


def _options(known: ZooEntry) -> tuple[str, ...]:
    return tuple(inspect.signature(_factory(known)).parameters)
