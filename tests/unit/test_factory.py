"""A user's own code by name: found behind everything else, forbidden on request, blamed by its own line."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from edgepress.compress.factory import call_factory, is_factory, load_factory
from edgepress.runtime.errors import InputError, UsageError


@pytest.fixture(autouse=True)
def _clean_modules() -> Iterator[None]:
    path, modules = list(sys.path), set(sys.modules)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        del sys.modules[name]


def _module(folder: Path, name: str, text: str) -> Path:
    file = folder / f"{name}.py"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return folder


def test_a_function_of_a_module_in_the_folder(tmp_path: Path) -> None:
    folder = _module(tmp_path, "my_nets", "def build(n=1):\n    return n + 1\n")
    assert load_factory("my_nets:build", folder)(4) == 5
    assert sys.path[-1] == str(tmp_path)


def test_an_attribute_of_a_class_in_a_package(tmp_path: Path) -> None:
    _module(tmp_path / "my_package", "__init__", "")
    _module(
        tmp_path / "my_package",
        "nets",
        "class Nets:\n    @staticmethod\n    def build(): return 7\n",
    )
    assert load_factory("my_package.nets:Nets.build", tmp_path)() == 7


def test_the_folder_cannot_replace_a_module_of_python(tmp_path: Path) -> None:
    folder = _module(tmp_path, "json", "raise RuntimeError('imported')\n")
    with pytest.raises(
        InputError, match="the name json is taken by .*give your module another name|hides"
    ):
        load_factory("json:loads", folder)


def test_a_module_of_the_same_name_in_another_folder_is_not_mixed_up(tmp_path: Path) -> None:
    first = _module(tmp_path / "a", "same_nets", "def build(): return 'a'\n")
    second = _module(tmp_path / "b", "same_nets", "def build(): return 'b'\n")
    assert load_factory("same_nets:build", first)() == "a"
    with pytest.raises(
        InputError, match=r"same_nets is taken by .*a/same_nets\.py, which hides .*b/same_nets"
    ):
        load_factory("same_nets:build", second)


def test_forbidden_code_is_not_imported(tmp_path: Path) -> None:
    folder = _module(
        tmp_path,
        "forbidden_nets",
        "from pathlib import Path\nPath(__file__).with_name('ran').touch()\n",
    )
    with pytest.raises(UsageError, match="--no-user-code forbids it"):
        load_factory("forbidden_nets:build", folder, allow_user_code=False)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "spec", ["nets", "nets:", ":build", "nets.py:build()", "a b:c", "../nets:build", "nets:b:c"]
)
def test_another_form_is_a_usage_error(spec: str) -> None:
    assert not is_factory(spec)
    with pytest.raises(UsageError, match="write package.module:factory"):
        load_factory(spec)


def test_a_missing_module_and_a_missing_factory_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no module not_there"):
        load_factory("not_there.nets:build", tmp_path)
    folder = _module(tmp_path, "some_nets", "def builds(): pass\n")
    with pytest.raises(InputError, match="some_nets has no build\n.*it has builds"):
        load_factory("some_nets:build", folder)


def test_a_value_is_not_a_factory(tmp_path: Path) -> None:
    folder = _module(tmp_path, "value_nets", "build = 3\n")
    with pytest.raises(InputError, match="it is int, not something to call"):
        load_factory("value_nets:build", folder)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "x = 1\ny = x / 0\n",
            r"bad_nets.py:2\): the user's code raises ZeroDivisionError.* in `y = x / 0`",
        ),
        (
            "import not_installed_xyz\n",
            r"bad_nets.py:1\).*ModuleNotFoundError: No module named 'not_installed_xyz'",
        ),
        ("def f(:\n", r"bad_nets.py:1\).*SyntaxError"),
        ("import json\njson.loads('{')\n", r"bad_nets.py:2\).*JSONDecodeError.* in `json.loads"),
        ("raise SystemExit(3)\n", r"bad_nets.py:1\).*SystemExit: 3"),
    ],
)
def test_an_error_in_the_user_s_code_names_its_line(
    text: str, message: str, tmp_path: Path
) -> None:
    folder = _module(tmp_path, "bad_nets", text)
    with pytest.raises(InputError, match=message):
        load_factory("bad_nets:build", folder)


def test_an_error_while_building_names_its_line(tmp_path: Path) -> None:
    folder = _module(tmp_path, "late_nets", "def build(width):\n    return [1][width]\n")
    factory = load_factory("late_nets:build", folder)
    assert call_factory(factory, "late_nets:build", 0) == 1
    with pytest.raises(InputError, match=r"late_nets.py:2\): the user's code raises IndexError"):
        call_factory(factory, "late_nets:build", width=3)
