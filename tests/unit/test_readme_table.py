"""The README's table: every figure comes from a report, and the text around the marks stays."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from edgepress.runtime.errors import InputError
from edgepress.tools.readme_table import BEGIN, END, main, replaced, table


def report() -> dict[str, Any]:
    def score(artifact: str, engine: str, value: float) -> dict[str, Any]:
        where = {"split": "digits/test", "samples": 1250, "unit": "%"}
        return {"artifact": artifact, "engine": engine, "value": value, **where}

    def artifact(form: str, precision: str, size: int) -> dict[str, Any]:
        return {"format": form, "precision": precision, "file_bytes": size}

    return {
        "name": "digits",
        "seed": 3,
        "scores": [
            score("digits.float32.onnx", "onnxruntime", 91.5),
            score("digits.int8.tflite", "tflite", 91.25),
            score("digits.int8.tflite", "litert", 91.0),
        ],
        "artifacts": [
            artifact("tflite", "float32", 8192),
            artifact("tflite", "int8", 2048),
            artifact("onnx", "float32", 8192),
        ],
    }


def test_a_row_holds_the_reports_figures() -> None:
    row = table([report()]).splitlines()[-1]
    assert "digits/test, 1,250 samples, seed 3" in row
    assert "91.5 % (onnxruntime)" in row
    assert "91.25 % (tflite)<br>91 % (litert)" in row
    assert "8 KiB → 2 KiB (4.00x)" in row
    assert row.count("| - ") == 2  # neither scores nor a size of int8 ONNX


def test_only_the_text_between_the_marks_changes(tmp_path: Path) -> None:
    run, readme = tmp_path / "run", tmp_path / "README.md"
    run.mkdir()
    (run / "report.json").write_text(json.dumps(report()))
    readme.write_text(f"above\n{BEGIN}\nold\n{END}\nbelow\n")
    assert main([str(run), "--readme", str(readme)]) == 0
    assert readme.read_text() == f"above\n{BEGIN}\n{table([report()])}{END}\nbelow\n"


def test_missing_marks_and_runs_are_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="marks"):
        replaced("no marks", "x")
    with pytest.raises(InputError, match="no report"):
        main([str(tmp_path), "--print"])
