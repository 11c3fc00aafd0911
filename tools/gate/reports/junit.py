"""JUnit XML, as CI dashboards read it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.sax.saxutils import escape, quoteattr

from ....devices.verdict import Outcome
from ..records import Judgement, Results
from .common import one_line, value

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_SKIPPED = ("new", "warn", "inconclusive", "removed")


def to_junit(results: Results) -> str:
    """One suite a device, one case a number.

    A fail is a failure, an error or an invalid number an error; what is inconclusive, new or a warning counts as
    skipped, so that dashboards show it without turning red.
    """
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', "<testsuites>"]
    devices = dict.fromkeys(j.key[1] for j in results.judgements)
    for device in devices:
        lines += _suite(results, device, [j for j in results.judgements if j.key[1] == device])
    return "\n".join([*lines, "</testsuites>"]) + "\n"


def _suite(results: Results, device: str, rows: Sequence[Judgement]) -> list[str]:
    attributes = {
        "name": f"edgepress.gates.{device}",
        "tests": str(len(rows)),
        "failures": str(sum(_element(j) == "failure" for j in rows)),
        "errors": str(sum(_element(j) == "error" for j in rows)),
        "skipped": str(sum(_element(j) == "skipped" for j in rows)),
        "time": f"{sum(_seconds(j) for j in rows):.3f}",
        "timestamp": results.created.removesuffix("Z"),
        "hostname": results.fingerprint.get("cpu", "unknown"),
    }
    lines = [f"  <testsuite {_attributes(attributes)}>"]
    for judgement in rows:
        lines += _case(judgement)
    return [*lines, "  </testsuite>"]


def _case(judgement: Judgement) -> list[str]:
    model, device, engine, _, metric = judgement.key
    attributes = {
        "classname": f"{device}.{engine}" if engine else device,
        "name": f"{model}:{metric}",
        "time": f"{_seconds(judgement):.3f}",
    }
    lines = [f"    <testcase {_attributes(attributes)}>", *_properties(judgement)]
    element, found = _element(judgement), judgement.verdict
    if element == "skipped":
        lines.append(f"      <skipped {_attributes({'message': _one_line(judgement)})}/>")
    elif element:
        kind = str(found.kind or found.outcome)
        head = _attributes({"type": kind, "message": _one_line(judgement)})
        details = f"{judgement.name}\n{found.reason}\nlimit: {judgement.limit}"
        details += (
            f"\nbaseline: {value(judgement.baseline)}, candidate: {value(judgement.candidate)}"
        )
        if judgement.reproduce:
            details += f"\nrepeat with: {judgement.reproduce}"
        lines.append(f"      <{element} {head}>{_text(details)}</{element}>")
    return [*lines, "    </testcase>"]


def _properties(judgement: Judgement) -> list[str]:
    named: dict[str, str] = {"verdict": judgement.verdict.word}
    for name, entry in (("candidate", judgement.candidate), ("baseline", judgement.baseline)):
        if entry is not None:
            unit = f"_{entry.unit.lower()}" if entry.unit.isalpha() else ""
            named[f"{name}_location{unit}"] = repr(entry.location)
            named["evidence"] = entry.evidence
    if judgement.change is not None:
        named["ratio"] = repr(judgement.change.ratio)
    rows = [f"        <property {_attributes({'name': k, 'value': v})}/>" for k, v in named.items()]
    return ["      <properties>", *rows, "      </properties>"]


def _element(judgement: Judgement) -> str:
    outcome = judgement.verdict.outcome
    if outcome == Outcome.FAIL:
        return "failure"
    if outcome in (Outcome.ERROR, Outcome.INVALID):
        return "error"
    return "skipped" if judgement.verdict.word in _SKIPPED else ""


def _seconds(judgement: Judgement) -> float:
    both = (
        judgement.candidate,
        judgement.baseline if judgement.baseline_origin != "stored" else None,
    )
    return sum(entry.seconds for entry in both if entry is not None)


def _one_line(judgement: Judgement) -> str:
    return one_line(judgement.verdict.reason)


def _attributes(values: dict[str, str]) -> str:
    return " ".join(f"{key}={quoteattr(_plain(text))}" for key, text in values.items())


def _text(text: str) -> str:
    return escape(_plain(text))


def _plain(text: str) -> str:
    """Text without the characters XML cannot hold."""
    return _NOT_XML.sub("", text)
