"""What a recipe says, as frozen records. Plain values only; the border is recipe.py, the models recipe_models.py.

A path is as written: absolute, relative to the folder of the recipe, or "data:PATH" below the data folder
(`--data`, `EDGEPRESS_DATA`). A loaded recipe holds absolute or "data:" paths only.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ..compress.passes import option

FORMATS = ("onnx", "qonnx", "tflite", "c")
BINARY_FORMS = ("int8", "lce")
USUAL_FORMATS = ("onnx", "tflite")
PRECISIONS = ("float32", "fp16", "int8", "dynamic", "weight-only")
TIMED_ENGINES = ("onnxruntime", "tflite", "litert", "native")
ENGINES = (*TIMED_ENGINES, "lce-reference")
NORMALISATIONS = ("auto", "fold", "none")
DEVICES = ("host", "cpu", "cuda")

DATA_PREFIX = "data:"
"""Marks a path below the data folder."""


@dataclass(frozen=True)
class PassStep:
    """One pass of the recipe: its name and its option record (compress/passes.py)."""

    name: str
    options: Any


@dataclass(frozen=True)
class ExportOptions:
    """Which files are written. Every combination of format and precision becomes NAME.PRECISION.FORMAT."""

    formats: tuple[str, ...] = option(
        USUAL_FORMATS, "file formats; c is a folder, qonnx for exchange", choices=FORMATS
    )
    precisions: tuple[str, ...] = option(
        ("float32", "int8"), "number formats of the weights and the arithmetic", choices=PRECISIONS
    )
    io: str = option("int8", "inputs and outputs of int8 files", choices=("int8", "float"))
    io_layout: str = option(
        "nhwc", "axes of TFLite and C inputs and outputs", choices=("nhwc", "nchw")
    )
    c_device: str = option(
        "generic",
        "whose layout C's weights are packed in: generic, x86-64, a core (cortex-m4) or a device (pi5)",
        kind="c_device",
    )
    c_packaging: str = option(
        "plain", "what builds C beside CMake and make", choices=("plain", "arduino", "zephyr")
    )
    c_vectors: int = option(
        0,
        "real inputs of the test split in C's NAME_vectors.h, with their outputs",
        ge=0,
        le=10_000,
    )
    binary: tuple[str, ...] = option(
        ("int8",),
        "one-bit layers in TFLite files: int8 signs for every engine, or operators of Larq Compute Engine",
        choices=BINARY_FORMS,
    )


@dataclass(frozen=True)
class VerifyOptions:
    """How the files are proven: on how many real inputs, with which engines, layer by layer or not.

    A format that none of the engines named runs is proven in its installed ones all the same.
    """

    samples: int = option(64, "real inputs, spread over the split", ge=1)
    split: str = option("test", "where they come from; labels are not used")
    layers: bool = option(True, "compare inner values too, and name the first layer that departs")
    engines: tuple[str, ...] = option((), "empty for every installed one", choices=ENGINES)


@dataclass(frozen=True)
class EvaluateOptions:
    """Accuracy of every file in its engines on the test split."""

    splits: tuple[str, ...] = option((), "empty for test and every test_...")
    samples: int | None = option(None, "at most so many of each split; all if left out", ge=1)
    engines: tuple[str, ...] = option((), "empty for every installed one", choices=ENGINES)


@dataclass(frozen=True)
class ProfileOptions:
    """Latency and memory of every file on this machine, each run in a fresh process."""

    engines: tuple[str, ...] = option((), "empty for every installed one", choices=TIMED_ENGINES)
    processes: int = option(5, "fresh processes per file and engine", ge=1, le=100)
    threads: int = option(1, "threads of the engine", ge=1)


@dataclass(frozen=True)
class BudgetOptions:
    """Limits checked at the end, on the compressed files (all but float32; all if there are no others)."""

    accuracy: float | None = option(None, "lowest score of the task's metric", kind="percent")
    accuracy_drop: float | None = option(
        None, "largest loss against the float model, in points of the metric", kind="percent"
    )
    file_bytes: int | None = option(None, "largest file, such as 60KiB", kind="bytes")
    latency_ms: float | None = option(
        None,
        "host latency above it is a warning, never a failure: this machine is not the target",
        gt=0,
    )


@dataclass(frozen=True)
class Recipe:
    """One run: a model, data, passes in their order, files, proofs, limits."""

    name: str = option(
        "", "stands in file names: letters, digits, dot, dash, underscore", required=True
    )
    model: str = option("", "zoo name, package.module:factory, or an ONNX file", required=True)
    model_options: dict[str, Any] = field(
        default_factory=dict, metadata={"help": "arguments of the zoo network or the factory"}
    )
    weights: str | None = option(None, "file with weights (.npz, .pt, .safetensors)")
    weights_saw: tuple[str, ...] = option(
        (), "splits these weights were trained on elsewhere; scores on them are marked as such"
    )
    task: str | None = option(None, "data set name or package.module:factory")
    calibration: str | None = option(None, ".npz of raw inputs, where no task gives them")
    input_shapes: tuple[tuple[int, ...], ...] = option(
        (), "one shape per model input, batch of 1 first, where neither a task nor inputs tell"
    )
    normalisation: str = option(
        "auto",
        "fold: the model takes normalised values and the files will take raw ones; "
        "none: the model takes raw values; auto: fold, unless an ONNX file says it holds it already",
        choices=NORMALISATIONS,
    )
    module_path: str | None = option(None, "folder appended to the module path for factories")
    seed: int = option(0, "of initial weights, shuffling, augmentation", ge=0, le=2**63 - 1)
    threads: int = option(1, "threads of training and quantization", ge=1, le=256)
    device: str = option("host", "where it trains: host (CPU) or cuda", choices=DEVICES)
    passes: tuple[PassStep, ...] = option((), "what happens to the model, in order")
    export: ExportOptions = option(ExportOptions(), "which files are written")
    verify: VerifyOptions | None = option(
        VerifyOptions(), "how they are proven; null for not at all"
    )
    evaluate: EvaluateOptions | None = option(
        EvaluateOptions(), "accuracy on the test split; null for not at all"
    )
    profile: ProfileOptions | None = option(
        ProfileOptions(), "latency and memory here; null for not at all"
    )
    budget: BudgetOptions = option(BudgetOptions(), "limits; a broken one ends in exit code 1")

    @property
    def model_kind(self) -> str:
        """ "onnx", "factory" or "zoo", judged by how the model is written."""
        if ":" in self.model and not self.model.startswith(DATA_PREFIX):
            return "factory"
        looks_like_path = "/" in self.model or self.model.lower().endswith(".onnx")
        return "onnx" if looks_like_path or self.model.startswith(DATA_PREFIX) else "zoo"
