"""Profile files on any device: this machine, a board over ssh or adb, an emulated board.

found = profile_files(Request(files, device="ssh://pi@pi4"), progress)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..devices.board_options import BoardOptions
from ..devices.host import Interleaved
from ..devices.measurement import Evidence, Measurement
from ..runtime.artifact import detect_format, read_model_bytes
from ..runtime.codec import to_json
from ..runtime.engines import engines_for, find_engine
from ..runtime.errors import MissingToolError, UsageError
from ..runtime.layer_times import NOT_TOLD, LayerTimes
from .engines import usable_engines

if TYPE_CHECKING:
    from ..devices.host import Progress
    from ..devices.profile import Profile

HOST = "host"
LAYERS_NOT_COUNTED = "layers of TFLite and ONNX files are not counted one by one under emulation"
FIRMWARE = (
    "files are not run on {device} from here: run them in your firmware and read its record with "
    "`edgepress devices import`"
)


@dataclass(frozen=True)
class Request:
    """What to profile, where and how."""

    files: tuple[Path, ...]
    device: str = HOST
    engines: tuple[str, ...] = ()
    threads: int = 1
    processes: int = 5
    compare: Path | None = None
    layers: bool = False
    estimate: bool = False
    options: BoardOptions = field(default_factory=BoardOptions)


@dataclass
class Profiled:
    """What came out: measurements, ratios to the baseline, times of layers, instructions of calls, remarks."""

    rows: list[tuple[Path, Measurement]] = field(default_factory=list)
    ratios: list[dict[str, Any]] = field(default_factory=list)
    layers: list[dict[str, Any]] = field(default_factory=list)
    calls: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def invalid(self) -> bool:
        """True if a measurement must not be judged."""
        return any(measurement.invalid for _, measurement in self.rows)

    def add_pair(self, base: Path, path: Path, both: Interleaved) -> None:
        """Two files measured in turn."""
        self.rows += [(base, both.base), (path, both.candidate)]
        told = {"file": str(path), "baseline": str(base), "engine": both.base.engine}
        told |= {"evidence": str(both.base.evidence), "metric": "latency_ms"}
        self.ratios.append({**told, **to_json(both.comparison)})

    def add_layers(self, path: Path, device: str, evidence: Evidence, found: LayerTimes) -> None:
        """Times of the layers of one file."""
        told = {"file": str(path), "device": device, "evidence": str(evidence)}
        self.layers.append({**told, **to_json(found)})


def profile_files(request: Request, progress: Progress | None = None) -> Profiled:
    """Measure (or count) every file in every engine asked for, or in all the device has.

    Raises:
        UsageError: unknown device or engine, an engine that does not run the file, a device that cannot.
        As `measure_host`, `measure_board`, `count_instructions`.
    """
    for path in [*request.files, *([request.compare] if request.compare else [])]:
        if _format(path) == "lce":
            raise UsageError(
                "nothing here times files with Larq Compute Engine's operators: the reference proves them",
                where=str(path),
                hint="time it with LCE's own benchmark, or export C: its one-bit kernels run on every device",
            )
    if request.estimate:
        return _estimated(request)
    if _is_microcontroller(request.device):
        return _on_microcontroller(request, progress)
    for name in request.engines:
        find_engine(name)
    for path in [*request.files, *([request.compare] if request.compare else [])]:
        _format(path)  # what is wrong here is told before a board is asked
    if request.device == HOST:
        return _on_host(request, progress)
    if request.device.startswith("adb://"):
        return _over_adb(request, progress)
    if "://" in request.device:
        return _on_board(request, progress)
    from ..devices.profile import load_profile

    return _emulated(request, load_profile(request.device), progress)


def _is_microcontroller(device: str) -> bool:
    """True for the name of one: exported C runs there under emulation, of other files estimates are told."""
    from ..devices.profile import load_profile

    return device != HOST and "://" not in device and load_profile(device).device_class == "mcu"


def _on_microcontroller(request: Request, progress: Progress | None) -> Profiled:
    """Exported C is run under emulation; what else there is is estimated."""
    from ..devices.profile import load_profile

    folders = tuple(path for path in request.files if _format(path) == "c")
    others = tuple(path for path in request.files if path not in folders)
    if not folders:
        return _estimated(request)
    found = _emulated(replace(request, files=folders), load_profile(request.device), progress)
    if others:
        software = tuple(name for name in request.engines if name != "native")
        rest = replace(request, files=others, engines=software, compare=None, layers=False)
        told = _estimated(rest)
        found.rows += told.rows
        found.notes += told.notes
    return found


def _estimated(request: Request) -> Profiled:
    """What published tables, or the user's own records of the board, say; nothing is run."""
    from ..devices.profile import load_profile
    from . import mcu_profile
    from .estimate_profile import estimate_files

    if request.device == HOST or "://" in request.device:
        raise UsageError(
            "an estimate is of a device by its name", hint="for example --device stm32l4r5"
        )
    if request.compare is not None or request.layers:
        raise UsageError("--compare and --layers are of measurements, not of estimates")
    profile = load_profile(request.device)
    if profile.device_class != "mcu":
        rows = estimate_files(request.files, profile, request.engines, request.threads)
        return Profiled(rows)
    special = [name for name in request.engines if name in mcu_profile.ENGINES]
    software = [name for name in request.engines if name not in special]
    found = Profiled()
    if software or not special:
        found.rows += estimate_files(request.files, profile, software, request.threads)
    if special or not software:
        rows, notes = mcu_profile.mcu_rows(request.files, profile, special)
        found.rows += rows
        found.notes += notes
    found.notes.append(FIRMWARE.format(device=profile.name))
    return found


def _on_host(request: Request, progress: Progress | None) -> Profiled:
    from ..devices.host import interleave, measure_host
    from ..runtime.layer_times import layer_times

    found = Profiled()
    usable = {p: usable_engines(_wanted(request, p), [_format(p)]) for p in request.files}
    for path, engine in _jobs(request, usable):
        if request.compare is None:
            one = measure_host(path, engine, request.threads, request.processes, progress)
            found.rows.append((path, one))
        else:
            pair = (request.compare, path)
            both = interleave(pair, engine, request.threads, request.processes, progress)
            found.add_pair(*pair, both)
        if request.layers and _tells_layers(engine, found):
            times = layer_times(path, engine, request.threads)
            found.add_layers(path, HOST, Evidence.HOST, times)
    return found


def _on_board(request: Request, progress: Progress | None) -> Profiled:
    from ..devices.board import interleave_visit, measure_visit, visit

    found, options = Profiled(), request.options
    with visit(request.device, options) as board:
        there = None if request.engines else _usable(board.engines(), board.address)
        usable = {
            path: there or dict.fromkeys(_wanted(request, path), "") for path in request.files
        }
        for path, engine in _jobs(request, usable):
            if request.compare is None:
                one = measure_visit(
                    board, path, engine, request.threads, request.processes, progress
                )
                found.rows.append((path, one))
            else:
                pair = (request.compare, path)
                both = interleave_visit(
                    board, pair, engine, request.threads, request.processes, progress
                )
                found.add_pair(*pair, both)
            if request.layers and _tells_layers(engine, found):
                times = board.layers(path, engine, request.threads)
                found.add_layers(path, board.address, Evidence.MEASURED, times)
    return found


def _over_adb(request: Request, progress: Progress | None) -> Profiled:
    from ..devices.board import measure_board

    if request.engines and request.engines != ("native",):
        raise UsageError(
            "over adb the program is the engine", hint="leave --engine out, give --program"
        )
    if request.compare is not None or request.layers:
        raise UsageError("--compare and --layers are not there for devices over adb")
    found = Profiled()
    for path in request.files:
        if _format(path) != "c" and (_format(path) != "tflite" or request.engines):
            raise UsageError("over adb TFLite files and C folders are measured", where=str(path))
        one = measure_board(
            path,
            request.device,
            None,
            request.threads,
            request.processes,
            progress,
            options=request.options,
        )
        found.rows.append((path, one))
    return found


def _emulated(request: Request, profile: Profile, progress: Progress | None) -> Profiled:
    """Executed instructions; outputs are compared with this machine's in the same engine."""
    if request.threads != 1:
        raise UsageError("instructions are counted with one thread", hint="leave --threads out")
    found = Profiled()
    able = {path: dict.fromkeys(engines_for(_format(path)), "") for path in request.files}
    usable = {path: dict.fromkeys(_wanted(request, path), "") or able[path] for path in able}
    counted: dict[tuple[Path, str], Measurement] = {}
    jobs = _jobs(request, usable)
    if progress:
        progress.stage(f"count on emulated {profile.name}", len(jobs))
    for path, engine in jobs:
        for one in [request.compare] * (request.compare is not None) + [path]:
            if one is not None and (one, engine) not in counted:
                counted[one, engine] = _count(profile, one, engine, request.layers, found)
                found.rows.append((one, counted[one, engine]))
        if request.compare is not None:
            found.ratios.append(_count_ratio(request.compare, path, engine, counted))
        if progress:
            progress.advance()
    return found


def _count(profile: Profile, path: Path, engine: str, layers: bool, found: Profiled) -> Measurement:
    """Instructions of one file; those of its layers go to `found` where they can be told."""
    from ..devices.instruction_counts import count_instructions
    from ..devices.proof import reference_session
    from ..runtime.timing import random_inputs

    if engine == "native":
        from .c_profile import calls_document, count_folder

        result, measurement = count_folder(path, profile, calls=layers)
        found.calls += [calls_document(path, profile, result)] if layers else []
        return measurement
    if layers and LAYERS_NOT_COUNTED not in found.notes:
        found.notes.append(LAYERS_NOT_COUNTED)
    session = reference_session(path, engine)
    given = random_inputs(session.artifact.inputs, 0)
    expected = session.run(given) if session.engine == engine else None
    return count_instructions(profile, path, engine, given, expected=expected)


def _count_ratio(
    base: Path, path: Path, engine: str, counted: Mapping[tuple[Path, str], Measurement]
) -> dict[str, Any]:
    one, two = (counted[file, engine].values.get("instructions") for file in (base, path))
    if one is None or two is None:
        raise MissingToolError(
            "instructions cannot be compared: this QEMU does not count",
            hint="edgepress doctor tells why",
        )
    told = {"file": str(path), "baseline": str(base), "engine": engine}
    return {**told, "evidence": "emulated", "metric": "instructions", "ratio": two / one}


def _tells_layers(engine: str, found: Profiled) -> bool:
    """True for onnxruntime; else the reason is noted."""
    if engine == "onnxruntime":
        return True
    note = NOT_TOLD.format(engine=engine)
    if note not in found.notes:
        found.notes.append(note)
    return False


def _usable(engines: Mapping[str, str], where: str) -> dict[str, str]:
    """Engines of a board that work."""
    if engines["numpy"].startswith("not usable"):
        raise MissingToolError(
            engines["numpy"].removeprefix("not usable: "),
            hint=f"edgepress devices probe {where} tells what the board has",
        )
    found = {k: v for k, v in engines.items() if k != "numpy" and not v.startswith("not usable")}
    if not found:
        told = "; ".join(f"{k}: {v}" for k, v in engines.items() if k != "numpy")
        hint = "there: python3 -m pip install ai-edge-litert (or tflite-runtime, onnxruntime)"
        raise MissingToolError(f"no engine works on the board ({told})", where=where, hint=hint)
    return found


def _jobs(request: Request, usable: Mapping[Path, Mapping[str, str]]) -> list[tuple[Path, str]]:
    """(file, engine): every file in each of its usable engines that runs its format."""
    jobs: list[tuple[Path, str]] = []
    for path in request.files:
        able = engines_for(_format(path))
        chosen = [engine for engine in able if engine in usable[path]]
        if not chosen:
            raise MissingToolError(
                f"no engine for {_format(path)} files works on {request.device}",
                where=str(path),
                hint=f"install {' or '.join(find_engine(name).package for name in able)} there",
            )
        jobs += [(path, engine) for engine in chosen]
    return jobs


def _wanted(request: Request, path: Path) -> Sequence[str]:
    """The engines asked for that run a file; `UsageError` if none does."""
    able = engines_for(_format(path))
    wanted = [name for name in request.engines if name in able]
    if request.engines and not wanted:
        raise UsageError(
            f"none of {', '.join(request.engines)} runs {path}: use {' or '.join(able)}"
        )
    return wanted


def _format(path: Path) -> str:
    return detect_format(read_model_bytes(path), str(path))
