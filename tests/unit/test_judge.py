"""What a wrong ONNX file can hold: each case is one clear error that names the culprit."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from edgepress.export.onnx import judge
from edgepress.export.onnx.intake import fix_input_shapes
from edgepress.runtime.errors import InputError, UnsupportedOperatorError
from onnx import TensorProto, helper, numpy_helper
from support.passes import parse, random, read


def model() -> onnx.ModelProto:
    return parse("(float[1,4] x) => (float[1,3] y) { y = MatMul(x, w) }", w=random(4, 3))


def shorter(m: onnx.ModelProto) -> None:
    m.graph.initializer[0].raw_data = m.graph.initializer[0].raw_data[:-4]


def text(m: onnx.ModelProto) -> None:
    m.graph.initializer[0].CopyFrom(helper.make_tensor("w", TensorProto.STRING, [1], [b"a"]))


def sparse(m: onnx.ModelProto) -> None:
    values = numpy_helper.from_array(np.float32([1]), "s")
    indices = numpy_helper.from_array(np.int64([0]), "i")
    m.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [4]))


def constant(m: onnx.ModelProto) -> None:
    broken = numpy_helper.from_array(np.float32([1, 2]), "c")
    broken.dims[0] = 3
    m.graph.node.append(helper.make_node("Constant", [], ["c"], "late", value=broken))


WRONG: dict[str, tuple[Any, str]] = {
    "no opset": (lambda m: m.ClearField("opset_import"), "names no opset"),
    "no output": (lambda m: m.graph.ClearField("output"), "no output"),
    "nothing": (lambda m: m.graph.Clear(), "no graph"),
    "short weight": (shorter, "'w' does not hold the 12 values"),
    "negative size": (lambda m: m.graph.initializer[0].dims.__setitem__(0, -4), "impossible dimensions"),
    "huge size": (lambda m: m.graph.initializer[0].dims.__setitem__(0, 1 << 40), "impossible dimensions"),
    "text": (text, "holds text"),
    "sparse": (sparse, "sparse"),
    "broken constant": (constant, "Constant 'late' is not valid"),
    "missing input": (lambda m: m.graph.node[0].input.pop(), "MatMul 'matmul0' is not valid"),
    "unknown attribute": (
        lambda m: m.graph.node[0].attribute.append(helper.make_attribute("speed", 1)),
        "MatMul 'matmul0' is not valid",
    ),
    "dangling": (lambda m: m.graph.node[0].input.__setitem__(1, "v"), "reads 'v', which nothing writes"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_file_is_told_what_is_wrong(name: str) -> None:
    spoil, message = WRONG[name]
    wrong = model()
    judge.check(wrong, "model.onnx")  # sound before
    spoil(wrong)
    with pytest.raises(InputError, match=message) as caught:
        judge.check(wrong, "model.onnx")
    assert "model.onnx" in str(caught.value)


@pytest.mark.parametrize(
    ("domain", "hint"), [("onnx.brevitas", "QCDQ"), ("com.acme", "standard ones")]
)
def test_foreign_operators_say_what_to_do(domain: str, hint: str) -> None:
    wrong = model()
    wrong.graph.node[0].domain = domain
    wrong.opset_import.append(helper.make_opsetid(domain, 1))
    with pytest.raises(UnsupportedOperatorError, match=f"{domain}::MatMul") as caught:
        judge.check(wrong, "model.onnx")
    assert hint in str(caught.value)


@pytest.mark.parametrize(
    ("text", "values", "refused"),
    [
        ("y = Add(x, k)", np.float32([0, -np.inf, 0, 0]), True),  # a vector is no mask
        ("y = Add(x, k)", np.float32([[0, -np.inf, 0, 0]]), False),
        ("y = Add(x, k)", np.float32([[0, np.inf, 0, 0]]), True),
        ("y = Clip(x, k)", np.float32(-np.inf), False),
        ("y = Max(x, k)", np.float32([-np.inf]), False),
        ("y = MatMul(x, k)", np.full((4, 4), -np.inf, np.float32), True),
        ("y = Div(x, k)", np.float32(np.inf), True),
        ("y = Where(c, x, k)", np.float32(np.nan), True),
    ],
)
def test_infinity_is_let_through_only_where_it_is_meant(
    text: str, values: np.ndarray, refused: bool
) -> None:
    graph = read(parse(f"(float[1,4] x, bool[1,4] c) => (y) {{ {text} }}", k=values))
    if refused:
        with pytest.raises(InputError, match="initializer 'k'"):
            judge.refuse_bad_numbers(graph, "model.onnx")
    else:
        judge.refuse_bad_numbers(graph, "model.onnx")


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda t: t.ClearField("shape"), "no shape"),
        (lambda t: setattr(t, "elem_type", TensorProto.STRING), "no numbers"),
        (lambda t: t.shape.dim[1].__setattr__("dim_value", 1 << 40), "impossible dimensions"),
        (lambda t: t.shape.dim[1].__setattr__("dim_param", "T"), "free dimensions"),
    ],
)
def test_inputs_that_cannot_be_fixed(edit: Any, message: str) -> None:
    wrong = model()
    edit(wrong.graph.input[0].type.tensor_type)
    with pytest.raises(InputError, match=message):
        fix_input_shapes(wrong, {}, "model.onnx")
