"""The planner: which nodes, which parameters, which integers, guards, and what it refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from edgepress.compress.quantization.calibrate import batches_of_one, samples_sha256
from edgepress.compress.quantization.choose import choose_observer
from edgepress.compress.quantization.constants import (
    WeightLayout,
    quantize_layer,
    weight_parameters,
)
from edgepress.compress.quantization.observers import OBSERVERS
from edgepress.compress.quantization.plan import Draft, PtqConfig, plan
from edgepress.compress.quantization.qparams import QParams
from edgepress.compress.quantization.records import QuantPlan
from edgepress.export.onnx.qdq import apply
from edgepress.runtime.errors import InputError, UsageError
from onnx import helper
from support import ptq
from support.lowering import make_hub

MINMAX = PtqConfig(observer="minmax")


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def samples(
    shape: tuple[int, ...], count: int = 4, scale: float = 1.0
) -> list[tuple[np.ndarray, ...]]:
    values = rng(1).normal(size=(count, *shape)).astype(np.float32) * np.float32(scale)
    return [(value,) for value in values]


def weights(*shape: int) -> np.ndarray:
    return rng(2).normal(size=shape).astype(np.float32)


def node(op: str, inputs: list[str], output: str, **attributes: Any) -> Any:
    return helper.make_node(op, inputs, [output], output, **attributes)


def planned(
    nodes: list[Any],
    shape: tuple[int, ...],
    constants: dict[str, np.ndarray] | None = None,
    config: PtqConfig = MINMAX,
    outputs: tuple[str, ...] = ("y",),
) -> QuantPlan:
    hub = make_hub(nodes, {"x": shape}, list(outputs), constants or {})
    made = plan(hub, samples(shape), config)
    onnx.checker.check_model(apply(hub, made), full_check=True)
    return made


# ------------------------------------------------------------------- nodes


def test_operators_without_a_kernel_stay_float_with_a_reason() -> None:
    made = planned([node("Sin", ["x"], "s"), node("Relu", ["s"], "y")], (1, 4))
    assert made.float_nodes == {"s": "Sin has no int8 kernel"}
    assert set(made.activations) == {"s", "y"}  # the input feeds no int8 node


def test_moves_between_float_nodes_stay_float() -> None:
    nodes = [
        node("Sin", ["x"], "s"),
        node("Transpose", ["s"], "t", perm=[1, 0]),
        node("Cos", ["t"], "y"),
    ]
    made = planned(nodes, (3, 4))
    assert made.float_nodes["t"] == "between float nodes"
    assert not made.activations


def test_huge_constants_keep_their_operator_float() -> None:
    constants = {"mask": np.asarray([[True, False, True]]), "low": np.float32(-1e9)}
    nodes = [node("Where", ["mask", "x", "low"], "w"), node("Softmax", ["w"], "y")]
    made = planned(nodes, (1, 3), constants)
    assert "1e+09" in made.float_nodes["w"]
    assert made.activations["y"] == QParams((1 / 256,), (-128,))


def test_keep_float_takes_names_layers_and_globs() -> None:
    hub, data = ptq.float_hub("residual"), ptq.samples("residual", 2, 1)
    block = {n.name for n in hub.graph.node if n.name.startswith("layer1.1.")}
    for entry, expected in (
        (
            "layer1.0.conv1",
            {"layer1.0.conv1", "layer1.0.relu"},
        ),  # with the activation in its kernel
        ("linear", {"linear"}),
        ("layer1.1", block),
        ("*.conv2", {"layer1.0.conv2", "layer1.1.conv2"}),
    ):
        config = PtqConfig(observer="minmax", keep_float=(entry,))
        assert set(plan(hub, data, config).float_nodes) == expected, entry


def test_unknown_layer_names_the_nearest() -> None:
    config = PtqConfig(keep_float=("layer1.0.konv1",))
    with pytest.raises(UsageError, match=r"layer1\.0\.conv1"):
        plan(ptq.float_hub("residual"), ptq.samples("residual", 1, 1), config)


# ------------------------------------------------------------------- activations


def test_concatenated_tensors_share_the_union_of_their_ranges() -> None:
    made = ptq.planned("concat")
    hub = ptq.float_hub("concat")
    concat = next(n for n in hub.graph.node if n.op_type == "Concat")
    params = {
        made.activations[n] for n in (*concat.input, concat.output[0]) if n in made.activations
    }
    assert len(params) == 1
    assert not made.requantize


def test_fixed_outputs_are_not_observed_and_meet_others_on_an_edge() -> None:
    made = ptq.planned("gated")
    fixed = [n for n, q in made.activations.items() if q == QParams((1 / 256,), (-128,))]
    assert fixed
    ((_, reason),) = made.requantize.values()
    assert "fixed" in reason


def test_outputs_take_minmax_whatever_the_observer() -> None:
    hub, data = ptq.float_hub("series"), ptq.samples("series", 24, 1)
    reference = plan(hub, data, MINMAX).activations
    for observer in OBSERVERS[1:]:
        config = PtqConfig(observer=observer, percentile=99.0)
        found = plan(hub, data, config).activations
        assert found["output"] == reference["output"]
        assert found != reference or observer == "mse"


def test_logits_before_a_softmax_take_minmax() -> None:
    nodes = [node("Gemm", ["x", "w"], "logits", transB=1), node("Softmax", ["logits"], "y")]
    constants = {"w": weights(3, 4)}
    wide = planned(nodes, (1, 4), constants)
    cut = planned(nodes, (1, 4), constants, PtqConfig(observer="percentile", percentile=60.0))
    assert wide.activations["logits"] == cut.activations["logits"]
    assert wide.activations["x"] != cut.activations["x"]


def test_pixels_are_exact() -> None:
    hub = make_hub(
        [node("Conv", ["x", "w"], "y")], {"x": (1, 3, 8, 8)}, ["y"], {"w": weights(4, 3, 1, 1)}
    )
    images = rng().integers(5, 200, (6, 1, 3, 8, 8)).astype(np.uint8)
    exact = QParams((1.0,), (-128,))
    assert plan(hub, [(i,) for i in images], MINMAX).activations["x"] == exact
    floats = [(i.astype(np.float32),) for i in images]
    assert plan(hub, floats, MINMAX).activations["x"] != exact
    known = PtqConfig(observer="minmax", input_range=(0.0, 255.0))
    assert plan(hub, floats, known).activations["x"] == exact


# ------------------------------------------------------------------- constants


@pytest.mark.parametrize("name", ptq.NETS)
def test_weights_are_narrow_and_biases_at_the_product_of_scales(name: str) -> None:
    made, hub = ptq.planned(name), ptq.float_hub(name)
    layers = [n for n in hub.graph.node if n.op_type in ("Conv", "ConvTranspose", "Gemm", "MatMul")]
    for layer in layers:
        weight = held(made, layer.input[1], layer.name)
        assert weight.values.min() >= -127
        assert weight.qparams.axis == {"ConvTranspose": 1, "MatMul": 1}.get(layer.op_type, 0)
        if len(layer.input) < 3:
            continue
        bias = held(made, layer.input[2], layer.name)
        product = np.float32(made.activations[layer.input[0]].scale[0]) * np.float32(
            weight.qparams.scale
        )
        assert np.array_equal(np.float32(bias.qparams.scale), product)
        assert bias.values.dtype == np.int32


def held(made: QuantPlan, name: str, layer: str) -> Any:
    return made.constants.get(f"{name}@{layer}", made.constants.get(name))


def test_shared_weight_with_two_biases_scales_is_split_by_node() -> None:
    nodes = [
        node("Gemm", ["x", "w", "b"], "a", transB=1),
        node("Mul", ["a", "k"], "m"),
        node("Gemm", ["m", "w", "b"], "y", transB=1),
    ]
    constants = {"w": weights(4, 4), "b": weights(4), "k": np.asarray([3.0], np.float32)}
    made = planned(nodes, (1, 4), constants)
    assert "w" in made.constants  # the same integers serve both
    assert {"b@a", "b@y"} <= set(made.constants)
    assert "b" not in made.constants


def test_weight_shared_with_a_float_node_keeps_its_float_form() -> None:
    nodes = [
        node("Gemm", ["x", "w"], "a", transB=1),
        node("Gemm", ["a", "w"], "y", transB=1),
    ]
    hub = make_hub(nodes, {"x": (1, 4)}, ["y"], {"w": weights(4, 4)})
    made = plan(hub, samples((1, 4)), PtqConfig(observer="minmax", keep_float=("a",)))
    assert set(made.constants) == {"w@y"}
    kept = next(n for n in apply(hub, made).graph.node if n.name == "a")
    assert kept.input[1] == "w"


def test_single_constants_are_exact() -> None:
    made = planned([node("Mul", ["x", "k"], "y")], (1, 4), {"k": np.asarray([0.37], np.float32)})
    constant = made.constants["k"]
    assert constant.qparams.dequantize(constant.values)[0] == pytest.approx(0.37, rel=1e-6)


def test_tied_constants_take_the_class_parameters_and_fit() -> None:
    constants = {"c": np.full((1, 2), 9.0, np.float32)}
    made = planned([node("Concat", ["x", "c"], "y", axis=1)], (1, 3), constants)
    constant = made.constants["c@y"] if "c@y" in made.constants else made.constants["c"]
    assert constant.qparams == made.activations["y"] == made.activations["x"]
    assert np.allclose(constant.qparams.dequantize(constant.values), 9.0, rtol=0.02)


# ------------------------------------------------------------------- guards


def test_huge_bias_raises_the_scale_of_its_channel_only() -> None:
    weight = np.asarray([[1e-6] * 4, [1.0] * 4], np.float32)
    bias = np.asarray([50.0, 50.0], np.float32)
    layout = WeightLayout(0, 4)
    made, made_bias = quantize_layer(weight, bias, 0.01, layout)
    assert made_bias is not None
    assert np.abs(made_bias.values.astype(np.int64)).max() <= 2**31 - 1 - 4 * 255 * 127
    np.testing.assert_allclose(made_bias.qparams.dequantize(made_bias.values), bias, rtol=1e-6)
    assert made.qparams.scale[0] >= 50 / (0.01 * 2**30)
    assert made.qparams.scale[1] == np.float32(1 / 127)


def test_dead_channel_gets_a_scale() -> None:
    weight = np.asarray([[0.0] * 4, [1.0] * 4], np.float32)
    made, made_bias = quantize_layer(
        weight, np.asarray([0.5, 0.5], np.float32), 0.1, WeightLayout(0, 4)
    )
    assert made_bias is not None
    assert not made.values[0].any()
    assert all(scale > 0 for scale in made.qparams.scale)
    np.testing.assert_allclose(made_bias.qparams.dequantize(made_bias.values), 0.5, rtol=1e-6)


def test_accumulators_that_could_overflow_are_refused() -> None:
    quantize_layer(np.ones((1, 8), np.float32), None, 1.0, WeightLayout(0, 66_310))
    with pytest.raises(InputError, match="overflow"):
        quantize_layer(np.ones((1, 8), np.float32), None, 1.0, WeightLayout(0, 66_312))


def test_mse_weight_ranges_have_the_smaller_error() -> None:
    weight = rng().normal(size=(4, 100_000)).astype(np.float32)
    weight[:, 0] = 7.0  # one value in so many is worth clipping
    errors = {}
    for choice in ("minmax", "mse"):
        params = weight_parameters(weight, 0, choice)
        errors[choice] = np.square(params.fake_quantize(weight) - weight).sum(axis=1)
    assert np.all(errors["mse"] <= errors["minmax"])
    assert errors["mse"].sum() < 0.9 * errors["minmax"].sum()


# ------------------------------------------------------------------- whole plans


def test_same_input_same_plan_and_the_model_stays() -> None:
    hub, data = ptq.float_hub("shuffle"), ptq.samples("shuffle", 8, 1)
    before = hub.SerializeToString(deterministic=True)
    config = PtqConfig(observer="entropy", bias_correction=True)
    files = [
        apply(hub, plan(hub, data, config)).SerializeToString(deterministic=True) for _ in "ab"
    ]
    assert files[0] == files[1]
    assert hub.SerializeToString(deterministic=True) == before


def test_bias_correction_removes_the_mean_error_of_every_channel() -> None:
    from edgepress.compress.quantization.bias_correction import _means, _unrounded, corrected_biases
    from edgepress.compress.quantization.simulate import simulated

    draft = Draft.of(ptq.float_hub("depthwise"), ptq.samples("depthwise", 32, 1), MINMAX)
    parameters = draft.observe(draft.samples, ("minmax",)).parameters("minmax")
    layers = [n for n in draft.split.int8.values() if n.op == "Conv"]
    wanted = _means(draft.hub, layers, draft.samples)

    def errors(biases: dict[str, np.ndarray]) -> list[float]:
        model = simulated(draft.hub, draft.view, draft.plan(parameters, "", biases))
        found = _means(model, layers, draft.samples)
        return [float(np.abs(found[n.name] - wanted[n.name]).max()) for n in layers]

    assert all(_unrounded(draft, n) == n.outputs[0] for n in layers)
    before, after = errors({}), errors(corrected_biases(draft, parameters))
    spread = 1.0  # layers' outputs have deviations of about 1
    assert max(after) < 1e-3 * spread
    assert max(before) > 5 * max(after)


def test_auto_takes_the_observer_with_the_least_error_and_shows_all() -> None:
    hub, data = ptq.float_hub("depthwise"), ptq.samples("depthwise", 32, 1)
    name, rows = choose_observer(hub, data)
    assert {row.name for row in rows} == set(OBSERVERS)
    ratios = [row.values["sqnr_db"] for row in rows]
    assert ratios == sorted(ratios, reverse=True)
    assert rows[0].name == name
    assert "chosen" in rows[0].note
    assert plan(hub, data, PtqConfig(observer="auto")).observer == name
    assert ratios[-1] < ratios[0] - 1


def test_plan_says_what_it_was_made_from() -> None:
    hub = ptq.float_hub("series")
    a, b = ptq.samples("series", 4, 1), ptq.samples("series", 4, 2)
    made = plan(hub, a, MINMAX)
    assert (made.observer, made.samples) == ("minmax", 4)
    assert made.calibration_sha256 == samples_sha256(a) != samples_sha256(b)


# ------------------------------------------------------------------- bad input


def test_bad_samples_are_refused() -> None:
    hub = ptq.float_hub("series")
    good = ptq.samples("series", 2, 1)
    with pytest.raises(InputError, match="empty"):
        plan(hub, [], MINMAX)
    with pytest.raises(InputError, match="sample 1.*shape"):
        plan(hub, [good[0], (good[1][0][0],)], MINMAX)
    with pytest.raises(InputError, match="takes 1"):
        plan(hub, [(good[0][0], good[0][0])], MINMAX)
    for bad in (np.nan, np.inf):
        spoilt = good[1][0].copy()
        spoilt[0, 2, 3] = bad
        with pytest.raises(InputError, match="NaN or infinite"):
            plan(hub, [good[0], (spoilt,)], MINMAX)


def test_infinite_inner_values_are_refused() -> None:
    hub = make_hub([node("Exp", ["x"], "e"), node("Relu", ["e"], "y")], {"x": (1, 2)}, ["y"], {})
    with pytest.raises(InputError, match="tensor 'e'"):
        plan(hub, [(np.full((1, 2), 1000.0, np.float32),)], MINMAX)


def test_impossible_options_are_refused() -> None:
    for options in (
        {"observer": "kl"},
        {"percentile": 10.0},
        {"weight_range": "max"},
        {"fc_granularity": "row"},
        {"input_range": (3.0, 3.0)},
        {"io": "int4"},
    ):
        with pytest.raises(UsageError):
            PtqConfig(**options)


def test_batches_of_one() -> None:
    found = batches_of_one((np.zeros((5, 3)), np.ones((5, 2))), 3)
    assert len(found) == 3
    assert [a.shape for a in found[0]] == [(1, 3), (1, 2)]
