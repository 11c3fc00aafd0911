"""The TFLite linter: silent on good files of any origin, and one spoilt model for each rule."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from edgepress.export.lint import Finding, lint, lint_model
from edgepress.export.tflite.ir import LiteModel, LiteOperator, LiteQuantization, LiteTensor
from edgepress.export.tflite.write import write
from edgepress.runtime.errors import InputError, UsageError
from edgepress.runtime.tflite_schema import read_model
from support import small_hub
from support.c_models import write as write_c
from support.data import need_data
from support.lite_models import conv_model
from support.run_folders import float_onnx

MLPERF_INT8 = (
    "ad_fcae_int8",
    "ic_resnet8_int8",
    "kws_dscnn_int8",
    "sww_1dcnn_int8",
    "vww_mobilenetv1_025_int8",
)


def judge(model: LiteModel, target: str | None = None) -> tuple[Finding, ...]:
    return lint_model(read_model(write(model)), target)


def with_scales(tensor: LiteTensor, **changes) -> None:
    old = tensor.quantization
    fields = {
        "scale": old.scale,
        "zero_point": old.zero_point,
        "dimension": old.dimension,
        **changes,
    }
    tensor.quantization = LiteQuantization(**fields)


def unary(
    code: str, version: int, out: LiteQuantization | None, dtype: str = "int8", **options
) -> LiteModel:
    """One operator from int8 [1, 4, 4, 4] (scale 0.5, zero point -3) to `out`."""
    model = LiteModel()
    x = model.add_tensor(
        LiteTensor("x", (1, 4, 4, 4), "int8", None, LiteQuantization((0.5,), (-3,)))
    )
    y = model.add_tensor(LiteTensor("y", (1, 4, 4, 4), dtype, None, out))
    model.operators.append(LiteOperator(code, (x,), (y,), options, version))
    model.inputs, model.outputs = [x], [y]
    model.input_names, model.output_names = ["x"], ["y"]
    return model


def rules(found: tuple[Finding, ...]) -> set[tuple[str, str]]:
    return {(finding.severity, finding.rule) for finding in found}


@pytest.mark.parametrize("name", MLPERF_INT8)
def test_real_int8_files_have_no_errors(name: str) -> None:
    path = need_data(f"models/mlperf_tiny/{name}.tflite")
    for target in (None, "2.14"):
        assert [f for f in lint(path, target) if f.severity == "error"] == []


def test_a_file_with_an_impossible_dimension_is_refused() -> None:
    path = need_data("models/tflm/person_detect_bad_qdim.tflite")
    with pytest.raises(InputError, match="quantized_dimension must be in range"):
        lint(path)


def test_a_clean_model_has_no_findings() -> None:
    assert judge(conv_model()) == ()
    assert judge(conv_model(), "1.14") == ()
    assert judge(unary("LOGISTIC", 2, LiteQuantization((1 / 256,), (-128,)))) == ()


def spoil_weight_minus_128(model: LiteModel) -> None:
    model.tensors[1].data[0, 0, 0, 0] = -128


def spoil_bias(model: LiteModel) -> None:
    scale = list(model.tensors[2].quantization.scale)
    scale[3] *= 1.001
    with_scales(model.tensors[2], scale=tuple(scale))


SPOILT = {
    "weight-narrow": spoil_weight_minus_128,
    "weight-symmetric": lambda m: with_scales(m.tensors[1], zero_point=(0, 0, 4, 0, 0)),
    "bias-scale": spoil_bias,
    "bias-zero-point": lambda m: with_scales(m.tensors[2], zero_point=(0, 0, 0, 1, 0)),
    "same-scale": lambda m: with_scales(m.tensors[5], zero_point=(8,)),
    "scale": lambda m: with_scales(m.tensors[3], scale=(0.0,)),
    "zero-point": lambda m: with_scales(m.tensors[0], zero_point=(128,)),
    "parameters": lambda m: setattr(m.tensors[0], "quantization", None),
}


@pytest.mark.parametrize("rule", SPOILT)
def test_each_rule_is_found(rule: str) -> None:
    model = conv_model()
    SPOILT[rule](model)
    assert ("error", rule) in rules(judge(model))


def test_wrong_weight_axis() -> None:
    model = conv_model(
        channels=3
    )  # 3 output channels, 3 x 3 kernel: the axes cannot be told by length
    with_scales(model.tensors[1], dimension=1)
    assert rules(judge(model)) == {("error", "weight-axis")}


def test_per_channel_activation() -> None:
    model = unary("RELU", 2, LiteQuantization((0.5, 0.5, 0.5, 0.25), (0, 0, 0, 0), 3))
    assert ("error", "per-channel-activation") in rules(judge(model))


@pytest.mark.parametrize("code", ["LOGISTIC", "SOFTMAX", "TANH"])
def test_fixed_outputs(code: str) -> None:
    options = {"beta": 1.0} if code == "SOFTMAX" else {}
    assert rules(judge(unary(code, 2, LiteQuantization((0.02,), (0,)), **options))) == {
        ("error", "fixed-output")
    }


def test_versions_against_a_target() -> None:
    model = unary("RELU", 2, LiteQuantization((0.5,), (-3,)))
    assert rules(judge(model, "2.0")) == {("error", "operator-version")}  # RELU 2 came with 2.1
    assert judge(model, "2.1") == ()
    model.operators[0].version = 9
    assert rules(judge(model)) == {("error", "operator-version")}
    newer = unary("GELU", 3, LiteQuantization((0.5,), (-3,)))
    assert rules(judge(newer)) == {("warning", "operator-version")}  # LiteRT has it, 2.14 has not
    assert rules(judge(newer, "2.14")) == {("error", "operator-version")}
    with pytest.raises(UsageError):
        judge(model, "latest")


def test_a_version_older_than_int8() -> None:
    model = unary("RELU6", 1, LiteQuantization((0.5,), (-3,)))
    assert rules(judge(model)) == {("warning", "operator-version")}


@pytest.mark.parametrize(
    ("code", "target", "severity"),
    [
        ("DIV", "2.14", "error"),
        ("DIV", None, "warning"),
        ("DIV", "2.20", None),  # LiteRT divides int8
        ("SQUARE", None, "error"),
        ("SQUARE", "2.14", "error"),
        ("NEG", None, "error"),
    ],
)
def test_missing_int8_kernels(code: str, target: str | None, severity: str | None) -> None:
    found = judge(unary(code, 1, LiteQuantization((0.5,), (-3,))), target)
    kinds = {f.severity for f in found if f.rule == "no-int8-kernel"}
    assert kinds == (set() if severity is None else {severity})


def test_float_island_in_an_int8_model() -> None:
    model = conv_model()
    q = model.tensors[3].quantization
    real = model.add_tensor(LiteTensor("real", (1, 6, 6, 5), "float32"))
    root = model.add_tensor(LiteTensor("root", (1, 6, 6, 5), "float32"))
    back = model.add_tensor(LiteTensor("back", (1, 6, 6, 5), "int8", None, q))
    model.operators[1].inputs = (back, model.operators[1].inputs[1])
    model.operators[1:1] = [
        LiteOperator("DEQUANTIZE", (3,), (real,), version=2),
        LiteOperator("SQRT", (real,), (root,)),
        LiteOperator("QUANTIZE", (root,), (back,), version=1),
    ]
    (finding,) = judge(model)
    assert (finding.severity, finding.rule) == ("warning", "float-island")
    assert "SQRT" in str(finding) and "operator 2" in finding.where


def test_float_input_and_output_are_no_island() -> None:
    model = conv_model()
    image = model.add_tensor(LiteTensor("image", (1, 6, 6, 2), "float32"))
    model.operators.insert(0, LiteOperator("QUANTIZE", (image,), (0,), version=1))
    model.inputs = [image]
    assert judge(model) == ()


def test_custom_operator() -> None:
    model = unary("RELU", 2, LiteQuantization((0.5,), (-3,)))
    model.operators[0] = LiteOperator("CUSTOM", (0,), (1,), custom_code="EpSign")
    (finding,) = judge(model)
    assert (finding.severity, finding.rule) == ("warning", "custom-operator")


def test_not_a_tflite_file(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(np.arange(64, dtype=np.uint8).tobytes())
    with pytest.raises(InputError):
        lint(path)
    with pytest.raises(InputError, match="cannot read"):
        lint(tmp_path / "missing.tflite")


def test_another_format_is_named(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(float_onnx(8))
    with pytest.raises(InputError, match="this is ONNX"):
        lint(path)
    with pytest.raises(InputError, match="this is a folder of C sources"):
        lint(write_c(small_hub.hub(), tmp_path / "net.c"))
