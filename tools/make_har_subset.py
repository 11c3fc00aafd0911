"""Make the bundled watch recordings from the full file: whole subjects, as many as fit into 5 MB.

    python -m edgepress.tools.make_har_subset DATA/har/wisdm_watch_hand7_w40.npz

Takes the first subjects of each part of `split_subject`, in the order of their ids, that did all seven
activities. The same input gives the same bytes (with the same zlib). Writes `watch_har.npz` and `watch_har.md`
into `compress/datasets/bundled/`.
"""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..compress.archives import npz_bytes, read_npz_file
from ..compress.datasets.watch_har import BUNDLED
from ..runtime.errors import UsageError
from ..runtime.files import sha256_bytes, sha256_file, write_bytes, write_text

Array = NDArray[Any]

LIMIT_BYTES = 5_000_000
SUBJECTS = {"train": 12, "validation": 4, "test": 4}
COPIED = ("scale", "class_names", "class_codes", "channel_names", "fs")
PER_WINDOW = ("y", "subject", "recording", "position", "split_subject")


def subset(full: dict[str, Array]) -> dict[str, Array]:
    """Arrays of the bundled archive; the samples go channels first, as low and high bytes (they compress better)."""
    chosen = [
        s for part, name in enumerate(SUBJECTS) for s in _subjects(full, part, SUBJECTS[name])
    ]
    rows = np.flatnonzero(np.isin(full["subject"], chosen))
    samples = np.ascontiguousarray(full["x_q"][rows].transpose(0, 2, 1))
    arrays = {key: full[key] for key in COPIED}
    arrays.update({key: full[key][rows] for key in PER_WINDOW})
    arrays["x_low"] = (samples & 255).astype(np.uint8)
    arrays["x_high"] = (samples >> 8).astype(np.int8)
    return arrays


def _subjects(full: dict[str, Array], part: int, count: int) -> list[int]:
    """The first `count` subjects of a part with windows of every class."""
    classes = len(full["class_names"])
    ids = np.unique(full["subject"][full["split_subject"] == part])
    complete = [int(i) for i in ids if len(np.unique(full["y"][full["subject"] == i])) == classes]
    return complete[:count]


def description(arrays: dict[str, Array], archive: bytes, source_sha256: str) -> str:
    """The page beside the archive: origin, licence, changes, counts."""
    rows = []
    for part, name in enumerate(SUBJECTS):
        mine = arrays["split_subject"] == part
        ids = ", ".join(str(s) for s in np.unique(arrays["subject"][mine]))
        counts = " ".join(str(int(np.sum(arrays["y"][mine] == c))) for c in range(7))
        rows.append(f"| {name} | {int(mine.sum())} | {counts} | {ids} |")
    return PAGE.format(
        sha256=sha256_bytes(archive), size=len(archive), source=source_sha256, rows="\n".join(rows)
    )


PAGE = """# watch_har.npz

Real smartwatch recordings of seven hand activities: dribbling, catch, typing, writing, clapping, teeth, folding.
Windows of 40 samples (2 s at 20 Hz) that do not overlap, six channels (accelerometer x, y, z in m/s^2; gyroscope
x, y, z in rad/s), whole subjects, split by subject.

- Origin: WISDM Smartphone and Smartwatch Activity and Biometrics Dataset, G. M. Weiss, Fordham University; UCI
  Machine Learning Repository entry 507; paper: Smartphone and Smartwatch-Based Biometrics Using Activities of
  Daily Living, IEEE Access 7:133190-133202, 2019. Raw text files by way of the public repository
  AmbiqAI/Human-Activity-Recognition, commit 13953469e4b0d8f64b5a4d2b8e2070004e5d5da7.
- Licence: CC BY 4.0. Attribution: WISDM Lab, Fordham University; Weiss (2019).
- Changes: class subset, both sensors interpolated to one 50 ms grid, cut into windows, quantised to 16 bit; here
  also a subset of the subjects, samples stored channels first as low and high bytes.
- Made by `python -m edgepress.tools.make_har_subset` from `wisdm_watch_hand7_w40.npz` (sha256 {source}).
- {size} bytes, sha256 {sha256}.

| split | windows | per class | subjects |
|---|---|---|---|
{rows}

| array | meaning |
|---|---|
| `x_low` uint8, `x_high` int8 [windows,6,40] | sample = `x_high * 256 + x_low`, physical value = sample * `scale` |
| `scale` float32 [6] | 1/1600 m/s^2 and 1/900 rad/s per step |
| `y` uint8 | class index into `class_names` |
| `split_subject` uint8 | 0 train, 1 validation, 2 test |
| `subject`, `recording`, `position` | who; windows of one recording follow each other in time by `position` |
"""


def main(arguments: list[str]) -> int:
    """Write both files; a subset over the limit is a `UsageError`."""
    if len(arguments) != 1:
        raise UsageError("one argument: the full .npz file")
    source = Path(arguments[0])
    arrays = subset(read_npz_file(source))
    archive = npz_bytes(arrays, zipfile.ZIP_DEFLATED)
    if len(archive) > LIMIT_BYTES:
        raise UsageError(f"the subset has {len(archive)} bytes", hint="take fewer subjects")
    write_bytes(BUNDLED, archive)
    write_text(BUNDLED.with_suffix(".md"), description(arrays, archive, sha256_file(source)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
