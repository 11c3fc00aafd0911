"""Hubs written as C, compiled and opened, beside what they must compute."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from edgepress.compress.quantization.plan import PtqConfig, plan
from edgepress.export.c import to_c
from edgepress.export.onnx.check import run
from edgepress.export.onnx.decompose import decompose
from edgepress.export.onnx.qdq import apply
from edgepress.runtime.session import Session, open_session, run_real

Array = np.ndarray
Sample = tuple[Array, ...]


def write(hub: Any, folder: Path, name: str = "model", **options: Any) -> Path:
    """The exported folder of a hub."""
    for file, data in to_c(hub, name, **options).items():
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes(data)
    return folder


def opened(hub: Any, folder: Path, **options: Any) -> Session:
    """The hub in the native engine."""
    return open_session(write(hub, folder, **options))


def onnx_outputs(hub: Any, sample: Sample) -> list[Array]:
    names = [value.name for value in hub.graph.input]
    return run(hub, dict(zip(names, sample, strict=True)))


def differing(session: Session, expected: Sequence[Sequence[Array]], samples: list[Sample]) -> int:
    """Values that are not exactly the expected ones."""
    count = 0
    for sample, want in zip(samples, expected, strict=True):
        found = run_real(session, sample)
        count += sum(int((a != b).sum()) for a, b in zip(found, want, strict=True))
    return count


@functools.cache
def zoo_hub(name: str) -> Any:
    """A zoo network with seeded weights and lively normalisation statistics, as a float hub."""
    import torch
    from edgepress.compress.zoo import build, entry
    from edgepress.export.onnx import hub as hubs

    torch.manual_seed(0)
    net = build(name).eval()
    for module in net.modules():
        if isinstance(module, (torch.nn.BatchNorm1d, torch.nn.BatchNorm2d)):
            module.running_mean.normal_(0.0, 0.2)
            module.running_var.uniform_(0.5, 1.5)
    return hubs.from_torch(net, [(1, *shape) for shape in entry(name).input_shapes])


def zoo_samples(name: str, count: int, seed: int) -> list[Sample]:
    from edgepress.compress.zoo import entry

    rng = np.random.default_rng(seed)
    shapes = [(1, *shape) for shape in entry(name).input_shapes]
    return [tuple(rng.normal(size=s).astype(np.float32) for s in shapes) for _ in range(count)]


@functools.cache
def zoo_int8(name: str) -> Any:
    """Its quantized hub, calibrated on seeded noise."""
    return planned(zoo_hub(name), zoo_samples(name, 8, 1))


def planned(hub: Any, samples: list[Sample]) -> Any:
    """The quantized form of a float hub by the real planner."""
    hub = decompose(hub, for_int8=True)
    return apply(hub, plan(hub, samples, PtqConfig(observer="minmax")))
