"""The writers are pure: the results made here give exactly the texts in tests/golden/gate/.

python tests/unit/test_gate_reports.py    # write them again, then look at the difference
"""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from edgepress.devices.budget import Limit
from edgepress.devices.verdict import Kind, Outcome, Verdict
from edgepress.tools.gate.judge import REMEASURED, STORED, Rules, judge
from edgepress.tools.gate.records import Judgement, Results, results_of
from edgepress.tools.gate.reports import FORMATS, render
from edgepress.tools.gate.summary import append_summary
from support.gates import exact, judgement, results, timed

GOLDEN = Path(__file__).parents[1] / "golden" / "gate"
SUFFIXES = {"junit": "xml", "github": "github", "benchmark-action": "benchmark.json"}
NASTY = "50 % of a<b & c]]>d, e:f|g*h`i\r\nnext line \x00\x1b – µs é"


def golden_results() -> Results:
    """One of each verdict that a reader meets."""
    times = Limit("latency_ms", at_most=2.0, max_regression=0.05)
    base = timed([0.842, 0.845, 0.84, 0.8421, 0.843], "kws.tflite", seconds=4.5)
    slow = timed([0.951, 0.949, 0.952, 0.95, 0.9535], "kws.tflite", seconds=5.25)
    size = Limit("file_bytes", at_most=61440.0, max_regression=0.0)
    kws = exact(53936.0, model="kws.tflite", model_sha256="00" * 32)
    counts = Limit("instructions", max_regression=0.005)
    emulated = exact(
        1944134.0,
        "instructions",
        model="vww.tflite",
        device="pi4",
        engine="litert",
        engine_version="2.3.0",
        evidence="emulated",
        model_sha256="11" * 32,
    )
    lost = Verdict(Outcome.ERROR, Kind.PLAIN, "the board went away; next: look at it", exit_code=4)
    rules = Rules(0.95, True)
    judgements = [
        judge(times, slow, base, REMEASURED, rules),
        judge(size, kws, kws, STORED),
        judge(counts, replace(emulated, location=1940000.0), emulated, STORED),
        judge(size, replace(kws, model="new.tflite"), None),
        judge(times, replace(slow, invalid=("the device was throttled (0x4)",)), base, REMEASURED),
        Judgement(("ad.tflite", "pi9", "tflite", 1, "latency_ms"), lost, "+5 %"),
        judgement(
            Verdict(Outcome.PASS, Kind.WARN, "would be fail: x"), replace(kws, model="w.tflite")
        ),
        judgement(Verdict(Outcome.FAIL, Kind.MISSING, "not measured any more"), kws),
    ]
    placed = [
        replace(j, where=f"ci/gates.yml:{line}", reproduce="edgepress gate --config gates.yml")
        for line, j in enumerate(judgements, 5)
    ]
    entries = [j.candidate for j in placed if j.candidate is not None]
    return results(*entries, judgements=placed, notes=("no baseline at base.json yet",))


def nasty_results() -> Results:
    """A text that every format has to escape, wherever text may stand."""
    entry = exact(1.0, model=NASTY, device=NASTY, engine=NASTY)
    found = judgement(Verdict(Outcome.FAIL, Kind.BUDGET, NASTY), entry, where=f"a,b:{NASTY}:7")
    return results(entry, judgements=[found], notes=(NASTY,))


def golden_path(form: str) -> Path:
    return GOLDEN / f"report.{SUFFIXES.get(form, form)}"


@pytest.mark.parametrize("form", FORMATS)
def test_golden(form: str) -> None:
    assert render(golden_results(), form) == golden_path(form).read_text("utf-8")


@pytest.mark.parametrize("form", FORMATS)
def test_no_results_are_written_too(form: str) -> None:
    assert render(results(), form).endswith("\n")


# ------------------------------------------------------------------- what each format is for


def test_junit_parses_and_counts() -> None:
    root = ET.fromstring(render(golden_results(), "junit").encode())
    suites = {s.get("name"): s for s in root}
    assert set(suites) == {f"edgepress.gates.{d}" for d in ("pi5", "any", "pi4", "pi9")}
    pi5 = suites["edgepress.gates.pi5"]
    assert (pi5.get("tests"), pi5.get("failures"), pi5.get("errors")) == ("2", "1", "1")
    failure = pi5.find("testcase/failure")
    assert failure is not None and failure.get("type") == "regression"
    assert "repeat with: edgepress gate" in (failure.text or "")
    case = pi5.find("testcase")
    assert case is not None and case.get("time") == "9.750"
    told = {p.get("name"): p.get("value") for p in case.iter("property")}
    assert told["candidate_location_ms"] == "0.951" and told["evidence"] == "measured"
    skipped = [
        c.get("name") for c in suites["edgepress.gates.any"] if c.find("skipped") is not None
    ]
    assert skipped == ["new.tflite:file_bytes", "w.tflite:file_bytes"]


def test_junit_holds_any_text() -> None:
    root = ET.fromstring(render(nasty_results(), "junit").encode())
    case = next(root.iter("testcase"))
    clean = NASTY.replace("\x00", "").replace("\x1b", "")
    assert case.get("name") == clean + ":file_bytes"
    failure = case.find("failure")
    assert failure is not None and "]]>d, e:f" in (failure.text or "")
    assert failure.get("message") == " ".join(
        NASTY.replace("\x00", " ").replace("\x1b", " ").split()
    )


def test_annotations_escape_text() -> None:
    first, last = render(nasty_results(), "github").splitlines()
    assert last.startswith("::notice title=edgepress gate::1 fail")
    head, _, message = first.removeprefix("::error ").partition("::")
    assert "50 %25 of a<b & c]]>d, e:f" in message and "%0D%0Anext line" in message
    properties = dict(part.split("=", 1) for part in head.split(","))
    assert set(properties) == {"file", "line", "title"} and properties["line"] == "7"
    assert "%2C e%3Af" in properties["file"] and "50 %25 of" in properties["title"]


def test_annotations_are_ten_at_most_the_worst_first() -> None:
    warn, fail = Verdict(Outcome.PASS, Kind.WARN, "w"), Verdict(Outcome.FAIL, Kind.BUDGET, "f")
    many = results(judgements=[judgement(warn)] * 12 + [judgement(fail)])
    lines = render(many, "github").splitlines()
    assert (
        len(lines) == 11 and lines[0].startswith("::error ") and lines[1].startswith("::warning ")
    )
    assert lines[-1].endswith("1 fail, 12 warn (3 more are in the report)")


def test_markdown_keeps_its_table_and_shows_markup_as_text() -> None:
    text = render(nasty_results(), "md")
    row = next(line for line in text.splitlines() if line.startswith("| 50"))
    assert row.replace("\\|", "").count("|") == 10 and "a&lt;b &amp; c" in row
    assert "\x00" not in text and "\x1b" not in text


def test_markdown_puts_the_bad_first_and_folds_the_passes() -> None:
    text = render(golden_results(), "md")
    head = "## edgepress gate: 1 error, 1 fail, 1 missing, 1 invalid, 1 warn, 1 new, 1 improved, 1 pass"
    assert text.startswith(head)
    loud, quiet = text.split("<details>")
    assert "| fail |" in loud and "| pass |" in quiet and "| pass |" not in loud


def test_text_has_four_digits_and_the_evidence() -> None:
    line = next(x for x in render(golden_results(), "text").splitlines() if x.startswith("FAIL"))
    assert "0.8421 ms -> 0.951 ms  +12.9 %" in line and "(5+5 processes, measured)" in line


def test_text_stays_on_its_lines() -> None:
    text = render(nasty_results(), "text")
    assert "\x1b" not in text and "\r" not in text
    assert [line.split()[0] for line in text.splitlines()[:3] if line] == ["FAIL", "FAIL"]


def test_benchmark_json_is_smaller_is_better() -> None:
    accuracy = exact(91.0, "accuracy")
    time = timed([1.0, 1.1, 0.9, 1.0, 1.0])
    rows = json.loads(render(results(accuracy, time, exact(float("nan"))), "benchmark-action"))
    assert [set(row) for row in rows] == [{"name", "unit", "value", "range", "extra"}]
    assert rows[0]["value"] == 1.0 and rows[0]["range"].startswith("± ")


def test_json_is_the_whole_record() -> None:
    given = golden_results()
    assert results_of(json.loads(render(given, "json")), "x") == given


# ------------------------------------------------------------------- the summary of a job


def test_the_summary_is_appended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "summary.md"
    path.write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(path))
    assert append_summary(golden_results())
    assert path.read_text("utf-8") == "before\n\n" + render(golden_results(), "md")


@pytest.mark.parametrize("case", ["unset", "full", "folder"])
def test_a_summary_without_room_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    path: Any = tmp_path / "summary.md"
    path.write_bytes(b"x" * (1 << 20))
    value = {"unset": "", "full": str(path), "folder": str(tmp_path)}[case]
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", value)
    assert not append_summary(golden_results()) and path.stat().st_size == 1 << 20


def write_golden() -> None:
    GOLDEN.mkdir(parents=True, exist_ok=True)
    for form in FORMATS:
        golden_path(form).write_text(render(golden_results(), form), "utf-8")


if __name__ == "__main__":
    write_golden()
