"""A float torch module -> a functional fx graph with constant sizes, ready to be rewritten.

`trace` records the module's forward, removes in-place aliasing, runs the graph at batch sizes 1 and 2 and
writes into every node's `meta`: "shape" (batch 1, None if the value is no tensor) and "tail" (True if all
sizes but the first are the same at both batch sizes). Sizes that do not depend on the batch become constants.

Imports torch at the top: import this module inside functions.
"""

from __future__ import annotations

import copy
import operator
from typing import Any

import torch
from torch import fx

from ...runtime.errors import InputError

_IN_PLACE_OPERATORS = {operator.iadd, operator.isub, operator.imul, operator.itruediv}


def as_inputs(example_inputs: Any) -> tuple[torch.Tensor, ...]:
    """float32 tensors of one example call: a tensor, an array, or a sequence of them, batch first."""
    values = example_inputs if isinstance(example_inputs, (tuple, list)) else (example_inputs,)
    tensors = tuple(torch.as_tensor(value, dtype=torch.float32) for value in values)
    if not tensors or any(t.ndim < 2 or t.shape[0] < 1 for t in tensors):
        raise InputError(
            f"example inputs need a batch and at least one more axis, got {[tuple(t.shape) for t in tensors]}",
            hint="give one example batch as the model takes it, for instance shape [1, 3, 32, 32]",
        )
    return tensors


def trace(model: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> fx.GraphModule:
    """Trace a copy of `model` in eval mode; the model itself stays as it is.

    Raises `InputError` if the forward cannot be traced or does not take batches of 1 and 2.
    """
    root = copy.deepcopy(model).eval()
    try:
        graph = fx.Tracer().trace(root)
    except (fx.proxy.TraceError, TypeError, RuntimeError, ValueError) as error:
        raise InputError(
            f"the forward of {type(model).__name__} cannot be traced: {error}",
            hint="take branches and loops that depend on tensor values out of forward,"
            " or use post-training quantization",
        ) from error
    traced = fx.GraphModule(root, graph)
    _remove_aliasing(traced.graph)
    _fix_sizes(traced, inputs)
    traced.recompile()
    return traced


def _writes_in_place(node: fx.Node, modules: dict[str, Any]) -> bool:
    if node.op == "call_module":
        return bool(getattr(modules[str(node.target)], "inplace", False))
    if node.op == "call_method":
        name = str(node.target)
        return name.endswith("_") and not name.endswith("__")
    if node.op == "call_function":
        name = getattr(node.target, "__name__", "")
        in_place_name = name.endswith("_") and not name.endswith("__")
        return (
            node.target in _IN_PLACE_OPERATORS
            or in_place_name
            or node.kwargs.get("inplace") is True
        )
    return False


def _remove_aliasing(graph: fx.Graph) -> None:
    """After `relu_(x)` the name x means the result: later users of x are pointed to it."""
    modules = dict(graph.owning_module.named_modules())
    order = {node: position for position, node in enumerate(graph.nodes)}
    for node in list(graph.nodes):
        if _writes_in_place(node, modules) and isinstance(node.args[0], fx.Node):
            source, here = node.args[0], order[node]
            source.replace_all_uses_with(
                node, delete_user_cb=lambda user, here=here: order[user] > here
            )


class _Recorder(fx.Interpreter):
    """Runs a graph and keeps what every node gave."""

    def __init__(self, module: fx.GraphModule):
        super().__init__(module)
        self.values: dict[fx.Node, Any] = {}

    def run_node(self, n: fx.Node) -> Any:
        self.values[n] = super().run_node(n)
        return self.values[n]


def _record(traced: fx.GraphModule, inputs: tuple[torch.Tensor, ...], batch: int) -> dict[Any, Any]:
    recorder = _Recorder(traced)
    copies = [x[:1].expand(batch, *x.shape[1:]).clone() for x in inputs]
    try:
        with torch.no_grad():
            recorder.run(*copies)
    except (RuntimeError, TypeError, ValueError, IndexError) as error:
        first_line = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
        raise InputError(
            f"the model does not run on a batch of {batch} example inputs: {first_line}",
            hint="check the shape of the example inputs; training needs a forward for any batch size",
        ) from error
    return recorder.values


def _fix_sizes(traced: fx.GraphModule, inputs: tuple[torch.Tensor, ...]) -> None:
    one, two = (_record(traced, inputs, batch) for batch in (1, 2))
    for node in list(traced.graph.nodes):
        first, second = one[node], two[node]
        if isinstance(first, torch.Tensor):
            node.meta["shape"] = tuple(first.shape)
            node.meta["tail"] = first.shape[1:] == second.shape[1:]
            continue
        node.meta["shape"] = None
        if node.op in ("call_function", "call_method") and _is_plain(first) and first == second:
            _replace_by_constant(node, tuple(first) if isinstance(first, tuple) else first)
    traced.graph.eliminate_dead_code()


def _is_plain(value: Any) -> bool:
    if isinstance(value, (tuple, list)):
        return all(_is_plain(item) for item in value)
    return isinstance(value, (int, float, bool, str, type(None), torch.dtype, torch.device))


def _replace_by_constant(node: fx.Node, value: Any) -> None:
    for user in list(node.users):
        user.args = fx.map_arg(user.args, lambda n: value if n is node else n)
        user.kwargs = fx.map_arg(user.kwargs, lambda n: value if n is node else n)
