"""What each layer costs: the output error with this layer alone on integers, or with all layers but this one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from ..progress import NoProgress
from ..receipt import LayerRow
from .calibrate import Sample
from .choose import choose_for, outputs_of, plan_error
from .graph import NodeView
from .plan import AUTO, Draft, PtqConfig
from .rules import OutputRule
from .tying import output_rule

if TYPE_CHECKING:
    from onnx import ModelProto

    from ..progress import Progress


def sensitivity(
    hub: ModelProto,
    samples: Iterable[Sample],
    config: PtqConfig | None = None,
    progress: Progress | None = None,
    *,
    all_but_one: bool = False,
    classifier: bool | None = None,
) -> tuple[LayerRow, ...]:
    """One row per int8 layer, the most sensitive first.

    Args:
        hub, samples, config: as for `plan.plan`; ranges and errors come from the same samples. Layers of
            `config.keep_float` have no row.
        progress: told about every run.
        all_but_one: quantize everything but the layer instead: rows then show what keeping it float would give,
            the most rewarding first.
        classifier: whether outputs rank classes; None: decided by their shape.

    Values: sqnr_db, max_error, and for classifiers agreement and kl, against the float model.

    Raises:
        InputError, UsageError: as `plan.plan`.
    """
    progress = progress or NoProgress()
    draft = Draft.of(hub, samples, config or PtqConfig())
    name = draft.config.observer
    if name == AUTO:
        name, _ = choose_for(draft, progress)
    made = draft.plan(draft.observe(draft.samples, (name,), progress).parameters(name), name)
    expected = outputs_of(hub, draft.samples)
    layers = layers_of(draft)
    progress.stage("sensitivity", len(layers) * len(draft.samples))
    rows = []
    for layer in layers:
        group = _with_activation(draft, layer)
        nodes = set(draft.split.int8) - group if all_but_one else group
        error = plan_error(draft, made, draft.samples, expected, progress, nodes, classifier)
        rows.append(LayerRow(layer.name, layer.op, error.values()))
    ranked = sorted(rows, key=lambda row: row.values["sqnr_db"] * (-1 if all_but_one else 1))
    return tuple(replace(row, note=f"observer {name}") for row in ranked)


def layers_of(draft: Draft) -> list[NodeView]:
    """int8 nodes with an error of their own: not fused activations, not those that only hand values on."""
    view = draft.view
    return [
        node
        for node in draft.split.int8.values()
        if view.fused_into(node) is None
        and output_rule(view, node) not in (OutputRule.SAME_AS_INPUT, OutputRule.UNQUANTIZED)
    ]


def _with_activation(draft: Draft, layer: NodeView) -> set[str]:
    """The layer and the Relu or Clip in its kernel."""
    after = draft.view.fused_activation(layer)
    return {layer.name} if after is None else {layer.name, after.name}
