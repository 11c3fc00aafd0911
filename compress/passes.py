"""The passes a recipe may name: what each needs, what it leaves behind, and its options.

A model is described by facts: "torch" (a trainable module), "float" (float weights), "onnx" (a file or graph),
"int8" (a quantized graph). A pass requires facts, provides some and removes others; `check_order` walks a list
of passes and refuses the first that cannot run:

    check_order(["train", "quantize"])          # fine
    check_order(["quantize", "train"])          # UsageError: quantize leaves no torch model to train

The option records are plain; the recipe schema, its messages and the cache key are derived from them.
`help`, `choices`, `ge`, `gt`, `le`, `lt` in a field's metadata are what the border shows and checks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ..runtime.errors import UsageError
from .binarization.catalogue import OPERATORS as BINARY_OPERATORS
from .binarization.records import ACTIVATIONS
from .training_config import KEEP, OPTIMIZERS, SCHEDULES

FACTS_OF_TORCH = frozenset({"torch", "float"})
"""Facts of a zoo network or of what a user's factory builds."""

FACTS_OF_ONNX = frozenset({"onnx", "float"})
"""Facts of an ONNX file that is not quantized."""

WORDS = {
    "torch": "a torch model",
    "float": "a float model",
    "onnx": "an ONNX graph",
    "int8": "a quantized graph",
    "binary": "a graph of one-bit layers",
}
"""Facts as messages name them."""

OBSERVERS = ("auto", "minmax", "moving-average", "percentile", "entropy", "mse")


def option(default: Any, help: str, **limits: Any) -> Any:
    """A field of an option record with its one-line explanation and its limits."""
    return field(default=default, metadata={"help": help, **limits})


@dataclass(frozen=True)
class TeacherOptions:
    """The model a student learns from."""

    model: str = option("", "zoo name or package.module:factory; empty: the model before the pass")
    weights: str = option("", "file with the teacher's weights")


@dataclass(frozen=True)
class LoopOptions:
    """How the training loop runs: `training_config.TrainConfig` without seed, threads and device."""

    epochs: int = option(10, "passes over the training split", ge=1, le=100_000)
    batch_size: int = option(128, "samples per step", ge=1)
    learning_rate: float = option(1e-3, "highest learning rate", gt=0)
    optimizer: str = option("adamw", "update rule", choices=OPTIMIZERS[:3])
    momentum: float = option(0.9, "of sgd", ge=0, le=1)
    nesterov: bool = option(True, "of sgd")
    weight_decay: float = option(1e-4, "decay of weights", ge=0)
    schedule: str = option("cosine", "of the learning rate", choices=SCHEDULES)
    warmup_epochs: float = option(0.0, "epochs of linear warm-up", ge=0)
    hold_fraction: float = option(
        0.5, "of hold: share of the training at the highest rate", ge=0, lt=1
    )
    step_at: tuple[float, ...] = option((0.5, 0.75), "of step: fractions of the training")
    step_factor: float = option(0.1, "of step: what the rate is multiplied by", gt=0, le=1)
    label_smoothing: float = option(0.0, "share of the target given to all classes", ge=0, lt=1)
    teacher: TeacherOptions | None = option(None, "what to learn from besides the labels")
    distill_weight: float = option(0.5, "share of the teacher's loss", ge=0, le=1)
    distill_temperature: float = option(4.0, "softens both distributions", gt=0)
    clip_norm: float = option(0.0, "largest norm of the gradient, 0 for no limit", ge=0)
    ema_decay: float = option(0.0, "moving average of the weights, 0 for none", ge=0, lt=1)
    augment: bool = option(True, "use the task's augmentation")
    validate_every: int = option(1, "epochs between validations", ge=1)
    keep: str = option("last", "which weights stay, by validation score", choices=KEEP)
    channels_last: bool = option(True, "memory format of images; faster on most CPUs")
    half: bool = option(False, "train in bfloat16; weights and validation stay float32")
    compiled: bool = option(False, "torch.compile the training; needs a C++ compiler")


@dataclass(frozen=True)
class TrainOptions(LoopOptions):
    """Train the float model."""


@dataclass(frozen=True)
class QuantizeOptions:
    """Post-training int8 quantization: `quantization.plan.PtqConfig`, and what it looks at."""

    observer: str = option("auto", "range observer; auto compares all of them", choices=OBSERVERS)
    percentile: float = option(99.999, "of the percentile observer", gt=50, le=100)
    moving_average: float = option(0.01, "of the moving-average observer", gt=0, le=1)
    calibration_samples: int = option(256, "samples of the calibration split that are seen", ge=1)
    keep_float: tuple[str, ...] = option((), "nodes that stay float: names, layers or globs")
    input_range: tuple[float, float] | None = option(None, "known range of the raw first input")
    fc_granularity: str = option("channel", "scales of dense layers", choices=("channel", "tensor"))
    weight_range: str = option("minmax", "range of a weight channel", choices=("minmax", "mse"))
    bias_correction: bool = option(True, "remove the mean error of every output channel")
    sensitivity: bool = option(False, "measure what each layer alone costs (slow)")


@dataclass(frozen=True)
class QatOptions(LoopOptions):
    """Quantization-aware training of the float model; ends in an int8 graph with the numbers it trained with."""

    epochs: int = option(4, "passes over the training split", ge=1, le=100_000)
    learning_rate: float = option(2e-4, "highest learning rate", gt=0)
    weight_decay: float = option(0.0, "decay of weights", ge=0)
    observer: str = option("percentile", "range observer before training", choices=OBSERVERS[1:])
    percentile: float = option(99.999, "of the percentile observer", gt=50, le=100)
    calibration_samples: int = option(512, "samples that set the first scales", ge=1)
    learn_scales: bool = option(True, "train activation scales for freeze_fraction of the steps")
    freeze_fraction: float = option(1 / 3, "share of the steps after which scales stay", ge=0, le=1)
    input_range: tuple[float, float] | None = option(None, "known range of the raw first input")


@dataclass(frozen=True)
class BinarizeOptions(LoopOptions):
    """One-bit weights and inputs for most layers, trained in two stages; ends in a graph of packed layers."""

    epochs: int = option(
        40, "passes over the training split, both stages together", ge=1, le=100_000
    )
    optimizer: str = option("adam", "update rule", choices=OPTIMIZERS)
    learning_rate: float = option(3e-3, "highest learning rate of each stage", gt=0)
    weight_decay: float = option(
        0.0, "of real weights; latent ones of sign operators never decay", ge=0
    )
    teacher: TeacherOptions | None = option(
        TeacherOptions(), "what to learn from; null for labels only"
    )
    distill_weight: float = option(1.0, "share of the teacher's loss", ge=0, le=1)
    distill_temperature: float = option(1.0, "softens both distributions", gt=0)
    operator: str = option(
        "react", "how weights and inputs become signs", choices=tuple(BINARY_OPERATORS)
    )
    keep_float: tuple[str, ...] = option((), "layers that stay real: names or globs")
    first: bool = option(False, "binarize the layers next to the inputs, too")
    last: bool = option(False, "binarize the layers next to the outputs, too")
    shortcuts: bool = option(False, "binarize 1x1 convolutions in shortcuts, too")
    depthwise: bool = option(False, "binarize depthwise convolutions, too")
    border: int = option(1, "what padding holds: 0, 1 or -1", ge=-1, le=1)
    activation: str = option("hardtanh", "what replaces a ReLU before a sign", choices=ACTIVATIONS)
    scaled_gradient: bool = option(False, "gradients of latent weights carry the weight scale")
    first_stage: float = option(
        0.5, "share of the epochs with binary inputs, real weights", ge=0, lt=1
    )


@dataclass(frozen=True)
class PassSpec:
    """One pass: `requires` must hold before it; afterwards `removes` are gone and `provides` hold."""

    name: str
    options: type[Any]
    requires: frozenset[str]
    provides: frozenset[str]
    removes: frozenset[str] = frozenset()
    needs_labels: bool = False
    purpose: str = ""


_SPECS = (
    PassSpec(
        name="train",
        options=TrainOptions,
        requires=frozenset({"torch", "float"}),
        provides=frozenset({"torch", "float"}),
        needs_labels=True,
        purpose="train the float model, from its weights or from scratch",
    ),
    PassSpec(
        name="quantize",
        options=QuantizeOptions,
        requires=frozenset({"float"}),
        provides=frozenset({"onnx", "int8"}),
        removes=frozenset({"torch", "float"}),
        purpose="int8 after training, ranges from calibration data",
    ),
    PassSpec(
        name="qat",
        options=QatOptions,
        requires=frozenset({"torch", "float"}),
        provides=frozenset({"onnx", "int8"}),
        removes=frozenset({"torch", "float"}),
        needs_labels=True,
        purpose="int8 by training with quantizers in the graph",
    ),
    PassSpec(
        name="binarize",
        options=BinarizeOptions,
        requires=frozenset({"torch", "float"}),
        provides=frozenset({"onnx", "float", "binary"}),  # what stayed real can be quantized
        removes=frozenset({"torch"}),
        needs_labels=True,
        purpose="one-bit weights and inputs for most layers, by training in two stages",
    ),
)

PASSES: dict[str, PassSpec] = {spec.name: spec for spec in _SPECS}
"""All passes by name."""


def check_order(
    names: Sequence[str], start: frozenset[str] = FACTS_OF_TORCH, where: str = ""
) -> frozenset[str]:
    """Facts of the model after all passes of `names`.

    Args:
        names: keys of `PASSES`, in the order they run.
        start: facts of the model handed in (`FACTS_OF_TORCH`, `FACTS_OF_ONNX`).
        where: recipe file and line, for the message.

    Raises:
        UsageError: unknown pass, or one that cannot run where it stands; both steps are named.
    """
    facts = start
    took: dict[str, str] = {}
    for position, name in enumerate(names):
        spec = PASSES.get(name)
        if spec is None:
            raise UsageError(
                f"unknown pass {name!r}", where=where or None, hint=f"passes: {', '.join(PASSES)}"
            )
        missing = sorted(spec.requires - facts, key=lambda fact: fact != "torch")
        if missing:
            raise _impossible(name, position, missing[0], took.get(missing[0]), where)
        took.update(dict.fromkeys(spec.removes & facts, name))
        facts = (facts - spec.removes) | spec.provides
    return facts


def _impossible(name: str, position: int, fact: str, taker: str | None, where: str) -> UsageError:
    """The message for pass `name`, which needs a fact that pass `taker` removed (None: never there)."""
    need = WORDS[fact]
    if taker is None:
        return UsageError(
            f"pass {name!r} (number {position + 1}) needs {need}, and this model is none",
            where=where or None,
            hint=f"remove {name!r}, or give the model as a zoo name or package.module:factory",
        )
    if taker == name:
        hint = f"keep one {name!r}"
    elif {taker, name} == {"quantize", "qat"}:
        hint = "keep one of them: both end in an int8 graph"
    elif {taker, name} == {"qat", "binarize"}:
        hint = "keep one of them; `quantize` makes int8 of what `binarize` leaves real"
    else:
        hint = f"move {name!r} in front of {taker!r}"
    return UsageError(
        f"pass {name!r} (number {position + 1}) cannot follow {taker!r}: "
        f"it needs {need}, and {taker!r} leaves none",
        where=where or None,
        hint=hint,
    )
