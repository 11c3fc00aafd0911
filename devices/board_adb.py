"""Measure a TFLite file on an Android device over adb, with TFLite's `benchmark_model` or a static program.

The Linux engines do not run on Android, so the user brings the program: `--program PATH`, or one that is on the device,
`--program device:/data/local/tmp/benchmark_model`. It prints times but no outputs, so those are not proved there; the
measurement says so.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

from ..runtime.artifact import read_model_bytes
from ..runtime.errors import DeviceLost, EdgepressError, EngineCrashedError, InputError, UsageError
from ..runtime.files import sha256_bytes
from .benchmark_output import BenchmarkRun, parse_benchmark
from .board_options import BoardOptions
from .elf import check_machine
from .fingerprint import fingerprint
from .health import conditions, doubts, invalid_reasons
from .host import Progress
from .measurement import Evidence, Measurement
from .process_rows import check_processes
from .statistics import summarise_arm
from .transport import Transport, open_transport
from .transport_adb import FOLDER

PREFIX = "edgepress-board-"
ENGINE = "benchmark_model"
_STALE_MINUTES = 60

_PROPERTIES = {
    "board": "ro.product.model",
    "soc": "ro.board.platform",
    "serial": "ro.serialno",
    "distribution": "ro.build.fingerprint",
}

NOT_PROVED = "outputs were not proved on the device: the program prints times only"


def measure_adb(
    path: Path,
    device: str,
    threads: int = 1,
    processes: int = 5,
    progress: Progress | None = None,
    *,
    options: BoardOptions | None = None,
    transport: Transport | None = None,
) -> Measurement:
    """Latency of one TFLite file in `processes` fresh processes.

    Raises:
        UsageError: no program was named, or it is built for another processor.
        DeviceUnreachable, DeviceLost, DeviceDiskFull: the device.
        EngineCrashedError, InputError: the program failed or printed no times.
    """
    check_processes(processes)
    options = options or BoardOptions()
    if options.program is None:
        raise UsageError(
            "a device over adb needs a program that runs the model",
            where=device,
            hint="give TFLite's benchmark_model for Android, or a static program, with --program PATH",
        )
    way = transport or open_transport(device, adb=options.adb)
    facts, data, given = device_facts(way), read_model_bytes(path), options.program
    with pushed_folder(way) as folder:
        program = _send(way, folder, given, data, facts.get("machine", ""))
        if progress:
            progress.stage(f"time {Path(path).name} on {device}", processes)
        once = partial(_once, way, program, folder, threads, options)
        states, runs = timed_runs(way, once, processes, progress)
    return _measurement(data, facts, states, runs, threads, options, device)


@contextlib.contextmanager
def pushed_folder(way: Transport) -> Iterator[str]:
    """A new folder on the device, removed at the end; what lost connections left is swept first."""
    folder = f"{FOLDER}/{PREFIX}{secrets.token_hex(4)}"
    sweep(way)
    try:
        yield folder
    finally:
        # a device that is gone cleans nothing; the next visit sweeps
        with contextlib.suppress(EdgepressError):
            way.remove(folder)


def timed_runs(
    way: Transport, once: Callable[[], BenchmarkRun], processes: int, progress: Progress | None
) -> tuple[list[dict[str, str]], list[BenchmarkRun]]:
    """(state of the device before the first process and after each, what each printed)."""
    states, runs = [device_health(way)], []
    for _ in range(processes):
        runs.append(once())
        states.append(device_health(way))
        if progress:
            progress.advance(median_ms=float(np.median(runs[-1].samples_ms)))
    return states, runs


def sweep(way: Transport) -> None:
    """Remove folders that lost connections left, once they are an hour old."""
    words = ["find", FOLDER, "-maxdepth", "1", "-name", f"{PREFIX}*", "-mmin", f"+{_STALE_MINUTES}"]
    way.run([*words, "-exec", "rm", "-rf", "{}", "+"])


def device_facts(way: Transport) -> dict[str, str]:
    """Model, SoC, system, processor and memory of the device."""
    found = {"machine": _say(way, "uname", "-m"), "kernel": _say(way, "uname", "-r")}
    found |= {key: _say(way, "getprop", name) for key, name in _PROPERTIES.items()}
    found["cores"] = _say(way, "nproc")
    found["governor"] = _say(way, "cat", f"{_CPU0}/scaling_governor")
    found["max_khz"] = _say(way, "cat", f"{_CPU0}/cpuinfo_max_freq")
    return {key: value for key, value in found.items() if value}


def device_health(way: Transport) -> dict[str, str]:
    """Clock, governor, temperature and load, as far as the shell may read them."""
    found = {
        "khz": _say(way, "cat", f"{_CPU0}/scaling_cur_freq"),
        "governor": _say(way, "cat", f"{_CPU0}/scaling_governor"),
        "temperature_millicelsius": _say(way, "cat", "/sys/class/thermal/thermal_zone0/temp"),
        # told without the number of cores, so not judged: Android counts sleeping threads into it
        "load_average": _say(way, "cat", "/proc/loadavg").split(" ")[0],
    }
    return {key: value for key, value in found.items() if value}


_CPU0 = "/sys/devices/system/cpu/cpu0/cpufreq"


def _say(way: Transport, *argv: str) -> str:
    """First line of a program's output, "" if it failed."""
    done = way.run(list(argv))
    lines = done.stdout.decode("utf-8", "replace").strip().splitlines()
    return lines[0].strip() if lines and done.code == 0 else ""


def _send(way: Transport, folder: str, program: Path, model: bytes, machine: str) -> str:
    """Push model and program; the program's path there."""
    way.run(["mkdir", "-p", folder])
    way.put(model, f"{folder}/model.tflite")
    named = str(program)
    if named.startswith("device:"):
        return named.removeprefix("device:")
    try:
        data = program.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read the program: {error.strerror}", where=named) from error
    check_machine(data, machine, named)
    way.put(data, f"{folder}/program")
    way.run(["chmod", "755", f"{folder}/program"])
    return f"{folder}/program"


def _once(
    way: Transport, program: str, folder: str, threads: int, options: BoardOptions
) -> BenchmarkRun:
    pinned = ["taskset", _mask(options.cpus)] if options.cpus else []
    words = [*pinned, program, f"--graph={folder}/model.tflite", f"--num_threads={threads}"]
    words += ["--warmup_runs=5", "--num_runs=50", "--report_peak_memory_footprint=true"]
    # the shell over there removes the folder itself if the connection goes
    guard = f'trap "rm -rf {folder}" HUP TERM; "$@"'
    done = way.run(["sh", "-c", guard, "sh", *words], timeout_s=options.timeout_s)
    text = done.stdout.decode("utf-8", "replace") + done.stderr
    where = f"{program} on {way.address}"
    if done.code == 126 or "Exec format error" in text or "not executable" in text:
        raise UsageError(
            "the device cannot run this program", where=where, hint="is it for its processor?"
        )
    if done.code == 127 and "not found" in text:
        raise InputError("there is no such program on the device", where=where)
    if done.code == 137:
        raise DeviceLost(
            "the program was killed there", where=where, hint="it may be out of memory"
        )
    if done.code:
        last = " / ".join(text.strip().splitlines()[-2:])[-300:]
        raise EngineCrashedError(
            f"the program ended with exit code {done.code}: {last}", where=where
        )
    return parse_benchmark(text, where)


def _mask(cpus: tuple[int, ...]) -> str:
    return f"{sum(1 << cpu for cpu in set(cpus)):x}"


def _measurement(
    model: bytes,
    facts: dict[str, str],
    states: list[dict[str, str]],
    runs: list[BenchmarkRun],
    threads: int,
    options: BoardOptions,
    device: str,
) -> Measurement:
    samples = [list(run.samples_ms) for run in runs]
    values = {"latency_ms": summarise_arm(samples).location, "file_bytes": float(len(model))}
    for name in ("first_invoke_ms", "load_ms", "peak_rss_bytes"):
        each = [value for run in runs if (value := getattr(run, name)) is not None]
        if each:
            values[name] = max(each) if name.endswith("bytes") else float(np.median(each))
    notes = [NOT_PROVED, *doubts(states)]
    if runs[0].statistic != "samples":
        notes.append(f"the program tells one number of a process, its {runs[0].statistic}")
    program = options.program or Path()
    build = "" if str(program).startswith("device:") else sha256_bytes(program.read_bytes())[:16]
    return Measurement(
        artifact_sha256=sha256_bytes(model),
        evidence=Evidence.MEASURED,
        device=device,
        fingerprint=fingerprint(
            facts,
            affinity=",".join(map(str, options.cpus)),
            engine_build=build,
            cooling=options.cooling,
            power_source=options.power_source,
        ),
        engine=ENGINE if runs[0].statistic != "samples" else program.name,
        engine_version=build or "unknown",
        threads=threads,
        values=values,
        samples={"latency_ms": samples},
        conditions_before=conditions(states[0]),
        conditions_after=conditions(states[-1]),
        notes=tuple(notes),
        invalid=invalid_reasons(states),
    )
