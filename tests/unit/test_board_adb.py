"""Android devices: a script stands in for adb and runs everything below a folder. No device was at hand."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest
from edgepress.devices.benchmark_output import parse_benchmark
from edgepress.devices.board_adb import NOT_PROVED, measure_adb
from edgepress.devices.board_options import BoardOptions
from edgepress.devices.elf import check_machine, elf_machine
from edgepress.devices.probe import probe
from edgepress.devices.transport_adb import FOLDER
from edgepress.runtime.errors import (
    DeviceDiskFull,
    DeviceError,
    DeviceLost,
    DeviceUnreachable,
    EdgepressError,
    EngineCrashedError,
    InputError,
    UsageError,
)

OUTPUT = (
    "INFO: count=50 first=1310 curr=1200 min=1187 max=1423 avg=1222.4 std=31{median}\\n"
    "INFO: Inference timings in us: Init: 2104, First inference: 5311, Warmup (avg): 1330.2, Inference (avg): 1222.4\\n"
    "INFO: Overall peak memory footprint (MB) via periodic monitoring: init=3.1 overall=5.4\\n"
)

FAKE = r"""#!/bin/sh
# adb -s SERIAL shell LINE | push FROM TO | pull FROM TO; the device's files are below $ROOT
ROOT=@ROOT@
@BEFORE@
shift 2
place() { printf '%s' "$1" | sed "s#/data/local/tmp#$ROOT#g"; }
case "$1" in
  shell) PATH="$ROOT/bin:$PATH" sh -c "$(place "$2")" ;;
  push) cp "$2" "$(place "$3")" ;;
  pull) cp "$(place "$2")" "$3" ;;
esac
"""


class Device:
    """A pretended watch."""

    def __init__(self, folder: Path):
        self.root, self.adb = folder / "device", folder / "adb"
        (self.root / "bin").mkdir(parents=True)
        self.tool("getprop", 'case "$1" in ro.product.model) echo "Watch 7";; esac')
        self.tool("uname", "echo aarch64")
        self.behave("")
        self.model = folder / "m.tflite"
        self.model.write_bytes(b"\0" * 4 + b"TFL3" + b"\0" * 8)
        self.program = folder / "benchmark_model"
        self.says(OUTPUT.format(median=" median=1210"))

    def tool(self, name: str, script: str) -> None:
        path = self.root / "bin" / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def behave(self, before: str) -> None:
        self.adb.write_text(FAKE.replace("@ROOT@", str(self.root)).replace("@BEFORE@", before))
        self.adb.chmod(0o755)

    def says(self, text: str) -> None:
        self.program.write_text(f"#!/bin/sh\nprintf '{text}'\n")

    @property
    def options(self) -> BoardOptions:
        return BoardOptions(adb=str(self.adb), program=self.program)

    def left(self) -> list[str]:
        return [path.name for path in self.root.iterdir() if path.name != "bin"]


@pytest.fixture
def device(tmp_path: Path) -> Device:
    return Device(tmp_path)


def test_measures_and_leaves_nothing(device: Device) -> None:
    found = measure_adb(device.model, "adb://W7", processes=2, options=device.options)
    assert found.values["latency_ms"] == pytest.approx(1.210)
    assert found.values["load_ms"] == pytest.approx(2.104)
    assert found.values["first_invoke_ms"] == pytest.approx(5.311)
    assert found.values["peak_rss_bytes"] == 5.4e6
    assert found.engine == "benchmark_model" and found.fingerprint["board"] == "Watch 7"
    assert NOT_PROVED in found.notes and len(found.samples["latency_ms"]) == 2
    assert device.left() == []


def test_a_program_of_ones_own(device: Device) -> None:
    told = {"samples_ms": [1.5, 1.4, 1.6], "first_invoke_ms": 3.0}
    device.says("hello\\n" + json.dumps(told) + "\\n")
    found = measure_adb(device.model, "adb://W7", processes=1, options=device.options)
    assert found.values["latency_ms"] == 1.5 and found.values["first_invoke_ms"] == 3.0


def test_a_program_that_is_there(device: Device) -> None:
    there = device.root / "mine"
    there.write_bytes(device.program.read_bytes())
    there.chmod(0o755)
    options = BoardOptions(adb=str(device.adb), program=Path(f"device:{FOLDER}/mine"))
    assert measure_adb(device.model, "adb://W7", processes=1, options=options).values
    assert device.left() == ["mine"]


@pytest.mark.parametrize(
    ("before", "kind", "words"),
    [
        ("echo \"error: device 'W7' not found\" >&2; exit 1", DeviceUnreachable, "no such device"),
        ("echo 'error: device unauthorized.' >&2; exit 1", DeviceUnreachable, "does not allow"),
        ("echo 'error: device offline' >&2; exit 1", DeviceUnreachable, "offline"),
        ("exit 1", DeviceLost, "ended while"),
        (
            '[ "$3" = push ] && { echo "adb: error: No space left on device" >&2; exit 1; }',
            DeviceDiskFull,
            "no space left",
        ),
        (
            'case "$4" in *num_threads*) exit 1;; esac',
            DeviceLost,
            "ended while a program ran there",
        ),
    ],
)
def test_what_goes_wrong_with_the_device(
    device: Device, before: str, kind: type[EdgepressError], words: str
) -> None:
    device.behave(before)
    with pytest.raises(kind, match=words) as caught:
        measure_adb(device.model, "adb://W7", processes=1, options=device.options)
    assert caught.value.exit_code == 4 and device.left() == []


@pytest.mark.parametrize(
    ("script", "kind", "words"),
    [
        ("exit 3", EngineCrashedError, "exit code 3"),
        ("echo nothing", InputError, "printed no times: nothing"),
        ("exit 126", UsageError, "cannot run this program"),
        ("exit 137", DeviceLost, "killed there"),
    ],
)
def test_what_goes_wrong_with_the_program(
    device: Device, script: str, kind: type[EdgepressError], words: str
) -> None:
    device.program.write_text(f"#!/bin/sh\n{script}\n")
    with pytest.raises(kind, match=words):
        measure_adb(device.model, "adb://W7", processes=1, options=device.options)
    assert device.left() == []


def test_a_program_is_needed(device: Device) -> None:
    with pytest.raises(UsageError, match="needs a program"):
        measure_adb(device.model, "adb://W7", options=BoardOptions(adb=str(device.adb)))


def test_a_device_that_hangs(device: Device) -> None:
    device.program.write_text("#!/bin/sh\nexec sleep 20\n")
    options = BoardOptions(adb=str(device.adb), program=device.program, timeout_s=0.3)
    with pytest.raises(DeviceLost, match=r"within 0\.3 s"):
        measure_adb(device.model, "adb://W7", processes=1, options=options)


def test_probe(device: Device) -> None:
    found = probe("adb://W7", device.options)
    assert found["fingerprint"]["board"] == "Watch 7" and "engines" not in found


# ------------------------------------------------------------------ output and programs


def test_mean_where_there_is_no_median() -> None:
    found = parse_benchmark(OUTPUT.format(median="").replace("\\n", "\n"), "x")
    assert found.samples_ms == (pytest.approx(1.2224),) and found.statistic == "mean"


@pytest.mark.parametrize(
    "told", ['{"samples_ms": []}', '{"samples_ms": [0]}', '{"samples_ms": [NaN]}']
)
def test_times_that_are_none(told: str) -> None:
    with pytest.raises(InputError):
        parse_benchmark(told, "x")


def elf(machine: int) -> bytes:
    return b"\x7fELF\x02\x01" + b"\0" * 12 + struct.pack("<H", machine) + b"\0" * 44


def test_programs_of_another_processor() -> None:
    assert elf_machine(elf(183)) == "aarch64" and elf_machine(b"#!/bin/sh") == ""
    check_machine(elf(40), "aarch64", "x")
    with pytest.raises(UsageError, match="built for aarch64, and the device is armv7l"):
        check_machine(elf(183), "armv7l", "x")


def test_a_program_for_another_processor_is_not_pushed(device: Device) -> None:
    device.program.write_bytes(elf(62))
    with pytest.raises(UsageError, match="built for x86_64"):
        measure_adb(device.model, "adb://W7", processes=1, options=device.options)
    assert device.left() == []
    assert issubclass(DeviceUnreachable, DeviceError)
