"""Losses and metrics that the data sets share: classification accuracy and mean squared error."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...runtime.errors import InputError
from ..task import Metric, Split

if TYPE_CHECKING:
    import torch

Array = NDArray[Any]

ACCURACY = Metric("accuracy", "%", higher_is_better=True)
SQUARED_ERROR = Metric("mean squared error", "", higher_is_better=False)


def first(outputs: Any) -> Any:
    """The first output of a model that may give several."""
    return outputs[0] if isinstance(outputs, (tuple, list)) else outputs


def cross_entropy(outputs: Any, targets: torch.Tensor) -> torch.Tensor:
    """Mean cross entropy of logits [N,classes] and class indices [N]."""
    import torch.nn.functional as F

    return F.cross_entropy(first(outputs), targets.long())


def squared_error(outputs: Any, targets: torch.Tensor) -> torch.Tensor:
    """Mean squared difference of outputs and targets of one shape."""
    import torch.nn.functional as F

    return F.mse_loss(first(outputs), targets)


def accuracy(outputs: Any, split: Split) -> float:
    """Percentage of samples whose largest output is the target."""
    scores = np.asarray(first(outputs)).reshape(len(split), -1)
    return float(np.mean(scores.argmax(1) == split.targets) * 100.0)


def mean_squared_error(outputs: Any, split: Split) -> float:
    """Mean over all samples and values, in float64."""
    found = np.asarray(first(outputs), np.float64)
    if found.size != split.targets.size:
        raise InputError(
            f"the model gives {found.shape}, the task compares with {split.targets.shape}"
        )
    return float(np.mean((found.reshape(split.targets.shape) - split.targets) ** 2))
