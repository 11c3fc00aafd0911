"""Files with LCE operators: which engine runs them, inner values, counts, and what is refused with which words."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edgepress.devices.layers import layer_table
from edgepress.export.tflite import to_tflite
from edgepress.export.tflite.flexmap import flexmap
from edgepress.export.tflite.ir import LiteModel, LiteOperator, LiteQuantization, LiteTensor
from edgepress.export.tflite.lower import lower
from edgepress.export.tflite.write import write
from edgepress.runtime.artifact import detect_format, open_artifact
from edgepress.runtime.errors import (
    EdgepressError,
    InputError,
    UnsupportedOperatorError,
    UsageError,
)
from edgepress.runtime.lce_kernels import quantize
from edgepress.runtime.lce_operators import options_of
from edgepress.runtime.session import open_session
from edgepress.runtime.tflite_schema import read_model
from support.binary_hubs import HubMaker, inputs_of, lce_session


def _hub() -> Any:
    """Real layers in front, between and behind: three islands of built-in operators."""
    maker = HubMaker((1, 3, 6, 6)).node("Conv", np.ones((33, 3, 1, 1), np.float32))
    maker.conv((8, 33, 3, 3), pads=[1] * 4).node("Sigmoid").node("Sub", np.float32(0.5))
    return maker.conv((4, 8, 3, 3), strides=[2, 2]).node("Relu").hub()


def test_the_reference_runs_what_no_engine_runs(tmp_path: Path) -> None:
    session = lce_session(_hub(), tmp_path)
    path = session.artifact.path
    assert (session.engine, session.artifact.format) == ("lce-reference", "lce")
    assert session.engine_version.startswith("tflite ")
    assert detect_format(path.read_bytes()) == open_artifact(path).format == "lce"
    with pytest.raises(UsageError, match="tflite does not run lce files") as caught:
        open_session(path, "tflite")
    assert "lce-reference" in str(caught.value.hint)
    plain = tmp_path / "plain.tflite"
    plain.write_bytes(to_tflite(_hub()))
    with pytest.raises(UsageError, match="lce-reference does not run tflite"):
        open_session(plain, "lce-reference")


def test_times_of_a_reference_are_not_told(tmp_path: Path) -> None:
    from edgepress.tools.device_profile import Request, profile_files

    path = lce_session(_hub(), tmp_path).artifact.path
    with pytest.raises(UsageError, match="nothing here times"):
        profile_files(Request((path,)))


def test_inner_values_are_those_of_the_run(tmp_path: Path) -> None:
    hub = _hub()
    session = lce_session(hub, tmp_path)
    x = inputs_of(hub).transpose(0, 2, 3, 1)
    (out,) = session.run([x])
    names = [
        tensor.name for tensor in lower(hub, binary="lce").model.tensors if tensor.data is None
    ]
    inner = session.intermediate(names)
    assert np.array_equal(inner[names[-1]], out)
    real = next(n for n in names if n.startswith("sub") and "/" not in n)
    assert np.array_equal(inner[f"{real}/bits"], quantize(inner[real]))
    with pytest.raises(UsageError, match="no tensor is called 'other'"):
        session.intermediate(["other"])


def test_nothing_runs_without_inputs(tmp_path: Path) -> None:
    session = lce_session(_hub(), tmp_path)
    with pytest.raises(UsageError, match="no inputs"):
        session.invoke()
    with pytest.raises(UsageError, match="nothing was run"):
        session.outputs()


def test_the_same_hub_gives_the_same_bytes_and_options_in_order() -> None:
    first, second = (to_tflite(_hub(), binary="lce") for _ in range(2))
    assert first == second
    layer = next(o for o in read_model(first).main.operators if o.name == "LceBconv2d")
    assert list(options_of(layer)) == sorted(options_of(layer))
    assert layer.code.name == "CUSTOM" and layer.code.version == 1


def test_binary_products_and_bits_are_counted() -> None:
    hub = _hub()
    table, right = layer_table(to_tflite(hub, binary="lce")), layer_table(hub)
    assert table.format == "tflite"
    assert table.binary_macs == right.binary_macs == 6 * 6 * 8 * 9 * 33 + 2 * 2 * 4 * 9 * 8
    packed = [row for row in right.layers if row.operator == "edgepress.BinaryConv"]
    rows = {row.operator: row for row in table.layers}
    found = [row for row in table.layers if row.operator == "LceBconv2d"]
    assert [r.parameters for r in found] == [r.parameters for r in packed]
    assert [r.weight_bytes for r in found] == [r.weight_bytes for r in packed]
    assert rows["LceBconv2d"].weight_bits == rows["LceBconv2d"].activation_bits == 1


# ------------------------------------------------------------------ damaged files

OPTIONS = {
    "channels_in": 40,
    "dilation_height_factor": 1,
    "dilation_width_factor": 1,
    "fused_activation_function": 0,
    "pad_values": 1,
    "padding": 0,
    "stride_height": 1,
    "stride_width": 1,
}


def _layer(dtype: str = "float32", **options: int) -> LiteModel:
    """bits [1, 4, 4, 2] -> LceBconv2d -> one result of `dtype`."""
    words = 1 if dtype == "int32" else 3
    kept = LiteQuantization((0.5,), (3,)) if dtype == "int8" else None
    tensors = [
        LiteTensor("bits", (1, 4, 4, 2), "int32"),
        LiteTensor("filter", (3, 3, 3, 2), "int32", np.zeros((3, 3, 3, 2), np.int32)),
        LiteTensor("multiplier", (3,), "float32", np.ones(3, np.float32)),
        LiteTensor("bias", (3,), "float32", np.zeros(3, np.float32)),
        LiteTensor("threshold", (3,), "int32", np.full(3, 180, np.int32)),
        LiteTensor("out", (1, 4, 4, words), dtype, None, kept),
    ]
    inputs = (0, 1, -1, -1, 4) if dtype == "int32" else (0, 1, 2, 3, -1)
    operator = LiteOperator(
        "CUSTOM", inputs, (5,), {**OPTIONS, **options}, custom_code="LceBconv2d"
    )
    return LiteModel(tensors, [operator], [0], [5], ["bits"], ["out"])


def _open(model: LiteModel, tmp_path: Path) -> Any:
    path = tmp_path / "net.tflite"
    path.write_bytes(write(model))
    return open_session(path)


def _ones(shape: tuple[int, ...]) -> np.ndarray:
    return np.zeros(shape, np.int32)


def test_results_of_all_types(tmp_path: Path) -> None:
    x = [_ones((1, 4, 4, 2))]
    assert set(_open(_layer(), tmp_path).run(x)[0].ravel()) == {360.0}
    assert set(_open(_layer("int8"), tmp_path).run(x)[0].ravel()) == {127}
    assert set(_open(_layer("int32"), tmp_path).run(x)[0].ravel()) == {0}
    most = [np.tile(np.array([-1, 255], np.int32), (1, 4, 4, 1))]  # all 40 channels are -1
    corner = _open(_layer("int32"), tmp_path).run(most)[0][0, :, :, 0]
    assert corner.tolist() == [[0, 7, 7, 0], [7] * 4, [7] * 4, [0, 7, 7, 0]]  # 160, 240, 360 > 180


def test_signs_leave_as_numbers(tmp_path: Path) -> None:
    tensors = [
        LiteTensor("bits", (1, 3), "int32"),
        LiteTensor("out", (1, 70), "int8", None, LiteQuantization((0.5,), (1,))),
    ]
    operator = LiteOperator("CUSTOM", (0,), (1,), custom_code="LceDequantize")
    model = LiteModel(tensors, [operator], [0], [1], ["bits"], ["out"])
    (found,) = _open(model, tmp_path).run([np.array([[1, 0, 2]], np.int32)])
    right = np.full((1, 70), 3, np.int8)
    right[0, [0, 65]] = -1
    assert np.array_equal(found, right)


def _custom(model: LiteModel, **fields: Any) -> LiteModel:
    return replace(model, operators=[replace(model.operators[0], **fields)])


def _tensor(model: LiteModel, index: int, **fields: Any) -> LiteModel:
    tensors = list(model.tensors)
    tensors[index] = replace(tensors[index], **fields)
    return replace(model, tensors=tensors)


def _data(model: LiteModel, index: int, data: np.ndarray) -> LiteModel:
    return _tensor(model, index, data=data, shape=data.shape, dtype=data.dtype.name)


DAMAGE: list[tuple[str, Callable[[], LiteModel]]] = [
    ("damaged operator options", lambda: _custom(_layer(), custom_options=b"\x01\x02\x03\x04")),
    ("damaged operator options", lambda: _custom(_layer(), custom_options=flexmap(OPTIONS)[:-9])),
    ("lacks its option", lambda: _custom(_layer(), custom_options=flexmap({"padding": 0}))),
    ("padding is 2", lambda: _layer(padding=2)),
    ("stride_width is 0", lambda: _layer(stride_width=0)),
    ("stride_width is -1", lambda: _layer(stride_width=-1)),
    ("pad_values is 3", lambda: _layer(pad_values=3)),
    ("2 words do not hold 70 channels", lambda: _layer(channels_in=70)),
    ("bits beyond its channels", lambda: _data(_layer(), 1, np.full((3, 3, 3, 2), -1, np.int32))),
    (
        "its filter is no constant",
        lambda: _custom(_layer(), inputs=(0, 0, 2, 3, -1)),
    ),
    ("4 inputs", lambda: _custom(_layer(), inputs=(0, 1, 2, 3))),
    ("for int32 results", lambda: _custom(_layer("int32"), inputs=(0, 1, 2, 3, -1))),
    ("for float32 results", lambda: _custom(_layer(), inputs=(0, 1, 2, 3, 4))),
    ("input 2 is float32", lambda: _data(_layer(), 2, np.ones(4, np.float32))),
    ("has no scale", lambda: _tensor(_layer("int8"), 5, quantization=None)),
    ("gives", lambda: _tensor(_layer(), 5, shape=(1, 4, 5, 3))),
    ("multiples of 32", lambda: _data(_layer(), 1, np.zeros((4, 3, 3, 1), np.int32))),
]


@pytest.mark.parametrize(("words", "make"), DAMAGE)
def test_damaged_files_are_refused(
    words: str, make: Callable[[], LiteModel], tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=words):
        _open(make(), tmp_path).run([_ones((1, 4, 4, 2))])


def test_borders_of_zero_have_no_bits(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedOperatorError, match="borders of 0 with int32 results"):
        _open(_layer("int32", pad_values=0), tmp_path)
    assert _open(_layer(pad_values=0), tmp_path).run([_ones((1, 4, 4, 2))])[0][0, 0, 0, 0] == 160


def test_foreign_operators_are_named(tmp_path: Path) -> None:
    model = _layer()
    model.tensors.append(LiteTensor("end", (1, 4, 4, 3), "float32"))
    model.operators.append(LiteOperator("CUSTOM", (5,), (6,), custom_code="Other"))
    with pytest.raises(UnsupportedOperatorError, match="the custom operator Other"):
        _open(replace(model, outputs=[6]), tmp_path)


def test_any_broken_byte_of_the_options_is_an_error_of_ours_or_an_answer(tmp_path: Path) -> None:
    data = flexmap(OPTIONS)
    for index in range(0, len(data), 3):
        broken = data[:index] + bytes([data[index] ^ 0x55]) + data[index + 1 :]
        with contextlib.suppress(EdgepressError):
            _open(_custom(_layer(), custom_options=broken), tmp_path).run([_ones((1, 4, 4, 2))])


@pytest.mark.parametrize("seed", range(4))
def test_broken_files_are_errors_of_ours_or_run(seed: int, tmp_path: Path) -> None:
    """Bytes set at random: layer tables and the reference raise nothing else."""
    rng, whole = np.random.default_rng(seed), to_tflite(_hub(), binary="lce")
    path, refused = tmp_path / "net.tflite", 0
    for _ in range(40):
        data = bytearray(whole)
        for place in rng.integers(8, len(data), 3):
            data[place] = rng.choice([0, 1, 127, 255, data[place] ^ 1 << int(rng.integers(8))])
        path.write_bytes(bytes(data))
        for action in (lambda: layer_table(path), lambda: _zeros(open_session(path))):
            try:
                action()
            except EdgepressError:
                refused += 1
    assert 10 < refused < 80


def _zeros(session: Any) -> None:
    session.run([np.zeros(spec.shape, spec.dtype) for spec in session.artifact.inputs])


def test_a_table_of_an_operator_without_operands_is_refused() -> None:
    model = _layer()
    with pytest.raises(InputError, match="lacks an operand"):
        layer_table(write(_custom(model, inputs=(0,))))
    bare = _tensor(model, 0, shape=())
    with pytest.raises(InputError, match="without axes"):
        layer_table(write(bare))
