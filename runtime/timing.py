"""Time a session honestly: warm up until it is steady, enough samples, the clock around `invoke` alone.

One call of `time_session` is one process's worth of samples. Samples of one process are not
independent; whoever compares files repeats the whole process (`time_file`).
"""

from __future__ import annotations

import gc
import math
import resource
import sys
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, List, Optional, Sequence, Tuple

import numpy as np

from .artifact import TensorSpec
from .errors import InputError
from .session import Session

if TYPE_CHECKING:
    Array = np.ndarray[Any, Any]

Clock = Callable[[], int]


@dataclass(frozen=True)
class TimingPlan:
    """How long to warm up and to measure.

    Warm-up: at least `warmup_invokes` and `warmup_seconds`; then until the median of the last
    `steady_window` invokes is within `steady_tolerance` of the median of as many before, at most
    `steady_cap_invokes` or `steady_cap_seconds` more. Measuring: at least `samples` and `seconds`,
    at most `cap_seconds`. Invokes shorter than `batch_below_ns`, or than 100 times the clock's
    resolution, are timed in batches of about `batch_ns`.
    """

    warmup_invokes: int = 5
    warmup_seconds: float = 0.2
    steady_window: int = 5
    steady_tolerance: float = 0.02
    steady_cap_invokes: int = 50
    steady_cap_seconds: float = 5.0
    samples: int = 30
    seconds: float = 0.5
    cap_seconds: float = 10.0
    batch_below_ns: int = 50_000
    batch_ns: int = 1_000_000
    input_seed: int = 0


@dataclass(frozen=True)
class Timing:
    """What one process measured. A sample is the mean of `batch_k` invokes in a row, in ms.

    `steady` is False where the warm-up ended by its cap. `peak_rss_bytes` is the most memory the
    process ever held, the interpreter and numpy included; 0 where the system does not tell.
    """

    samples_ms: Tuple[float, ...]
    batch_k: int
    first_invoke_ms: float
    load_ms: float
    warmup_invokes: int
    warmup_ms: float
    steady: bool
    clock_resolution_ns: float
    peak_rss_bytes: int

    @property
    def median_ms(self) -> float:
        """Median of the samples: the process's value."""
        return float(np.median(self.samples_ms))

    @property
    def min_ms(self) -> float:
        """Smallest sample: what the code can do undisturbed."""
        return float(np.min(self.samples_ms))

    def percentile_ms(self, percent: float) -> float:
        """Percentile of the samples, linear between neighbours."""
        return float(np.percentile(self.samples_ms, percent))


def time_session(
    session: Session,
    plan: Optional[TimingPlan] = None,
    inputs: Optional[Sequence[Array]] = None,
    clock: Clock = time.perf_counter_ns,
) -> Timing:
    """Time `session.invoke`; inputs are set before and outputs fetched after.

    Args:
        plan: the protocol's defaults if None.
        inputs: as `Session.run` takes them; seeded random values if None.
        clock: nanoseconds; handed in by tests.

    Raises:
        InputError: the inputs do not fit or the engine cannot run them.
    """
    plan = plan or TimingPlan()
    given = random_inputs(session.artifact.inputs, plan.input_seed) if inputs is None else inputs
    session.set_inputs(given)
    resolution = time.get_clock_info("perf_counter").resolution * 1e9
    collecting = gc.isenabled()
    gc.disable()
    try:
        warm = _warm_up(session.invoke, plan, clock)
        typical = float(np.median(warm.durations[-plan.steady_window :]))
        k = _batch(typical, plan, resolution)
        samples = _measure(session.invoke, k, plan, clock)
    finally:
        if collecting:
            gc.enable()
    session.outputs()  # an engine that computes lazily has to compute
    return Timing(
        samples_ms=tuple(sample / 1e6 for sample in samples),
        batch_k=k,
        first_invoke_ms=warm.durations[0] / 1e6,
        load_ms=session.load_ms,
        warmup_invokes=len(warm.durations),
        warmup_ms=sum(warm.durations) / 1e6,
        steady=warm.steady,
        clock_resolution_ns=resolution,
        peak_rss_bytes=peak_rss_bytes(),
    )


@dataclass(frozen=True)
class _Warm:
    durations: List[int]
    steady: bool


def _warm_up(invoke: Callable[[], None], plan: TimingPlan, clock: Clock) -> _Warm:
    durations: List[int] = []
    spent = 0
    least = max(plan.warmup_invokes, 1)
    while len(durations) < least or spent < plan.warmup_seconds * 1e9:
        durations.append(_once(invoke, clock))
        spent += durations[-1]
    minimum, extra = len(durations), 0
    while not _is_steady(durations, plan):
        if len(durations) - minimum >= plan.steady_cap_invokes:
            return _Warm(durations, False)
        if extra >= plan.steady_cap_seconds * 1e9:
            return _Warm(durations, False)
        durations.append(_once(invoke, clock))
        extra += durations[-1]
    return _Warm(durations, True)


def _once(invoke: Callable[[], None], clock: Clock) -> int:
    start = clock()
    invoke()
    return clock() - start


def _is_steady(durations: List[int], plan: TimingPlan) -> bool:
    window = plan.steady_window
    if len(durations) < 2 * window:
        return False
    before = float(np.median(durations[-2 * window : -window]))
    last = float(np.median(durations[-window:]))
    return abs(last - before) <= plan.steady_tolerance * before


def _batch(typical_ns: float, plan: TimingPlan, resolution_ns: float) -> int:
    """Invokes per sample."""
    if typical_ns >= max(plan.batch_below_ns, 100 * resolution_ns):
        return 1
    return max(1, math.ceil(plan.batch_ns / max(typical_ns, 1.0)))


def _measure(invoke: Callable[[], None], k: int, plan: TimingPlan, clock: Clock) -> List[float]:
    samples: List[float] = []
    spent = 0
    while len(samples) < plan.samples or spent < plan.seconds * 1e9:
        start = clock()
        for _ in range(k):
            invoke()
        elapsed = clock() - start
        samples.append(elapsed / k)
        spent += elapsed
        if spent >= plan.cap_seconds * 1e9:
            break
    return samples


def random_inputs(specs: Sequence[TensorSpec], seed: int) -> List[Array]:
    """Seeded values for every input: the whole range of 8- and 16-bit integers, [-1, 1) for floats.

    Other integers are 0 or 1, so that an index stays inside its table; free dimensions are 1.

    Raises:
        InputError: an input has a type that numbers do not fill.
    """
    random = np.random.default_rng(seed)
    return [_random(spec, random) for spec in specs]


def _random(spec: TensorSpec, random: np.random.Generator) -> Array:
    shape = [max(n, 1) if n < 0 else n for n in spec.shape]
    try:
        dtype = np.dtype(spec.dtype)
    except TypeError as error:
        raise InputError(
            f"input '{spec.name}' has the type {spec.dtype}, which is not made up here",
            hint="give the inputs as an .npz file",
        ) from error
    if dtype.kind == "f":
        return random.uniform(-1, 1, shape).astype(dtype)
    if dtype.kind == "b":
        return random.integers(0, 2, shape).astype(dtype)
    if dtype.kind not in "iu":
        raise InputError(
            f"input '{spec.name}' has the type {spec.dtype}, which is not made up here",
            hint="give the inputs as an .npz file",
        )
    limits = np.iinfo(dtype)
    low, high = (limits.min, limits.max) if dtype.itemsize <= 2 else (0, 1)
    return random.integers(low, high, shape, dtype=dtype, endpoint=True)


def read_inputs(path: Path, specs: Sequence[TensorSpec]) -> List[Array]:
    """Inputs from an .npz file: by name where it has the inputs' names, else in its own order.

    Raises:
        InputError: it cannot be read, or holds another number of arrays.
    """
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            raise InputError("not an .npz file", where=str(path), hint="use np.savez")
        with loaded as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"cannot read the inputs: {error}", where=str(path)) from error
    if all(spec.name in arrays for spec in specs):
        return [arrays[spec.name] for spec in specs]
    if len(arrays) != len(specs):
        raise InputError(
            f"holds {len(arrays)} arrays, the model takes {len(specs)}",
            where=str(path),
            hint="store one array per input, in order or by name: "
            + ", ".join(spec.name for spec in specs),
        )
    return list(arrays.values())


def peak_rss_bytes() -> int:
    """Most memory this process ever held, 0 where the system does not tell.

    Linux: VmHWM, because getrusage's figure survives exec and so may be the parent's.
    """
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak) if sys.platform == "darwin" else int(peak) * 1024
