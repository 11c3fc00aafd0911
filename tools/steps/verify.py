"""The parity proof of every exported file, on real inputs, in every engine."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from ...compress.receipt import Receipt
from ...runtime.engines import engines_for
from ..artifact_names import SUFFIXES, kinds
from ..engines import usable_engines
from ..recipe import recipe_values
from ..recipe_records import Recipe, VerifyOptions
from ..run_folder import write_json
from .base import Failure, Step, Workplace
from .export import Exported, read_exported
from .hub import weights_of

if TYPE_CHECKING:
    from ..inputs import Inputs


class VerifyStep(Step):
    """Files -> parity.json; a failed proof names the first layer that departs and ends the run with 1."""

    name: ClassVar[str] = "verify"
    uses_torch: ClassVar[bool] = False
    takes: ClassVar[tuple[str, ...]] = ("weights", "float_hub", "artifacts")

    def __init__(self, options: VerifyOptions):
        self.options = options

    def key_facts(self, inputs: Inputs) -> Mapping[str, Any]:
        """Options, inputs, engines with their versions."""
        return {
            "options": recipe_values(self.options),
            "inputs": dict(inputs.hashes),
            "engines": usable_engines(self.options.engines, _formats(inputs.recipe), True),
        }

    def title(self) -> str:
        """One line for plans."""
        layers = ", layer by layer" if self.options.layers else ""
        return f"prove the files on {self.options.samples} real inputs{layers}"

    def work(self, place: Workplace) -> Receipt:
        """Compare with the torch model (or the user's graph), with each other, and between engines."""
        from ...export.parity_stream import verify_all

        start = time.perf_counter()
        inputs = place.inputs
        samples = inputs.proof_samples(self.options.split, self.options.samples)
        reference, label = reference_of(place)
        report = verify_all(
            reference,
            candidates(place, self.options),
            samples,
            layers=self.options.layers,
            progress=place.progress,
            reference_label=label,
        )
        write_json(place.own("parity.json"), report)
        source = (
            f"{inputs.task.name}/{self.options.split}" if inputs.task else "the calibration file"
        )
        return Receipt(
            step=self.name,
            options=recipe_values(self.options),
            seed=place.recipe.seed,
            seconds=time.perf_counter() - start,
            notes=(f"{len(samples)} inputs from {source}", *report.notes),
        )

    def failure(self, place: Workplace) -> Failure | None:
        """The first row that failed, with the first layer that departs."""
        report = json.loads((place.here / "parity.json").read_text("utf-8"))
        if report["passed"]:
            return None
        rows = [r for r in (*report["outputs"], *report["layers"]) if r["outcome"] == "fail"]
        row = rows[0]
        departs = report["departs"].get(f"{row['candidate']} ({row['engine']})", "")
        layer = row.get("layer") or departs
        what = (
            f"{row['candidate']} in {row['engine']} differs from {row['against']}: {row['reason']}"
        )
        return Failure(
            step=self.name,
            what=what + (f"; the first layer that departs is {layer}" if layer else ""),
            where=row["candidate"],
            hint="parity.json in the step's folder has every output and layer",
        )


def candidates(place: Workplace, options: VerifyOptions) -> list[Any]:
    """Every file in every engine, ONNX files first: TFLite files are compared with their twins."""
    from ...export.parity_records import Candidate

    engines = usable_engines(options.engines, _formats(place.recipe), True)
    rows = read_exported(place.taken["artifacts"])
    ordered = sorted(rows, key=lambda row: list(SUFFIXES).index(row.format))
    return [
        Candidate(place.run / "artifacts" / row.file, engine=engine, precision=row.precision)
        for row in ordered
        for engine in engines_of(_proven_as(row), engines)
    ]


def engines_of(row: Exported, engines: Mapping[str, str]) -> list[str]:
    """Those of `engines` that run a file."""
    return [name for name in engines if name in engines_for(row.format)]


def _formats(recipe: Recipe) -> tuple[str, ...]:
    """What the files are proven as: a QONNX file is imported, and the ONNX model it stands for is run."""
    return tuple("onnx" if kind == "qonnx" else kind for kind in kinds(recipe.export))


def _proven_as(row: Exported) -> Exported:
    return replace(row, format="onnx") if row.format == "qonnx" else row


def reference_of(place: Workplace) -> tuple[Any, str]:
    """(what is right, its label): the torch model as trained, or the graph the user handed in."""
    from ...export.parity import torch_reference

    inputs = place.inputs
    if place.recipe.model_kind == "onnx":
        return Path(place.taken["float_hub"]), "the model"
    binary = next((p.options for p in place.recipe.passes if p.name == "binarize"), None)
    if binary is not None:
        from .binarize import rebuild

        return torch_reference(rebuild(binary, place), inputs.normalisation()), "torch"
    model = inputs.build(weights_of(place))
    return torch_reference(model, inputs.normalisation()), "torch"
