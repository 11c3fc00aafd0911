"""`edgepress bench-binary`: binarization operators compared on six tracks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ...compress.binarization.catalogue import OPERATORS, PLAIN_NAMES
from ..bench_binary.records import BUDGETS, TRACKS
from ..exit_codes import ExitCode
from ..invocation import Invocation, common_options
from .options import PATH, listing, out_options, threads_option

if TYPE_CHECKING:
    from ..bench_binary.bench import Request
    from ..bench_binary.records import Budget, Case, Job


@click.command("bench-binary")
@click.option(
    "--operators",
    default=",".join(PLAIN_NAMES),
    show_default=True,
    callback=listing(tuple(OPERATORS)),
    metavar="LIST",
    help="Operators to compare, separated by commas.",
)
@click.option(
    "--tracks",
    default=",".join(TRACKS),
    show_default=True,
    callback=listing(TRACKS),
    metavar="LIST",
    help="Tracks to run, separated by commas.",
)
@click.option(
    "--budget",
    type=click.Choice(list(BUDGETS)),
    default="quick",
    show_default=True,
    help="How much is trained; quick needs no data folder and takes minutes.",
)
@click.option(
    "--case",
    "cases",
    multiple=True,
    metavar="TASK:NETWORK",
    help="Instead of the budget's cases (repeatable); NETWORK: of the zoo, mlp, or transformer.",
)
@click.option(
    "--seeds", default="", metavar="0,1,2", help="Instead of the budget's seeds, comma separated."
)
@click.option("--device", default="", help="Also count instructions on this emulated device.")
@click.option("--data", type=PATH, help="Folder of the data sets (else EDGEPRESS_DATA).")
@threads_option
@out_options
@common_options
@click.pass_obj
def command(call: Invocation, /, **options: Any) -> int:
    """Compare binarization operators: accuracy, robustness, cost of training, counts and files.

    Every operator is trained from the same float network with the same budget. A benchmark that was killed goes on
    where it was, in the same folder. Writes report.md, figures.csv, bench.json and overall.svg. The tracks and the
    formulas are those of docs/bibench.md.
    """
    request = _request(options)
    if call.dry_run:
        return _plan(call, request)
    from ..bench_binary.bench import FILES, Bench
    from ..bench_binary.report import document, terminal

    _refuse_finished(request.out, FILES, options["force"])
    if request.device:
        from ...devices.profile import load_profile

        load_profile(request.device)
    with call.progress() as progress:
        result = Bench(request, progress).run()
    call.give(document(result), f"{terminal(result)}\nreport: {request.out / FILES[0]}")
    return ExitCode.OK


def _request(options: dict[str, Any]) -> Request:
    from ..bench_binary.bench import Request

    budget, notes = _budget(options)
    return Request(
        budget=budget,
        operators=options["operators"],
        tracks=tuple(track for track in TRACKS if track in options["tracks"]),
        out=options["out"],
        data=options["data"],
        threads=options["threads"],
        device=options["device"],
        notes=notes,
    )


def _budget(options: dict[str, Any]) -> tuple[Budget, tuple[str, ...]]:
    """The budget with the cases that were asked for, or those of its own whose data is there."""
    import dataclasses

    from ..bench_binary.plan import with_cases
    from ..bench_binary.records import Case

    budget = BUDGETS[options["budget"]]
    if options["seeds"]:
        budget = dataclasses.replace(budget, seeds=_seeds(options["seeds"]))
    if options["cases"]:
        cases = [Case(*_split(text)) for text in options["cases"]]
        cases = [dataclasses.replace(case, family=_family(case.network)) for case in cases]
        for case in cases:
            _check(case, options["data"])
        return with_cases(budget, cases, _families(cases[0])), ()
    present = [case for case in budget.cases if _present(case, options["data"])]
    families = [case for case in budget.families if _present(case, options["data"])]
    notes = [
        f"no data for {case.name}: left out (--data FOLDER)"
        for case in dict.fromkeys((*budget.cases, *budget.families))
        if case not in (*present, *families)
    ]
    if not present:
        raise click.UsageError(f"budget {budget.name} needs data sets: give --data FOLDER")
    return with_cases(budget, present, families or _families(present[0])), tuple(notes)


def _seeds(text: str) -> tuple[int, ...]:
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() for part in parts):
        raise click.BadParameter(f"{text!r} is no list of seeds, as in 0,1,2", param_hint="--seeds")
    return tuple(dict.fromkeys(int(part) for part in parts))


def _split(text: str) -> tuple[str, str]:
    task, colon, network = text.partition(":")
    if not (task and colon and network):
        raise click.BadParameter(f"{text!r} is no TASK:NETWORK", param_hint="--case")
    return task, network


def _family(network: str) -> str:
    kinds = {"mlp": "mlp", "transformer": "transformer", "vit_tiny": "transformer"}
    return kinds.get(network, "cnn")


def _families(case: Case) -> list[Case]:
    """CNN, dense network and transformer on the data of a case; without a CNN if it is none."""
    from ..bench_binary.records import families_on

    rows = families_on(case.task, case.network)
    return list(rows if case.family == "cnn" else rows[1:])


def _check(case: Case, data: Path | None) -> None:
    """A case that cannot be is refused before anything is trained."""
    from ...compress import datasets, zoo
    from ...runtime.errors import UsageError

    task = datasets.task(case.task, data)
    if task.kind != "classification" or "train" not in task.loaders:
        raise UsageError(
            f"task {case.task} cannot be learned as classes", hint="choose a classification task"
        )
    if case.network not in ("mlp", "transformer"):
        zoo.entry(case.network)


def _present(case: Case, data: Path | None) -> bool:
    from ...compress import datasets
    from ...runtime.errors import InputError

    try:
        datasets.task(case.task, data)
    except InputError:
        return False
    return True


def _refuse_finished(out: Path, files: tuple[str, ...], force: bool) -> None:
    """A finished benchmark is overwritten only on demand; an unfinished one goes on."""
    from ...runtime.files import refuse_overwrite

    for name in files:
        refuse_overwrite(out / name, force)


def _plan(call: Invocation, request: Request) -> int:
    from ..bench_binary.bench import Bench

    bench = Bench(request)
    jobs = bench.jobs()
    done = sum(bench.shop.done(job) for job in jobs)
    samples = sum(_seen(bench.task(job.case).load("train").targets.size, job) for job in jobs)
    steps = [
        f"{len(jobs)} trainings ({done} done), {samples:,} training samples seen in all",
        *(f"track {track}" for track in request.tracks),
    ]
    return call.plan(
        "bench-binary",
        reads=list(dict.fromkeys(job.case.task for job in jobs)),
        steps=steps,
        writes=[request.out],
        budget=request.budget.name,
        operators=request.operators,
        seeds=request.budget.seeds,
        cases=[case.name for case in request.budget.cases],
        families=[case.name for case in request.budget.families],
    )


def _seen(samples: int, job: Job) -> int:
    return samples * job.config.epochs
