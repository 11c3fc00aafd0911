"""Device profiles: every value has a source, unread ones say so, and bad files get one clear message."""

from __future__ import annotations

from pathlib import Path

import pytest
from edgepress.devices.profile import Fact, load_profile, profile_names
from edgepress.runtime.errors import InputError, UsageError

LINUX = {
    "pi-zero-2w",
    "pi3bplus",
    "pi4",
    "pi5",
    "w5plus",
    "exynos-w920",
    "exynos-w930",
    "exynos-w1000",
}
MCU = {
    "pico2",
    "apollo4-plus",
    "apollo510",
    "stm32u585",
    "nrf5340",
    "ensemble-e3",
    "stm32l4r5",
    "stm32h7a3",
}
SMALL = """
name: mine
title: Mine
class: linux
sources: {sheet: the data sheet}
soc: {value: X1, source: sheet, confirmed: true}
cores:
  - name: cortex-a53
    count: {value: 2, source: sheet, confirmed: true}
"""


def mine(folder: Path, *changes: tuple[str, str], name: str = "mine") -> Path:
    text = SMALL
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = folder / f"{name}.yaml"
    path.write_text(text)
    return path


def test_all_devices_are_there() -> None:
    classes = {name: load_profile(name).device_class for name in profile_names()}
    assert {name for name, kind in classes.items() if kind == "linux"} >= LINUX
    assert {name for name, kind in classes.items() if kind == "mcu"} >= MCU


@pytest.mark.parametrize("name", sorted(LINUX | MCU))
def test_every_value_has_a_source_and_unread_ones_are_not_confirmed(name: str) -> None:
    facts = dict(load_profile(name).facts())
    assert len(facts) >= 10
    for place, fact in facts.items():
        assert fact.source.strip(), place
        assert isinstance(fact.confirmed, bool), place
        if fact.source.startswith(("no source", "what the emulated core", "default of")):
            assert not fact.confirmed, place


@pytest.mark.parametrize("name", sorted(LINUX))
def test_linux_boards_can_be_emulated_with_a_core_that_fits(name: str) -> None:
    profile = load_profile(name)
    emulation, isa = profile.emulation, profile.main_core.isa
    assert (
        emulation is not None and emulation.cpuinfo is not None and emulation.user_cpu is not None
    )
    assert isa is not None
    assert emulation.cpuinfo.min_khz.high <= emulation.cpuinfo.max_khz.low
    features = emulation.cpuinfo.features.value
    assert isinstance(features, tuple) and isinstance(isa.value, tuple)
    assert (
        ("asimddp" in features)
        == ("dotprod" in isa.value)
        == (emulation.user_cpu.value == "cortex-a76")
    )
    same_core = emulation.user_cpu.value == profile.main_core.name
    assert same_core or (emulation.stand_in is not None and emulation.stand_in.value is True)
    assert set(profile.round_to) == {"tflite", "litert", "onnxruntime"}


@pytest.mark.parametrize("name", sorted(MCU))
def test_microcontrollers_name_machine_and_flags_of_their_core(name: str) -> None:
    profile = load_profile(name)
    assert profile.emulation is not None and profile.emulation.gcc_flags is not None
    flags = profile.emulation.gcc_flags.value
    assert isinstance(flags, tuple) and f"-mcpu={profile.main_core.name}" in flags
    assert profile.emulation.machine is not None


def test_known_values() -> None:
    pi4, pi5 = load_profile("pi4"), load_profile("pi5")
    assert pi4.main_core.clock_mhz is not None and pi4.main_core.clock_mhz.text == "1500-1800"
    assert (pi4.bandwidth_mb_per_s["memcpy"].low, pi4.bandwidth_mb_per_s["memcpy"].high) == (
        2240,
        2780,
    )
    assert not pi4.caches["l1d"].confirmed and pi4.caches["l2"].confirmed
    assert not pi5.main_core.peak_macs_per_cycle["int8"].confirmed
    assert not pi5.power_mw["idle"].confirmed
    apollo510 = load_profile("apollo510")
    assert not any(
        f.confirmed for place, f in apollo510.facts() if not place.startswith("emulation")
    )


@pytest.mark.parametrize("alias", ["rpi4", "RPI4", "pi4b"])
def test_short_names(alias: str) -> None:
    assert load_profile(alias).name == "pi4"


def test_no_name_means_two_devices() -> None:
    called = [n for p in map(load_profile, profile_names()) for n in (p.name, *p.aliases)]
    assert len(called) == len(set(called))


def test_unknown_device_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="no device is called 'pi44'") as caught:
        load_profile("pi44")
    assert "nearest name is 'pi4'" in str(caught.value.hint)


def test_own_profile_by_path_and_in_the_data_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert load_profile(mine(tmp_path)).soc == Fact("X1", "the data sheet", True)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    folder = tmp_path / "edgepress" / "devices"
    folder.mkdir(parents=True)
    mine(folder)
    assert "mine" in profile_names() and load_profile("mine").title == "Mine"
    mine(folder, ("name: mine", "name: pi4"), ("title: Mine", "title: My own Pi"), name="pi4")
    assert load_profile("pi4").title == "My own Pi"
    mine(folder, name="other")
    with pytest.raises(InputError, match="holds the profile 'mine'"):
        load_profile("other")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("title: Mine", "tittle: Mine"), ("mine.yaml:3: unknown key 'tittle'", "'title'")),
        (
            ("    count:", "    clok_mhz: 3\n    count:"),
            ("mine.yaml:9", "cores.0.clok_mhz", "'clock_mhz'"),
        ),
        (("X1, source: sheet", "X1, source: shet"), ("mine.yaml:6", "'shet' is not in", "'sheet'")),
        (("value: 2, source", "value: [4, 2], source"), ("mine.yaml:9", "[low, high]")),
        (
            ("value: 2, source", "value: .nan, source"),
            ("mine.yaml:9", "greater than or equal to 0"),
        ),
        (("value: 2, source", "value: two, source"), ("mine.yaml:9", "cores.0.count.value")),
        (("value: X1, ", ""), ("mine.yaml:6", "'soc.value' is missing")),
        (("confirmed: true}\ncores", "confirmed: 'yes'}\ncores"), ("mine.yaml:6", "boolean")),
        (("class: linux", "class: phone"), ("mine.yaml:4", "'linux' or 'mcu'")),
        (("sources: {sheet", "sources: {sheet: [, "), ("not a readable YAML",)),
        (("title: Mine", "title: &a Mine\nnotes: [*a]"), ("anchors",)),
    ],
)
def test_bad_files_are_refused_with_line_and_hint(
    tmp_path: Path, change: tuple[str, str], words: tuple[str, ...]
) -> None:
    path = mine(tmp_path, change)
    with pytest.raises(InputError) as caught:
        load_profile(path)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"- 1\n", b"\xff\xfe", b"a" * (2 << 20)])
def test_files_that_are_no_profile(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes(content)
    with pytest.raises(InputError):
        load_profile(path)


def test_missing_file_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such device profile"):
        load_profile(tmp_path / "none.yaml")


def test_a_text_is_no_number() -> None:
    with pytest.raises(UsageError, match="not a number"):
        _ = Fact("fast", "x", True).low
