"""`edgepress gate` from the command line: verbs, files, exit codes, streams; and the pytest fixture."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from edgepress.tools.exit_codes import ExitCode
from support.commands import call, environment, refused, tree
from support.gates import write_config
from support.onnx_files import affine_model, save

SIZES = """\
baseline: {file: base.json}
gates:
  - {model: net.onnx, metrics: {file_bytes: {max: 1MB, max_regression: 0%}, macs: {}}}
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a model and its gates, an own cache, and no traces of a CI job."""
    for name in ("GITHUB_STEP_SUMMARY", "GITHUB_SHA", "GITHUB_ACTOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = tmp_path / "project"
    folder.mkdir()
    save(affine_model((1, 2)), folder / "net.onnx")
    write_config(folder, SIZES)
    return folder


def grow(place: Path) -> None:
    """The model becomes larger."""
    save(affine_model((1, 2)), place / "net.onnx")
    data = (place / "net.onnx").read_bytes()
    # protobuf field 6 of ModelProto, the doc string: valid, and 100 bytes more
    (place / "net.onnx").write_bytes(data + b"\x32\x64" + b"x" * 100)


def gate(place: Path, *arguments: object):  # type: ignore[no-untyped-def]
    return call("gate", "--config", place / "gates.yml", *arguments)


# ------------------------------------------------------------------- the way of a number


def test_new_baseline_pass_fail(place: Path) -> None:
    done = gate(place, "--out", place / "r.json")
    assert done.code == ExitCode.OK and done.out.startswith("NEW") and "2 new" in done.out
    done = call(
        "gate", "baseline", "update", "--results", place / "r.json", "--config", place / "gates.yml"
    )
    assert done.code == ExitCode.OK and "2 numbers" in done.out
    assert gate(place).out.startswith("PASS")
    grow(place)
    done = gate(place)
    assert done.code == ExitCode.FAILED and done.out.startswith("FAIL          net.onnx file_bytes")
    assert gate(place, "--exit-zero").code == ExitCode.OK
    assert call("gate", "run", "--config", place / "gates.yml").code == ExitCode.FAILED


def test_a_failed_run_becomes_no_baseline(place: Path) -> None:
    write_config(place, "gates: [{model: net.onnx, metrics: {file_bytes: {max: 1}}}]\n")
    gate(place, "--out", place / "r.json")
    update = (
        "gate",
        "baseline",
        "update",
        "--results",
        place / "r.json",
        "--file",
        place / "b.json",
    )
    refused(call(*update), "ended with fail", "--force")
    assert not (place / "b.json").exists()
    assert call(*update, "--force", "--json").document["entries"] == 1
    refused(call(*update[:5]), "--file")


def test_nothing_is_overwritten(place: Path) -> None:
    gate(place, "--out", place / "r.json")
    before = tree(place)
    refused(gate(place, "--out", place / "r.json"), "exists", "--force")
    refused(gate(place, "--report", f"md={place / 'r.json'}"), "exists")
    assert tree(place) == before
    assert gate(place, "--out", place / "r.json", "--force").code == ExitCode.OK


def test_dry_run_does_nothing(place: Path) -> None:
    before = tree(place)
    done = gate(place, "--dry-run", "--json", "--out", place / "r.json")
    assert done.document["steps"] == ["net.onnx @host: file_bytes, macs"]
    assert done.document["writes"] == [str(place / "r.json")] and tree(place) == before


def test_json_is_one_document(place: Path) -> None:
    document = gate(place, "--json").document
    assert document["schema"] == "edgepress-results/1"
    assert [j["verdict"]["kind"] for j in document["judgements"]] == ["new", "new"]
    assert {e["evidence"] for e in document["entries"]} == {"file", "computed"}


# ------------------------------------------------------------------- reports


def test_reports_of_one_run(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(place / "summary.md"))
    xml, md = place / "out" / "gate.xml", place / "gate.md"
    done = gate(place, "--report", f"junit={xml}", "--report", f"md={md}", "--format", "github")
    assert done.out == "::notice title=edgepress gate::2 new\n"
    assert ET.parse(xml).getroot().tag == "testsuites"
    assert (place / "summary.md").read_text() == "\n" + md.read_text()


def test_a_report_later(place: Path) -> None:
    gate(place, "--out", place / "r.json")
    report = ("gate", "report", "--results", place / "r.json", "--format")
    assert "2 new" in call(*report, "text").out
    assert json.loads(call(*report, "benchmark-action").out)[0]["unit"] == "B"
    done = call(*report, "md", "--out", place / "r.md")
    assert done.code == ExitCode.OK and (place / "r.md").read_text().startswith("## edgepress gate")
    refused(call(*report, "md", "--out", place / "r.md"), "exists")


def test_history_and_the_best_of_it(place: Path) -> None:
    history = place / "h.jsonl"
    gate(place, "--out", place / "small.json")
    for _ in range(6):
        call("gate", "history", "--file", history, "--add", place / "small.json")
    grow(place)
    gate(place, "--out", place / "large.json")
    for _ in range(6):
        done = call("gate", "history", "--file", history, "--add", place / "large.json", "--json")
    sizes, macs = done.document["trends"]
    assert sizes["since"]["line"] == 7 and sizes["change"] > 0.3 and macs["since"] is None
    new = ("--new", place / "large.json")
    assert call("gate", "compare", "--base", history, "--best-of", 3, *new).code == ExitCode.OK
    assert call("gate", "compare", "--base", history, "--best-of", 9, *new).code == ExitCode.FAILED
    refused(call("gate", "compare", "--base", history, *new), "--best-of")


# ------------------------------------------------------------------- exit codes


def test_no_verdict_is_3_and_may_be_changed(place: Path) -> None:
    """Stored times of another machine give no verdict."""
    text = (place / "times.json").write_text
    entry = {
        **{"model": "m", "model_sha256": "0", "device": "pi5", "engine": "tflite", "threads": 1},
        **{"engine_version": "2", "evidence": "measured", "metric": "latency_ms", "unit": "ms"},
        **{"better": "lower", "location": 1.0, "fingerprint": {"kernel": "1"}},
        "processes": [{"order": 0, "n": 3, "min": 1.0, "median": 1.0, "p90": 1.0, "mad": 0.0}] * 5,
    }
    head = {
        "schema": "edgepress-results/1",
        "created": "",
        "commit": "",
        "tool": "",
        "fingerprint": {},
    }
    text(json.dumps({**head, "entries": [entry]}))
    other = {**entry, "fingerprint": {"kernel": "2"}}
    (place / "others.json").write_text(json.dumps({**head, "entries": [other]}))
    compare = ("gate", "compare", "--base", place / "times.json", "--new", place / "others.json")
    assert call(*compare).code == ExitCode.NO_VERDICT
    codes = [call(*compare, "--inconclusive", p).code for p in ("warn", "pass", "fail", "none")]
    assert codes == [0, 0, 1, 3] and call(*compare, "--exit-zero").code == ExitCode.OK
    mixed = {**entry, "evidence": "host"}
    (place / "others.json").write_text(json.dumps({**head, "entries": [mixed]}))
    done = call(*compare, "--exit-zero")
    assert done.code == ExitCode.USAGE and "differ in evidence" in done.out
    nan = {**entry, "location": "number:nan"}
    (place / "others.json").write_text(json.dumps({**head, "entries": [nan]}))
    assert call(*compare, "--inconclusive", "pass").code == ExitCode.USAGE


def test_several_outcomes(place: Path) -> None:
    text = "gates:\n  - {model: net.onnx, metrics: {file_bytes: {max: 1}}}\n"
    write_config(place, text + "  - {model: none.onnx, metrics: {file_bytes: {max: 1}}}\n")
    done = gate(place)
    assert done.code == ExitCode.USAGE and "1 error, 1 fail" in done.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("gate",), ("--config",)),
        (("gate", "--config", "nowhere.yml"), ("no such configuration",)),
        (("gate", "--config", "x.yml", "--report", "pdf=x"), ("format=path", "junit")),
        (("gate", "--config", "x.yml", "report"), ("--config", "behind `report`")),
        (("gate", "report", "--results", "nowhere.json"), ("nowhere.json", "no such file")),
        (("gate", "compare", "--base", "a", "--new", "b", "--tolerance", "many"), ("share",)),
    ],
)
def test_wrong_calls(
    place: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], words: tuple[str, ...]
) -> None:
    monkeypatch.chdir(place)
    (place / "x.yml").write_text((place / "gates.yml").read_text())
    refused(call(*arguments), *words)


def test_a_fault_in_the_configuration_names_its_line(place: Path) -> None:
    path = write_config(place, "gates:\n  - {model: net.onnx, metrics: {macs: {maxx: 1}}}\n")
    refused(gate(place), f"{path}:3", "did you mean 'max'")


# ------------------------------------------------------------------- real times on this host, the cache


def test_times_on_this_host_warn_at_most(place: Path) -> None:
    (place / "old").mkdir()
    save(affine_model((1, 2), scale=3.0), place / "old" / "net.onnx")
    text = "baseline: {models: old}\ndefaults: {processes: 2, max_processes: 2}\n"
    text += (
        "gates: [{model: net.onnx, metrics: {latency_ms: {max: 0.000001, max_regression: 5%}}}]\n"
    )
    write_config(place, text)
    done = gate(place, "--json")
    (judgement,) = done.document["judgements"]
    assert done.code == ExitCode.OK and judgement["verdict"]["kind"] == "warn"
    arms = [judgement[name]["processes"] for name in ("baseline", "candidate")]
    assert [[p["order"] for p in arm] for arm in arms] == [[0, 3], [1, 2]]


def test_a_second_run_measures_nothing(place: Path) -> None:
    gate(place)
    kept = sorted((place.parent / "cache").rglob("measurement.json"))
    times = [path.stat().st_mtime_ns for path in kept]
    start = time.perf_counter()
    assert gate(place).code == ExitCode.OK
    print(f"gate from cached measurements: {time.perf_counter() - start:.2f} s")
    assert len(kept) == 1 and [path.stat().st_mtime_ns for path in kept] == times


# ------------------------------------------------------------------- the pytest fixture

SUITE = """\
def test_small(edgepress_gate):
    results = edgepress_gate("net.onnx", metrics={"file_bytes": {"max": "1MB"}})
    assert results.judgements[0].verdict.word == "pass"

def test_large(edgepress_gate):
    edgepress_gate("net.onnx", metrics={"file_bytes": {"max": 1}})

def test_config(edgepress_gate):
    edgepress_gate.config("gates.yml")

def test_typo(edgepress_gate):
    edgepress_gate("net.onnx", metrics={"file_byte": {"max": 1}})
"""


def suite(place: Path, *arguments: str) -> str:
    (place / "test_models.py").write_text(SUITE)
    words = [sys.executable, "-m", "pytest", "-p", "edgepress.tools.pytest_plugin", "-rA"]
    words += ["-p", "no:cacheprovider", *arguments]
    env = environment(PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")
    return subprocess.run(
        words, cwd=place, env=env, capture_output=True, text=True, timeout=120, check=False
    ).stdout


def test_the_fixture_holds_files_to_limits(place: Path) -> None:
    out = suite(place)
    assert "2 failed, 2 passed" in out
    assert "FAIL          net.onnx file_bytes" in out and "Traceback" not in out
    assert "repeat with" not in out  # there is no file to repeat it with
    assert "did you mean 'file_bytes'" in out


def test_the_plugin_loads_nothing() -> None:
    heavy = ("numpy", "yaml", "click", "onnx", "torch")
    code = "import pytest, sys, edgepress.tools.pytest_plugin\n"
    code += f"print([m for m in {heavy!r} if m in sys.modules])"
    words = [sys.executable, "-c", code]
    done = subprocess.run(words, capture_output=True, text=True, env=environment(), check=True)
    assert done.stdout.strip() == "[]"
