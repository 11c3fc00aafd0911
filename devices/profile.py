"""Device profiles: what is known of a target, each value with its source and whether it is confirmed.

    profile = load_profile("pi4")                   # a name, a short name, or the path of a YAML file
    profile.cores[0].clock_mhz.value                # 1500
    profile.cores[0].clock_mhz.source, .confirmed   # where from

What is not known is absent (None or an empty table), never guessed. Profiles that come with edgepress are in
`devices/profiles/`; a user's own lie in the data folder (`user_profiles_folder`) and win over ours of the same name.
The border (YAML, pydantic) is `profile_schema.py`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from importlib import resources
from pathlib import Path

from ..runtime.errors import InputError, UsageError
from .places import user_profiles_folder

FactValue = int | float | str | bool | tuple[int | float, ...] | tuple[str, ...]

SUFFIXES = (".yaml", ".yml")


@dataclass(frozen=True)
class Fact:
    """One value, where it comes from, and whether a source was read or measured for it.

    A value known only as a range is a pair (low, high).
    """

    value: FactValue
    source: str
    confirmed: bool

    @property
    def low(self) -> float:
        """The number, or the low end of the range."""
        return self._numbers()[0]

    @property
    def high(self) -> float:
        """The number, or the high end of the range."""
        return self._numbers()[-1]

    @property
    def text(self) -> str:
        """The value in words: "2240-2780", "neon, dotprod", "yes"."""
        if isinstance(self.value, bool):
            return "yes" if self.value else "no"
        if isinstance(self.value, tuple):
            joint = ", " if isinstance(self.value[0], str) else "-"
            return joint.join(
                f"{item:g}" if isinstance(item, float) else str(item) for item in self.value
            )
        return f"{self.value:g}" if isinstance(self.value, float) else str(self.value)

    def _numbers(self) -> tuple[float, ...]:
        values = self.value if isinstance(self.value, tuple) else (self.value,)
        numbers = tuple(
            float(v) for v in values if isinstance(v, (int, float)) and not isinstance(v, bool)
        )
        if len(numbers) != len(values):
            raise UsageError(f"{self.text!r} is not a number")
        return numbers


@dataclass(frozen=True)
class Core:
    """One kind of processor core. `peak_macs_per_cycle` is per core, keyed by dtype; caches are per core."""

    name: str
    role: str
    count: Fact
    clock_mhz: Fact | None = None
    isa: Fact | None = None
    issue_width: Fact | None = None
    peak_macs_per_cycle: Mapping[str, Fact] = field(default_factory=dict)


@dataclass(frozen=True)
class Memory:
    """One memory; `bytes` may be a range over the variants on sale."""

    name: str
    bytes: Fact | None = None
    kind: Fact | None = None


@dataclass(frozen=True)
class CpuInfo:
    """What Linux tells of the core in /proc/cpuinfo and /sys; engines choose their kernels by it."""

    implementer: Fact
    part: Fact
    variant: Fact
    revision: Fact
    features: Fact
    max_khz: Fact
    min_khz: Fact


@dataclass(frozen=True)
class Emulation:
    """How QEMU stands in for the device: `user_cpu` of qemu-aarch64, or `machine` of qemu-system-arm.

    `stand_in` says that QEMU lacks the core and another of the same instruction set takes its place.
    """

    user_cpu: Fact | None = None
    machine: Fact | None = None
    gcc_flags: Fact | None = None
    stand_in: Fact | None = None
    cpuinfo: CpuInfo | None = None


@dataclass(frozen=True)
class Profile:
    """All that is known of one device. `device_class` is "linux" or "mcu"; tables are keyed by name.

    Keys: `bandwidth_mb_per_s` "memcpy", "memset"; `power_mw` by situation; `round_to` by engine: widths of
    layers are best multiples of it.
    """

    name: str
    title: str
    device_class: str
    soc: Fact
    cores: tuple[Core, ...]
    aliases: tuple[str, ...] = ()
    caches: Mapping[str, Fact] = field(default_factory=dict)
    memories: tuple[Memory, ...] = ()
    accelerators: Mapping[str, Fact] = field(default_factory=dict)
    bandwidth_mb_per_s: Mapping[str, Fact] = field(default_factory=dict)
    power_mw: Mapping[str, Fact] = field(default_factory=dict)
    round_to: Mapping[str, Fact] = field(default_factory=dict)
    emulation: Emulation | None = None
    notes: tuple[str, ...] = ()

    @property
    def main_core(self) -> Core:
        """The core that runs the network; the first of the file."""
        return self.cores[0]

    def facts(self) -> Iterator[tuple[str, Fact]]:
        """(dotted place, fact) of every value in the profile, in the order of the file."""
        yield from _facts(self, "")


def _facts(value: object, place: str) -> Iterator[tuple[str, Fact]]:
    if isinstance(value, Fact):
        yield place, value
    elif is_dataclass(value):
        for one in fields(value):
            yield from _facts(getattr(value, one.name), f"{place}.{one.name}".lstrip("."))
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _facts(item, f"{place}.{key}")
    elif isinstance(value, tuple):
        for index, item in enumerate(value):
            label = getattr(item, "name", index)
            yield from _facts(item, f"{place}.{label}")


def profile_names() -> tuple[str, ...]:
    """Names of all profiles, the user's included, sorted."""
    return tuple(sorted({**_shipped(), **_users()}))


def load_profile(name: str | Path) -> Profile:
    """The profile of a name or short name ("pi4"), or of a YAML file.

    Raises:
        UsageError: nothing is called so (the nearest name is told), or there is no such file.
        InputError: the file cannot be read or says something that a profile cannot say.
    """
    from .profile_schema import read_profile

    text = str(name)
    if Path(text).suffix in SUFFIXES or "/" in text:
        if not Path(text).is_file():
            raise UsageError("there is no such device profile", where=text, hint=_listing())
        return read_profile(_read(Path(text)), text)
    known = {**_shipped(), **_users()}
    if text in known:
        return _named(known[text], text)
    for candidate in known:
        profile = _named(known[candidate], candidate)
        if text.lower() in profile.aliases:
            return profile
    near = difflib.get_close_matches(text, known, 1)
    nearest = f"the nearest name is {near[0]!r}; " if near else ""
    raise UsageError(f"no device is called {text!r}", hint=nearest + _listing())


def _named(source: _Source, name: str) -> Profile:
    """A profile found by the name of its file, which must be its own name: measurements carry it."""
    from .profile_schema import read_profile

    profile = read_profile(source(), f"{name}.yaml")
    if profile.name != name:
        raise InputError(
            f"the file is called {name}.yaml and holds the profile {profile.name!r}",
            where=str(source.path or source.resource),
            hint=f"call the file {profile.name}.yaml, or the device {name}",
        )
    return profile


def _listing() -> str:
    return f"known are {', '.join(profile_names())}; your own go to {user_profiles_folder()}"


class _Source:
    """Where the text of one profile is; called, it gives the bytes."""

    def __init__(self, path: Path | None, resource: str = ""):
        self.path, self.resource = path, resource

    def __call__(self) -> bytes:
        if self.path is not None:
            return _read(self.path)
        return (resources.files("edgepress.devices.profiles") / self.resource).read_bytes()


def _shipped() -> dict[str, _Source]:
    folder = resources.files("edgepress.devices.profiles")
    names = [entry.name for entry in folder.iterdir() if entry.name.endswith(".yaml")]
    return {name.removesuffix(".yaml"): _Source(None, name) for name in sorted(names)}


def _users() -> dict[str, _Source]:
    folder = user_profiles_folder()
    if not folder.is_dir():
        return {}
    return {
        path.stem: _Source(path) for path in sorted(folder.iterdir()) if path.suffix in SUFFIXES
    }


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(
            f"cannot read the device profile: {error.strerror}", where=str(path)
        ) from error
