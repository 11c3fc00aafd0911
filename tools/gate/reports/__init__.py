"""Reports of results: pure functions of the record, one format a file.

text = render(results, "markdown")
"""

from __future__ import annotations

import json
from collections.abc import Callable

from ..records import Results, results_json

FORMATS = ("text", "md", "junit", "github", "json", "benchmark-action")


def render(results: Results, form: str) -> str:
    """The report in one of `FORMATS`, with a newline at its end; `KeyError` for another name."""
    return _writers()[form](results)


def _writers() -> dict[str, Callable[[Results], str]]:
    from .benchmark_action import to_benchmark_action
    from .github import to_github
    from .junit import to_junit
    from .markdown import to_markdown
    from .text import to_text

    return {
        "text": to_text,
        "md": to_markdown,
        "junit": to_junit,
        "github": to_github,
        "json": _to_json,
        "benchmark-action": to_benchmark_action,
    }


def _to_json(results: Results) -> str:
    return json.dumps(results_json(results), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
