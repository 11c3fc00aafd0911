"""Binary ResNet-20 and VGG-small as exported C, and the same networks in float and int8 in other engines."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from ...devices.emulate_c import run_c
from ...devices.firmware_vectors import Vectors
from ...devices.profile import load_profile
from ...runtime.c_folder import MANIFEST, parse
from ...runtime.errors import EdgepressError, InputError
from ...runtime.files import write_bytes
from ...runtime.session import Session, open_session
from ...runtime.timing import random_inputs
from .native_instructions import PROFILES, export
from .native_speed import int8_hub, measure
from .xnor import Row, row_of, warm

ENGINES = {
    "onnxruntime-float": ("float.onnx", "onnxruntime"),
    "onnxruntime-int8": ("int8.onnx", "onnxruntime"),
    "litert-int8": ("int8.tflite", "litert"),
}
"""Column -> (file, engine)."""


@cache
def hubs_of(name: str) -> tuple[Any, Any, Any]:
    """(float, int8, binary) hubs of a zoo network with seeded weights; the binary one's real layers are int8.

    First and last layer stay real; borders hold +1; layers hand on bits wherever the network allows it.
    """
    import torch

    from ...compress.binarization.binarize import binarize
    from ...compress.quantization.plan import PtqConfig, plan
    from ...compress.zoo import build, entry
    from ...export.onnx import hub as hubs
    from ...export.onnx.binary_links import fold_links, sign_nodes
    from ...export.onnx.qdq import apply

    torch.manual_seed(0)
    shapes = [(1, *shape) for shape in entry(name).input_shapes]
    net = build(name).eval()
    binary = binarize(net, tuple(torch.zeros(s) for s in shapes)).eval()
    packed = fold_links(hubs.from_torch(binary, shapes, binary=True))
    rng = np.random.default_rng(0)
    samples = [tuple(rng.normal(size=s).astype(np.float32) for s in shapes) for _ in range(4)]
    config = replace(PtqConfig(observer="minmax"), keep_float=sign_nodes(packed))
    quantized = apply(packed, plan(packed, samples, config))
    return hubs.from_torch(net, shapes), int8_hub(name), quantized


def binary_macs(folder: Path) -> int:
    """Products of signs of one inference."""
    calls = parse((folder / MANIFEST).read_bytes()).calls
    return sum(call.macs for call in calls if call.function.startswith("ep_bconv2d"))


def host_rows_of(name: str, rounds: int) -> list[Row]:
    """A network on this machine against the engines, one thread, in turn."""
    from ...export.onnx.hub import save
    from ...export.tflite import to_tflite

    real, int8, binary = hubs_of(name)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        save(real, folder / "float.onnx")
        save(int8, folder / "int8.onnx")
        write_bytes(folder / "int8.tflite", to_tflite(int8))
        ours = export(binary, f"{name}_bits", "x86-64", folder)
        opened: dict[str, Session] = {"xnor": open_session(ours)}
        opened["native-int8"] = open_session(export(int8, name, "x86-64", folder))
        for column, (file, engine) in ENGINES.items():
            opened[column] = open_session(folder / file, engine)
        for session in opened.values():
            warm(session)
        times = measure(opened, rounds)
        macs = binary_macs(ours)
    return [row_of(name, "host", other, times, macs) for other in times if other != "xnor"]


def core_rows_of(name: str, core: str) -> list[Row]:
    """Instructions of a network on an emulated core against its int8 form; outputs are those of this machine."""
    _, int8, binary = hubs_of(name)
    with tempfile.TemporaryDirectory() as temporary:
        folder = export(binary, f"{name}_xnor", core, Path(temporary))
        ours, macs = instructions_of(folder, core), binary_macs(folder)
        other, reason = None, ""
        try:
            other = instructions_of(export(int8, f"{name}_int8", core, Path(temporary)), core)
        except InputError as error:  # its weights may be too many for the memory
            reason = error.what
    return [Row(name, core, "native-int8", ours, other, "instructions", macs, reason)]


def instructions_of(folder: Path, core: str) -> float:
    """Instructions of one inference on seeded inputs, proven."""
    session = open_session(folder)
    inputs = random_inputs(session.artifact.inputs, 0)
    vectors = Vectors([inputs], [session.run(inputs)])
    result = run_c(folder, load_profile(PROFILES[core]), vectors)
    if result.instructions is None:
        raise EdgepressError(f"no counts: {result.run.no_counts}")
    return float(result.instructions)
