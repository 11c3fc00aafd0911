"""Grouped convolutions of exported C: one call each, the same values as group by group, no more memory."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edgepress.compress.quantization.integer import IntegerModel
from edgepress.export.c import lower as lowering
from edgepress.export.c.pack import layout_of
from edgepress.export.onnx.check import run
from edgepress.runtime.c_folder import MANIFEST, parse
from edgepress.runtime.session import run_real
from support import c_fuzz, c_models
from support.grouped import CASES, hub_of

DEVICES = ("generic", "x86-64", "cortex-m4", "cortex-m55", "cortex-a53", "cortex-a76")
COMPILER = next((name for name in ("gcc", "clang") if shutil.which(name)), "")


def int8_of(name: str) -> tuple[Any, list[c_models.Sample]]:
    """(quantized hub, samples)."""
    hub = hub_of(CASES[name])
    return c_models.planned(hub, c_fuzz.samples(hub, 6, 1)), c_fuzz.samples(hub, 4, 2)


def functions(lowered: lowering.LoweredC) -> list[str]:
    return [call.function for call in lowered.program.calls]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", CASES)
def test_int8_is_one_call_that_equals_the_integer_reference(
    name: str, device: str, tmp_path: Path
) -> None:
    hub, samples = int8_of(name)
    calls = functions(lowering.lower(hub, layout=layout_of(device)))
    assert calls.count("ep_grouped_conv_s8") == 1
    assert not [function for function in calls if function.startswith(("ep_copy", "ep_fill"))]
    reference = IntegerModel(hub)
    session = c_models.opened(hub, tmp_path, device=device)
    assert c_models.differing(session, [reference.run(s) for s in samples], samples) == 0


@pytest.mark.parametrize("name", CASES)
def test_float_equals_group_by_group_to_the_last_bit(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = hub_of(CASES[name])
    samples = c_fuzz.samples(hub, 4, 2)
    assert functions(lowering.lower(hub)).count("ep_grouped_conv_f32") == 1
    one = c_models.opened(hub, tmp_path / "one")
    monkeypatch.setattr(lowering, "fuse_groups", lambda model: model)
    assert functions(lowering.lower(hub)).count("ep_conv_f32") == 1 + CASES[name].groups
    apart = c_models.opened(hub, tmp_path / "apart")
    assert c_models.differing(one, [run_real(apart, s) for s in samples], samples) == 0
    for sample in samples:
        expected = run(hub, {"x": sample[0]})[0]
        np.testing.assert_allclose(run_real(one, sample)[0], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", CASES)
def test_the_arena_does_not_grow(
    name: str, device: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub, _ = int8_of(name)

    def arena(folder: Path) -> int:
        path = c_models.write(hub, folder, device=device)
        return parse((path / MANIFEST).read_bytes()).arena_bytes

    fused = arena(tmp_path / "one")
    monkeypatch.setattr(lowering, "fuse_groups", lambda model: model)
    assert fused <= arena(tmp_path / "apart")


@pytest.mark.skipif(not COMPILER, reason="no C compiler here")
@pytest.mark.parametrize(
    "device", ["generic", *(pytest.param(d, marks=pytest.mark.emulated) for d in DEVICES[1:])]
)
@pytest.mark.parametrize("name", CASES)
def test_nothing_is_touched_beyond(name: str, device: str, tmp_path: Path) -> None:
    """Under the address and undefined-behaviour sanitizers, int8 and float."""
    hub, _ = int8_of(name)
    found = c_fuzz.run_sanitized(hub, tmp_path / "int8", COMPILER, device=device)
    assert len(np.unique(found)) > 1
    c_fuzz.run_sanitized(hub_of(CASES[name]), tmp_path / "float", COMPILER, device=device)
