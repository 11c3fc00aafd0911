"""One-bit networks as files: how many bytes each takes, and whether all give the same answers on real images.

    python -m edgepress.tools.bench.lce_files --data DATA [--network resnet20] [--images 200] [--larq FOLDER]

Weights of resnet20 and vgg_small are random (seed 0), their norms estimated on test images that are not judged: what
is shown is that files agree, not what they are worth. The MNIST network is a trained one. `--larq` (see larq_wheel)
runs the files in Larq Compute Engine itself, too; built-in operators then run there on both sides, and float results
are rounded in its order, so that outputs have to be equal bit for bit.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

NETWORKS = ("mnist_tfc", "resnet20", "vgg_small")
FORMS = ("packed onnx", "lce tflite", "int8 tflite", "float tflite", "qonnx")
"""int8: signs, and the weights of real layers, as int8; float: built-in operators over floats."""


@dataclass
class Row:
    """One network: file sizes, and on how many images outputs agree."""

    network: str
    images: int
    file_bytes: dict[str, int]
    same_top1_as_onnx: int = 0
    largest_difference_from_onnx: float = 0.0
    same_outputs_as_float_tflite: int = 0
    same_outputs_as_larq: dict[str, int] = field(default_factory=dict)


def network(name: str, data: Path, count: int) -> tuple[Any, list[Array]]:
    """(hub, raw images with batch and channels in front)."""
    from ...export.onnx import hub as hubs

    if name == "mnist_tfc":
        hub = hubs.from_onnx(data / "models/qonnx/mnist_tfc_1w1a.qonnx.onnx")
        images = np.load(data / "mnist/mnist_test_even.npz")["x_test"][:count, None]
        return hub, [(image[None] / 255).astype(np.float32) for image in images]
    return _binarized(name, data, count)


def _binarized(name: str, data: Path, count: int) -> tuple[Any, list[Array]]:
    import torch

    from ...compress import datasets, zoo
    from ...compress.binarization.binarize import binarize
    from ...compress.binarization.records import BinarizeConfig
    from ...compress.evaluation import as_tensors
    from ...export.onnx import hub as hubs

    task = datasets.task("cifar10", data)
    split = task.load("test")
    torch.manual_seed(0)
    shortcuts = name == "resnet20"
    net = zoo.build(name, **({"shortcuts": "conv"} if shortcuts else {}))
    activation = "rprelu" if shortcuts else "hardtanh"
    config = BinarizeConfig("react", activation=activation, border=0 if shortcuts else 1)
    made = binarize(net, torch.zeros(2, 3, 32, 32), config)
    (x,) = as_tensors(task, split, slice(None))
    with torch.no_grad():
        for start in range(count, min(len(x), count + 256), 64):
            made.train()(x[start : start + 64])
    hub = hubs.from_torch(
        made.eval(), [(1, 3, 32, 32)], normalisation=task.normalisation, binary=True
    )
    return hub, [np.asarray(v, np.float32) for v in np.split(split.inputs[0][:count], count)]


def files(hub: Any) -> dict[str, bytes]:
    """Content by form."""
    from ...export.onnx import hub as hubs
    from ...export.onnx.compact import compact
    from ...export.onnx.to_qonnx import to_qonnx
    from ...export.tflite import to_tflite

    metadata = hubs.read_metadata(hub)
    return {
        "packed onnx": compact(hub).SerializeToString(deterministic=True),
        "lce tflite": to_tflite(hub, precision="float32", binary="lce", metadata=metadata),
        "int8 tflite": to_tflite(hub, precision="weight-only", metadata=metadata),
        "float tflite": to_tflite(hub, precision="float32", metadata=metadata),
        "qonnx": to_qonnx(hub).SerializeToString(deterministic=True),
    }


def compare(name: str, data: Path, count: int, larq: Path | None) -> Row:
    """All files of one network."""
    from ...export.onnx.check import open_reference
    from ...runtime.session import open_session

    hub, images = network(name, data, count)
    made = files(hub)
    row = Row(name, len(images), {form: len(made[form]) for form in FORMS})
    reference = open_reference(made["packed onnx"], optimise=True)
    entry = reference.get_inputs()[0].name
    right = [reference.run(None, {entry: image})[0] for image in images]
    with tempfile.TemporaryDirectory() as folder:
        answers = {}
        for form in ("lce tflite", "float tflite"):
            path = Path(folder) / f"{form.split()[0]}.tflite"
            path.write_bytes(made[form])
            session = open_session(path)
            answers[form] = [_plain(session, image) for image in images]
    found = answers["lce tflite"]
    row.same_top1_as_onnx = sum(int(a.argmax() == b.argmax()) for a, b in _pairs(right, found))
    row.largest_difference_from_onnx = max(
        float(np.abs(a - b).max()) for a, b in _pairs(right, found)
    )
    row.same_outputs_as_float_tflite = _same(answers["float tflite"], found)
    if larq is not None:
        row.same_outputs_as_larq = _in_larq(made["lce tflite"], images, larq)
    return row


def _plain(session: Any, image: Array) -> Array:
    """The output without delegates: those of two files join different operators, and round differently."""
    from ...runtime.session import run_real

    run_real(session, [image])
    name = session.artifact.outputs[0].name
    return np.asarray(session.intermediate([name])[name])


def _in_larq(data: bytes, images: list[Array], folder: Path) -> dict[str, int]:
    """For each of LCE's kernels, on how many images the reference gives the same bits."""
    from ...runtime.lce_operators import LCE, LCE_REFERENCE
    from ...runtime.session_lce import LceSession
    from .larq_wheel import KERNELS, Module, load, runner

    interpreter = load(folder)
    rows = [image.transpose(0, 2, 3, 1) for image in images]
    expected = {}
    for rounding in (LCE, LCE_REFERENCE):
        session = LceSession(Module(interpreter), Path("net.tflite"), data, 1, rounding)
        expected[rounding] = [session.run([x])[0] for x in rows]
    return {
        kernel: _same(
            expected[LCE_REFERENCE if kernel == "reference" else LCE],
            list(map(runner(interpreter, data, kernel), rows)),
        )
        for kernel in KERNELS
    }


def _pairs(first: list[Array], second: list[Array]) -> Iterator[tuple[Array, Array]]:
    return zip(first, second, strict=True)


def _same(first: list[Array], second: list[Array]) -> int:
    return sum(int(np.array_equal(a, b)) for a, b in _pairs(first, second))


def main() -> int:
    """One JSON document per network."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--network", nargs="+", default=list(NETWORKS), choices=NETWORKS)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--larq", type=Path, help="an unpacked wheel of larq-compute-engine")
    options = parser.parse_args()
    for name in options.network:
        print(json.dumps(asdict(compare(name, options.data, options.images, options.larq))))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
