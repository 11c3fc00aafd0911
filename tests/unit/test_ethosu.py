"""Vela's answers: recorded ones read, real ones of small models, and what goes wrong."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from edgepress.devices import extras
from edgepress.devices.ethosu import ACCELERATORS, estimate_ethosu, make_config, vela_configs
from edgepress.devices.measurement import Evidence
from edgepress.devices.profile import load_profile
from edgepress.devices.vela_output import CpuOperator, cpu_operators, read_summary
from edgepress.export.tflite.ir import LiteModel, LiteOperator, LiteTensor
from edgepress.export.tflite.write import write
from edgepress.runtime.errors import InputError, MissingToolError, ToolFailedError, UsageError
from support.data import need_data
from support.lite_models import conv_model

needs_vela = pytest.mark.skipif(
    importlib.util.find_spec("ethosu") is None, reason="needs pip install 'edgepress[ethosu]'"
)

# Vela 5.2.0: KWS of MLPerf Tiny on Ethos-U55-128; columns that are not read are left out.
SUMMARY = (
    "experiment,network,core_clock,inference_time,sram_memory_used,dram_memory_used,"
    "on_chip_flash_memory_used,off_chip_flash_memory_used,nn_macs,cycles_npu,cycles_total\n"
    "default,kws_dscnn_int8,500000000.0,0.0001798,21.671875,0.0,0.0,30.375,2664792,88902,89900\n"
)

FLOAT_SAID = """
Warning (supported operators) operator: SOFTMAX, ofm: 'Identity'
Reason: Operation has tensor with unsupported DataType Float32 (functional_1/dense/BiasAdd)
Feature-map dataTypes must be one of {"INT16", "INT32", "INT64", "INT8", "UINT8"}

Warning (supported operators) operator: RELU, ofm: 'a/Relu;b'
Reason: Operation has tensor with unsupported DataType Float32 (x)

CPU operators = 3 (100.0%)
NPU operators = 0 (0.0%)
Neural network macs                                 0 MACs/batch
"""

LAYERS = """Original Operator,NNG Operator,Target,Staging Usage,Op Cycles,Name
Conv2D,Conv2D,NPU,20720,4730,conv
AvgPool,Passthrough,CPU,0,0,pool/AvgPool
Softmax,Passthrough,CPU,0,0,Identity
"""


def test_the_summary_is_read_in_bytes_and_seconds() -> None:
    summary = read_summary(SUMMARY, "here")
    assert (summary.cycles, summary.macs, summary.clock_hz) == (89_900, 2_664_792, 500e6)
    assert (summary.sram_bytes, summary.flash_bytes) == (22_192, 31_104)
    assert summary.seconds == pytest.approx(0.0001798)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "summary of 0 rows"),
        (SUMMARY.replace("cycles_total", "cycles"), "not understood: 'cycles_total'"),
        (SUMMARY.replace("89900", "many"), "not understood: could not convert"),
        (SUMMARY.replace(",89900", ""), "not understood"),
    ],
)
def test_another_summary_is_refused(text: str, words: str) -> None:
    with pytest.raises(ToolFailedError, match=words):
        read_summary(text, "here")


def test_operators_on_the_cpu_are_named_with_reasons() -> None:
    found, on_npu = cpu_operators(FLOAT_SAID, "")
    assert on_npu == 0 and len(found) == 3
    assert found[0].operator == "SOFTMAX" and "Float32" in found[0].reason
    assert found[2] == CpuOperator("unnamed", "", "")
    said = "CPU operators = 2 (9.5%)\nNPU operators = 19 (90.5%)\n"
    found, on_npu = cpu_operators(said, LAYERS)
    assert on_npu == 19
    assert [(one.operator, one.output) for one in found] == [
        ("AvgPool", "pool/AvgPool"),
        ("Softmax", "Identity"),
    ]


def test_a_split_that_is_not_told_is_no_estimate() -> None:
    with pytest.raises(ToolFailedError, match="does not tell how many"):
        cpu_operators("Neural network macs 0", LAYERS)


def test_configurations_come_from_the_profile() -> None:
    configs = vela_configs(load_profile("ensemble-e3"))
    assert [config.accelerator for config in configs] == ["ethos-u55-256", "ethos-u55-128"]
    assert configs[0].text == "ethos-u55-256, Ethos_U55_High_End_Embedded, Shared_Sram"
    assert vela_configs(load_profile("e3"), memory="Sram_Only")[0].memory == "Sram_Only"
    with pytest.raises(UsageError, match="pi4 has no Ethos-U"):
        vela_configs(load_profile("pi4"))
    with pytest.raises(UsageError, match="no Ethos-U is called 'ethos-u55-100'"):
        make_config("ethos-u55-100")


def test_without_the_package_it_says_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extras.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingToolError, match="ethos-u-vela is not installed") as caught:
        estimate_ethosu(tmp_path / "m.tflite", make_config("ethos-u55-128"))
    assert caught.value.hint == "pip install 'edgepress[ethosu]'"


def small(folder: Path, model: LiteModel) -> Path:
    path = folder / "small.tflite"
    path.write_bytes(write(model))
    return path


@needs_vela
@pytest.mark.parametrize("accelerator", ["ethos-u55-128", "ethos-u65-512", "ethos-u85-512"])
def test_a_small_model_on_each_kind(tmp_path: Path, accelerator: str) -> None:
    assert accelerator in ACCELERATORS
    estimate = estimate_ethosu(small(tmp_path, conv_model()), make_config(accelerator))
    assert estimate.cpu_operators == () and 1_500 < estimate.summary.macs < 4_000
    measured = estimate.measurement("ensemble-e3")
    assert measured.evidence is Evidence.ESTIMATED and measured.device == "ensemble-e3"
    assert measured.values["vela_cycles"] > 50 and 0 < measured.values["vela_ms"] < 0.1
    assert measured.notes[0].endswith(": estimated")
    assert measured.notes[0].startswith(f"Vela {estimate.version}, {accelerator}, ")
    assert [p.name for p in tmp_path.iterdir()] == ["small.tflite"]


@needs_vela
def test_operators_left_to_the_cpu_are_told_and_not_timed(tmp_path: Path) -> None:
    model = conv_model()
    size = model.tensors[model.outputs[0]].shape
    real = model.add_tensor(LiteTensor("real", size, "float32"))
    root = model.add_tensor(LiteTensor("sine", size, "float32"))
    model.operators += [
        LiteOperator("DEQUANTIZE", (model.outputs[0],), (real,), {}, 2),
        LiteOperator("SIN", (real,), (root,), {}, 1),
    ]
    model.outputs = [root]
    estimate = estimate_ethosu(small(tmp_path, model), make_config("ethos-u55-256"))
    assert len(estimate.cpu_operators) == 2 and estimate.npu_operators >= 1
    assert any(
        "2 operators on the CPU, which are not timed" in n for n in estimate.measurement().notes
    )


@needs_vela
def test_a_float_model_fails_loudly() -> None:
    path = need_data("models/mlperf_tiny/kws_dscnn_float.tflite")
    with pytest.raises(
        InputError, match="nothing of the model runs on the ethos-u55-128"
    ) as caught:
        estimate_ethosu(path, make_config("ethos-u55-128"))
    assert "13 operators on the CPU" in caught.value.what and "Float32" in caught.value.what
    assert "quantize" in str(caught.value.hint)


@needs_vela
def test_wrong_files_and_configurations(tmp_path: Path) -> None:
    config = make_config("ethos-u55-128")
    path = small(tmp_path, conv_model())
    with pytest.raises(UsageError, match="Section System_Config.Nope not found"):
        estimate_ethosu(path, make_config("ethos-u55-128", "Nope"))
    cut = tmp_path / "cut.tflite"
    cut.write_bytes(path.read_bytes()[:500])
    with pytest.raises(InputError, match=r"cut\.tflite: Vela cannot read the file"):
        estimate_ethosu(cut, config)
    cut.write_bytes(b"no model")
    with pytest.raises(InputError, match="not a TFLite file"):
        estimate_ethosu(cut, config)
    with pytest.raises(InputError, match="cannot be read"):
        estimate_ethosu(tmp_path / "none.tflite", config)


@needs_vela
def test_figures_of_the_keyword_network() -> None:
    path = need_data("models/mlperf_tiny/kws_dscnn_int8.tflite")
    estimate = estimate_ethosu(path, make_config("ethos-u55-128"))
    assert estimate.cycles == 89_900 and estimate.milliseconds == pytest.approx(0.180, abs=5e-4)
