"""Inputs and outputs of the file: which axis order they have on the outside, and tensors of their own."""

from __future__ import annotations

from .context import Lowering
from .layout import Order, identity, interface_order
from .neutral import Node

_LAYOUT_NAMES = {3: ("NCL", "NLC"), 4: ("NCHW", "NHWC"), 5: ("NCDHW", "NDHWC")}


def place_inputs(low: Lowering) -> None:
    """Create the model's inputs, channels last unless io_layout or the hub say otherwise."""
    layouts = []
    for position, name in enumerate(low.graph.inputs):
        rank = len(low.value(name).shape)
        declared = (*low.graph.input_layouts, *[""] * len(low.graph.inputs))[position]
        channels_first = declared in ("", _LAYOUT_NAMES.get(rank, ("",))[0])
        turn = low.io_layout == "nhwc" and channels_first and rank in _LAYOUT_NAMES
        order = interface_order(rank) if turn else identity(rank)
        layouts.append(_layout_name(rank, turn) if channels_first else declared)
        low.model.inputs.append(low.result(name, order))
    low.model.input_names = list(low.graph.input_names)
    low.input_layouts = tuple(layouts)


def place_outputs(low: Lowering) -> tuple[str, ...]:
    """Bring the model's outputs into their outer form; gives the layout names.

    A value that lies channels last stays so (NHWC, NLC) unless io_layout is "nchw".
    """
    layouts = []
    for position, name in enumerate(low.graph.outputs):
        rank = len(low.value(name).shape)
        order = low.order_of(name)
        last = tuple(axis for axis in order if axis >= 0) == interface_order(rank)
        turn = low.io_layout == "nhwc" and last and rank in _LAYOUT_NAMES
        order = interface_order(rank) if turn else identity(rank)
        index = _own_tensor(low, name, order)
        low.output_orders[index] = order
        layouts.append(_layout_name(rank, turn))
        low.model.outputs.append(index)
        low.rename(index, low.graph.output_names[position])
    low.model.output_names = list(low.graph.output_names)
    return tuple(layouts)


def _own_tensor(low: Lowering, name: str, order: Order) -> int:
    """A tensor of this output alone: one that is an input, a constant or another output is copied."""
    index = low.ordered(name, order)
    tensor = low.model.tensors[index]
    taken = index in low.model.inputs or index in low.model.outputs
    if not taken and tensor.data is None:
        return index
    node = Node(name, "output", (name,), (name,))
    made = low.temporary(node, "output", tensor.shape, like=name)
    low.reshape_into(node, index, made)
    return made


def _layout_name(rank: int, last: bool) -> str:
    return _LAYOUT_NAMES[rank][int(last)] if rank in _LAYOUT_NAMES else ""
