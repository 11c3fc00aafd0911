"""MobileNet v1 at width 0.25 (Howard et al., 2017, table 1), as MLPerf Tiny's visual wake words run it.

    conv 3x3 stride 2, 8 channels; 13 depthwise-separable blocks up to 256 channels; global mean; linear layer.

Input [N,3,96,96], two classes; other sizes work (32x32 ends in a single pixel). Padding is one pixel on both
sides where the reference pads like TensorFlow; parameters and MACs are the same.

Imports torch at the top: import this module inside functions.
"""

from __future__ import annotations

from torch import Tensor, nn

BLOCKS = (
    (16, 1), (32, 2), (32, 1), (64, 2), (64, 1), (128, 2),
    (128, 1), (128, 1), (128, 1), (128, 1), (128, 1), (256, 2), (256, 1),
)  # fmt: skip
"""(output channels, stride) at width 0.25."""


def _normalised(convolution: nn.Conv2d) -> nn.Sequential:
    return nn.Sequential(convolution, nn.BatchNorm2d(convolution.out_channels), nn.ReLU())


def separable(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    """Depthwise 3x3 with `stride`, then pointwise 1x1, each with batch norm and ReLU."""
    depthwise = nn.Conv2d(inputs, inputs, 3, stride, 1, groups=inputs, bias=False)
    return nn.Sequential(
        _normalised(depthwise), _normalised(nn.Conv2d(inputs, outputs, 1, bias=False))
    )


class MobileNetV1(nn.Module):
    """[N,channels,H,W] -> [N,classes] logits; H and W at least 32."""

    def __init__(self, classes: int, channels: int, stem_stride: int):
        super().__init__()
        layers = [_normalised(nn.Conv2d(channels, 8, 3, stem_stride, 1, bias=False))]
        inputs = 8
        for outputs, stride in BLOCKS:
            layers.append(separable(inputs, outputs, stride))
            inputs = outputs
        self.features = nn.Sequential(*layers)
        self.linear = nn.Linear(inputs, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        return self.linear(self.features(x).mean((2, 3)))


def mobilenet_v1_025(classes: int = 2, channels: int = 3, stem_stride: int = 2) -> MobileNetV1:
    """The MLPerf Tiny network by default; `stem_stride=1` keeps more of 32x32 images."""
    return MobileNetV1(classes, channels, stem_stride)
