"""Random chains of operators on tensors whose axes have equal lengths: a wrong axis shows as a wrong number.

Each chain starts behind a convolution (channels last) and mixes what moves axes with what computes along them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from edgepress.export.tflite.ir import LiteModel, LiteOperator, LiteTensor
from edgepress.export.tflite.prune import prune
from hypothesis import given, settings
from hypothesis import strategies as st
from support.families import check, node, operators

SIZE = 4
SLOW = settings(max_examples=60, deadline=None, derandomize=True)


class Chain:
    """Grows nodes and constants; `shape` is that of the last value."""

    def __init__(self, data: st.DataObject, rank: int):
        self.data = data
        self.shape: tuple[int, ...] = (1, *[SIZE] * (rank - 1))
        self.start = self.shape
        rng = np.random.default_rng(0)
        w = rng.normal(size=(SIZE, SIZE, *[1] * (rank - 2))).astype(np.float32)
        self.constants: dict[str, Any] = {"w": w / 2}
        self.nodes = [node("Conv", ["x", "w"], ["v0"])]
        self.values = {"v0": self.shape}

    @property
    def last(self) -> str:
        return f"v{len(self.nodes) - 1}"

    def add(self, op: str, inputs: list[str], shape: tuple[int, ...], **attributes: Any) -> None:
        name = f"v{len(self.nodes)}"
        self.nodes.append(node(op, inputs, [name], **attributes))
        self.shape = shape
        self.values[name] = shape

    def constant(self, value: Any) -> str:
        name = f"k{len(self.constants)}"
        self.constants[name] = np.asarray(value)
        return name

    def draw(self, strategy: st.SearchStrategy) -> Any:
        return self.data.draw(strategy)

    def transpose(self) -> None:
        perm = self.draw(st.permutations(range(len(self.shape))))
        self.add("Transpose", [self.last], tuple(self.shape[a] for a in perm), perm=perm)

    def reshape(self) -> None:
        total = int(np.prod(self.shape))
        targets = [(1, 4, 4, 4), (1, 4, 16), (4, 4, 4), (1, 2, 2, 4, 4), (16, 4), (1, 64), (4, 4)]
        fitting = [t for t in [*targets, (1, 4, 4), (4, 1, 4), (1, 16)] if np.prod(t) == total]
        if fitting:
            target = self.draw(st.sampled_from(fitting))
            self.add("Reshape", [self.last, self.constant(target)], target)

    def reduce(self) -> None:
        if len(self.shape) < 3:
            return
        axis = self.draw(st.integers(0, len(self.shape) - 1))
        keep = self.draw(st.booleans())
        shape = tuple(1 if a == axis else n for a, n in enumerate(self.shape) if keep or a != axis)
        axes = self.constant([axis])
        self.add("ReduceMean", [self.last, axes], shape, keepdims=int(keep))

    def slice(self) -> None:
        axis = self.draw(st.integers(0, len(self.shape) - 1))
        if self.shape[axis] == 1:
            return
        names = [self.constant([k]) for k in (1, self.shape[axis], axis)]
        shape = tuple(n - 1 if a == axis else n for a, n in enumerate(self.shape))
        self.add("Slice", [self.last, *names], shape)

    def softmax(self) -> None:
        axis = self.draw(st.integers(-len(self.shape), len(self.shape) - 1))
        self.add("Softmax", [self.last], self.shape, axis=axis)

    def join(self) -> None:
        others = [name for name, shape in self.values.items() if shape == self.shape]
        other = self.draw(st.sampled_from(others))
        if self.draw(st.booleans()):
            self.add("Add", [self.last, other], self.shape)
            return
        axis = self.draw(st.integers(0, len(self.shape) - 1))
        shape = tuple(2 * n if a == axis else n for a, n in enumerate(self.shape))
        self.add("Concat", [other, self.last], shape, axis=axis)

    def scale(self) -> None:
        length = self.draw(st.integers(0, len(self.shape)))
        factor = np.linspace(0.5, 1.5, int(np.prod(self.shape[length:])), dtype=np.float32)
        name = self.constant(factor.reshape(self.shape[length:]))
        self.add("Mul", [self.last, name], self.shape)

    def dense(self) -> None:
        weight = np.random.default_rng(1).normal(size=(self.shape[-1], 4)).astype(np.float32) / 2
        if len(self.shape) > 1:
            shape = (*self.shape[:-1], 4)
            self.add("MatMul", [self.last, self.constant(weight)], shape)


STEPS = ["transpose", "reshape", "reduce", "slice", "softmax", "join", "scale", "dense"]


@given(st.sampled_from([3, 4]), st.lists(st.sampled_from(STEPS), min_size=2, max_size=7), st.data())
@SLOW
def test_chain(rank: int, steps: list[str], data: st.DataObject) -> None:
    chain = Chain(data, rank)
    for step in steps:
        getattr(chain, step)()
    middle = f"v{len(chain.nodes) // 2}"
    outputs = [chain.last, middle] if middle != chain.last else [chain.last]
    check(chain.nodes, {"x": chain.start}, outputs, chain.constants, lsb=None)


@pytest.mark.parametrize("rank", [3, 4])
@given(st.lists(st.sampled_from(["transpose", "reshape", "slice", "join"]), max_size=6), st.data())
@settings(max_examples=25, deadline=None, derandomize=True)
def test_int8_chain_of_moves(rank: int, steps: list[str], data: st.DataObject) -> None:
    chain = Chain(data, rank)
    for step in steps:
        getattr(chain, step)()
    # a step of the convolution may double in an Add of a value to itself, six times at worst
    check(chain.nodes, {"x": chain.start}, [chain.last], chain.constants, lsb=4)


def test_reshapes_in_a_row_become_one() -> None:
    nodes = [
        node("Reshape", ["x", "a"], ["v"]),
        node("Reshape", ["v", "b"], ["u"]),
        node("Relu", ["u"], ["y"]),
    ]
    constants = {"a": np.asarray([4, 6]), "b": np.asarray([3, 8])}
    made, _ = check(nodes, {"x": (2, 12)}, constants=constants)
    assert operators(made) == ["RESHAPE", "RELU"]


def test_prune_keeps_what_outputs_need_and_renumbers() -> None:
    tensors = [LiteTensor(name, (1,), "float32") for name in ("in", "idle", "dead", "mid", "out")]
    model = LiteModel(tensors, inputs=[0], outputs=[4], input_names=["in"], output_names=["out"])
    model.operators = [
        LiteOperator("RELU", (0,), (2,)),
        LiteOperator("PRELU", (0, -1), (3,)),
        LiteOperator("RELU", (3,), (4,)),
    ]
    prune(model)
    assert [t.name for t in model.tensors] == ["in", "mid", "out"]
    assert [(o.inputs, o.outputs) for o in model.operators] == [((0, -1), (1,)), ((1,), (2,))]
    assert (model.inputs, model.outputs) == ([0], [2])
