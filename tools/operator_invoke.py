"""Every operator form in every engine and precision, settled by running it: the cells of docs/operators.md.

Each case takes the way a user's model takes: ONNX text -> hub -> (planner -> Q/DQ) -> ONNX or TFLite file -> session.
A new exporter adds one `Column`: a title, a precision and a function from a `Prepared` case to a `Cell`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..runtime.errors import EdgepressError, InputError, ParityError
from ..runtime.session import Session, open_session, run_real
from . import operator_cases
from .operator_cases import Form

Array = NDArray[Any]

FLOAT, INT8 = "float32", "int8"
NATIVE, REWRITTEN, ISLAND, REFUSED, NONE = "native", "rewritten as", "float island", "refused", "-"

HELPERS = (
    *("RESHAPE", "TRANSPOSE", "SQUEEZE", "PAD", "PADV2", "QUANTIZE", "DEQUANTIZE", "SLICE"),
    *("copy", "fill", "rescale_s8", "quantize_s8", "dequantize_s8"),
)
"""Operators that only bring data into the form another one takes, unless the row is about them."""

FLOAT_TOLERANCE = 1e-5
"""Of the largest value (at least 1) of an output."""

INT8_DRIFT = 0.06
"""Quantized against float, of the output's range: what 8 bits cost a few operators in a row, with margin."""

SAMPLES = 8


@dataclass(frozen=True)
class Cell:
    """What an engine does with a form: `kind`, the operators it runs, or the reason against it."""

    kind: str
    operators: tuple[str, ...] = ()
    reason: str = ""


@dataclass(frozen=True, eq=False)
class Prepared:
    """One case ready for an exporter: its hub (quantized for int8), and what it must compute.

    `inputs` and `expected` hold real values in ONNX's axis order, one entry for each of two inputs.
    `float_reasons` is the planner's: node -> why it stays float.
    """

    form: Form
    hub: Any
    inputs: tuple[tuple[Array, ...], ...]
    expected: tuple[tuple[Array, ...], ...]
    float_reasons: Mapping[str, str]


@dataclass(frozen=True)
class Column:
    """One column of the page: `invoke` runs a prepared case and gives the cell of that case."""

    title: str
    precision: str
    invoke: Callable[[Prepared], Cell]


# ------------------------------------------------------------------------------- preparing


@cache
def prepared(form: Form, index: int, precision: str) -> Prepared | Cell:
    """The case in a precision, or the cell for all engines if the hub or the planner refuses it."""
    from ..export.onnx.hub import from_onnx

    model = operator_cases.build(form, index)
    try:
        hub = from_onnx(model.SerializeToString())
        feeds = [operator_cases.inputs(form, index, seed) for seed in range(SAMPLES)]
        values = tuple(tuple(feed.values()) for feed in feeds)
        if precision == INT8:
            hub, reasons = _quantized(form, hub, values)
        else:
            reasons = {}
    except EdgepressError as error:
        if isinstance(error, ParityError):
            raise
        return Cell(REFUSED, reason=short(error))
    expected = tuple(tuple(_run_onnx(hub, one)) for one in values[:2])
    return Prepared(form, hub, values[:2], expected, reasons)


def _quantized(
    form: Form, hub: Any, samples: tuple[tuple[Array, ...], ...]
) -> tuple[Any, Mapping[str, str]]:
    from ..compress.quantization.plan import PtqConfig, plan
    from ..export.onnx.decompose import decompose
    from ..export.onnx.qdq import apply

    if form.quantized:
        return hub, {}
    hub = decompose(hub, for_int8=True)
    made = plan(hub, samples, PtqConfig(observer="minmax"))
    result = apply(hub, made)
    for one in samples[:2]:
        _check_drift(form, _run_onnx(hub, one), _run_onnx(result, one))
    return result, made.float_nodes


def _check_drift(form: Form, real: list[Array], quantized: list[Array]) -> None:
    for a, b in zip(real, quantized, strict=True):
        if a.dtype.kind != "f":
            wrong = float(np.mean(a != b))
            if wrong > 0.1:  # values within half a step of the threshold may fall either way
                raise ParityError(f"{form.title}: quantized, {wrong:.0%} of the answers differ")
            continue
        width = max(float(a.max(initial=0.0) - a.min(initial=0.0)), 1e-6)
        drift = float(np.abs(a - b).max()) / width
        if drift > INT8_DRIFT:
            raise ParityError(f"{form.title}: quantized, off by {drift:.1%} of the range")


def _run_onnx(model: Any, values: tuple[Array, ...]) -> list[Array]:
    from ..export.onnx.check import run

    names = [value.name for value in model.graph.input]
    return run(model, dict(zip(names, values, strict=True)), optimise=True)


# ------------------------------------------------------------------------------ the engines


def invoke_onnx(case: Prepared) -> Cell:
    """The hub in onnxruntime, from a file."""
    from ..export.onnx.hub import save

    with tempfile.TemporaryDirectory() as folder:
        session = open_session(save(case.hub, Path(folder) / "case.onnx"), "onnxruntime")
        _compare(case, session)
    nodes = [n for n in case.hub.graph.node if not n.op_type.endswith("quantizeLinear")]
    found = _in_order([n.op_type for n in nodes if not n.op_type.endswith("QuantizeLinear")])
    found = tuple(name for name in found if name != "DequantizeLinear")
    reason = next(iter(case.float_reasons.values()), "")
    if reason:
        return Cell(ISLAND, found, reason)
    return Cell(NATIVE if case.form.operator in found or not found else REWRITTEN, found)


def invoke_tflite(case: Prepared, engine: str) -> Cell:
    """The TFLite file of the hub in one of its engines."""
    from ..export.tflite import to_tflite
    from ..runtime.artifact import FileMetadata
    from ..runtime.tflite_schema import read_model

    try:
        data = to_tflite(case.hub, metadata=FileMetadata())
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "case.tflite"
            path.write_bytes(data)
            session = open_session(path, engine)
            _compare(case, session)
    except ParityError:
        raise
    except EdgepressError as error:
        return Cell(REFUSED, reason=short(error))
    graph = read_model(data).main
    reason = next(iter(case.float_reasons.values()), "")
    computing = [op for op in graph.operators if op.code.name not in ("QUANTIZE", "DEQUANTIZE")]
    is_int8 = any(node.op_type == "QuantizeLinear" for node in case.hub.graph.node)
    floats = [
        op
        for op in computing
        if any(graph.tensors[i].dtype == "float32" for i in (*op.inputs, *op.outputs) if i >= 0)
    ]
    names = _in_order([op.code.name for op in graph.operators])
    if is_int8 and floats or reason:
        return Cell(ISLAND, _in_order([op.code.name for op in floats]) or names, reason)
    kind = NATIVE if len(core(names)) == 1 else REWRITTEN
    return Cell(kind, names)


def invoke_c(case: Prepared) -> Cell:
    """The C sources of the hub, compiled here; kernels are named without their prefix."""
    from ..export.c import to_c
    from ..runtime.c_folder import MANIFEST, parse

    try:
        files = to_c(case.hub, "case")
        with tempfile.TemporaryDirectory() as folder:
            for name, data in files.items():
                (Path(folder) / name).write_bytes(data)
            _compare(case, open_session(Path(folder), "native"))
    except ParityError:
        raise
    except EdgepressError as error:
        return Cell(REFUSED, reason=short(error))
    names = tuple(name[len("ep_") :] for name in parse(files[MANIFEST]).kernels)
    reason = next(iter(case.float_reasons.values()), "")
    is_int8 = any(node.op_type == "QuantizeLinear" for node in case.hub.graph.node)
    floats = tuple(name for name in names if name.endswith("_f32"))
    if is_int8 and floats or reason:
        return Cell(ISLAND, floats or names, reason)
    if not names:
        return Cell(NATIVE, ("nothing to do",))
    return Cell(NATIVE if len(core(names)) == 1 else REWRITTEN, names)


def core(names: tuple[str, ...]) -> tuple[str, ...]:
    """The operators that compute; the last one if there are helpers only."""
    return tuple(name for name in names if name not in HELPERS) or names[-1:]


def _in_order(names: list[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))


def _compare(case: Prepared, session: Session) -> None:
    """Raise `ParityError` if the session's outputs are not the expected ones."""
    for values, wanted in zip(case.inputs, case.expected, strict=True):
        found = run_real(session, values)
        specs = session.artifact.outputs
        for spec, a, b in zip(specs, wanted, found, strict=True):
            _compare_one(case.form, session.engine, spec.scale, np.asarray(a), np.asarray(b))


def _compare_one(form: Form, engine: str, scale: float | None, a: Array, b: Array) -> None:
    if a.shape != b.shape:
        raise ParityError(f"{form.title} in {engine}: shape {b.shape}, expected {a.shape}")
    if a.dtype.kind != "f":
        if not np.array_equal(a, b):
            raise ParityError(f"{form.title} in {engine}: other values than onnxruntime")
        return
    difference = float(np.abs(a.astype(np.float64) - b).max())
    allowed = FLOAT_TOLERANCE * max(1.0, float(np.abs(a).max()))
    if scale is not None:
        allowed = (form.int8_steps + 0.01) * scale
    if not difference <= allowed:
        raise ParityError(
            f"{form.title} in {engine}: off by {difference:.3g}, allowed {allowed:.3g}"
        )


def short(error: EdgepressError) -> str:
    """What is wrong, without the place."""
    return error.what.split("(node")[0].strip()


COLUMNS: tuple[Column, ...] = (
    Column("onnxruntime", FLOAT, invoke_onnx),
    Column("tflite-runtime", FLOAT, lambda case: invoke_tflite(case, "tflite")),
    Column("LiteRT", FLOAT, lambda case: invoke_tflite(case, "litert")),
    Column("C", FLOAT, invoke_c),
    Column("onnxruntime", INT8, invoke_onnx),
    Column("tflite-runtime", INT8, lambda case: invoke_tflite(case, "tflite")),
    Column("LiteRT", INT8, lambda case: invoke_tflite(case, "litert")),
    Column("C", INT8, invoke_c),
)


def invoke(form: Form, column: Column) -> Cell:
    """The cell of a form: its cases' cells joined; the least that all cases have decides the kind.

    Raises:
        ParityError: an engine computes something else.
    """
    if column.precision == FLOAT and form.quantized:
        return Cell(NONE)
    cells = []
    for index in range(len(form.shapes)):
        case = prepared(form, index, column.precision)
        cells.append(case if isinstance(case, Cell) else column.invoke(case))
    return joined(cells)


def joined(cells: list[Cell]) -> Cell:
    """One cell for several cases of a form."""
    rank = (REFUSED, ISLAND, REWRITTEN, NATIVE)
    worst = min(cells, key=lambda cell: rank.index(cell.kind))
    names = _in_order([name for cell in cells for name in cell.operators])
    if worst.kind in (NATIVE, REWRITTEN) and len({cell.kind for cell in cells}) > 1:
        return Cell(REWRITTEN, names, worst.reason)
    return Cell(worst.kind, names, worst.reason)


def check_engines() -> None:
    """Raise `InputError` unless all engines of the page are usable here."""
    from ..runtime.engines import ENGINES, import_engine

    for engine in ENGINES:
        try:
            import_engine(engine)
        except EdgepressError as error:
            raise InputError(f"the page needs every engine: {error.what}") from error
