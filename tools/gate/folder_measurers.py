"""Measurers of exported C folders: what the manifest says, and what the program does on an emulated core."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...devices.measurement import Evidence, Measurement
from ...devices.transport import is_address
from ...runtime.c_folder import folder_bytes, of_bytes
from ...runtime.errors import EdgepressError, UsageError
from ...runtime.files import sha256_bytes
from . import metrics
from .measure import Job
from .measurers import HOST, Held, can_count, given_inputs

if TYPE_CHECKING:
    from ...devices.emulate_c import LinuxTools
    from ...devices.emulate_mcu import Tools

OF_MANIFEST = (
    *("file_bytes", "macs", "binary_macs", "bit_operations"),
    *("weight_bytes", "arena_bytes"),
)
OF_FIRMWARE = ("instructions", "flash_bytes", "ram_bytes", "stack_bytes")
BOUND = "stack_bound_bytes"
ENGINE = "native"


def counted_metrics(device: str) -> tuple[str, ...]:
    """What exported C is held to on a device where a gate names nothing: the exact numbers of its emulation."""
    if is_microcontroller(device):
        return OF_FIRMWARE
    return ("instructions",) if can_count(device) else ()


def is_microcontroller(device: str) -> bool:
    """True for the name of one that can be emulated."""
    from ...devices.mcu_machines import machine_of
    from ...devices.profile import load_profile

    if device == HOST or is_address(device):
        return False
    try:
        machine_of(load_profile(device))
    except EdgepressError:
        return False
    return True


class FolderFacts(Held):
    """Sizes and counts that the exporter wrote down; the same for every device."""

    exact = kept = True

    def serves(self, device: str, metric: str) -> bool:
        """Any device."""
        return metric in OF_MANIFEST

    def facts(self, job: Job) -> dict[str, str]:
        """Nothing: the code of edgepress is part of every key."""
        return {}

    def measure(self, job: Job, number: int) -> Measurement:
        """Constants, arena and the totals of the kernel calls; `file_bytes` is the text of manifest and sources."""
        from ...devices.layers_c import c_layers

        data = folder_bytes(job.path)
        folder = of_bytes(data, str(job.path))
        table = c_layers(folder, str(job.path))
        values = {
            "file_bytes": float(len(data)),
            "macs": float(table.macs),
            "binary_macs": float(table.binary_macs),
            "bit_operations": float(table.bit_operations),
            "weight_bytes": float(folder.weights_bytes),
            "arena_bytes": float(folder.arena_bytes),
        }
        return Measurement(
            sha256_bytes(data), Evidence.HOST, metrics.NO_DEVICE, {}, "", "", job.threads, values
        )


class FolderCounter(Held):
    """Executed instructions of exported C on emulated cores; on microcontrollers its flash, RAM and stack, too."""

    exact = kept = True

    def serves(self, device: str, metric: str) -> bool:
        """Microcontrollers and boards that can be emulated."""
        if is_microcontroller(device):
            return metric in (*OF_FIRMWARE, BOUND)
        return metric in metrics.INSTRUCTION_METRICS and can_count(device)

    def facts(self, job: Job) -> dict[str, str]:
        """Compiler and emulator."""
        tools = _tools(job.device)
        return {
            "compiler": tools.toolchain.version,
            "emulator": tools.emulator.text,
            "no_counts": tools.no_counts,
        }

    def measure(self, job: Job, number: int) -> Measurement:
        """See `tools.c_profile.count_folder`.

        Raises:
            UsageError: another engine, or more than one thread.
        """
        from ...devices.profile import load_profile
        from ..c_profile import count_folder

        if job.engine not in (None, ENGINE):
            raise UsageError(f"{job.engine} does not run exported C", hint=f"engine: {ENGINE}")
        if job.threads != 1:
            raise UsageError(f"exported C computes in one thread, not {job.threads}")
        profile, tools = load_profile(job.device), _tools(job.device)
        return count_folder(job.path, profile, inputs=given_inputs(job), tools=tools)[1]


def _tools(device: str) -> Tools | LinuxTools:
    from ...devices.emulate_c import find_linux_tools
    from ...devices.emulate_mcu import find_tools

    return find_tools() if is_microcontroller(device) else find_linux_tools()
