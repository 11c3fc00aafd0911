"""Counts between marks, folders made once, the board's /proc, the userland's sources. No QEMU."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from edgepress.devices import tools_needed, userland
from edgepress.devices.build_once import build_once
from edgepress.devices.emulate_pi import open_board
from edgepress.devices.emulated_board import build_prefix
from edgepress.devices.instruction_counts import _same, kernels_that_ran, read_intervals, stand_in
from edgepress.devices.profile import load_profile
from edgepress.devices.qemu import Emulator
from edgepress.runtime.errors import (
    MissingToolError,
    ParityError,
    ToolFailedError,
    UsageError,
)

ROOT = Path(__file__).parents[2]

# ------------------------------------------------------------------ counts


def marks(*totals: int) -> str:
    """A plugin's file in which loads are a tenth of all instructions."""
    names = ("store", "branch", "dot", "smlal", "fmla", "cnt")
    rows = [
        {"mark": i, "total": n, "load": n // 10, **dict.fromkeys(names, 0)}
        for i, n in enumerate(totals)
    ]
    return "\n".join(map(json.dumps, [*rows, {"mark": -1, "total": 10**9}])) + "\n"


def test_last_interval_less_the_last_marker() -> None:
    intervals = read_intervals(marks(1000, 1900, 2600, 12600, 18600), markers=3, invokes=2)
    assert intervals.marker["total"] == 700
    assert [intervals.of_invoke(i, "total") for i in range(2)] == [9300, 5300]
    assert intervals.of_invoke(-1, "load") == 600 - 70


@pytest.mark.parametrize("text", ["", marks(1, 2, 3), '{"mark": 0'])
def test_missing_marks_are_told(text: str) -> None:
    with pytest.raises(ToolFailedError, match="saw not all 5 marks"):
        read_intervals(text, markers=3, invokes=2)


def test_kernels_that_ran() -> None:
    values = {"instructions": 9.0, "instructions_dot": 4.0, "instructions_fmla": 0.0}
    assert kernels_that_ran(values) == ("int8 dot product (sdot, udot): 4 instructions",)


def test_a_stand_in_is_told() -> None:
    assert stand_in(load_profile("pi5")) == ()
    assert stand_in(load_profile("w920")) == (
        "counted on a cortex-a76, which stands in for the cortex-a55",
    )


def test_outputs_must_be_the_expected_ones() -> None:
    ints, floats = np.array([1, 2], np.int8), np.array([1.0, 2.0], np.float32)
    _same([ints, floats], [ints, floats * np.float32(1 + 5e-6)], "x")
    for wrong in (
        [ints + np.int8(1), floats],
        [ints, floats * np.float32(1.001)],
        [ints],
        [floats, floats],
    ):
        with pytest.raises(ParityError):
            _same(wrong, [ints, floats], "x")


# ------------------------------------------------------------------ folders, prefix, userland


def test_a_folder_is_made_once_and_whole(tmp_path: Path) -> None:
    calls: list[Path] = []

    def build(folder: Path) -> dict[str, str]:
        calls.append(folder)
        (folder / "x").write_bytes(b"12345")
        if len(calls) == 1:
            raise ToolFailedError("no network")
        return {"x": "5"}

    with pytest.raises(ToolFailedError):
        build_once("thing", tmp_path / "thing-1", build)
    assert [p.name for p in tmp_path.iterdir()] == [".lock"]
    made = build_once("thing", tmp_path / "thing-1", build)
    again = build_once("thing", tmp_path / "thing-1", build)
    assert (
        len(calls) == 2
        and made.bytes == again.bytes == 5
        and made.facts == again.facts == {"x": "5"}
    )
    assert again.seconds == 0.0


def test_a_killed_build_is_made_again(tmp_path: Path) -> None:
    (tmp_path / "thing-1").mkdir()
    (tmp_path / "thing-1" / "half").touch()
    made = build_once("thing", tmp_path / "thing-1", lambda folder: {})
    assert [p.name for p in made.folder.iterdir()] == ["receipt.json"]


def test_prefix_tells_the_board_and_links_the_userland(tmp_path: Path) -> None:
    root = tmp_path / "userland-x" / "root"
    (root / "usr/bin").mkdir(parents=True)
    (root / "usr/bin/tool").touch()
    (root / "bin").symlink_to("usr/bin")
    prefix = build_prefix(load_profile("pi5"), tmp_path, root).folder
    assert (prefix / "usr/bin/tool").is_file() and (prefix / "bin/tool").is_file()
    blocks = (prefix / "proc/cpuinfo").read_text().strip().split("\n\n")
    assert len(blocks) == 4 and all("asimddp" in block and "0xd0b" in block for block in blocks)
    assert (prefix / "sys/devices/system/cpu/possible").read_text() == "0-3\n"
    assert (
        prefix / "sys/devices/system/cpu/cpu3/cpufreq/cpuinfo_max_freq"
    ).read_text() == "2400000\n"
    other = build_prefix(load_profile("pi4"), tmp_path, root).folder
    assert other != prefix and "asimddp" not in (other / "proc/cpuinfo").read_text()
    one = build_prefix(load_profile("exynos-w1000"), tmp_path, root).folder
    assert (one / "sys/devices/system/cpu/possible").read_text() == "0\n"


def test_boards_that_cannot_be_emulated_and_boards_not_set_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    emulator = Emulator(Path("qemu"), (7, 2, 0), 1, "")
    with pytest.raises(UsageError, match="pico2 cannot be emulated as a Linux board"):
        open_board(load_profile("pico2"), emulator)
    with pytest.raises(UsageError, match="pi4 is not set up") as caught:
        open_board(load_profile("pi4"), emulator)
    assert caught.value.hint == "edgepress devices setup pi4"


def test_userland_versions_are_those_of_the_constraints() -> None:
    pinned = (ROOT / "constraints.txt").read_text().splitlines()
    for wheel in userland.WHEELS:
        lines = [line for line in pinned if line.startswith(f"{wheel.package}==")]
        assert lines[0].split(";")[0].strip() == f"{wheel.package}=={wheel.version}"


def test_mirror_is_read_from_apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listing = "http://a/s bookworm-security main\nhttp://a/debian bookworm contrib\nhttp://a/debian bookworm main"
    apt = tmp_path / "apt-get"
    apt.write_text(f"#!/bin/sh\necho '{listing}'\n")
    apt.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.delenv(userland.MIRROR_VARIABLE, raising=False)
    monkeypatch.setattr(
        userland, "_os_release", lambda: {"ID": "debian", "VERSION_CODENAME": "bookworm"}
    )
    assert userland.debian_mirror() == "http://a/debian"
    apt.write_text("#!/bin/sh\necho 'http://a/x sometimes main'\n")
    with pytest.raises(UsageError, match="name no Debian archive"):
        userland.debian_mirror()


def test_other_systems_are_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(userland.MIRROR_VARIABLE, raising=False)
    monkeypatch.setattr(
        userland, "_os_release", lambda: {"ID": "fedora", "PRETTY_NAME": "Fedora 44"}
    )
    with pytest.raises(UsageError, match="this is Fedora 44") as caught:
        userland.debian_mirror()
    assert "debian:12" in str(caught.value.hint)
    monkeypatch.setenv(userland.MIRROR_VARIABLE, "http://mirror/debian")
    assert userland.debian_mirror() == "http://mirror/debian"


def test_missing_programs_name_their_packages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv(userland.MIRROR_VARIABLE, "http://mirror/debian")
    with pytest.raises(MissingToolError, match="apt-get is not installed"):
        userland.build_userland(tmp_path)
    monkeypatch.setattr(userland.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingToolError, match="no pip"):
        userland.build_site(tmp_path)


def test_installing_needs_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    apt = tmp_path / "apt-get"
    apt.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\n')
    apt.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    monkeypatch.setattr(tools_needed.os, "geteuid", lambda: 1000)
    with pytest.raises(MissingToolError, match="needs root"):
        tools_needed.install_packages(["qemu-user"])
    assert not (tmp_path / "asked").exists()
    monkeypatch.setattr(tools_needed.os, "geteuid", lambda: 0)
    tools_needed.install_packages(["qemu-user"])
    asked = (tmp_path / "asked").read_text().splitlines()
    assert asked == ["update", "install -y --no-install-recommends qemu-user"]


def test_profile_with_another_core_is_another_board(tmp_path: Path) -> None:
    profile = load_profile("pi5")
    assert profile.emulation is not None and profile.emulation.user_cpu is not None
    cpu = dataclasses.replace(profile.emulation.user_cpu, value="cortex-a53")
    changed = dataclasses.replace(
        profile, emulation=dataclasses.replace(profile.emulation, user_cpu=cpu)
    )
    (tmp_path / "u" / "root").mkdir(parents=True)
    made = [build_prefix(p, tmp_path, tmp_path / "u" / "root").folder for p in (profile, changed)]
    assert made[0] != made[1]
