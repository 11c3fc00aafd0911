"""What a step is: what its key must cover, and the work it does in its folder.

A step takes files of earlier steps by role ("weights", "float_hub", "int8_hub") and gives files under roles. The
plan (tools/plan.py) wires them; the pipeline (tools/pipeline.py) runs a step, takes it from the cache, or keeps it.
"""

from __future__ import annotations

import abc
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from ...compress.progress import NoProgress, Progress
from ...compress.receipt import Receipt
from ...runtime.errors import EdgepressError
from ...runtime.files import sha256_file

if TYPE_CHECKING:
    from ..inputs import Inputs
    from ..recipe_records import Recipe


@dataclass
class Workplace:
    """Where a step works: its folder, the files handed to it, and the outputs it has named so far."""

    run: Path
    folder: str
    inputs: Inputs
    taken: Mapping[str, Path]
    progress: Progress = field(default_factory=NoProgress)
    outputs: list[str] = field(default_factory=list)

    @property
    def here(self) -> Path:
        """The step's own folder."""
        return self.run / "steps" / self.folder

    @property
    def recipe(self) -> Recipe:
        """The recipe."""
        return self.inputs.recipe

    def own(self, name: str) -> Path:
        """Path of an output in the step's folder."""
        return self.shared(f"steps/{self.folder}/{name}")

    def shared(self, relative: str) -> Path:
        """Path of an output elsewhere in the run folder (artifacts/..., measurements/...)."""
        if relative not in self.outputs:
            self.outputs.append(relative)
        path = self.run / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def hashes(self) -> dict[str, str]:
        """sha256 of every output named."""
        return {relative: sha256_file(self.run / relative) for relative in self.outputs}


@dataclass(frozen=True)
class Failure:
    """A step that did its work and found something wrong; the run goes on to its report and ends with `exit_code`."""

    step: str
    what: str
    exit_code: int = 1
    where: str = ""
    hint: str = ""


class Step(abc.ABC):
    """One kind of step. Instances hold their options only.

    Attributes:
        name: stands in the folder's name and in receipts.
        cacheable: False where the result belongs to this moment (timings) or costs nothing.
        keepable: False where it is done again on every call because it costs nothing.
        needs_proof: left out once a proof has failed: a wrong file is not measured.
        uses_torch: threads of torch are set for it.
        takes, gives: roles of files, see the module.
    """

    name: ClassVar[str]
    cacheable: ClassVar[bool] = True
    keepable: ClassVar[bool] = True
    needs_proof: ClassVar[bool] = False
    uses_torch: ClassVar[bool] = False
    takes: ClassVar[tuple[str, ...]] = ()
    gives: ClassVar[Mapping[str, str]] = {}

    @abc.abstractmethod
    def key_facts(self, inputs: Inputs) -> Mapping[str, Any]:
        """Options and hashes of inputs that the result depends on, beside the steps before."""

    @abc.abstractmethod
    def work(self, place: Workplace) -> Receipt:
        """Do it: write outputs through `place.own` / `place.shared`, atomically."""

    def tidy(self, place: Workplace) -> None:  # noqa: B027
        """Remove what only an unfinished step needs (a checkpoint)."""

    def title(self) -> str:
        """One line for plans."""
        return self.name

    def failure(self, place: Workplace) -> Failure | None:
        """What the finished step found wrong, read from its outputs."""
        return None


def error_in(folder: str, error: EdgepressError) -> EdgepressError:
    """The same error with the step it came from, where it does not say where."""
    if error.where is None:
        error.where = f"step {folder}"
        error.args = (str(error),)
    return error
