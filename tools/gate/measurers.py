"""The measurers that come with edgepress: the file itself, this machine, emulated boards, scores on data.

Boards, programs that are optional extras, exported C: `board_measurer.py`, `extra_measurers.py`, `folder_measurers.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...devices.measurement import Evidence, Measurement
from ...runtime.artifact import read_model_bytes
from ...runtime.c_folder import is_folder
from ...runtime.errors import EdgepressError, UsageError
from ...runtime.files import sha256_bytes
from . import metrics
from .board_config import Board
from .measure import Job, Measurer

if TYPE_CHECKING:
    from ...runtime.timing import TimingPlan

HOST = "host"
HOST_METRICS = (
    "latency_ms",
    "latency_p90_ms",
    "first_invoke_ms",
    "load_ms",
    "peak_rss_bytes",
)


def measurers_of(path: Path, boards: Mapping[str, Board] | None = None) -> tuple[Measurer, ...]:
    """Those for an exported C folder, or for a file."""
    return of_folders(boards) if is_folder(path) else standard(boards)


def of_folders(boards: Mapping[str, Board] | None = None) -> tuple[Measurer, ...]:
    """All that measure exported C, in the order they are asked."""
    from .board_measurer import BoardTimer
    from .folder_measurers import FolderCounter, FolderFacts

    return FolderFacts(), HostTimer(), BoardTimer(boards or {}), FolderCounter(), HostScorer()


def standard(boards: Mapping[str, Board] | None = None) -> tuple[Measurer, ...]:
    """All that measure files, in the order they are asked."""
    from .board_measurer import BoardTimer
    from .extra_measurers import ArenaReader, LatencyEstimator, VelaEstimator

    first = (FileFacts(), HostTimer(), BoardTimer(boards or {}), EmulatedCounter(), HostScorer())
    return (*first, ArenaReader(), VelaEstimator(), LatencyEstimator())


class Held:
    """A measurer that holds nothing between processes."""

    def close(self) -> None:
        """Nothing to let go of."""


class FileFacts(Held):
    """Sizes and counts read from the file; the same for every device."""

    exact = kept = True

    def serves(self, device: str, metric: str) -> bool:
        """Any device."""
        return metric in metrics.FILE_METRICS

    def facts(self, job: Job) -> dict[str, str]:
        """Nothing: the code of edgepress is part of every key."""
        return {}

    def measure(self, job: Job, number: int) -> Measurement:
        """Bytes, and the totals of the layer table where one is asked for."""
        data = read_model_bytes(job.path)
        values = {"file_bytes": float(len(data))}
        if set(job.metrics) - set(values):
            from ...devices.layers import layer_table

            table = layer_table(job.path)
            values |= {
                name: float(getattr(table, name))
                for name in metrics.FILE_METRICS
                if name not in values
            }
        sha256 = sha256_bytes(data)
        return Measurement(
            sha256, Evidence.HOST, metrics.NO_DEVICE, {}, "", "", job.threads, values
        )


class HostTimer(Held):
    """Times on this machine, one fresh process each."""

    exact = kept = False

    def __init__(self, plan: TimingPlan | None = None):
        self.plan = plan

    def serves(self, device: str, metric: str) -> bool:
        """Times of the device "host"."""
        return device == HOST and metric in HOST_METRICS

    def facts(self, job: Job) -> dict[str, str]:
        """Nothing: times are never kept."""
        return {}

    def measure(self, job: Job, number: int) -> Measurement:
        """See `devices.host.measure_host`."""
        from ...devices.host import measure_host

        found = measure_host(
            job.path, job.engine, job.threads, 1, plan=self.plan, inputs=job.inputs
        )
        # that one process is few, and where its median lies, is said of all processes together
        notes = tuple(n for n in found.notes if "processes" not in n)
        return replace(found, notes=notes)


def can_count(device: str) -> bool:
    """True if the device has a profile that qemu-user can stand in for."""
    if device == HOST or "://" in device:
        return False
    from ...devices.profile import load_profile

    try:
        emulation = load_profile(device).emulation
    except EdgepressError:
        return False
    return emulation is not None and emulation.user_cpu is not None


class EmulatedCounter(Held):
    """Executed instructions on an emulated board."""

    exact = kept = True

    def serves(self, device: str, metric: str) -> bool:
        """Instruction counts of boards that can be emulated."""
        return metric in metrics.INSTRUCTION_METRICS and can_count(device)

    def facts(self, job: Job) -> dict[str, str]:
        """Emulator, core and what is installed on the emulated board."""
        from ...devices.emulate_pi import open_board
        from ...devices.profile import load_profile

        board = open_board(load_profile(job.device))
        return {
            "emulator": board.emulator.text,
            "cpu": board.cpu,
            "site": board.site.name,
            "python": str(board.python.parent),
        }

    def measure(self, job: Job, number: int) -> Measurement:
        """See `devices.instruction_counts.count_instructions`.

        Raises:
            UsageError: more than one thread, or the board was not set up.
        """
        from ...devices.instruction_counts import count_instructions
        from ...devices.profile import load_profile

        if job.threads != 1:
            raise UsageError(f"instructions are counted with one thread, not {job.threads}")
        return count_instructions(load_profile(job.device), job.path, job.engine, given_inputs(job))


class HostScorer(Held):
    """The task's metric of a file, its engine on this machine."""

    exact = kept = True

    def serves(self, device: str, metric: str) -> bool:
        """`accuracy`; it stands under `host` whatever the gate's device is."""
        return metric == "accuracy"

    def facts(self, job: Job) -> dict[str, str]:
        """Engine version, processor and the samples themselves."""
        from ...devices.conditions import fingerprint

        _, split = _split(job)
        session = _session(job)
        return {
            "engine": f"{session.engine} {session.engine_version}",
            "cpu": fingerprint().get("cpu", ""),
            "samples": _digest(split),
        }

    def measure(self, job: Job, number: int) -> Measurement:
        """Score on the split, in per cent.

        Raises:
            UsageError: the task's metric is no share in per cent.
        """
        from ...compress.evaluation import score_outputs
        from ..scoring import run_split

        task, split = _split(job)
        session = _session(job)
        score = score_outputs(task, split, run_split(session, split))
        if score.unit != "%" or not score.higher_is_better:
            raise UsageError(
                f"the task's metric is {score.metric} in {score.unit or 'no unit'}, not per cent",
                hint="gate it with the budget of a recipe",
            )
        told = {"task": task.name, "split": split.name, "samples": str(len(split))}
        return Measurement(
            artifact_sha256=session.artifact.sha256,
            evidence=Evidence.HOST,
            device=HOST,
            fingerprint={**told, "data": _digest(split)},
            engine=session.engine,
            engine_version=session.engine_version,
            threads=job.threads,
            values={"accuracy": float(score.value)},
            notes=(f"{score.metric} on {split.name} of {task.name}, {len(split)} samples",),
        )


def _session(job: Job) -> Any:
    from ...runtime.session import open_session

    return open_session(job.path, job.engine, job.threads)


def _split(job: Job) -> tuple[Any, Any]:
    """(task, split) a job is scored on."""
    from ...compress.datasets import task as open_task
    from ...compress.factory import call_factory, load_factory

    if job.scored is None:
        raise UsageError("accuracy needs a task", hint="task: watch-har")
    name = job.scored.task
    if ":" in name:
        task = call_factory(load_factory(name, job.module_path, job.user_code), name)
    else:
        task = open_task(name, job.data)
    split = task.load(job.scored.split)
    return task, split if job.scored.samples is None else split.spread(job.scored.samples)


def _digest(split: Any) -> str:
    """Hash of a split's inputs and targets."""
    import hashlib

    import numpy as np

    digest = hashlib.sha256()
    for array in (*split.inputs, split.targets):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]


def given_inputs(job: Job) -> list[Any] | None:
    """What the gate feeds the model; None where it says nothing."""
    from ...runtime.timing import read_inputs

    if job.inputs is None:
        return None
    return list(read_inputs(job.inputs, _session(job).artifact.inputs))
