"""The part of an emulated board that differs from board to board: what /proc and /sys tell of its cores.

`qemu-aarch64 -L PREFIX` redirects absolute paths that exist below PREFIX. Engines choose kernels by /proc/cpuinfo and
/sys; without these files the guest sees the host's and crashes, with another core's it runs into instructions that the
emulated core lacks. So each board gets a prefix: links into the userland, and its own /proc/cpuinfo and /sys.
"""

from __future__ import annotations

import os
from pathlib import Path

from ..runtime.errors import UsageError
from .build_once import Part, build_once, key_of
from .profile import CpuInfo, Profile


def build_prefix(profile: Profile, folder: Path, root: Path) -> Part:
    """`folder/board-NAME-KEY`, for `qemu-aarch64 -L`.

    Raises:
        UsageError: the profile does not say what its cores tell Linux.
    """
    info, cpu = emulated_core(profile)
    facts = {name: str(value.value) for name, value in vars(info).items()}
    key = key_of(facts, _cores(profile), cpu, root.parent.name)

    def build(temporary: Path) -> dict[str, str]:
        for entry in sorted(root.iterdir()):
            link = temporary / entry.name
            link.symlink_to(os.path.relpath(entry, folder / "board"), entry.is_dir())
        _write_files(temporary, info, _cores(profile))
        return {"cpu": cpu, **facts}

    return build_once(f"board {profile.name}", folder / f"board-{profile.name}-{key}", build)


def emulated_core(profile: Profile) -> tuple[CpuInfo, str]:
    """(what Linux tells of the core, name of QEMU's CPU) of a profile.

    Raises:
        UsageError: it has none, as microcontrollers have not.
    """
    emulation = profile.emulation
    if emulation is None or emulation.user_cpu is None or emulation.cpuinfo is None:
        raise UsageError(
            f"{profile.name} cannot be emulated as a Linux board: its profile has no emulation.cpuinfo",
            hint="Raspberry Pi and watch application processors can; see edgepress devices list",
        )
    return emulation.cpuinfo, str(emulation.user_cpu.value)


def _cores(profile: Profile) -> int:
    return int(profile.main_core.count.low)


def _write_files(prefix: Path, info: CpuInfo, cores: int) -> None:
    files = {"proc/cpuinfo": "".join(_cpuinfo_block(info, core) for core in range(cores))}
    cpu = "sys/devices/system/cpu"
    everything = "0" if cores == 1 else f"0-{cores - 1}"
    files |= {f"{cpu}/{name}": everything for name in ("possible", "present", "online")}
    for core in range(cores):
        topology, frequency = f"{cpu}/cpu{core}/topology", f"{cpu}/cpu{core}/cpufreq"
        files |= {
            f"{topology}/core_siblings_list": everything,
            f"{topology}/core_siblings": f"{(1 << cores) - 1:x}",
            f"{topology}/thread_siblings_list": str(core),
            f"{topology}/thread_siblings": f"{1 << core:x}",
            f"{topology}/physical_package_id": "0",
            f"{topology}/core_id": str(core),
            f"{frequency}/cpuinfo_max_freq": f"{info.max_khz.high:.0f}",
            f"{frequency}/cpuinfo_min_freq": f"{info.min_khz.low:.0f}",
        }
    for name, text in files.items():
        (prefix / name).parent.mkdir(parents=True, exist_ok=True)
        (prefix / name).write_text(text.rstrip("\n") + "\n")


def _cpuinfo_block(info: CpuInfo, core: int) -> str:
    features = info.features.value
    words = (
        " ".join(str(word) for word in features) if isinstance(features, tuple) else str(features)
    )
    lines = {
        "processor\t": core,
        "BogoMIPS\t": "108.00",
        "Features\t": words,
        "CPU implementer\t": info.implementer.value,
        "CPU architecture": 8,
        "CPU variant\t": info.variant.value,
        "CPU part\t": info.part.value,
        "CPU revision\t": info.revision.value,
    }
    return "".join(f"{name}: {value}\n" for name, value in lines.items()) + "\n"
