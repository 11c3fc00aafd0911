"""Write `devices/calibration/networks.yaml`: what the networks of the calibration tables compute.

    python -m edgepress.tools.bench.calibration_networks --data FOLDER [--check]

MLPerf Tiny networks are counted from their int8 files below FOLDER/models/mlperf_tiny. The others are rebuilt from
their papers layer by layer: MobileNetV1 (Howard et al. 2017, table 1), V2 (Sandler et al. 2018, table 2), V3-Large
(Howard et al. 2019, table 1, with the strides of ncnn's mobilenet_v3.param), ResNet (He et al. 2016, table 1; stride
in the first 1x1 of a bottleneck, as in the Caffe models), SqueezeNet 1.1 (Iandola et al. 2016, 227 x 227), VGG-16
(Simonyan and Zisserman 2015, table 1). Input 224 x 224 x 3 unless said, 1000 classes.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from ...devices.calibration_data import networks_text, packaged_text
from ...devices.layers import layer_table
from ...devices.operator_features import (
    NetworkFeatures,
    OperatorFeatures,
    network_features,
    operator_features,
)
from ...runtime.files import write_text

TARGET = Path(__file__).parents[2] / "devices" / "calibration" / "networks.yaml"
FILES = {
    "kws": "kws_dscnn_int8.tflite",
    "ic": "ic_resnet8_int8.tflite",
    "vww": "vww_mobilenetv1_025_int8.tflite",
    "ad": "ad_fcae_int8.tflite",
}


class Stack:
    """A square feature map `length` x `length` x `channels` on its way through a network."""

    def __init__(self, length: int, channels: int = 3) -> None:
        self.length, self.channels = length, channels
        self.rows: list[OperatorFeatures] = []

    def conv(
        self, channels: int, window: int = 1, stride: int = 1, pad: int | None = None
    ) -> Stack:
        """A convolution with the bias and activation folded into it."""
        kind = {(1, stride): "pointwise", (3, 1): "winograd"}.get((window, stride), "spatial")
        return self._windowed(kind, channels, window * window * self.channels, window, stride, pad)

    def depthwise(self, window: int, stride: int = 1) -> Stack:
        """A depthwise convolution."""
        return self._windowed(
            "depthwise", self.channels, window * window, window, stride, window // 2
        )

    def pool(self, window: int, stride: int, pad: int = 0, ceil: bool = True) -> Stack:
        """Pooling; Caffe rounds lengths up, the others down."""
        self.length = (self.length + 2 * pad - window + (stride - 1 if ceil else 0)) // stride + 1
        return self.other()

    def mean(self) -> Stack:
        """Global pooling."""
        self.length = 1
        return self.other()

    def other(self) -> Stack:
        """An operator without weights over the whole map."""
        self._row("other", 0, self.length**2 * self.channels, 0)
        return self

    def dense(self, outputs: int) -> Stack:
        """A fully connected layer over the flattened map."""
        inputs = self.length**2 * self.channels
        self._row("dense", inputs * outputs, outputs, inputs * outputs)
        self.length, self.channels = 1, outputs
        return self

    def at(self, length: int, channels: int) -> Stack:
        """Go on from another map (a branch)."""
        self.length, self.channels = length, channels
        return self

    def _windowed(
        self, kind: str, channels: int, products: int, window: int, stride: int, pad: int | None
    ) -> Stack:
        pad = window // 2 if pad is None else pad
        self.length = (self.length + 2 * pad - window) // stride + 1
        self.channels = channels
        outputs = self.length**2 * channels
        self._row(kind, outputs * products, outputs, channels * products)
        return self

    def _row(self, kind: str, macs: int, outputs: int, weights: int) -> None:
        self.rows.append(OperatorFeatures(str(len(self.rows)), kind, macs, outputs, weights, 0))


def mobilenet_v1() -> Stack:
    """13 depthwise separable blocks."""
    net = Stack(224).conv(32, 3, 2)
    blocks = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5]
    for channels, stride in [*blocks, (1024, 2), (1024, 1)]:
        net.depthwise(3, stride).conv(channels)
    return net.mean().dense(1000).other()


def mobilenet_v2() -> Stack:
    """Inverted residuals (expansion, channels, repeats, stride)."""
    net = Stack(224).conv(32, 3, 2)
    table = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1)]
    for expansion, channels, repeats, first in [*table, (6, 160, 3, 2), (6, 320, 1, 1)]:
        for number in range(repeats):
            stride, before = (first if number == 0 else 1), net.channels
            if expansion > 1:
                net.conv(before * expansion)
            net.depthwise(3, stride).conv(channels)
            if stride == 1 and before == channels:
                net.other()
    return net.conv(1280).mean().dense(1000).other()


# window, expanded, channels, squeeze-and-excite, hard swish, stride
_V3 = (
    (3, 16, 16, 0, 0, 1),
    (3, 64, 24, 0, 0, 2),
    (3, 72, 24, 0, 0, 1),
    (5, 72, 40, 1, 0, 2),
    (5, 120, 40, 1, 0, 1),
    (5, 120, 40, 1, 0, 1),
    (3, 240, 80, 0, 1, 2),
    (3, 200, 80, 0, 1, 1),
    (3, 184, 80, 0, 1, 1),
    (3, 184, 80, 0, 1, 1),
    (3, 480, 112, 1, 1, 1),
    (3, 672, 112, 1, 1, 1),
    (5, 672, 160, 1, 1, 1),
    (5, 672, 160, 1, 1, 2),
    (5, 960, 160, 1, 1, 1),
)


def mobilenet_v3() -> Stack:
    """The large variant; the hard swish is an operator of its own."""
    net = Stack(224).conv(16, 3, 2).other()
    for window, wide, channels, squeeze, swish, stride in _V3:
        before = net.channels
        if wide != before:
            net.conv(wide)
            if swish:
                net.other()
        net.depthwise(window, stride)
        if squeeze:
            length = net.length
            net.mean().dense(wide // 4).dense(wide).at(length, wide).other()
        if swish:
            net.other()
        net.conv(channels)
        if stride == 1 and before == channels:
            net.other()
    return net.conv(960).other().mean().dense(1280).other().dense(1000).other()


def resnet18() -> Stack:
    """Two 3x3 convolutions a block."""
    net = Stack(224).conv(64, 7, 2).pool(3, 2, 1, ceil=False)
    for channels, first in ((64, 1), (128, 2), (256, 2), (512, 2)):
        for stride in (first, 1):
            length, before = net.length, net.channels
            net.conv(channels, 3, stride).conv(channels, 3)
            if stride > 1:
                net.at(length, before).conv(channels, 1, stride)
            net.other()
    return net.mean().dense(1000).other()


def resnet50() -> Stack:
    """Bottlenecks, stride in the first 1x1."""
    net = Stack(224).conv(64, 7, 2).pool(3, 2, 1, ceil=False)
    for channels, repeats, first in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)):
        for number in range(repeats):
            stride = first if number == 0 else 1
            length, before = net.length, net.channels
            net.conv(channels, 1, stride).conv(channels, 3).conv(4 * channels)
            if number == 0:
                net.at(length, before).conv(4 * channels, 1, stride)
            net.other()
    return net.mean().dense(1000).other()


def squeezenet() -> Stack:
    """Version 1.1: fire modules (squeeze, expand) after the second, fourth ... pooled."""
    net = Stack(227).conv(64, 3, 2, pad=0)
    groups = (((16, 64),) * 2, ((32, 128),) * 2, ((48, 192),) * 2 + ((64, 256),) * 2)
    for group in groups:
        net.pool(3, 2)
        for squeeze, expand in group:
            net.conv(squeeze)
            length = net.length
            net.conv(expand).at(length, squeeze).conv(expand, 3).at(length, 2 * expand).other()
    return net.conv(1000, 1, pad=1).mean().other()


def vgg16() -> Stack:
    """Configuration D."""
    net = Stack(224)
    for channels, repeats in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        for _ in range(repeats):
            net.conv(channels, 3)
        net.pool(2, 2)
    return net.dense(4096).dense(4096).dense(1000).other()


BUILDERS: dict[str, Callable[[], Stack]] = {
    "mobilenet-v1": mobilenet_v1,
    "mobilenet-v2": mobilenet_v2,
    "mobilenet-v3": mobilenet_v3,
    "resnet18": resnet18,
    "resnet50": resnet50,
    "squeezenet": squeezenet,
    "vgg16": vgg16,
}


def networks(data: Path) -> dict[str, NetworkFeatures]:
    """Features of every network of the tables."""
    folder = data / "models" / "mlperf_tiny"
    tiny = {
        name: network_features(operator_features(layer_table(folder / file)))
        for name, file in FILES.items()
    }
    return {**tiny, **{name: network_features(make().rows) for name, make in BUILDERS.items()}}


def main(arguments: list[str] | None = None) -> int:
    """Write or check the file; 1 if it is out of date."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with models/mlperf_tiny")
    parser.add_argument("--check", action="store_true", help="only say whether it is up to date")
    options = parser.parse_args(arguments)
    text = networks_text(networks(options.data))
    if options.check:
        same = packaged_text("networks") == text
        print("up to date" if same else "networks.yaml differs from what the networks compute")
        return 0 if same else 1
    write_text(TARGET, text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
