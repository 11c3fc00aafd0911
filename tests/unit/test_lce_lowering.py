"""One-bit layers as Larq Compute Engine operators: every border, stride and shape against onnxruntime, bit for bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edgepress.compress.quantization.plan import PtqConfig, plan
from edgepress.export.onnx.binary_links import fold_links
from edgepress.export.onnx.check import run
from edgepress.export.onnx.graph import make_node
from edgepress.export.onnx.qdq import apply
from edgepress.export.tflite import to_tflite
from edgepress.export.tflite.lower import Lowered, lower
from edgepress.export.tflite.write import write
from edgepress.runtime.artifact import FileMetadata
from edgepress.runtime.session import open_session, run_real
from edgepress.runtime.tflite_schema import read_model
from hypothesis import given, settings
from hypothesis import strategies as st
from support.binary_hubs import HubMaker, both, inputs_of, lce_session


def _codes(lowered: Lowered) -> list[str]:
    return [operator.custom_code or operator.code for operator in lowered.model.operators]


def _convolutions(lowered: Lowered) -> list[Any]:
    return [o for o in lowered.model.operators if o.custom_code == "LceBconv2d"]


@given(
    size=st.integers(4, 9),
    kernel=st.integers(1, 5),
    stride=st.integers(1, 3),
    dilation=st.integers(1, 2),
    pads=st.tuples(*[st.integers(0, 2)] * 4),
    fill=st.sampled_from([0.0, 1.0, -1.0]),
    channels=st.sampled_from([3, 32, 40]),
    seed=st.integers(0, 99),
)
@settings(max_examples=80, deadline=None)
def test_every_border_gives_the_same_sums(
    tmp_path_factory: pytest.TempPathFactory,
    size: int,
    kernel: int,
    stride: int,
    dilation: int,
    pads: tuple[int, int, int, int],
    fill: float,
    channels: int,
    seed: int,
) -> None:
    if size < (kernel - 1) * dilation + 1:
        return
    maker = HubMaker((1, channels, size, size + 1), seed)
    shape = (5, channels, kernel, kernel)
    attributes: dict[str, Any] = {"strides": [stride] * 2, "dilations": [dilation] * 2}
    if fill:
        amounts = np.asarray([0, 0, *pads[:2], 0, 0, *pads[2:]], np.int64)
        maker.node("Pad", amounts, np.float32(fill))
    else:
        attributes["pads"] = list(pads)
    hub = maker.conv(shape, **attributes).hub()
    right, found = both(hub, tmp_path_factory.mktemp("lce"), seed)
    assert np.array_equal(right, found)
    lowered = lower(hub, binary="lce")
    if fill or not any(pads):
        assert not lowered.notes and _convolutions(lowered)
    else:  # borders of 0 that SAME does not have: the note says so, or the operator is there
        assert bool(lowered.notes) != bool(_convolutions(lowered))


def _options(hub: Any) -> dict[str, int]:
    (layer,) = _convolutions(lower(hub, binary="lce"))
    return dict(layer.options)


def test_borders_that_tensorflow_knows_need_no_operator_of_their_own() -> None:
    zero = HubMaker((1, 32, 8, 8)).conv((4, 32, 3, 3), pads=[1] * 4).hub()
    assert _codes(lower(zero, binary="lce")) == ["LceQuantize", "LceBconv2d"]
    assert (_options(zero)["padding"], _options(zero)["pad_values"]) == (0, 0)
    ones = np.asarray([0, 0, 1, 1, 0, 0, 1, 1], np.int64)
    one = HubMaker((1, 32, 8, 8)).node("Pad", ones, np.float32(1)).conv((4, 32, 3, 3)).hub()
    assert _codes(lower(one, binary="lce")) == ["LceQuantize", "LceBconv2d"]
    assert (_options(one)["padding"], _options(one)["pad_values"]) == (0, 1)
    minus = HubMaker((1, 32, 8, 8)).node("Pad", ones, np.float32(-1)).conv((4, 32, 3, 3)).hub()
    assert _codes(lower(minus, binary="lce")) == ["LceQuantize", "PADV2", "LceBconv2d"]
    assert (_options(minus)["padding"], _options(minus)["pad_values"]) == (1, 0)


def test_a_stride_of_two_with_borders_of_zero_costs_one_row() -> None:
    hub = HubMaker((1, 16, 8, 8)).conv((4, 16, 3, 3), pads=[1] * 4, strides=[2, 2]).hub()
    assert _codes(lower(hub, binary="lce")) == ["LceQuantize", "PAD", "LceBconv2d", "SLICE"]


@pytest.mark.parametrize("group", [2, 3])
def test_groups_of_whole_words(group: int, tmp_path: Path) -> None:
    shape = (2 * group, 32, 3, 3)
    hub = HubMaker((1, 32 * group, 6, 6)).conv(shape, group=group, pads=[1] * 4).hub()
    assert np.array_equal(*both(hub, tmp_path))
    (layer,) = _convolutions(lower(hub, binary="lce"))
    assert layer.options["channels_in"] == 32 * group


def test_groups_of_other_sizes_become_int8_signs_and_say_so(tmp_path: Path) -> None:
    maker = HubMaker((1, 16, 6, 6)).conv((4, 8, 3, 3), group=2).node("Relu")
    hub = maker.conv((3, 4, 1, 1)).hub()
    lowered = lower(hub, binary="lce")
    ((name, remark),) = lowered.notes
    assert "groups of 8 channels" in remark and "int8 signs" in remark
    assert len(_convolutions(lowered)) == 1 and "CONV_2D" in _codes(lowered)
    assert np.array_equal(*both(hub, tmp_path))


@pytest.mark.parametrize("length", [9, 10])
def test_one_axis(length: int, tmp_path: Path) -> None:
    hub = HubMaker((1, 12, length)).conv((40, 12, 5), pads=[2, 2], strides=[2]).hub()
    assert np.array_equal(*both(hub, tmp_path))


@pytest.mark.parametrize("shape", [(1, 50), (1, 3, 50), (2, 50)])
def test_dense_layers_are_convolutions_of_one_tap(shape: tuple[int, ...], tmp_path: Path) -> None:
    hub = HubMaker(shape).dense(40, 50).dense(7, 40).hub()
    assert _codes(lower(hub, binary="lce"))[-3:] == ["LceBconv2d", "LceBconv2d", "RESHAPE"]
    assert np.array_equal(*both(hub, tmp_path))


@pytest.mark.parametrize("rows", [1, 2])
def test_a_flattened_image_is_read_by_one_large_kernel(rows: int, tmp_path: Path) -> None:
    hub = HubMaker((rows, 40, 3, 2)).node("Flatten", axis=1).dense(9, 240).dense(3, 9).hub()
    assert "LceBconv2d" in _codes(lower(hub, binary="lce"))
    assert np.array_equal(*both(hub, tmp_path))


def test_pools_behind_the_sign_are_pools_of_bits(tmp_path: Path) -> None:
    maker = HubMaker((1, 40, 9, 9)).node(
        "MaxPool", kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4
    )
    hub = maker.conv((6, 40, 3, 3)).hub()
    codes = _codes(lower(hub, binary="lce"))
    assert codes == ["LceQuantize", "LceBMaxPool2d", "LceBconv2d"]
    assert np.array_equal(*both(hub, tmp_path))


def _chain(axes: int, border: float, seed: int, pool_first: bool) -> Any:
    """conv, pool, norm, clip, shift, conv, norm, conv, pool, norm, dense."""
    shape = (1, 40, *[20] * axes)
    kernel = (3,) * axes
    maker = HubMaker(shape, seed)

    def layer(outputs: int, inputs: int) -> None:
        if border:
            ones = [0, 0, *[1] * axes] * 2
            maker.node("Pad", np.asarray(ones, np.int64), np.float32(border))
        maker.conv((outputs, inputs, *kernel))

    def pool() -> None:
        maker.node("MaxPool", kernel_shape=[2] * axes, strides=[2] * axes)

    layer(33, 40)
    if pool_first:
        pool()
    maker.norm(33, axes).node("Clip", np.float32(-1), np.float32(1))
    maker.node("Add", maker.rng.normal(size=(33, *(1,) * axes)).astype(np.float32) / 2)
    if not pool_first:
        pool()
    layer(64, 33)
    maker.norm(64, axes).node("PRelu", maker.rng.normal(size=(64, *(1,) * axes)).astype(np.float32))
    layer(16, 64)
    pool()
    maker.norm(16, axes)
    size = int(np.prod(_shape_of(maker)[1:]))
    return maker.node("Flatten", axis=1).dense(5, size).hub()


def _shape_of(maker: HubMaker) -> tuple[int, ...]:
    from edgepress.export.onnx.infer import infer

    maker.graph.outputs = [maker.value]
    infer(maker.graph)
    shape = maker.graph.shapes[maker.value]
    maker.graph.outputs = []
    return shape


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("pool_first", [True, False])
@pytest.mark.parametrize("border", [0.0, 1.0, -1.0])
@pytest.mark.parametrize("axes", [1, 2])
def test_chains_flow_in_bits(
    axes: int, border: float, pool_first: bool, seed: int, tmp_path: Path
) -> None:
    hub = _chain(axes, border, seed, pool_first)
    folded = fold_links(hub)
    kinds = [node.op_type for node in folded.graph.node]
    assert "PRelu" not in kinds and "Clip" not in kinds and "Add" not in kinds
    x = inputs_of(hub, seed)
    right = run(hub, {"x": x})[0]
    assert np.array_equal(run(folded, {"x": x})[0], right)
    session = lce_session(hub, tmp_path)
    assert np.array_equal(run_real(session, [x])[0], right)
    lowered = lower(hub, binary="lce")
    floats = {t.name for t in lowered.model.tensors if t.dtype == "float32" and t.data is None}
    ends = {"x", "layer_3", "layer_3/image"}  # the last sums as a row and as an image
    assert floats == (ends if axes == 2 else {*ends, "x/order"})
    thresholds = [o for o in _convolutions(lowered) if o.inputs[4] >= 0]
    assert len(thresholds) == 3


def test_channels_that_fall_are_stored_inverted_and_that_matters(tmp_path: Path) -> None:
    """With maxima of the wanted bits, a norm of negative factor behind a pool would be wrong."""
    hub = _chain(2, 1.0, 0, True)
    turned = [
        np.asarray(t)
        for node in fold_links(hub).graph.node
        if node.op_type == "Mul"
        for t in [_constant(fold_links(hub), node.input[1])]
    ]
    assert any((t == -1).any() and (t == 1).any() for t in turned)


def _constant(model: Any, name: str) -> np.ndarray:
    import onnx

    return onnx.numpy_helper.to_array(next(t for t in model.graph.initializer if t.name == name))


def test_signs_that_rise_and_fall_keep_their_arithmetic(tmp_path: Path) -> None:
    """|y| - 40 is negative in the middle only: no threshold."""
    maker = HubMaker((1, 32, 6, 6)).conv((8, 32, 3, 3), bias=0.0)
    maker.node("PRelu", np.full((8, 1, 1), -1, np.float32)).node("Add", np.float32(-10))
    hub = maker.conv((4, 8, 3, 3)).hub()
    assert fold_links(hub) is hub
    codes = _codes(lower(hub, binary="lce"))
    assert codes.count("LceQuantize") == 2 and "PRELU" in codes
    assert np.array_equal(*both(hub, tmp_path))


@pytest.mark.parametrize("both_ways", [True, False])
def test_bits_are_packed_along_the_axis_that_is_read(both_ways: bool, tmp_path: Path) -> None:
    """A dense layer along the length of a series, behind a convolution whose channels lie on the other axis."""
    maker = HubMaker((1, 32, 14)).conv((33, 32, 3))
    middle = maker.value
    maker.dense(8, 12)
    if both_ways:
        dense, maker.value = maker.value, middle
        maker.conv((33, 33, 5))
        name = maker.graph.fresh("sum")
        maker.graph.add(make_node("Add", [maker.value, dense], [name]))
        maker.value = name
    assert np.array_equal(*both(maker.hub(), tmp_path))


def test_folding_again_changes_nothing() -> None:
    folded = fold_links(_chain(2, 1.0, 1, True))
    assert fold_links(folded) is folded


def test_shortcuts_keep_real_values(tmp_path: Path) -> None:
    maker = HubMaker((1, 32, 6, 6)).conv((32, 32, 3, 3), pads=[1] * 4)
    left = maker.value
    maker.node("Relu").conv((32, 32, 3, 3), pads=[1] * 4)
    name = maker.graph.fresh("sum")
    maker.graph.add(make_node("Add", [maker.value, left], [name]))
    maker.value = name
    hub = maker.conv((4, 32, 1, 1)).hub()
    assert fold_links(hub) is hub
    assert all(o.inputs[4] < 0 for o in _convolutions(lower(hub, binary="lce")))
    assert np.array_equal(*both(hub, tmp_path))


@pytest.mark.parametrize("shape", [(1, 50), (1, 3, 50)])
def test_int8_signs_of_dense_layers_of_any_rank(shape: tuple[int, ...], tmp_path: Path) -> None:
    """What files without custom operators hold instead: the same sums from built-in ones."""
    hub = HubMaker(shape).dense(40, 50).dense(7, 40).hub()
    path = tmp_path / "net.tflite"
    path.write_bytes(to_tflite(hub, precision="float32", metadata=FileMetadata()))
    x = inputs_of(hub)
    for engine in ("tflite", "litert"):
        assert np.array_equal(run_real(open_session(path, engine), [x])[0], run(hub, {"x": x})[0])


def test_int8_results_come_out_of_the_layer_itself(tmp_path: Path) -> None:
    """Behind borders of +1, QUANTIZE becomes part of the layer; behind borders of 0 it cannot."""
    ones = np.asarray([0, 0, 1, 1, 0, 0, 1, 1], np.int64)
    maker = HubMaker((1, 3, 6, 6)).node("Conv", np.ones((33, 3, 1, 1), np.float32))
    maker.node("Pad", ones, np.float32(1)).conv((8, 33, 3, 3)).node("Relu")
    hub = maker.conv((4, 8, 3, 3), pads=[1] * 4).node("Relu").hub()
    x = inputs_of(hub)
    quantized = apply(hub, plan(hub, [(x,)], PtqConfig(observer="minmax")))
    lowered, folder = lower(quantized, binary="lce"), tmp_path / "plain"
    assert _codes(lowered).count("QUANTIZE") == 2
    folder.mkdir()
    (folder / "net.tflite").write_bytes(write(lowered.model))
    session = lce_session(quantized, tmp_path)
    joined = read_model(session.artifact.path.read_bytes()).main
    names = [operator.name for operator in joined.operators]
    assert names.count("QUANTIZE") == 1 and names.count("LceBconv2d") == 2
    kinds = [joined.tensors[o.outputs[0]].dtype for o in joined.operators if o.name == "LceBconv2d"]
    assert kinds == ["int8", "float32"]
    entry = np.clip(np.rint(x * 20), -128, 127).astype(np.int8).transpose(0, 2, 3, 1)
    plain = open_session(folder / "net.tflite")
    assert np.array_equal(session.run([entry])[0], plain.run([entry])[0])


def test_attributes_that_a_file_leaves_out_are_their_defaults(tmp_path: Path) -> None:
    hub = HubMaker((1, 40, 6, 6), 3).conv((5, 40, 3, 3)).hub()
    for node in hub.graph.node:
        if node.op_type == "BinaryConv":
            del node.attribute[:]
    right, found = both(hub, tmp_path, 3)
    assert np.array_equal(right, found)
    assert len(_convolutions(lower(hub, binary="lce"))) == 1
