"""Which range observer serves a model best, judged on calibration samples alone.

Even samples are observed, odd ones judge: every candidate's plan is simulated on them and compared with the float
model's outputs. The best signal-to-noise ratio wins: on samples a model was trained with, all candidates agree
with it, so agreement tells nothing, while the ratio still does.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ..progress import NoProgress
from ..receipt import LayerRow
from .calibrate import Array, Runner, Sample
from .observers import OBSERVERS
from .output_error import OutputError
from .plan import Draft, PtqConfig
from .records import QuantPlan
from .simulate import simulated

if TYPE_CHECKING:
    from onnx import ModelProto

    from ..progress import Progress

LARGEST_JUDGE = 256
"""Samples the candidates are judged on at most."""


def choose_observer(
    hub: ModelProto,
    samples: Iterable[Sample],
    config: PtqConfig | None = None,
    progress: Progress | None = None,
) -> tuple[str, tuple[LayerRow, ...]]:
    """(name of the best observer, one row per candidate, best first); arguments and errors of `plan.plan`.

    Row values: sqnr_db, max_error, and for classifiers agreement and kl, against the float model.
    """
    return choose_for(Draft.of(hub, samples, config or PtqConfig()), progress)


def choose_for(draft: Draft, progress: Progress | None = None) -> tuple[str, tuple[LayerRow, ...]]:
    """`choose_observer` for a plan under way."""
    progress = progress or NoProgress()
    seen, judging = halves(draft.samples)
    observed = draft.observe(seen, OBSERVERS, progress)
    expected = outputs_of(draft.hub, judging)
    rows = []
    progress.stage("compare observers", len(OBSERVERS) * len(judging))
    for name in OBSERVERS:
        made = draft.plan(observed.parameters(name), name)
        error = plan_error(draft, made, judging, expected, progress)
        note = f"seen {len(seen)}, judged on {len(judging)} calibration samples"
        rows.append(LayerRow(name, "observer", error.values(), note))
    ranked = sorted(rows, key=lambda row: -row.values["sqnr_db"])
    best = ranked[0]
    ranked[0] = replace(best, note=f"chosen; {best.note}")
    return best.name, tuple(ranked)


def halves(samples: Sequence[Sample]) -> tuple[list[Sample], list[Sample]]:
    """(even, odd) samples, at most `LARGEST_JUDGE` odd ones evenly spread; a single sample serves as both."""
    seen, judging = list(samples[0::2]), list(samples[1::2]) or list(samples)
    return seen, spread(judging, LARGEST_JUDGE)


def spread(samples: Sequence[Sample], count: int) -> list[Sample]:
    """At most `count` of the samples, evenly spread."""
    if len(samples) <= count:
        return list(samples)
    return [samples[i * len(samples) // count] for i in range(count)]


def outputs_of(hub: ModelProto, samples: Sequence[Sample]) -> list[list[Array]]:
    """Outputs of a model for every sample."""
    names = [value.name for value in hub.graph.output]
    return [list(values.values()) for values in Runner(hub, names).run_all(samples)]


def plan_error(
    draft: Draft,
    plan: QuantPlan,
    samples: Sequence[Sample],
    expected: Sequence[Sequence[Array]],
    progress: Progress,
    nodes: Iterable[str] | None = None,
    classifier: bool | None = None,
) -> OutputError:
    """Error of the plan's outputs (or of a part of the plan, `nodes`) against `expected`."""
    chosen = None if nodes is None else frozenset(nodes)
    model = simulated(draft.hub, draft.view, plan, chosen)
    runner = Runner(model, list(draft.view.outputs))
    error = OutputError(classifier)
    for right, values in zip(expected, runner.run_all(samples), strict=True):
        error.add(right, list(values.values()))
        progress.advance()
    return error
