"""A run folder as one truth (report.json) and its views: markdown for pull requests, a self-contained page, text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .build import SCHEMA, build_report

__all__ = ["FORMATS", "SCHEMA", "build_report", "render", "write_report"]

FORMATS = ("json", "md", "html", "text")


def render(report: dict[str, Any], form: str) -> str:
    """The report as "json", "md", "html" or "text". Pure: the same report gives the same text."""
    if form == "json":
        import json

        return json.dumps(report, indent=1, sort_keys=True, allow_nan=False) + "\n"
    if form == "md":
        from .markdown import to_markdown

        return to_markdown(report)
    if form == "html":
        from .html import to_html

        return to_html(report)
    from .text import to_text

    return to_text(report)


def write_report(run_folder: Path, report: dict[str, Any] | None = None) -> tuple[Path, ...]:
    """Write report.json, report.md and report.html into the run folder; gives their paths.

    All three are rendered before the first is written.

    Raises:
        InputError: the run folder holds nothing to report, or a damaged record.
    """
    from ...runtime.files import write_text

    report = report if report is not None else build_report(run_folder)
    texts = {form: render(report, form) for form in ("json", "md", "html")}
    return tuple(write_text(run_folder / f"report.{form}", text) for form, text in texts.items())
