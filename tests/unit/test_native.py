"""The native engine's borders: no compiler, damaged folders, wrong inputs, the cache."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from edgepress.runtime import native
from edgepress.runtime.artifact import open_artifact
from edgepress.runtime.c_folder import MANIFEST, folder_bytes
from edgepress.runtime.engines import installed_engines
from edgepress.runtime.errors import EdgepressError, InputError, MissingToolError, UsageError
from edgepress.runtime.session import open_session
from support import c_models, small_hub


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("EDGEPRESS_CFLAGS", "-O1")
    return c_models.write(small_hub.int8(small_hub.hub()), tmp_path / "model")


def test_without_a_compiler_the_rest_works(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "CANDIDATES", ())
    with pytest.raises(MissingToolError, match="no C compiler") as caught:
        open_session(folder)
    assert caught.value.hint
    assert installed_engines()["native"].startswith("not usable")
    assert open_artifact(folder).format == "c"


def test_a_compiler_that_is_not_there(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEPRESS_CC", "no-such-compiler -m32")
    with pytest.raises(MissingToolError, match="no-such-compiler"):
        open_session(folder, "native")


def test_what_does_not_compile_is_told(folder: Path) -> None:
    source = folder / "model.c"
    source.write_text(source.read_text().replace("int model_invoke", "int model_invoke_ ("))
    with pytest.raises(InputError, match="compiling model.c"):
        open_session(folder)


def test_compiled_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = native.compile_folder(folder_bytes(folder))
    calls: list[object] = []
    monkeypatch.setattr(native, "_run", lambda *a, **k: calls.append(a))
    assert native.compile_folder(folder_bytes(folder)) == first and not calls


def test_other_sources_are_another_object(folder: Path) -> None:
    first = native.compile_folder(folder_bytes(folder))
    source = folder / "model.c"
    source.write_text(source.read_text() + "/* changed */\n")
    assert native.compile_folder(folder_bytes(folder)) != first
    assert native.compile_folder(folder_bytes(folder), options=("-O0",)) != first


def test_files_beside_do_not_count(folder: Path) -> None:
    before = open_artifact(folder).sha256
    (folder / "model.o").write_bytes(b"left over")
    assert open_artifact(folder).sha256 == before


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": "edgepress-c/1"}', "\x00"])
def test_damaged_manifests(folder: Path, text: str) -> None:
    (folder / MANIFEST).write_text(text)
    with pytest.raises(InputError):
        open_session(folder)


@pytest.mark.parametrize("name", ["../outside.c", "/etc/passwd"])
def test_a_manifest_never_leaves_its_folder(folder: Path, name: str) -> None:
    manifest = json.loads((folder / MANIFEST).read_text())
    manifest["files"].append(name)
    (folder / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(InputError, match="outside"):
        open_session(folder)


def test_missing_files_and_foreign_folders(folder: Path, tmp_path: Path) -> None:
    (folder / "ep_gemm_s8.c").unlink()
    with pytest.raises(InputError, match="ep_gemm_s8.c"):
        open_session(folder)
    with pytest.raises(InputError, match=MANIFEST):
        open_session(tmp_path)


def test_other_engines_do_not_run_it(folder: Path) -> None:
    with pytest.raises(UsageError, match="does not run c"):
        open_session(folder, "litert")


def test_wrong_inputs_and_no_run(folder: Path) -> None:
    session = open_session(folder)
    with pytest.raises(UsageError):
        session.outputs()
    with pytest.raises(UsageError):
        session.invoke()
    for wrong in ([], [np.zeros((1, 12, 12, 3), np.float32)], [np.zeros((1, 3, 12, 12), np.int8)]):
        with pytest.raises(EdgepressError):
            session.run(wrong)
