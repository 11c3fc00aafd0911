"""From any sound opset-21 graph to the hub's form: static, folded, deduplicated, named, with every shape known.

`normalise` runs the passes to a fixed point. What it relies on: opset 21, batch fixed, foreign functions
inlined (see `intake`).
"""

from __future__ import annotations

import math

from ...runtime.errors import InputError
from .canonical import (
    casts_like,
    explicit_reductions,
    pools_to_means,
    positive_axes,
    simplify_clips,
    squeeze_into_mean,
    tidy_resizes,
)
from .cleanup import Pass, remove_dead, remove_identities, share_constants
from .constants import (
    constant_nodes_to_initializers,
    fold_constants,
    fold_shapes,
    resolve_constant_outputs,
)
from .control import inline_constant_ifs, refuse_control_flow
from .defaults import drop_defaults
from .fold import fold_affine, lower_batch_norms, merge_pads
from .graph import Graph
from .infer import infer, missing
from .layout_ops import (
    explicit_reshapes,
    gather_nd_to_gather,
    merge_reshapes,
    merge_slices,
    select_from_concat,
    simplify_transposes,
    static_sequences,
)
from .linear import matmul_to_gemm, normalise_gemm
from .patterns import fuse_activations, fuse_layer_norms
from .scales import (
    channel_affine_to_conv,
    merge_chains,
    no_division,
    one_attention_scale,
    scale_into_layer,
)

_FOLD: tuple[Pass, ...] = (
    constant_nodes_to_initializers,
    fold_shapes,
    fold_constants,
    inline_constant_ifs,
)
_CLEAN: tuple[Pass, ...] = (casts_like, static_sequences, remove_identities, remove_dead)
_REWRITE: tuple[Pass, ...] = (
    gather_nd_to_gather,
    explicit_reductions,
    pools_to_means,
    simplify_clips,
    tidy_resizes,
    positive_axes,
    explicit_reshapes,
    normalise_gemm,
    matmul_to_gemm,
    merge_pads,
    no_division,
    fold_affine,
    fuse_activations,
    fuse_layer_norms,
    merge_chains,
    channel_affine_to_conv,
    one_attention_scale,
    scale_into_layer,
)
_PATTERNS: tuple[Pass, ...] = (fuse_activations, fuse_layer_norms)
_MOVES: tuple[Pass, ...] = (
    simplify_transposes,
    merge_reshapes,
    select_from_concat,
    squeeze_into_mean,
    merge_slices,
)

LARGEST_TENSOR = 1 << 28
"""Elements; no device model holds a tensor of a gigabyte."""

ROUNDS = 50
"""More rounds than any model needs; a pass that undoes another would run forever without a bound."""


def normalise(
    graph: Graph, where: str = "", recognise: bool = True, early: tuple[Pass, ...] = ()
) -> None:
    """Bring `graph` into the hub's form, in place.

    Args:
        graph: changed in place.
        where: name for messages.
        recognise: False leaves spelled-out activations and normalisations as they are spelled.
        early: passes that must see constants folded and no arithmetic moved yet; each runs once.

    Raises:
        InputError: shapes contradict each other or cannot be made static.
        UnsupportedOperatorError: control flow that depends on data.
    """
    rewrite = tuple(apply for apply in _REWRITE if recognise or apply not in _PATTERNS)
    _to_fixed_point(graph, _FOLD + _CLEAN, where)
    for apply in early:
        apply(graph)
    _to_fixed_point(graph, _FOLD + _CLEAN + rewrite, where)
    lower_batch_norms(graph)
    tidy(graph, where)


def tidy(graph: Graph, where: str = "") -> None:
    """The part of `normalise` that changes no arithmetic: moves, constants, dead parts, shapes."""
    _to_fixed_point(graph, _MOVES + _FOLD + _CLEAN, where)
    resolve_constant_outputs(graph)
    remove_dead(graph)
    share_constants(graph)
    drop_defaults(graph)
    infer(graph, where)
    refuse_control_flow(graph, where)
    _demand_static(graph, where)


def _to_fixed_point(graph: Graph, passes: tuple[Pass, ...], where: str) -> None:
    for _ in range(ROUNDS):
        infer(graph, where)
        if not any([apply(graph) for apply in passes]):
            return
    raise InputError("the graph does not settle while it is simplified", where=where or None)


def _demand_static(graph: Graph, where: str) -> None:
    for value, shape in graph.shapes.items():
        if math.prod(shape) > LARGEST_TENSOR:
            raise InputError(
                f"tensor '{value}' has the impossible shape {list(shape)}",
                where=where or None,
                hint="check the model's dimensions; the file may be damaged",
            )
    unknown = set(missing(graph))
    if not unknown:
        return
    for node in graph.sorted_nodes():
        name = next((name for name in node.outputs if name in unknown), None)
        if name is None:
            continue
        raise InputError(
            f"the shape of '{name}' is unknown or depends on the data ({node.op} '{node.name}')",
            where=where or None,
            hint="export the model with a fixed input shape; device engines need static shapes",
        )
