"""Cycles, memory and time of a model on an Arm Ethos-U, as Arm's compiler Vela estimates them.

    configs = vela_configs(load_profile("ensemble-e3"))       # one for each Ethos-U of the device
    estimate = estimate_ethosu(Path("model.tflite"), configs[0])
    estimate.cycles, estimate.milliseconds, estimate.cpu_operators

Vela compiles the file and estimates what the NPU does, in a process of its own. Operators that the NPU lacks run on
the CPU and are not in the estimate: they are named, and a file of which nothing runs on the NPU is refused.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from ..runtime.errors import InputError, ToolFailedError, UsageError
from ..runtime.files import sha256_bytes
from .child_process import Ended, run_child
from .extras import need_extra
from .measurement import Evidence, Measurement
from .profile import Profile
from .vela_output import CpuOperator, Summary, cpu_operators, read_summary

ACCELERATORS = tuple(
    f"ethos-{kind}-{macs}"
    for kind, sizes in (
        ("u55", (32, 64, 128, 256)),
        ("u65", (256, 512)),
        ("u85", (128, 256, 512, 1024, 2048)),
    )
    for macs in sizes
)
DEFAULT_SYSTEMS = {
    "u55": "Ethos_U55_High_End_Embedded",
    "u65": "Ethos_U65_High_End",
    "u85": "Ethos_U85_SYS_DRAM_Mid",
}
DEFAULT_MEMORY = {"u55": "Shared_Sram", "u65": "Dedicated_Sram", "u85": "Dedicated_Sram_384KB"}
_STEM = "model"


@dataclass(frozen=True)
class VelaConfig:
    """What Vela estimates for: the NPU, and the clock and memories around it (of Vela's own configuration file)."""

    accelerator: str
    system: str
    memory: str

    @property
    def text(self) -> str:
        """ "ethos-u55-256, Ethos_U55_High_End_Embedded, Shared_Sram"."""
        return f"{self.accelerator}, {self.system}, {self.memory}"


@dataclass(frozen=True)
class EthosuEstimate:
    """What Vela says of one file; `summary` are its figures, `cpu_operators` what the NPU cannot run."""

    sha256: str
    version: str
    config: VelaConfig
    summary: Summary
    cpu_operators: tuple[CpuOperator, ...]
    npu_operators: int

    @property
    def cycles(self) -> int:
        """Of the NPU and what it waits for."""
        return self.summary.cycles

    @property
    def milliseconds(self) -> float:
        """Of one inference at the clock of the configuration; without the operators on the CPU."""
        return self.summary.seconds * 1e3

    @property
    def name(self) -> str:
        """What the figures are called: "Vela 5.2.0, ethos-u55-256, ..."."""
        return f"Vela {self.version}, {self.config.text}"

    def measurement(self, device: str = "") -> Measurement:
        """The figures as a record; evidence `estimated`.

        Args:
            device: name of the device; the accelerator's if empty.
        """
        notes = [
            f"{self.name}: estimated",
            "the system and memory of the configuration, not of the device",
        ]
        if self.cpu_operators:
            names = ", ".join(one.operator for one in self.cpu_operators)
            notes.append(
                f"without {len(self.cpu_operators)} operators on the CPU, which are not timed: {names}"
            )
        return Measurement(
            artifact_sha256=self.sha256,
            evidence=Evidence.ESTIMATED,
            device=device or self.config.accelerator,
            fingerprint={
                "accelerator": self.config.accelerator,
                "system": self.config.system,
                "memory": self.config.memory,
            },
            engine="vela",
            engine_version=self.version,
            threads=1,
            values={
                "vela_cycles": float(self.cycles),
                "vela_ms": self.milliseconds,
                "vela_sram_bytes": float(self.summary.sram_bytes),
                "vela_flash_bytes": float(self.summary.flash_bytes),
            },
            notes=tuple(notes),
        )


def vela_configs(
    profile: Profile, system: str | None = None, memory: str | None = None
) -> tuple[VelaConfig, ...]:
    """A configuration for each Ethos-U of a device, largest first.

    Args:
        profile: the device.
        system: System_Config of Vela's file; None for a fast embedded one.
        memory: Memory_Mode; None for the usual one of the accelerator's kind.

    Raises:
        UsageError: the device has none that Vela knows.
    """
    known = [name for name in profile.accelerators if name in ACCELERATORS]
    if not known:
        raise UsageError(
            f"{profile.name} has no Ethos-U",
            hint="name one with --accelerator: " + ", ".join(ACCELERATORS),
        )
    ordered = sorted(known, key=ACCELERATORS.index, reverse=True)
    return tuple(make_config(name, system, memory) for name in ordered)


def make_config(
    accelerator: str, system: str | None = None, memory: str | None = None
) -> VelaConfig:
    """The configuration of one accelerator; `UsageError` for an unknown one."""
    if accelerator not in ACCELERATORS:
        raise UsageError(
            f"no Ethos-U is called {accelerator!r}", hint="one of " + ", ".join(ACCELERATORS)
        )
    kind = accelerator.split("-")[1]
    return VelaConfig(accelerator, system or DEFAULT_SYSTEMS[kind], memory or DEFAULT_MEMORY[kind])


def estimate_ethosu(path: Path, config: VelaConfig, *, timeout_s: float = 300.0) -> EthosuEstimate:
    """What Vela estimates for one inference of a TFLite file.

    Raises:
        MissingToolError: `ethos-u-vela` is not installed, says how to.
        InputError: not a TFLite file, or nothing of it runs on the NPU, as of a float model.
        UsageError: Vela does not know the system or memory.
        ToolFailedError: Vela failed or says something that is not understood.
    """
    version = need_extra("ethosu", "the estimate for Ethos-U")
    where = str(path)
    data = _read(Path(path))
    with tempfile.TemporaryDirectory(prefix="edgepress-vela-") as name:
        folder = Path(name)
        (folder / f"{_STEM}.tflite").write_bytes(data)
        ended = run_child(_command(config), folder, timeout_s)
        _check(ended, config, where, timeout_s)
        layers = _text(folder / f"{_STEM}_per-layer.csv")
        operators, on_npu = cpu_operators(ended.out + ended.err, layers)
        if on_npu == 0:
            raise InputError(
                f"nothing of the model runs on the {config.accelerator}: {_reasons(operators)}",
                where=where,
                hint="Ethos-U runs int8 and int16 models; quantize it, or export it with int8 borders",
            )
        summary = read_summary(_text(folder / f"{_STEM}_summary_{config.system}.csv"), where)
    return EthosuEstimate(sha256_bytes(data), version, config, summary, operators, on_npu)


def _read(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=str(path)) from error
    if data[4:8] != b"TFL3":
        raise InputError("not a TFLite file", where=str(path), hint="export it to TFLite first")
    return data


def _command(config: VelaConfig) -> list[str]:
    named = {
        "--accelerator-config": config.accelerator,
        "--system-config": config.system,
        "--memory-mode": config.memory,
        "--config": "Arm/vela.ini",
        "--output-dir": ".",
    }
    options = [word for pair in named.items() for word in pair]
    return [
        sys.executable,
        "-m",
        "ethosu.vela",
        f"{_STEM}.tflite",
        *options,
        "--verbose-performance",
    ]


def _check(ended: Ended, config: VelaConfig, where: str, timeout_s: float) -> None:
    said = ended.out + ended.err
    if ended.code is None:
        raise ToolFailedError(f"Vela did not end within {timeout_s:g} s", where=where)
    if "CliOptionError" in said or "ConfigOptionError" in said:
        raise UsageError(
            f"Vela does not take {config.text}: {_last_line(said)}",
            hint="`vela --list-configs Arm/vela.ini` lists systems and memory modes",
        )
    if "Failed to load TfLite model" in said or "Invalid TFLite" in said:
        raise InputError(f"Vela cannot read the file: {ended.last_words}", where=where)
    if ended.code != 0:
        raise ToolFailedError(f"Vela failed: {ended.last_words}", where=where)


def _last_line(said: str) -> str:
    """The error without the traceback above it and the class before it."""
    return said.strip().splitlines()[-1].split("Error: ")[-1].strip("'\"")


def _reasons(operators: tuple[CpuOperator, ...]) -> str:
    reasons = dict.fromkeys(one.reason for one in operators if one.reason)
    first = next(iter(reasons), "Vela gives no reason").split(" (")[0]
    return f"{len(operators)} operators on the CPU ({first})"


def _text(path: Path) -> str:
    return path.read_text("utf-8", errors="replace") if path.is_file() else ""
