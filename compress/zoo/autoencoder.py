"""The dense autoencoder of MLPerf Tiny's anomaly detection (Banbury et al., 2021; Koizumi et al., DCASE 2020 task 2).

    640 - 128 - 128 - 128 - 128 - 8 - 128 - 128 - 128 - 128 - 640

Every layer but the last is followed by batch norm and ReLU. 264,192 MACs. Input and output are five frames of
128 log-mel values; the score is the mean squared difference.

Imports torch at the top: import this module inside functions.
"""

from __future__ import annotations

from torch import Tensor, nn

HIDDEN = (128, 128, 128, 128, 8, 128, 128, 128, 128)


class Autoencoder(nn.Module):
    """[N,values] -> [N,values]."""

    def __init__(self, values: int):
        super().__init__()
        layers: list[nn.Module] = []
        inputs = values
        for outputs in HIDDEN:
            layers += [
                nn.Linear(inputs, outputs, bias=False),
                nn.BatchNorm1d(outputs),
                nn.ReLU(),
            ]
            inputs = outputs
        self.layers = nn.Sequential(*layers)
        self.output = nn.Linear(inputs, values)

    def forward(self, x: Tensor) -> Tensor:
        """The reconstruction."""
        return self.output(self.layers(x))


def autoencoder(values: int = 640) -> Autoencoder:
    """The MLPerf Tiny network for `values` inputs."""
    return Autoencoder(values)
