"""What was decided about one number, with the reason in words."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum


class Outcome(StrEnum):
    """Five ends. `invalid`: measured under conditions that forbid a verdict; `error`: there is no sound number."""

    PASS = "pass"
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    INVALID = "invalid"
    ERROR = "error"


class Kind(StrEnum):
    """What sort of outcome it is; `new`, `improved` and `warn` are kinds of pass."""

    PLAIN = ""
    NEW = "new"
    IMPROVED = "improved"
    WARN = "warn"
    REMOVED = "removed"
    MISSING = "missing"
    REGRESSION = "regression"
    BUDGET = "budget"
    JITTER_ONLY = "jitter-only"
    NOISY = "noisy"
    TOO_FEW = "too-few"
    WIDE = "wide"
    OTHER_CONDITIONS = "other-conditions"


WORST_FIRST = (
    Outcome.ERROR,
    Outcome.FAIL,
    Outcome.INVALID,
    Outcome.INCONCLUSIVE,
    Outcome.PASS,
)
_PASSES = (Kind.WARN, Kind.NEW, Kind.REMOVED, Kind.PLAIN, Kind.IMPROVED)


@dataclass(frozen=True)
class Verdict:
    """Outcome, kind, and why.

    `exit_code` is what an error brought with it (2, 4 or 5), else 0; `instead_of` the outcome that a warning
    stands for.
    """

    outcome: Outcome
    kind: Kind = Kind.PLAIN
    reason: str = ""
    exit_code: int = 0
    instead_of: Outcome | None = None

    @property
    def undecided(self) -> bool:
        """True if more processes may still decide it."""
        return Outcome.INCONCLUSIVE in (self.outcome, self.instead_of)

    @property
    def word(self) -> str:
        """The one word reports show: `new`, `improved` and `warn` stand for their pass, `missing` for its fail."""
        own = (Kind.NEW, Kind.IMPROVED, Kind.WARN, Kind.REMOVED, Kind.MISSING)
        return str(self.kind if self.kind in own else self.outcome)

    def because(self, reason: str) -> Verdict:
        """The same with another reason added behind."""
        return replace(self, reason="; ".join(part for part in (self.reason, reason) if part))

    def as_warning(self, reason: str) -> Verdict:
        """At most a warning: whatever is no pass becomes a `warn` that says what it was; errors stay."""
        if self.outcome in (Outcome.PASS, Outcome.ERROR):
            return self
        kind = f" ({self.kind})" if self.kind else ""
        told = f"would be {self.outcome}{kind}: {self.reason}; {reason}"
        return Verdict(Outcome.PASS, Kind.WARN, told, instead_of=self.outcome)


def rank(verdict: Verdict) -> tuple[int, int]:
    """Sorts worst first."""
    kind = _PASSES.index(verdict.kind) if verdict.kind in _PASSES else 0
    return WORST_FIRST.index(verdict.outcome), kind


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The worst of several, with the reasons of all that share its outcome.

    Raises:
        ValueError: none given.
    """
    ordered = sorted(verdicts, key=rank)
    if not ordered:
        raise ValueError("no verdicts")
    first = ordered[0]
    same = [v.reason for v in ordered if v.outcome == first.outcome and v.reason]
    return replace(first, reason="; ".join(dict.fromkeys(same)))
