"""VGG-Small, the chain network that binary networks are compared with on CIFAR-10.

    conv 128, conv 128, pool, conv 256, conv 256, pool, conv 512, conv 512, pool, linear 8192 -> 10

Order inside a stage: convolution, (pooling,) batch norm, activation (Courbariaux et al., 2016, figure of the
CIFAR-10 network; Zhang et al., LQ-Nets, 2018, keep its six convolutions and one linear layer). Pooling comes
before batch norm so that the same chain with sign activations is a binary network. `activation="hardtanh"`
is what such a network should be pretrained with. 4,656,512 weights without batch norm and bias.

Imports torch at the top: import this module inside functions.
"""

from __future__ import annotations

from torch import Tensor, nn

from ...runtime.errors import UsageError

WIDTHS = (128, 128, 256, 256, 512, 512)
ACTIVATIONS = {"relu": nn.ReLU, "hardtanh": nn.Hardtanh}


class VggSmall(nn.Module):
    """[N,channels,32,32] -> [N,classes] logits."""

    def __init__(self, classes: int, channels: int, activation: str):
        super().__init__()
        layers: list[nn.Module] = []
        inputs = channels
        for index, outputs in enumerate(WIDTHS):
            layers.append(nn.Conv2d(inputs, outputs, 3, padding=1, bias=False))
            if index % 2:
                layers.append(nn.MaxPool2d(2))
            layers += [nn.BatchNorm2d(outputs), ACTIVATIONS[activation]()]
            inputs = outputs
        self.features = nn.Sequential(*layers)
        self.linear = nn.Linear(WIDTHS[-1] * 16, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        return self.linear(self.features(x).flatten(1))


def vgg_small(classes: int = 10, channels: int = 3, activation: str = "relu") -> VggSmall:
    """VGG-Small; an unknown activation is a `UsageError`."""
    if activation not in ACTIVATIONS:
        raise UsageError(
            f"vgg_small has no activation {activation!r}", hint=f"it has {', '.join(ACTIVATIONS)}"
        )
    return VggSmall(classes, channels, activation)
