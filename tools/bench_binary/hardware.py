"""The hardware track: the same network as float and as binary C, both compiled for this machine and timed in turn.

Latency is of the native engine (evidence "host"), size of the ONNX files. With `instructions` (a callable that
counts executed instructions of an exported folder on an emulated core) a second, emulated ratio stands beside; it
never enters the host's overall figure.
"""

from __future__ import annotations

import json
import platform
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ...compress.task import Task
from ...runtime.errors import EdgepressError, UnsupportedOperatorError
from ...runtime.files import write_bytes, write_text
from . import formulas
from .records import FLOAT, OVERALL, Case, Figure

Counter = Callable[[Path, Any, str], int]
"""(folder exported for the core, hub, device) -> executed instructions of one inference."""


@dataclass(frozen=True)
class Deployed:
    """One network as files. `binary_kernels` are those that work on packed signs; `refused` says why there is none.

    `latency_ms` and `base_latency_ms` (the float network's) were measured in turn.
    """

    file_bytes: int = 0
    latency_ms: float = 0.0
    base_latency_ms: float = 0.0
    binary_kernels: tuple[str, ...] = ()
    instructions: int = 0
    refused: str = ""


def hub_of(model: Any, task: Task, binary: bool) -> Any:
    """The network as ONNX on raw inputs, signs packed where it has any."""
    from ...export.onnx import hub as hubs

    shapes = [(1, *shape) for shape in task.input_shapes]
    return hubs.from_torch(model, shapes, normalisation=task.normalisation, binary=binary)


def onnx_bytes(hub: Any) -> int:
    """Size of the file as `edgepress export` writes it."""
    from ...export.onnx.compact import compact
    from ...export.onnx.judge import OWN_DOMAIN

    own = any(node.domain == OWN_DOMAIN for node in hub.graph.node)
    return len((compact(hub) if own else hub).SerializeToString(deterministic=True))


def c_folder(hub: Any, folder: Path, device: str) -> Path:
    """The network as C with float real parts."""
    from ...export.c import to_c

    for file, data in to_c(hub, "net", precision="float32", device=device, io="float").items():
        write_bytes(folder / file, data)
    return folder


def host_layout() -> str:
    """Whose layout of weights suits this machine."""
    known = {"x86_64": "x86-64", "AMD64": "x86-64", "aarch64": "cortex-a76", "arm64": "cortex-a76"}
    return known.get(platform.machine(), "generic")


def deploy(
    model: Any,
    base: Any,
    task: Task,
    keep: Path,
    processes: int,
    *,
    device: str = "",
    instructions: Counter | None = None,
) -> Deployed:
    """Export, compile and time `model` beside the float hub `base`; kept in `keep`.

    An operator that cannot be written in C, or that gives no packed layer, is `refused`: a result, not an error.
    """
    if keep.is_file():
        row = json.loads(keep.read_text("utf-8"))
        return Deployed(**{**row, "binary_kernels": tuple(row["binary_kernels"])})
    try:
        found = _deploy(model, base, task, processes, device, instructions)
    except UnsupportedOperatorError as error:
        found = Deployed(refused=str(error).splitlines()[0])
    write_text(keep, json.dumps(asdict(found), indent=1) + "\n")
    return found


def _deploy(
    model: Any,
    base: Any,
    task: Task,
    processes: int,
    device: str,
    instructions: Counter | None,
) -> Deployed:
    from ...devices.host import interleave
    from ...runtime.c_folder import MANIFEST, parse

    hub = hub_of(model, task, True)
    with tempfile.TemporaryDirectory(prefix="edgepress-bench-") as name:
        folder, host = Path(name), host_layout()
        mine, theirs = c_folder(hub, folder / "net", host), c_folder(base, folder / "base", host)
        kernels = parse((mine / MANIFEST).read_bytes()).kernels
        timed = interleave((theirs, mine), "native", processes=processes)
        counted = 0
        if instructions is not None:
            counted = instructions(c_folder(hub, folder / "core", device), hub, device)
    return Deployed(
        file_bytes=onnx_bytes(hub),
        latency_ms=timed.candidate.values["latency_ms"],
        base_latency_ms=timed.base.values["latency_ms"],
        binary_kernels=tuple(kernel for kernel in kernels if "bconv" in kernel or "bits" in kernel),
        instructions=counted,
    )


def emulated_instructions(folder: Path, hub: Any, device: str) -> int:
    """Executed instructions of one inference under QEMU, after the outputs were found to be this machine's."""
    import numpy as np

    from ...devices.emulate_c import run_c
    from ...devices.firmware_vectors import Vectors
    from ...devices.profile import load_profile
    from ...runtime.session import open_session
    from ...runtime.timing import random_inputs

    session = open_session(folder, "native")
    inputs = random_inputs(session.artifact.inputs, seed=1)
    expected = session.run(inputs)
    result = run_c(folder, load_profile(device), Vectors([tuple(inputs)], [tuple(expected)]))
    if result.instructions is None:
        raise EdgepressError("this QEMU cannot count instructions", hint="see edgepress doctor")
    return int(np.int64(result.instructions))


def hardware_track(
    operator: str,
    full: Mapping[Case, Deployed],
    binary: Mapping[Case, Deployed],
    device: str = "",
) -> list[Figure]:
    """T_fp / T_b and S_fp / S_b of every case, their quadratic mean; instructions apart, under their own evidence."""
    figures: list[Figure] = []
    times, sizes, counts = [], [], []
    for case, found in binary.items():
        name, base = case.name, full[case]
        if found.refused:
            figures.append(Figure("hardware", operator, name, "refused", 1.0, note=found.refused))
            continue
        kernels = ", ".join(found.binary_kernels) or "no kernel on packed signs"
        figures.append(
            Figure("hardware", operator, name, "latency_ms", found.latency_ms, "ms", note=kernels)
        )
        figures.append(
            Figure("hardware", operator, name, "file_bytes", found.file_bytes, "B", "computed")
        )
        if found.instructions:
            item, value = f"{name} on {device}", float(found.instructions)
            figures.append(
                Figure("hardware", operator, item, "instructions", value, "", "emulated")
            )
        if operator == FLOAT:
            continue
        times.append(found.base_latency_ms / found.latency_ms)
        sizes.append(base.file_bytes / found.file_bytes)
        figures.append(Figure("hardware", operator, name, "time_ratio", times[-1]))
        figures.append(Figure("hardware", operator, name, "size_ratio", sizes[-1], "", "computed"))
        if found.instructions and base.instructions:
            counts.append(base.instructions / found.instructions)
    figures += _overall(operator, times, sizes, counts, device)
    return figures


def _overall(
    operator: str,
    times: Sequence[float],
    sizes: Sequence[float],
    counts: Sequence[float],
    device: str,
) -> list[Figure]:
    figures = []
    if times:
        time, size = sum(times) / len(times), sum(sizes) / len(sizes)
        overall = formulas.overall_pair(time, size)
        figures.append(Figure("hardware", operator, OVERALL, "ratio", overall))
    if counts:
        mean = sum(counts) / len(counts)
        figures.append(
            Figure(
                "hardware", operator, f"all on {device}", "instruction_ratio", mean, "", "emulated"
            )
        )
    return figures
