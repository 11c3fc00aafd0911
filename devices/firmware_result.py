"""What a program did on an emulated microcontroller, and the `Measurement` of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .firmware import Firmware
from .firmware_counts import Counts, Interval
from .firmware_stack import StackBound
from .firmware_vectors import Row
from .mcu_machines import device_memory
from .measurement import Evidence, Measurement
from .profile import Profile

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Run:
    """One emulated run: a row for each vector; `no_counts` says why there are no counts, else ""."""

    rows: tuple[Row, ...]
    counts: Counts
    no_counts: str


@dataclass(frozen=True)
class FirmwareResult:
    """Proven outputs and figures of one program on one emulated core.

    All bytes are those of the sources alone: the harness and what of the library it takes are taken off
    (`firmware.empty` has them, `firmware.sections` the whole), as are the buffers of the test vectors.
    """

    profile: Profile
    firmware: Firmware
    run: Run
    emulator: str
    artifact_sha256: str = ""

    @property
    def outputs(self) -> tuple[tuple[Array, ...], ...]:
        """The arrays that came, one row a vector."""
        return tuple(row.outputs for row in self.run.rows)

    @property
    def instructions(self) -> int | None:
        """Executed instructions of the most expensive vector; None if this QEMU cannot count."""
        return max(self.run.counts.steps, default=None)

    @property
    def intervals(self) -> tuple[Interval, ...]:
        """Instructions between the marks."""
        return self.run.counts.intervals

    @property
    def flash_bytes(self) -> int:
        """Code, constants and initial values of data."""
        return self.firmware.flash_bytes

    @property
    def ram_bytes(self) -> int:
        """Data, without the stack."""
        return self.firmware.ram_bytes

    @property
    def stack_bytes(self) -> int:
        """The most stack that a vector touched. What was reserved below but never written does not show."""
        return max(row.stack_bytes for row in self.run.rows)

    @property
    def bound(self) -> StackBound:
        """The most stack that the program can use, where its call graph tells; never below what was touched."""
        bound = self.firmware.bound
        if bound.bytes is not None and bound.bytes < self.stack_bytes:
            return StackBound(None, f"{bound.bytes} bytes by the call graph, but more were touched")
        return bound

    def measurement(self) -> Measurement:
        """The figures as a record; evidence `emulated`."""
        machine, steps = self.firmware.machine, self.run.counts.steps
        values = {
            "flash_bytes": float(self.flash_bytes),
            "ram_bytes": float(self.ram_bytes),
            "stack_bytes": float(self.stack_bytes),
        }
        if self.instructions is not None:
            values["instructions"] = float(self.instructions)
        if self.bound.bytes is not None:
            values["stack_bound_bytes"] = float(self.bound.bytes)
        return Measurement(
            artifact_sha256=self.artifact_sha256 or self.firmware.sha256,
            evidence=Evidence.EMULATED,
            device=self.profile.name,
            fingerprint={
                "cpu": machine.core,
                "machine": machine.name,
                "flags": " ".join(self.firmware.flags),
            },
            engine="native",
            engine_version=self.firmware.compiler,
            threads=1,
            values=values,
            samples={"instructions": [[float(count) for count in steps]]} if steps else {},
            conditions_before={"emulator": f"QEMU {self.emulator}"},
            notes=self._notes(),
        )

    def _notes(self) -> tuple[str, ...]:
        whole, empty = self.firmware.sections, self.firmware.empty
        notes = [
            f"with harness and library: {whole.flash_bytes:,} bytes of flash, {whole.ram_bytes:,} of RAM; "
            f"without a program: {empty.flash_bytes:,} and {empty.ram_bytes:,}",
            f"stack: the most that {len(self.run.rows)} vectors touched",
        ]
        notes += [f"no bound of the stack: {self.bound.reason}"] if self.bound.reason else []
        notes += [f"no counts: {self.run.no_counts}"] if self.run.no_counts else []
        return (*notes, *self._too_big())

    def _too_big(self) -> tuple[str, ...]:
        """Says where the device itself has less than the program takes."""
        flash, ram = device_memory(self.profile)
        needs = (
            ("flash", self.flash_bytes, flash),
            ("RAM", self.ram_bytes + self.stack_bytes, ram),
        )
        return tuple(
            f"does not fit {self.profile.name}: {need:,} bytes of {kind}, the device has {has:,}"
            for kind, need, has in needs
            if has is not None and need > has
        )
