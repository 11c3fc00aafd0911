"""The verbs that need no recipe, on small files: inspect, export, verify, doctor, recipes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from support.commands import call
from support.run_folders import float_onnx


def test_inspect_counts(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(float_onnx(8))
    facts = call("inspect", path, "--json").document
    assert facts["totals"]["parameters"] == 8 * 2 * 9
    assert facts["totals"]["macs"] == 8 * 2 * 9 * 16
    assert facts["inputs"][0]["shape"] == [1, 2, 6, 6]
    text = call("inspect", path).out
    assert "Conv" in text and "2,304 MACs" in text


def test_inspect_npz(tmp_path: Path) -> None:
    path = tmp_path / "weights.npz"
    np.savez(path, a=np.zeros((3, 4), np.float32), b=np.array([np.nan]))
    facts = call("inspect", path, "--json").document
    assert facts["totals"] == {"elements": 13, "bytes": 56}
    assert [a["finite"] for a in facts["arrays"]] == [True, False]


def test_export_then_verify(tmp_path: Path) -> None:
    model, inputs, out = tmp_path / "net.onnx", tmp_path / "x.npz", tmp_path / "out"
    model.write_bytes(float_onnx(8))
    np.savez(
        inputs, input=np.random.default_rng(0).standard_normal((4, 2, 6, 6)).astype(np.float32)
    )
    done = call("export", model, "--out", out, "--json")
    names = [Path(entry["file"]).name for entry in done.document["files"]]
    assert names == ["net.float32.onnx", "net.float32.tflite"]
    files = sorted(out.iterdir())
    assert [path.name for path in files] == names  # and no leftovers
    done = call("verify", model, *files, "--inputs", inputs, "--json")
    assert done.code == 0, done.err
    assert done.document["passed"] and done.document["samples"] == 4


def test_the_precision_of_our_own_files_is_no_part_of_the_name(tmp_path: Path) -> None:
    model = tmp_path / "net.float32.onnx"
    model.write_bytes(float_onnx(8))
    done = call("export", model, "--out", tmp_path / "out", "--format", "tflite")
    assert done.code == 0, done.err
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["net.float32.tflite"]


def test_verify_of_another_model_fails_and_names_the_layer(tmp_path: Path) -> None:
    good, bad, inputs = (tmp_path / name for name in ("good.onnx", "bad.onnx", "x.npz"))
    good.write_bytes(float_onnx(8))
    bad.write_bytes(float_onnx(8))
    spoil_weight(bad)
    np.savez(inputs, input=np.ones((2, 2, 6, 6), np.float32))
    done = call("verify", good, bad, "--inputs", inputs)
    assert done.code == 1
    assert "FAIL" in done.out and "bad.onnx (onnxruntime): first departs at output" in done.out


def spoil_weight(path: Path) -> None:
    import onnx
    from onnx import numpy_helper

    model = onnx.load(str(path))
    weight = numpy_helper.to_array(model.graph.initializer[0]).copy()
    weight[0, 0, 0, 0] += 1
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(weight, "w"))
    onnx.save(model, str(path))


def test_doctor_says_what_is_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    done = call("doctor", "--json", "--prune")
    states = {(f["area"], f["name"]): f["state"] for f in done.document["findings"]}
    assert states[("package", "onnx")] == "ok"
    assert done.code == (0 if done.document["healthy"] else 2)
    assert done.document["pruned"]["removed"] == 0


def test_doctor_finds_a_missing_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import importlib.metadata

    found = importlib.metadata.version

    def version(name: str) -> str:
        if name == "flatbuffers":
            raise importlib.metadata.PackageNotFoundError(name)
        return "0.1" if name == "PyYAML" else found(name)

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("importlib.metadata.version", version)
    done = call("doctor")
    assert done.code == 2 and "2 problems found" in done.out
    assert "flatbuffers: pip install 'flatbuffers" in done.out
    assert "PyYAML: pip install 'PyYAML" in done.out


def test_doctor_prunes_the_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from edgepress.runtime.files import sha256_bytes
    from edgepress.tools.cache import Cache, default_folder

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "file").write_bytes(b"data")
    cache = Cache(default_folder())
    assert cache.put("ab" * 32, tmp_path, {"file": sha256_bytes(b"data")})
    assert call("doctor", "--prune", "--json").document["pruned"]["removed"] == 0
    assert call("doctor", "--prune-all", "--json").document["pruned"]["removed"] == 1
    assert cache.state().entries == 0


def test_recipes_show_gives_a_recipe_that_runs_as_a_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(call("recipes", "show", "watch-har").out)
    done = call("run", path, "--out", tmp_path / "out", "--dry-run", "--json")
    assert done.code == 0, done.err
    assert json.dumps(done.document).count("watch-har.int8.tflite")
