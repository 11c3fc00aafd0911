"""Exported C on real inputs: this machine and emulated cores against the integer reference, value by value.

    python -m edgepress.tools.bench.native_parity --data FOLDER [NET ...] [--samples 100] [--cores ...] [--json FILE]

Trained networks: those of MLPerf Tiny (`lite_hub.py`, int8 with the scales of the files, and float), and the watch CNN
as `edgepress run watch-har` makes it (the bundled subset, seed 0). Inputs are test data: CIFAR-10 images for ResNet-8,
the same enlarged to 96 x 96 for the person detector, MFCC features for the keyword network, log-mel frames of spoken
digits for the autoencoder, watch windows. For each core the network is exported for that core; that folder is run here
as well. int8 must be equal everywhere, float within 1e-5 (plus 1e-6) of this machine. Exit 1 where one is not.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ...devices.emulate_c import LinuxTools, find_linux_tools, run_c
from ...devices.emulate_mcu import Tools, find_tools
from ...devices.firmware_vectors import Vectors
from ...devices.profile import load_profile
from ...runtime.errors import EdgepressError
from ...runtime.files import write_text
from ...runtime.real_values import to_real, to_stored
from ...runtime.session import open_session
from .lite_hub import hub_of
from .native_instructions import PROFILES, Sample, export

CORES = ("cortex-a53", "cortex-a76", "cortex-m4", "cortex-m55")
HERE = ("generic", "x86-64")
"""Packed for this machine: nothing is emulated."""

RELATIVE, ABSOLUTE = 1e-5, 1e-6
TIMEOUT_S = 900.0


@dataclass(frozen=True)
class Case:
    """One network: where its hub and its real inputs come from."""

    name: str
    precision: str
    hub: Callable[[Path], Any]
    samples: Callable[[Path, int], list[Sample]]
    data: str


@dataclass(frozen=True)
class Row:
    """One folder in one place. `departing` of `values` outputs are not as they must be; `largest` is by how much."""

    network: str
    precision: str
    packed_for: str
    place: str
    samples: int
    values: int
    departing: int
    largest: float
    seconds: float


def images(data: Path, count: int) -> list[Sample]:
    """Test images of CIFAR-10, 0..255, channels first."""
    return _of_task("cifar10", data, count)


def enlarged(data: Path, count: int) -> list[Sample]:
    """The same, each pixel 3 x 3 times, 0..1."""
    return [
        (np.ascontiguousarray(x.repeat(3, 2).repeat(3, 3) / np.float32(255)),)
        for (x,) in images(data, count)
    ]


def keywords(data: Path, count: int) -> list[Sample]:
    """MFCC features of keywords."""
    return _of_task("keyword-features", data, count)


def frames(data: Path, count: int) -> list[Sample]:
    """Log-mel frames of spoken digits, five in a row, spread over what the network's input can hold (-85 to 15)."""
    rows = _of_task("spoken-digits-frames", data, count)
    values = np.concatenate([x for (x,) in rows]).astype(np.float32)
    low, high = float(values.min()), float(values.max())
    return [((x.astype(np.float32) - low) / (high - low) * 98 - 84,) for (x,) in rows]


def windows(data: Path, count: int) -> list[Sample]:
    """Windows of the bundled watch data."""
    return _of_task("watch-har-subset", None, count)


def _of_task(name: str, data: Path | None, count: int) -> list[Sample]:
    from ...compress.datasets import task

    split = task(name, data).load("test").spread(count)
    return [
        tuple(np.asarray(value[i : i + 1], np.float32) for value in split.inputs)
        for i in range(len(split))
    ]


def _lite(file: str) -> Callable[[Path], Any]:
    return lambda data: hub_of(data / "models" / "mlperf_tiny" / file)


def watch_hub(precision: str) -> Callable[[Path], Any]:
    """The network of the recipe watch-har, trained and quantized here."""

    def make(_: Path) -> Any:
        import onnx

        from ..pipeline import run_recipe
        from ..recipe import load_recipe

        recipe = load_recipe("watch-har", overrides=["task=watch-har-subset"])
        with tempfile.TemporaryDirectory() as name:
            run_recipe(recipe, Path(name) / "run", until="quantize")
            wanted = "int8.onnx" if precision == "int8" else "hub.onnx"
            return onnx.load(str(next((Path(name) / "run").glob(f"steps/*/{wanted}"))))

    return make


def cases() -> tuple[Case, ...]:
    """All networks, int8 and float."""
    lite = {
        "resnet8": ("ic_resnet8", images, "CIFAR-10, test"),
        "ds_cnn": ("kws_dscnn", keywords, "keyword-features, test"),
        "mobilenet_v1_025": ("vww_mobilenetv1_025", enlarged, "CIFAR-10, test, enlarged"),
        "autoencoder": ("ad_fcae", frames, "spoken-digits-frames, test"),
    }
    made = []
    for precision in ("int8", "float"):
        for name, (file, samples, said) in lite.items():
            made.append(Case(name, precision, _lite(f"{file}_{precision}.tflite"), samples, said))
        made.append(
            Case("har_cnn", precision, watch_hub(precision), windows, "watch-har-subset, test")
        )
    return tuple(made)


def run_case(case: Case, data: Path, count: int, cores: Sequence[str], tools: Any) -> Iterator[Row]:
    """A row for each folder here and on its core."""
    hub, samples = case.hub(data), case.samples(data, count)
    wanted = _reference(hub, samples) if case.precision == "int8" else None
    with tempfile.TemporaryDirectory() as name:
        for core in (*HERE, *cores):
            folder = export(hub, case.name, core, Path(name))
            start = time.monotonic()
            session = open_session(folder, "native")
            specs = session.artifact.inputs
            stored = [
                [to_stored(s, v) for s, v in zip(specs, sample, strict=True)] for sample in samples
            ]
            given = [session.run(row) for row in stored]
            outputs = session.artifact.outputs
            real = [[to_real(s, v) for s, v in zip(outputs, row, strict=True)] for row in given]
            if wanted is None:
                wanted = real  # floats: what the generic folder computes here
            first = Row(case.name, case.precision, core, "host", len(samples), 0, 0, 0.0, 0.0)
            yield _judged(first, real, wanted, time.monotonic() - start)
            if core in HERE:
                continue
            start = time.monotonic()
            profile = load_profile(PROFILES[core])
            vectors = Vectors(stored, given)
            chosen = tools[profile.device_class]
            result = run_c(folder, profile, vectors, tools=chosen, timeout_s=TIMEOUT_S, prove=False)
            there = [row.outputs for row in result.run.rows]
            place = replace(first, place=f"emulated {core}")
            yield _judged(place, there, given, time.monotonic() - start)


def _reference(hub: Any, samples: Sequence[Sample]) -> list[Any]:
    from ...compress.quantization.integer import IntegerModel

    model = IntegerModel(hub)
    return [model.run(sample, "double") for sample in samples]


def _judged(row: Row, found: Sequence[Any], wanted: Sequence[Any], seconds: float) -> Row:
    """The row with its differences: any for integers, those beyond the tolerance for floats."""
    a = np.concatenate([np.asarray(v, np.float64).reshape(-1) for r in found for v in r])
    b = np.concatenate([np.asarray(v, np.float64).reshape(-1) for r in wanted for v in r])
    apart = np.abs(a - b)
    allowed = 0.0 if row.precision == "int8" else ABSOLUTE + RELATIVE * np.abs(b)
    departing = int(np.count_nonzero(~(apart <= allowed)))
    return replace(
        row, values=a.size, departing=departing, largest=float(apart.max()), seconds=seconds
    )


def find_all_tools() -> dict[str, Tools | LinuxTools]:
    """Compilers and emulators for both classes of devices; nothing is counted."""
    return {
        "mcu": replace(find_tools(), plugin=None, no_counts="not asked for"),
        "linux": replace(find_linux_tools(), plugin=None, no_counts="not asked for"),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print, judge; 1 if a value departs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    names = sorted({case.name for case in cases()})
    parser.add_argument("networks", nargs="*", metavar="NET", help=", ".join(names))
    parser.add_argument("--data", type=Path, required=True, help="data folder, models/ in it")
    parser.add_argument("--samples", type=int, default=100)
    parser.add_argument("--cores", default=",".join(CORES))
    parser.add_argument("--precision", choices=("int8", "float"), help="one of them only")
    parser.add_argument("--json", type=Path, help="write the rows here")
    options = parser.parse_args(arguments)
    chosen = [
        case
        for case in cases()
        if (not options.networks or case.name in options.networks)
        and options.precision in (None, case.precision)
    ]
    rows: list[Row] = []
    try:
        tools = find_all_tools()
        for case in chosen:
            print(f"{case.name} {case.precision}: {case.data}")
            cores = options.cores.split(",")
            for row in run_case(case, options.data, options.samples, cores, tools):
                rows.append(row)
                print(
                    f"  packed for {row.packed_for:10} on {row.place:20} {row.departing} of {row.values:,} "
                    f"values depart, largest {row.largest:.3g}, {row.samples} inputs  {row.seconds:.1f} s",
                    flush=True,
                )
    except EdgepressError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    if options.json:
        write_text(options.json, json.dumps([asdict(row) for row in rows], indent=1))
    bad = [row for row in rows if row.departing]
    print(f"{len(rows) - len(bad)} of {len(rows)} without a difference (int8 exact, float 1e-5)")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
