"""Gates on exported C, executed: a slower packing is caught, an unchanged folder passes, from the cache as well."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from edgepress.runtime.artifact import model_sha256
from edgepress.runtime.session import open_session
from edgepress.runtime.timing import random_inputs
from edgepress.tools.cache import Cache
from edgepress.tools.gate.config import load_config
from edgepress.tools.gate.records import Judgement
from edgepress.tools.gate.run import Settings, run_gates
from support import c_models, ptq
from support.gates import write_config

pytestmark = [pytest.mark.emulated, pytest.mark.usefixtures("tools", "linux_tools")]

GATE = """\
baseline: {{models: old}}
gates:
  - {{model: net.c, device: {device}, engine: native{more}}}
"""


def gated(
    folder: Path, device: str, cores: tuple[str, str], more: str = "", cache: Cache | None = None
) -> dict[str, Judgement]:
    """The judgements on a net packed for the second core against itself packed for the first."""
    hub = ptq.quantized_hub("residual")
    for place, core in zip(("old", "."), cores, strict=True):
        c_models.write(hub, folder / place / "net.c", device=core)
    config = load_config(write_config(folder, GATE.format(device=device, more=more)))
    return {j.key[4]: j for j in run_gates(config, Settings(cache=cache)).judgements}


@pytest.mark.parametrize(("device", "core"), [("stm32l4r5", "cortex-m4"), ("pi5", "cortex-a76")])
def test_weights_packed_for_no_core_are_caught(tmp_path: Path, device: str, core: str) -> None:
    found = gated(tmp_path, device, (core, "generic"))
    slower = found["instructions"]
    assert slower.verdict.word == "fail" and slower.change is not None and slower.change.ratio > 1.1
    assert slower.candidate is not None and slower.candidate.evidence == "emulated"
    assert (slower.candidate.device, slower.candidate.engine) == (device, "native")
    assert slower.candidate.model_sha256 == model_sha256(tmp_path / "net.c")
    assert found["macs"].verdict.word == "pass"


def test_an_unchanged_folder_passes_from_the_cache_too(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    first = gated(tmp_path, "stm32l4r5", ("cortex-m4", "cortex-m4"), cache=cache)
    again = gated(tmp_path, "stm32l4r5", ("cortex-m4", "cortex-m4"), cache=cache)
    names = ["instructions", "flash_bytes", "ram_bytes", "stack_bytes"]
    assert list(first)[3:] == names
    for name in first:
        assert first[name].verdict.word == "pass"
        one, two = first[name].candidate, again[name].candidate
        assert one is not None and two is not None and one.location == two.location > 0
    assert len(list((tmp_path / "cache").rglob("measurement.json"))) == 2


def test_sizes_are_held_to_a_budget_on_the_inputs_given(tmp_path: Path) -> None:
    hub = ptq.quantized_hub("residual")
    folder = c_models.write(hub, tmp_path / "first", device="cortex-m4")
    given = random_inputs(open_session(folder).artifact.inputs, 7)
    np.savez(tmp_path / "given.npz", *given)
    limits = "{flash_bytes: {max: 1}, stack_bound_bytes: {max: 1MiB}}"
    more = f", inputs: given.npz, metrics: {limits}"
    found = gated(tmp_path, "stm32l4r5", ("cortex-m4", "cortex-m4"), more)
    assert [j.verdict.word for j in found.values()] == ["fail", "pass"]
    entry = found["flash_bytes"].candidate
    assert entry is not None and any("the inputs given" in note for note in entry.notes)
