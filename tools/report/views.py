"""What the views show, derived from the report: rows of text cells, so that every view says the same."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..render import kib, number, seconds, value_with_unit

Report = Mapping[str, Any]
Facts = Mapping[str, Any]

LATENCY = "latency_ms"
TOLD_IN_TABLES = ("verify", "evaluate", "profile", "budget")
"""Steps whose scores and notes repeat what a table of the report says."""


@dataclass(frozen=True)
class Table:
    """A table as text. `right`: columns with numbers; `outcome`: the column with a verdict, if any."""

    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    right: tuple[int, ...] = ()
    outcome: int | None = None


def score_text(score: Facts, sample_text: bool = True) -> str:
    """ "93.8 % accuracy on watch-har/test, 1,372 samples, seed 0"."""
    unit = f" {score['unit']}" if score.get("unit") else ""
    text = f"{number(score['value'])}{unit} {score['metric']}"
    return f"{text} on {where_scored(score)}" if sample_text else text


def where_scored(score: Facts) -> str:
    """ "watch-har/test, 1,372 samples, seed 0"."""
    data, split = score.get("data"), score["split"]
    if data and not split.startswith(f"{data}/"):
        split = f"{data}/{split}"
    seed = "" if score.get("seed") is None else f", seed {score['seed']}"
    return f"{split}, {score['samples']:,} samples{seed}"


def scores_of(report: Report, name: str) -> list[Facts]:
    """Scores of an artifact, one per engine and split."""
    return [score for score in report["scores"] if score["artifact"] == name]


def main_scores(report: Report) -> list[Facts]:
    """Scores of files on the split that stands first in the report (test; others are test_...)."""
    files = {artifact["name"] for artifact in report["artifacts"]}
    found = [score for score in report["scores"] if score["artifact"] in files]
    return [score for score in found if _data_of(score) == _data_of(found[0])]


def _data_of(score: Facts) -> tuple[Any, ...]:
    return tuple(score.get(key) for key in ("metric", "data", "split", "samples"))


def reference_score(report: Report, score: Facts) -> Facts | None:
    """The float model's score on the data of `score`: the row without a file, else that of a float32 file."""
    floats = {a["name"] for a in report["artifacts"] if a["precision"] == "float32"}
    same = [other for other in report["scores"] if _data_of(other) == _data_of(score)]
    model = [other for other in same if not other["artifact"]]
    files = [other for other in same if other["artifact"] in floats]
    return next(iter([*model, *files]), None)


def change(score: Facts, reference: Facts | None) -> str:
    """ "-0.29 points" against a reference on the same data; empty where there is none."""
    if reference is None or score is reference:
        return ""
    unit = "points" if score.get("unit") == "%" else score.get("unit", "")
    difference = round(score["value"] - reference["value"], 6)
    if not difference:
        return "same"
    sign = "+" if difference > 0 else ""
    return sign + value_with_unit(difference, unit)


def transitions(step: Facts) -> list[str]:
    """ "accuracy 93.95 % → 93.8 % (-0.15 points) on watch-har/validation, ..." for each score of a step."""
    if step["step"] in TOLD_IN_TABLES:
        return []
    before = {(s["metric"], s["split"], s["samples"]): s for s in step["score_before"]}
    lines = []
    for score in step["score_after"]:
        old = before.pop((score["metric"], score["split"], score["samples"]), None)
        new = value_with_unit(score["value"], score["unit"])
        if old is not None:
            new = f"{value_with_unit(old['value'], old['unit'])} → {new} ({change(score, old)})"
        lines.append(f"{score['metric']} {new} on {where_scored(score)}")
    left = [f"before: {score_text(score)}" for score in before.values()]
    return left + lines


def headline_artifact(report: Report) -> Facts | None:
    """The file a user came for: int8 TFLite if there is one, else the smallest."""
    files = report["artifacts"]
    int8 = [a for a in files if a["precision"] == "int8" and a["format"] == "tflite"]
    return next(iter([*int8, *sorted(files, key=lambda a: a["file_bytes"])]), None)


def measurements_of(report: Report, name: str) -> list[Facts]:
    """Measurements of an artifact that hold a latency."""
    return [m for m in report["measurements"] if m["artifact"] == name and LATENCY in m["values"]]


def ratio(artifact: Facts) -> str:
    """ "3.61x smaller than kws.float32.tflite", empty for the float file."""
    if "times_smaller" not in artifact:
        return ""
    return f"{number(artifact['times_smaller'])}x smaller than {artifact['smaller_than']}"


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
            f"{number(artifact['times_smaller'])}x" if "times_smaller" in artifact else "",
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


def distance_text(distance: Facts) -> str:
    """The distance of outputs that are told, not judged."""
    relative = distance.get("relative")
    if relative is None:
        return "outputs are not finite"
    text = f"largest difference {number(100 * relative)} % of the largest value"
    sqnr = distance.get("sqnr_db")
    return text if sqnr is None else f"{text}, signal to noise {number(sqnr)} dB"


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


def departures(report: Report) -> list[str]:
    """First layer that departs, per candidate."""
    parity = report["parity"]
    return (
        [f"{name}: first departs at {layer}" for name, layer in sorted(parity["departs"].items())]
        if parity
        else []
    )


def notes_of(step: Facts) -> list[str]:
    """What a step's receipt says: its saving in its own words, then its notes."""
    saving = [step["saving"]] if step["saving"] else []
    return saving if step["step"] in TOLD_IN_TABLES else [*saving, *step["notes"]]


def remarks(report: Report) -> list[str]:
    """What the proof and the measurements say about themselves."""
    parity = report["parity"]
    notes = [f"parity: {note}" for note in (parity["notes"] if parity else ())]
    for m in report["measurements"]:
        notes += [
            f"{m['artifact'] or m['artifact_sha256'][:12]} in {m['engine']}: {n}"
            for n in m["notes"]
        ]
    return list(dict.fromkeys(notes))


DISTURBED = "timings are disturbed"
"""What devices/conditions.py writes into the notes of a measurement taken on a busy machine."""


def disturbance(report: Report) -> str:
    """One line if measurements were disturbed: how many, and the first of the reasons; else empty."""
    found = [n for m in report["measurements"] for n in m["notes"] if DISTURBED in n]
    if not found:
        return ""
    return f"{len(found)} of {len(report['measurements'])} measurements: {found[0]}"


def ordered(names: Iterable[str]) -> list[str]:
    """Value columns in a steady order: how much each layer costs comes first."""
    first = ("sqnr_db", "error", "relative_error")
    return sorted(names, key=lambda n: (first.index(n) if n in first else len(first), n))
