"""`edgepress profile` of exported C: what is run, estimated, refused. Nothing is emulated here."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from edgepress.devices.board_adb_c import measure_adb_c
from edgepress.devices.board_options import BoardOptions
from edgepress.devices.c_program import CallCount
from edgepress.devices.measurement import Evidence, Measurement
from edgepress.devices.profile import Profile, load_profile
from edgepress.runtime.c_folder import CFolder, folder_bytes, of_bytes
from edgepress.runtime.errors import MissingToolError, UsageError
from edgepress.tools import c_profile
from edgepress.tools.c_profile import calls_text, firmware_table, packing_note
from edgepress.tools.device_profile import Request, profile_files
from support import c_models, ptq
from support.lite_files import tiny_dense


@dataclass(frozen=True)
class Told:
    """What `packing_note` and `calls_document` look at."""

    folder: CFolder
    profile: Profile
    calls: tuple[CallCount, ...] = (
        CallCount(-1, "edgepress_step", "", 0, 10),
        CallCount(0, "ep_conv_s8", "c", 500, 90),
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("c") / "net.c"
    return c_models.write(ptq.quantized_hub("residual"), made, device="cortex-m4")


def counted(values: dict[str, float]) -> Any:
    """A stand-in for `count_folder`."""

    def count(path: Path, profile: Profile, *, calls: bool = False) -> tuple[Told, Measurement]:
        found = Told(of_bytes(folder_bytes(path)), profile)
        made = Measurement(
            "a" * 64, Evidence.EMULATED, profile.name, {}, "native", "gcc", 1, values
        )
        return found, made

    return count


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> None:
    values = {"instructions": 100.0, "flash_bytes": 7.0, "ram_bytes": 3.0}
    monkeypatch.setattr(c_profile, "count_folder", counted(values))


def test_c_is_run_and_tflite_is_estimated(figures: None, folder: Path, tmp_path: Path) -> None:
    lite = tmp_path / "m.tflite"
    lite.write_bytes(tiny_dense())
    found = profile_files(Request((folder, lite), device="stm32l4r5", layers=True))
    kinds = {(path.name, str(m.evidence)) for path, m in found.rows}
    assert ("net.c", "emulated") in kinds and ("m.tflite", "estimated") in kinds
    assert [call["instructions"] for call in found.calls[0]["calls"]] == [10, 90]
    assert any("devices import" in note for note in found.notes)


def test_two_folders_are_compared_by_their_instructions(figures: None, folder: Path) -> None:
    found = profile_files(Request((folder,), device="pi5", compare=folder))
    assert found.ratios[0]["ratio"] == 1.0 and found.ratios[0]["metric"] == "instructions"


def test_without_counts_there_is_no_comparison(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(c_profile, "count_folder", counted({"flash_bytes": 7.0}))
    assert profile_files(Request((folder,), device="stm32l4r5")).rows
    with pytest.raises(MissingToolError, match="does not count"):
        profile_files(Request((folder,), device="stm32l4r5", compare=folder))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"device": "pi5", "engines": ("litert",)}, "use native"),
        ({"device": "stm32l4r5", "engines": ("tflite",)}, "use native"),
        ({"device": "pi5", "threads": 2}, "one thread"),
        ({"device": "adb://W7", "threads": 2}, "one thread"),
        ({"device": "adb://W7", "engines": ("litert",)}, "the program is the engine"),
    ],
)
def test_what_is_refused(options: dict[str, Any], words: str, figures: None, folder: Path) -> None:
    with pytest.raises(UsageError) as told:
        profile_files(Request((folder,), **options))
    assert words in str(told.value)


def test_over_adb_exported_c_is_its_own_program(folder: Path) -> None:
    with pytest.raises(UsageError, match="its own program"):
        measure_adb_c(folder, "adb://W7", options=BoardOptions(program=Path("x")))


def test_another_packing_is_told(folder: Path) -> None:
    manifest = of_bytes(folder_bytes(folder))
    assert packing_note(Told(manifest, load_profile("stm32l4r5"))) == ()  # type: ignore[arg-type]
    assert packing_note(Told(manifest, load_profile("stm32u585"))) == ()  # type: ignore[arg-type]
    (note,) = packing_note(Told(manifest, load_profile("apollo510")))  # type: ignore[arg-type]
    assert "packed for cortex-m4, run on apollo510" in note and "--device apollo510" in note
    other = replace(load_profile("pi5"), cores=())
    assert packing_note(Told(manifest, other)) == ()  # type: ignore[arg-type]


def test_tables_show_what_there_is(folder: Path) -> None:
    values = {"instructions": 1234.0, "flash_bytes": 7.0, "stack_bytes": 5.0}
    _, made = counted(values)(folder, load_profile("stm32l4r5"))
    text = firmware_table([(folder, made)])
    assert "1,234" in text and "emulated" in text and "stm32l4r5" in text
    document = c_profile.calls_document(folder, load_profile("stm32l4r5"), Told(None, None))  # type: ignore[arg-type]
    assert "90.0%" in calls_text(document) and "5.56" in calls_text(document)
