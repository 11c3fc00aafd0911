"""Small nets as float hubs on raw inputs, with calibration samples and other ones to be judged on."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import torch
from edgepress.compress.quantization.calibrate import Sample
from edgepress.compress.quantization.plan import PtqConfig, plan
from edgepress.compress.quantization.records import QuantPlan
from edgepress.export.onnx import hub as hubs
from edgepress.export.onnx.qdq import apply

from . import qat_nets

NETS = tuple(qat_nets.NETS)

torch.set_num_threads(1)


@functools.cache
def float_hub(name: str) -> Any:
    """The hub of a net of `qat_nets`."""
    net, shape = qat_nets.build(name), qat_nets.NETS[name][1]
    return hubs.from_torch(net, [(1, *shape)])


def samples(name: str, count: int, seed: int) -> list[Sample]:
    """Batch-1 samples."""
    values = qat_nets.batch(name, count, seed).numpy().astype(np.float32)
    return [(values[i : i + 1],) for i in range(count)]


@functools.cache
def planned(name: str, config: PtqConfig | None = None, count: int = 32) -> QuantPlan:
    """The plan of a net; min-max unless told otherwise."""
    config = config or PtqConfig(observer="minmax")
    return plan(float_hub(name), samples(name, count, 1), config)


@functools.cache
def quantized_hub(name: str) -> Any:
    """The QDQ hub of `planned`."""
    return apply(float_hub(name), planned(name))
