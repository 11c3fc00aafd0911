"""torch -> hub -> TFLite in both engines, float and int8: whole networks of the usual architectures."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest
import torch
from edgepress.compress.quantization.plan import PtqConfig, plan
from edgepress.export.onnx import hub as hubs
from edgepress.export.onnx import qdq
from edgepress.export.onnx.decompose import decompose
from edgepress.export.tflite.lower import lower
from edgepress.export.tflite.write import write
from support import torch_nets
from support.families import operators
from support.lowering import ENGINES, as_onnx, channels_last, lsb_difference, run_tflite

torch.set_num_threads(1)

MOST_TRANSPOSES = {
    "mobile": 0,
    "unet": 0,
    "shuffle": 2,  # one for each shuffle
    "vit": 5,  # q, k, v turned to heads first, k again unless adj_y serves, the result back
    "encoder": 5,
    "lstm": 0,
    "gru": 0,
}


@functools.cache
def exported(name: str) -> tuple[torch.nn.Module, Any]:
    net = torch_nets.build(name)
    return net, hubs.from_torch(net, [torch_nets.NETS[name][1]])


@pytest.mark.parametrize("io_layout", ["nhwc", "nchw"])
@pytest.mark.parametrize("name", torch_nets.NETS)
def test_tflite_computes_what_torch_computes(name: str, io_layout: str) -> None:
    net, hub = exported(name)
    lowered = lower(hub, io_layout=io_layout)
    data = write(lowered.model)
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(torch_nets.NETS[name][1], generator=generator)
    with torch.no_grad():
        wanted = net(x).numpy()
    fed = channels_last(x.numpy()) if lowered.input_layouts[0].endswith("C") else x.numpy()
    for engine in ENGINES:
        found = as_onnx(run_tflite(data, [fed], engine)[0], lowered.output_layouts[0])
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5, err_msg=engine)


@pytest.mark.parametrize("name", MOST_TRANSPOSES)
def test_no_transpose_where_an_order_of_axes_serves(name: str) -> None:
    lowered = lower(exported(name)[1])
    assert operators(lowered).count("TRANSPOSE") <= MOST_TRANSPOSES[name]


@functools.cache
def quantized(name: str) -> Any:
    """The int8 hub, planned by min-max on 8 random inputs (parity is asked for here, not accuracy)."""
    hub = decompose(exported(name)[1], for_int8=True)
    samples = [(x,) for x in random_inputs(name, 8)]
    return qdq.apply(hub, plan(hub, samples, PtqConfig(observer="minmax")))


def random_inputs(name: str, count: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.normal(size=torch_nets.NETS[name][1]).astype(np.float32) for _ in range(count)]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", torch_nets.NETS)
def test_int8_is_near_the_int8_hub(name: str, engine: str) -> None:
    hub = quantized(name)
    feed = hub.graph.input[0].name
    differences = np.concatenate(
        [lsb_difference(hub, {feed: x}, engine) for x in random_inputs(name, 6)]
    )
    # Kernels round with integer multipliers or with 11-bit weights: a step here or there per layer. The encoder
    # normalises twice, which magnifies a step of a small deviation.
    assert differences.max() <= 3.001
    assert differences.mean() <= 1.0


@pytest.mark.parametrize("name", ["mobile", "shuffle", "unet", "lstm", "gru", "bi_gru"])
def test_int8_computes_on_integers_throughout_without_an_extra_quantize(name: str) -> None:
    lowered = lower(quantized(name))
    assert lowered.extra_quantize == ()
    assert not {"QUANTIZE", "DEQUANTIZE"} & set(operators(lowered))


@pytest.mark.parametrize("name", ["vit", "encoder"])
def test_layer_normalisation_is_the_only_part_in_float(name: str) -> None:
    codes = operators(lower(quantized(name)))
    assert codes.count("DEQUANTIZE") == codes.count("QUANTIZE") == codes.count("RSQRT") == 2
