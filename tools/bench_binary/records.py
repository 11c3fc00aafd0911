"""What the benchmark is asked for: cases, budgets, jobs; readable without torch."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass

from ...compress.training_config import TrainConfig

TRACKS = ("task", "architecture", "corruption", "training", "complexity", "hardware")
FLOAT = "float"
"""Stands where an operator's name stands, for the network before binarization."""


@dataclass(frozen=True)
class Case:
    """A network on a data set; `family` is "cnn", "mlp" or "transformer"."""

    task: str
    network: str
    family: str = "cnn"

    @property
    def name(self) -> str:
        """TASK:NETWORK."""
        return f"{self.task}:{self.network}"


@dataclass(frozen=True)
class Setting:
    """One way to train, for the training track."""

    optimizer: str
    learning_rate: float
    schedule: str

    @property
    def name(self) -> str:
        """Short: "adam 0.001 cosine"."""
        return f"{self.optimizer} {self.learning_rate:g} {self.schedule}"


SETTINGS = tuple(
    Setting(optimizer, rate, schedule)
    for optimizer, rate in (("adam", 1e-3), ("adam", 1e-4), ("sgd", 1e-1), ("sgd", 1e-2))
    for schedule in ("cosine", "step")
)
"""The eight of BiBench's training track."""


@dataclass(frozen=True)
class Budget:
    """How much is spent.

    Attributes:
        samples: of the training split, 0 for all.
        test_samples: of the test split, 0 for all.
        float_epochs, binary_epochs: of trainings; the latter are both stages together.
        seeds: every training is repeated for each.
        settings: of the training track, so many of `SETTINGS`.
        setting_epochs: of each of them.
        corruption_samples: test samples that are damaged.
        processes: fresh processes that a file is timed in.
        cases, families: of the tracks "task" and "architecture".
        batch_size: of all trainings.
    """

    name: str
    samples: int
    test_samples: int
    float_epochs: int
    binary_epochs: int
    seeds: tuple[int, ...]
    settings: int
    setting_epochs: int
    corruption_samples: int
    processes: int
    cases: tuple[Case, ...]
    families: tuple[Case, ...]
    batch_size: int = 128

    def chosen_settings(self) -> tuple[Setting, ...]:
        """`settings` of the eight, at equal distances; fewer than eight take the two schedules in turn."""
        if self.settings == len(SETTINGS):
            return SETTINGS
        step = len(SETTINGS) // self.settings
        return tuple(SETTINGS[i * step + i % 2] for i in range(self.settings))


def families_on(task: str, cnn: str) -> tuple[Case, ...]:
    """The three kinds of network on one data set."""
    transformer = "vit_tiny" if task == "cifar10" else "transformer"
    return (
        Case(task, cnn),
        Case(task, "mlp", "mlp"),
        Case(task, transformer, "transformer"),
    )


_SUBSET, _WATCH = Case("watch-har-subset", "har_cnn"), Case("watch-har", "har_cnn")
_MNIST, _DIGITS = Case("mnist", "mlp", "mlp"), Case("spoken-digits", "ds_cnn")
_TOY = Case("toy", "toy_cnn")

BUDGETS = {
    row.name: row
    for row in (
        Budget("smoke", 64, 32, 1, 1, (0,), 2, 1, 16, 1, (_TOY,), families_on("toy", "toy_cnn"), 32),
        Budget("quick", 2048, 1000, 8, 6, (0,), 4, 2, 400, 2, (_SUBSET,),
               families_on("watch-har-subset", "har_cnn")),
        Budget("standard", 8192, 2000, 12, 10, (0, 1, 2), 8, 4, 1000, 3,
               (_WATCH, _MNIST, _DIGITS, Case("cifar10", "resnet8")),
               families_on("watch-har", "har_cnn")),
        Budget("full", 0, 0, 60, 100, (0, 1, 2), 8, 60, 0, 5,
               (_WATCH, _MNIST, _DIGITS, Case("cifar10", "resnet20")),
               families_on("cifar10", "resnet20")),
    )
}  # fmt: skip
"""By name. "smoke" is for trials of the command: its figures say nothing."""


@dataclass(frozen=True)
class Job:
    """One training. `setting` None: the budget's own, from the float network, which teaches."""

    case: Case
    operator: str
    seed: int
    samples: int
    config: TrainConfig
    setting: Setting | None = None

    @property
    def label(self) -> str:
        """For people."""
        tail = f", {self.setting.name}" if self.setting else ""
        return f"{self.case.name} {self.operator} seed {self.seed}{tail}"

    def key(self, data_sha256: str) -> str:
        """Name of its files: the same job on the same data has the same."""
        facts = json.dumps([asdict(self), data_sha256], sort_keys=True)
        digest = hashlib.sha256(facts.encode()).hexdigest()[:12]
        return f"{self.case.task}.{self.case.network}.{self.operator}.{digest}"


@dataclass(frozen=True)
class Outcome:
    """What a training gave: accuracies in per cent (of `test_samples` test samples), cost, sizes.

    `cpu_s` is processor time of this process over the training alone, `steps` its steps.
    """

    job: str
    operator: str
    seed: int
    setting: str
    validation: float
    test: float
    test_samples: int
    cpu_s: float
    steps: int
    weights: str


@dataclass(frozen=True)
class Figure:
    """One number of the benchmark, as the CSV file has it.

    `item` is what it was measured on (a case, a kind of damage, a setting), "overall" for the track's metric.
    `evidence` is "host" for what was measured here, "emulated" for instructions, "computed" for counts.
    """

    track: str
    operator: str
    item: str
    metric: str
    value: float
    unit: str = ""
    evidence: str = "host"
    samples: int = 0
    seeds: int = 0
    note: str = ""


OVERALL = "overall"
