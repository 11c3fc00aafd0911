"""The border of device profiles: YAML text -> checked -> frozen records. Import this module inside functions.

A fact is written `{value: ..., source: KEY, confirmed: true|false}`; KEY is a line of the file's `sources` table,
which holds the text. An unknown key anywhere names the nearest valid one; messages carry the line.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from ..runtime.errors import InputError
from .profile import Core, CpuInfo, Emulation, Fact, FactValue, Memory, Profile
from .profile_models import (
    CoreModel,
    CpuInfoModel,
    EmulationModel,
    FactModel,
    MemoryModel,
    ProfileModel,
)

LARGEST_BYTES = 1 << 20

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_profile(data: bytes, where: str) -> Profile:
    """The profile that `data` (YAML) describes; `where` stands in messages.

    Raises:
        InputError: not YAML, an unknown key, a value of the wrong kind, or a source that the file does not name.
    """
    document, node = _load(data, where)
    try:
        model = ProfileModel.model_validate(document)
    except ValidationError as error:
        raise _told(error, node, where) from error
    return _Convert(model.sources, node, where).profile(model)


def _load(data: bytes, where: str) -> tuple[Any, yaml.Node]:
    if len(data) > LARGEST_BYTES:
        raise InputError(f"{len(data)} bytes are no device profile", where=where)
    try:
        text = data.decode("utf-8")
        for event in yaml.parse(text, Loader=_LOADER):
            if isinstance(event, yaml.AliasEvent):
                raise InputError(
                    "anchors and aliases are not read", where=where, hint="write it out"
                )
        node, document = yaml.compose(text, Loader=_LOADER), yaml.load(text, Loader=_LOADER)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())[:300]
        raise InputError(f"not a readable YAML file: {reason}", where=where) from error
    if node is None or not isinstance(document, dict):
        raise InputError("not a device profile: the file is no table of keys", where=where)
    return document, node


def _told(error: ValidationError, node: yaml.Node, where: str) -> InputError:
    """The first complaint with its place, line, and for an unknown key the nearest valid one."""
    complaints = (
        error.errors()
    )  # a misspelt key is also missing under its right name: tell the misspelling
    first = min(complaints, key=lambda one: one["type"] != "extra_forbidden")
    place = tuple(part for part in first["loc"] if not _is_branch(part))
    spot = f"{where}:{_line(node, place)}"
    dotted = ".".join(str(part) for part in place)
    if first["type"] == "extra_forbidden":
        known = _keys_at(place[:-1])
        near = difflib.get_close_matches(str(place[-1]), known, 1)
        hint = f"the nearest key is {near[0]!r}; " if near else ""
        return InputError(
            f"unknown key {dotted!r}", where=spot, hint=hint + "known are " + ", ".join(known)
        )
    if first["type"] == "missing":
        return InputError(f"the key {dotted!r} is missing", where=spot)
    return InputError(
        f"{dotted}: {first['msg']}", where=spot, hint=f"got {str(first['input'])[:80]!r}"
    )


def _is_branch(part: int | str) -> bool:
    """True for what pydantic adds to a place: the branch of a union, the mark of a table's key."""
    return isinstance(part, str) and (part == "[key]" or "[" in part or part in _BRANCHES)


_BRANCHES = frozenset({"bool", "int", "float", "str"})


def _keys_at(place: tuple[int | str, ...]) -> list[str]:
    """Keys that may stand at a place: walk the records along it."""
    record: Any = ProfileModel
    for part in place:
        if isinstance(part, int):
            continue
        if isinstance(record, type) and issubclass(record, BaseModel):
            names = {(f.alias or n): f.annotation for n, f in record.model_fields.items()}
            record = _record_in(names.get(str(part)))
    return [f.alias or n for n, f in record.model_fields.items()]


def _record_in(annotation: Any) -> Any:
    """The record class inside an annotation such as `list[Core]`, `dict[str, Fact]` or `Fact | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    found = [_record_in(inner) for inner in getattr(annotation, "__args__", ())]
    return next((record for record in found if record is not None), None)


def _line(node: yaml.Node, place: tuple[int | str, ...]) -> int:
    """Line of the deepest part of a place that the file has."""
    line = node.start_mark.line + 1
    for part in place:
        if isinstance(node, yaml.MappingNode):
            match = [(k, v) for k, v in node.value if k.value == str(part)]
            if not match:
                return line
            line, node = match[0][0].start_mark.line + 1, match[0][1]
        elif (
            isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value)
        ):
            node = node.value[part]
            line = node.start_mark.line + 1
    return line


class _Convert:
    """Checked models to frozen records, with the source keys replaced by their texts."""

    def __init__(self, sources: Mapping[str, str], node: yaml.Node, where: str):
        self.sources, self.node, self.where = sources, node, where

    def profile(self, model: ProfileModel) -> Profile:
        """The whole record."""
        return Profile(
            name=model.name,
            title=model.title,
            device_class=model.device_class,
            soc=self.fact(model.soc, "soc"),
            cores=tuple(self._core(core, i) for i, core in enumerate(model.cores)),
            aliases=tuple(model.aliases),
            caches=self.table(model.caches, "caches"),
            memories=tuple(self._memory(memory, i) for i, memory in enumerate(model.memories)),
            accelerators=self.table(model.accelerators, "accelerators"),
            bandwidth_mb_per_s=self.table(model.bandwidth_mb_per_s, "bandwidth_mb_per_s"),
            power_mw=self.table(model.power_mw, "power_mw"),
            round_to=self.table(model.round_to, "round_to"),
            emulation=None if model.emulation is None else self._emulation(model.emulation),
            notes=tuple(model.notes),
        )

    def fact(self, model: FactModel, *place: int | str) -> Fact:
        """One fact; a source that is not in the table is an `InputError` naming the nearest."""
        if model.source not in self.sources:
            near = difflib.get_close_matches(model.source, self.sources, 1)
            hint = f"the nearest source is {near[0]!r}" if near else "add it to the table `sources`"
            spot = f"{self.where}:{_line(self.node, (*place, 'source'))}"
            raise InputError(
                f"the source {model.source!r} is not in `sources`", where=spot, hint=hint
            )
        given = model.value
        value: FactValue = self._several(given, place) if isinstance(given, list) else given
        return Fact(value, self.sources[model.source], model.confirmed)

    def _several(self, values: list[Any], place: tuple[int | str, ...]) -> FactValue:
        if all(isinstance(item, str) for item in values):
            return tuple(values)
        if values[0] >= values[1]:
            spot = f"{self.where}:{_line(self.node, (*place, 'value'))}"
            raise InputError(f"a range is [low, high], got {values}", where=spot)
        return tuple(values)

    def maybe(self, model: FactModel | None, *place: int | str) -> Fact | None:
        """One fact, or None where the file has none."""
        return None if model is None else self.fact(model, *place)

    def table(self, models: Mapping[Any, FactModel], *place: int | str) -> Mapping[str, Fact]:
        """A read-only table of facts."""
        made = {str(key): self.fact(model, *place, key) for key, model in models.items()}
        return MappingProxyType(made)

    def _core(self, core: CoreModel, index: int) -> Core:
        at = ("cores", index)
        return Core(
            name=core.name,
            role=core.role,
            count=self.fact(core.count, *at, "count"),
            clock_mhz=self.maybe(core.clock_mhz, *at, "clock_mhz"),
            isa=self.maybe(core.isa, *at, "isa"),
            issue_width=self.maybe(core.issue_width, *at, "issue_width"),
            peak_macs_per_cycle=self.table(core.peak_macs_per_cycle, *at, "peak_macs_per_cycle"),
        )

    def _memory(self, memory: MemoryModel, index: int) -> Memory:
        at = ("memories", index)
        return Memory(
            name=memory.name,
            bytes=self.maybe(memory.bytes, *at, "bytes"),
            kind=self.maybe(memory.kind, *at, "kind"),
        )

    def _emulation(self, model: EmulationModel) -> Emulation:
        info = model.cpuinfo
        names = () if info is None else tuple(CpuInfoModel.model_fields)
        facts = {n: self.fact(getattr(info, n), "emulation", "cpuinfo", n) for n in names}
        return Emulation(
            user_cpu=self.maybe(model.user_cpu, "emulation", "user_cpu"),
            machine=self.maybe(model.machine, "emulation", "machine"),
            gcc_flags=self.maybe(model.gcc_flags, "emulation", "gcc_flags"),
            stand_in=self.maybe(model.stand_in, "emulation", "stand_in"),
            cpuinfo=None if info is None else CpuInfo(**facts),
        )
