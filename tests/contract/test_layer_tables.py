"""A hub and its TFLite file have one layer table: the same work, the same parameters."""

from __future__ import annotations

import pytest
from edgepress.devices.layers import LayerTable, layer_table
from edgepress.export.tflite import to_tflite
from support.small_hub import hub, int8

torch = pytest.importorskip("torch")

MACS = {
    "ds_cnn": 2_664_792 - 24,  # the published file ends in a softmax over 12 classes
    "autoencoder": 264_192,
}


def tables(name: str) -> tuple[LayerTable, LayerTable]:
    from edgepress.compress import zoo
    from edgepress.export.onnx.hub import from_torch

    torch.manual_seed(0)
    model = zoo.build(name).eval()
    hub = from_torch(model, [(1, *shape) for shape in zoo.entry(name).input_shapes])
    return layer_table(hub), layer_table(to_tflite(hub))


@pytest.mark.parametrize("name", MACS)
def test_zoo_networks_do_the_published_work_in_both_formats(name: str) -> None:
    hub, lite = tables(name)
    assert hub.macs == lite.macs == MACS[name]
    assert hub.parameters == lite.parameters
    assert hub.weight_bytes == lite.weight_bytes == 4 * hub.parameters
    assert hub.bit_operations == lite.bit_operations > 0


def test_int8_forms_do_the_same_work_in_a_quarter_of_the_weights() -> None:
    model = hub()
    whole, quantized, lite = (layer_table(x) for x in (model, int8(model), to_tflite(int8(model))))
    assert whole.macs == quantized.macs == lite.macs
    assert whole.parameters == quantized.parameters == lite.parameters
    assert quantized.weight_bytes == lite.weight_bytes == whole.parameters + 3 * (8 + 6 + 5)
    assert quantized.bit_operations == lite.bit_operations == whole.bit_operations // 16
