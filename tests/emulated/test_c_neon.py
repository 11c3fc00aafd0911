"""Element-wise kernels for NEON on an emulated core: lanes compute what scalars do."""

from __future__ import annotations

from pathlib import Path

import pytest
from edgepress.export.c.kernels import library
from edgepress.export.c.pack import target_header
from support import sums_check
from support.kernel_program import aarch64_words, built_and_run

pytestmark = pytest.mark.emulated

CORE = "cortex-a53"
CHECK = Path(__file__).parents[1] / "support/vectors_check.c"


def test_lanes_rescale_as_scalars_do(tmp_path: Path) -> None:
    """ep_vec.h: sums of all sizes, factors of all sizes, ties."""
    for name, text in library().items():
        (tmp_path / name).write_text(text)
    (tmp_path / "ep_target.h").write_text(target_header(CORE))
    built_and_run(tmp_path, *aarch64_words(CORE, "-O2"), [str(CHECK), "ep_pool_s8.c"])


@pytest.mark.parametrize("option", ["-O3", "-Os"])
def test_sums_in_vectors_are_those_of_single_elements(option: str, tmp_path: Path) -> None:
    sources = sums_check.write(tmp_path, CORE, firmware=False)
    built_and_run(tmp_path, *aarch64_words(CORE, option), sources)
