"""Drops operators nobody reads and tensors no operator uses from a finished `LiteModel`."""

from __future__ import annotations

from dataclasses import replace

from .ir import LiteModel, LiteOperator


def prune(model: LiteModel) -> None:
    """Keep what the outputs depend on, in place; inputs stay even if nothing reads them."""
    model.operators = _read_operators(model)
    used = {*model.inputs, *model.outputs}
    for operator in model.operators:
        used.update(index for index in (*operator.inputs, *operator.outputs) if index >= 0)
    kept = sorted(used)
    number = {old: new for new, old in enumerate(kept)}
    number[-1] = -1
    model.tensors = [model.tensors[index] for index in kept]
    model.inputs = [number[index] for index in model.inputs]
    model.outputs = [number[index] for index in model.outputs]
    model.operators = [
        replace(
            operator,
            inputs=tuple(number[index] for index in operator.inputs),
            outputs=tuple(number[index] for index in operator.outputs),
        )
        for operator in model.operators
    ]


def _read_operators(model: LiteModel) -> list[LiteOperator]:
    needed = set(model.outputs)
    kept = []
    for operator in reversed(model.operators):
        if needed.intersection(operator.outputs):
            needed.update(operator.inputs)
            kept.append(operator)
    return kept[::-1]
