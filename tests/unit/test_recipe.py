"""Recipes: every fault has one message with its line; what is written is read back the same."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import pytest
from edgepress.compress.passes import PASSES, TrainOptions
from edgepress.compress.training_config import TrainConfig
from edgepress.runtime.errors import EdgepressError, InputError, UsageError
from edgepress.tools.recipe import (
    load_recipe,
    recipe_json_schema,
    recipe_yaml,
    shipped_recipes,
    shipped_text,
)
from edgepress.tools.recipe_records import PassStep, Recipe
from edgepress.tools.recipe_schema import recipe_of
from edgepress.tools.recipe_yaml import read_document, write_document
from hypothesis import given
from hypothesis import strategies as st
from support.recipes import TOY, write

MINIMAL = "name: a\nmodel: toy_cnn\ntask: toy\nexport: {precisions: [float32]}\n"


def load(tmp_path: Path, text: str, *overrides: str) -> Recipe:
    return load_recipe(write(tmp_path, text), overrides)


def fault(tmp_path: Path, text: str, *overrides: str) -> EdgepressError:
    with pytest.raises(EdgepressError) as caught:
        load(tmp_path, text, *overrides)
    assert caught.value.exit_code == 2
    return caught.value


# ------------------------------------------------------------------- shipped recipes


@pytest.mark.parametrize("name", shipped_recipes())
def test_every_shipped_recipe_loads_under_its_name_and_is_commented(name: str) -> None:
    assert load_recipe(name).name == name
    assert shipped_text(name).startswith("#")


def test_the_shipped_recipes_are_those_promised() -> None:
    promised = {
        "watch-har",
        "watch-har-qat",
        "resnet20-cifar10",
        "ds-cnn-digits",
        "autoencoder-digits",
    }
    assert promised <= set(shipped_recipes())


def test_an_unknown_name_names_the_nearest_recipe() -> None:
    with pytest.raises(UsageError, match="did you mean 'watch-har'"):
        load_recipe("watch_har")


def test_a_missing_file_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such recipe file"):
        load_recipe(tmp_path / "none.yaml")


# ------------------------------------------------------------------- values


def test_values_options_and_units(tmp_path: Path) -> None:
    text = (
        MINIMAL
        + "budget: {file_bytes: 60KiB, accuracy_drop: 1.5%}\npasses:\n  - train: {learning_rate: 1e-3}\n"
    )
    recipe = load(tmp_path, text)
    assert (recipe.budget.file_bytes, recipe.budget.accuracy_drop) == (61440, 1.5)
    assert recipe.passes == (PassStep("train", TrainOptions(learning_rate=0.001)),)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("60KiB", 61440),
        ("60 kb", 60000),
        ("1.5MiB", 1572864),
        ("2GB", 2 * 10**9),
        ("77", 77),
        ("'77'", 77),
    ],
)
def test_sizes(tmp_path: Path, text: str, size: int) -> None:
    assert load(tmp_path, MINIMAL + f"budget: {{file_bytes: {text}}}\n").budget.file_bytes == size


@pytest.mark.parametrize("text", ["60KiX", "many", "-5", "1.5", "[1]", "true"])
def test_what_is_no_size_is_refused(tmp_path: Path, text: str) -> None:
    assert (
        "budget.file_bytes" in fault(tmp_path, MINIMAL + f"budget: {{file_bytes: {text}}}\n").what
    )


def test_a_pass_without_options_has_its_defaults(tmp_path: Path) -> None:
    for line in ("  - train\n", "  - train:\n", "  - train: {}\n"):
        assert load(tmp_path, MINIMAL + "passes:\n" + line).passes == (
            PassStep("train", TrainOptions()),
        )


def test_relative_paths_belong_to_the_recipes_folder(tmp_path: Path) -> None:
    recipe = load(tmp_path, MINIMAL + "weights: w.npz\n")
    assert recipe.weights == str(tmp_path / "w.npz")
    assert load(tmp_path, MINIMAL + "weights: data:w.npz\n").weights == "data:w.npz"


def test_a_factory_gets_the_recipes_folder_as_module_path(tmp_path: Path) -> None:
    text = "name: a\nmodel: nets:build\ntask: toy\nexport: {precisions: [float32]}\n"
    assert load(tmp_path, text).module_path == str(tmp_path)
    assert load(tmp_path, MINIMAL).module_path is None


def test_train_options_are_those_of_the_training_loop() -> None:
    ours = {f.name: f.default for f in dataclasses.fields(TrainOptions) if f.name != "teacher"}
    theirs = {f.name: f.default for f in dataclasses.fields(TrainConfig)}
    for name in ("device", "threads", "seed"):
        del theirs[name]
    assert ours == theirs


# ------------------------------------------------------------------- faults

FAULTS = [
    ("unknown key", MINIMAL + "pases: []\n", ":5", "did you mean 'passes'"),
    (
        "unknown option",
        MINIMAL + "passes:\n  - train:\n      epochz: 2\n",
        ":7",
        "did you mean 'epochs'",
    ),
    ("unknown pass", MINIMAL + "passes:\n  - qant: {}\n", ":6", "did you mean 'qat'"),
    ("wrong type", MINIMAL + "seed: 1.5\n", ":5", "expected a whole number, not 1.5"),
    ("text for a number", MINIMAL + "seed: '1'\n", ":5", "expected a whole number, not '1'"),
    (
        "boolean for a number",
        MINIMAL + "threads: true\n",
        ":5",
        "expected a whole number, not true",
    ),
    ("not finite", MINIMAL + "passes:\n  - train: {learning_rate: .nan}\n", ":6", "finite"),
    ("outside", MINIMAL + "threads: 0\n", ":5", "expected at least 1, not 0"),
    ("choice", MINIMAL + "device: tpu\n", ":5", "'host'"),
    (
        "list for a mapping",
        MINIMAL + "verify: [1]\n",
        ":5",
        "expected a mapping of keys, not a list",
    ),
    ("mapping for a list", MINIMAL + "passes: {train: {}}\n", ":5", "expected a list"),
    ("number as pass", MINIMAL + "passes: [3]\n", ":5", "`- name: {options}`"),
    (
        "two passes in one",
        MINIMAL + "passes:\n  - train: {}\n    qat: {}\n",
        ":7",
        "one pass an item",
    ),
    ("missing key", "name: a\ntask: toy\n", ":1", "the key 'model' is missing"),
    ("duplicate key", MINIMAL + "seed: 1\nseed: 2\n", ":6", "stands here and in line 5"),
    ("alias", "a: &x [1]\nb: *x\n", ":1", "anchors and aliases"),
    ("merge key", "a: {b: 1}\n<<: {c: 2}\n", ":2", "plain word"),
    ("tag", "a: !!python/object:os.system x\n", ":1", "tag"),
    ("two documents", "a: 1\n---\nb: 2\n", ":2", "more than one document"),
    ("broken YAML", "name: a\nmodel: [toy_cnn\ntask: toy\n", ":3", "not valid YAML"),
    ("tab", "name: a\n\tmodel: b\n", ":2", "not valid YAML"),
    ("empty", "", "recipe.yaml", "the file is empty"),
    ("comment only", "# nothing\n", "recipe.yaml", "the file is empty"),
    ("a list", "- name: a\n", ":1", "this is a list"),
    ("deep", "a: " + "[" * 40 + "]" * 40 + "\n", ":1", "nested deeper"),
    ("unknown model", MINIMAL.replace("toy_cnn", "toy_cn"), ":2", "did you mean 'toy_cnn'"),
    ("unknown task", MINIMAL.replace("task: toy", "task: toi"), ":3", "did you mean 'toy'"),
    ("bad factory", MINIMAL.replace("toy_cnn", "a b:c"), ":2", "names no factory"),
    ("name for files", MINIMAL.replace("name: a", "name: ../a"), ":1", "no name for files"),
    (
        "int8 from nowhere",
        "name: a\nmodel: toy_cnn\ntask: toy\n",
        ":1",
        "no pass makes the int8",
    ),
    ("no format", MINIMAL.replace("precisions", "formats: [], precisions"), ":4", "export.formats"),
    (
        "budget unmeasured",
        MINIMAL + "evaluate: null\nbudget: {accuracy: 90}\n",
        ":6",
        "nothing measures",
    ),
    (
        "latency unmeasured",
        MINIMAL + "profile: null\nbudget: {latency_ms: 1}\n",
        ":6",
        "nothing measures",
    ),
    (
        "onnx with weights",
        MINIMAL.replace("toy_cnn", "m.onnx") + "weights: w.npz\n",
        ":5",
        "ONNX file",
    ),
    (
        "engine of another format",
        MINIMAL.replace("precisions", "formats: [onnx], precisions")
        + "profile: {engines: [tflite]}\n",
        ":5",
        "none of these engines runs a file",
    ),
    ("warm-up", MINIMAL + "passes:\n  - train: {epochs: 2, warmup_epochs: 2}\n", ":6", "warm-up"),
    ("no teacher", MINIMAL + "passes:\n  - train: {teacher: {}}\n", ":6", "needs a teacher"),
    (
        "unknown teacher",
        MINIMAL + "passes:\n  - train: {teacher: {model: resnet99}}\n",
        ":6",
        "unknown model",
    ),
]


@pytest.mark.parametrize(
    ("text", "line", "said"), [f[1:] for f in FAULTS], ids=[f[0] for f in FAULTS]
)
def test_every_fault_is_said_with_its_line(tmp_path: Path, text: str, line: str, said: str) -> None:
    error = fault(tmp_path, text)
    assert str(error.where).endswith(line), error
    assert said in str(error)


def test_several_faults_are_said_at_once(tmp_path: Path) -> None:
    error = fault(tmp_path, MINIMAL + "seed: x\nthreads: x\n")
    assert "seed" in str(error) and "recipe.yaml:6" in str(error)


def test_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_bytes(b"name: a\nmodel: \xff\n")
    with pytest.raises(InputError, match=r"r\.yaml:2: not UTF-8"):
        load_recipe(path)


def test_a_huge_file_is_no_recipe(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no recipe"):
        load(tmp_path, "#" * (2 << 20))


@given(st.binary(max_size=200))
def test_random_bytes_are_refused_in_words(data: bytes) -> None:
    try:
        recipe_of(read_document(data, "r.yaml"))
    except EdgepressError as error:
        assert error.exit_code == 2 and str(error)


PIECES = [*"[]{}~\n'\"é", "a: ", "- ", "*x", "&x ", "!!t ", "|\n", ": ", "  ", "0b", "1:9"]


@given(st.lists(st.sampled_from(PIECES), max_size=20).map("".join))
def test_yaml_in_pieces_is_read_or_refused_in_words(text: str) -> None:
    try:
        read_document(text.encode(), "r.yaml")
    except InputError as error:
        assert error.where is not None and error.where.startswith("r.yaml")


# ------------------------------------------------------------------- overrides


def test_overrides_change_values_and_make_sections(tmp_path: Path) -> None:
    recipe = load(
        tmp_path, TOY, "passes.train.epochs=7", "seed=3", "budget.file_bytes=1KiB", "verify=null"
    )
    assert recipe.passes[0].options.epochs == 7
    assert (recipe.seed, recipe.budget.file_bytes, recipe.verify) == (3, 1024, None)


def test_a_pass_that_appears_twice_is_counted(tmp_path: Path) -> None:
    text = MINIMAL + "passes:\n  - train\n  - train: {epochs: 3}\n"
    recipe = load(tmp_path, text, "passes.1.epochs=5", "passes.0.train.epochs=4")
    assert [step.options.epochs for step in recipe.passes] == [4, 5]
    assert "2 passes 'train'" in str(fault(tmp_path, text, "passes.train.epochs=5"))


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("passes.train.epochz=2", "did you mean 'epochs'"),
        ("passes.qat.epochs=2", "no pass 'qat'"),
        ("sed=2", "did you mean 'seed'"),
        ("seed=x", "expected a whole number, not 'x'"),
        ("seed", "KEY=VALUE"),
        ("=3", "KEY=VALUE"),
        ("seed=[1", "not valid YAML"),
    ],
)
def test_a_wrong_override_is_said_with_its_text(tmp_path: Path, override: str, said: str) -> None:
    error = fault(tmp_path, TOY, override)
    assert said in str(error) and f"--set {override}" in str(error.where)


# ------------------------------------------------------------------- round trip


def _words(extra: str = "") -> st.SearchStrategy[str]:
    return st.text(
        st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12
    )


def _number(metadata: Any, whole: bool) -> st.SearchStrategy[Any]:
    low = metadata.get("ge", metadata.get("gt", 0))
    high = metadata.get("le", metadata.get("lt", low + 1000))
    if whole:
        return st.integers(low, min(high, 2**31))
    outside = {"exclude_min": "gt" in metadata, "exclude_max": "lt" in metadata}
    return st.floats(low, high, allow_nan=False, **outside)


def _option(field: dataclasses.Field[Any]) -> st.SearchStrategy[Any] | None:
    """Values of an option, by its default's type; None for what is set by hand."""
    choices = field.metadata.get("choices")
    if isinstance(field.default, bool):
        return st.booleans()
    if choices and isinstance(field.default, str):
        return st.sampled_from(choices)
    if isinstance(field.default, int | float):
        return _number(field.metadata, isinstance(field.default, int))
    return None


def _options(record: type[Any]) -> st.SearchStrategy[Any]:
    known = {f.name: _option(f) for f in dataclasses.fields(record)}
    return st.builds(record, **{name: s for name, s in known.items() if s is not None})


RECIPES = st.builds(
    Recipe,
    name=_words(),
    model=_words(),
    model_options=st.dictionaries(
        _words(), st.integers() | st.booleans() | _words() | st.none(), max_size=3
    ),
    weights=st.none() | _words(),
    task=st.none() | _words(),
    seed=st.integers(0, 2**63 - 1),
    threads=st.integers(1, 256),
    passes=st.lists(
        st.sampled_from(sorted(PASSES)).flatmap(
            lambda name: _options(PASSES[name].options).map(lambda o: PassStep(name, o))
        ),
        max_size=3,
    ).map(tuple),
)


@given(RECIPES)
def test_recipe_to_yaml_to_recipe_is_the_identity(recipe: Recipe) -> None:
    again = recipe_of(read_document(recipe_yaml(recipe).encode(), "r.yaml"))
    assert again == recipe
    assert recipe_yaml(again) == recipe_yaml(recipe)


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | _words(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_words(), inner, max_size=3),
    max_leaves=8,
)


@given(PLAIN.filter(lambda value: value is not None))
def test_plain_values_survive_yaml(value: Any) -> None:
    assert read_document(write_document(value).encode(), "r.yaml").values == value


@pytest.mark.parametrize(
    "text", ["1e-3", "1E+5", "-2e4", "1_0e2", "2020-01-01", "yes", "~", "0x1F", "1:20", "<<", "="]
)
def test_text_that_looks_like_something_else_stays_text(text: str) -> None:
    assert read_document(write_document({"a": text}).encode(), "r.yaml").values == {"a": text}


def test_numbers_with_an_exponent_are_numbers() -> None:
    assert read_document(b"a: 1e-3", "r").values == {"a": 0.001}
    assert math.isinf(read_document(b"a: .inf", "r").values["a"])


def test_the_schema_is_json_and_knows_every_key() -> None:
    schema = recipe_json_schema()
    assert set(schema["properties"]) == {f.name for f in dataclasses.fields(Recipe)}
    assert "freeze_fraction" in json.dumps(schema)
