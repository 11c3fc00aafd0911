"""One-bit layers in C: packed signs against numpy to the last bit, in all layouts, with and without vectors."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from edgepress.export.onnx import hub as hubs
from edgepress.export.onnx.check import open_reference
from edgepress.export.onnx.compact import compact
from edgepress.runtime.c_folder import MANIFEST, parse
from edgepress.runtime.session import open_session, run_real
from support import c_bits, c_fuzz, c_models
from support.binary_hubs import HubMaker, inputs_of
from support.data import need_data

COMPILER = next((name for name in ("gcc", "clang") if shutil.which(name)), "")
HOST = (
    ("generic", "-O2"),
    ("generic", "-O3 -march=native"),
    ("x86-64", "-O2"),
    ("x86-64", "-O3 -mavx2"),
    ("x86-64", "-O3 -march=native"),
    ("cortex-m4", "-O2"),
    ("cortex-m55", "-O2"),
    ("cortex-a76", "-O2"),
)
CORES = {
    "cortex-m4": "stm32l4r5",
    "cortex-m55": "apollo510",
    "cortex-a53": "pi3bplus",
    "cortex-a76": "pi5",
}

if not COMPILER:
    pytest.skip("no C compiler here", allow_module_level=True)


@pytest.mark.parametrize(("device", "flags"), HOST)
def test_random_layers_equal_numpy(
    device: str, flags: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Channels 1 to 300; windows, strides, dilations, borders of +1 and 0, groups, batches; three kinds of results."""
    if "mavx2" in flags and " avx2 " not in Path("/proc/cpuinfo").read_text("utf-8"):
        flags = "-O3"
    monkeypatch.setenv("EDGEPRESS_CFLAGS", flags)
    made = c_bits.random_model(11, 24)
    session = open_session(c_bits.write(made, tmp_path, device))
    assert c_bits.differing(made, session.run(made.inputs)) == {}


@pytest.mark.emulated
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("core", CORES)
def test_random_layers_on_emulated_cores(core: str, seed: int, tmp_path: Path) -> None:
    from edgepress.devices.emulate_c import run_c
    from edgepress.devices.firmware_vectors import Vectors
    from edgepress.devices.profile import load_profile

    made = c_bits.random_model(seed, 8, 200)
    vectors = Vectors([made.inputs], [made.expected], relative=0.0, absolute=0.0)
    run_c(c_bits.write(made, tmp_path, core), load_profile(CORES[core]), vectors)


@pytest.mark.emulated
@pytest.mark.parametrize("first", ["#undef __OPTIMIZE__\n", "#define EP_WITHOUT_ASM\n"])
@pytest.mark.parametrize("of", ["ep_bdots_smlad.c", "ep_bfinish.c", "ep_bconv2d.c"])
def test_files_need_not_be_built_alike(of: str, first: str, tmp_path: Path) -> None:
    """Assembly in one file and none in another, as where a build system optimizes some files alone."""
    from edgepress.devices.emulate_c import run_c
    from edgepress.devices.firmware_vectors import Vectors
    from edgepress.devices.profile import load_profile

    made = c_bits.random_model(0, 4, 100)
    vectors = Vectors([made.inputs], [made.expected], relative=0.0, absolute=0.0)
    folder = c_bits.write(made, tmp_path, "cortex-m4")
    (folder / of).write_text(first + (folder / of).read_text())
    run_c(folder, load_profile(CORES["cortex-m4"]), vectors)


@pytest.mark.emulated
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("device", ["generic", "x86-64", "cortex-m55"])
def test_random_layers_under_sanitizers(device: str, seed: int, tmp_path: Path) -> None:
    made = c_bits.random_model(seed, 12)
    c_bits.write(made, tmp_path, device)
    facts = parse((tmp_path / MANIFEST).read_bytes())
    (tmp_path / "main.c").write_text(c_bits.main_text(made))
    (tmp_path / "input.bin").write_bytes(b"".join(x.tobytes() for x in made.inputs))
    words = [COMPILER, *c_fuzz.FLAGS, "-march=native", *facts.sources, "main.c"]
    subprocess.run([*words, "-o", "program", "-lm"], cwd=tmp_path, check=True)
    done = subprocess.run(["./program"], cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode(errors="replace")[:2000]
    assert done.stdout == b"".join(y.tobytes() for y in made.expected)


def test_weights_are_one_bit(tmp_path: Path) -> None:
    """What the folder says of itself: bytes of constants, of the arena, and products that are counted."""
    made = c_bits.random_model(3, 1, 256)
    folder = c_bits.write(made, tmp_path, "generic")
    facts = parse((folder / MANIFEST).read_bytes())
    words = [t for t in made.model.tensors if t.name.endswith("/filter")]
    assert facts.weights_bytes < sum(t.data.nbytes for t in words if t.data is not None) + 2048
    from edgepress.devices.layers_c import c_layers

    table = c_layers(facts)
    assert table.binary_macs == table.bit_operations == c_bits.macs(made)
    (row,) = table.layers
    assert row.weight_bits == row.activation_bits == 1
    assert row.weight_bytes <= facts.weights_bytes


@pytest.mark.parametrize(("name", "right"), [("1w1a", 4653), ("2w2a", 4831)])
def test_trained_networks_give_the_same_in_c(name: str, right: int, tmp_path: Path) -> None:
    """93.06 % and 96.62 % of 5,000 MNIST test images; every prediction that of the packed ONNX graph.

    "float32" is what the command line asks for.
    """
    hub = hubs.from_onnx(need_data(f"models/qonnx/mnist_tfc_{name}.qonnx.onnx"))
    archive = np.load(need_data("mnist/mnist_test_even.npz"))
    images = (archive["x_test"][:, None] / 255).astype(np.float32)
    session = c_models.opened(hub, tmp_path, device="x86-64", precision="float32")
    reference = open_reference(compact(hub), optimise=True)
    given = reference.get_inputs()[0].name
    found = np.concatenate([run_real(session, (row[None],))[0] for row in images])
    wanted = np.concatenate([reference.run(None, {given: row[None]})[0] for row in images])
    assert np.array_equal(found.argmax(1), wanted.argmax(1))
    assert int((found.argmax(1) == archive["y_test"]).sum()) == right and len(images) == 5000
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)
    facts = parse((tmp_path / MANIFEST).read_bytes())
    kernels, most = {"1w1a": (BITS, 9_000), "2w2a": ({"ep_dense_w8"}, 62_000)}[name]
    assert kernels <= set(facts.kernels) and facts.weights_bytes <= most


BITS = {"ep_bconv2d_bits", "ep_bconv2d_f32"}


def session_kernels(folder: Path) -> tuple[str, ...]:
    return tuple(parse((folder / MANIFEST).read_bytes()).kernels)


NETS = {
    "borders of 0": lambda: HubMaker((1, 40, 12, 12)).conv((70, 40, 3, 3), pads=[1] * 4).norm(70)
    .node("MaxPool", kernel_shape=[2, 2], strides=[2, 2]).conv((33, 70, 3, 3), pads=[1] * 4),
    "borders of +1": lambda: HubMaker((1, 40, 12, 12)).node("Pad", *ones(1)).conv((64, 40, 3, 3))
    .node("MaxPool", kernel_shape=[2, 2], strides=[2, 2]).node("Pad", *ones(1)).conv((33, 64, 3, 3)),
    "steps of 2": lambda: HubMaker((1, 16, 12, 12)).conv((32, 16, 3, 3), pads=[1] * 4, strides=[2, 2])
    .conv((10, 32, 3, 3), pads=[1] * 4, strides=[2, 2]),
    "every second": lambda: HubMaker((1, 20, 12, 12)).conv((9, 20, 5, 5), pads=[2] * 4, strides=[2, 2]),
    "dense": lambda: HubMaker((3, 100)).dense(65, 100).dense(30, 65).norm(30, 0).dense(5, 30),
    "series": lambda: HubMaker((1, 6, 40)).conv((33, 6, 5), pads=[2, 2]).conv((8, 33, 3), dilations=[2]),
    "groups": lambda: HubMaker((1, 64, 7, 7)).conv((64, 32, 3, 3), group=2, pads=[1] * 4)
    .conv((5, 64, 1, 1)),
}  # fmt: skip


def ones(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Inputs of a Pad of images with +1."""
    return np.asarray([0, 0, size, size] * 2, np.int64), np.float32(1)


@pytest.mark.parametrize("device", ["generic", "x86-64", "cortex-m4"])
@pytest.mark.parametrize("name", NETS)
def test_packed_hubs_equal_onnx(name: str, device: str, tmp_path: Path) -> None:
    """All sums are integers, so no bit flips and only the last multiplication rounds."""
    hub = NETS[name]().hub()
    session = c_models.opened(hub, tmp_path, device=device)
    assert any(kernel.startswith("ep_bconv2d") for kernel in session_kernels(tmp_path))
    for seed in range(3):
        sample = (inputs_of(hub, seed),)
        wanted = c_models.onnx_outputs(hub, sample)[0]
        np.testing.assert_array_equal(run_real(session, sample)[0], wanted)


def quantized(name: str) -> Any:
    """A hub of NETS between int8 borders."""
    hub = NETS[name]().node("Relu").hub()
    return c_models.planned(hub, [(inputs_of(hub, seed),) for seed in range(4)])


@pytest.mark.parametrize(
    "name", ["borders of 0", "borders of +1", "steps of 2", "every second", "series"]
)
def test_fused_layers_compute_what_the_parts_did(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pads, slices and QUANTIZE inside the convolution or beside it: the same bytes, fewer calls, a smaller arena."""
    hub = quantized(name)
    fused = c_models.opened(hub, tmp_path / "fused")
    monkeypatch.setattr("edgepress.export.c.lower.fuse", lambda model: model)
    apart = c_models.opened(hub, tmp_path / "apart")
    facts = [parse((tmp_path / kind / MANIFEST).read_bytes()) for kind in ("fused", "apart")]
    assert len(facts[0].calls) < len(facts[1].calls)
    assert facts[0].arena_bytes <= facts[1].arena_bytes
    for seed in range(5):
        sample = (inputs_of(hub, seed),)
        np.testing.assert_array_equal(run_real(fused, sample)[0], run_real(apart, sample)[0])


def test_borders_of_0_hand_on_bits(tmp_path: Path) -> None:
    """A chain with borders of 0 and a pool needs no real numbers between its layers."""
    hub = HubMaker((1, 40, 12, 12)).conv((70, 40, 3, 3), pads=[1] * 4)
    hub.node("MaxPool", kernel_shape=[2, 2], strides=[2, 2]).conv((33, 70, 3, 3), pads=[1] * 4)
    hub.norm(33).conv((8, 33, 3, 3), pads=[1] * 4, strides=[2, 2])
    model = hub.hub()
    session = c_models.opened(model, tmp_path)
    calls = [call.function for call in parse((tmp_path / MANIFEST).read_bytes()).calls]
    assert calls == [
        "ep_bits_pack_f32", "ep_bconv2d_bits", "ep_bmax_pool", "ep_bconv2d_bits", "ep_bconv2d_f32",
    ]  # fmt: skip
    for seed in range(5):
        sample = (inputs_of(model, seed),)
        wanted = c_models.onnx_outputs(model, sample)[0]
        np.testing.assert_array_equal(run_real(session, sample)[0], wanted)


@pytest.mark.parametrize("reach", [1, 9, 1152])
def test_thresholds_on_sums_are_those_of_float32(reach: int) -> None:
    from edgepress.export.c.fuse_signs import first_not_negative

    rng = np.random.default_rng(reach)
    slope = np.abs(rng.normal(size=400)).astype(np.float32)
    slope[::17] = 0
    bias = (rng.normal(size=400) * reach / 2).astype(np.float32)
    bias[1::5] = (-slope * rng.integers(-reach, reach + 1, 400)).astype(np.float32)[
        1::5
    ]  # exact ties
    found = first_not_negative(slope, bias, reach)
    sums = np.arange(-reach, reach + 1)[:, None]
    negative = (sums.astype(np.float32) * slope + bias) < 0
    np.testing.assert_array_equal(sums < found, negative)


def test_the_command_line_exports_one_bit(tmp_path: Path) -> None:
    """A packed ONNX file becomes one-bit kernels, and `inspect` counts its bits."""
    import onnx
    from support.commands import call

    model = NETS["borders of +1"]().hub()
    onnx.save(model, tmp_path / "net.onnx")
    done = call("export", tmp_path / "net.onnx", "--format", "c", "--out", tmp_path / "out")
    assert done.code == 0, done.err
    (folder,) = (tmp_path / "out").glob("*.c")
    told = call("inspect", folder, "--json").document
    assert told["totals"]["binary_macs"] == told["totals"]["macs"] > 0
    assert {row["weight_bits"] for row in told["layers"]} == {1}


@pytest.mark.parametrize("device", ["generic", "x86-64"])
@pytest.mark.parametrize("channels", [5, 32, 70])
def test_learned_thresholds_are_compared_with(channels: int, device: str, tmp_path: Path) -> None:
    """x + t in front of a sign costs no addition, ties included."""
    learned = np.random.default_rng(2).normal(size=(1, channels, 1, 1)).astype(np.float32)
    hub = HubMaker((1, channels, 6, 6)).node("Add", learned).conv((9, channels, 3, 3)).hub()
    session = c_models.opened(hub, tmp_path, device=device)
    assert "ep_add_f32" not in session_kernels(tmp_path)
    for seed in range(3):
        x = inputs_of(hub, seed)
        x[:, :, 0] = -learned[:, :, 0]
        wanted = c_models.onnx_outputs(hub, (x,))[0]
        np.testing.assert_array_equal(run_real(session, (x,))[0], wanted)


def test_binary_resnet20_equals_onnx(tmp_path: Path) -> None:
    """Seeded weights and statistics: the first real layer sums in another order, and no sign flips here."""
    torch = pytest.importorskip("torch")
    from edgepress.compress.binarization.binarize import binarize
    from edgepress.compress.zoo import build

    torch.manual_seed(0)
    binary = binarize(build("resnet20").eval(), torch.zeros(1, 3, 32, 32)).eval()
    hub = hubs.from_torch(binary, [(1, 3, 32, 32)], binary=True)
    session = c_models.opened(hub, tmp_path, device="x86-64")
    for seed in range(3):
        sample = (inputs_of(hub, seed),)
        wanted = c_models.onnx_outputs(hub, sample)[0]
        found = run_real(session, sample)[0]
        np.testing.assert_allclose(
            found, wanted, rtol=1e-5, atol=1e-5 * float(np.abs(wanted).max())
        )
