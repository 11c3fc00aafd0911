"""History: lines that are only added to, an index that can be lost, steps and creep."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from edgepress.runtime.errors import InputError, UsageError
from edgepress.tools.gate.history import append, best_of, read_history, trends
from edgepress.tools.gate.steps import MOST_POINTS, Segment, last_step_up, segments
from edgepress.tools.gate.trend_text import trend_text
from support.gates import exact, results, timed


def write(path: Path, sizes: Sequence[float]) -> Path:
    for number, size in enumerate(sizes):
        append(results(exact(size), commit=f"c{number}"), path)
    return path


# ------------------------------------------------------------------- steps


def levels(found: Sequence[Segment]) -> list[float]:
    return [segment.level for segment in found]


def test_steps_are_found_where_they_are() -> None:
    random = np.random.default_rng(0)
    noise = random.normal(0, 0.5, 90)
    truth = np.repeat([100.0, 104.0, 102.0], 30)
    found = segments(truth + noise)
    assert [abs(s.start - t) <= 1 for s, t in zip(found, (0, 30, 60), strict=True)] == [True] * 3
    np.testing.assert_allclose(levels(found), [100, 104, 102], atol=0.3)


def test_noise_is_no_step() -> None:
    random = np.random.default_rng(1)
    assert all(len(segments(random.normal(100, 1, 60))) == 1 for _ in range(10))
    assert levels(segments([5.0] * 20)) == [5.0] and levels(segments([7.0])) == [7.0]
    assert segments([]) == ()


def test_an_outlier_amid_noise_is_no_step() -> None:
    values = np.random.default_rng(2).normal(100, 1, 31)
    values[15] = 108.0
    assert len(segments(values)) == 1
    # exact numbers have no noise: one commit that was bigger is a step up and a step down
    assert levels(segments([100.0] * 15 + [108.0] + [100.0] * 15)) == [100.0, 108.0, 100.0]


def test_sure_values_weigh_more() -> None:
    values = [100.0] * 10 + [110.0, 90.0] * 5
    unsure = segments(values, [1.0] * 10 + [0.01] * 10)
    assert len(unsure) == 1 and unsure[0].level == 100.0


def test_long_series_count_from_their_start() -> None:
    found = segments([1.0] * (MOST_POINTS + 50) + [2.0] * 50)
    assert found[-1] == Segment(MOST_POINTS + 50, MOST_POINTS + 100, 2.0)


def test_the_last_step_for_the_worse() -> None:
    fit = [Segment(i, i + 1, level) for i, level in enumerate([100.0, 110.0, 105.0, 120.0, 121.0])]
    assert last_step_up(fit, 0.05) == (fit[2], fit[3])
    assert last_step_up(fit, 0.2) is None
    assert last_step_up(fit, 0.03, higher_is_better=True) == (fit[1], fit[2])


# ------------------------------------------------------------------- the file


def test_the_commit_of_the_last_step(tmp_path: Path) -> None:
    path = write(tmp_path / "h.jsonl", [100.0] * 8 + [110.0] * 6)
    (trend,) = trends(path, 0.05)
    assert trend.since is not None and (trend.since.commit, trend.since.line) == ("c8", 9)
    assert trend.change == pytest.approx(0.1)
    assert "+10.0 % at c8 (line 9)" in trend_text([trend])
    assert trends(path, 0.2)[0].since is None


def test_creep_adds_up(tmp_path: Path) -> None:
    path = write(tmp_path / "h.jsonl", [100.0] * 10 + [103.0] * 10 + [106.0] * 10)
    (trend,) = trends(path, 0.05)
    assert trend.since is None and trend.above_best == pytest.approx(0.06)


def test_every_number_has_its_own_series(tmp_path: Path) -> None:
    path = tmp_path / "h.jsonl"
    for value in (1.0, 2.0):
        append(results(exact(value), exact(value, "macs"), timed([value] * 5)), path)
    append(results(exact(3.0, evidence="measured")), path)
    found = {trend.name: [p.value for p in trend.points] for trend in trends(path, 0.05)}
    assert found == {
        "m.tflite file_bytes (file)": [1.0, 2.0],
        "m.tflite macs (computed)": [1.0, 2.0],
        "m.tflite @pi5/litert latency_ms (measured)": [1.0, 2.0],
        "m.tflite file_bytes (measured)": [3.0],
    }


def test_a_number_that_is_none_leaves_a_gap(tmp_path: Path) -> None:
    path = write(tmp_path / "h.jsonl", [1.0, float("nan"), 1.0])
    assert [p.line for p in trends(path, 0.05)[0].points] == [1, 3]


def test_the_index_is_made_again(tmp_path: Path) -> None:
    path, index = write(tmp_path / "h.jsonl", [1.0]), tmp_path / "h.sqlite"
    first = trends(path, 0.05)
    made = index.stat().st_mtime_ns
    assert trends(path, 0.05) == first and index.stat().st_mtime_ns == made
    index.write_bytes(b"no database")
    assert trends(path, 0.05) == first
    index.unlink()
    sqlite3.connect(index).close()
    assert trends(path, 0.05) == first
    write(path, [2.0])
    assert len(trends(path, 0.05)[0].points) == 2
    assert not list(tmp_path.glob(".*"))


def test_samples_and_verdicts_stay_behind(tmp_path: Path) -> None:
    path = write(tmp_path / "h.jsonl", [1.0, 2.0])
    lines = path.read_text().splitlines()
    assert len(lines) == 2 and all(json.loads(line)["judgements"] == [] for line in lines)
    assert [r.entries[0].location for r in read_history(path)] == [1.0, 2.0]


def test_damage_is_told_with_its_line(tmp_path: Path) -> None:
    path = write(tmp_path / "h.jsonl", [1.0])
    with path.open("a") as stream:
        stream.write('{"schema": "edgepress-resul')
    with pytest.raises(InputError, match="h.jsonl:2: not JSON"):
        trends(path, 0.05)
    with pytest.raises(InputError, match="last line is not whole"):
        write(path, [2.0])
    with pytest.raises(InputError, match="cannot read the history"):
        trends(tmp_path / "none.jsonl", 0.05)


def test_the_best_of_the_last(tmp_path: Path) -> None:
    path = tmp_path / "h.jsonl"
    for size, accuracy in ((1.0, 99.0), (5.0, 90.0), (4.0, 92.0), (6.0, 91.0)):
        append(results(exact(size), exact(accuracy, "accuracy")), path)
    assert [e.location for e in best_of(path, 3).entries] == [4.0, 92.0]
    empty = tmp_path / "e.jsonl"
    empty.touch()
    with pytest.raises(UsageError, match="history is empty"):
        best_of(empty, 3)
