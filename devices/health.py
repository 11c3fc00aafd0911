"""Whether what a board did can be trusted: its state before, between and after the runs of a measurement.

A reason here makes a measurement invalid: it is shown, and nothing is judged by it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

CLOCK_MAY_SHIFT = 0.02
"""Largest change of the clock during a measurement."""

KERNEL_MAY_DIFFER = 0.05
"""Above this, the clock the kernel reports is not the one the core runs at."""

State = Mapping[str, str]

THROTTLE_BITS = {
    0: "under-voltage",
    1: "the clock was capped",
    2: "throttled",
    3: "the soft temperature limit was reached",
}
"""Bits of `vcgencmd get_throttled`; 16 higher is the same "since the board was started"."""


def invalid_reasons(states: Sequence[State]) -> tuple[str, ...]:
    """Why the timings between the first and the last state are none: throttled, another clock, swap, load, governor."""
    said = [*_throttled(states), *_clock(states)]
    first, last = states[0], states[-1]
    if int(last.get("swap_used_bytes", 0)) > int(first.get("swap_used_bytes", 0)):
        said.append("swap was used")
    governors = list(dict.fromkeys(state.get("governor", "") for state in states))
    if len(governors) > 1:
        said.append(f"the governor changed from {governors[0]} to {governors[1]}")
    cores = float(first.get("cores", 0))
    load = max(float(state.get("load_average", 0)) for state in states)
    if cores and load > cores:
        said.append(f"the load average was {load:g} on {cores:g} cores")
    return tuple(said)


def emulated_reasons(facts: State) -> tuple[str, ...]:
    """Why the times of a machine are none at all: it is an emulated one."""
    if "dummy-virt" in facts.get("board", ""):
        return ("this is an emulated machine: its times are those of no board",)
    return ()


def doubts(states: Sequence[State]) -> tuple[str, ...]:
    """What is worth knowing and makes nothing invalid."""
    said = []
    for state in states:
        mhz, khz = _number(state, "loop_mhz"), _number(state, "khz")
        if mhz and khz and abs(mhz * 1e3 - khz) > KERNEL_MAY_DIFFER * khz:
            said.append(
                f"the kernel says {khz / 1e3:.0f} MHz, a timed loop {mhz:.0f} MHz: "
                "the firmware may run another clock than the kernel knows"
            )
            break
    if not any("loop_mhz" in state or "khz" in state for state in states):
        said.append("the clock of this board cannot be read")
    before = throttle_bits(states[0]) >> 16
    if before & 0xF:
        said.append(f"before the measurement, since the board was started: {_words(before & 0xF)}")
    return tuple(said)


def conditions(state: State) -> dict[str, str]:
    """A state as stored with a measurement; `throttled` is what it is now, without what was since the start."""
    found = dict(state)
    if "throttled" in found:
        found["throttled_since_start"] = hex(throttle_bits(state) >> 16)
        found["throttled"] = hex(throttle_bits(state) & 0xF)
    return found


def throttle_bits(state: State) -> int:
    """The bits of a state, 0 where there are none."""
    try:
        return int(state.get("throttled", "0"), 0)
    except ValueError:
        return 0


def _throttled(states: Sequence[State]) -> list[str]:
    """Bits that are set now, and those of the past that were not set before."""
    now = 0
    for state in states:
        now |= throttle_bits(state) & 0xF
    since = (throttle_bits(states[-1]) & ~throttle_bits(states[0])) >> 16
    found = (now | since) & 0xF
    return [f"throttled: {_words(found)}"] if found else []


def _clock(states: Sequence[State]) -> list[str]:
    """The clock timed by the loop, else what the kernel says."""
    for key, unit in (("loop_mhz", "MHz"), ("loop_rate", "turns/ms"), ("khz", "kHz")):
        values = [_number(state, key) for state in states]
        if not all(values):
            continue
        low, high = min(values), max(values)
        if high > low * (1 + CLOCK_MAY_SHIFT):
            return [f"the clock moved between {low:g} and {high:g} {unit} ({high / low - 1:.1%})"]
    return []


def _number(state: State, key: str) -> float:
    try:
        return float(state.get(key, 0))
    except ValueError:
        return 0.0


def _words(bits: int) -> str:
    return ", ".join(text for bit, text in THROTTLE_BITS.items() if bits >> bit & 1)
