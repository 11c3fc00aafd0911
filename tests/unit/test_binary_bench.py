"""The comparison of operators: one table, equal budgets, everything said beside the figures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from edgepress.compress.training_config import TrainConfig
from edgepress.tools.bench import binary_operators as bench


def test_the_table_says_budget_split_samples_and_seeds(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    budget = TrainConfig(epochs=2, batch_size=32, optimizer="adam", weight_decay=0)
    case = bench.Case("toy", budget, budget, {"last": True})
    monkeypatch.setitem(bench.CASES, "toy_cnn", case)
    out = tmp_path / "rows.json"
    asked = ["--network", "toy_cnn", "--operators", "bnn", "recu", "--seed", "0", "1"]
    assert bench.main([*asked, "--json", str(out)]) == 0
    rows = json.loads(out.read_text())
    assert [r["operator"] for r in rows] == ["float", "bnn", "recu"] * 2
    assert {r["epochs"] for r in rows} == {2} and all(0 <= r["tests"]["test"] <= 100 for r in rows)
    text = capsys.readouterr().out
    for part in (
        "| float |",
        "| bnn |",
        "| recu |",
        "train 192",
        "seeds [0, 1]",
        "2 epochs per operator",
    ):
        assert part in text
    mean = sum(r["tests"]["test"] for r in rows if r["operator"] == "bnn") / 2
    assert f"{mean:.2f} (" in text


def test_a_command_run_again_goes_on_after_the_last_training(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    budget = TrainConfig(epochs=1, batch_size=32, optimizer="adam", weight_decay=0)
    monkeypatch.setitem(bench.CASES, "toy_cnn", bench.Case("toy", budget, budget, {"last": True}))
    asked = ["--network", "toy_cnn", "--operators", "bnn", "recu", "--samples", "96"]
    out = tmp_path / "rows.json"
    bench.main([*asked, "--json", str(out)])
    whole = json.loads(out.read_text())
    marked = [{**row, "seconds": -1.0} for row in whole[:2]]
    out.write_text(json.dumps(marked))
    bench.main([*asked, "--json", str(out)])
    again = json.loads(out.read_text())
    assert again[:2] == marked
    assert again[2]["tests"] == whole[2]["tests"]  # from the float network that was kept
