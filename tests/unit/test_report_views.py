"""The report's views are pure: the report in tests/golden/report/ gives exactly the texts beside it.

After a change that is meant, look at the pages and write them again: `python tests/unit/test_report_views.py`.
"""

from __future__ import annotations

import copy
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import click
import pytest
from edgepress.tools import report as views

GOLDEN = Path(__file__).parents[1] / "golden" / "report"
FORMS = ("md", "html", "text")


def render(report: dict[str, Any], form: str) -> str:
    """The view without the colours that the text has on a terminal."""
    return click.unstyle(views.render(report, form))


@pytest.fixture
def report() -> dict[str, Any]:
    return golden_report()


def golden_report() -> dict[str, Any]:
    return json.loads((GOLDEN / "report.json").read_text("utf-8"))


@pytest.mark.parametrize("form", FORMS)
def test_golden(report: dict[str, Any], form: str) -> None:
    before = copy.deepcopy(report)
    assert render(report, form) == (GOLDEN / f"report.{form}").read_text("utf-8")
    assert report == before


def test_json_is_the_report(report: dict[str, Any]) -> None:
    assert json.loads(render(report, "json")) == report


@pytest.mark.parametrize("form", FORMS)
def test_every_number_has_its_evidence(report: dict[str, Any], form: str) -> None:
    """A latency, wherever it stands, has "host" in its line, row or mark."""
    text = render(report, form)
    if form == "html":
        for mark in re.findall(r'<text class="value"[^>]*>([^<]*)</text>', text):
            assert mark.endswith("(host)")
    for row in re.findall(r"^.*0\.02345 ms.*$", text, re.M):
        assert "host" in row


@pytest.mark.parametrize("form", FORMS)
def test_every_score_has_data_split_samples_and_seed(report: dict[str, Any], form: str) -> None:
    text = render(report, form)
    for words in (
        "watch-har/test, 1,372 samples, seed 0",
        "watch-har/validation, 1,372 samples, seed 0",
    ):
        assert words in text


@pytest.mark.parametrize("form", FORMS)
def test_a_failed_proof_is_loud(report: dict[str, Any], form: str) -> None:
    report["outcome"] = "fail"
    report["parity"] |= {"passed": False, "outcome": "fail"}
    report["parity"]["departs"] = {"watch-har.int8.tflite (tflite)": "conv_2"}
    text = render(report, form)
    assert "fail" in text.lower()
    assert "first departs at conv" in text.replace("\\", "")


@pytest.mark.parametrize("form", FORMS)
def test_no_saving_is_printed_that_is_none(report: dict[str, Any], form: str) -> None:
    for step in report["steps"]:
        step["saving"] = "this step made nothing smaller or faster"
    for artifact in report["artifacts"]:
        artifact.pop("times_smaller", None)
        artifact.pop("smaller_than", None)
    text = render(report, form)
    assert "this step made nothing smaller or faster" in text
    assert "x smaller" not in text


@pytest.mark.parametrize("form", FORMS)
def test_an_empty_report_says_what_is_missing(form: str) -> None:
    text = render(empty_report(), form)
    for line in ("no exported files", "no parity proof was made"):
        assert line in text


def empty_report() -> dict[str, Any]:
    lists = dict.fromkeys(
        ("artifacts", "scores", "steps", "sensitivity", "measurements", "verdicts"), []
    )
    head = {"schema": "edgepress-report/1", "name": "x", "model": "", "task": "", "seed": None}
    missing = ["no exported files", "no parity proof was made"]
    return {
        **head,
        **lists,
        "created": "",
        "edgepress_version": "",
        "recipe": {},
        "run": {},
        "parity": None,
        "outcome": "none",
        "missing": missing,
    }


@pytest.mark.parametrize("form", FORMS)
def test_scores_on_several_splits_are_told_apart(report: dict[str, Any], form: str) -> None:
    jpeg = [
        {**s, "split": "test_jpeg", "samples": 50, "value": s["value"] - 10}
        for s in report["scores"]
    ]
    report["scores"] += jpeg
    text = render(report, form).replace("\\", "")
    assert "83.95 % accuracy, tflite, test_jpeg" in text
    assert "93.95 % accuracy, tflite, test" in text
    assert "-10" not in text  # compared on the same split only


@pytest.mark.parametrize("form", FORMS)
def test_a_compressed_file_that_is_not_faster_is_told(report: dict[str, Any], form: str) -> None:
    base, other = report["measurements"]
    twin = {
        **copy.deepcopy(report["artifacts"][0]),
        "name": "watch-har.int8.onnx",
        "precision": "int8",
    }
    report["artifacts"].append(twin)
    slow = {**copy.deepcopy(base), "artifact": twin["name"]}
    slow["values"]["latency_ms"] = 2 * base["values"]["latency_ms"]
    report["measurements"].append(slow)
    words = "watch-har.int8.onnx is not faster than watch-har.float32.onnx in onnxruntime"
    assert words in render(report, form).replace("\\", "")
    slow["values"]["latency_ms"] = 0.5 * base["values"]["latency_ms"]
    assert "is not faster" not in render(report, form)


@pytest.mark.parametrize("form", FORMS)
def test_measurements_on_a_busy_machine_are_told(report: dict[str, Any], form: str) -> None:
    report["measurements"][0]["notes"] = [
        "the load average was 9 on 2 cores: timings are disturbed"
    ]
    assert "1 of 2 measurements: the load average was 9" in render(report, form)


NASTY = '<script>alert("x")</script>|`*_[a](b)'


def test_names_cannot_become_markup(report: dict[str, Any]) -> None:
    report["name"] = report["model"] = NASTY
    report["artifacts"][0]["name"] = report["measurements"][0]["artifact"] = NASTY
    report["steps"][0]["notes"] = [NASTY]
    for layer in report["artifacts"][-1]["layers"]:
        layer["name"] = NASTY
    assert "<script" not in render(report, "html")
    page = render(report, "md")
    assert "<script" not in page and "](b)" not in page.replace("\\](", "")


class Loads(HTMLParser):
    """Collects everything a page would load, and checks that tags close."""

    VOID = ("meta", "br", "path", "rect", "circle", "link", "img", "input")

    def __init__(self) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.loads += [f"{tag} {k}" for k, _ in attrs if k in ("src", "href", "srcset", "data")]
        if tag in ("script", "link", "iframe", "img", "object"):
            self.loads.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.VOID:
            self.open.append(tag)
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag


def test_the_page_is_self_contained_and_well_formed(report: dict[str, Any]) -> None:
    page = render(report, "html")
    found = Loads()
    found.feed(page)
    assert found.loads == [] and found.open == []
    assert "url(" not in page and "@import" not in page
    assert "prefers-color-scheme: dark" in page


def test_charts_are_drawn_from_the_numbers(report: dict[str, Any]) -> None:
    page = render(report, "html")
    bars = [float(w) for w in re.findall(r'<rect class="g\d" [^>]*width="([\d.]+)"', page)]
    latencies = [m["values"]["latency_ms"] for m in report["measurements"]]
    assert bars[0] / bars[1] == pytest.approx(latencies[0] / latencies[1], rel=0.01)
    assert len(re.findall(r'class="dot g\d"', page)) == sum(
        bool(s["artifact"]) for s in report["scores"]
    )


def write_golden() -> None:
    for form in FORMS:
        (GOLDEN / f"report.{form}").write_text(render(golden_report(), form), "utf-8")


if __name__ == "__main__":
    write_golden()
