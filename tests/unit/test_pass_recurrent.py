"""LSTM, GRU and RNN unrolled: equal to onnxruntime's own and to torch, in every form that is let through."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import onnx
import pytest
from edgepress.export.onnx.check import assert_same, random_feeds
from edgepress.export.onnx.decompose import decompose
from edgepress.runtime.errors import UnsupportedOperatorError
from onnx import helper
from support.lowering import run_onnx
from support.passes import parse, random

GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
STEPS, BATCH, FEATURES, HIDDEN = 4, 2, 3, 5


def layer(
    op: str,
    direction: str = "forward",
    *,
    bias: bool = True,
    state: bool = False,
    layout: int = 0,
    used: tuple[str, ...] = ("y", "h", "c"),
    steps: int = STEPS,
    **attributes: Any,
) -> onnx.ModelProto:
    """One recurrent layer with random weights; optional initial states are graph inputs."""
    count = 2 if direction == "bidirectional" else 1
    rows = GATES[op] * HIDDEN
    constants = {
        "w": random(count, rows, FEATURES, seed=1),
        "r": random(count, rows, HIDDEN, seed=2) * np.float32(0.5),
    }
    if bias:
        constants["b"] = random(count, 2 * rows, seed=3)
    names = ["x", "w", "r", "b" if bias else "", ""]
    flow = f"float[{BATCH},{steps},{FEATURES}]" if layout else f"float[{steps},{BATCH},{FEATURES}]"
    kept = f"float[{BATCH},{count},{HIDDEN}]" if layout else f"float[{count},{BATCH},{HIDDEN}]"
    inputs = [f"{flow} x"]
    for name in (["h0", "c0"] if op == "LSTM" else ["h0"]) if state else []:
        inputs.append(f"{kept} {name}")
        names.append(name)
    while not names[-1]:
        names.pop()
    outputs = [n for n in ("y", "h", "c")[: 3 if op == "LSTM" else 2]]
    node = helper.make_node(
        op,
        names,
        [n if n in used else "" for n in outputs],
        "layer",
        hidden_size=HIDDEN,
        direction=direction,
        **({"layout": layout} if layout else {}),
        **attributes,
    )
    shown = [n for n in outputs if n in used]
    spelled = (
        f"({', '.join(inputs)}) => ({', '.join(f'float[] {n}' for n in shown)}) {{ t = Tanh(x) }}"
    )
    model = parse(spelled, **constants)
    del model.graph.node[:]
    model.graph.node.append(node)
    for value in model.graph.output:
        value.type.tensor_type.ClearField("shape")
    return model


def unrolled_is_same(model: onnx.ModelProto) -> onnx.ModelProto:
    after = decompose(model, for_int8=True)
    assert not set(GATES) & {n.op_type for n in after.graph.node}
    names = [o.name for o in model.graph.output]
    for seed in range(2):
        feeds = random_feeds(model, seed)
        assert_same(run_onnx(model, feeds), run_onnx(after, feeds), names, "unrolled", 2e-6)
    return after


@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("op", GATES)
@pytest.mark.parametrize("state", [False, True])
def test_every_direction_and_initial_state(op: str, direction: str, state: bool) -> None:
    unrolled_is_same(layer(op, direction, state=state))


@pytest.mark.parametrize(("before_reset", "bias"), itertools.product((0, 1), (False, True)))
def test_both_forms_of_the_gru(before_reset: int, bias: bool) -> None:
    unrolled_is_same(layer("GRU", "bidirectional", bias=bias, linear_before_reset=before_reset))


@pytest.mark.parametrize("used", [("y",), ("h",), ("c",), ("y", "c")])
def test_outputs_nobody_asks_for(used: tuple[str, ...]) -> None:
    unrolled_is_same(layer("LSTM", "bidirectional", used=used))


def test_one_step_and_missing_bias() -> None:
    for op in GATES:
        unrolled_is_same(layer(op, bias=False, steps=1))


@pytest.mark.parametrize("op", GATES)
def test_other_activations(op: str) -> None:
    given = {"RNN": ["Relu"], "GRU": ["Sigmoid", "Relu"], "LSTM": ["Sigmoid", "Relu", "Tanh"]}[op]
    unrolled_is_same(layer(op, activations=given))


def test_batch_first_layout() -> None:
    """onnxruntime does not run layout 1: compared with the same weights in layout 0."""
    for op in ("GRU", "LSTM"):
        plain, turned = layer(op, state=True), layer(op, state=True, layout=1)
        feeds = random_feeds(plain, 0)
        other = {name: np.swapaxes(value, 0, 1) for name, value in feeds.items()}
        wanted = run_onnx(plain, feeds)
        found = run_onnx(decompose(turned, for_int8=True), other)
        np.testing.assert_allclose(found[0], wanted[0].transpose(2, 0, 1, 3), atol=2e-6)
        for a, b in zip(found[1:], wanted[1:], strict=True):
            np.testing.assert_allclose(a, np.swapaxes(b, 0, 1), atol=2e-6)


def test_the_inputs_part_of_all_steps_is_one_product_per_activation() -> None:
    """A sigmoid's gates and a tanh's share no scale; a step adds one product per activation."""
    after = unrolled_is_same(layer("LSTM", used=("h",)))
    gemms = [n.name for n in after.graph.node if n.op_type == "Gemm"]
    assert len(gemms) == 2 + 2 * (STEPS - 1)  # the first state is zero and folded
    assert "layer.gates" in gemms and "layer.step3.new" in gemms


REFUSED = {
    "sequence lengths": lambda m: edit(m, 4, "n", np.int32([3, 4])),
    "peepholes": lambda m: edit(m, 7, "p", random(1, 3 * HIDDEN)),
    "clips": lambda m: attribute(m, clip=2.0),
    "coupled": lambda m: attribute(m, input_forget=1),
    "unusual activations": lambda m: attribute(m, activations=["Sigmoid", "Elu", "Tanh"]),
    "parameters": lambda m: attribute(
        m, activations=["Sigmoid", "Tanh", "Relu"], activation_alpha=[1.0]
    ),
    "not constants": lambda m: m.graph.initializer.pop(0),
}


def edit(model: onnx.ModelProto, index: int, name: str, values: np.ndarray) -> None:
    node = model.graph.node[0]
    node.input.extend([""] * (index + 1 - len(node.input)))
    node.input[index] = name
    model.graph.initializer.append(onnx.numpy_helper.from_array(values, name))


def attribute(model: onnx.ModelProto, **values: Any) -> None:
    model.graph.node[0].attribute.extend(helper.make_attribute(k, v) for k, v in values.items())


@pytest.mark.parametrize("reason", REFUSED)
def test_other_forms_are_refused_with_the_reason(reason: str) -> None:
    model = layer("LSTM")
    REFUSED[reason](model)
    if reason == "not constants":
        model.graph.input.append(
            helper.make_tensor_value_info("w", 1, [1, GATES["LSTM"] * HIDDEN, FEATURES])
        )
    with pytest.raises(UnsupportedOperatorError, match=reason) as caught:
        decompose(model, for_int8=True)
    assert "'layer'" in str(caught.value)


def test_full_sequence_lengths_and_zero_peepholes_say_nothing() -> None:
    model = layer("LSTM", state=True)
    edit(model, 4, "n", np.int32([STEPS, STEPS]))
    edit(model, 7, "p", np.zeros((1, 3 * HIDDEN), np.float32))
    unrolled_is_same(model)
