"""The examples of docs/gates.md are read and run by what they document."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from edgepress.tools.gate.config import load_config
from edgepress.tools.gate.measure import find_measurer
from edgepress.tools.gate.measurers import of_folders, standard
from edgepress.tools.pytest_plugin import Gatekeeper

DOCS = Path(__file__).parents[2] / "docs"


def blocks(language: str) -> list[str]:
    text = (DOCS / "gates.md").read_text("utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


def test_the_configuration_is_valid_and_every_metric_is_served(tmp_path: Path) -> None:
    path = tmp_path / "gates.yml"
    path.write_text(blocks("yaml")[0])
    config = load_config(path)
    assert len(config.gates) == 6 and set(config.boards) == {"pi5"}
    for gate in config.gates:
        of_kind = of_folders if gate.path.suffix == ".c" else standard
        for limit in gate.budget.limits:
            assert find_measurer(of_kind(config.boards), gate.device, limit.metric)


def test_the_pytest_example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    judged = []
    monkeypatch.setattr(Gatekeeper, "_judge", lambda self, config: judged.append(config))
    (tmp_path / "gates.yml").write_text(blocks("yaml")[0])
    names: dict[str, object] = {}
    exec(blocks("python")[0], names)
    keeper = Gatekeeper(tmp_path, "skip", False)
    for name in ("test_keyword_network_stays_small", "test_all_gates"):
        names[name](keeper)  # type: ignore[operator]
    (gate,) = judged[0].gates
    assert [limit.metric for limit in gate.budget.limits] == ["file_bytes", "instructions"]
    assert gate.baseline == tmp_path / "baselines" / "models" / "kws.int8.tflite"
    assert len(judged[1].gates) == 6


def test_the_workflow_runs_where_instructions_are_counted() -> None:
    workflow = yaml.safe_load((DOCS / "examples" / "github-actions-gate.yml").read_text("utf-8"))
    job = workflow["jobs"]["gate"]
    assert job["container"] == "debian:12" and workflow["permissions"] == {"contents": "read"}
    used = [step["uses"] for step in job["steps"] if "uses" in step]
    assert all(re.fullmatch(r"actions/[a-z-]+@v\d+", name) for name in used) and len(used) == 3
    # what a pull request may choose reaches a shell through the environment only
    assert not any("${{" in step.get("run", "") for step in job["steps"])
