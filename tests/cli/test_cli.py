"""The command line: start-up, streams, JSON, exit codes, signals, dry runs."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from edgepress.export.tflite.write import write
from edgepress.runtime.errors import (
    EdgepressError,
    InputError,
    LocalDiskFullError,
    MissingToolError,
    ParityError,
)
from edgepress.tools import exit_codes
from edgepress.tools.cli import VERBS
from edgepress.tools.command_docs import DOCS, pages
from edgepress.tools.exit_codes import ExitCode, judge, worst
from support.commands import call, command, environment, refused, spawn, tree
from support.lite_models import conv_model
from support.run_folders import float_onnx, make_run_folder

HEAVY = ("torch", "onnx", "onnxruntime", "pydantic", "rich", "numpy", "yaml", "jinja2", "brevitas")


@pytest.fixture
def tflite(tmp_path: Path) -> Path:
    path = tmp_path / "conv.tflite"
    path.write_bytes(write(conv_model()))
    return path


# ------------------------------------------------------------------- start-up and help


@pytest.mark.parametrize("code", ["import edgepress", "from edgepress.tools.cli import cli"])
def test_imports_are_light(code: str) -> None:
    check = f"{code}\nimport sys\nprint([m for m in {HEAVY!r} if m in sys.modules])\nsys.exit()"
    done = spawn(code=check)
    assert done.out.strip() == "[]", done.err


def test_help_imports_nothing_heavy() -> None:
    check = f"""
import atexit, sys
atexit.register(lambda: print([m for m in {HEAVY!r} if m in sys.modules], file=sys.stderr))"""
    done = spawn("--help", code=check)
    assert done.code == 0 and done.err.strip() == "[]"
    assert all(verb in done.out for verb in VERBS)


@pytest.mark.parametrize("verb", [*VERBS, "recipes show"])
def test_every_verb_has_help_and_the_shared_options(verb: str) -> None:
    done = call(*verb.split(), "--help")
    assert done.code == 0
    for option in ("--json", "--dry-run", "--verbose", "--quiet"):
        assert option in done.out


def test_options_are_kebab_case() -> None:
    options = [word for page in pages().values() for word in page.split() if word.startswith("`--")]
    assert options and not any("_" in option for option in options)


def test_version() -> None:
    import edgepress

    done = call("--version")
    assert done.code == 0 and edgepress.__version__ in done.out


def test_no_arguments_shows_the_help_and_is_a_usage_error() -> None:
    done = call()
    assert done.code == 2 and done.out == "" and "Verbs:" in done.err


@pytest.mark.parametrize("name", sorted(pages()))
def test_generated_pages_are_up_to_date(name: str) -> None:
    text = (DOCS / name).read_text("utf-8")
    assert text == pages()[name], "run python -m edgepress.tools.command_docs"


# ------------------------------------------------------------------- exit codes


def test_ok(tflite: Path) -> None:
    assert call("lint", tflite).code == ExitCode.OK


def test_a_failed_check_is_1(tmp_path: Path) -> None:
    model = conv_model()
    model.tensors[1].data[0, 0, 0, 0] = -128
    path = tmp_path / "spoilt.tflite"
    path.write_bytes(write(model))
    done = call("lint", path, "--json")
    assert done.code == ExitCode.FAILED and done.document["errors"] == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("lnt",), ("did you mean 'lint'",)),
        (("lint",), ("missing argument", "edgepress lint --help")),
        (("lint", "x", "--colour"), ("no such option",)),
        (("profile", "x.tflite", "--threads", "0"), ("0 is not in the range",)),
        (("export", "x.onnx", "--precision", "int9", "--out", "o"), ("int9", "did you mean int8")),
        (("lint", "nowhere.tflite"), ("nowhere.tflite", "no such file")),
    ],
)
def test_usage_and_input_are_2(arguments: tuple[str, ...], words: tuple[str, ...]) -> None:
    refused(call(*arguments), *words)


def test_an_unforeseen_exception_is_5_and_leaves_its_traceback_in_a_file(
    tflite: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("edgepress.export.lint.lint", broken)
    err = refused(call("lint", tflite), "ZeroDivisionError", "please report", code=5)
    (report,) = tmp_path.glob("edgepress-crash-*.txt")
    assert str(report) in err
    assert "in broken" in report.read_text()
    assert "Traceback" in call("lint", tflite, "-v").err


@pytest.mark.parametrize("code", [1, 2, 3, 4])
def test_an_error_ends_with_the_code_of_its_class(
    tflite: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    class Known(EdgepressError):
        exit_code = code

    def fail(*_: object) -> None:
        raise Known("the board is gone", where="pi5", hint="plug it in")

    monkeypatch.setattr("edgepress.export.lint.lint", fail)
    refused(call("lint", tflite), "pi5: the board is gone", "next: plug it in", code=code)
    document = call("lint", tflite, "--json").document
    assert document["exit_code"] == code and document["error"]["where"] == "pi5"


@pytest.mark.parametrize("code", [0, 1, 3])
def test_a_run_ends_with_the_code_of_its_result(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, code: int
) -> None:
    from edgepress.tools.pipeline import RunResult

    out = make_run_folder(tmp_path / "run")
    result = RunResult(str(out), code, (), (), (), ())
    monkeypatch.setattr("edgepress.tools.pipeline.run_recipe", lambda *_, **__: result)
    assert call("run", "watch-har", "--out", out).code == code


def broken(*_: object) -> None:
    1 / 0  # noqa: B018


def test_classes_of_errors_have_their_codes() -> None:
    codes = {
        InputError("x"): 2,
        MissingToolError("x"): 2,
        LocalDiskFullError("x"): 2,
        ParityError("x"): 1,
        EdgepressError("x"): 5,
        KeyboardInterrupt(): 130,
        exit_codes.Terminated(): 143,
        BrokenPipeError(): 141,
        ValueError("x"): 5,
        PermissionError(13, "Permission denied", "f"): 2,
        OSError(28, "No space left on device"): 2,
    }
    assert {error: int(judge(error)[0]) for error in codes} == codes


def test_a_missing_extra_names_the_command_that_installs_it() -> None:
    error = ModuleNotFoundError("No module named 'brevitas'", name="brevitas")
    code, shown = judge(error)
    assert code == 2 and "edgepress[torch]" in str(shown)
    assert judge(ModuleNotFoundError("x", name="edgepress.tools.nothing"))[0] == 5


@pytest.mark.parametrize(
    ("codes", "expected"),
    [([], 0), ([0, 3], 3), ([3, 1], 1), ([1, 2, 0], 2), ([2, 4], 4), ([5, 4, 2, 1], 5)],
)
def test_the_worst_of_several_outcomes(codes: list[int], expected: int) -> None:
    assert worst(codes) == expected


def test_every_documented_code_is_a_code() -> None:
    assert set(exit_codes.MEANINGS) == set(ExitCode)


# ------------------------------------------------------------------- streams


def test_json_is_one_document_and_nothing_else(tflite: Path, tmp_path: Path) -> None:
    run = make_run_folder(tmp_path / "run")
    for arguments in (
        ("inspect", tflite),
        ("lint", tflite),
        ("report", run),
        ("recipes",),
        ("recipes", "show", "watch-har"),
        ("recipes", "schema"),
    ):
        document = call(*arguments, "--json").document
        assert isinstance(document, dict)
        assert document.get("schema", document.get("$schema"))


def test_json_may_stand_before_the_verb(tflite: Path) -> None:
    assert call("--json", "lint", tflite).document["schema"] == "edgepress-lint/1"


@pytest.mark.parametrize("arguments", [("lint", "no.tflite"), ("lint", "x", "--foo"), ("nothing",)])
def test_with_json_errors_are_json_too(arguments: tuple[str, ...]) -> None:
    done = call(*arguments, "--json")
    assert done.code == 2
    assert done.document["schema"] == "edgepress-error/1"
    assert done.document["exit_code"] == 2
    assert set(done.document["error"]) == {"kind", "what", "where", "hint"}
    assert done.document["error"]["what"] in done.err


def test_no_colours_and_no_bars_without_a_terminal(tmp_path: Path) -> None:
    run = make_run_folder(tmp_path / "run")
    done = spawn("report", run)
    assert done.code == 0 and "\x1b" not in done.out + done.err


def test_a_closed_pipe_is_quiet() -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)  # whoever read has left
    try:
        done = subprocess.run(
            command("recipes", "schema"),
            stdout=write_end,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(),
            check=False,
        )
    finally:
        os.close(write_end)
    assert (done.returncode, done.stderr) == (141, "")


# ------------------------------------------------------------------- dry runs and overwriting


def test_a_dry_run_writes_nothing(tmp_path: Path) -> None:
    model = tmp_path / "net.onnx"
    model.write_bytes(float_onnx())
    run = make_run_folder(tmp_path / "run")
    before = tree(tmp_path)
    out = tmp_path / "out"
    for arguments in (
        ("inspect", model),
        ("lint", model),
        ("report", run, "--write"),
        ("export", model, "--out", out),
        ("profile", model),
        ("verify", model, model, "--inputs", "x.npz"),
        ("doctor", "--prune-all"),
        ("run", "watch-har", "--out", out),
        ("compress", model, "--calibration", model, "--out", out),
    ):
        done = call(*arguments, "--dry-run", "--json")
        assert done.code == 0, done.err
        assert done.document["schema"] == "edgepress-plan/1"
    assert tree(tmp_path) == before


def test_nothing_is_overwritten_without_force(tmp_path: Path) -> None:
    model = tmp_path / "net.onnx"
    model.write_bytes(float_onnx())
    arguments = ("export", model, "--format", "onnx", "--out", tmp_path / "out")
    assert call(*arguments).code == 0
    before = tree(tmp_path)
    refused(call(*arguments), "the file exists", "--force")
    assert tree(tmp_path) == before
    assert call(*arguments, "--force").code == 0
    assert tree(tmp_path) == before  # the same model, the same bytes


def test_report_out_is_not_overwritten(tmp_path: Path) -> None:
    run = make_run_folder(tmp_path / "run")
    out = tmp_path / "page.html"
    assert call("report", run, "--format", "html", "--out", out).code == 0
    refused(call("report", run, "--format", "html", "--out", out), "--force")


# ------------------------------------------------------------------- signals

WAIT = """
import edgepress.export.lint as lint, pathlib, sys, time
from edgepress.runtime.files import atomic_path
def wait(*_):
    with atomic_path(pathlib.Path(sys.argv[2] + ".out")) as temporary:
        temporary.write_text("half")
        print("ready", file=sys.stderr, flush=True)
        time.sleep(60)
lint.lint = wait"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_signals_end_quietly_and_leave_nothing_half_written(
    tflite: Path, number: signal.Signals, code: int
) -> None:
    process = subprocess.Popen(
        command("lint", tflite, code=WAIT),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    assert process.stderr is not None and process.stderr.readline() == "ready\n"
    time.sleep(0.05)
    os.kill(process.pid, number)
    out, err = process.communicate(timeout=30)
    assert process.returncode == code
    assert out == "" and "Traceback" not in err and "stopped" in err
    assert [path.name for path in tflite.parent.iterdir()] == [tflite.name]
