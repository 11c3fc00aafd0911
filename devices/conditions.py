"""What this machine is and what state it is in: read before and after every measurement."""

from __future__ import annotations

import os
import platform
from pathlib import Path

_CPU0 = "/sys/devices/system/cpu/cpu0/cpufreq"


def fingerprint() -> dict[str, str]:
    """Facts that must agree for two measurements to be compared: processor, cores, kernel, memory."""
    found = {
        "cpu": _cpu_model(),
        "cores": str(os.cpu_count() or 0),
        "machine": platform.machine(),
        "kernel": f"{platform.system()} {platform.release()}",
        "memory_bytes": str(_meminfo("MemTotal")),
    }
    return {key: value for key, value in found.items() if value not in ("", "0")}


def conditions() -> dict[str, str]:
    """Load average, governor, clock, swap in use and temperature, as far as the system tells."""
    found = {
        "load_average": _load_average(),
        "governor": _read(f"{_CPU0}/scaling_governor"),
        "khz": _read(f"{_CPU0}/scaling_cur_freq"),
        "swap_used_bytes": str(_meminfo("SwapTotal") - _meminfo("SwapFree")),
        "temperature_millicelsius": _read("/sys/class/thermal/thermal_zone0/temp"),
    }
    return {key: value for key, value in found.items() if value}


def doubts(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """What makes a timing doubtful: load above the number of cores, swapping, another clock."""
    said = []
    cores = os.cpu_count() or 1
    load = max(float(state.get("load_average", 0)) for state in (before, after))
    if load > cores:
        said.append(f"the load average was {load:g} on {cores} cores: timings are disturbed")
    if int(after.get("swap_used_bytes", 0)) > int(before.get("swap_used_bytes", 0)):
        said.append("swap was used: timings are disturbed")
    if before.get("governor") != after.get("governor"):
        said.append(
            f"the governor changed from {before.get('governor')} to {after.get('governor')}"
        )
    return said


def _cpu_model() -> str:
    """The processor's name; on Arm the implementer and part numbers where it has none."""
    fields: dict[str, str] = {}
    for line in _read("/proc/cpuinfo").splitlines():
        key, _, value = line.partition(":")
        fields.setdefault(key.strip(), value.strip())
    if fields.get("model name"):
        return fields["model name"]
    part = [fields.get(key, "") for key in ("CPU implementer", "CPU part")]
    return " ".join(p for p in part if p) or platform.processor()


def _load_average() -> str:
    try:
        return f"{os.getloadavg()[0]:.2f}"
    except OSError:
        return ""


def _meminfo(key: str) -> int:
    """A line of /proc/meminfo in bytes, 0 if there is none."""
    for line in _read("/proc/meminfo").splitlines():
        name, _, rest = line.partition(":")
        if name == key:
            return int(rest.split()[0]) * 1024
    return 0


def _read(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""
