"""The report as one self-contained page: inline CSS and SVG, nothing loaded from anywhere, light and dark."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from ..recipe_records import PRECISIONS
from ..render import kib, number, plural, seconds, shapes
from . import svg, tables, views
from .views import Facts, Report


def to_html(report: Report) -> str:
    """HTML text of a report; pure. Everything from the report is escaped."""
    from markupsafe import Markup

    page: str = _template().render(
        report=report,
        cards=_cards(report),
        scatter=Markup(_scatter(report)),
        latency=Markup(_latency(report)),
        groups=_groups(report),
        tables=_tables(report),
        steps=[_step(step) for step in report["steps"]],
        remarks=views.remarks(report),
        parity=_parity(report),
        latency_notes=[*views.not_faster(report), views.disturbance(report)],
        departures=views.departures(report),
        places=sorted({views.where_scored(score) for score in report["scores"]}),
        layers=_layers(report),
    )
    return page


@cache
def _template() -> Any:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )
    return environment.get_template("report.html.j2")


def _tables(report: Report) -> dict[str, tables.Table]:
    return {
        "verdicts": tables.verdicts_table(report),
        "files": tables.files_table(report),
        "latency": tables.latency_table(report),
        "parity": tables.parity_table(report),
        "environment": tables.environment_table(report),
        "sensitivity": tables.sensitivity_table(report),
    }


def _group(precision: str) -> int:
    return PRECISIONS.index(precision) if precision in PRECISIONS else len(PRECISIONS)


def _groups(report: Report) -> list[tuple[str, int]]:
    """The legend: precisions of this report with their colours."""
    seen = sorted({a["precision"] or "other" for a in report["artifacts"]}, key=_group)
    return [(name, _group(name)) for name in seen]


# ------------------------------------------------------------------- cards


def _cards(report: Report) -> list[dict[str, str]]:
    """The four numbers a reader looks for, each with where it comes from."""
    artifact, cards = views.headline_artifact(report), []
    if artifact is not None:
        cards.append(_card("Size", kib(artifact["file_bytes"]), views.ratio(artifact), "file"))
        cards += _score_card(report, artifact)
        cards += _latency_card(report, artifact)
    parity = report["parity"]
    if parity:
        word = {"pass": "proven", "fail": "not proven", "none": "not judged"}[parity["outcome"]]
        text = f"{len(parity['outputs'])} comparisons on {parity['samples']:,} real inputs"
        cards.append(_card("Parity", word, text, parity["evidence"], parity["outcome"]))
    return cards


def _card(title: str, value: str, text: str, evidence: str, tone: str = "") -> dict[str, str]:
    return {"title": title, "value": value, "text": text, "evidence": evidence, "tone": tone}


def _score_card(report: Report, artifact: Facts) -> list[dict[str, str]]:
    for score in views.scores_of(report, artifact["name"])[:1]:
        unit = f" {score['unit']}" if score["unit"] else ""
        difference = views.change(score, views.reference_score(report, score))
        text = f"{difference} against float; " if difference else ""
        title = score["metric"][:1].upper() + score["metric"][1:]
        value = f"{number(score['value'])}{unit}"
        return [_card(title, value, text + views.where_scored(score), score["evidence"])]
    return []


def _latency_card(report: Report, artifact: Facts) -> list[dict[str, str]]:
    found = views.measurements_of(report, artifact["name"])
    if not found:
        return []
    best = min(found, key=lambda m: m["values"][views.LATENCY])
    engine = f"{best['engine']} {best['engine_version']}, {plural(best['threads'], 'thread')}"
    text = f"median in {engine}, on {best['device']}"
    return [_card("Latency", number(best["values"][views.LATENCY], "ms"), text, best["evidence"])]


# ------------------------------------------------------------------- charts


def _scatter(report: Report) -> str:
    """Score against file size: colour tells the precision, form the format; the headline file is named."""
    files = {a["name"]: a for a in report["artifacts"]}
    scores, headline = views.main_scores(report), views.headline_artifact(report)
    if not scores or headline is None:
        return ""
    points = [_point(files[s["artifact"]], s) for s in scores]
    metric, unit = scores[0]["metric"], scores[0]["unit"]
    for index, score in enumerate(scores):
        if score["artifact"] == headline["name"]:
            text = (
                f"{headline['name']}: {kib(headline['file_bytes'])}, {number(score['value'], unit)}"
            )
            points.append(replace(points.pop(index), callout=text))  # last, so that it lies on top
            break
    name = f"{metric} ({unit})" if unit else metric
    return svg.scatter(points, "file size (KiB)", name, f"{metric} against file size")


def _point(artifact: Facts, score: Facts) -> svg.Point:
    value = number(score["value"], score["unit"])
    label = f"{artifact['name']} in {score['engine']}: {kib(artifact['file_bytes'])}, {value}"
    size, square = artifact["file_bytes"] / 1024, artifact["format"] == "onnx"
    return svg.Point(size, score["value"], label, _group(artifact["precision"]), square)


def _latency(report: Report) -> str:
    """Median latency per file and engine; the evidence stands behind every number."""
    precision = {a["name"]: a["precision"] for a in report["artifacts"]}
    rows = [
        svg.Bar(
            f"{m['artifact'] or m['artifact_sha256'][:12]} in {m['engine']} {m['engine_version']}",
            m["values"][views.LATENCY],
            f"{number(m['values'][views.LATENCY], 'ms')} ({m['evidence']})",
            _group(precision.get(m["artifact"], "")),
        )
        for m in report["measurements"]
        if views.LATENCY in m["values"]
    ]
    return svg.bars(rows, "median latency")


def _parity(report: Report) -> str:
    """ "8 comparisons of outputs on 64 samples: 6 passed, 2 reported; 28 inner values on 4 of them"."""
    parity = report["parity"]
    if not parity:
        return ""
    outcomes = [row["outcome"] for row in parity["outputs"]]
    words = {"fail": "failed", "pass": "passed", "reported": "reported"}
    counts = [f"{outcomes.count(key)} {word}" for key, word in words.items() if key in outcomes]
    text = f"{len(outcomes)} comparisons of outputs on {parity['samples']:,} samples: {', '.join(counts)}"
    if parity["layers"]:
        failed = sum(row["outcome"] == "fail" for row in parity["layers"])
        text += f"; {len(parity['layers'])} inner values on {parity['layer_samples']} of them, {failed} failed"
    return text


# ------------------------------------------------------------------- steps and layers


def _step(step: Facts) -> dict[str, Any]:
    return {
        "title": f"{step['number']:02d} {step['step']}",
        "took": seconds(step["seconds"]),
        "scores": views.transitions(step),
        "notes": views.notes_of(step),
        "seed": step["seed"],
        "options": _options(step["options"]),
    }


def _options(options: Facts) -> str:
    """Options that say something: no empty lists, nothing left out."""
    told = []
    for name, value in sorted(options.items()):
        if value is None or value == []:
            continue
        text = " ".join(map(str, value)) if isinstance(value, list) else str(value)
        told.append(f"{name.replace('_', ' ')} {text}")
    return ", ".join(told)


def _layers(report: Report) -> dict[str, Any] | None:
    """Rows of the headline file's layer table, with the share of MACs and weights as bar lengths."""
    artifact = views.headline_artifact(report)
    if artifact is None or not artifact["layers"]:
        return None
    layers = artifact["layers"]
    most_macs = max(layer["macs"] for layer in layers) or 1
    most_bytes = max(layer["weight_bytes"] for layer in layers) or 1
    rows = [
        {
            "name": layer["name"],
            "operator": layer["operator"],
            "output": shapes(layer["output_shapes"]),
            "quantization": layer["quantization"],
            "macs": number(layer["macs"]),
            "macs_share": f"{100 * layer['macs'] / most_macs:.1f}",
            "bytes": kib(layer["weight_bytes"]),
            "bytes_share": f"{100 * layer['weight_bytes'] / most_bytes:.1f}",
        }
        for layer in layers
    ]
    return {"name": artifact["name"], "rows": rows, "totals": _totals(artifact["totals"])}


def _totals(totals: Facts) -> str:
    parts = [f"{number(totals['macs'])} MACs"]
    if totals.get("binary_macs"):
        parts.append(f"{number(totals['binary_macs'])} binary MACs")
    parts.append(f"{number(totals['parameters'])} parameters")
    parts.append(f"{kib(totals['weight_bytes'])} of weights")
    return ", ".join(parts)
