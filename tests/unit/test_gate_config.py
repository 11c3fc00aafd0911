"""The configuration of gates: what is read, and how wrong files are told."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest
from edgepress.devices.budget import Limit
from edgepress.runtime.errors import EdgepressError, InputError, UsageError
from edgepress.tools.gate.config import Noisy, Scored, load_config
from edgepress.tools.gate.config_source import toml_lines
from support.gates import write_config

FULL = """\
defaults: {processes: 6, max_processes: 18, tolerance: 4%, threads: 1}
baseline: {file: b/main.json, remeasure: never, models: old}
removed: [gone.tflite]
gates:
  - model: kws.tflite
    device: pi5
    engine: litert
    metrics:
      latency_ms: {max: 1.5, max_regression: 5%, stat: min}
      file_bytes: {max: 60KiB, max_regression: 0%}
      instructions:
      accuracy: {min: 90.5%, max_drop: 0.5}
    task: watch-har
    samples: 100
    expect: noisy
    reason: shared board
    expires: 2030-01-31
"""


def test_everything_is_read(tmp_path: Path) -> None:
    config = load_config(write_config(tmp_path, FULL))
    (gate,) = config.gates
    assert (gate.device, gate.engine, gate.threads) == ("pi5", "litert", 1)
    assert (gate.processes, gate.max_processes) == (6, 18)
    assert gate.path == tmp_path / "kws.tflite" and gate.where.endswith("gates.yml:6")
    assert config.baseline.file == tmp_path / "b" / "main.json"
    assert config.baseline.models == tmp_path / "old" and config.baseline.remeasure == "never"
    assert config.removed == ("gone.tflite",)
    assert gate.scored == Scored("watch-har", "test", 100)
    assert gate.noisy == Noisy("shared board", datetime.date(2030, 1, 31))
    assert gate.budget.limits == (
        Limit("latency_ms", at_most=1.5, max_regression=0.05, statistic="min"),
        Limit("file_bytes", at_most=61440, max_regression=0.0),
        Limit("instructions", max_regression=0.005),
        Limit("accuracy", at_least=90.5, max_drop=0.5),
    )


def test_exact_metrics_are_the_default(tmp_path: Path) -> None:
    config = load_config(
        write_config(tmp_path, "gates:\n  - model: a.onnx\n  - {model: a.onnx, device: pi4}\n")
    )
    host, board = (tuple(x.metric for x in gate.budget.limits) for gate in config.gates)
    assert host == ("file_bytes", "parameters", "macs") and board == (*host, "instructions")
    assert config.gates[0].budget.of("macs") == Limit("macs", max_regression=0.0)
    assert config.gates[1].budget.of("instructions") == Limit("instructions", max_regression=0.005)


@pytest.mark.parametrize(
    ("gate", "more"),
    [
        ("{model: a.tflite, device: stm32l4r5}", {"arena_bytes"}),
        ("{model: a.tflite, device: ensemble-e3}", {"arena_bytes", "vela_cycles"}),
        ("{model: a.onnx, device: ensemble-e3}", set()),
        ("{model: a.tflite, device: w5plus}", {"instructions"}),
        ("{model: a.tflite, device: nowhere}", set()),
        ("{model: a.tflite, device: 'ssh://pi@h'}", set()),
        ("{model: a.tflite, task: watch-har}", {"accuracy"}),
    ],
)
def test_more_exact_metrics_where_they_can_be_had(
    tmp_path: Path, gate: str, more: set[str]
) -> None:
    (found,) = load_config(write_config(tmp_path, f"gates: [{gate}]\n")).gates
    names = {limit.metric for limit in found.budget.limits}
    assert names == {"file_bytes", "parameters", "macs"} | more
    assert all(limit.relative for limit in found.budget.limits)
    if "accuracy" in more:
        assert found.budget.of("accuracy") == Limit("accuracy", max_drop=0.0)


def test_times_take_the_default_tolerance(tmp_path: Path) -> None:
    text = "defaults: {tolerance: 0.1}\ngates: [{model: a, metrics: {latency_ms: {}}}]\n"
    (gate,) = load_config(write_config(tmp_path, text)).gates
    assert gate.budget.limits == (Limit("latency_ms", max_regression=0.1),)


def test_an_empty_file_points_to_gates(tmp_path: Path) -> None:
    (tmp_path / "g.yml").write_text("# nothing\n")
    with pytest.raises(InputError, match="empty") as caught:
        load_config(tmp_path / "g.yml")
    assert caught.value.hint == "docs/gates.md shows a configuration"


def test_toml_is_the_same(tmp_path: Path) -> None:
    path = tmp_path / "g.toml"
    path.write_text(
        'schema = "edgepress-gates/1"\n[defaults]\ntolerance = "4%"\n[[gates]]\nmodel = "a"\n'
        '[gates.metrics.file_bytes]\nmax = "1 kB"\n[[gates]]\nmodel = "b"\nexpect = "noisy"\n'
        'reason = "r"\nexpires = 2030-01-31\n'
    )
    first, second = load_config(path).gates
    assert first.budget.limits == (Limit("file_bytes", at_most=1000),)
    assert first.where == f"{path}:4" and second.where == f"{path}:8"
    assert second.noisy == Noisy("r", datetime.date(2030, 1, 31))


def test_toml_lines_count_items_of_arrays() -> None:
    lines = toml_lines('[[gates]]\na = 1\n[[gates]]\n[gates.metrics]\n"x" = {max = 1}\n')
    assert lines[("gates", 0, "a")] == 2 and lines[("gates", 1)] == 3
    assert lines[("gates", 1, "metrics", "x")] == 5


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("gate: []\n", 2, ("unknown key 'gate'", "did you mean 'gates'")),
        ("gates:\n  - modle: x\n", 3, ("unknown key 'modle'", "'model'")),
        ("gates:\n  - device: pi5\n", 3, ("'model' is missing",)),
        ("gates: []\n", None, ("there are no gates",)),
        ("gates:\n  - model: x\n    metrics:\n      latency_msec: {}\n", 5, ("'latency_ms'",)),
        ("gates:\n  - model: x\n    metrics: {file_bytes: {max: 6Q}}\n", 4, ("60KiB", "'6Q'")),
        ("gates:\n  - model: x\n    metrics: {file_bytes: {max: -1}}\n", 4, ("-1",)),
        ("gates:\n  - model: x\n    metrics: {file_bytes: {max: .nan}}\n", 4, ("nan",)),
        ("gates:\n  - model: x\n    metrics: {macs: {max_regression: 5}}\n", 4, ("5% or 0.05",)),
        ("gates:\n  - model: x\n    metrics: {macs: {stat: min}}\n", 4, ("one exact number",)),
        ("gates:\n  - model: x\n    metrics: {latency_ms: {stat: mean}}\n", 4, ("median",)),
        ("gates:\n  - model: x\n    metrics: {macs: {min: 1}}\n", 4, ("less is better",)),
        ("gates:\n  - model: x\n    metrics: {accuracy: {min: 1}}\n", 4, ("needs a task",)),
        (
            "gates:\n  - model: x\n    task: t\n    metrics: {accuracy: {max_regression: 1%}}\n",
            5,
            ("more is better", "max_drop"),
        ),
        ("gates:\n  - model: x\n    processes: 0\n", 4, ("from 1 to",)),
        ("gates:\n  - model: x\n    processes: true\n", 4, ("from 1 to",)),
        ("gates:\n  - {model: x, processes: 9, max_processes: 5}\n", 3, ("less than processes",)),
        ("defaults: {processes: 9, max_processes: 5}\ngates: [{model: x}]\n", 2, ("less than",)),
        ("gates:\n  - {model: x, expect: noisy}\n", 3, ("needs 'reason'",)),
        ("gates:\n  - {model: x, expect: noisy, reason: r}\n", 3, ("needs 'expires'",)),
        ("gates:\n  - {model: x, expect: noisy, reason: r, expires: soon}\n", 3, ("2030-01-31",)),
        ("gates:\n  - {model: x, reason: r}\n", 3, ("only goes with",)),
        ("gates:\n  - model: x\n  - model: x\n", 4, ("gated twice", "gates.yml:3")),
        ("gates:\n  - {model: x, device: pi5, threads: 2}\n", 3, ("single-threaded",)),
        ("baseline: {remeasure: sometimes}\ngates: [{model: x}]\n", 2, ("auto, always, never",)),
        ("gates: [model]\n", 2, ("mapping",)),
        ("gates: [{model: 3}]\n", 2, ("expected text",)),
    ],
)
def test_faults_name_the_line(
    tmp_path: Path, text: str, line: int | None, words: tuple[str, ...]
) -> None:
    path = write_config(tmp_path, text)
    with pytest.raises(UsageError) as caught:
        load_config(path)
    assert caught.value.exit_code == 2
    if line is not None:
        assert caught.value.where == f"{path}:{line}"
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("g.yml", b"schema: edgepress-gates/2\ngates: [{model: x}]", "not edgepress-gates/1"),
        ("g.yml", b"schema: [\n", "not valid YAML"),
        ("g.yml", b"\xff\xfe", "not UTF-8"),
        ("g.toml", b'schema = "edgepress-gates/1"\nx = = 1\n', "g.toml:2: not valid TOML"),
        ("g.toml", b"\xff", "not UTF-8"),
        ("g.yml", b"- 1\n", "mapping"),
    ],
)
def test_files_that_are_none(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(EdgepressError, match=words) as caught:
        load_config(path)
    assert isinstance(caught.value, (InputError, UsageError))


def test_an_absent_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such configuration"):
        load_config(tmp_path / "g.yml")
