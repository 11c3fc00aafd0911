"""Counts of binary networks against the known ones, and what operators are charged for."""

from __future__ import annotations

import pytest
import torch
from edgepress.compress import zoo
from edgepress.compress.binarization.binarize import binarize
from edgepress.compress.binarization.complexity import (
    Complexity,
    complexity,
    compression,
    extras,
    speed_up,
)
from edgepress.compress.binarization.operators import LayerShape
from edgepress.compress.binarization.records import BinarizeConfig
from torch import nn

KNOWN = {
    "VGG-Small": (4_656_512, 4_571_136, 607_600_640, 603_979_776, 20.40, 46.53),
    "ResNet-20": (268_336, 267_264, 40_551_040, 40_108_032, 28.47, 37.91),
    "ResNet-18": (11_164_352, 10_985_472, 555_422_720, 547_356_672, 21.38, 33.42),
    "BinaryNet": (14_022_016, 14_018_560, 616_966_144, 613_427_200, 31.76, 47.01),
    "CNV": (1_542_848, 1_541_120, 59_461_376, 57_906_176, 30.93, 24.17),
    "ResNet-18 224": (11_678_912, 10_985_472, 1_814_073_344, 1_676_279_808, 11.27, 11.06),
}
"""weights, binary ones, MACs, binary ones, r_c, r_s."""


@pytest.mark.parametrize("name", KNOWN)
def test_the_ratios_of_known_networks(name: str) -> None:
    *counts, r_c, r_s = KNOWN[name]
    found = Complexity(*(int(n) for n in counts))
    assert compression(found) == pytest.approx(r_c, abs=0.006)
    assert speed_up(found) == pytest.approx(r_s, abs=0.006)


@pytest.mark.parametrize(
    ("network", "name"), [("resnet20", "ResNet-20"), ("vgg_small", "VGG-Small")]
)
def test_networks_of_the_zoo_are_counted_as_published(network: str, name: str) -> None:
    example = (torch.zeros(2, 3, 32, 32),)
    model = binarize(zoo.build(network), example, BinarizeConfig(operator="bnn"))
    found = complexity(model, example)
    assert (found.weights, found.binary_weights, found.macs, found.binary_macs) == KNOWN[name][:4]
    assert found.extra_operations == found.extra_parameters == found.extra_binary == 0


def test_float_networks_have_no_binary_part_and_a_layer_used_twice_counts_once() -> None:
    layer = nn.Linear(4, 4)
    model = nn.Sequential(layer, nn.ReLU(), layer)
    found = complexity(model, (torch.zeros(3, 4),))
    assert found == Complexity(16, 0, 32, 0)
    assert compression(found) == speed_up(found) == 1


SHAPE = LayerShape(8, 4, 4, (3, 3))
OUTPUT = torch.zeros(1, 8, 5, 6)
INPUTS, OUTPUTS, POSITIONS, WINDOW = 4 * 5 * 6, 8 * 5 * 6, 5 * 6, 5 * 6 * 4 * 9


@pytest.mark.parametrize(
    ("operator", "parameters", "operations", "binary"),
    [
        ("bnn", 0, 0, 0),
        ("xnor", 0, 0, 0),
        ("recu", 0, 0, 0),
        ("irnet", 0, 0, 0),
        ("react", 0, 0, 0),
        ("xnor-bibench", 0, INPUTS + OUTPUTS, 0),
        ("xnor-paper", 0, INPUTS + 9 * POSITIONS + OUTPUTS, 0),
        ("xnorpp-paper", 8 + 5 + 6, OUTPUTS, 0),
        ("adabin", 2 + 8, OUTPUTS, WINDOW),
        ("dorefa-paper", 0, 0, 0),
    ],
)
def test_what_operators_are_charged_for(
    operator: str, parameters: int, operations: int, binary: int
) -> None:
    found = extras(operator, SHAPE, INPUTS, OUTPUTS, OUTPUT)
    assert found == Complexity(0, 0, 0, 0, parameters, operations, binary)


def test_charges_lower_the_ratios() -> None:
    example = (torch.zeros(2, 6, 40),)
    found = {
        name: complexity(
            binarize(zoo.build("har_cnn"), example, BinarizeConfig(operator=name)), example
        )
        for name in ("bnn", "xnor-bibench", "adabin")
    }
    assert found["bnn"].macs == found["adabin"].macs
    assert speed_up(found["bnn"]) > speed_up(found["xnor-bibench"]) > 1
    assert speed_up(found["bnn"]) > speed_up(found["adabin"]) > 1
    assert compression(found["bnn"]) > compression(found["adabin"])
