"""The order of passes: what can run does, what cannot is refused with both steps named and a way out."""

from __future__ import annotations

import dataclasses
import itertools

import pytest
from edgepress.compress.passes import FACTS_OF_ONNX, FACTS_OF_TORCH, PASSES, WORDS, check_order
from edgepress.runtime.errors import UsageError
from hypothesis import given
from hypothesis import strategies as st

ENDS = ("quantize", "qat", "binarize")
POSSIBLE = [
    [],
    ["train"],
    ["train", "train"],
    ["quantize"],
    ["qat"],
    ["train", "quantize"],
    ["train", "qat"],
    ["binarize"],
    ["train", "binarize"],
    ["train", "binarize", "quantize"],
]


@pytest.mark.parametrize("names", POSSIBLE, ids=lambda names: "-".join(names) or "none")
def test_possible_orders(names: list[str]) -> None:
    facts = check_order(names)
    assert ("int8" in facts) == bool({"quantize", "qat"} & set(names))
    assert ("binary" in facts) == ("binarize" in names)
    assert ("torch" in facts) == (not {"int8", "binary"} & facts)


@pytest.mark.parametrize(
    ("names", "hint"),
    [
        (["quantize", "train"], "move 'train' in front of 'quantize'"),
        (["qat", "train"], "move 'train' in front of 'qat'"),
        (["quantize", "qat"], "keep one of them"),
        (["qat", "quantize"], "keep one of them"),
        (["quantize", "quantize"], "keep one 'quantize'"),
        (["train", "qat", "train"], "move 'train' in front of 'qat'"),
        (["binarize", "train"], "move 'train' in front of 'binarize'"),
        (["binarize", "qat"], "keep one of them; `quantize` makes int8"),
        (["binarize", "binarize"], "keep one 'binarize'"),
    ],
)
def test_impossible_orders_name_both_steps_and_what_to_change(names: list[str], hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_order(names, where="recipe.yaml:7")
    message = str(caught.value)
    assert caught.value.exit_code == 2 and caught.value.where == "recipe.yaml:7"
    assert f"'{names[-1]}'" in message and f"'{names[-2]}'" in message and hint in message


@pytest.mark.parametrize("name", ["train", "qat", "binarize"])
def test_an_onnx_file_cannot_be_trained(name: str) -> None:
    with pytest.raises(UsageError, match=f"'{name}'.*needs a torch model"):
        check_order([name], FACTS_OF_ONNX)


def test_an_onnx_file_can_be_quantized() -> None:
    assert "int8" in check_order(["quantize"], FACTS_OF_ONNX)


def test_an_unknown_pass_lists_the_known() -> None:
    with pytest.raises(UsageError, match="passes: train, quantize, qat, binarize"):
        check_order(["prune"])


@given(st.lists(st.sampled_from(sorted(PASSES)), max_size=5))
def test_nothing_trains_and_nothing_is_quantized_after_quantization(names: list[str]) -> None:
    first = next((i for i, name in enumerate(names) if name in ENDS), len(names))
    possible = first >= len(names) - 1 or names[first:] == ["binarize", "quantize"]
    try:
        check_order(names)
    except UsageError:
        assert not possible
    else:
        assert possible


def test_specs_are_sound() -> None:
    for name, spec in PASSES.items():
        assert spec.name == name and dataclasses.is_dataclass(spec.options)
        assert spec.requires | spec.provides | spec.removes <= set(WORDS)
        assert spec.purpose
        spec.options()
    for field in itertools.chain.from_iterable(
        dataclasses.fields(s.options) for s in PASSES.values()
    ):
        assert field.metadata.get("help"), field.name


def test_start_facts_differ_in_torch_only() -> None:
    assert {"torch", "onnx"} == FACTS_OF_TORCH ^ FACTS_OF_ONNX
