"""`edgepress export`: ONNX and TFLite files and C folders of a model, every one made from the same hub."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..exit_codes import ExitCode
from ..invocation import Invocation, common_options
from ..recipe_records import BINARY_FORMS, FORMATS, PRECISIONS
from .options import (
    data_options,
    given_model,
    listing,
    model_options,
    out_options,
    ptq_options,
    shapes_option,
    threads_option,
)

if TYPE_CHECKING:
    from ..model_source import ModelSource

AUTO = "float32, or int8 for a quantized model"


def _c_device(_: click.Context, __: click.Parameter, value: str) -> str:
    if value != "generic":
        from ...export.c.pack import core_of
        from ...runtime.errors import UsageError

        try:
            core_of(value)
        except UsageError as error:
            raise click.BadParameter(f"{error.what}; {error.hint}") from error
    return value


@click.command("export")
@click.argument("model")
@click.option(
    "--format",
    "formats",
    default="onnx,tflite",
    show_default=True,
    callback=listing(FORMATS),
    help="Comma separated: onnx, qonnx (quantizers as operators, for exchange), tflite, c (a folder of C99 sources).",
)
@click.option(
    "--precision",
    "precisions",
    default="",
    callback=listing(PRECISIONS),
    help=f"Comma separated: {', '.join(PRECISIONS)}. [default: {AUTO}]",
)
@click.option(
    "--binary",
    "binary",
    default="int8",
    show_default=True,
    callback=listing(BINARY_FORMS),
    help="One-bit layers in TFLite files, comma separated: int8 (built-in operators), lce (Larq Compute Engine).",
)
@click.option("--name", help="Beginning of the file names; the model's name if left out.")
@click.option(
    "--io-layout",
    type=click.Choice(["nhwc", "nchw"]),
    default="nhwc",
    show_default=True,
    help="Of TFLite files and C folders.",
)
@click.option(
    "--device",
    "c_device",
    default="generic",
    show_default=True,
    metavar="DEVICE",
    callback=_c_device,
    help="What C folders are packed for: generic, x86-64, a core (cortex-m4), or a device's name (pi5).",
)
@click.option(
    "--c-packaging",
    type=click.Choice(["plain", "arduino", "zephyr"]),
    default="plain",
    show_default=True,
    help="What builds C folders, beside CMake and make.",
)
@click.option(
    "--c-vectors",
    type=click.IntRange(0, 10_000),
    default=0,
    show_default=True,
    help="Test inputs to write beside C, with the outputs that must come (NAME_vectors.h).",
)
@shapes_option
@ptq_options
@data_options
@model_options
@threads_option
@out_options
@common_options
@click.pass_obj
def command(call: Invocation, /, model: str, **options: Any) -> int:
    """Write ONNX and TFLite files, or C sources, of MODEL (zoo name, module:factory, or an ONNX file).

    int8 of a float model needs real inputs for calibration: --task NAME or --calibration FILE. A quantized ONNX file
    keeps every scale it has. Files take raw values where the task has a normalisation.
    """
    source, quantized = _source(model, options)
    from ..artifact_names import artifact_names

    names = artifact_names(source.recipe)
    paths = [options["out"] / name for name in names]
    _refuse(options["out"], paths, options["force"])
    if call.dry_run:
        steps = [step.name for step in source.recipe.passes]
        return call.plan("export", reads=[model], writes=paths, steps=[*steps, "export"])
    call.tell_user_code(source.recipe)
    if quantized:
        call.detail(f"{model} is quantized: its scales are kept")
    with call.progress() as progress:
        receipts = _write(source, options["out"], names, progress)
    files = [_facts(path) for path in paths]
    document = {
        "schema": "edgepress-export/1",
        "model": model,
        "files": files,
        "receipts": receipts,
    }
    call.give(document, "" if call.json else _text(files, receipts))
    return ExitCode.OK


def _source(model: str, options: dict[str, Any]) -> tuple[ModelSource, bool]:
    """The model as a recipe, and whether it is quantized already."""
    from ...compress.passes import QuantizeOptions
    from ..model_source import open_source, with_name
    from ..recipe_records import ExportOptions, PassStep

    source = open_source(model, **given_model(options), input_shapes=options["input_shapes"])
    source = with_name(source, options["name"])
    has_inputs = options["task"] is not None or options["calibration"] is not None
    if source.recipe.model_kind == "factory" and not has_inputs and not options["input_shapes"]:
        from ...compress.factory import load_factory

        load_factory(model, Path.cwd(), source.allow_user_code)  # a name that is wrong comes first
        raise click.UsageError(
            "the shapes of the model's inputs are unknown: give --input-shape 1,3,32,32 (once per input), "
            "--task NAME or --calibration FILE"
        )
    quantized = source.recipe.model_kind == "onnx" and _is_quantized(Path(model))
    precisions = options["precisions"] or (("int8",) if quantized else ("float32",))
    passes = []
    if "int8" in precisions and not quantized:
        if not has_inputs:
            raise click.UsageError("int8 needs real inputs: give --task NAME or --calibration FILE")
        passes = [PassStep("quantize", QuantizeOptions(**_ptq(options)))]
    if options["c_vectors"] and not has_inputs:
        raise click.UsageError(
            "--c-vectors needs real inputs: give --task NAME or --calibration FILE"
        )
    export = ExportOptions(
        formats=options["formats"],
        precisions=precisions,
        io=options["io"],
        io_layout=options["io_layout"],
        c_device=options["c_device"],
        c_packaging=options["c_packaging"],
        c_vectors=options["c_vectors"],
        binary=options["binary"],
    )
    return source.changed(
        passes=tuple(passes), export=export, verify=None, evaluate=None, profile=None
    ), quantized


def _ptq(options: dict[str, Any]) -> dict[str, Any]:
    names = ("observer", "calibration_samples", "keep_float")
    return {name: options[name] for name in names}


def _is_quantized(path: Path) -> bool:
    from ...export.onnx.intake import parse
    from ...runtime.artifact import read_model_bytes
    from ..steps.hub import is_quantized

    return is_quantized(parse(read_model_bytes(path), str(path)))


def _refuse(out: Path, paths: list[Path], force: bool) -> None:
    from ...runtime.errors import UsageError
    from ...runtime.files import refuse_overwrite

    if out.exists() and not out.is_dir():
        raise UsageError("this is a file", where=str(out), hint="choose a folder with --out")
    for path in paths:
        refuse_overwrite(path, force)


def _write(
    source: ModelSource, out: Path, names: Sequence[str], progress: Any
) -> list[dict[str, Any]]:
    """Run the steps in a hidden folder beside the results, then move the files; gives the receipts."""
    from ..pipeline import run_recipe
    from ..report.build import build_report

    with _workshop(out) as folder:
        run_recipe(
            source.recipe,
            folder,
            data=source.data,
            progress=progress,
            until="export",
            allow_user_code=source.allow_user_code,
        )
        receipts: list[dict[str, Any]] = build_report(folder)["steps"]
        for name in names:
            _move(folder / "artifacts" / name, out / name)
    return receipts


def _move(made: Path, target: Path) -> None:
    """Put a file or C folder in its place; a C folder that lies there is replaced."""
    import shutil

    from ...runtime.c_folder import is_folder

    if target.is_dir() and is_folder(target):
        shutil.rmtree(target)
    made.replace(target)


@contextmanager
def _workshop(out: Path) -> Iterator[Path]:
    """A temporary folder on the disk of `out`; afterwards it is gone, and so is an `out` that stayed empty."""
    import shutil
    import tempfile

    new = not out.exists()
    out.mkdir(parents=True, exist_ok=True)
    try:
        folder = Path(tempfile.mkdtemp(prefix=".edgepress-", dir=out))
        try:
            yield folder / "run"
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        if new and not any(out.iterdir()):
            out.rmdir()


def _facts(path: Path) -> dict[str, Any]:
    from ...runtime.artifact import read_model_bytes
    from ...runtime.files import sha256_bytes

    data = read_model_bytes(path)
    sha256 = sha256_bytes(data)
    return {"file": str(path), "file_bytes": len(data), "sha256": sha256, "evidence": "file"}


def _text(files: list[dict[str, Any]], receipts: list[dict[str, Any]]) -> str:
    from ..render import kib, table
    from ..report.views import notes_of, transitions

    rows = [(f["file"], kib(f["file_bytes"]), f["sha256"][:16]) for f in files]
    lines = [table(("file", "size (file)", "sha256"), rows, (1,)), ""]
    for receipt in receipts:
        lines += [
            f"{receipt['step']}: {line}" for line in (*transitions(receipt), *notes_of(receipt))
        ]
    return "\n".join(lines).rstrip()
