"""Post-training int8 quantization of the hub; every decision rests on calibration and validation data."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from ...compress.passes import QuantizeOptions
from ...compress.receipt import LayerRow, Receipt
from ...runtime.errors import InputError
from ..input_form import better_form
from ..recipe import recipe_values
from ..run_folder import write_json
from .base import Step, Workplace
from .hub import is_quantized
from .receipts import Side, comparing_receipt

if TYPE_CHECKING:
    from ...compress.quantization.records import QuantPlan
    from ..inputs import Inputs

SENSITIVITY_SAMPLES = 32


class QuantizeStep(Step):
    """Float hub + calibration data -> int8.onnx and plan.json."""

    name: ClassVar[str] = "quantize"
    takes: ClassVar[tuple[str, ...]] = ("float_hub", "binary_hub")
    gives: ClassVar[Mapping[str, str]] = {"int8_hub": "int8.onnx"}

    def __init__(self, options: QuantizeOptions):
        self.options = options

    def key_facts(self, inputs: Inputs) -> Mapping[str, Any]:
        """Every option, the data, and whether inputs and outputs are quantized."""
        hashes = inputs.hashes
        return {
            "options": recipe_values(self.options),
            "io": inputs.recipe.export.io,
            "inputs": {k: hashes.get(k) for k in ("task", "calibration")},
        }

    def title(self) -> str:
        """One line for plans."""
        return f"quantize to int8 after training, observer {self.options.observer}"

    def work(self, place: Workplace) -> Receipt:
        """Plan, apply, and say what it cost on validation data."""
        from ...compress.quantization.plan import PtqConfig, plan
        from ...export.onnx import hub as hubs
        from ...export.onnx import qdq
        from ...export.onnx.binary_links import fold_links, sign_nodes
        from ...export.onnx.decompose import decompose

        start = time.perf_counter()
        hub = hubs.load(_source(place))
        if is_quantized(hub):
            raise InputError(
                "the model is quantized already",
                where=place.recipe.model,
                hint="remove `quantize` from the passes; the file is exported with the scales it has",
            )
        hub = decompose(hub, for_int8=True)  # recurrent layers are int8 only once they are unrolled
        hub = fold_links(hub)  # one-bit layers hand on bits: nothing between them is quantized
        samples = place.inputs.calibration_samples(self.options.calibration_samples)
        config = ptq_config(PtqConfig, self.options, place.recipe.export.io)
        kept = (*config.keep_float, *sign_nodes(hub))
        config = dataclasses.replace(config, keep_float=kept)
        config, notes = self._observer(hub, samples, config, place)
        hub, said = self._form(hub, samples, config, place)
        made = plan(hub, samples, config, place.progress)
        quantized = qdq.apply(hub, made)
        path = hubs.save(quantized, place.own("int8.onnx"))
        write_json(place.own("plan.json"), plan_summary(made))
        layers = self._sensitivity(hub, samples, config, place)
        stays = (f"{node} stays float: {reason}" for node, reason in made.float_nodes.items())
        return comparing_receipt(
            self.name,
            self.options,
            place,
            start,
            (Side(_source(place), hub), Side(path, quantized)),
            layers=layers,
            notes=(*notes, *said, *stays),
        )

    def _observer(
        self, hub: Any, samples: list[Any], config: Any, place: Workplace
    ) -> tuple[Any, tuple[str, ...]]:
        """The observer named, or the best of all on calibration data, with the comparison in words."""
        if self.options.observer != "auto":
            return config, ()
        from ...compress.quantization.choose import choose_observer

        name, rows = choose_observer(hub, samples, config, place.progress)
        table = [{"observer": r.name, **r.values, "note": r.note} for r in rows]
        write_json(place.own("observers.json"), {"chosen": name, "rows": table})
        return dataclasses.replace(config, observer=name), (
            f"observer {name!r} chosen among {len(rows)} on {len(samples)} calibration samples",
        )

    def _form(
        self, hub: Any, samples: list[Any], config: Any, place: Workplace
    ) -> tuple[Any, tuple[str, ...]]:
        """The hub whose input normalisation is a layer or folded, whichever errs less on calibration data."""
        form, rows = better_form(hub, samples, config, place.progress)
        told = ", ".join(f"{row.name} {row.values['sqnr_db']:.1f} dB" for row in rows)
        chosen = "folded" if form is not hub else "a layer"
        return form, (f"input normalisation: {chosen} ({told})",) if rows else ()

    def _sensitivity(
        self, hub: Any, samples: list[Any], config: Any, place: Workplace
    ) -> tuple[LayerRow, ...]:
        if not self.options.sensitivity:
            return ()
        from ...compress.quantization.sensitivity import sensitivity

        return sensitivity(hub, samples[:SENSITIVITY_SAMPLES], config, place.progress)


def ptq_config(record: type[Any], options: QuantizeOptions, io: str) -> Any:
    """The planner's settings from the recipe."""
    names = {f.name for f in dataclasses.fields(record)}
    given = {f.name: getattr(options, f.name) for f in dataclasses.fields(options)}
    settings = {name: value for name, value in given.items() if name in names}
    return record(**settings, io=io)


def plan_summary(plan: QuantPlan) -> dict[str, Any]:
    """plan.json: every scale and zero point with its reason; the integers themselves are in int8.onnx."""
    return {
        "schema": "edgepress-quant-plan/1",
        "observer": plan.observer,
        "samples": plan.samples,
        "calibration_sha256": plan.calibration_sha256,
        "activations": {name: _qparams(q) for name, q in plan.activations.items()},
        "constants": {name: _qparams(c.qparams) for name, c in plan.constants.items()},
        "requantize": [
            {"node": node, "input": index, "reason": reason, **_qparams(q)}
            for (node, index), (q, reason) in plan.requantize.items()
        ],
        "float_nodes": dict(plan.float_nodes),
    }


def _qparams(q: Any) -> dict[str, Any]:
    return {
        "scale": list(q.scale),
        "zero_point": list(q.zero_point),
        "bits": q.bits,
        "axis": q.axis,
    }


def _source(place: Workplace) -> Path:
    """The graph to quantize: after binarization what is real in it, its one-bit layers stay."""
    return place.taken.get("binary_hub", place.taken["float_hub"])
