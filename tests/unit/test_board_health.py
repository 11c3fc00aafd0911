"""When a measurement on a board is invalid; what a board tells of itself; its clock."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from edgepress.devices.board import measure_visit, visit_over
from edgepress.devices.fingerprint import fingerprint, hash_serial
from edgepress.devices.health import conditions, doubts, emulated_reasons, invalid_reasons
from edgepress.runtime.board_clock import loop_rate
from edgepress.runtime.board_facts import Board
from edgepress.tools.bench.board_stand_in import StandIn

GOOD = {
    "loop_mhz": "1500",
    "khz": "1500000",
    "cores": "4",
    "load_average": "1.1",
    "throttled": "0x0",
}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"throttled": "0x4"}, "throttled: throttled"),
        ({"throttled": "0x1"}, "under-voltage"),
        ({"throttled": "0x20000"}, "the clock was capped"),
        ({"loop_mhz": "1465"}, "the clock moved between 1465 and 1500 MHz"),
        ({"load_average": "4.5"}, "load average was 4.5 on 4 cores"),
        ({"swap_used_bytes": "4096"}, "swap was used"),
        ({"governor": "ondemand"}, "the governor changed"),
    ],
)
def test_reasons(change: dict[str, str], words: str) -> None:
    assert invalid_reasons([GOOD, GOOD]) == ()
    told = invalid_reasons([GOOD, {**GOOD, **change}])
    assert len(told) == 1 and words in told[0]


def test_bits_from_before_and_small_shifts_are_no_reason() -> None:
    since = {**GOOD, "throttled": "0x50000", "loop_mhz": "1480"}
    assert invalid_reasons([since, {**since, "loop_mhz": "1500"}]) == ()
    assert any("since the board was started" in text for text in doubts([since]))
    assert conditions(since)["throttled"] == "0x0"
    assert conditions(since)["throttled_since_start"] == "0x5"


def test_an_emulated_machine_has_no_times() -> None:
    assert emulated_reasons({"board": "linux,dummy-virt"}) and not emulated_reasons({"board": "Pi"})


def test_a_shift_between_the_runs_counts() -> None:
    assert invalid_reasons([GOOD, {**GOOD, "loop_mhz": "1200"}, GOOD])


def test_without_a_timed_loop_the_kernels_clock_counts() -> None:
    states = [{"khz": "1500000"}, {"khz": "1400000"}]
    assert "kHz" in invalid_reasons(states)[0]
    assert doubts([{}]) == ("the clock of this board cannot be read",)


def test_a_firmware_that_throttles_in_silence_is_told() -> None:
    told = doubts([{**GOOD, "loop_mhz": "1200", "khz": "1400000"}])
    assert "the kernel says 1400 MHz, a timed loop 1200 MHz" in told[0]


def test_loop_rate_is_the_clock() -> None:
    # any clock there is; a chain of the wrong length or a wrong unit lies outside
    assert 200 < float(loop_rate()["loop_mhz"]) < 10_000


def test_facts_of_a_raspberry_pi(tmp_path: Path) -> None:
    block = "processor: 0\nFeatures: fp asimd\nCPU implementer: 0x41\nCPU part: 0xd08\n\n"
    files = {
        "proc/cpuinfo": block * 4 + "Serial: 10000000abcd\n",
        "proc/device-tree/model": "Raspberry Pi 4 Model B Rev 1.4\0",
        "proc/device-tree/compatible": "raspberrypi,4-model-b\0brcm,bcm2711\0",
        "proc/meminfo": "MemTotal: 100 kB\nSwapTotal: 8 kB\nSwapFree: 4 kB\n",
        "sys/devices/system/cpu/cpu1/cpufreq/scaling_governor": "ondemand\n",
        "sys/class/hwmon/hwmon0/power1_input": "2500000\n",
        "etc/os-release": 'PRETTY_NAME="Raspberry Pi OS"\n',
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    board = Board(str(tmp_path))
    facts = board.facts(cpu=1)
    assert facts["board"] == "Raspberry Pi 4 Model B Rev 1.4" and facts["soc"] == "brcm,bcm2711"
    assert facts["midr"] == "4 x 0x41/0xd08" and facts["memory_bytes"] == str(100 * 1024)
    assert facts["serial"] == "10000000abcd" and facts["governor"] == "ondemand"
    assert board.health()["swap_used_bytes"] == "4096" and board.power_mw() == 2500.0


def test_power_of_a_battery(tmp_path: Path) -> None:
    supply = tmp_path / "sys/class/power_supply/battery"
    supply.mkdir(parents=True)
    for name, text in {"voltage_now": "3800000", "current_now": "-100000"}.items():
        (supply / name).write_text(text)
    (supply / "status").write_text("Charging")
    assert Board(str(tmp_path)).power_mw() == 0
    (supply / "status").write_text("Discharging")
    assert Board(str(tmp_path)).power_mw() == pytest.approx(380.0)


def test_the_serial_is_salted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    first = fingerprint({"serial": "1234", "machine": "aarch64"})
    assert "serial" not in first and "1234" not in str(first)
    assert fingerprint({"serial": "1234"})["serial_hash"] == first["serial_hash"]
    assert hash_serial("1234", "a") != hash_serial("1234", "b")


def test_a_throttled_board_gives_an_invalid_measurement(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    tool = programs / "vcgencmd"
    tool.write_text("#!/bin/sh\necho throttled=0x50005\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    board = StandIn(tmp_path, seconds=0.01)
    with visit_over(board.transport, board.options) as visited:
        found = measure_visit(visited, board.model, "onnxruntime", processes=1)
    assert "throttled: under-voltage, throttled" in found.invalid
    assert found.conditions_before["throttled"] == "0x5"


def test_energy_where_a_meter_is(tmp_path: Path) -> None:
    meter = tmp_path / "root/sys/class/hwmon/hwmon0/power1_input"
    meter.parent.mkdir(parents=True)
    meter.write_text("2000000\n")
    board = StandIn(tmp_path, seconds=0.3)
    from dataclasses import replace

    options = replace(board.options, root=str(tmp_path / "root"))
    with visit_over(board.transport, options) as visited:
        found = measure_visit(visited, board.model, "onnxruntime", processes=1)
    assert found.values["power_mw"] == 2000.0
    assert found.values["energy_mj"] == pytest.approx(2 * found.values["latency_ms"])
