"""The gate on executed instructions: one real operator more is caught every time, an unchanged file never fails."""

from __future__ import annotations

from pathlib import Path

import pytest
from edgepress.devices.emulate_pi import setup
from edgepress.devices.qemu import find_emulator
from edgepress.devices.verdict import Kind
from edgepress.runtime.errors import MissingToolError
from edgepress.runtime.files import sha256_file
from edgepress.tools.cache import Cache
from edgepress.tools.gate.config import load_config
from edgepress.tools.gate.records import Judgement
from edgepress.tools.gate.run import Settings, run_gates
from support.added_operator import rewritten
from support.data import need_data
from support.gates import write_config

pytestmark = pytest.mark.emulated

BOARD = "pi4"
WINDOWS = {"tflite": 1, "litert": 2}  # of the added pooling: 1.1 to 1.3 % more instructions each
GATE = """\
baseline: {{models: old}}
gates:
  - {{model: kws.tflite, device: {board}, engine: {engine}, metrics: {{instructions: {{}}}}}}
"""


@pytest.fixture(scope="module", autouse=True)
def board() -> None:
    try:
        find_emulator()
    except MissingToolError as error:
        pytest.skip(f"{error.what}: {error.hint}; `make test-emulated` installs it")
    assert setup(BOARD).no_counts == ""


@pytest.fixture(scope="module")
def kws() -> bytes:
    return need_data("models/mlperf_tiny/kws_dscnn_int8.tflite").read_bytes()


def gated(
    folder: Path, old: bytes, new: bytes, engine: str, cache: Cache | None = None
) -> Judgement:
    """The judgement on `new` against `old`, both executed."""
    (folder / "old").mkdir(exist_ok=True)
    (folder / "old" / "kws.tflite").write_bytes(old)
    (folder / "kws.tflite").write_bytes(new)
    path = write_config(folder, GATE.format(board=BOARD, engine=engine))
    (judgement,) = run_gates(load_config(path), Settings(cache=cache)).judgements
    return judgement


@pytest.mark.parametrize("engine", WINDOWS)
@pytest.mark.parametrize("after", [0, 4, 8])
def test_one_more_operator_is_caught(tmp_path: Path, kws: bytes, engine: str, after: int) -> None:
    found = gated(tmp_path, rewritten(kws), rewritten(kws, after, WINDOWS[engine]), engine)
    assert found.verdict.kind == Kind.REGRESSION and found.verdict.word == "fail"
    assert found.change is not None and 0.009 < found.change.ratio - 1 < 0.015
    assert found.candidate is not None and found.candidate.evidence == "emulated"


@pytest.mark.parametrize("engine", WINDOWS)
def test_an_unchanged_file_passes(tmp_path: Path, kws: bytes, engine: str) -> None:
    assert gated(tmp_path, kws, rewritten(kws), engine).verdict.word in ("pass", "improved")


def test_counts_come_from_the_cache(tmp_path: Path, kws: bytes) -> None:
    cache = Cache(tmp_path / "cache")
    first = gated(tmp_path, kws, kws, "litert", cache)
    again = gated(tmp_path, kws, kws, "litert", cache)
    assert first.candidate is not None and again.candidate is not None
    assert again.candidate.location == first.candidate.location
    assert len(list((tmp_path / "cache").rglob("measurement.json"))) == 1
    assert first.candidate.model_sha256 == sha256_file(tmp_path / "kws.tflite")
