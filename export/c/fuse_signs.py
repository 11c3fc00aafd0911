"""A convolution of packed signs whose real result only gives signs again gives them itself, by thresholds on sums.

    LceBconv2d to float, LceQuantize                         -> to bits
    LceBconv2d to float, MAX_POOL_2D, LceQuantize            -> to bits, LceBMaxPool2d
    ADD of one float a channel, LceQuantize                  -> LceQuantize with the option "zeros", x < -constant

This is what layers with borders of 0 need: their sums have another largest value at the border, which thresholds on
popcounts (Larq Compute Engine's) cannot follow; those on sums can. y multiplier + bias rises with y, or falls and the
filter is turned, so its sign changes once; rounding to float32 is looked at where it does. Such an operator has the
options "sums" (thresholds: the bit is y < sums) and no multiplier.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..tflite.ir import LiteModel, LiteOperator, LiteTensor
from .fuse_bits import CONVOLUTION
from .program import Array

FAR = 1 << 30
WORD_BITS = 32


def hand_on_signs(model: LiteModel) -> LiteModel:
    """`model` with such layers; itself where it has none."""
    tensors, operators = list(model.tensors), list(model.operators)
    made = replace(model, tensors=tensors, operators=operators)
    changed = False
    for operator in model.operators:
        if operator.custom_code == "LceQuantize":
            changed |= _learned_zeros(made, operator)
        if operator.custom_code == CONVOLUTION and tensors[operator.outputs[0]].dtype == "float32":
            changed |= _hand_on(made, operator)
    return made if changed else model


def _hand_on(model: LiteModel, layer: LiteOperator) -> bool:
    reader = _reader(model, layer.outputs[0])
    pool = reader if reader is not None and reader.code == "MAX_POOL_2D" else None
    last = reader if pool is None else _reader(model, pool.outputs[0])
    if last is None or last.custom_code != "LceQuantize":
        return False
    if pool is not None and pool.options.get("fused_activation_function", "NONE") != "NONE":
        return False
    real = model.tensors[layer.outputs[0]]
    bits = model.tensors[last.outputs[0]]
    pooled = tuple(model.tensors[last.inputs[0]].shape)
    if tuple(bits.shape[:3]) != pooled[:3] or real.shape[3] != pooled[3]:
        return False  # packed along another axis
    found = _thresholds(model, layer)
    if found is None:
        return False
    sums, turned = found
    target = last.outputs[0]
    if pool is not None:
        shape = (*real.shape[:3], bits.shape[3])
        target = model.add_tensor(LiteTensor(f"{real.name}/bits", shape, "int32"))
    filters = model.add_tensor(
        LiteTensor(f"{model.tensors[layer.inputs[1]].name}/turned", (), "int32", turned)
    )
    inputs = (layer.inputs[0], filters, -1, -1, -1)
    options = {**layer.options, "sums": sums}
    made = replace(layer, inputs=inputs, outputs=(target,), options=options)
    model.operators[model.operators.index(layer)] = made
    if pool is None:
        model.operators.remove(last)
    else:
        at = model.operators.index(last)
        model.operators[at] = _bit_pool(pool, target, last.outputs[0])
        model.operators.remove(pool)
    return True


def _learned_zeros(model: LiteModel, layer: LiteOperator) -> bool:
    """A sum has the sign of x + t, and x < -t is what it says: rounding never crosses 0."""
    x = layer.inputs[0]
    adds = [op for op in model.operators if x in op.outputs and op.code == "ADD"]
    if len(adds) != 1 or _reader(model, x) is not layer or model.tensors[x].dtype != "float32":
        return False
    if adds[0].options.get("fused_activation_function", "NONE") != "NONE":
        return False
    sides = [model.tensors[index] for index in adds[0].inputs]
    constant = next((n for n, side in enumerate(sides) if side.data is not None), -1)
    shape = tuple(model.tensors[x].shape)
    if constant < 0 or tuple(sides[1 - constant].shape) != shape:
        return False
    data = sides[constant].data
    if data is None or data.size != shape[-1] or data.shape[-1:] != shape[-1:]:
        return False
    options = {**layer.options, "zeros": -data.reshape(-1)}
    made = replace(layer, inputs=(adds[0].inputs[1 - constant],), options=options)
    model.operators[model.operators.index(layer)] = made
    model.operators.remove(adds[0])
    return True


def _bit_pool(pool: LiteOperator, source: int, target: int) -> LiteOperator:
    options = pool.options
    return LiteOperator(
        "CUSTOM",
        (source,),
        (target,),
        {
            "padding": 0 if options.get("padding") == "SAME" else 1,
            "stride_height": options["stride_h"],
            "stride_width": options["stride_w"],
            "filter_height": options["filter_height"],
            "filter_width": options["filter_width"],
        },
        custom_code="LceBMaxPool2d",
        source=pool.source,
    )


def _reader(model: LiteModel, index: int) -> LiteOperator | None:
    """The only operator that reads a tensor nobody outside wants."""
    readers = [op for op in model.operators if index in op.inputs]
    return readers[0] if len(readers) == 1 and index not in model.outputs else None


def _thresholds(model: LiteModel, layer: LiteOperator) -> tuple[Array, Array] | None:
    """(int32 thresholds on sums, filters turned where the real value falls); None where there are none."""
    filters, multiplier, bias = (model.tensors[i].data for i in layer.inputs[1:4])
    if filters is None or multiplier is None or bias is None:
        return None
    if layer.options["fused_activation_function"] != 0:
        return None
    if not (np.isfinite(multiplier).all() and np.isfinite(bias).all()):
        return None
    outputs, rows, columns, depth = filters.shape
    words = int(model.tensors[layer.inputs[0]].shape[3])
    channels = int(layer.options["channels_in"]) * depth // words
    sums = first_not_negative(np.abs(multiplier), bias, rows * columns * channels)
    mask = _mask(channels, depth)
    turned = np.where((multiplier < 0)[:, None, None, None], filters ^ mask, filters)
    return sums, turned.astype(np.int32)


def first_not_negative(slope: Array, bias: Array, reach: int) -> Array:
    """Smallest sum y in [-reach, reach] with y slope + bias >= 0 in float32, slope >= 0; -FAR or FAR if all or none."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        guess = np.ceil(-bias.astype(np.float64) / slope.astype(np.float64))
    guess = np.where(slope > 0, np.clip(np.nan_to_num(guess), -reach - 3, reach + 3), 0)
    near = guess[None].astype(np.int64) + np.arange(-3, 4)[:, None]
    below = (near.astype(np.float32) * slope + bias) < 0
    found = guess.astype(np.int64) - 3 + below.sum(axis=0)
    found = np.where(found <= -reach, -FAR, np.where(found > reach, FAR, found))
    flat = np.where(bias < 0, FAR, -FAR)
    return np.where(slope > 0, found, flat).astype(np.int32)


def _mask(channels: int, depth: int) -> Array:
    """int32 [depth]: bits that channels have."""
    bits = np.zeros(depth * WORD_BITS, bool)
    bits[:channels] = True
    return np.packbits(bits, bitorder="little").view("<i4").astype(np.int32)
