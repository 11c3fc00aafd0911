"""`plan`: the int8 quantization of a float hub, decided on calibration samples before anything is written.

Steps: which nodes compute on integers (`eligible`), which tensors share parameters (`tying`), what range each class
takes (`calibrate`, `observers`), then weights, biases and constants as integers (`constants`). The hub is not
changed; `export/onnx/qdq.py` writes what was decided here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ...runtime.errors import UsageError
from .calibrate import Array, Sample, checked_samples, graph_inputs, samples_sha256
from .constants import WEIGHT_RANGES, quantize_constant, quantize_layer, weight_layout
from .eligible import Split, split_nodes
from .graph import GraphView, NodeView
from .observers import MOVING_AVERAGE, OBSERVERS, PERCENTILE, make_observer
from .qparams import QParams, affine
from .ranges import Observed, observe_classes
from .records import QuantizedConstant, QuantPlan
from .rules import OutputRule, by_onnx
from .tying import Tying, constant_key, tie

if TYPE_CHECKING:
    from onnx import ModelProto

    from ..progress import Progress

AUTO = "auto"


@dataclass(frozen=True)
class PtqConfig:
    """Options of post-training quantization.

    Attributes:
        observer: one of `OBSERVERS`, or "auto": all are compared on the calibration samples (`choose.py`).
        percentile: of the "percentile" observer, 50 < p <= 100.
        moving_average: constant c of the "moving-average" observer.
        keep_float: nodes that stay float: names, layer names or globs.
        input_range: known (low, high) of the raw first input. None: (0, 255) if the samples are uint8, else observed.
        fc_granularity: "channel" or "tensor": weight scales of dense layers (old microcontroller runtimes
            want one per tensor).
        weight_range: "minmax" or "mse": how a weight channel's range is chosen.
        bias_correction: shift biases so that every output channel keeps its mean (`bias_correction.py`).
        io: "int8" or "float": what inputs and outputs of the TFLite file will be. Parameters are the same for both.
    """

    observer: str = AUTO
    percentile: float = PERCENTILE
    moving_average: float = MOVING_AVERAGE
    keep_float: tuple[str, ...] = ()
    input_range: tuple[float, float] | None = None
    fc_granularity: str = "channel"
    weight_range: str = "minmax"
    bias_correction: bool = True
    io: str = "int8"

    def __post_init__(self) -> None:
        """Raise `UsageError` for values that cannot be."""
        _one_of("observer", self.observer, (*OBSERVERS, AUTO))
        _one_of("fc_granularity", self.fc_granularity, ("channel", "tensor"))
        _one_of("io", self.io, ("int8", "float"))
        _one_of("weight_range", self.weight_range, WEIGHT_RANGES)
        for name in OBSERVERS:
            make_observer(name, **self.observer_options().get(name, {}))
        if self.input_range is not None:
            low, high = self.input_range
            if not (np.isfinite((low, high)).all() and low < high):
                raise UsageError(f"input_range is {self.input_range}", hint="low < high, finite")

    def observer_options(self) -> dict[str, dict[str, Any]]:
        """Observer name -> options of `make_observer`."""
        return {
            "percentile": {"percentile": self.percentile},
            "moving-average": {"constant": self.moving_average},
        }


def _one_of(name: str, value: str, allowed: Sequence[str]) -> None:
    if value not in allowed:
        raise UsageError(f"{name} is {value!r}", hint=f"choose one of {', '.join(allowed)}")


def plan(
    hub: ModelProto,
    samples: Iterable[Sample],
    config: PtqConfig | None = None,
    progress: Progress | None = None,
) -> QuantPlan:
    """The int8 plan of a float hub (opset 21, static shapes, batch 1); same hub and samples, same plan.

    Args:
        hub: float hub, not changed. Recurrent layers are int8 only once they are unrolled.
        samples: raw inputs, batch 1, one tuple per sample, axes as in ONNX.
        config: see `PtqConfig`.
        progress: told about every sample.

    Raises:
        InputError: no samples, wrong shapes, NaN or infinite values in samples or inside the model.
        UsageError: an option cannot be, or names a layer that is not there.
    """
    config = config or PtqConfig()
    draft = Draft.of(hub, samples, config)
    name = config.observer
    if name == AUTO:
        from .choose import choose_for

        name, _ = choose_for(draft, progress)
    observed = draft.observe(draft.samples, (name,), progress)
    parameters = observed.parameters(name)
    biases: Mapping[str, Array] = {}
    if config.bias_correction:
        from .bias_correction import corrected_biases

        biases = corrected_biases(draft, parameters, progress)
    return draft.plan(parameters, name, biases)


@dataclass(frozen=True, eq=False)
class Draft:
    """What is known of a plan before ranges are: nodes, classes, samples. `plan` completes it.

    Attributes:
        hub, view: the float model.
        split: int8 and float nodes.
        tying: classes of activations with equal parameters.
        samples: checked calibration samples; `sha256` identifies them.
    """

    hub: ModelProto
    config: PtqConfig
    view: GraphView
    split: Split
    tying: Tying
    samples: Sequence[Sample] = field(repr=False)
    sha256: str = ""

    @staticmethod
    def of(hub: ModelProto, samples: Iterable[Sample], config: PtqConfig) -> Draft:
        """Decide on nodes and classes."""
        given = list(samples)
        checked = checked_samples(hub, given)
        view = GraphView(hub)
        split = split_nodes(view, config.keep_float)
        pins = _pins(hub, given, config)
        tying = tie(view, split.int8, pins)
        return Draft(hub, config, view, split, tying, checked, samples_sha256(checked))

    def observe(
        self, samples: Sequence[Sample], names: Sequence[str], progress: Progress | None = None
    ) -> Observed:
        """Let observers of these names see `samples`."""
        constants = {
            key: self.view.constants[name]
            for _, name, key in self._operand_constants()
            if key in self.tying.of
        }
        options = self.config.observer_options()
        return observe_classes(self.hub, self.tying, constants, samples, names, options, progress)

    def _operand_constants(self) -> list[tuple[NodeView, str, str]]:
        """(node, constant, name in the classes) of constants that are quantized like activations."""
        found = []
        for node in self.split.int8.values():
            rule = by_onnx(node.op)
            if rule is not None and rule.output is OutputRule.UNQUANTIZED:
                continue  # thresholds of comparisons: the writer finds the exact integer
            for _, name in self.view.real_inputs(node):
                if name in self.view.constants:
                    found.append((node, name, constant_key(name, node)))
        return found

    def plan(
        self,
        parameters: Sequence[QParams],
        observer: str,
        biases: Mapping[str, Array] | None = None,
    ) -> QuantPlan:
        """Complete the plan.

        Args:
            parameters: of each class of `tying`.
            observer: name of the observer they come from.
            biases: node name -> float bias to use in place of the model's own.
        """
        members = {
            name: parameters[index]
            for name, index in self.tying.of.items()
            if name in self.view.types and name not in self.view.constants
        }
        return QuantPlan(
            activations=members,
            constants=self._constants(parameters, members, biases or {}),
            requantize={
                edge: (parameters[index], reason)
                for edge, (index, reason) in self.tying.requantize.items()
            },
            float_nodes=dict(self.split.float_nodes),
            observer=observer,
            calibration_sha256=self.sha256,
            samples=len(self.samples),
        )

    def _constants(
        self,
        parameters: Sequence[QParams],
        members: Mapping[str, QParams],
        biases: Mapping[str, Array],
    ) -> dict[str, QuantizedConstant]:
        entries: list[tuple[str, NodeView, QuantizedConstant]] = []
        for node, name, key in self._operand_constants():
            index = self.tying.of.get(key)
            params = None if index is None else parameters[index]
            made = quantize_constant(self.view.constants[name], params)
            entries.append((name, node, made))
        for node in self.split.int8.values():
            if self.view.has_weight(node):
                entries += self._layer(node, members[node.inputs[0]], biases.get(node.name))
        return _named(self.view, entries)

    def _layer(
        self, node: NodeView, read: QParams, bias: Array | None
    ) -> list[tuple[str, NodeView, QuantizedConstant]]:
        """Weight and bias of one layer."""
        constants = self.view.constants
        name = node.input(2) if node.op != "MatMul" else ""
        if name and bias is None:
            bias = constants[name]
        weight, made_bias = quantize_layer(
            constants[node.input(1)],
            bias if name else None,
            read.scale[0],
            weight_layout(self.view, node, self.config.fc_granularity),
            self.config.weight_range,
            node.name,
        )
        entries = [(node.input(1), node, weight)]
        if made_bias is not None:
            entries.append((name, node, made_bias))
        return entries


def _pins(hub: ModelProto, samples: Sequence[Sample], config: PtqConfig) -> dict[str, QParams]:
    """Parameters of graph inputs whose range is known: given, or pixels 0..255 (scale 1, zero point -128)."""
    pins: dict[str, QParams] = {}
    for position, value in enumerate(graph_inputs(hub)):
        pixels = all(np.asarray(sample[position]).dtype == np.uint8 for sample in samples)
        if pixels and value.type.tensor_type.elem_type == 1:
            pins[value.name] = affine(0.0, 255.0)
        if position == 0 and config.input_range is not None:
            pins[value.name] = affine(*config.input_range)
    return pins


def _named(
    view: GraphView, entries: Sequence[tuple[str, NodeView, QuantizedConstant]]
) -> dict[str, QuantizedConstant]:
    """Plan names: the constant's own where all its readers want the same integers, else "name@node" for each."""
    by_name: dict[str, list[tuple[NodeView, QuantizedConstant]]] = {}
    for name, node, made in entries:
        by_name.setdefault(name, []).append((node, made))
    named: dict[str, QuantizedConstant] = {}
    for name, uses in by_name.items():
        readers = {node.name for node, _ in view.consumers[name]}
        first = uses[0][1]
        if readers == {node.name for node, _ in uses} and all(_equal(first, u) for _, u in uses):
            named[name] = first
            continue
        for node, made in uses:
            named[constant_key(name, node)] = made
    return named


def _equal(a: QuantizedConstant, b: QuantizedConstant) -> bool:
    return a.qparams == b.qparams and np.array_equal(a.values, b.values)
