"""The configuration of gates: YAML or TOML -> frozen records, every fault with its line.

    schema: edgepress-gates/1
    defaults: {processes: 5, max_processes: 15, tolerance: 5%, threads: 1}
    baseline: {file: baselines/main.json, remeasure: auto, models: baselines/models}
    gates:
      - model: kws_int8.tflite
        device: pi5
        engine: litert
        metrics:
          file_bytes: {max: 60KiB}
          instructions: {max_regression: 0.5%}

Paths are relative to the configuration. A gate without `metrics` gets the exact ones (`default_metrics.py`).
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ...devices.budget import STATISTICS, Budget, Limit
from ...runtime.errors import UsageError
from ..recipe_yaml import Document
from . import metrics
from .board_config import Board, boards_of
from .config_source import read_config
from .config_values import Table
from .default_metrics import OF_FILES, default_metrics

SCHEMA = "edgepress-gates/1"
REMEASURE = ("auto", "always", "never")
MOST_PROCESSES = 100


@dataclass(frozen=True)
class Noisy:
    """A gate known to be flaky: until the day given it is at most a warning."""

    reason: str
    until: datetime.date


@dataclass(frozen=True)
class Scored:
    """What the `accuracy` of a file is measured on."""

    task: str
    split: str = "test"
    samples: int | None = None


@dataclass(frozen=True)
class Gate:
    """One model on one device in one engine, and its limits. `model` is as written, `path` absolute."""

    model: str
    path: Path
    device: str
    engine: str | None
    budget: Budget
    threads: int = 1
    processes: int = 5
    max_processes: int = 15
    baseline: Path | None = None
    inputs: Path | None = None
    scored: Scored | None = None
    noisy: Noisy | None = None
    where: str = ""


@dataclass(frozen=True)
class Baseline:
    """Where old numbers come from: a results file in git, and the old files to measure again beside the new ones."""

    file: Path | None = None
    remeasure: str = "auto"
    models: Path | None = None


@dataclass(frozen=True)
class GateConfig:
    """All gates of one file.

    `removed` are models whose baseline numbers may go without a successor; `boards` are real ones, by the name that
    gates use as device.
    """

    path: Path
    gates: tuple[Gate, ...]
    baseline: Baseline = Baseline()
    removed: tuple[str, ...] = ()
    boards: Mapping[str, Board] = field(default_factory=dict)


@dataclass(frozen=True)
class _Defaults:
    processes: int
    max_processes: int
    tolerance: float
    threads: int
    device: str
    engine: str | None


def load_config(path: Path) -> GateConfig:
    """The configuration in a file.

    Raises:
        UsageError, InputError: with file and line; unknown keys name the nearest.
    """
    path = Path(path)
    return config_of(read_config(path), path)


def config_of(document: Document, path: Path) -> GateConfig:
    """The configuration of a document that was read."""
    top = Table(document, (), document.values)
    top.only("schema", "defaults", "baseline", "boards", "gates", "removed")
    if top.need("schema") != SCHEMA:
        raise top.fault("schema", f"{top.text('schema')!r} is not {SCHEMA}")
    folder = path.resolve().parent
    defaults = _defaults(top.table("defaults"))
    gates = tuple(_gate(table, defaults, folder) for table in top.tables("gates"))
    if not gates:
        raise UsageError("there are no gates", where=top.where(), hint="add them under `gates:`")
    _refuse_doubles(gates)
    removed = []
    for item in top.items("removed"):
        if not isinstance(item, str):
            raise top.fault("removed", f"expected names of models, got {item!r}")
        removed.append(item)
    return GateConfig(
        path=path,
        gates=gates,
        baseline=_baseline(top.table("baseline"), folder),
        removed=tuple(removed),
        boards=boards_of(top.table("boards")),
    )


def _defaults(table: Table) -> _Defaults:
    table.only("processes", "max_processes", "tolerance", "threads", "device", "engine")
    processes = table.count("processes", 5, MOST_PROCESSES)
    most = table.count("max_processes", max(15, processes), MOST_PROCESSES)
    if most < processes:
        raise table.fault("max_processes", f"{most} is less than processes ({processes})")
    return _Defaults(
        processes=processes,
        max_processes=most,
        tolerance=_certain(table.share("tolerance", 0.05)),
        threads=table.count("threads", 1, 256),
        device=table.text("device", "host") or "host",
        engine=table.text("engine"),
    )


def _baseline(table: Table, folder: Path) -> Baseline:
    table.only("file", "remeasure", "models")
    return Baseline(
        file=_path(table.text("file"), folder),
        remeasure=table.choice("remeasure", REMEASURE, "auto"),
        models=_path(table.text("models"), folder),
    )


_GATE_KEYS = (
    *("model", "device", "engine", "threads", "processes", "max_processes", "metrics"),
    *("baseline", "inputs", "task", "split", "samples", "expect", "reason", "expires"),
)


def _gate(table: Table, defaults: _Defaults, folder: Path) -> Gate:
    table.only(*_GATE_KEYS)
    model, device = table.need("model"), table.text("device", defaults.device) or "host"
    threads = table.count("threads", defaults.threads, 256)
    processes = table.count("processes", defaults.processes, MOST_PROCESSES)
    most = table.count("max_processes", max(defaults.max_processes, processes), MOST_PROCESSES)
    if most < processes:
        raise table.fault("max_processes", f"{most} is less than processes ({processes})")
    limits = _limits(table, defaults.tolerance, device, folder / model)
    if threads != 1 and any(x.metric in metrics.INSTRUCTION_METRICS for x in limits):
        hint = "use threads: 1; with more the count depends on how they wait for each other"
        raise table.fault("threads", "instructions are counted single-threaded", hint)
    return Gate(
        model=model,
        path=folder / model,
        device=device,
        engine=table.text("engine", defaults.engine),
        budget=Budget(device, limits),
        threads=threads,
        processes=processes,
        max_processes=most,
        baseline=_path(table.text("baseline"), folder),
        inputs=_path(table.text("inputs"), folder),
        scored=_scored(table, limits),
        noisy=_noisy(table),
        where=table.where(),
    )


def _limits(table: Table, tolerance: float, device: str, model: Path) -> tuple[Limit, ...]:
    """The limits of a gate; the exact metrics where none are named."""
    if table.values.get("metrics") is None:
        names = default_metrics(model, device, table.text("task") is not None)
        return tuple(_compared(name, tolerance) for name in names)
    found, inner = [], table.table("metrics")
    for name in inner.values:
        metrics.check_metric(name, inner.where(name))
        found.append(_limit(inner.table(name), name, tolerance))
    if not found:
        raise table.fault("metrics", "no metric is named", f"e.g. {', '.join(OF_FILES)}")
    return tuple(found)


def _limit(table: Table, metric: str, tolerance: float) -> Limit:
    """One metric's limit; without any limit it is compared with the baseline at its default tolerance."""
    table.only("max", "min", "max_regression", "max_drop", "stat")
    unit, higher = metrics.unit(metric), metrics.better(metric) == "higher"
    if higher and "max_regression" in table.values:
        hint = "use max_drop: 0.5, in points"
        raise table.fault("max_regression", f"of {metric} more is better", hint)
    if not higher and ("max_drop" in table.values or "min" in table.values):
        key = "max_drop" if "max_drop" in table.values else "min"
        raise table.fault(key, f"of {metric} less is better", "use max and max_regression")
    if "stat" in table.values and not metrics.statistical(metric):
        raise table.fault("stat", f"{metric} is one exact number", "leave it out")
    limit = Limit(
        metric=metric,
        at_most=table.amount("max", unit),
        at_least=table.amount("min", unit),
        max_regression=table.share("max_regression", None),
        max_drop=table.amount("max_drop", unit),
        statistic=table.choice("stat", STATISTICS, "median"),
    )
    if limit.relative or limit.absolute:
        return limit
    return _compared(metric, tolerance, limit.statistic)


def _compared(metric: str, tolerance: float, statistic: str = "median") -> Limit:
    """Compared with the baseline at the default tolerance."""
    if metrics.better(metric) == "higher":
        return Limit(metric, max_drop=0.0)
    allowed = metrics.default_tolerance(metric, tolerance)
    return Limit(metric, max_regression=allowed, statistic=statistic)


def _scored(table: Table, limits: tuple[Limit, ...]) -> Scored | None:
    wanted = any(limit.metric == "accuracy" for limit in limits)
    task = table.text("task")
    if task is None:
        if wanted:
            hint = "task: watch-har, or package.module:factory"
            raise UsageError("accuracy needs a task", where=table.where("metrics"), hint=hint)
        return None
    samples = table.count("samples", 0, 1 << 30) if "samples" in table.values else None
    return Scored(task, table.text("split", "test") or "test", samples)


def _noisy(table: Table) -> Noisy | None:
    if table.text("expect") is None:
        for key in ("reason", "expires"):
            if key in table.values:
                raise table.fault(key, "only goes with `expect: noisy`")
        return None
    table.choice("expect", ("noisy",), "noisy")
    for key in ("reason", "expires"):
        if not table.values.get(key):
            hint = "expect: noisy hides alarms, so it says why and until when (expires: 2030-01-31)"
            raise UsageError(f"expect: noisy needs {key!r}", where=table.where("expect"), hint=hint)
    return Noisy(table.need("reason"), table.date("expires"))


def _refuse_doubles(gates: tuple[Gate, ...]) -> None:
    seen: dict[tuple[object, ...], Gate] = {}
    for gate in gates:
        for limit in gate.budget.limits:
            key = (gate.model, gate.device, gate.engine, gate.threads, limit.metric)
            if key in seen:
                raise UsageError(
                    f"{limit.metric} of {gate.model} on {gate.device} is gated twice",
                    where=gate.where,
                    hint=f"the other gate is at {seen[key].where}",
                )
            seen[key] = gate


def _path(text: str | None, folder: Path) -> Path | None:
    return None if text is None else folder / Path(text).expanduser()


def _certain(value: float | None) -> float:
    return 0.0 if value is None else value
