"""Latency and memory of every file in every engine on this machine: evidence "host", never a device's."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from ...compress.receipt import Receipt
from ..artifact_names import kinds
from ..engines import usable_engines
from ..manifest import host_facts
from ..recipe import recipe_values
from ..recipe_records import ProfileOptions
from ..run_folder import write_json
from .base import Step, Workplace
from .export import read_exported
from .verify import engines_of

if TYPE_CHECKING:
    from ..inputs import Inputs


class ProfileStep(Step):
    """Files -> measurements/FILE.ENGINE.json. Never from the cache: a timing belongs to its moment."""

    name: ClassVar[str] = "profile"
    cacheable: ClassVar[bool] = False
    needs_proof: ClassVar[bool] = True
    takes: ClassVar[tuple[str, ...]] = ("artifacts",)
    gives: ClassVar[Mapping[str, str]] = {"measurements": "measurements.json"}

    def __init__(self, options: ProfileOptions):
        self.options = options

    def key_facts(self, inputs: Inputs) -> Mapping[str, Any]:
        """Options, engines with their versions, this machine."""
        return {
            "options": recipe_values(self.options),
            "engines": usable_engines(
                self.options.engines, kinds(inputs.recipe.export), timed=True
            ),
            "host": host_facts(),
        }

    def title(self) -> str:
        """One line for plans."""
        return f"measure every file here in {self.options.processes} fresh processes"

    def work(self, place: Workplace) -> Receipt:
        """Measure one file in one engine after the other."""
        from ...devices.host import measure_host

        start = time.perf_counter()
        engines = usable_engines(self.options.engines, kinds(place.recipe.export), timed=True)
        names, notes = [], []
        for row in read_exported(place.taken["artifacts"]):
            for engine in engines_of(row, engines):
                found = measure_host(
                    place.run / "artifacts" / row.file,
                    engine,
                    threads=self.options.threads,
                    processes=self.options.processes,
                    progress=place.progress,
                )
                name = f"measurements/{row.file}.{engine}.json"
                write_json(place.shared(name), found)
                names.append({"file": row.file, "precision": row.precision, "measurement": name})
                latency = found.values.get("latency_ms")
                notes.append(
                    f"{row.file} in {engine}: {latency:.4g} ms (host, median)" if latency else name
                )
        write_json(place.own("measurements.json"), names)
        return Receipt(
            step=self.name,
            options=recipe_values(self.options),
            seed=place.recipe.seed,
            seconds=time.perf_counter() - start,
            notes=tuple(notes),
        )
