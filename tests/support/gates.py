"""Gates under test: entries of given numbers, and a measurer that tells what it is told."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from edgepress.devices.measurement import Evidence, Measurement
from edgepress.devices.verdict import Verdict
from edgepress.runtime.files import sha256_file
from edgepress.tools.gate.entries import process_row, with_processes
from edgepress.tools.gate.measure import Job
from edgepress.tools.gate.records import Entry, Judgement, Results

STEADY = {"load_average": "0", "governor": "performance", "khz": "1000"}


def timed(medians: Sequence[float], name: str = "m.tflite", **changes: Any) -> Entry:
    """A measured latency: one process per median, three samples each."""
    rows = [process_row([0.99 * m, m, 1.01 * m], order) for order, m in enumerate(medians)]
    return timed_rows(rows, name, **changes)


def timed_rows(rows: Sequence[Any], name: str = "m.tflite", **changes: Any) -> Entry:
    empty = Entry(
        name,
        "sha-" + name,
        "pi5",
        "litert",
        "2.3.0",
        1,
        "measured",
        "latency_ms",
        "ms",
        "lower",
        0.0,
    )
    return dataclasses.replace(with_processes(empty, rows), **changes)


def exact(value: float, metric: str = "file_bytes", **changes: Any) -> Entry:
    """A number that does not vary."""
    unit = {"file_bytes": "B", "accuracy": "%"}.get(metric, "")
    better = "higher" if metric == "accuracy" else "lower"
    evidence = {"file_bytes": "file", "accuracy": "host"}.get(metric, "computed")
    device = "host" if metric == "accuracy" else "any"
    entry = Entry("m.tflite", "sha", device, "", "", 1, evidence, metric, unit, better, value)
    return dataclasses.replace(entry, **changes)


def results(*entries: Entry, judgements: Sequence[Judgement] = (), **changes: Any) -> Results:
    found = Results(
        created="2030-01-02T03:04:05Z",
        commit="abc123",
        tool="edgepress 0",
        fingerprint={"cpu": "Test CPU", "cores": "2"},
        entries=entries,
        judgements=tuple(judgements),
    )
    return dataclasses.replace(found, **changes)


def judgement(verdict: Verdict, entry: Entry | None = None, **changes: Any) -> Judgement:
    found = entry or exact(1.0)
    return dataclasses.replace(Judgement(found.key, verdict, "+0 %", found), **changes)


class Told:
    """A measurer of `latency_ms` on the device "board": `tell(file name, number)` gives a process's samples."""

    exact = kept = False

    def __init__(
        self, tell: Callable[[str, int], Sequence[float]], evidence: Evidence = Evidence.MEASURED
    ):
        self.tell, self.evidence = tell, evidence
        self.calls: list[str] = []
        self.invalid: tuple[str, ...] = ()
        self.closed = 0

    def serves(self, device: str, metric: str) -> bool:
        return device == "board" and metric == "latency_ms"

    def facts(self, job: Job) -> dict[str, str]:
        return {}

    def close(self) -> None:
        self.closed += 1

    def measure(self, job: Job, number: int) -> Measurement:
        self.calls.append(job.path.name)
        samples = [float(value) for value in self.tell(job.path.name, number)]
        return Measurement(
            artifact_sha256=sha256_file(job.path),
            evidence=self.evidence,
            device=job.device,
            fingerprint={"kernel": "1"},
            engine=job.engine or "litert",
            engine_version="1",
            threads=job.threads,
            values={"latency_ms": samples[0] if samples else float("nan")},
            samples={"latency_ms": [samples]},
            conditions_before=STEADY,
            conditions_after=STEADY,
            invalid=self.invalid,
        )


def write_config(folder: Path, text: str, name: str = "gates.yml") -> Path:
    path = folder / name
    path.write_text("schema: edgepress-gates/1\n" + text, "utf-8")
    return path
