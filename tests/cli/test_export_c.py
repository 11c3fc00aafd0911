"""Options of `edgepress export` that are about C folders."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from edgepress.runtime.session import open_session
from support.commands import call

TOY = ("toy_cnn", "--random-weights", "--task", "toy", "--format", "c")


def array_of(text: str, name: str) -> np.ndarray:
    """Numbers of one array of a header."""
    found = re.search(rf"{name}\[\d+\][^{{]*{{([^}}]*)}}", text)
    assert found is not None
    words = found[1].replace("\n", " ").split(",")
    return np.array([float(word.strip().rstrip("f")) for word in words if word.strip()])


@pytest.mark.parametrize(("precision", "atol"), [("int8", 0.0), ("float32", 1e-5)])
def test_vectors_are_what_the_folder_computes(precision: str, atol: float, tmp_path: Path) -> None:
    words = ["--precision", precision, "--c-vectors", "3", "--out", str(tmp_path)]
    assert call("export", *TOY, *words).code == 0
    session = open_session(tmp_path / f"toy_cnn.{precision}.c")
    text = (tmp_path / f"toy_cnn.{precision}.c" / "toy_cnn_vectors.h").read_text()
    assert "#define TOY_CNN_VECTORS 3" in text
    (given,), (made,) = session.artifact.inputs, session.artifact.outputs
    inputs = array_of(text, "toy_cnn_vector_input_0").reshape(3, *given.shape)
    outputs = array_of(text, "toy_cnn_vector_output_0").reshape(3, *made.shape)
    for x, wanted in zip(inputs, outputs, strict=True):
        found = session.run([x.astype(given.dtype)])[0]
        np.testing.assert_allclose(found.astype(np.float64), wanted, rtol=0, atol=atol)


@pytest.mark.parametrize(
    ("kind", "file"), [("arduino", "library.properties"), ("zephyr", "zephyr/module.yml")]
)
def test_packagings_open_and_compute(kind: str, file: str, tmp_path: Path) -> None:
    assert call("export", *TOY, "--c-packaging", kind, "--out", str(tmp_path)).code == 0
    folder = tmp_path / "toy_cnn.float32.c"
    assert (folder / file).is_file()
    session = open_session(folder)
    (spec,) = session.artifact.inputs
    assert np.isfinite(session.run([np.ones(spec.shape, spec.dtype)])[0]).all()


def test_there_are_none_unless_asked_for(tmp_path: Path) -> None:
    assert call("export", *TOY, "--out", str(tmp_path)).code == 0
    assert not list(tmp_path.glob("*/*_vectors.h"))


def test_vectors_need_real_inputs(tmp_path: Path) -> None:
    words = ["toy_cnn", "--random-weights", "--format", "c", "--input-shape", "1,1,8,8"]
    done = call("export", *words, "--c-vectors", "2", "--out", str(tmp_path / "x"))
    assert done.code == 2 and "--c-vectors needs real inputs" in done.err


@pytest.mark.parametrize(
    ("device", "layout"),
    [("generic", "ROWS"), ("cortex-m55", "MVE"), ("pi5", "NEON_DOT"), ("stm32l4r5", "SMLAD")],
)
def test_devices_and_their_names(device: str, layout: str, tmp_path: Path) -> None:
    assert call("export", *TOY, "--device", device, "--out", str(tmp_path)).code == 0
    target = (tmp_path / "toy_cnn.float32.c" / "ep_target.h").read_text()
    assert f"#define EP_LAYOUT EP_LAYOUT_{layout}\n" in target


def test_an_unknown_device_is_a_usage_error(tmp_path: Path) -> None:
    done = call("export", *TOY, "--device", "pi55", "--out", str(tmp_path / "x"), "--dry-run")
    assert done.code == 2 and "'pi55'" in done.err and "cortex-m4" in done.err
    recipe = tmp_path / "r.yaml"
    recipe.write_text(
        "name: t\nmodel: toy_cnn\ntask: toy\nexport: {formats: [c], c_device: pi55}\n"
    )
    told = call("run", str(recipe), "--out", str(tmp_path / "run"), "--dry-run")
    assert told.code == 2 and "r.yaml:4: export.c_device: c is packed for no device" in told.err
