"""`edgepress profile`: latency and memory of files on this machine, each run in a fresh process."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..exit_codes import ExitCode
from ..invocation import Invocation, common_options
from .options import PATH, threads_option

if TYPE_CHECKING:
    from ...devices.measurement import Measurement

Rows = list[tuple[Path, "Measurement"]]


@click.command("profile")
@click.argument("files", nargs=-1, required=True, type=PATH, metavar="FILE...")
@click.option(
    "--engine",
    "engines",
    multiple=True,
    help="onnxruntime, tflite, litert; all installed if left out.",
)
@threads_option
@click.option(
    "--processes",
    type=click.IntRange(1, 100),
    default=5,
    show_default=True,
    help="Fresh processes each.",
)
@click.option(
    "--compare",
    type=PATH,
    metavar="BASELINE",
    help="Measure this file in turn with each, and say how they differ.",
)
@common_options
@click.pass_obj
def command(
    call: Invocation,
    files: tuple[Path, ...],
    engines: tuple[str, ...],
    threads: int,
    processes: int,
    compare: Path | None,
) -> int:
    """Measure FILES on this machine. Evidence "host": never the latency of another device."""
    reads = [*files, *([compare] if compare else [])]
    if call.dry_run:
        return call.plan(
            "profile", reads=reads, engines=engines, threads=threads, processes=processes
        )
    from ...devices.host import interleave, measure_host
    from ...runtime.codec import to_json

    rows: Rows = []
    ratios: list[dict[str, Any]] = []
    jobs = _jobs(files, engines)
    with call.progress() as progress:
        for path, engine in jobs:
            if compare is None:
                rows.append((path, measure_host(path, engine, threads, processes, progress)))
                continue
            both = interleave((compare, path), engine, threads, processes, progress)
            rows += [(compare, both.base), (path, both.candidate)]
            ratio = {
                "file": str(path),
                "baseline": str(compare),
                "engine": engine,
                "evidence": "host",
            }
            ratios.append({**ratio, **to_json(both.comparison)})
    document = {
        "schema": "edgepress-profile/1",
        "measurements": [{"file": str(path), **to_json(m)} for path, m in rows],
        "comparisons": ratios,
    }
    call.give(document, "" if call.json else _text(rows, ratios))
    return ExitCode.OK


def _jobs(files: Sequence[Path], engines: Sequence[str]) -> list[tuple[Path, str]]:
    """(file, engine): every file in each engine asked for that runs its format."""
    from ...runtime.artifact import detect_format, read_model_bytes
    from ...runtime.engines import engines_for, find_engine
    from ..engines import usable_engines

    for name in engines:
        find_engine(name)
    jobs = []
    for path in files:
        form = detect_format(read_model_bytes(path), str(path))
        wanted = [name for name in engines if name in engines_for(form)]
        if engines and not wanted:
            able = " or ".join(engines_for(form))
            raise click.UsageError(f"none of {', '.join(engines)} runs {path}: use {able}")
        jobs += [(path, engine) for engine in usable_engines(wanted, [form])]
    return jobs


def _text(rows: Rows, ratios: list[dict[str, Any]]) -> str:
    from ..render import kib, number, table

    headers = (
        "file",
        "engine",
        "median",
        "p90",
        "p99",
        "load",
        "peak memory",
        "threads",
        "evidence",
        "device",
    )
    body = [
        (
            path.name,
            f"{m.engine} {m.engine_version}",
            *(
                number(m.values.get(key), "ms")
                for key in ("latency_ms", "latency_p90_ms", "latency_p99_ms", "load_ms")
            ),
            kib(m.values.get("peak_rss_bytes")),
            str(m.threads),
            str(m.evidence),
            m.device,
        )
        for path, m in rows
    ]
    lines = [table(headers, body, (2, 3, 4, 5, 6, 7))]
    lines += [_difference(ratio) for ratio in ratios]
    lines += [f"note: {note}" for note in dict.fromkeys(n for _, m in rows for n in m.notes)]
    return "\n".join(lines)


def _difference(ratio: dict[str, Any]) -> str:
    """One comparison in words; noise of the baseline against itself stands beside it."""
    from ..render import number

    change, low, high = (100 * (ratio[key] - 1) for key in ("ratio", "low", "high"))
    noise = 100 * abs(ratio["self_ratio"] - 1)
    return (
        f"{Path(ratio['file']).name} in {ratio['engine']} against {Path(ratio['baseline']).name}: {change:+.1f} % "
        f"[{low:+.1f}, {high:+.1f}] of the median; baseline against itself {number(noise, '%')} ({ratio['evidence']})"
    )
