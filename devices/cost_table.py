"""What single operators cost on a device: (operator class, shape, dtype, device, engine) -> value, unit, evidence.

A table is filled by whoever knows (a roofline floor, a measured layer profile) and handed down to searches; numbers of
different evidence never mix in a sum.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from ..runtime.errors import InputError, UsageError
from .measurement import Evidence

Shape = tuple[int, ...]


@dataclass(frozen=True)
class CostKey:
    """What was run where. `shape` is the output's; `dtype` as in the file ("int8", "float")."""

    operator_class: str
    shape: Shape
    dtype: str
    device: str
    engine: str


@dataclass(frozen=True)
class Cost:
    """One value in a unit ("ms", "instructions"), and what it rests on. `is_floor`: not less than, no estimate."""

    value: float
    unit: str
    evidence: Evidence
    is_floor: bool = False

    def __post_init__(self) -> None:
        if not self.value >= 0:
            raise InputError(f"a cost of {self.value} {self.unit} is no cost")


class CostTable:
    """Costs by key; never changed, `with_costs` gives a new one."""

    def __init__(self, costs: Mapping[CostKey, Cost] | None = None) -> None:
        self._costs = MappingProxyType(dict(costs or {}))

    def __len__(self) -> int:
        return len(self._costs)

    def __iter__(self) -> Iterator[CostKey]:
        return iter(self._costs)

    def get(self, key: CostKey) -> Cost | None:
        """The cost of a key, None if nobody told it."""
        return self._costs.get(key)

    def with_costs(self, costs: Mapping[CostKey, Cost]) -> CostTable:
        """These and the given ones.

        Raises:
            UsageError: a key is there already with another value.
        """
        for key, cost in costs.items():
            known = self._costs.get(key)
            if known is not None and known != cost:
                raise UsageError(f"two costs of {key}: {known} and {cost}")
        return CostTable({**self._costs, **costs})

    def total(self, keys: Iterable[CostKey]) -> Cost | None:
        """The sum over operators that run one after another; None if one of them is not in the table.

        Raises:
            UsageError: the costs differ in unit, evidence or in being floors.
        """
        costs = [self._costs.get(key) for key in keys]
        known = [cost for cost in costs if cost is not None]
        if len(known) < len(costs) or not known:
            return None
        kinds = {(cost.unit, cost.evidence, cost.is_floor) for cost in known}
        if len(kinds) > 1:
            raise UsageError("costs of different unit or evidence do not add up")
        unit, evidence, is_floor = kinds.pop()
        return Cost(sum(cost.value for cost in known), unit, evidence, is_floor)
