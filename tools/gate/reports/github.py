"""Annotations of GitHub Actions: workflow commands on stdout, at most ten, the worst first."""

from __future__ import annotations

from ..records import Judgement, Results
from .common import LOUD, counts, worst_first

AT_MOST = 10
_LEVELS = {"error": "error", "fail": "error", "missing": "error"}


def to_github(results: Results) -> str:
    """One command a line; a notice with the counts at the end."""
    loud = [j for j in worst_first(results) if j.verdict.word in LOUD]
    lines = [_annotation(j) for j in loud[:AT_MOST]]
    said = counts(results)
    if len(loud) > AT_MOST:
        said += f" ({len(loud) - AT_MOST} more are in the report)"
    return "\n".join([*lines, f"::notice title=edgepress gate::{escape(said)}"]) + "\n"


def _annotation(judgement: Judgement) -> str:
    level = _LEVELS.get(judgement.verdict.word, "warning")
    path, _, line = judgement.where.rpartition(":")
    properties = {"title": f"{judgement.verdict.word}: {judgement.name}"}
    if path and line.isdigit():
        properties = {"file": path, "line": line, **properties}
    told = ",".join(f"{key}={escape_property(text)}" for key, text in properties.items())
    return f"::{level} {told}::{escape(judgement.name + ': ' + judgement.verdict.reason)}"


def escape(text: str) -> str:
    """Message of a workflow command."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def escape_property(text: str) -> str:
    """Value of a property of a workflow command."""
    return escape(text).replace(":", "%3A").replace(",", "%2C")
