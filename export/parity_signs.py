"""Outputs of networks of signs, where one value next to its threshold may fall to the other side.

A network that takes signs is not continuous: real arithmetic in front of a sign rounds differently from engine to
engine, and once in thousands of values that decides a bit, which then changes the sample's outputs visibly (measured:
2 of 300 CIFAR-10 images of a ResNet-20). A wrong conversion changes every sample. So nearly all samples must agree
as those of any float file do, and the rest must not decide much: the top-1 is the same for nearly all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .parity_records import Distance, Outcome, ParityLimits


def takes_signs(models: Sequence[Any]) -> bool:
    """True if one of the ONNX models holds packed layers, which take the signs of their inputs."""
    from .onnx.judge import OWN_DOMAIN

    return any(
        n.domain == OWN_DOMAIN and n.op_type.startswith("Binary")
        for m in models
        for n in m.graph.node
    )


def judge_signs(
    relatives: Sequence[float], agreement: float | None, limits: ParityLimits
) -> tuple[Outcome, str]:
    """Verdict on a float output of such a network.

    Args:
        relatives: per sample, the largest difference over the sample's largest value.
        agreement: share of samples with the same top-1, None where there is none.
    """
    close = sum(value <= limits.float_rtol for value in relatives) / max(len(relatives), 1)
    good = close >= limits.signs_close
    text = (
        f"{close:.1%} of the samples within {limits.float_rtol:g} of their largest value (needed "
        f"{limits.signs_close:.0%}: a bit next to its threshold may flip)"
    )
    if agreement is not None:
        good = good and agreement >= limits.signs_close
        text += f", top-1 agreement {agreement:.2%}"
    return (Outcome.PASS if good else Outcome.FAIL), text


def judge_sign_steps(
    distance: Distance, agreement: float | None, limits: ParityLimits
) -> tuple[Outcome, str]:
    """Verdict on an int8 output of such a network, in steps of its scale.

    Engines round the layer in front of the signs to steps that differ by one now and then; where that crosses a
    threshold, the sums behind move by two products. Measured on the watch network, seeds 0 to 2: at worst 97.1 % of
    the values within 2 steps, 0.33 steps on average, one top-1 in 64. So the share of close values is that of `signs`,
    while the mean, which a wrong conversion moves at once, stays as for any int8 file.
    """
    close = distance.close or 0.0
    mean = distance.mean_steps if distance.mean_steps is not None else 1e9
    good = close >= limits.signs_close and mean <= limits.int8_mean_steps
    text = (
        f"{close:.2%} of the values within {limits.int8_steps:g} steps (needed {limits.signs_close:.0%}: a bit next "
        f"to its threshold may flip), mean {mean:.3f} steps (allowed {limits.int8_mean_steps:g})"
    )
    if agreement is not None:
        good = good and agreement >= limits.signs_close
        text += f", top-1 agreement {agreement:.2%} (needed {limits.signs_close:.0%})"
    return (Outcome.PASS if good else Outcome.FAIL), text
