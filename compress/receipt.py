"""What a step did to a model, with the evidence. A simulated saving is never printed as a saving."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Score:
    """A metric on named data: "accuracy 91.5 % on cifar10/test, 1000 samples".

    `seen_in_training`: the weights were trained on these samples, so the value says nothing about new ones.
    """

    metric: str
    value: float
    unit: str
    split: str
    samples: int
    higher_is_better: bool = True
    seen_in_training: bool = False


@dataclass(frozen=True)
class Footprint:
    """Computed size of a model. `packed_weight_bytes` counts every weight at its real bit width."""

    parameters: int
    macs: int
    bit_operations: int
    packed_weight_bytes: int


@dataclass(frozen=True)
class LayerRow:
    """One row of a per-layer table; `values` holds what the step reports (error, sqnr_db, ...)."""

    name: str
    operator: str
    values: dict[str, float] = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True)
class Receipt:
    """Result of one step: before, after, how long, with which seed, and anything to be said."""

    step: str
    options: dict[str, object]
    seed: int
    seconds: float
    score_before: tuple[Score, ...] = ()
    score_after: tuple[Score, ...] = ()
    before: Footprint | None = None
    after: Footprint | None = None
    layers: tuple[LayerRow, ...] = ()
    notes: tuple[str, ...] = ()

    def saving_note(self) -> str:
        """One honest sentence about what became smaller, or that nothing did."""
        if self.before is None or self.after is None:
            return "size was not computed for this step"
        saved = self.before.packed_weight_bytes - self.after.packed_weight_bytes
        if saved <= 0 and self.after.macs >= self.before.macs:
            return "this step made nothing smaller or faster"
        parts = []
        if saved > 0:
            ratio = self.before.packed_weight_bytes / self.after.packed_weight_bytes
            parts.append(f"packed weights {ratio:.2f}x smaller (computed, not a file)")
        if self.after.macs < self.before.macs:
            parts.append(f"MACs {self.before.macs} -> {self.after.macs}")
        return "; ".join(parts)
