"""The tables of a report as rows of text, so that every view shows the same."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..render import kib, number, seconds, value_with_unit
from .views import (
    LATENCY,
    Report,
    change,
    distance_text,
    notes_of,
    reference_score,
    score_text,
    scores_of,
    size_change,
    transitions,
)


@dataclass(frozen=True)
class Table:
    """A table as text. `right`: columns with numbers; `outcome`: the column with a verdict, if any."""

    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    right: tuple[int, ...] = ()
    outcome: int | None = None


def files_table(report: Report) -> Table:
    """Files: size, ratio, computed weights and MACs, score per engine."""
    headers = (
        "file",
        "size (file)",
        "vs float",
        "weights (computed)",
        "MACs (computed)",
        "score (host)",
        "change",
    )
    rows: list[tuple[str, ...]] = []
    several = len({score["split"] for score in report["scores"]}) > 1
    for artifact in report["artifacts"]:
        totals = artifact["totals"]
        fixed = (
            artifact["name"],
            kib(artifact["file_bytes"]),
            size_change(artifact),
            kib(totals.get("weight_bytes")),
            number(totals.get("macs")),
        )
        told = [
            (
                f"{score_text(score, False)}, {score['engine']}"
                + (f", {score['split']}" if several else ""),
                change(score, reference_score(report, score)),
            )
            for score in scores_of(report, artifact["name"])
        ]
        first, *others = told or [("-", "")]
        rows += [(*fixed, *first), *(("",) * 5 + other for other in others)]
    return Table(headers, tuple(rows), (1, 2, 3, 4, 6))


def latency_table(report: Report) -> Table:
    """Measurements: latencies per engine with evidence, device, threads and processes."""
    headers = (
        "file",
        "engine",
        "median",
        "p90",
        "p99",
        "load",
        "peak memory",
        "threads",
        "processes",
        "evidence",
        "device",
    )
    rows = []
    for m in report["measurements"]:
        values = m["values"]
        latency = [
            value_with_unit(values.get(k), "ms")
            for k in (LATENCY, "latency_p90_ms", "latency_p99_ms", "load_ms")
        ]
        rows.append(
            (
                m["artifact"] or m["artifact_sha256"][:12],
                f"{m['engine']} {m['engine_version']}",
                *latency,
                kib(values.get("peak_rss_bytes")),
                str(m["threads"]),
                str(m["processes"] or "-"),
                m["evidence"],
                m["device"],
            )
        )
    return Table(headers, tuple(rows), (2, 3, 4, 5, 6, 7, 8))


def steps_table(report: Report) -> Table:
    """Steps: scores before and after, what happened in the receipt's own words, time."""
    headers = ("step", "scores (host)", "what it did", "seed", "time")
    rows = [
        (
            f"{step['number']:02d} {step['step']}",
            "; ".join(transitions(step)) or "-",
            "; ".join(notes_of(step)) or "-",
            str(step["seed"]),
            seconds(step["seconds"]),
        )
        for step in report["steps"]
    ]
    return Table(headers, tuple(rows), (3, 4))


def parity_table(report: Report) -> Table:
    """Outputs: every candidate against what it is compared with."""
    headers = (
        "file",
        "engine",
        "against",
        "output",
        "rule",
        "samples",
        "top-1 same",
        "verdict",
        "figures",
    )
    rows = []
    for row in report["parity"]["outputs"] if report["parity"] else ():
        same = row["agreement"]
        rows.append(
            (
                row["candidate"],
                row["engine"],
                row["against"],
                row["output"],
                row["rule"],
                f"{row['samples']:,}",
                "-" if same is None else f"{number(100 * same)} %",
                row["outcome"],
                distance_text(row["distance"]) if row["outcome"] == "reported" else row["reason"],
            )
        )
    return Table(headers, tuple(rows), (5, 6), outcome=7)


def verdicts_table(report: Report) -> Table:
    """The recipe's budget."""
    headers = ("budget", "file", "engine", "value", "limit", "verdict", "evidence", "reason")
    rows = [
        (
            str(v["name"]),
            str(v["artifact"] or ""),
            str(v["engine"] or ""),
            value_with_unit(v["value"], v["unit"] or ""),
            value_with_unit(v["limit"], v["unit"] or ""),
            str(v["outcome"]),
            str(v["evidence"] or ("file" if v["name"] == "file_bytes" else "")),
            "" if v["outcome"] == "pass" else str(v["reason"] or ""),
        )
        for v in report["verdicts"]
    ]
    return Table(headers, tuple(rows), (3, 4), outcome=5)


def sensitivity_table(report: Report) -> Table:
    """Per-layer rows of the receipts: one column per value any row has."""
    rows = report["sensitivity"]
    columns = ordered({name for row in rows for name in row["values"]})
    headers = ("step", "layer", "operator", *columns, "note")
    body = tuple(
        (
            row["step"],
            row["name"],
            row["operator"],
            *(number(row["values"].get(column)) for column in columns),
            row["note"],
        )
        for row in rows
    )
    return Table(headers, body, tuple(range(3, 3 + len(columns))))


def environment_table(report: Report) -> Table:
    """Where and with what it ran."""
    run, rows = report["run"], []
    if report["edgepress_version"]:
        rows.append(("edgepress", report["edgepress_version"]))
    if run.get("command"):
        rows.append(("command", " ".join(map(str, run["command"]))))
    rows += [(k, str(run[k])) for k in ("seed", "threads") if run.get(k) is not None]
    rows += [(f"host {k}", str(v)) for k, v in sorted(run.get("host", {}).items())]
    rows += [(k, str(v)) for k, v in sorted(run.get("packages", {}).items())]
    rows += [
        (f"input {k}", f"sha256 {str(v)[:16]}...") for k, v in sorted(run.get("inputs", {}).items())
    ]
    rows += [(f"file {a['name']}", f"sha256 {a['sha256'][:16]}...") for a in report["artifacts"]]
    return Table(("what", "value"), tuple(rows))


def ordered(names: Iterable[str]) -> list[str]:
    """Value columns in a steady order: how much each layer costs comes first."""
    first = ("sqnr_db", "error", "relative_error")
    return sorted(names, key=lambda n: (first.index(n) if n in first else len(first), n))
