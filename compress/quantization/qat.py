"""Quantization-aware training of an unmodified float torch module: float module in, brevitas graph out.

    model = qat.prepare(float_model, example, QatConfig(normalisation=task.normalisation))
    qat.calibrate(model, batches)                      # 10 to 20 batches set the activation scales
    qat.schedule(model, total_steps)                   # scales stay after a third of the steps
    ... any training loop over model.parameters() ...
    qat.finalize(model)
    export.onnx.brevitas_import.from_brevitas(model)   # the hub, every number verbatim

The graph obeys the int8 rules of TFLite before training starts: tensors that must share a scale share one
quantizer, residual operands keep scales of their own, a ReLU is fused into what it follows, batch
normalisation is folded, dropout is left out. Weights are int8 per channel, biases int32, activations uint8
with a zero point (int8 after the exact shift by 128).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from ...runtime.errors import InputError
from .observers import MinMax, Observer, make_observer
from .qat_records import QatConfig, TensorGroup
from .qat_report import ModuleQuantization, layer_sites, quantization_of, require_calibrated
from .qparams import affine

if TYPE_CHECKING:
    import torch

    from .qat_model import QatModel
    from .qat_tie import TensorClass

__all__ = [
    "ModuleQuantization",
    "QatConfig",
    "calibrate",
    "finalize",
    "prepare",
    "quantization_of",
    "schedule",
]


def prepare(model: torch.nn.Module, example_inputs: Any, config: QatConfig | None = None) -> Any:
    """A `QatModel` with the weights of `model` (which stays as it is), before calibration.

    `example_inputs` is a batch as the model takes it (normalised), or a tuple of one per input.
    Raises `InputError` if the forward cannot be traced or the rewritten graph computes something else,
    `UnsupportedOperatorError` for a call without an int8 form.
    """
    _import_brevitas()
    from . import qat_fold, qat_insert, qat_rewrite, qat_trace
    from .qat_model import QatModel

    config = config or QatConfig()
    inputs = tuple(x.to(_device(model)) for x in qat_trace.as_inputs(example_inputs))
    name = type(model).__name__
    traced = qat_trace.trace(model, inputs)
    qat_rewrite.make_uniform(traced)
    qat_fold.fold_normalisations(traced)
    if config.normalisation is not None:
        qat_insert.insert_normalisation(traced, config.normalisation, config.io == "float")
    qat_rewrite.check_same_function(traced, model, inputs, name)
    qat_rewrite.replace_layers(traced)
    classes, requantized = qat_insert.insert_quantizers(traced)
    shapes = tuple((1, *x.shape[1:]) for x in inputs)
    groups = tuple(_group(group) for group in classes)
    prepared = QatModel(traced, config, groups, requantized, shapes)
    return prepared.to(_device(model)).train(model.training)


def _group(group: TensorClass) -> TensorGroup:
    return TensorGroup(
        name=group.nodes[0].name,
        tensors=tuple(node.name for node in group.nodes),
        kinds=tuple(str(node.meta["kind"]) for node in group.nodes),
        fixed=group.fixed is not None,
        is_input=group.is_input,
        is_output=group.is_output,
    )


def _import_brevitas() -> None:
    """Import brevitas without its notes about optional kernels (3.5 s the first time)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import brevitas.nn  # noqa: F401


def calibrate(qat_model: QatModel, batches: Iterable[Any]) -> int:
    """Set all activation parameters from float runs of `batches`; gives the number of batches.

    A batch is what the model takes: a tensor, an array, or a tuple of them. Empty input is an `InputError`.
    """
    from .qat_model import run_float

    config: QatConfig = qat_model.config
    watchers = {group.name: _watcher(config, group) for group in qat_model.classes}
    count = 0
    for batch in batches:
        run_float(qat_model, _tensors(qat_model, batch), lambda n, x: _show(watchers[n], n, x))
        count += 1
    if count == 0:
        raise InputError("the calibration set is empty", hint="give 10 to 20 training batches")
    for group in qat_model.classes:
        _apply_range(qat_model, group, *watchers[group.name].range())
    fit_biases(qat_model)
    qat_model.calibrated.fill_(True)
    return count


def _device(model: torch.nn.Module) -> Any:
    first = next(model.parameters(), None)
    return "cpu" if first is None else first.device


def _tensors(model: torch.nn.Module, batch: Any) -> list[torch.Tensor]:
    import torch

    values = batch if isinstance(batch, (tuple, list)) else (batch,)
    return [torch.as_tensor(value, dtype=torch.float32, device=_device(model)) for value in values]


def _watcher(config: QatConfig, group: TensorGroup) -> Observer:
    """Inputs and outputs take their extremes: a clipped logit or sensor value is an error, not an outlier."""
    if group.is_input or group.is_output:
        return MinMax()
    options = {"percentile": config.percentile} if config.observer == "percentile" else {}
    return make_observer(config.observer, **options)


def _show(watcher: Observer, name: str, values: torch.Tensor) -> None:
    array = values.detach().cpu().numpy()
    if not np.isfinite(array).all():
        raise InputError(
            "the values are not finite",
            where=name,
            hint="check the weights and the calibration data for NaN and inf",
        )
    watcher.observe(array)


def _apply_range(qat_model: QatModel, group: TensorGroup, low: float, high: float) -> None:
    from .qat_quantizers import set_activation

    config: QatConfig = qat_model.config
    if group.fixed:
        return
    if group.is_input and config.input_range is not None and group is qat_model.classes[0]:
        low, high = config.input_range
    learned = config.learn_scales and not group.is_input and not group.is_output
    quantizer = qat_model.quantizers()[group.name]
    set_activation(quantizer, affine(low, high, signed=False), learned)


def schedule(qat_model: QatModel, total_steps: int) -> None:
    """Let scales learn for the first `freeze_fraction` of `total_steps` training forwards, then stay.

    The count is part of the state dict, so a resumed training freezes at the same step.
    """
    qat_model.steps.zero_()
    qat_model.freeze_at.fill_(int(round(total_steps * qat_model.config.freeze_fraction)))


def finalize(qat_model: QatModel, batches: Iterable[Any] | None = None) -> QatModel:
    """End training: scales become constants, biases are made to fit, the model goes to eval mode.

    With `batches` the ranges of the outputs are taken again, because training has moved the outputs.
    """
    from .qat_quantizers import tensor_quantizer

    require_calibrated(qat_model)
    qat_model.eval()
    for quantizer in qat_model.quantizers().values():
        tensor_quantizer(quantizer).scaling_impl.bake()
    qat_model.freeze_scales()
    if batches is not None:
        _observe_outputs(qat_model, batches)
    fit_biases(qat_model)
    return qat_model


def _observe_outputs(qat_model: QatModel, batches: Iterable[Any]) -> None:
    """Minimum and maximum of what the quantized graph computes in front of its output quantizers."""
    import torch

    groups = {g.name: g for g in qat_model.classes if g.is_output and not g.fixed}
    watchers = {name: MinMax() for name in groups}
    hooks = [
        qat_model.quantizers()[name].register_forward_pre_hook(
            lambda _, inputs, name=name, watcher=watcher: _show(watcher, name, inputs[0])
        )
        for name, watcher in watchers.items()
    ]
    try:
        with torch.no_grad():
            for batch in batches:
                qat_model(*_tensors(qat_model, batch))
    finally:
        for hook in hooks:
            hook.remove()
    for name, watcher in watchers.items():
        if watcher.low <= watcher.high:
            _apply_range(qat_model, groups[name], watcher.low, watcher.high)


def fit_biases(qat_model: QatModel) -> None:
    """Raise weight scales of nearly dead channels so that every int32 bias fits.

    s_w >= |b| / (s_x * 2^28): a channel whose weights vanish next to its bias would otherwise overflow it.
    """
    import torch

    from .qat_quantizers import BIAS_BITS, SCALE_FLOOR, get_activation

    quantizers = qat_model.quantizers()
    for site in layer_sites(qat_model):
        layer = qat_model.layers()[site.layer]
        floor = layer.weight_quant.tensor_quant.scaling_impl.floor
        if layer.bias is None:
            continue
        input_scale = get_activation(quantizers[site.input_quantizer]).scale[0]
        needed = layer.bias.detach().abs().double() / (input_scale * 2.0**BIAS_BITS)
        with torch.no_grad():
            floor.copy_(needed.clamp(min=SCALE_FLOOR).float().reshape(floor.shape))
