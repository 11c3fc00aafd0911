"""Exported C under the address and undefined-behaviour sanitizers, on random networks."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from edgepress.runtime.session import open_session
from support import c_fuzz, c_models

COMPILER = next((name for name in ("gcc", "clang") if shutil.which(name)), "")
FEW, MANY = range(3), range(3, 40)

if not COMPILER:
    pytest.skip("no C compiler here", allow_module_level=True)


def check(seed: int, folder: Path) -> None:
    """int8 in both layouts and float; int8 gives the same bytes with and without sanitizers and vectors."""
    hub = c_fuzz.random_hub(seed)
    c_fuzz.run_sanitized(hub, folder / "float", COMPILER)
    int8 = c_models.planned(hub, c_fuzz.samples(hub, 6, seed))
    raw = c_fuzz.run_sanitized(int8, folder / "int8", COMPILER)
    blocks = c_fuzz.run_sanitized(
        int8, folder / "blocks", COMPILER, ("-march=native",), device="x86-64"
    )
    np.testing.assert_array_equal(blocks, raw)
    session = open_session(folder / "int8")
    spec = session.artifact.inputs[0]
    data = np.fromfile(folder / "int8/input.bin", spec.dtype).reshape(spec.shape)
    np.testing.assert_array_equal(session.run([data])[0], raw)


@pytest.mark.parametrize("seed", FEW)
def test_random_networks(seed: int, tmp_path: Path) -> None:
    check(seed, tmp_path)


@pytest.mark.emulated
@pytest.mark.parametrize("seed", MANY)
def test_many_random_networks(seed: int, tmp_path: Path) -> None:
    check(seed, tmp_path)


def test_a_step_beyond_is_found(tmp_path: Path) -> None:
    """The harness itself: a kernel that writes one element too many ends the program."""
    hub = c_fuzz.random_hub(0)
    kernels = c_models.write(hub, tmp_path / "whole")
    with pytest.MonkeyPatch.context() as patch:
        from edgepress.export.c import kernels as module

        text = (kernels / "ep_softmax_f32.c").read_text()
        broken = text.replace(
            "i < args->count; i++) y[i] /= sum", "i <= args->count; i++) y[i] /= sum"
        )
        assert broken != text
        files = {**module.library(), "ep_softmax_f32.c": broken}
        patch.setattr(module, "library", lambda: files)
        with pytest.raises(AssertionError, match="heap-buffer-overflow"):
            c_fuzz.run_sanitized(hub, tmp_path / "broken", COMPILER)
