"""What the views say, derived from the report: scores, differences and notes in words. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..render import number, value_with_unit

Report = Mapping[str, Any]
Facts = Mapping[str, Any]

LATENCY = "latency_ms"
TOLD_IN_TABLES = ("verify", "evaluate", "profile", "budget")
"""Steps whose scores and notes repeat what a table of the report says."""


def score_text(score: Facts, sample_text: bool = True) -> str:
    """ "93.8 % accuracy on watch-har/test, 1,372 samples, seed 0"."""
    unit = f" {score['unit']}" if score.get("unit") else ""
    text = f"{number(score['value'])}{unit} {score['metric']}"
    return f"{text} on {where_scored(score)}" if sample_text else text


def where_scored(score: Facts) -> str:
    """ "watch-har/test, 1,372 samples, seed 0"."""
    data, split = score.get("data"), score["split"]
    if data and "/" not in split:  # steps say the data themselves: "watch-har/test"
        split = f"{data}/{split}"
    seed = "" if score.get("seed") is None else f", seed {score['seed']}"
    seen = " (the weights were trained on them)" if score.get("seen_in_training") else ""
    return f"{split}, {score['samples']:,} samples{seen}{seed}"


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
    """ "3.61x smaller than kws.float32.tflite", or larger; empty for the float file."""
    size = size_change(artifact)
    if not size:
        return ""
    return f"{size} {'as' if size.startswith('same') else 'than'} {artifact['smaller_than']}"


def size_change(artifact: Facts) -> str:
    """ "3.61x smaller" or "1.27x larger"; empty for the float file."""
    times = artifact.get("times_smaller")
    if times is None:
        return ""
    if times == 1:
        return "same size"
    return f"{number(times)}x smaller" if times >= 1 else f"{number(1 / times)}x larger"


def distance_text(distance: Facts) -> str:
    """The distance of outputs that are told, not judged."""
    relative = distance.get("relative")
    if relative is None:
        return "outputs are not finite"
    text = f"largest difference {number(100 * relative)} % of the largest value"
    sqnr = distance.get("sqnr_db")
    return text if sqnr is None else f"{text}, signal to noise {number(sqnr)} dB"


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


def not_faster(report: Report) -> list[str]:
    """Compressed files that are no faster than the float file of their format, engine by engine."""
    files = {artifact["name"]: artifact for artifact in report["artifacts"]}
    timed = [m for m in report["measurements"] if m["artifact"] in files and LATENCY in m["values"]]
    conditions = ("evidence", "device", "engine", "engine_version", "threads")
    lines = []
    for m in timed:
        mine = files[m["artifact"]]
        for base in timed:
            other = files[base["artifact"]]
            same = mine["format"] == other["format"] and all(m[k] == base[k] for k in conditions)
            if not same or mine is other or other["precision"] != "float32":
                continue
            values = m["values"][LATENCY], base["values"][LATENCY]
            if values[0] >= values[1]:
                mine_ms, other_ms = (number(value, "ms") for value in values)
                lines.append(
                    f"{mine['name']} is not faster than {other['name']} in {m['engine']}: "
                    f"{mine_ms} against {other_ms} ({m['evidence']})"
                )
    return lines
