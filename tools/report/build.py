"""A run folder -> report.json, the truth that every view is made from.

Every number stands with its evidence: "file" (bytes of a file on disk), "computed" (counted in the graph), or the
tier of its measurement (docs/evidence.md). Every score stands with data, split, samples and seed. What the run
folder does not hold is listed under "missing"; nothing is made up in its place.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...compress.receipt import Receipt
from ...devices.measurement import METRIC_UNITS, Evidence, Measurement
from ...runtime.artifact import read_model_bytes
from ...runtime.codec import to_json
from ...runtime.errors import EdgepressError, InputError
from ...runtime.files import sha256_bytes
from ..artifact_names import read_name
from . import read

SCHEMA = "edgepress-report/1"
SUFFIXES = (".onnx", ".tflite", ".c")
NOTHING_JUDGED = (
    "the parity proof judged nothing: an int8 TFLite file is judged against the int8 ONNX file of the same numbers "
    "(name both); against the float model only the cost of quantization shows, a matter of accuracy"
)


def build_report(run_folder: Path) -> dict[str, Any]:
    """Gather a run folder (its records are plain JSON; the files in artifacts/ are opened and counted).

    Raises:
        InputError: no run folder, or one of its records is damaged.
    """
    folder = Path(run_folder)
    if not folder.is_dir():
        raise InputError(
            "there is no such run folder",
            where=str(folder),
            hint="give the folder that `edgepress run RECIPE --out FOLDER` wrote",
        )
    manifest, recipe = read.read_json(folder / "manifest.json"), read.recipe(folder)
    receipts = list(read.receipts(folder))
    artifacts = _artifacts(folder)
    if manifest is None and not (receipts or artifacts):
        raise InputError(
            "this is not a run folder: no manifest, no steps, no artifacts",
            where=str(folder),
            hint="give the folder that `edgepress run RECIPE --out FOLDER` wrote",
        )
    manifest = manifest if isinstance(manifest, dict) else {}
    about = _about(manifest, recipe, folder)
    report = {
        "schema": SCHEMA,
        **about,
        "recipe": recipe,
        "run": _run(manifest),
        "artifacts": artifacts,
        "scores": _scores(folder, about),
        "steps": [_step(number, receipt, about) for number, receipt in receipts],
        "sensitivity": _sensitivity(receipts),
        "parity": _parity(folder),
        "measurements": [_measurement(m, artifacts) for m in read.measurements(folder)],
        "verdicts": _verdicts(folder),
    }
    report["outcome"] = _outcome(report)
    report["missing"] = _missing(report)
    cleaned: dict[str, Any] = finite(report)
    return cleaned


def finite(value: Any) -> Any:
    """The same with None for infinity and NaN, which JSON does not have (an output that is all wrong)."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _about(manifest: dict[str, Any], recipe: dict[str, Any], folder: Path) -> dict[str, Any]:
    """What the run was: the words every score and table refers to."""
    return {
        "name": str(manifest.get("name") or recipe.get("name") or folder.resolve().name),
        "created": str(manifest.get("created", "")),
        "edgepress_version": str(manifest.get("edgepress_version", "")),
        "model": str(recipe.get("model", "")),
        "task": str(recipe.get("task") or ""),
        "seed": manifest.get("seed", recipe.get("seed")),
    }


def _run(manifest: dict[str, Any]) -> dict[str, Any]:
    keys = ("command", "seed", "threads", "host", "packages", "inputs", "finished")
    return {key: manifest[key] for key in keys if key in manifest}


# ------------------------------------------------------------------- files


def _artifacts(folder: Path) -> list[dict[str, Any]]:
    """Every exported file, float files first, with the ratio to the float file of its format."""
    paths = [p for p in sorted((folder / "artifacts").glob("*")) if p.suffix in SUFFIXES]
    found = [_artifact(path) for path in paths]
    found.sort(key=lambda item: (item["format"], -item["file_bytes"], item["name"]))
    floats = {item["format"]: item for item in found if item["precision"] == "float32"}
    for item in found:
        base = floats.get(item["format"])
        if base is not None and base is not item and item["format"] != "c":
            item["smaller_than"] = base["name"]
            item["times_smaller"] = base["file_bytes"] / item["file_bytes"]
    return found


def _artifact(path: Path) -> dict[str, Any]:
    data = read_model_bytes(path)
    precision, kind = read_name(path.name)
    facts: dict[str, Any] = {
        "name": path.name,
        "format": kind,
        "precision": precision,
        "file_bytes": len(data),
        "sha256": sha256_bytes(data),
        "evidence": {"file_bytes": "file", "layers": "computed"},
    }
    return {**facts, **_layers(path)}


def _layers(path: Path) -> dict[str, Any]:
    """The layer table and its totals; a file it cannot read is told in a note."""
    try:
        from ...devices.layers import layer_table

        table = layer_table(path)
    except EdgepressError as error:
        return {"totals": {}, "layers": [], "note": f"no layer table: {error.what}"}
    keys = ("parameters", "macs", "binary_macs", "bit_operations", "weight_bytes")
    totals = {key: getattr(table, key) for key in keys}
    return {"totals": totals, "layers": [to_json(layer) for layer in table.layers]}


# ------------------------------------------------------------------- scores, steps


def _scores(folder: Path, about: dict[str, Any]) -> list[dict[str, Any]]:
    """Accuracy of each file in each engine; file names relative, evidence host."""
    found = read.in_steps(folder, "scores.json")
    if found is None:
        return []
    path, data = found
    try:
        return [
            {
                "artifact": str(entry["artifact"]),
                "engine": str(entry["engine"]),
                "engine_version": str(entry.get("engine_version", "")),
                "evidence": str(Evidence.HOST),
                "agreement": entry.get("agreement"),
                **_score(entry["score"], about, about["seed"]),
            }
            for entry in data
        ]
    except (TypeError, KeyError) as error:
        raise InputError(
            f"not a list of scores: {error}", where=str(path), hint=read.AGAIN
        ) from error


def _score(score: dict[str, Any], about: dict[str, Any], seed: object) -> dict[str, Any]:
    return {**score, "data": about["task"], "seed": seed}


def _step(number: int, receipt: Receipt, about: dict[str, Any]) -> dict[str, Any]:
    plain = to_json(read.without_layers(receipt))
    for key in ("score_before", "score_after"):
        plain[key] = [_score(score, about, receipt.seed) for score in plain[key]]
    evidence = {"score": str(Evidence.HOST), "footprint": "computed"}
    counted = receipt.before is not None and receipt.after is not None
    saving = receipt.saving_note() if counted else ""
    plain["notes"] = [note for note in receipt.notes if note != saving]
    return {**plain, "number": number, "saving": saving, "evidence": evidence}


def _sensitivity(receipts: list[tuple[int, Receipt]]) -> list[dict[str, Any]]:
    """Per-layer rows of all steps, each with its step's name."""
    return [
        {"step": receipt.step, **to_json(row)} for _, receipt in receipts for row in receipt.layers
    ]


# ------------------------------------------------------------------- parity, measurements, verdicts


def _parity(folder: Path) -> dict[str, Any] | None:
    found = read.in_steps(folder, "parity.json")
    if found is None:
        return None
    from ...export.parity_records import ParityReport

    path, data = found
    proof = to_json(read.record(ParityReport, data, path))
    return {**proof, "outcome": parity_outcome(proof), "evidence": str(Evidence.HOST)}


def parity_outcome(proof: Mapping[str, Any]) -> str:
    """ "pass", "fail", or "none" for a proof in which every difference was reported and nothing judged."""
    if not proof["passed"]:
        return "fail"
    rows = [*proof["outputs"], *proof["layers"]]
    return "pass" if any(row["outcome"] == "pass" for row in rows) else "none"


def _measurement(measurement: Measurement, artifacts: list[dict[str, Any]]) -> dict[str, Any]:
    plain = to_json(measurement)
    names = [a["name"] for a in artifacts if a["sha256"] == measurement.artifact_sha256]
    plain["artifact"] = names[0] if names else ""
    plain["units"] = {name: METRIC_UNITS[name] for name in measurement.values}
    plain["processes"] = max((len(series) for series in measurement.samples.values()), default=0)
    return plain


def _verdicts(folder: Path) -> list[dict[str, Any]]:
    path = folder / "verdicts.json"
    data = read.read_json(path)
    if data is None:
        return []
    if not isinstance(data, list) or any(not isinstance(v, dict) for v in data):
        raise InputError("not a list of verdicts", where=str(path), hint=read.AGAIN)
    keys = ("name", "limit", "value", "unit", "outcome", "reason", "artifact", "engine", "evidence")
    return [{key: verdict.get(key) for key in keys} for verdict in data]


def _outcome(report: dict[str, Any]) -> str:
    """ "fail" if a proof or a budget failed, "invalid" if a limit could not be judged, "pass", or "none"."""
    outcomes = [v["outcome"] for v in report["verdicts"]]
    if report["parity"] is not None:
        outcomes.append(report["parity"]["outcome"])
    for word in ("fail", "invalid"):
        if word in outcomes:
            return word
    return "pass" if "pass" in outcomes else "none"


def _missing(report: dict[str, Any]) -> list[str]:
    words = {
        "artifacts": "no exported files",
        "scores": "the exported files were not scored",
        "parity": "no parity proof was made",
        "measurements": "no file was measured",
        "verdicts": "the recipe sets no budget",
    }
    missing = [text for key, text in words.items() if not report[key]]
    if report["parity"] is not None and report["parity"]["outcome"] == "none":
        missing.append(NOTHING_JUDGED)
    if report["run"].get("finished") is False:
        missing.insert(0, "the run has not finished")
    return missing
