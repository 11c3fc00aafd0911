"""Where float and int8 meet: Q/DQ chains, unsigned files, float islands, what goes in and out of the file."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from edgepress.export.tflite import to_tflite
from edgepress.export.tflite.lower import Lowered, lower
from edgepress.export.tflite.write import write
from edgepress.runtime.artifact import METADATA_KEY, FileMetadata, Normalisation
from edgepress.runtime.errors import InputError, UnsupportedOperatorError, UsageError
from edgepress.runtime.tflite_schema import read_model
from onnx import helper
from support.lowering import (
    ENGINES,
    as_onnx,
    assert_same_float,
    channels_last,
    interpreter,
    lsb_difference,
    make_hub,
    run_onnx,
    run_tflite,
)
from support.passes import parse, random
from support.quantized import quantize


def codes(lowered: Lowered) -> list[str]:
    return [operator.code for operator in lowered.model.operators]


def hub_of(body: str, shape: str = "1,4", out: str = "1,4", **constants: Any) -> onnx.ModelProto:
    """A QDQ graph from text; s = 0.05, t = 0.1 with zero points z = 3, u = -7 at hand."""
    held = {"s": np.float32(0.05), "t": np.float32(0.1), "z": np.int8(3), "u": np.int8(-7)}
    model = parse(f"(float[{shape}] x) => (float[{out}] y) {{ {body} }}", **{**held, **constants})
    model = onnx.shape_inference.infer_shapes(model, strict_mode=True)
    onnx.checker.check_model(model, full_check=True)
    return model


def pair(source: str, target: str, scale: str = "s", zero: str = "z") -> str:
    return (
        f"{target}_q = QuantizeLinear({source}, {scale}, {zero}) "
        f"{target} = DequantizeLinear({target}_q, {scale}, {zero}) "
    )


CHAINS = {
    # body -> operators of the file with int8 input and output, extra QUANTIZE listed
    "one pair": (pair("x", "y"), ["RESHAPE"], 0),
    "the same pair twice": (pair("x", "a") + pair("a", "y"), ["RESHAPE"], 0),
    "two different pairs": (pair("x", "a") + pair("a", "y", "t", "u"), ["QUANTIZE"], 1),
    "three, back to the first": (
        pair("x", "a") + pair("a", "b", "t", "u") + pair("b", "y"),
        ["QUANTIZE", "QUANTIZE"],
        2,
    ),
    "two readers, two scales": (
        pair("x", "a") + pair("a", "b", "t", "u") + "c = Add(a, b) " + pair("c", "y", "t", "u"),
        ["QUANTIZE", "ADD"],
        1,
    ),
    "a float reader beside": (
        pair("x", "a") + "b = Floor(a) " + pair("b", "y"),
        ["DEQUANTIZE", "FLOOR", "QUANTIZE"],
        0,
    ),
}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", CHAINS)
def test_chains(name: str, engine: str) -> None:
    body, expected, extra = CHAINS[name]
    hub = hub_of(body)
    lowered = lower(hub)
    assert codes(lowered) == expected
    assert len(lowered.extra_quantize) == extra
    # a tie may fall the other way at each rounding, and one step of t is two steps of s
    limit = 1 if len(expected) == 1 else 2
    for seed in range(3):
        assert lsb_difference(hub, {"x": random(1, 4, seed=seed)}, engine).max() <= limit


@pytest.mark.parametrize("engine", ENGINES)
def test_unsigned_is_shifted_exactly(engine: str) -> None:
    """uint8 with zero point 131 is int8 with zero point 3: bit for bit the same file."""
    body = pair("x", "a") + "b = Relu(a) " + pair("b", "y", "t", "u")
    signed = hub_of(body)
    unsigned = hub_of(body, z=np.uint8(131), u=np.uint8(121))
    a, b = lower(signed), lower(unsigned)
    names = [(t.name, t.quantization, t.dtype) for t in a.model.tensors]
    assert names == [(t.name, t.quantization, t.dtype) for t in b.model.tensors]
    assert write(a.model) == write(b.model)
    assert lsb_difference(unsigned, {"x": random(1, 4)}, engine).max() == 0


def test_fewer_bits_are_a_clamp() -> None:
    body = (
        "a_q = QuantizeLinear(x, s, zero) c = Clip(a_q, low, high) a = DequantizeLinear(c, s, zero) "
        "b = Tanh(a) " + pair("b", "y", "t", "u")
    )
    four_bits = {"zero": np.int8(0), "low": np.int8(-8), "high": np.int8(7)}
    hub = hub_of(body, t_=np.float32(0), **four_bits)
    assert codes(lower(hub))[:2] == ["MAXIMUM", "MINIMUM"]
    for engine in ENGINES:
        assert lsb_difference(hub, {"x": random(1, 4) * 2}, engine).max() <= 1
    whole = {"zero": np.int8(0), "low": np.int8(-128), "high": np.int8(127)}
    assert "MAXIMUM" not in codes(lower(hub_of(body, **whole)))


@pytest.mark.parametrize("broken", ["other parameters", "no Q", "computed scale", "16 bits"])
def test_what_is_no_pair_is_refused(broken: str) -> None:
    bodies = {
        "other parameters": "q = QuantizeLinear(x, s, z) y = DequantizeLinear(q, t, u)",
        "no Q": "q = Cast<to = 3>(x) y = DequantizeLinear(q, s, z)",
        "computed scale": "m = ReduceMax<keepdims = 0>(x) q = QuantizeLinear(x, m, z) y = DequantizeLinear(q, m, z)",
        "16 bits": "q = QuantizeLinear(x, s, w) y = DequantizeLinear(q, s, w)",
    }
    with pytest.raises((InputError, UnsupportedOperatorError)):
        lower(hub_of(bodies[broken], w=np.int16(0)))


# -------------------------------------------------------------------------- in and out


def network() -> onnx.ModelProto:
    constants = {"w": random(4, 3, 3, 3), "b": random(4, seed=1), "v": random(5, 3, 1, 1, seed=2)}
    nodes = [
        helper.make_node("Conv", ["image", "v0"], ["first"], "first"),
        helper.make_node("Conv", ["first", "w", "b"], ["features"], "second", pads=[1] * 4),
        helper.make_node("GlobalAveragePool", ["features"], ["scores"], "pool"),
    ]
    constants["v0"] = random(3, 3, 1, 1, seed=5)
    del constants["v"]
    return make_hub(nodes, {"image": (1, 3, 5, 6)}, ["scores", "features"], constants)


def samples() -> list[dict[str, np.ndarray]]:
    return [{"image": random(1, 3, 5, 6, seed=s)} for s in range(4)]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("io_layout", ["nhwc", "nchw"])
@pytest.mark.parametrize("io", ["int8", "float"])
def test_types_and_layouts_at_the_borders(io: str, io_layout: str, engine: str) -> None:
    hub = quantize(network(), samples())
    lowered = lower(hub, io=io, io_layout=io_layout)
    data = write(lowered.model)
    graph = read_model(data).main
    ends = [graph.tensors[i] for i in (*graph.inputs, *graph.outputs)]
    assert {t.dtype for t in ends} == {"int8" if io == "int8" else "float32"}
    last = io_layout == "nhwc"
    assert ends[0].shape == ((1, 5, 6, 3) if last else (1, 3, 5, 6))
    assert lowered.input_layouts == (("NHWC",) if last else ("NCHW",))
    assert lowered.output_layouts == (("NHWC", "NHWC") if last else ("NCHW", "NCHW"))
    assert ("TRANSPOSE" in codes(lowered)) != last
    sample = samples()[0]
    if io == "int8":
        assert lsb_difference(hub, sample, engine, io=io, io_layout=io_layout).max() <= 1
        return
    fed = channels_last(sample["image"]) if last else sample["image"]
    for want, have in zip(run_onnx(hub, sample), run_tflite(data, [fed], engine), strict=True):
        steps = (
            ends[1].quantization
            or lower(hub).model.tensors[lower(hub).model.outputs[1]].quantization
        )
        have = as_onnx(have, "NHWC" if last else "NCHW")
        assert np.abs(have - want).max() <= 1.01 * steps.scale[0]
    assert codes(lowered)[0] in ("QUANTIZE", "TRANSPOSE") and codes(lowered)[-1] in (
        "DEQUANTIZE",
        "TRANSPOSE",
    )


@pytest.mark.parametrize("engine", ENGINES)
def test_a_float_layer_in_an_int8_file(engine: str) -> None:
    hub = quantize(network(), samples(), keep_float=("second",))
    lowered = lower(hub)
    assert codes(lowered)[:3] == ["CONV_2D", "DEQUANTIZE", "CONV_2D"]
    # a tie in front of the float layer comes out as up to two steps
    steps = lsb_difference(hub, samples()[0], engine)
    assert steps.max() <= 2 and (steps <= 1).mean() > 0.95


@pytest.mark.parametrize("engine", ENGINES)
def test_signature_and_names(engine: str) -> None:
    data = to_tflite(quantize(network(), samples()))
    made = interpreter(data, engine)
    assert list(made.get_signature_list()) == ["serving_default"]
    runner = made.get_signature_runner("serving_default")
    image = np.zeros((1, 5, 6, 3), np.int8)
    assert set(runner(image=image)) == {"scores", "features"}
    names = {t["name"] for t in made.get_tensor_details()}
    assert {"image", "first", "features", "scores"} <= names


def test_metadata_can_be_read_back() -> None:
    given = FileMetadata(
        labels=("walk", "run"), normalisation=Normalisation((1.0,), (2.0,)), task="watch-har"
    )
    lite = read_model(to_tflite(quantize(network(), samples()), metadata=given))
    held = FileMetadata.loads(lite.metadata[METADATA_KEY].decode())
    assert (held.labels, held.task, held.normalisation) == (
        given.labels,
        given.task,
        given.normalisation,
    )
    assert held.precision == "int8" and held.input_layouts == ("NHWC",)
    assert held.extra["output_layouts"] == "NHWC,NHWC"


def test_same_hub_same_bytes_and_the_hub_is_unchanged() -> None:
    hub = quantize(network(), samples())
    before = hub.SerializeToString(deterministic=True)
    first = to_tflite(hub)
    copy = onnx.load_model_from_string(hub.SerializeToString())
    assert to_tflite(copy) == first == to_tflite(hub)
    assert hub.SerializeToString(deterministic=True) == before


def test_an_input_or_constant_given_back_gets_a_tensor_of_its_own() -> None:
    model = make_hub(
        [
            helper.make_node("Identity", ["x"], ["y"], "same"),
            helper.make_node("Relu", ["x"], ["z"], "act"),
        ],
        {"x": (1, 3)},
        ["y", "z"],
        {},
    )
    lowered = assert_same_float(model, {"x": random(1, 3)})
    assert set(lowered.model.inputs).isdisjoint(lowered.model.outputs)


# ----------------------------------------------------------------------- custom operators


def custom_hub() -> onnx.ModelProto:
    """An operator of the domain edgepress with a standard body, behind a convolution."""
    body = helper.make_function(
        "edgepress",
        "SignOf",
        ["v"],
        ["o"],
        [helper.make_node("Sign", ["v"], ["o"])],
        [helper.make_opsetid("", 21)],
    )
    text = "(float[1,3,4,4] x) => (float[1,3,4,4] y) { a = Conv(x, w) y = edgepress.SignOf(a) }"
    model = parse(text, w=random(3, 3, 1, 1))
    model.functions.append(body)
    info = helper.make_tensor_value_info("a", onnx.TensorProto.FLOAT, (1, 3, 4, 4))
    model.graph.value_info.append(info)
    onnx.checker.check_model(model)
    return model


def lower_sign(low: Any, node: Any) -> None:
    order = low.order_of(node.inputs[0])
    index, made = low.natural(node.inputs[0]), low.result(node.outputs[0], order)
    low.emit(node, "CUSTOM", [index], [made], custom_code="EpSign", custom_options=b"\x01\x07")


@pytest.mark.parametrize("engine", ENGINES)
def test_a_custom_operator_is_written_and_needs_its_kernel(engine: str) -> None:
    data = to_tflite(custom_hub(), custom={("edgepress", "SignOf"): lower_sign})
    operator = read_model(data).main.operators[-1]
    assert (operator.code.name, operator.code.custom_code) == ("CUSTOM", "EpSign")
    assert operator.custom_options == b"\x01\x07"
    with pytest.raises(RuntimeError, match="EpSign"):
        interpreter(data, engine)


def test_without_a_lowering_it_is_refused_by_name() -> None:
    with pytest.raises(UnsupportedOperatorError, match="edgepress::SignOf"):
        to_tflite(custom_hub())


@pytest.mark.parametrize(
    "options",
    [{"precision": "int4"}, {"io": "uint8"}, {"io_layout": "hwc"}, {"fc_granularity": "row"}],
)
def test_wrong_choices_name_the_right_ones(options: dict[str, str]) -> None:
    with pytest.raises(UsageError, match=next(iter(options))):
        to_tflite(network(), **options)


def test_precisions_that_do_not_fit_the_hub() -> None:
    with pytest.raises(UsageError, match="no quantization"):
        to_tflite(network(), precision="int8")
    for precision in ("fp16", "dynamic"):
        with pytest.raises(UsageError, match="is quantized"):
            to_tflite(quantize(network(), samples()), precision=precision)
