"""Emulated Raspberry Pi and watch application processors: set up once, then run the real aarch64 engines.

    setup("pi4")                                          # minutes the first time, then nothing to do
    outputs = run_emulated(load_profile("pi4"), Path("m.tflite"), "litert", [image])

What comes out is `emulated`: outputs, and executed instructions (`instruction_counts.py`); never milliseconds.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..runtime.errors import InputError, MissingToolError, UsageError
from .agent import write_agent
from .build_once import RECEIPT, Part
from .emulated_board import build_prefix, emulated_core
from .guest import DEFAULT_TIMEOUT_S, EmulatedBoard, run_guest
from .places import emulation_folder
from .profile import Profile, load_profile
from .qemu import Emulator, find_emulator
from .tools_needed import PACKAGES, install_packages
from .userland import PYTHON, build_site, build_userland, site_folder, userland_folder

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class SetupReport:
    """What `setup` made or found; `engines` loaded on the board, `no_counts` is "" where it can count."""

    board: str
    cpu: str
    folder: Path
    parts: tuple[Part, ...]
    engines: dict[str, str]
    emulator: str
    no_counts: str
    seconds: float

    @property
    def bytes(self) -> int:
        """Size of all parts on disk."""
        return sum(part.bytes for part in self.parts)


def setup(
    board: str | Profile, *, install: bool = False, progress: Callable[[str], None] | None = None
) -> SetupReport:
    """Make a board ready: userland, engines, prefix, plugin; then load every engine on it once.

    Everything lies in the user's cache, is made once and shared by all boards; a killed setup goes on where it was.

    Args:
        board: name of a profile, or the profile.
        install: let apt-get install QEMU and a compiler where they are missing (as root).
        progress: told what is being done.

    Raises:
        UsageError: the device is no Linux board, or this is no Debian machine.
        MissingToolError: a program is missing; names its package.
        ToolFailedError: a download or a program failed.
    """
    from .count_plugin import build_plugin

    start, tell = time.monotonic(), progress or (lambda text: None)
    profile = board if isinstance(board, Profile) else load_profile(board)
    _, cpu = emulated_core(profile)
    tell("looking for QEMU")
    emulator = _emulator(install)
    folder = emulation_folder()
    tell("arm64 userland")
    userland = build_userland(folder)
    tell("engines for aarch64")
    site = build_site(folder)
    prefix = build_prefix(profile, folder, userland.folder / "root")
    no_counts = emulator.no_counts
    if not no_counts:
        tell("counting plugin")
        try:
            build_plugin(folder, emulator, install=install)
        except MissingToolError as error:
            no_counts = f"{error.what} ({error.hint})"
    ready = _board(profile, emulator, userland.folder, site.folder, prefix.folder)
    tell(f"loading the engines on {profile.name}")
    engines = check_engines(ready)
    return SetupReport(
        board=profile.name,
        cpu=cpu,
        folder=folder,
        parts=(userland, site, prefix),
        engines=engines,
        emulator=f"QEMU {emulator.text}",
        no_counts=no_counts,
        seconds=time.monotonic() - start,
    )


def open_board(profile: Profile, emulator: Emulator | None = None) -> EmulatedBoard:
    """A board that was set up before; its own prefix is made on the spot where only that is missing.

    Raises:
        UsageError: it was not set up, or the device cannot be emulated.
        MissingToolError: QEMU is missing.
    """
    emulated_core(profile)
    found = emulator or find_emulator()
    folder = emulation_folder()
    parts = [userland_folder(folder), site_folder(folder)]
    if not all((part / RECEIPT).is_file() for part in parts):
        raise UsageError(
            f"the emulated board {profile.name} is not set up",
            hint=f"edgepress devices setup {profile.name}",
        )
    prefix = build_prefix(profile, folder, parts[0] / "root")
    return _board(profile, found, parts[0], parts[1], prefix.folder)


def run_emulated(
    profile: Profile,
    file: Path,
    engine: str | None,
    inputs: Sequence[Array],
    *,
    timeout_s: float = DEFAULT_TIMEOUT_S,
    emulator: Emulator | None = None,
) -> list[Array]:
    """Outputs of a file on the emulated board, one guest process.

    Args:
        profile: a Linux board that was set up.
        file: ONNX or TFLite.
        engine: "onnxruntime", "tflite" or "litert"; None for the format's first.
        inputs: as `Session.run` takes them: dtypes and axes as in the file.
        timeout_s: seconds of wall clock.
        emulator: another QEMU than the one on the search path.

    Raises:
        InputError, UsageError: as `open_session` and `Session.run`.
        EngineCrashedError: the engine crashed on this core or did not answer in time.
    """
    samples = [inputs]
    return run_emulated_samples(
        profile, file, engine, samples, timeout_s=timeout_s, emulator=emulator
    )[0]


def run_emulated_samples(
    profile: Profile,
    file: Path,
    engine: str | None,
    samples: Sequence[Sequence[Array]],
    *,
    timeout_s: float = DEFAULT_TIMEOUT_S,
    emulator: Emulator | None = None,
) -> list[list[Array]]:
    """As `run_emulated` for several samples in one guest process: starting one takes seconds.

    Args:
        samples: the inputs of each; all of the same shapes.

    Raises:
        UsageError: no samples, or of different shapes.
    """
    import numpy as np

    shapes = {tuple(np.shape(value) for value in sample) for sample in samples}
    if len(shapes) != 1 or shapes == {()}:
        raise UsageError(f"samples of one shape are run together, got the shapes {sorted(shapes)}")
    stacked = [np.stack(values) for values in zip(*samples, strict=True)]
    board = open_board(profile, emulator)
    with tempfile.TemporaryDirectory(prefix="edgepress-guest-") as name:
        request = Request.make("run", file, engine, stacked, Path(name))
        run_guest(board, [*request.arguments, "--samples"], Path(name), timeout_s=timeout_s)
        outputs = request.outputs()
    return [[value[index] for value in outputs] for index in range(len(samples))]


@dataclass(frozen=True)
class Request:
    """Arguments of the on-board program and where its outputs will be."""

    arguments: list[str]
    outputs_path: Path

    @staticmethod
    def make(
        verb: str, file: Path, engine: str | None, inputs: Sequence[Array] | None, folder: Path
    ) -> Request:
        """Write the inputs into `folder`; `InputError` if the file is not there."""
        import numpy as np

        path = Path(file).resolve()
        if not path.is_file():
            raise InputError("there is no such file", where=str(file))
        arguments = [verb, str(path), "--outputs", str(folder / "outputs.npz")]
        arguments += ["--engine", engine] if engine else []
        if inputs is not None:
            named: dict[str, Any] = {
                f"input_{i}": np.asarray(value) for i, value in enumerate(inputs)
            }
            np.savez(folder / "inputs.npz", **named)
            arguments += ["--inputs", str(folder / "inputs.npz")]
        return Request(arguments, folder / "outputs.npz")

    def outputs(self) -> list[Array]:
        """The arrays the guest wrote, in the order of the file's outputs."""
        import numpy as np

        with np.load(self.outputs_path, allow_pickle=False) as archive:
            return [archive[f"output_{index}"] for index in range(len(archive.files))]


def check_engines(board: EmulatedBoard) -> dict[str, str]:
    """Engine name -> version on the board, or "not usable: ..."; loading them keeps their compiled modules."""
    with tempfile.TemporaryDirectory(prefix="edgepress-guest-") as name:
        told = run_guest(board, ["engines"], Path(name), keep_bytecode=True)
    return {str(key): str(value) for key, value in told["engines"].items()}


def _emulator(install: bool) -> Emulator:
    try:
        return find_emulator()
    except MissingToolError:
        if not install:
            raise
    install_packages(PACKAGES["qemu-aarch64"].split())
    return find_emulator()


def _board(
    profile: Profile, emulator: Emulator, userland: Path, site: Path, prefix: Path
) -> EmulatedBoard:
    _, cpu = emulated_core(profile)
    agent = write_agent(emulation_folder())
    python = userland / "root" / PYTHON
    return EmulatedBoard(profile.name, cpu, prefix, python, site, agent, emulator)
