"""Calibration before training: inner tensors take the observer asked for, inputs and outputs their extremes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from edgepress.compress.quantization import qat
from edgepress.compress.quantization.qat_quantizers import get_activation
from edgepress.runtime.errors import InputError
from support import qat_nets

torch.set_num_threads(1)


def calibrated(**options: Any) -> Any:
    x = qat_nets.batch("residual", 32)
    model = qat.prepare(qat_nets.build("residual"), x[:2], qat.QatConfig(**options))
    qat.calibrate(model, [x])
    return model


def scales(model: Any, ends: bool) -> dict[str, float]:
    """Scale of every free quantizer that is (or is not) an input or output."""
    names = [g.name for g in model.classes if not g.fixed and (g.is_input or g.is_output) is ends]
    return {name: get_activation(model.quantizers()[name]).scale[0] for name in names}


def test_only_inner_tensors_are_clipped() -> None:
    wide = calibrated(observer="minmax")
    clipped = calibrated(observer="percentile", percentile=90.0)
    assert scales(wide, ends=True) and scales(wide, ends=True) == scales(clipped, ends=True)
    inner, cut = scales(wide, ends=False), scales(clipped, ends=False)
    assert inner and all(cut[name] < inner[name] for name in inner)


def test_values_that_are_not_finite_are_named() -> None:
    x = qat_nets.batch("residual", 4)
    model = qat.prepare(qat_nets.build("residual"), x[:2], qat.QatConfig())
    with pytest.raises(InputError, match="not finite"):
        qat.calibrate(model, [torch.full_like(x, float("nan"))])
