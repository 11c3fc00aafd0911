"""Compare two results that were measured before: nothing is run."""

from __future__ import annotations

from dataclasses import replace

from ... import __version__
from ...devices.budget import Limit
from ...devices.transport import is_address
from ...devices.verdict import Kind, Outcome, Verdict
from ...runtime.errors import EdgepressError
from . import metrics
from .config import Gate, GateConfig
from .judge import STORED, Rules, judge, settle
from .records import Entry, Judgement, Results
from .run import missing, now


def compare_results(
    base: Results,
    new: Results,
    *,
    config: GateConfig | None = None,
    tolerance: float = 0.05,
    rules: Rules | None = None,
    policy: str = "none",
) -> Results:
    """Judge every entry of `new` by its limit in `config`, else by its metric's default tolerance against `base`.

    Args:
        tolerance: of statistical metrics that `config` says nothing about.
        rules: see `judge`; times from two files are a stored baseline.

    A pair that does not compare becomes an error of its own and does not hide the others.
    """
    rules, judgements = rules or Rules(), []
    for entry in new.entries:
        gate, limit = _limit(entry, config, tolerance)
        try:
            noisy = gate.noisy if gate else None
            found = judge(limit, entry, base.find(entry.key), STORED, rules, noisy)
        except EdgepressError as error:
            text = str(error).replace("\n  next:", "; next:")
            said = Verdict(Outcome.ERROR, Kind.PLAIN, text, exit_code=error.exit_code)
            found = Judgement(entry.key, said, "", candidate=entry)
        judgements.append(replace(found, where=gate.where if gate else ""))
    judgements += missing(base, judgements, config.removed if config else ())
    return Results(
        created=now(),
        commit=new.commit,
        tool=f"edgepress {__version__}",
        fingerprint=new.fingerprint,
        entries=new.entries,
        judgements=tuple(replace(j, verdict=settle(j.verdict, policy)) for j in judgements),
        notes=(f"compared with {base.commit or base.created}",),
    )


def _limit(entry: Entry, config: GateConfig | None, tolerance: float) -> tuple[Gate | None, Limit]:
    """The gate and limit of an entry, else its default tolerance."""
    for gate in config.gates if config else ():
        limit = gate.budget.of(entry.metric)
        if limit is not None and _is_of(entry, gate):
            return gate, limit
    if entry.better == "higher":
        return None, Limit(entry.metric, max_drop=0.0)
    allowed = metrics.default_tolerance(entry.metric, tolerance)
    return None, Limit(entry.metric, max_regression=allowed, statistic=entry.statistic)


def _is_of(entry: Entry, gate: Gate) -> bool:
    """True if this gate asks for this number: what needs no device or runs here has not the gate's."""
    if (gate.model, gate.threads) != (entry.model, entry.threads):
        return False
    here = entry.device in (metrics.NO_DEVICE, "host")
    if not here and entry.device not in (gate.device, _proper_name(gate.device)):
        return False
    tools = ("", "tflm", "vela")
    return entry.engine in tools or gate.engine in (None, entry.engine)


def _proper_name(device: str) -> str:
    """The name of a device that may be given by another of its names."""
    from ...devices.profile import load_profile

    try:
        return device if is_address(device) else load_profile(device).name
    except EdgepressError:
        return device
