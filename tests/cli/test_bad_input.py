"""Bad input ends in exit code 2 and one message: what, where, what next. Nothing is left half-written.

Truncated and random files, NaN, wrong shapes, unknown names, full disks; weights: `test_bad_weights.py`.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from edgepress.export.tflite.write import write
from support.commands import call, refused, spawn, tree
from support.data import need_data
from support.lite_models import conv_model
from support.run_folders import float_onnx

RANDOM = np.random.default_rng(7).integers(0, 256, 4096, np.uint8).tobytes()


def files_of(kind: str) -> bytes:
    """A good file of a kind."""
    if kind == "onnx":
        return float_onnx(8)
    return write(conv_model())


@pytest.fixture
def net(tmp_path: Path) -> Path:
    """A good ONNX file taking [1, 2, 6, 6]."""
    path = tmp_path / "net.onnx"
    path.write_bytes(float_onnx(8))
    return path


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    """Real-shaped inputs for `net`."""
    path = tmp_path / "x.npz"
    np.savez(path, input=np.ones((4, 2, 6, 6), np.float32))
    return path


def verbs_on(path: Path, out: Path) -> Iterator[tuple[object, ...]]:
    """Every verb that reads a model file."""
    yield ("inspect", path)
    yield ("profile", path, "--processes", 1)
    if path.suffix == ".tflite":
        yield ("lint", path)
    else:
        yield ("export", path, "--out", out)


# ------------------------------------------------------------------- model files


@pytest.mark.parametrize("kind", ["onnx", "tflite"])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.7, 0.98])
def test_truncated_model_files(tmp_path: Path, kind: str, share: float) -> None:
    data = files_of(kind)
    check_damaged(tmp_path, kind, data[: int(len(data) * share)])


@pytest.mark.parametrize("kind", ["onnx", "tflite"])
@pytest.mark.parametrize(
    "content", [RANDOM, b"", b"\0" * 100, b"{}", RANDOM[:4] + b"TFL3" + RANDOM]
)
def test_random_bytes_as_model_files(tmp_path: Path, kind: str, content: bytes) -> None:
    check_damaged(tmp_path, kind, content)


def check_damaged(tmp_path: Path, kind: str, content: bytes) -> None:
    path, out = tmp_path / f"bad.{kind}", tmp_path / "out"
    path.write_bytes(content)
    for arguments in verbs_on(path, out):
        refused(call(*arguments, "-q"), f"bad.{kind}")
    assert not out.exists()


def test_the_real_file_with_an_impossible_dimension() -> None:
    path = need_data("models/tflm/person_detect_bad_qdim.tflite")
    for verb in ("inspect", "lint", "profile"):
        refused(call(verb, path, "-q"), path.name, "quantized_dimension must be in range", "next:")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_onnx_weights_that_are_not_finite(tmp_path: Path, value: float) -> None:
    import onnx
    from onnx import numpy_helper

    model = onnx.load_model_from_string(float_onnx(8))
    weight = numpy_helper.to_array(model.graph.initializer[0]).copy()
    weight[3, 1, 0, 2] = value
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(weight, "w"))
    path, out = tmp_path / "bad.onnx", tmp_path / "out"
    path.write_bytes(model.SerializeToString())
    refused(call("export", path, "--out", out, "-q"), "w")
    assert not out.exists()


def test_an_operator_nobody_knows(tmp_path: Path) -> None:
    import onnx

    model = onnx.load_model_from_string(float_onnx(8))
    node = model.graph.node[0]
    node.op_type, node.domain = "Frobnicate", "acme"
    model.opset_import.add(domain="acme", version=1)
    path, out = tmp_path / "bad.onnx", tmp_path / "out"
    path.write_bytes(model.SerializeToString())
    refused(call("export", path, "--out", out, "-q"), "Frobnicate", "conv")
    assert not out.exists()


# ------------------------------------------------------------------- paths


def test_paths_that_are_no_files(tmp_path: Path) -> None:
    missing, folder = tmp_path / "missing.onnx", tmp_path / "folder.onnx"
    folder.mkdir()
    for path, word in ((missing, "no such file"), (folder, "a folder without edgepress_c.json")):
        refused(call("inspect", path), word, path.name)
        refused(call("profile", path), word, path.name)
    refused(call("export", missing, "--out", tmp_path / "o"), "no such file", "missing.onnx")
    refused(call("export", folder, "--out", tmp_path / "o"), "folder", "folder.onnx")
    refused(call("report", missing), "no such run folder")
    assert not (tmp_path / "o").exists()


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    refused(call("inspect", "/proc/self/mem"), "/proc/self/mem", "cannot read")
    locked = tmp_path / "locked.tflite"
    locked.write_bytes(write(conv_model()))
    locked.chmod(0)
    if os.geteuid() != 0:  # root reads everything
        refused(call("inspect", locked), "locked.tflite", "permission denied")


@pytest.mark.parametrize("place", ["file", "proc"])
def test_output_folders_that_cannot_be(tmp_path: Path, net: Path, place: str) -> None:
    (tmp_path / "a_file").write_text("mine")
    out = {"file": tmp_path / "a_file" / "out", "proc": Path("/proc/edgepress/out")}[place]
    refused(call("export", net, "--out", out, "-q"), str(out.parent))
    refused(call("export", net, "--out", tmp_path / "a_file", "-q"), "this is a file")
    assert (tmp_path / "a_file").read_text() == "mine"


# ------------------------------------------------------------------- inputs


def test_inputs_of_the_wrong_shape(tmp_path: Path, net: Path, inputs: Path) -> None:
    np.savez(inputs, input=np.ones((4, 2, 6, 5), np.float32))
    refused(call("verify", net, net, "--inputs", inputs, "-q"), "6, 5")
    refused(
        call(
            "export",
            net,
            "--precision",
            "int8",
            "--calibration",
            inputs,
            "--out",
            tmp_path / "o",
            "-q",
        ),
        "1x2x6x5",
        "1x2x6x6",
    )
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize(
    "arrays",
    [
        {},
        {"input": np.zeros((0, 2, 6, 6), np.float32)},
        {"input": np.full((2, 2, 6, 6), np.nan, np.float32)},
        {"input": np.array(["a", "b"])},
        {"a": np.zeros((2, 2, 6, 6)), "b": np.zeros((3, 2, 6, 6))},
    ],
    ids=["no array", "no sample", "nan", "text", "lengths"],
)
def test_inputs_that_are_none(
    tmp_path: Path, net: Path, inputs: Path, arrays: dict[str, np.ndarray]
) -> None:
    np.savez(inputs, **arrays)
    refused(call("verify", net, net, "--inputs", inputs, "-q"), "x.npz")
    out = tmp_path / "out"
    calibrate = ("export", net, "--precision", "int8", "--calibration", inputs, "--out", out)
    refused(call(*calibrate, "-q"), "x.npz")
    assert not out.exists()


@pytest.mark.parametrize("content", [RANDOM, b"PK\x03\x04" + RANDOM, b""])
def test_inputs_that_are_no_archive(
    tmp_path: Path, net: Path, inputs: Path, content: bytes
) -> None:
    inputs.write_bytes(content)
    refused(call("verify", net, net, "--inputs", inputs, "-q"), "x.npz")


def test_int8_without_inputs(tmp_path: Path, net: Path) -> None:
    out = tmp_path / "out"
    refused(call("export", net, "--precision", "int8", "--out", out), "--calibration", "--task")
    refused(call("compress", net, "--out", out), "--calibration", "--task")
    refused(call("verify", net, net), "--inputs", "--task")
    assert not out.exists()


# ------------------------------------------------------------------- names and recipes


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("export", "resnet21", "--random-weights"), ("resnet21", "resnet20")),
        (("export", "toy_cnn", "--random-weights", "--task", "cifar11"), ("cifar11", "cifar10")),
        (("export", "no_module_here:build"), ("no_module_here",)),
        (("export", "os:no_such_thing"), ("no_such_thing",)),
        (("export", "os:getcwd", "--no-user-code", "--task", "toy"), ("--no-user-code",)),
        (("run", "watch-hra"), ("watch-hra", "did you mean 'watch-har'")),
        (("run", "no/such/recipe.yaml"), ("no such recipe file",)),
        (("run", "watch-har", "--set", "passes.trian.epochs=2"), ("trian", "train")),
        (("run", "watch-har", "--set", "nothing"), ("nothing",)),
        (("run", "watch-har", "--set", "passes.train.epochs=many"), ("many",)),
    ],
)
def test_unknown_names(tmp_path: Path, arguments: tuple[str, ...], words: tuple[str, ...]) -> None:
    out = tmp_path / "out"
    refused(call(*arguments, "--out", out, "-q"), *words)
    assert not out.exists()


RECIPES = {
    "unknown key": ("modle: toy_cnn\n", (":3:", "modle", "model")),
    "unknown option": ("passes:\n  - train: {epoch: 3}\n", (":4:", "epoch", "epochs")),
    "unknown pass": ("passes:\n  - trian: {}\n", ("trian", "train")),
    "impossible order": (
        "passes:\n  - quantize: {}\n  - train: {}\n",
        (":5:", "train", "quantize"),
    ),
    "twice quantized": ("passes:\n  - qat: {}\n  - quantize: {}\n", ("quantize",)),
    "wrong type": ("seed: many\n", (":3:", "seed", "many")),
    "not YAML": ("passes: [\n", ("recipe.yaml",)),
    "python object": ("seed: !!python/object/apply:os.getcwd []\n", (":3:",)),
}


@pytest.mark.parametrize("name", RECIPES)
def test_recipes_that_cannot_be(tmp_path: Path, name: str) -> None:
    text, words = RECIPES[name]
    path, out = tmp_path / "recipe.yaml", tmp_path / "out"
    model = "" if name == "unknown key" else "model: toy_cnn\n"
    head = f"name: toy\n{model or 'task: toy' + chr(10)}"
    path.write_text(head + text)
    refused(call("run", path, "--out", out, "-q"), "recipe.yaml", *words)
    assert not out.exists()


def test_a_run_folder_with_a_damaged_record(tmp_path: Path) -> None:
    from support.run_folders import make_run_folder

    run = make_run_folder(tmp_path / "run")
    for relative in (
        "manifest.json",
        "steps/02-quantize/receipt.json",
        "steps/03-verify/parity.json",
    ):
        path = run / relative
        good = path.read_bytes()
        path.write_bytes(good[: len(good) // 2])
        refused(call("report", run), Path(relative).name)
        path.write_bytes(b'{"surprise": 1}')
        if relative != "manifest.json":
            refused(call("report", run), Path(relative).name)
        path.write_bytes(good)
    assert call("report", run).code == 0


# ------------------------------------------------------------------- full disks

SMALL_FILES = "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))"
"""No file may grow beyond 20,000 bytes: the system refuses the write half way."""


@pytest.fixture
def big_net(tmp_path: Path) -> Path:
    """A model whose exported files take about 140 KB."""
    path = tmp_path / "net.onnx"
    path.write_bytes(float_onnx(2000))
    return path


def test_a_write_that_the_system_refuses_half_way(tmp_path: Path, big_net: Path) -> None:
    out = tmp_path / "out"
    done = spawn("export", big_net, "--out", out, "-q", code=SMALL_FILES)
    refused(done, "no space left")
    assert not out.exists()


def test_a_refused_report_keeps_the_old_one(tmp_path: Path) -> None:
    from support.run_folders import make_run_folder

    run = make_run_folder(tmp_path / "run")
    assert call("report", run, "--write", "-q").code == 0
    before = tree(run)
    limit = SMALL_FILES.replace("20000", "3000")
    refused(spawn("report", run, "--write", "-q", code=limit), "no space left")
    assert tree(run) == before


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 80 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=80k", "tmpfs", str(folder)]
    try:
        done = subprocess.run(mount, capture_output=True, check=False)
    except FileNotFoundError:
        pytest.skip("needs mount; the refused write above is tested everywhere")
    if done.returncode != 0:
        pytest.skip("needs the right to mount; the refused write above is tested everywhere")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk(small_disk: Path, big_net: Path) -> None:
    done = spawn("export", big_net, "--out", small_disk / "out", "-q")
    refused(done, "no space left", "free some space")
    assert list(small_disk.iterdir()) == []
