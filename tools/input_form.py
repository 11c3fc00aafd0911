"""How an int8 model takes its raw input: normalised by a layer of its own, or folded into the first convolution.

Which of the two errs less depends on the weights, so both are planned and judged on calibration samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..compress.progress import NoProgress
from ..compress.receipt import LayerRow

if TYPE_CHECKING:
    from ..compress.progress import Progress
    from ..compress.quantization.plan import PtqConfig

PIXELS = (0.0, 255.0)
LAYER, FOLDED = "normalisation as a layer", "normalisation folded"


def better_form(
    hub: Any, samples: Sequence[Any], config: PtqConfig, progress: Progress | None = None
) -> tuple[Any, tuple[LayerRow, ...]]:
    """(the better form of a float hub on raw values, the comparison).

    Half of the samples observe, half judge. Without bias correction, a known input range or a normalisation to
    fold, the hub comes back as it is with an empty comparison: folding rests on the correction of biases
    (`export/onnx/raw_input.py`).
    """
    from ..compress.quantization.choose import halves, outputs_of, plan_error
    from ..compress.quantization.plan import Draft, plan
    from ..export.onnx.raw_input import absorb_normalisation

    progress = progress or NoProgress()
    known = config.input_range or (PIXELS if _are_pixels(samples) else None)
    if known is None or not config.bias_correction or len(samples) < 2:
        return hub, ()
    folded = absorb_normalisation(hub, known)
    if folded is hub:
        return hub, ()
    seen, judging = halves(samples)
    expected = outputs_of(hub, [tuple(np.asarray(a, np.float32) for a in s) for s in judging])
    forms, rows = {LAYER: hub, FOLDED: folded}, []
    for name, form in forms.items():
        draft = Draft.of(form, judging, config)
        made = plan(form, seen, config, progress)
        error = plan_error(draft, made, draft.samples, expected, progress)
        rows.append(LayerRow(name, "form", error.values(), "with corrected biases"))
    best = max(rows, key=lambda row: row.values["sqnr_db"])
    return forms[best.name], tuple(rows)


def _are_pixels(samples: Sequence[Any]) -> bool:
    return all(np.asarray(sample[0]).dtype == np.uint8 for sample in samples)
