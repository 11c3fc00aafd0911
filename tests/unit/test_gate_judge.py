"""Judging one number: evidence, unsound numbers, stored baselines, caps and policies."""

from __future__ import annotations

import datetime
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from edgepress.devices.budget import Budget, Limit
from edgepress.devices.measurement import Evidence, Measurement
from edgepress.devices.verdict import Kind, Outcome, Verdict, worst
from edgepress.runtime.errors import InputError, UsageError
from edgepress.tools.gate.config import Noisy
from edgepress.tools.gate.entries import Taken, entry_of, process_row
from edgepress.tools.gate.judge import REMEASURED, STORED, Rules, judge, settle
from edgepress.tools.gate.records import (
    Entry,
    Estimate,
    read_results,
    results_json,
    results_of,
    write_results,
)
from support.gates import STEADY, exact, results, timed, timed_rows

TIMES = Limit("latency_ms", max_regression=0.05)
SIZE = Limit("file_bytes", at_most=100.0, max_regression=0.0)
BASE = timed([1.0, 1.001, 0.999, 1.0, 1.002])
SLOW = timed([1.2, 1.201, 1.199, 1.2, 1.202])
NOISY = Noisy("shared board", datetime.date(2030, 1, 31))


def say(limit: Limit, new: Entry, old: Entry | None, origin: str = REMEASURED, **r: Any) -> Verdict:
    return judge(limit, new, old, origin, Rules(**r)).verdict


# ------------------------------------------------------------------- plain ends


def test_relative_and_absolute_the_worst_counts() -> None:
    assert say(SIZE, exact(100.0), exact(100.0)).word == "pass"
    assert say(SIZE, exact(101.0), exact(101.0)).kind == Kind.BUDGET
    assert say(SIZE, exact(99.0), exact(98.0)).kind == Kind.REGRESSION
    both = say(SIZE, exact(102.0), exact(98.0))
    assert "98 B -> 102 B" in both.reason and "at most 100 B" in both.reason


def test_new_and_improved() -> None:
    assert say(SIZE, exact(99.0), None).word == "new"
    assert say(SIZE, exact(101.0), None).word == "fail"
    assert say(Limit("file_bytes", max_regression=0.0), exact(97.0), exact(98.0)).word == "improved"


def test_measured_times_fail_and_pass() -> None:
    assert say(TIMES, SLOW, BASE).word == "fail"
    assert say(TIMES, BASE, BASE).word == "pass"
    assert say(TIMES, SLOW, BASE, test="mwu").word == "fail"


def test_time_budgets_need_no_baseline() -> None:
    limit = Limit("latency_ms", at_most=1.1)
    found = judge(limit, BASE, None)
    assert found.verdict.word == "pass" and found.limit == "at most 1.1 ms"
    assert say(limit, SLOW, None).word == "fail"


# ------------------------------------------------------------------- unsound numbers


@pytest.mark.parametrize(
    ("samples", "words"),
    [
        ([[math.nan] * 3] * 5, "nan"),
        ([[1.0, math.nan, 1.0]] + [[1.0]] * 4, "nan"),
        ([[0.0] * 3] * 5, "zero"),
        ([[-1.0] * 3] * 5, "negative"),
        ([[math.inf] * 3] * 5, "inf"),
        ([[]] * 5, "no samples"),
        ([], "no samples"),
    ],
)
def test_unsound_times_are_errors(samples: list[list[float]], words: str) -> None:
    bad = timed_rows([process_row(s, i) for i, s in enumerate(samples)])
    for new, old in ((bad, BASE), (BASE, bad)):
        found = say(TIMES, new, old)
        assert (found.outcome, found.exit_code) == (Outcome.ERROR, 2) and words in found.reason


@pytest.mark.parametrize("value", [math.nan, -1.0, math.inf])
def test_unsound_exact_numbers_are_errors(value: float) -> None:
    assert say(SIZE, exact(value), exact(1.0)).outcome == Outcome.ERROR
    assert say(SIZE, exact(1.0), exact(value)).outcome == Outcome.ERROR


def test_no_policy_makes_an_error_pass() -> None:
    error = say(SIZE, exact(math.nan), None)
    assert all(settle(error, p) == error for p in ("none", "warn", "fail", "pass"))


# ------------------------------------------------------------------- evidence


def test_mixed_evidence_is_refused() -> None:
    with pytest.raises(UsageError, match="differ in evidence: 'measured' and 'host'"):
        judge(TIMES, BASE, replace(BASE, evidence="host"), REMEASURED)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"engine_version": "2.2.0"}, "engine_version"),
        ({"threads": 2}, "threads"),
        ({"device": "pi4"}, "device"),
        ({"statistic": "min"}, "statistic"),
    ],
)
def test_unlike_numbers_are_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=f"differ in {words}"):
        judge(TIMES, BASE, replace(BASE, **change), REMEASURED)


def test_counts_of_another_emulator_are_refused() -> None:
    one, two = (
        exact(5.0, "instructions", evidence="emulated", fingerprint={"libc": v}) for v in "12"
    )
    with pytest.raises(UsageError, match="fingerprint: libc '1' and '2'"):
        judge(Limit("instructions", max_regression=0.005), one, two, STORED)


def test_emulated_times_are_refused() -> None:
    with pytest.raises(UsageError, match="milliseconds of an emulated device"):
        judge(TIMES, replace(BASE, evidence="emulated"), None)


def test_estimates_are_held_to_a_budget_with_their_upper_end() -> None:
    entry = replace(
        exact(5.0, "latency_ms"),
        evidence="estimated",
        unit="ms",
        estimate=Estimate((4.0, 9.0), "table 1"),
    )
    assert say(Limit("latency_ms", at_most=9.0), entry, None).word == "pass"
    found = say(Limit("latency_ms", at_most=8.9), entry, None)
    assert found.word == "fail" and "table 1" in found.reason
    with pytest.raises(UsageError, match="against a budget only"):
        judge(TIMES, entry, None)
    assert say(Limit("latency_ms", at_most=1.0), replace(entry, estimate=None), None).outcome == (
        Outcome.ERROR
    )


def test_times_of_this_host_warn_at_most() -> None:
    slow, base = (replace(e, evidence="host") for e in (SLOW, BASE))
    found = say(TIMES, slow, base)
    assert found.word == "warn" and "would be fail (regression)" in found.reason
    assert say(Limit("latency_ms", at_most=0.1), slow, None).word == "warn"
    invalid = say(TIMES, replace(slow, invalid=("swap",)), base)
    assert invalid.word == "warn" and "would be invalid" in invalid.reason


# ------------------------------------------------------------------- validity


def test_invalid_arms_give_no_verdict() -> None:
    bad = replace(BASE, invalid=("the device was throttled",))
    for new, old in ((bad, BASE), (BASE, bad)):
        assert say(TIMES, new, old).outcome == Outcome.INVALID


def test_what_the_device_says_is_invalid() -> None:
    told = measurement(invalid=("the device was throttled",))
    assert entry_of("m", [Taken(told)], "latency_ms").invalid == ("the device was throttled",)
    busy = measurement(conditions_after={**STEADY, "load_average": "999"})
    assert entry_of("m", [Taken(busy)], "latency_ms").invalid == ()  # judged by the device itself


@pytest.mark.parametrize(
    ("after", "words"),
    [
        ({"khz": "979"}, "clock moved"),
        ({"swap_used_bytes": "4096"}, "swap"),
        ({"governor": "powersave"}, "governor"),
        ({"load_average": "999"}, "load average"),
        ({"khz": "985", "load_average": "0.5"}, ""),
    ],
)
def test_conditions_make_a_time_of_this_host_invalid(after: dict[str, str], words: str) -> None:
    taken = Taken(measurement(evidence=Evidence.HOST, conditions_after={**STEADY, **after}))
    found = entry_of("m", [taken], "latency_ms")
    assert words in " ".join(found.invalid) and bool(found.invalid) == bool(words)


def test_estimates_have_their_band() -> None:
    values = {"latency_ms": 5.0, "latency_low_ms": 4.0, "latency_high_ms": 9.0}
    told = measurement(
        evidence=Evidence.ESTIMATED, values=values, samples={}, fingerprint={"calibration": "t"}
    )
    entry = entry_of("m", [Taken(told)], "latency_ms")
    assert entry.estimate == Estimate((4.0, 9.0), "t") and entry.location == 5.0
    assert say(Limit("latency_ms", at_most=8.0), entry, None).word == "fail"
    none = replace(told, values={"latency_floor_ms": 1.0}, notes=("no table fits",))
    with pytest.raises(UsageError, match="no table fits"):
        entry_of("m", [Taken(none)], "latency_ms")


def measurement(**changes: Any) -> Measurement:
    found = Measurement(
        artifact_sha256="s",
        evidence=Evidence.MEASURED,
        device="pi5",
        fingerprint={},
        engine="litert",
        engine_version="1",
        threads=1,
        values={"latency_ms": 1.0},
        samples={"latency_ms": [[1.0, 3.0, 2.0]]},
        conditions_before=STEADY,
        conditions_after=STEADY,
    )
    return replace(found, **changes)


def test_an_entry_holds_what_its_processes_say() -> None:
    parts = [[1.0, 2.0, 3.0], [4.0, 4.0, 4.0], [2.0, 2.0, 5.0]]
    taken = [
        Taken(measurement(samples={"latency_ms": [part]}), order, 0.5)
        for order, part in enumerate(parts)
    ]
    entry = entry_of("m", taken, "latency_ms")
    assert (entry.location, entry.best, entry.seconds) == (2.0, 1.0, 1.5)
    assert [p.order for p in entry.processes] == [0, 1, 2]
    hot = Taken(measurement(conditions_after={"temperature_millicelsius": "61500", "khz": "x"}))
    (row,) = entry_of("m", [hot], "latency_ms").processes
    assert (row.temp_c, row.mhz) == ((61.5,), (1.0,))
    assert entry_of("m", taken, "latency_ms", "min").location == 2.0
    assert entry_of("m", taken, "latency_ms", "p90").location == pytest.approx(4.0)
    with pytest.raises(UsageError, match="energy|cannot be had"):
        entry_of("m", taken, "load_ms")
    with pytest.raises(UsageError, match="differ in fingerprint"):
        entry_of("m", [*taken, Taken(measurement(fingerprint={"k": "2"}))], "latency_ms")


# ------------------------------------------------------------------- stored baselines, caps, policies


def test_a_stored_baseline_warns_unless_trusted() -> None:
    assert say(TIMES, SLOW, BASE, STORED).word == "warn"
    assert say(TIMES, SLOW, BASE, STORED, trust_stored=True).word == "fail"
    assert say(SIZE, exact(99.0), exact(98.0), STORED).word == "fail"  # exact numbers may be stored


def test_a_stored_baseline_of_other_conditions_gives_no_verdict() -> None:
    old = replace(BASE, fingerprint={"kernel": "6.1"})
    new = replace(SLOW, fingerprint={"kernel": "6.6"})
    found = say(TIMES, new, old, STORED, trust_stored=True)
    assert (found.outcome, found.kind) == (Outcome.INCONCLUSIVE, Kind.OTHER_CONDITIONS)
    assert "kernel '6.6' and '6.1'" in found.reason


def test_expected_noise_warns_until_it_expires() -> None:
    before = Rules(today=datetime.date(2030, 1, 31))
    found = judge(TIMES, SLOW, BASE, REMEASURED, before, NOISY).verdict
    assert found.word == "warn" and "shared board" in found.reason
    after = Rules(today=datetime.date(2030, 2, 1))
    found = judge(TIMES, SLOW, BASE, REMEASURED, after, NOISY).verdict
    assert found.word == "fail" and "expired on 2030-01-31" in found.reason


@pytest.mark.parametrize(
    ("outcome", "policy", "word"),
    [
        (Outcome.INCONCLUSIVE, "none", "inconclusive"),
        (Outcome.INCONCLUSIVE, "warn", "warn"),
        (Outcome.INCONCLUSIVE, "fail", "fail"),
        (Outcome.INCONCLUSIVE, "pass", "pass"),
        (Outcome.INVALID, "none", "invalid"),
        (Outcome.INVALID, "fail", "fail"),
        (Outcome.INVALID, "pass", "warn"),
        (Outcome.FAIL, "pass", "fail"),
        (Outcome.PASS, "fail", "pass"),
    ],
)
def test_policies(outcome: Outcome, policy: str, word: str) -> None:
    assert settle(Verdict(outcome, Kind.PLAIN, "r"), policy).word == word


def test_the_worst_of_several() -> None:
    ordered = [Outcome.ERROR, Outcome.FAIL, Outcome.INVALID, Outcome.INCONCLUSIVE, Outcome.PASS]
    for index, outcome in enumerate(ordered):
        assert worst(Verdict(o) for o in reversed(ordered[index:])).outcome == outcome
    assert worst([Verdict(Outcome.PASS), Verdict(Outcome.PASS, Kind.WARN)]).word == "warn"
    with pytest.raises(ValueError, match="no verdicts"):
        worst([])


def test_a_budget_finds_its_limits() -> None:
    assert Budget("pi5", (SIZE, TIMES)).of("latency_ms") == TIMES
    assert Budget("pi5", (SIZE,)).of("macs") is None


# ------------------------------------------------------------------- the file


def test_results_come_back_as_they_were(tmp_path: Path) -> None:
    odd = timed_rows([process_row([math.nan]), process_row([])])
    found = results(BASE, odd, exact(3.0), judgements=[judge(TIMES, SLOW, BASE, REMEASURED)])
    path = tmp_path / "r.json"
    write_results(found, path)
    back = read_results(path)
    assert json.dumps(results_json(back)) == json.dumps(results_json(found))
    assert math.isnan(back.entries[1].processes[0].median)
    json.loads(path.read_text(), parse_constant=lambda name: pytest.fail(name))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "not JSON"),
        ("[]", "not edgepress-results/1"),
        ('{"schema": "other/1"}', "'other/1'"),
        ('{"schema": "edgepress-results/1"}', "missing key"),
        ('{"schema": "edgepress-results/1", "x": 1}', "unknown key 'x'"),
    ],
)
def test_damaged_results(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "r.json"
    path.write_text(text)
    with pytest.raises(InputError, match=words) as caught:
        read_results(path)
    assert "r.json" in str(caught.value)


def test_a_damaged_number_names_the_place() -> None:
    data = results_json(results(exact(1.0)))
    data["entries"][0]["location"] = "many"
    with pytest.raises(InputError, match="there: Entry.location"):
        results_of(data, "there")
