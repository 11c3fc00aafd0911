"""All C that an export can hold, for every device, without a warning in gcc and clang for its processor."""

from __future__ import annotations

import functools
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from edgepress.devices.profile import load_profile
from edgepress.export.c.kernels import library
from edgepress.export.c.pack import DEVICES, layout_of, target_header
from support import c_models, small_hub

pytestmark = pytest.mark.emulated

STRICT = ("-std=c99", "-O2", "-Wall", "-Wextra", "-Werror", "-pedantic", "-c")
ARM, AARCH64 = "arm-none-eabi-gcc", "aarch64-linux-gnu-gcc"
MCUS = {
    "cortex-m4": "stm32l4r5",
    "cortex-m7": "stm32h7a3",
    "cortex-m33": "stm32u585",
    "cortex-m55": "apollo510",
}
SECOND = ("cortex-m7", "cortex-m33", "cortex-a72", "cortex-a55", "cortex-a78")
"""They have the layout of another device here: of the kernels only that layout's are compiled again."""

HOSTS = {
    "plain": ("-march=x86-64",),
    "avx2": ("-march=haswell",),
    "vnni": ("-march=icelake-server",),
}


def targets() -> list[tuple[str, str, tuple[str, ...], str]]:
    """(device, native compiler, its options for the device, compiler): gcc for all, clang once a layout."""
    found = [("generic", "gcc", HOSTS["plain"]), *(("x86-64", "gcc", f) for f in HOSTS.values())]
    for device in DEVICES:
        if device in MCUS:
            emulation = load_profile(MCUS[device]).emulation
            flags = emulation.gcc_flags.value if emulation and emulation.gcc_flags else ()
            found.append((device, ARM, (*map(str, flags), "-mthumb")))
        elif device.startswith("cortex-a"):
            found.append((device, AARCH64, (f"-mcpu={device}",)))
    found += [("generic", AARCH64, ()), ("generic", ARM, ("-mcpu=cortex-m0plus", "-mthumb"))]
    seen: set[tuple[str, str]] = set()
    chosen = [(*one, "gcc") for one in found]
    for device, native, flags in found:
        kind = (layout_of(device).macro, native)
        if kind not in seen or native == "gcc":
            chosen.append((device, native, flags, "clang"))
        seen.add(kind)
    return chosen


def need(program: str) -> str:
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed; `make test-emulated` installs it")
    return program


@functools.cache
def headers_of(gcc: str) -> tuple[str, ...]:
    """Folders of the C library that a cross compiler includes from, without those of gcc itself."""
    words = [need(gcc), "-xc", "-E", "-v", "/dev/null"]
    said = subprocess.run(words, capture_output=True, text=True, check=True).stderr
    listed = re.search(r"<\.\.\.> search starts here:\n(.*?)End of search", said, re.S)
    folders = [line.strip() for line in (listed[1] if listed else "").splitlines()]
    own = re.compile(r"/lib/gcc(-cross)?/")
    found = [str(Path(one).resolve()) for one in folders]
    return tuple(one for one in found if not own.search(one))


def command_of(compiler: str, native: str, flags: tuple[str, ...]) -> list[str]:
    """The compiler for the target of `native`."""
    if compiler == "gcc":
        return [need(native), *flags]
    triple = native.removesuffix("-gcc") if native != "gcc" else ""
    search = [word for folder in headers_of(native) for word in ("-isystem", folder)]
    return [need("clang"), *([f"--target={triple}", *search] if triple else []), *flags]


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All kernels in one folder."""
    folder = tmp_path_factory.mktemp("kernels")
    for name, text in library().items():
        (folder / name).write_text(text)
    return folder


def compiles(command: list[str], files: list[Path], header: Path, folder: Path) -> None:
    words = [*command, *STRICT, f"-I{header}", f"-I{files[0].parent}", *map(str, files)]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[:2000]


@pytest.mark.parametrize(
    ("device", "native", "flags", "compiler"),
    targets(),
    ids=lambda value: value if isinstance(value, str) else "".join(value[:1]),
)
def test_no_warning(
    device: str,
    native: str,
    flags: tuple[str, ...],
    compiler: str,
    sources: Path,
    tmp_path: Path,
) -> None:
    command = command_of(compiler, native, flags)
    objects, header = tmp_path / "objects", tmp_path / "header"
    objects.mkdir()
    header.mkdir()
    (header / "ep_target.h").write_text(target_header(device))
    replaced = {name for name, _ in layout_of(device).sources}
    mine = {name for _, name in layout_of(device).sources}
    foreign = {name for other in DEVICES for _, name in layout_of(other).sources} - mine
    kernels = [p for p in sorted(sources.glob("*.c")) if p.name not in replaced | foreign]
    if device in SECOND:
        kernels = [p for p in kernels if p.name in mine]
    compiles(command, kernels, header, objects)
    for name, hub in (("int8", small_hub.int8(small_hub.hub())), ("float", small_hub.hub())):
        folder = c_models.write(hub, tmp_path / name, device=device)
        compiles(command, [folder / "model.c"], header, objects)


@pytest.mark.parametrize("device", MCUS)
def test_a_frame_pointer_costs_the_assembly_alone(
    device: str, sources: Path, tmp_path: Path
) -> None:
    """EP_WITHOUT_ASM for gcc with -fno-omit-frame-pointer, as the page on exported C says."""
    flags = tuple(flag for name, _, flag, _ in targets() if name == device)[0]
    options = ("-fno-omit-frame-pointer", "-DEP_WITHOUT_ASM")
    (tmp_path / "ep_target.h").write_text(target_header(device))
    kernels = [sources / name for _, name in layout_of(device).sources]
    compiles([need(ARM), *flags, *options], kernels, tmp_path, tmp_path)
