"""The eleven binarization operators with one equal budget each, beside the float network they start from.

    python -m edgepress.tools.bench.binary_operators                                # har_cnn, bundled subset
    python -m edgepress.tools.bench.binary_operators --seed 0 1 2 --data DATA       # more seeds, all data
    python -m edgepress.tools.bench.binary_operators --network resnet20 --data DATA --seed 0 1 2 --epochs 60

One float network per seed is the start and the teacher of every operator; same epochs, batches, optimizer (Adam, no
decay) and distillation. Only latent weights differ: held in [-1, 1], or free where the operator normalises them.
Every table says budget, split, samples and seeds; differences inside the spread are noise. Validation accuracy is
printed beside the test's; nothing is chosen by either. With --json every finished training is written at once, and
a command run again goes on after the last.
"""

from __future__ import annotations

import argparse
import functools
import json
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ...compress.binarization.catalogue import OPERATORS, PLAIN_NAMES
from ...compress.binarization.records import BinarizeConfig
from ...compress.task import Task
from ...compress.training_config import TrainConfig
from ...runtime.files import write_text


@dataclass(frozen=True)
class Case:
    """One network: its data, float budget, binary budget, and what replaces its ReLUs."""

    task: str
    float_config: TrainConfig
    binary_config: TrainConfig
    binarize: dict[str, Any] = field(default_factory=dict)
    tests: tuple[str, ...] = ("test",)


_STUDENT = {
    "optimizer": "adam",
    "weight_decay": 0.0,
    "distill_weight": 1.0,
    "distill_temperature": 1.0,
}
CASES = {
    "har_cnn": Case(
        "watch-har",
        TrainConfig(epochs=20, learning_rate=3e-3, weight_decay=0.01, label_smoothing=0.1),
        TrainConfig(epochs=10, learning_rate=3e-3, **_STUDENT),  # type: ignore[arg-type]
    ),
    "resnet20": Case(
        "cifar10",
        TrainConfig(epochs=20, learning_rate=4e-3, weight_decay=0.02, warmup_epochs=1),
        TrainConfig(
            epochs=30,
            batch_size=64,
            learning_rate=2.5e-3,
            channels_last=False,
            **_STUDENT,  # type: ignore[arg-type]
        ),
        tests=("test_holdout", "test"),
    ),
}


@dataclass(frozen=True)
class Row:
    """One training: accuracies in per cent by split."""

    operator: str
    seed: int
    epochs: int
    validation: float
    tests: dict[str, float]
    seconds: float


def float_model(case: Case, network: str, task: Task, seed: int, weights: Path | None) -> Any:
    """The trained float network of a seed, or the weights given."""
    import torch

    from ...compress import zoo
    from ...compress.training import train
    from ...compress.weights import load_weights

    torch.manual_seed(seed)
    model = zoo.build_for(network, task)
    if weights is not None:
        load_weights(model, weights)
    else:
        train(model, task, _seeded(case.float_config, seed))
    return model.eval()


def _seeded(config: TrainConfig, seed: int) -> TrainConfig:
    import dataclasses

    return dataclasses.replace(config, seed=seed)


def scores(model: Any, task: Task, tests: Sequence[str]) -> tuple[float, dict[str, float]]:
    """(validation, tests) of a torch model."""
    from ...compress.training import evaluate

    found = {name: evaluate(model, task, name).value for name in tests}
    return evaluate(model, task, "validation").value, found


def one(
    case: Case,
    teacher: Any,
    operator: str,
    task: Task,
    config: TrainConfig,
    first_stage: float = 0.5,
) -> Row:
    """Binarize a copy of `teacher` with one operator, train it, judge it."""
    import torch

    from ...compress.binarization.binarize import binarize
    from ...compress.binarization.train import train_binary
    from ...compress.randomness import seed_all

    start = time.perf_counter()
    seed_all(config.seed)
    example = tuple(torch.zeros(2, *shape) for shape in task.input_shapes)
    made = binarize(teacher, example, BinarizeConfig(operator=operator, **case.binarize))
    train_binary(made, task, config, teacher=teacher, first_stage=first_stage)
    validation, tests = scores(made, task, case.tests)
    return Row(operator, config.seed, config.epochs, validation, tests, time.perf_counter() - start)


def table(rows: Sequence[Row], case: Case, task: Task, first_stage: float = 0.5) -> str:
    """Markdown: one line per operator, mean and spread over the seeds."""
    names = [name for name in ("float", *OPERATORS) if any(r.operator == name for r in rows)]
    lines = ["| operator | validation % | " + " | ".join(f"{t} %" for t in case.tests) + " | s |"]
    lines.append("|---|---|" + "---|" * (len(case.tests) + 1))
    for name in names:
        own = [row for row in rows if row.operator == name]
        cells = [_spread([row.validation for row in own])]
        cells += [_spread([row.tests[t] for row in own]) for t in case.tests]
        seconds = statistics.mean(row.seconds for row in own)
        lines.append(f"| {name} | " + " | ".join(cells) + f" | {seconds:.0f} |")
    seeds = sorted({row.seed for row in rows})
    binary = next((row.epochs for row in rows if row.operator != "float"), 0)
    counts = ", ".join(f"{t} {len(task.load(t))}" for t in ("train", "validation", *case.tests))
    sources = "; ".join(task.sources)
    lines.append(
        f"\n{task.name} ({sources}); samples: {counts}; seeds {seeds}; {binary} epochs per operator, "
        f"{100 * first_stage:.0f} % of them with real weights; from the float network of the same seed, "
        "which also teaches. mean (lowest to highest) over the seeds."
    )
    return "\n".join(lines)


def _spread(values: Sequence[float]) -> str:
    if len(values) == 1:
        return f"{values[0]:.2f}"
    return f"{statistics.mean(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print the table."""
    from ...compress import datasets

    args = _parser().parse_args(arguments)
    case = CASES[args.network]
    task = datasets.task(args.task or case.task, args.data)
    if args.samples:
        task = few_samples(task, args.samples)
    rows = Rows(args.json)
    for seed in args.seed:
        start = time.perf_counter()
        teacher = kept_model(case, args, task, seed)
        seconds = time.perf_counter() - start
        if not rows.has("float", seed):
            epochs = 0 if args.weights else case.float_config.epochs
            rows.add(Row("float", seed, epochs, *scores(teacher, task, case.tests), seconds))
        config = _budget(case, args, seed)
        for operator in args.operators:
            if not rows.has(operator, seed):
                rows.add(one(case, teacher, operator, task, config, args.first_stage))
    print(table(rows.rows, case, task, args.first_stage))
    return 0


class Rows:
    """The trainings so far, kept in `path` (None: in memory only)."""

    def __init__(self, path: Path | None):
        self.path = path
        self.rows: list[Row] = []
        if path is not None and path.is_file():
            self.rows = [Row(**row) for row in json.loads(path.read_text())]

    def has(self, operator: str, seed: int) -> bool:
        """True if this training is there already."""
        return any((row.operator, row.seed) == (operator, seed) for row in self.rows)

    def add(self, row: Row) -> None:
        """Keep a finished training."""
        self.rows.append(row)
        print(row, file=sys.stderr, flush=True)
        if self.path is not None:
            rows = [asdict(row) for row in self.rows]
            write_text(self.path, json.dumps(rows, indent=1) + "\n")


def kept_model(case: Case, args: argparse.Namespace, task: Task, seed: int) -> Any:
    """The float network of a seed; beside --json it is kept for commands run again."""
    from ...compress.weights import save_weights

    kept = None
    if args.json is not None and args.weights is None:
        kept = args.json.with_suffix(f".float{seed}.npz")
    found = kept if kept is not None and kept.is_file() else args.weights
    model = float_model(case, args.network, task, seed, found)
    if kept is not None and not kept.is_file():
        save_weights(model, kept)
    return model


def few_samples(task: Task, count: int) -> Task:
    """The task with `count` training samples and an eighth as many for validation, at equal distances."""
    import dataclasses

    few = {"train": count, "validation": max(1, count // 8)}
    loaders = {
        name: functools.cache(lambda name=name: task.load(name).spread(few[name])) for name in few
    }
    return dataclasses.replace(
        task,
        loaders={**task.loaders, **loaders},
        options={**task.options, "training samples": count},
    )


def _budget(case: Case, args: argparse.Namespace, seed: int) -> TrainConfig:
    import dataclasses

    config = dataclasses.replace(
        case.binary_config, seed=seed, threads=args.threads, half=args.half, validate_every=1000
    )
    return config if args.epochs is None else dataclasses.replace(config, epochs=args.epochs)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--network", choices=tuple(CASES), default="har_cnn")
    parser.add_argument("--task", help="another data set for the network, such as watch-har-subset")
    parser.add_argument("--operators", nargs="+", choices=tuple(OPERATORS), default=PLAIN_NAMES)
    parser.add_argument("--seed", nargs="+", type=int, default=[0])
    parser.add_argument("--epochs", type=int, help="of every operator, both stages together")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--weights", type=Path, help="float weights instead of training them")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--samples", type=int, default=0, help="of the training split; 0: all")
    parser.add_argument("--first-stage", type=float, default=0.5, help="share with real weights")
    parser.add_argument("--half", action="store_true", help="train in bfloat16")
    parser.add_argument("--json", type=Path, help="keeps every finished training; read again")
    return parser


if __name__ == "__main__":
    sys.exit(main())
