"""The written sources: warnings, determinism, contexts, layouts, names, what is copied, how they are built."""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from edgepress.export.c import to_c
from edgepress.export.c.kernels import library
from edgepress.export.c.names import comment, identifier
from edgepress.export.c.pack import DEVICES, layout_of, target_header
from edgepress.runtime.c_folder import MANIFEST, folder_bytes, parse
from edgepress.runtime.errors import InputError, UnsupportedOperatorError, UsageError
from edgepress.runtime.native import compile_folder
from edgepress.runtime.session import open_session, run_real
from support import c_models, recurrent, small_hub
from support.families import node
from support.lowering import make_hub

COMPILERS = [name for name in ("gcc", "clang") if shutil.which(name)]
STRICT = ("-std=c99", "-O2", "-Wall", "-Wextra", "-Werror", "-pedantic", "-c", "-o", "/dev/null")

if not COMPILERS:
    pytest.skip("no C compiler here", allow_module_level=True)


@pytest.fixture(scope="module")
def int8() -> object:
    return small_hub.int8(small_hub.hub())


@pytest.mark.parametrize("compiler", COMPILERS)
def test_every_kernel_compiles_without_a_warning(compiler: str, tmp_path: Path) -> None:
    for name, text in library().items():
        (tmp_path / name).write_text(text)
    for device in DEVICES:
        (tmp_path / "ep_target.h").write_text(target_header(device))
        other = {name for name, _ in layout_of(device).sources}
        foreign = {name for d in DEVICES if d != device for _, name in layout_of(d).sources}
        for path in sorted(tmp_path.glob("*.c")):
            if path.name not in other | foreign:
                subprocess.run([compiler, *STRICT, str(path)], check=True)


@pytest.mark.parametrize("compiler", COMPILERS)
def test_models_compile_without_a_warning(compiler: str, int8: object, tmp_path: Path) -> None:
    for folder, hub in (("int8", int8), ("float", small_hub.hub())):
        path = c_models.write(hub, tmp_path / folder)
        subprocess.run([compiler, *STRICT, str(path / "model.c")], check=True)


def test_kernels_need_no_heap_no_files_no_system() -> None:
    vectors = {"immintrin.h", "arm_neon.h", "arm_mve.h", "arm_acle.h"}
    allowed = {"stddef.h", "stdint.h", "string.h", "math.h", "float.h", *vectors}
    for name, text in library().items():
        heads = {line.split()[1] for line in text.splitlines() if line.startswith("#include")}
        assert {h.strip("<>") for h in heads if h.startswith("<")} <= allowed, name
        assert not {"malloc(", "printf(", "free("} & set(text.split())


def test_same_hub_same_bytes(int8: object) -> None:
    assert to_c(int8) == to_c(int8)
    assert to_c(int8, "other") != to_c(int8)


def test_only_used_kernels_are_copied(int8: object) -> None:
    files = set(to_c(int8))
    assert {"ep_conv_s8.c", "ep_gemm_s8.c", "ep_pool_s8.c"} <= files
    assert not [name for name in files if "f32" in name]


def test_two_contexts_interleaved(int8: object, tmp_path: Path) -> None:
    """Sessions share code and constants; each result is that of a session used alone."""
    samples = small_hub.samples(4)
    path = c_models.write(int8, tmp_path)
    alone = [run_real(open_session(path), sample)[0] for sample in samples]
    both = [open_session(path), open_session(path)]
    for turn, sample in enumerate(samples):
        np.testing.assert_array_equal(run_real(both[turn % 2], sample)[0], alone[turn])


def test_contexts_need_not_be_set(int8: object, tmp_path: Path) -> None:
    """What lies in the arena before does not matter."""
    session = open_session(c_models.write(int8, tmp_path))
    sample = small_hub.samples(1)[0]
    first = run_real(session, sample)[0]
    session._context[...] = 0xA5  # type: ignore[attr-defined]
    np.testing.assert_array_equal(run_real(session, sample)[0], first)


def test_null_pointers_are_told(int8: object, tmp_path: Path) -> None:
    path = c_models.write(int8, tmp_path)
    invoke = ctypes.CDLL(str(compile_folder(folder_bytes(path)))).model_invoke
    assert invoke(None, None, None) == 1
    context = ctypes.create_string_buffer(parse((path / MANIFEST).read_bytes()).arena_bytes + 64)
    nothing = (ctypes.c_void_p * 1)(None)
    assert invoke(context, nothing, nothing) == 1


def test_another_layout_is_refused_by_the_compiler(int8: object, tmp_path: Path) -> None:
    path = c_models.write(int8, tmp_path)
    (path / "ep_target.h").write_text(target_header("x86-64"))
    with pytest.raises(InputError, match="packed for device generic"):
        open_session(path)


def test_sizes_are_told(int8: object, tmp_path: Path) -> None:
    path = c_models.write(int8, tmp_path)
    facts = parse((path / MANIFEST).read_bytes())
    header = (path / "model.h").read_text()
    assert f"#define MODEL_ARENA_BYTES {facts.arena_bytes}\n" in header
    assert f"#define MODEL_ARENA_LOWER_BOUND_BYTES {facts.arena_lower_bound_bytes}\n" in header
    assert f"#define MODEL_WEIGHTS_BYTES {facts.weights_bytes}\n" in header
    assert "#define MODEL_INPUT_0_BYTES 432\n" in header
    assert facts.arena_lower_bound_bytes <= facts.arena_bytes


def test_unsupported_operators_are_named() -> None:
    hub = make_hub(
        [node("TopK", ["x", "k"], ["y", "i"])], {"x": (1, 6)}, ["y"], {"k": np.asarray([2])}
    )
    with pytest.raises(UnsupportedOperatorError) as caught:
        to_c(hub)
    assert "TopK" in caught.value.what and caught.value.where and caught.value.hint


def test_impossible_arguments(int8: object) -> None:
    for options in ({"device": "pi9"}, {"packaging": "tar"}, {"precision": "fp16"}, {"name": "*"}):
        with pytest.raises(UsageError):
            to_c(int8, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "made"),
    [("kws", "kws"), ("My Net-2", "my_net_2"), ("8bit", "model_8bit"), ("int", "int_model")],
)
def test_names(given: str, made: str) -> None:
    assert identifier(given) == made


def test_comments_cannot_be_left() -> None:
    assert "*/" not in comment("a */ int x; /* b") and "\n" not in comment("a\nb")


def build(words: list[str], folder: Path) -> None:
    subprocess.run(words, cwd=folder, check=True, capture_output=True)


def test_makefile_and_cmake_build_it(int8: object, tmp_path: Path) -> None:
    path = c_models.write(int8, tmp_path / "plain")
    if shutil.which("make"):
        build(["make", "-s", f"CC={COMPILERS[0]}"], path)
        assert (path / "libmodel.a").is_file()
    if shutil.which("cmake"):
        build(["cmake", "-S", ".", "-B", "build"], path)
        build(["cmake", "--build", "build"], path)
        assert list((path / "build").rglob("libmodel.a"))


def test_arduino_and_zephyr_packages(int8: object, tmp_path: Path) -> None:
    sample = small_hub.samples(1)[0]
    plain = run_real(c_models.opened(int8, tmp_path / "plain"), sample)[0]
    arduino = c_models.write(int8, tmp_path / "arduino", packaging="arduino")
    assert (arduino / "library.properties").is_file() and (arduino / "src/model.h").is_file()
    np.testing.assert_array_equal(run_real(open_session(arduino), sample)[0], plain)
    zephyr = c_models.write(int8, tmp_path / "zephyr", packaging="zephyr")
    assert (zephyr / "zephyr/module.yml").is_file()
    assert "../model.c" in (zephyr / "zephyr/CMakeLists.txt").read_text()


def test_vectors_are_what_the_model_gives(int8: object, tmp_path: Path) -> None:
    session = open_session(c_models.write(int8, tmp_path / "plain"))
    spec = session.artifact.inputs[0]
    raw = np.random.default_rng(0).integers(-128, 128, (2, *spec.shape)).astype(np.int8)
    vectors = [([one], session.run([one])) for one in raw]
    path = c_models.write(int8, tmp_path / "with", vectors=vectors)
    check = (
        '#include <string.h>\n#include "model.h"\n#include "model_vectors.h"\n'
        "static model_context context;\nint main(void) {\n"
        "  for (int i = 0; i < MODEL_VECTORS; i++) {\n    int8_t y[MODEL_OUTPUT_0_ELEMENTS];\n"
        "    const void *in[1] = {model_vector_input_0 + i * MODEL_INPUT_0_ELEMENTS};\n"
        "    void *out[1] = {y};\n    if (model_invoke(&context, in, out)) return 2;\n"
        "    if (memcmp(y, model_vector_output_0 + i * MODEL_OUTPUT_0_ELEMENTS, sizeof y)) return 1;\n"
        "  }\n  return 0;\n}\n"
    )
    sources = sorted(p.name for p in path.glob("*.c"))
    (path / "main.c").write_text(check)
    words = [COMPILERS[0], *STRICT[:-3], *sources, "main.c", "-o", "check", "-lm"]
    subprocess.run(words, cwd=path, check=True)
    assert subprocess.run(["./check"], cwd=path, check=False).returncode == 0
    with pytest.raises(UsageError):
        to_c(int8, vectors=[([raw[0].astype(np.float32)], [])])


def test_equal_arguments_lie_in_flash_once() -> None:
    text = to_c(recurrent.classifier("GRU"), "net")["net.c"].decode()
    calls = re.findall(r"^    ep_\w+\((&call_\d+)", text, re.M)
    kept = re.findall(r"^static const \w+ (call_\d+) = ({.*});", text, re.M)
    assert len({name for name, _ in kept}) == len(set(calls)) < len(calls)
