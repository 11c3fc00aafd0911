"""docs/operators.md says what every engine does with every operator: each cell is run again here."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import pytest
from edgepress.export.lint import lint_model
from edgepress.export.tflite import to_tflite
from edgepress.export.tflite.lower import registry
from edgepress.runtime.errors import ParityError, UsageError
from edgepress.runtime.tflite_schema import read_model
from edgepress.tools import operator_invoke, operator_table
from edgepress.tools.operator_cases import Form, build, forms, inputs
from edgepress.tools.operator_forms_moves import OUTSIDE
from edgepress.tools.operator_invoke import FLOAT, INT8, NATIVE, REFUSED, REWRITTEN, Cell

_PROMISED = """
    Conv ConvTranspose Gemm MatMul Add Sub Mul Div Relu Clip LeakyRelu PRelu HardSwish
    HardSigmoid Sigmoid Tanh Softmax LogSoftmax Gelu LayerNormalization Sign Where Greater
    GreaterOrEqual Less Min Max Cast MaxPool AveragePool GlobalAveragePool GlobalMaxPool Concat
    Split Slice Pad Reshape Flatten Transpose Squeeze Unsqueeze ReduceMean ReduceSum ReduceMax
    ReduceMin Resize Gather LSTM GRU QuantizeLinear DequantizeLinear
"""
PROMISED = tuple(_PROMISED.split())


@functools.cache
def page_lines() -> tuple[str, ...]:
    return tuple(operator_table.PAGE.read_text().splitlines())


ROWS = [(form, precision) for form in forms() for precision in (FLOAT, INT8)]


@pytest.mark.parametrize(("form", "precision"), ROWS, ids=[f"{f.title} {p}" for f, p in ROWS])
def test_a_row_is_what_the_engines_do(form: Form, precision: str) -> None:
    if precision == FLOAT and form.quantized:
        return  # has no row in the float table
    assert operator_table.row(form, precision) in page_lines(), "run edgepress.tools.operator_table"


def test_the_page_holds_these_rows_and_no_others() -> None:
    titles = [line.split("|")[1].strip() for line in page_lines() if line.startswith("| ")]
    wanted = [f.title for f in forms() if not f.quantized] + [f.title for f in forms()]
    assert [title for title in titles if title != "operator"] == wanted
    assert "\n".join(page_lines()).startswith(operator_table.HEAD.rstrip("\n"))


def test_every_promised_and_every_lowered_operator_has_a_form() -> None:
    known = {form.operator for form in forms()}
    assert set(PROMISED) <= known
    assert {name for domain, name in registry()[0] if not domain} <= known


def test_every_promised_operator_runs_in_float_and_int8() -> None:
    """No row of a promised operator in its plain form is refused."""
    for line in page_lines():
        parts = [part.strip() for part in line.split("|")]
        if len(parts) > 2 and parts[1] in PROMISED:
            assert REFUSED not in line, line


def test_images_have_a_cube_among_their_shapes() -> None:
    images = [form for form in forms() if len(form.shapes) > 1 and len(form.shapes[0]) == 4]
    assert len(images) > 60
    assert all(any(len(set(shape[1:])) == 1 for shape in form.shapes) for form in images)


def test_cases_are_the_same_every_time() -> None:
    form = forms()[0]
    assert build(form, 0).SerializeToString() == build(form, 0).SerializeToString()
    np.testing.assert_array_equal(inputs(form, 1, 3)["x"], inputs(form, 1, 3)["x"])
    assert not np.array_equal(inputs(form, 1, 3)["x"], inputs(form, 1, 4)["x"])


def test_an_engine_that_computes_something_else_is_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = operator_invoke.run_real
    monkeypatch.setattr(operator_invoke, "run_real", lambda s, v: [x * 1.001 for x in real(s, v)])
    form = next(form for form in forms() if form.title == "Conv")
    for column in operator_invoke.COLUMNS[:3]:
        with pytest.raises(ParityError, match="Conv"):
            operator_invoke.invoke(form, column)


def test_cells_of_several_cases_are_joined() -> None:
    native, padded = Cell(NATIVE, ("CONV_2D",)), Cell(NATIVE, ("PAD", "CONV_2D"))
    assert operator_invoke.joined([native, padded]) == Cell(NATIVE, ("CONV_2D", "PAD"))
    more = Cell(REWRITTEN, ("MUL", "ADD"))
    assert operator_invoke.joined([native, more]).kind == REWRITTEN
    refused = Cell(REFUSED, reason="why")
    assert operator_invoke.joined([native, refused]).reason == "why"


def test_check_tells_whether_the_page_is_up_to_date(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    few = tuple(form for form in forms() if form.title in ("Relu", "QuantizeLinear"))
    monkeypatch.setattr(operator_table, "forms", lambda: few)
    monkeypatch.setattr(operator_table, "PAGE", tmp_path / "operators.md")
    assert operator_table.main(["--check"]) == 1  # there is none
    assert operator_table.main([]) == 0 and operator_table.main(["--check"]) == 0
    text = operator_table.PAGE.read_text()
    operator_table.PAGE.write_text(text.replace("native: RELU", "native: RELU9"))
    capsys.readouterr()
    assert operator_table.main(["--check"]) == 1
    assert "RELU9" in capsys.readouterr().err
    with pytest.raises(UsageError):
        operator_table.main(["--chek"])


def test_files_of_all_forms_pass_the_linter() -> None:
    """Every TFLite file of the table, judged for the oldest engine: float islands are warnings, nothing else."""
    judged = 0
    for form, precision in ROWS:
        for index in range(len(form.shapes)):
            case = operator_invoke.prepared(form, index, precision)
            if isinstance(case, Cell) or form in OUTSIDE or form.operator == "Erf":
                continue  # refused, as the page says
            found = lint_model(read_model(to_tflite(case.hub)), "2.14")
            assert [str(f) for f in found if f.rule != "float-island"] == [], form.title
            judged += 1
    assert judged > 400
