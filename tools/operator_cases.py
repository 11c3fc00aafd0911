"""The operators the product promises, each in the forms that are lowered differently, as small random ONNX graphs.

A `Form` is one row of docs/operators.md: ONNX text, input shapes (one case each, one with H = W = C where there
are images), and constants. `forms()` lists all rows, `build(form, index)` makes a case's model, `inputs(...)`
values for it. Adding an operator means adding a form here and regenerating the page.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Shape = tuple[int, ...]

IMAGES: tuple[Shape, ...] = ((1, 4, 4, 4), (1, 4, 7, 6))
"""Default input shapes: a cube, whose axes cannot be told by their length, and one that is none."""

SIGNALS: tuple[Shape, ...] = ((1, 4, 4), (1, 4, 9))
VECTORS: tuple[Shape, ...] = ((1, 6),)


def floats(*values: float) -> Array:
    """A float32 vector, for constants."""
    return np.asarray(values, np.float32)


@dataclass(frozen=True, eq=False)
class Form:
    """One operator in one form.

    Attributes:
        operator: ONNX operator the row is about.
        form: what is special, in a few words; "" for the plain form.
        body: nodes in ONNX's text form, from inputs `x` (and `z`, same shape unless `second` says) to `y`.
        shapes: shape of `x` in each case.
        constants: name -> shape of random values, or the values themselves.
        second: shape of `z`; "same" for x's, "turned" with its last two swapped, None if there is no `z`.
        low, high: range of the inputs' uniform values; `gap` keeps them that far from zero.
        types: ONNX element types of inputs that are not float, by name.
        int8_steps: largest difference between int8 engines, in steps of the output: one for each rounding in a row.
        quantized: the body holds Q/DQ pairs already, so there is no float column.
    """

    operator: str
    form: str
    body: str
    shapes: tuple[Shape, ...] = IMAGES
    constants: Mapping[str, Any] = field(default_factory=dict)
    second: Shape | str | None = None
    low: float = -2.0
    high: float = 2.0
    gap: float = 0.0
    types: Mapping[str, str] = field(default_factory=dict)
    int8_steps: int = 1
    quantized: bool = False

    @property
    def title(self) -> str:
        """First cell of the row."""
        return f"{self.operator}, {self.form}" if self.form else self.operator

    def input_shapes(self, index: int) -> dict[str, Shape]:
        """Input name -> shape of case `index`."""
        found = {"x": self.shapes[index]}
        if self.second is not None:
            x = found["x"]
            named = {"same": x, "turned": (*x[:-2], x[-1], x[-2])}
            found["z"] = named[self.second] if isinstance(self.second, str) else self.second
        return found


def forms() -> tuple[Form, ...]:
    """All rows in the order of the page."""
    from .operator_forms import LAYERS, VALUES
    from .operator_forms_moves import COMPARISONS, MOVES, OUTSIDE, REDUCTIONS

    return (*LAYERS, *VALUES, *COMPARISONS, *REDUCTIONS, *MOVES, *OUTSIDE)


def build(form: Form, index: int) -> Any:
    """ModelProto of a case: opset 21, seeded constants, outputs with inferred types."""
    import onnx

    rng = np.random.default_rng(index + 1)
    heads = [
        f"{form.types.get(name, 'float')}[{','.join(map(str, shape))}] {name}"
        for name, shape in form.input_shapes(index).items()
    ]
    names = ", ".join(_outputs(form.body))
    graph = onnx.parser.parse_graph(f"g ({', '.join(heads)}) => ({names}) {{ {form.body} }}")
    for name, given in form.constants.items():
        graph.initializer.append(onnx.numpy_helper.from_array(_constant(given, rng), name))
    for position, node in enumerate(graph.node):
        node.name = f"{node.op_type.lower()}_{position}"
    opset = [onnx.helper.make_opsetid("", 21)]
    model = onnx.helper.make_model(graph, opset_imports=opset, ir_version=10)
    return onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)


def _outputs(body: str) -> list[str]:
    return [name for name in ("y", "y1", "y2") if f"{name} " in f"{body} " or f"{name}," in body]


def _constant(given: Any, rng: np.random.Generator) -> Array:
    if isinstance(given, tuple):
        return np.asarray(rng.uniform(-1.0, 1.0, given), np.float32)
    return np.asarray(given)


def inputs(form: Form, index: int, seed: int) -> dict[str, Array]:
    """Values of a case's inputs; integer inputs are 0, 1 and 2, booleans half true."""
    rng = np.random.default_rng((seed, index))
    found: dict[str, Array] = {}
    for name, shape in form.input_shapes(index).items():
        kind = form.types.get(name, "float")
        if kind == "float":
            values = rng.uniform(form.low, form.high, shape)
            values = np.where(np.abs(values) < form.gap, form.gap, values)
            found[name] = values.astype(np.float32)
        elif kind == "bool":
            found[name] = rng.integers(0, 2, shape).astype(bool)
        else:
            found[name] = rng.integers(0, 3, shape).astype(kind)
    return found
