"""What a board is and what state it is in, read from /proc, /sys and the device tree. Standard library only.

`facts` must agree for two measurements to be compared; `health` is read before and after each.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from pathlib import Path
from typing import Dict, List

from .board_clock import loop_rate

_CPU = "sys/devices/system/cpu"


class Board:
    """Reads files below `root` ("/" but in tests)."""

    def __init__(self, root: str = "/"):
        self.root = Path(root)

    def facts(self, cpu: int = 0) -> Dict[str, str]:
        """Model, SoC, cores, memory, kernel, libraries, governor and clock range. Absent where the system is silent.

        `serial` is the board's own number: whoever stores facts hashes it first.
        """
        cpus = self._cpuinfo()
        found = {
            "board": self._text("proc/device-tree/model"),
            "serial": self._text("proc/device-tree/serial-number") or cpus[-1].get("Serial", ""),
            "soc": self._soc(),
            "machine": platform.machine(),
            "cores": str(os.cpu_count() or 0),
            "midr": _unique([_midr(one) for one in cpus]),
            "cpu": _unique([one.get("model name", "") for one in cpus]),
            "features": cpus[0].get("Features", ""),
            "memory_bytes": str(self._meminfo("MemTotal")),
            "kernel": f"{platform.system()} {platform.release()}",
            "distribution": self._distribution(),
            "libc": " ".join(platform.libc_ver()).strip(),
            "python": platform.python_version(),
            "governor": self._frequency(cpu, "scaling_governor"),
            "min_khz": self._frequency(cpu, "cpuinfo_min_freq"),
            "max_khz": self._frequency(cpu, "cpuinfo_max_freq"),
        }
        return {key: value for key, value in found.items() if value not in ("", "0")}

    def health(self, cpu: int = 0) -> Dict[str, str]:
        """Clock, governor, temperature, throttling, load and swap; the clock right after a spin that raised it."""
        found = loop_rate(cpu)
        found["khz"] = self._frequency(cpu, "scaling_cur_freq")
        found.update(
            cores=str(os.cpu_count() or 0),
            governor=self._frequency(cpu, "scaling_governor"),
            temperature_millicelsius=self._text("sys/class/thermal/thermal_zone0/temp"),
            throttled=self._throttled(),
            swap_used_bytes=str(self._meminfo("SwapTotal") - self._meminfo("SwapFree")),
            load_average=self._text("proc/loadavg").split(" ")[0],
        )
        return {key: value for key, value in found.items() if value}

    def governors(self) -> List[str]:
        """Paths of the governors of all cores."""
        found = self.root.glob(f"{_CPU}/cpu[0-9]*/cpufreq/scaling_governor")
        return sorted(str(path) for path in found)

    def power_mw(self) -> float:
        """What a meter or a discharging battery's gauge says now, 0 where there is none."""
        for meter in sorted(self.root.glob("sys/class/hwmon/hwmon*/power1_input")):
            return _number(_read(meter)) / 1e3
        for supply in sorted(self.root.glob("sys/class/power_supply/*")):
            if _read(supply / "status") != "Discharging":
                continue
            power = _number(_read(supply / "power_now"))
            volt, ampere = (_number(_read(supply / f"{k}_now")) for k in ("voltage", "current"))
            return abs(power / 1e3 if power else volt * ampere / 1e9)
        return 0.0

    def _frequency(self, cpu: int, name: str) -> str:
        return self._text(f"{_CPU}/cpu{cpu}/cpufreq/{name}")

    def _soc(self) -> str:
        """The last of the device tree's `compatible` names is the SoC's."""
        names = [n for n in self._text("proc/device-tree/compatible").split("\0") if n]
        return names[-1] if names else self._text("sys/devices/soc0/soc_id")

    def _distribution(self) -> str:
        for line in self._text("etc/os-release").splitlines():
            key, _, value = line.partition("=")
            if key == "PRETTY_NAME":
                return value.strip("\"'")
        return ""

    def _throttled(self) -> str:
        """`vcgencmd get_throttled` of a Raspberry Pi: "0x50000"."""
        program = shutil.which("vcgencmd")
        if program is None:
            return ""
        words = [program, "get_throttled"]
        try:
            done = subprocess.run(
                words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=5
            )
        except (OSError, subprocess.TimeoutExpired):
            return ""
        _, _, value = done.stdout.decode("ascii", "replace").strip().partition("=")
        return value

    def _cpuinfo(self) -> List[Dict[str, str]]:
        """One dictionary per block of /proc/cpuinfo, at least one."""
        blocks: List[Dict[str, str]] = []
        for block in self._text("proc/cpuinfo").split("\n\n"):
            pairs = (line.partition(":") for line in block.splitlines())
            blocks.append({key.strip(): value.strip() for key, _, value in pairs})
        return blocks

    def _meminfo(self, key: str) -> int:
        for line in self._text("proc/meminfo").splitlines():
            name, _, rest = line.partition(":")
            if name == key:
                return int(rest.split()[0]) * 1024
        return 0

    def _text(self, path: str) -> str:
        return _read(self.root / path)


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8", "replace").strip("\0 \n")
    except OSError:
        return ""


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


def _midr(block: Dict[str, str]) -> str:
    keys = ("CPU implementer", "CPU part", "CPU variant", "CPU revision")
    return "/".join(block[key] for key in keys if key in block)


def _unique(values: List[str]) -> str:
    """ "4 x a" or "4 x a, 2 x b", in the order seen."""
    seen = [value for value in dict.fromkeys(values) if value]
    return ", ".join(f"{values.count(value)} x {value}" for value in seen)
