"""Measure an exported C folder on an Android or Wear OS device over adb: a static program, compiled here and pushed.

Its outputs on seeded inputs are pulled and compared with this machine's before a time counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from ..runtime.errors import DeviceLost, EngineCrashedError, UsageError
from ..runtime.session import open_session
from ..runtime.timing import random_inputs
from .benchmark_output import BenchmarkRun, parse_benchmark
from .board_adb import device_facts, pushed_folder, timed_runs
from .board_options import BoardOptions
from .c_program import program_of
from .elf import check_machine
from .fingerprint import fingerprint
from .firmware_vectors import Layout, Vectors, check_parity, layout_of, pack, unpack
from .health import conditions, doubts, invalid_reasons
from .host import Progress
from .linux_program import LinuxProgram, build_linux
from .measurement import Evidence, Measurement
from .process_rows import check_processes
from .statistics import summarise_arm
from .toolchain_linux import find_linux_toolchain
from .transport import Transport, open_transport

VECTORS, SAMPLES = 3, 100
ANY_CORE = ("-march=armv8-a",)
"""The shell of a device does not tell its cores, so the program is built for all of them."""


@dataclass(frozen=True)
class _Sent:
    """What was pushed, and what it must compute."""

    folder: str
    built: LinuxProgram
    sha256: str
    vectors: Vectors
    layout: Layout


def measure_adb_c(
    path: Path,
    device: str,
    processes: int = 5,
    progress: Progress | None = None,
    *,
    options: BoardOptions | None = None,
    transport: Transport | None = None,
) -> Measurement:
    """Latency of one folder in `processes` fresh processes, one thread.

    Raises:
        MissingToolError: no compiler here, or none for aarch64; names the package.
        UsageError: the device is no aarch64 machine, or a program was named.
        ParityError: it computes something else there than here.
        DeviceUnreachable, DeviceLost, DeviceDiskFull: the device.
    """
    check_processes(processes)
    options = options or BoardOptions()
    if options.program is not None:
        raise UsageError("exported C is its own program", hint="leave --program out")
    way = transport or open_transport(device, adb=options.adb)
    facts = device_facts(way)
    with pushed_folder(way) as folder:
        sent = _send(way, folder, path, facts.get("machine", ""))
        if progress:
            progress.stage(f"time {Path(path).name} on {device}", processes)
        once = partial(_once, way, sent, options)
        states, runs = timed_runs(way, once, processes, progress)
    return _measurement(device, facts, sent, states, runs, options)


def _measurement(
    device: str,
    facts: Mapping[str, str],
    sent: _Sent,
    states: Sequence[dict[str, str]],
    runs: Sequence[BenchmarkRun],
    options: BoardOptions,
) -> Measurement:
    samples = [list(run.samples_ms) for run in runs]
    values = {"latency_ms": summarise_arm(samples).location}
    first = [run.first_invoke_ms for run in runs if run.first_invoke_ms is not None]
    peak = [run.peak_rss_bytes for run in runs if run.peak_rss_bytes is not None]
    values |= {"first_invoke_ms": float(np.median(first))} if first else {}
    values |= {"peak_rss_bytes": max(peak)} if peak else {}
    proof = f"outputs were those of this machine on {VECTORS} random inputs"
    return Measurement(
        artifact_sha256=sent.sha256,
        evidence=Evidence.MEASURED,
        device=device,
        fingerprint=fingerprint(
            facts,
            affinity=",".join(map(str, options.cpus)),
            engine_build=sent.built.sha256[:16],
            cooling=options.cooling,
            power_source=options.power_source,
        ),
        engine="native",
        engine_version=f"{sent.built.compiler} {' '.join(ANY_CORE)} static",
        threads=1,
        values=values,
        samples={"latency_ms": samples},
        conditions_before=conditions(states[0]),
        conditions_after=conditions(states[-1]),
        notes=(proof, *doubts(states)),
        invalid=invalid_reasons(states),
    )


def _send(way: Transport, folder: str, path: Path, machine: str) -> _Sent:
    """Compile, and push the program and its vectors."""
    session = open_session(path, "native")
    inputs = [random_inputs(session.artifact.inputs, seed) for seed in range(VECTORS)]
    vectors = Vectors(inputs, [session.run(given) for given in inputs])
    layout = layout_of(vectors)
    with program_of(path) as made:
        built = build_linux(find_linux_toolchain(), ANY_CORE, made.program, layout)
        sha256 = made.sha256
    data = built.elf.read_bytes()
    check_machine(data, machine, str(path))
    way.run(["mkdir", "-p", folder])
    way.put(data, f"{folder}/program")
    way.put(pack(vectors, layout), f"{folder}/vectors.bin")
    way.run(["chmod", "755", f"{folder}/program"])
    return _Sent(folder, built, sha256, vectors, layout)


def _once(way: Transport, sent: _Sent, options: BoardOptions) -> BenchmarkRun:
    """One process: its times, once its outputs are those expected."""
    folder, where = sent.folder, f"the exported C on {way.address}"
    mask = f"{sum(1 << cpu for cpu in set(options.cpus)):x}"
    words = [*(["taskset", mask] if options.cpus else []), f"{folder}/program"]
    words += [f"{folder}/vectors.bin", f"{folder}/outputs.bin", str(SAMPLES)]
    # the shell over there removes the folder itself if the connection goes
    guard = f'trap "rm -rf {folder}" HUP TERM; "$@"'
    done = way.run(["sh", "-c", guard, "sh", *words], timeout_s=options.timeout_s)
    text = done.stdout.decode("utf-8", "replace")
    if done.code == 137:
        raise DeviceLost("the program was killed there", where=where, hint="is it out of memory?")
    if done.code:
        last = " / ".join((text + done.stderr).strip().splitlines()[-2:])[-300:]
        raise EngineCrashedError(f"it ended with exit code {done.code}: {last}", where=where)
    rows = unpack(way.get(f"{folder}/outputs.bin"), sent.vectors, sent.layout, where)
    check_parity(rows, sent.vectors, where)
    return parse_benchmark(text, where)
