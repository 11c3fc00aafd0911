"""JSON for github-action-benchmark, tool `customSmallerIsBetter`.

That tool has one direction a file, so metrics where more is better are left out.
"""

from __future__ import annotations

import json
import math

from ..records import Entry, Results


def to_benchmark_action(results: Results) -> str:
    """A list of {name, unit, value, range, extra}."""
    rows = [_row(e) for e in results.entries if e.better == "lower" and math.isfinite(e.location)]
    return json.dumps(rows, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _row(entry: Entry) -> dict[str, object]:
    row: dict[str, object] = {
        "name": entry.name,
        "unit": entry.unit or "count",
        "value": entry.location,
    }
    if entry.ci95 is not None and entry.location:
        half = (entry.ci95[1] - entry.ci95[0]) / 2 / entry.location
        row["range"] = f"± {100 * half:.2g} %"
    engine = f"{entry.engine} {entry.engine_version}".strip()
    facts = [part for part in (entry.evidence, engine, entry.model_sha256[:12]) if part]
    row["extra"] = "; ".join(facts)
    return row
