"""The benchmark of operators: its formulas, its plan, the networks it brings, what its tables say."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math
import xml.etree.ElementTree as Xml

import pytest
import torch
from edgepress.compress import datasets
from edgepress.compress.binarization.complexity import Complexity
from edgepress.tools.bench_binary import damage, formulas, networks, plan, report, tracks
from edgepress.tools.bench_binary.jobs import job_of, limited
from edgepress.tools.bench_binary.records import (
    BUDGETS,
    FLOAT,
    SETTINGS,
    Case,
    Figure,
    Outcome,
)

CASE = Case("toy", "toy_cnn")
SMOKE = BUDGETS["smoke"]


def test_quadratic_means_and_their_edges() -> None:
    assert formulas.quadratic_mean([3, 4]) == pytest.approx(math.sqrt(12.5))
    assert math.isnan(formulas.quadratic_mean([]))
    assert formulas.overall_accuracy([(90, 81), (80, 80)]) == pytest.approx(
        math.sqrt((0.9**2 + 1) / 2)
    )
    assert formulas.overall_pair(2, 4) == pytest.approx(math.sqrt(10))


def test_robustness_is_the_ratio_of_the_losses_with_a_floor() -> None:
    assert formulas.robustness(90, 70, 85, 75) == 2.0
    assert formulas.robustness(90, 89.9, 85, 75) == pytest.approx(0.1)  # G counts as a point
    assert formulas.robustness(90, 80, 85, 86) == 10.0  # better under damage counts as a point lost


def test_sensitivity_is_the_ratio_of_deviations() -> None:
    assert formulas.sensitivity([80, 84, 88], [70, 78, 86]) == pytest.approx(0.5)
    assert formulas.sensitivity([80, 80], [70, 72]) == pytest.approx(0.5 / math.sqrt(2))
    assert math.isnan(formulas.sensitivity([80], [70]))


def _outcome(
    operator: str, test: float, seed: int = 0, setting: str = "", cpu: float = 1
) -> Outcome:
    return Outcome("job", operator, seed, setting, test, test, 64, cpu, 10, "runs/x.npz")


def test_accuracy_is_averaged_over_seeds_before_the_ratio() -> None:
    full = {CASE: [_outcome(FLOAT, 80), _outcome(FLOAT, 90, 1)]}
    binary = {CASE: [_outcome("bnn", 60), _outcome("bnn", 76, 1)]}
    figures = {f.metric: f for f in tracks.accuracy_track("task", "bnn", full, binary)}
    assert figures["accuracy"].value == 68 and figures["accuracy"].seeds == 2
    assert figures["accuracy_range"].value == 16
    assert figures["accuracy_ratio"].value == pytest.approx(0.8)


def test_training_is_time_and_stability() -> None:
    full = [_outcome(FLOAT, a, setting=s, cpu=1) for a, s in ((80, "x"), (84, "y"))]
    binary = [_outcome("bnn", a, setting=s, cpu=2) for a, s in ((70, "x"), (78, "y"))]
    figures = {f.metric: f.value for f in tracks.training_track("bnn", full, binary)}
    assert figures["time_ratio"] == figures["stability_ratio"] == pytest.approx(0.5)
    assert figures["training_ratio"] == pytest.approx(0.5)
    assert figures["cpu_ms_per_step"] == pytest.approx(200)


def test_corruption_counts_every_kind_and_not_the_clean_inputs() -> None:
    full = {CASE: {"clean": 90.0, "noise": 70.0, "drift": 80.0, "samples": 64.0}}
    binary = {CASE: {"clean": 80.0, "noise": 70.0, "drift": 60.0, "samples": 64.0}}
    figures = damage.corruption_track("bnn", full, binary, 1)
    ratios = [f.value for f in figures if f.metric == "gap_ratio"]
    assert ratios == pytest.approx([2.0, 0.5, math.sqrt((4 + 0.25) / 2)])
    assert {f.samples for f in figures if f.metric == "accuracy"} == {64}


# -------------------------------------------------------------------- plans


def test_every_training_of_a_plan_is_there_once() -> None:
    jobs = plan.jobs_of(("task", "architecture", "corruption"), ("bnn", "react"), SMOKE)
    assert len(jobs) == len(set(jobs)) == 3 * 3  # three networks, the first serves two tracks
    assert [job.operator for job in jobs[:3]] == [FLOAT, "bnn", "react"]
    settings = plan.jobs_of(("training",), ("bnn",), SMOKE)
    assert len(settings) == 2 * SMOKE.settings
    assert {job.setting for job in settings} <= set(SETTINGS)


@pytest.mark.parametrize("name", BUDGETS)
def test_settings_of_a_budget_differ(name: str) -> None:
    chosen = BUDGETS[name].chosen_settings()
    assert len(set(chosen)) == BUDGETS[name].settings
    assert len({s.schedule for s in chosen}) == 2


def test_a_job_is_known_by_all_that_it_depends_on() -> None:
    keys = {
        job_of(CASE, "bnn", 0, SMOKE).key("a"),
        job_of(CASE, "bnn", 0, SMOKE).key("b"),
        job_of(CASE, "bnn", 1, SMOKE).key("a"),
        job_of(CASE, "react", 0, SMOKE).key("a"),
        job_of(CASE, "bnn", 0, BUDGETS["quick"]).key("a"),
        job_of(CASE, "bnn", 0, SMOKE, SETTINGS[0]).key("a"),
    }
    assert len(keys) == 6
    assert job_of(CASE, "bnn", 0, SMOKE).key("a") in keys


def test_limits_spread_over_the_splits_and_leave_the_task_alone() -> None:
    task = datasets.task("toy")
    few = limited(task, 48, 16)
    assert [len(few.load(s)) for s in ("train", "test", "validation")] == [48, 16, 16]
    assert len(task.load("train")) == 192
    assert len(limited(task, 0, 0).load("train")) == 192


@pytest.mark.parametrize("shape", [(6, 40), (1, 8, 8), (3, 32, 32)])
@pytest.mark.parametrize("network", ["mlp", "transformer"])
def test_networks_for_any_shape_become_binary_inside(shape: tuple[int, ...], network: str) -> None:
    task = dataclasses.replace(datasets.task("toy"), input_shapes=(shape,))
    case = Case("toy", network)
    model = networks.build(case, task)
    assert model(torch.zeros(2, *shape)).shape == (2, 3)
    made = networks.binary(case, model, task, "react")
    counts = tracks.counted(made, networks.example_of(task))
    assert 0 < counts.binary_weights < counts.weights


# ------------------------------------------------------------------- reports


def _result(*figures: Figure, notes: tuple[str, ...] = ()) -> report.Result:
    return report.Result(
        SMOKE, ("bnn", "recu"), ("complexity", "task"), figures, ("toy: 1",), notes
    )


FIGURES = (
    Figure("task", FLOAT, "toy:toy_cnn", "accuracy", 90.5, "%", "host", 64, 1),
    Figure("task", "bnn", "toy:toy_cnn", "accuracy", 81.25, "%", "host", 64, 1),
    Figure("task", "bnn", "overall", "accuracy_ratio", 0.898),
    Figure("complexity", "bnn", "overall", "ratio", 12.5, "", "computed"),
    Figure("task", "recu", "overall", "accuracy_ratio", math.nan),
)


def test_the_markdown_says_budget_split_evidence_and_samples() -> None:
    text = report.markdown(_result(*FIGURES, notes=("no data for cifar10:resnet20: left out",)))
    for part in ("Budget `smoke`", "seeds 0", "test split", "evidence: host", "test samples: 64",
                 "| bnn | 0.898 | 12.5 |", "| recu | - | - |", "| float | 90.5 |", "no data for cifar10",
                 "after BiBench"):  # fmt: skip
        assert part in text, part
    assert text.index("Learning task") < text.index("Complexity")  # the order of the tracks


def test_made_up_data_is_said_before_any_figure() -> None:
    result = _result(*FIGURES)
    assert report.MADE_UP not in report.markdown(result)
    toy = dataclasses.replace(result, data=("toy: train 64 (synthetic, for smoke tests only)",))
    text = report.markdown(toy)
    assert text.index(report.MADE_UP) < text.index("| operator |")


def test_64_binary_extras_count_as_one_operation() -> None:
    (row,) = (
        f
        for f in tracks.complexity_track("adabin", {CASE: Complexity(8, 4, 640, 320, 2, 10, 128)})
        if f.metric == "extra_operations"
    )
    assert row.value == 12


def test_csv_and_json_hold_every_figure() -> None:
    result = _result(*FIGURES)
    rows = list(csv.DictReader(io.StringIO(report.csv_text(result))))
    assert len(rows) == len(FIGURES) and rows[1]["value"] == "81.25"
    document = json.loads(json.dumps(report.document(result), allow_nan=False))
    assert document["schema"] == "edgepress-bench-binary/1"
    assert [f["value"] for f in document["figures"]] == [90.5, 81.25, 0.898, 12.5, None]


def test_the_plot_is_one_page_of_bars() -> None:
    root = Xml.fromstring(report.plot(_result(*FIGURES)))
    panels = [node for node in root if node.tag.endswith("svg")]
    assert len(panels) == 2
    assert [len([n for n in p if n.tag.endswith("rect")]) for p in panels] == [1, 1]


def test_remarks_stand_once_for_all_operators_they_are_of() -> None:
    figures = [
        Figure("hardware", name, "toy:toy_cnn", "latency_ms", 1.0, "ms", note="ep_bconv2d_f32")
        for name in ("bnn", "recu")
    ]
    result = report.Result(SMOKE, ("bnn", "recu"), ("hardware",), tuple(figures), ())
    assert "- toy:toy_cnn: ep_bconv2d_f32 (bnn, recu)" in report.markdown(result)
