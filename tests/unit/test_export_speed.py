"""The export benchmark: what it prints, and that a missed limit is exit code 1 (no time is asserted)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from edgepress.tools.bench import export_speed


def figures(wall_ms: float, peak_mb: float | None) -> dict[str, Any]:
    timings = {name: {"wall_ms": wall_ms} for name in export_speed.LIMITED}
    return {"timings": timings} | ({} if peak_mb is None else {"memory": {"peak_mb": peak_mb}})


def test_limits() -> None:
    assert export_speed.within_limits(figures(39.0, 400.0))
    assert export_speed.within_limits(figures(39.0, None))
    assert not export_speed.within_limits(figures(41.0, 400.0))
    assert not export_speed.within_limits(figures(39.0, 1501.0))


def test_every_way_is_measured_and_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Any
) -> None:
    monkeypatch.setattr(export_speed, "NETWORK", "toy_cnn")
    monkeypatch.setattr(export_speed, "SHAPE", export_shape())
    code = export_speed.main(
        ["--repeats", "1", "--no-memory", "--json", str(tmp_path / "out.json")]
    )
    shown = json.loads(capsys.readouterr().out)
    assert shown == json.loads((tmp_path / "out.json").read_text())
    assert set(export_speed.LIMITED) < set(shown["timings"])
    assert all(times["wall_ms"] > 0 for times in shown["timings"].values())
    assert code == (0 if export_speed.within_limits(shown) else 1)
    assert {"processors", "load_1_min"} <= set(shown["machine"]) and "torch" in shown["versions"]


def export_shape() -> tuple[int, ...]:
    from edgepress.compress.zoo import entry

    return (1, *entry("toy_cnn").input_shapes[0])
