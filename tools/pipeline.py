"""The pipeline: every step of a recipe is kept, taken from the cache, or done, and the run ends in a report.

    result = run_recipe(load_recipe("watch-har"), Path("runs/watch-har"), progress=progress)

A killed run is taken up where it stopped by running it again: finished steps are recognised by their key and the
hashes of their outputs, training goes on from its checkpoint. The files in artifacts/ are then the same, byte for
byte, as those of a run that nobody disturbed, on the same machine with the same number of threads.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..compress.progress import NoProgress, Progress
from ..runtime.errors import EdgepressError, MissingToolError
from ..runtime.files import sha256_bytes
from .cache import Cache
from .exit_codes import worst
from .inputs import Inputs
from .manifest import Manifest, new_manifest, read_manifest
from .plan import PlannedStep, make_plan, step_keys
from .recipe import recipe_yaml
from .recipe_records import Recipe
from .run_folder import RunFolder, StepRecord, open_run_folder, write_json
from .steps.base import Failure, Workplace, error_in


@dataclass(frozen=True)
class StepOutcome:
    """How a step ended: `origin` is "computed", "cached", "kept" (finished before) or "left out"."""

    folder: str
    name: str
    origin: str
    seconds: float


@dataclass(frozen=True)
class RunResult:
    """What a run left behind. `exit_code` is 0 unless a proof or a budget failed; `failures` says which."""

    folder: str
    exit_code: int
    steps: tuple[StepOutcome, ...]
    failures: tuple[Failure, ...]
    artifacts: tuple[str, ...]
    reports: tuple[str, ...]
    schema: str = "edgepress-result/1"


def run_recipe(
    recipe: Recipe,
    out: Path,
    *,
    data: Path | None = None,
    progress: Progress | None = None,
    force: bool = False,
    resume: bool = True,
    cache: Cache | None = None,
    until: str = "",
    command: Sequence[str] = (),
    allow_user_code: bool = True,
) -> RunResult:
    """Run a recipe in the folder `out`.

    Args:
        recipe: from `load_recipe`.
        out: run folder; taken up again if it holds a run of the same recipe.
        data: folder of the data sets; None for `EDGEPRESS_DATA`.
        progress: told about stages, epochs and losses.
        force: replace a run that is there.
        resume: False refuses a folder that holds a run.
        cache: results of earlier runs; None for none.
        until: name of the last step wanted; all if empty.
        command: the command line, for the manifest.
        allow_user_code: False refuses factories.

    Raises:
        EdgepressError: with its exit code; what is finished stays and is kept by the next call.
    """
    plan = make_plan(recipe, until)
    inputs = Inputs(recipe, data, allow_user_code)
    text = recipe_yaml(recipe)
    with open_run_folder(Path(out), text, force=force, resume=resume) as folder:
        keys = step_keys(plan, inputs)
        folder.keep_only({planned.folder: planned for planned in make_plan(recipe)})
        manifest = _begin_manifest(folder, recipe, inputs, keys, text, command)
        run = _Run(folder, inputs, plan, keys, progress or NoProgress(), cache)
        outcomes, failures = run.all()
        write_json(folder.path / "manifest.json", replace(manifest, finished=not until))
        reports = () if until else _report(folder, progress)
        return RunResult(
            folder=str(folder.path),
            exit_code=int(worst(f.exit_code for f in failures)),
            steps=outcomes,
            failures=failures,
            artifacts=tuple(sorted(str(p) for p in (folder.path / "artifacts").glob("*.*"))),
            reports=reports,
        )


def _begin_manifest(
    folder: RunFolder,
    recipe: Recipe,
    inputs: Inputs,
    keys: dict[str, str],
    text: str,
    command: Sequence[str],
) -> Manifest:
    """Write the manifest before the work begins; a run taken up again keeps the time it was created."""
    path = folder.path / "manifest.json"
    sources = inputs.task.sources if inputs.task is not None else ()
    made = new_manifest(
        name=recipe.name,
        seed=recipe.seed,
        threads=recipe.threads,
        device=recipe.device,
        recipe_sha256=sha256_bytes(text.encode()),
        inputs=inputs.hashes,
        steps=keys,
        sources=sources,
        command=command,
    )
    before = read_manifest(path)
    if before is not None:
        made = replace(made, created=before.created)
    write_json(path, made)
    return made


@dataclass
class _Run:
    """One pass over the plan."""

    folder: RunFolder
    inputs: Inputs
    plan: tuple[PlannedStep, ...]
    keys: dict[str, str]
    progress: Progress
    cache: Cache | None

    def all(self) -> tuple[tuple[StepOutcome, ...], tuple[Failure, ...]]:
        """Every step; after a failed proof nothing is measured."""
        outcomes: list[StepOutcome] = []
        failures: list[Failure] = []
        for planned in self.plan:
            start = time.perf_counter()
            if planned.step.needs_proof and failures:
                self.folder.forget(planned.folder)
                outcomes.append(StepOutcome(planned.folder, planned.step.name, "left out", 0.0))
                continue
            place = self._place(planned)
            try:
                origin = self._one(planned, place)
                failure = planned.step.failure(place)
            except EdgepressError as error:
                raise error_in(planned.folder, error) from error.__cause__
            failures += [failure] if failure else []
            seconds = time.perf_counter() - start
            outcomes.append(StepOutcome(planned.folder, planned.step.name, origin, seconds))
        return tuple(outcomes), tuple(failures)

    def _place(self, planned: PlannedStep) -> Workplace:
        taken = {
            role: self.folder.step(folder) / name
            for role, (folder, name) in planned.sources.items()
        }
        return Workplace(self.folder.path, planned.folder, self.inputs, taken, self.progress)

    def _one(self, planned: PlannedStep, place: Workplace) -> str:
        """Keep, fetch or do a step; gives where its result comes from."""
        key = self.keys[planned.folder]
        if planned.step.keepable and self.folder.finished(planned.folder, key):
            planned.step.tidy(place)  # a kill between the record and this left it
            return "kept"
        self.folder.begin(planned.folder, key)
        use_cache = self.cache is not None and planned.step.cacheable
        if use_cache and self.cache is not None:
            outputs = self.cache.get(key, self.folder.path)
            if outputs is not None:
                record = StepRecord(planned.step.name, key, outputs, "cached")
                self.folder.finish(planned.folder, record)
                return "cached"
        with _torch_threads(self.inputs.recipe.threads, planned.step.uses_torch):
            receipt = planned.step.work(place)
        write_json(place.own("receipt.json"), receipt)
        outputs = place.hashes()
        self.folder.finish(planned.folder, StepRecord(planned.step.name, key, outputs))
        planned.step.tidy(place)
        if use_cache and self.cache is not None:
            self.cache.put(key, self.folder.path, outputs)
        return "computed"


@contextlib.contextmanager
def _torch_threads(threads: int, needed: bool) -> Iterator[None]:
    """The recipe's number of threads for torch while a step runs; the caller's afterwards."""
    if not needed:
        yield
        return
    try:
        import torch
    except ModuleNotFoundError as error:
        raise MissingToolError(
            "this step needs torch",
            hint="pip install 'edgepress[torch]', or start from an ONNX file",
        ) from error
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _report(folder: RunFolder, progress: Progress | None) -> tuple[str, ...]:
    """report.json, .md and .html from what lies in the folder."""
    from .report import write_report

    if progress is not None:
        progress.stage("report", 1)
    written = write_report(folder.path)
    if progress is not None:
        progress.advance()
    return tuple(str(path) for path in written)
