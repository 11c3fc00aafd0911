"""The published figures of real models, computed again: `python -m edgepress.tools.bench.reference_models`.

Every file runs in every engine of its format on the real data that came with it. Prints one row per
file and engine and ends with 1 if a figure departs from the published one. tflite-runtime is what
the figures were published with and has to match to the digits given; other engines round in other
places and may move a few samples.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...runtime.errors import EdgepressError, InputError
from ...runtime.session import Session, engines_for, open_session, run_real

Array = NDArray[Any]
Samples = Iterator[tuple[Array, int]]


@dataclass(frozen=True)
class Case:
    """One file and its figure.

    `exact` is what the reference engine may depart by (half of the last digit given), `loose` what
    any other engine may. `source` says where the figure is from when it is not for these samples.
    """

    file: str
    format: str
    metric: str
    unit: str
    published: float
    exact: float
    loose: float
    measure: Callable[[Session, Path], tuple[float, int]]
    source: str = ""


@dataclass(frozen=True)
class Row:
    """One file in one engine."""

    file: str
    engine: str
    metric: str
    unit: str
    samples: int
    here: float
    published: float
    allowed: float
    seconds: float
    source: str

    @property
    def agrees(self) -> bool:
        """True if the figure is the published one."""
        return abs(self.here - self.published) <= self.allowed + 1e-9


REFERENCE_ENGINES = ("tflite", "onnxruntime")


# ------------------------------------------------------------------- data


def _cifar(root: Path) -> Samples:
    """The exact 1,000 test images as they are: the files take raw values."""
    with np.load(root / "cifar10/test_exact_1000.npz") as data:
        images, labels = data["x_test"], data["y_test"]
    for image, label in zip(images, labels, strict=True):
        yield image[None].astype(np.float32), int(label)


def _keywords(root: Path) -> Samples:
    """700 real feature maps; the stored integers are those of the int8 file's own input."""
    with np.load(root / "kws_mlperf_tiny/kws01_700.npz") as data:
        features, labels = data["x"], data["y"]
    real = np.float32(0.5847029) * (features.astype(np.float32) - 83)
    for value, label in zip(real, labels, strict=True):
        yield value[None], int(label)


def _wake_words(root: Path) -> Samples:
    with np.load(root / "models/mlperf_tiny/sww_calibration_45.npz") as data:
        features, labels = data["x"], data["y"]
    for value, label in zip(features, labels, strict=True):
        yield value[None], int(label)


def _photos(root: Path, size: int) -> Samples:
    """Three photos with the classes both published networks give them."""
    from PIL import Image

    for name, label in (("cat", 286), ("bird", 20), ("sunflower", 986)):
        with Image.open(root / f"models/images224/{name}.png") as photo:
            pixels = photo.convert("RGB").resize((size, size), Image.Resampling.BILINEAR)
        yield np.asarray(pixels, np.uint8)[None], label


# ------------------------------------------------------------------- measures


def _accuracy(samples: Callable[[Path], Samples]) -> Callable[[Session, Path], tuple[float, int]]:
    def measure(session: Session, root: Path) -> tuple[float, int]:
        hits = [
            int(run_real(session, [value])[0].argmax()) == label for value, label in samples(root)
        ]
        return 100.0 * sum(hits) / len(hits), len(hits)

    return measure


def _hits(samples: Callable[[Path], Samples]) -> Callable[[Session, Path], tuple[float, int]]:
    def measure(session: Session, root: Path) -> tuple[float, int]:
        share, count = _accuracy(samples)(session, root)
        return float(round(share * count / 100)), count

    return measure


def _photo_hits(session: Session, root: Path) -> tuple[float, int]:
    size = session.artifact.inputs[0].shape[1]
    return _hits(lambda folder: _photos(folder, size))(session, root)


def _sine_error(session: Session, root: Path) -> tuple[float, int]:
    """Largest |error| of the sine regressor over 200 points of [0, 2 pi]."""
    points = np.linspace(0, 2 * np.pi, 200, dtype=np.float32)
    found = [float(run_real(session, [p.reshape(1, 1)])[0].item()) for p in points]
    return float(np.abs(np.array(found) - np.sin(points)).max()), len(points)


def _photo_cases() -> tuple[Case, ...]:
    names = ("mobilenet_v1_0.25_128_uint8", "mobilenet_v2_1.0_224_uint8")
    files = [f"models/imagenet/{name}.tflite" for name in names]
    return tuple(Case(f, "tflite", "photos right", "of 3", 3, 0, 0, _photo_hits) for f in files)


def cases() -> tuple[Case, ...]:
    """Every file whose figure and data are at hand."""
    images, words = _accuracy(_cifar), _accuracy(_keywords)
    tiny, top1 = "models/mlperf_tiny", ("top-1 accuracy", "%")
    return (
        Case(f"{tiny}/ic_resnet8_float.tflite", "tflite", *top1, 88.1, 0.05, 0.3, images),
        Case(f"{tiny}/ic_resnet8_int8.tflite", "tflite", *top1, 87.7, 0.05, 0.5, images),
        # Its weights are int8 and every engine quantizes its float activations in its own way.
        Case(f"{tiny}/kws_dscnn_float.tflite", "tflite", *top1, 91.43, 0.005, 1.0, words),
        Case(f"{tiny}/kws_dscnn_int8.tflite", "tflite", *top1, 91.14, 0.005, 0.5, words),
        Case(
            "models/onnx/kws_9conv_float.onnx",
            "onnx",
            *top1,
            90.8,
            1.2,  # one standard error of 700 samples at 90.8 %
            1.2,
            words,
            source="published for 1,000 samples, these are 700 of them",
        ),
        Case(
            f"{tiny}/sww_1dcnn_int8.tflite",
            "tflite",
            "samples right",
            "of 45",
            41,
            0,
            1,
            _hits(_wake_words),
        ),
        Case(
            "models/tflm/hello_world_float.tflite",
            "tflite",
            "largest error",
            "",
            0.049,
            0.0005,
            0.0005,
            _sine_error,
        ),
        Case(
            "models/tflm/hello_world_int8.tflite",
            "tflite",
            "largest error",
            "",
            0.116,
            0.0005,
            0.0085,  # one step of the output
            _sine_error,
        ),
        *_photo_cases(),
    )


# ------------------------------------------------------------------- command


def run_case(case: Case, engine: str, root: Path) -> Row:
    """One figure, computed here."""
    start = time.perf_counter()
    here, samples = case.measure(open_session(root / case.file, engine), root)
    return Row(
        file=Path(case.file).name,
        engine=engine,
        metric=case.metric,
        unit=case.unit,
        samples=samples,
        here=here,
        published=case.published,
        allowed=case.exact if engine in REFERENCE_ENGINES else case.loose,
        seconds=time.perf_counter() - start,
        source=case.source,
    )


def to_text(rows: list[Row]) -> str:
    """The table."""
    head = (
        f"{'file':<34} {'engine':<12} {'metric':<15} {'n':>5} {'here':>8} {'published':>9}  verdict"
    )
    lines = [head, "-" * len(head)]
    for row in rows:
        verdict = "agrees" if row.agrees else f"DEPARTS (allowed {row.allowed:g})"
        note = f"  [{row.source}]" if row.source else ""
        lines.append(
            f"{row.file:<34} {row.engine:<12} {row.metric:<15} {row.samples:>5} "
            f"{row.here:>8.4g} {row.published:>9.4g}  {verdict}{note}"
        )
    return "\n".join(lines)


def _data_root(given: Path | None) -> Path:
    root = given or Path(os.environ.get("EDGEPRESS_DATA", ""))
    if not (root / "models/MODELS.md").is_file():
        raise InputError(
            "the reference models are not there",
            where=str(root),
            hint="pass --data or set EDGEPRESS_DATA to the folder that holds models/ and cifar10/",
        )
    return root


def main(arguments: list[str] | None = None) -> int:
    """Run all cases; 1 if a figure departs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder with models/, cifar10/, ...")
    parser.add_argument("--engine", action="append", help="only these engines")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    options = parser.parse_args(arguments)
    try:
        root = _data_root(options.data)
        pairs = [(case, engine) for case in cases() for engine in engines_for(case.format)]
        wanted = [(c, e) for c, e in pairs if not options.engine or e in options.engine]
        rows = [run_case(case, engine, root) for case, engine in wanted]
    except EdgepressError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    if options.json:
        print(json.dumps([{**asdict(row), "agrees": row.agrees} for row in rows], indent=1))
    else:
        print(to_text(rows))
    return 0 if rows and all(row.agrees for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
