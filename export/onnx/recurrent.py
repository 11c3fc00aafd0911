"""LSTM, GRU and RNN unrolled into Gemm, Add, Mul, Sigmoid and Tanh.

ONNX's equations (gates of the GRU in the order z, r, h, of the LSTM in the order i, o, f, c; Rb the recurrent
bias), for one step and one direction:

    GRU   z, r = sigmoid(x W^T + h R^T + Wb + Rb)
          n = tanh(x W^T + Wb + r * (h R^T + Rb))          linear_before_reset = 1, as torch has it
          n = tanh(x W^T + Wb + (r * h) R^T + Rb)          linear_before_reset = 0
          h' = n + z * (h - n)
    LSTM  i, o, f = sigmoid(...), g = tanh(...), c' = f * c + i * g, h' = o * tanh(c')
    RNN   h' = tanh(x W^T + h R^T + Wb + Rb)

The input's part of all steps is one Gemm per activation, so that a sigmoid's gates and a tanh's share no scale
when quantized; what the state adds is one Gemm per step and activation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...runtime.errors import UnsupportedOperatorError
from .graph import Array, Graph, Node, make_node

GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
_ACTIVATIONS = {
    "RNN": ["Tanh"],
    "GRU": ["Sigmoid", "Tanh"],
    "LSTM": ["Sigmoid", "Tanh", "Tanh"],
}
_PLAIN = ("Sigmoid", "Tanh", "Relu")


@dataclass(frozen=True)
class Cell:
    """One direction of a layer: weights [gates*H, I], [gates*H, H], biases [gates*H], activations."""

    node: Node
    prefix: str
    weight: Array
    recurrent: Array
    bias: Array
    recurrent_bias: Array
    activations: tuple[str, ...]
    reverse: bool

    @property
    def hidden(self) -> int:
        """Number of hidden units."""
        return int(self.recurrent.shape[1])

    def rows(self, first: int, last: int) -> slice:
        """Rows of gates first..last-1."""
        return slice(first * self.hidden, last * self.hidden)


class Builder:
    """Adds nodes with names below one prefix."""

    def __init__(self, graph: Graph, scope: str):
        self.graph = graph
        self.scope = scope

    def add(self, op: str, inputs: list[str], name: str, **attributes: object) -> str:
        """One node with one output called `name` (made free); gives the name."""
        output = self.graph.fresh(name)
        self.graph.add(make_node(op, inputs, [output], output, self.scope, **attributes))
        return output

    def gemm(self, source: str, weight: str, bias: str, name: str) -> str:
        """source weight^T + bias; a bias of zeros is left out."""
        if not np.any(self.graph.constants[bias]):
            return self.add("Gemm", [source, weight], name, transB=1)
        return self.add("Gemm", [source, weight, bias], name, transB=1)

    def split(self, source: str, sizes: list[int], axis: int, names: list[str]) -> list[str]:
        """Parts of `source` along `axis`."""
        outputs = [self.graph.fresh(name) for name in names]
        if len(outputs) == 1:
            self.graph.add(make_node("Identity", [source], outputs, outputs[0], self.scope))
            return outputs
        split = self.graph.constant(f"{outputs[0]}.split", np.asarray(sizes, np.int64))
        name = self.graph.fresh(f"{source}.parts")
        self.graph.add(make_node("Split", [source, split], outputs, name, self.scope, axis=axis))
        return outputs

    def reshape(self, source: str, shape: list[int], name: str) -> str:
        """`source` in another shape."""
        target = self.graph.constant(f"{name}.shape", np.asarray(shape, np.int64))
        return self.add("Reshape", [source, target], name)


def unroll(graph: Graph) -> bool:
    """Replace every LSTM, GRU and RNN of the graph, in place.

    Raises:
        UnsupportedOperatorError: variable sequence lengths, peepholes, clipping, coupled gates, unusual
            activations, or weights that are not constants.
    """
    nodes = [n for n in graph.sorted_nodes() if n.op in GATES and not n.domain]
    for node in nodes:
        _refuse_variants(graph, node)
        _unroll_one(graph, node)
    return bool(nodes)


def _refuse_variants(graph: Graph, node: Node) -> None:
    shape = graph.shape(node.inputs[0])
    steps = shape[1 if node.get("layout", 0) else 0] if shape else None
    lengths = graph.constants.get(node.input(4))
    reasons = {
        "its weights are not constants": any(
            name and name not in graph.constants for name in (*node.inputs[1:4], node.input(7))
        ),
        "its input shape is unknown": shape is None,
        "it takes sequence lengths": bool(node.input(4))
        and (lengths is None or not np.all(lengths == steps)),
        "it has peepholes": bool(node.input(7))
        and bool(np.any(graph.constants.get(node.input(7), 1))),
        "it clips its gates": node.get("clip") is not None,
        "its input and forget gates are coupled": bool(node.get("input_forget", 0)),
        "its activations have parameters": bool(
            node.get("activation_alpha", []) or node.get("activation_beta", [])
        ),
        "it uses unusual activations": any(
            str(a if isinstance(a, str) else a.decode()) not in _PLAIN
            for a in node.get("activations", [])
        ),
    }
    reason = next((text for text, found in reasons.items() if found), None)
    if reason:
        raise UnsupportedOperatorError(
            f"{node.op} '{node.name}' cannot be unrolled: {reason}",
            hint="export the layer in its plain form, or write it out step by step in the model",
        )


def _cells(graph: Graph, node: Node) -> list[Cell]:
    weights = [graph.constants[name] for name in node.inputs[1:3]]
    directions, rows = weights[0].shape[:2]
    biases = (
        graph.constants[node.inputs[3]]
        if node.input(3)
        else np.zeros((directions, 2 * rows), np.float32)
    )
    count = len(_ACTIVATIONS[node.op])
    given = [a if isinstance(a, str) else a.decode() for a in node.get("activations", [])]
    activations = given or _ACTIVATIONS[node.op] * directions
    cells = []
    for index in range(directions):
        reverse = node.get("direction", "forward") == "reverse" or index == 1
        suffix = "" if directions == 1 else (".backward" if reverse else ".forward")
        cells.append(
            Cell(
                node=node,
                prefix=f"{node.name}{suffix}",
                weight=weights[0][index],
                recurrent=weights[1][index],
                bias=biases[index, :rows],
                recurrent_bias=biases[index, rows:],
                activations=tuple(activations[index * count : (index + 1) * count]),
                reverse=reverse,
            )
        )
    return cells


def _unroll_one(graph: Graph, node: Node) -> None:
    batch_first = bool(node.get("layout", 0))
    build = Builder(graph, node.scope)
    source = node.inputs[0]
    shape = graph.shape(source) or ()
    if batch_first:
        source = build.add("Transpose", [source], f"{node.name}.input", perm=[1, 0, 2])
        shape = (shape[1], shape[0], shape[2])
    steps, batch, features = shape
    rows = build.reshape(source, [steps * batch, features], f"{node.name}.rows")
    cells = _cells(graph, node)
    hidden = _initial(graph, build, node, 5, cells, batch, batch_first)
    carried = (
        _initial(graph, build, node, 6, cells, batch, batch_first) if node.op == "LSTM" else None
    )
    graph.remove(node)
    sequences, last, last_carried = [], [], []
    for index, cell in enumerate(cells):
        run = _RUNS[node.op]
        states, memory = run(
            graph, build, cell, rows, steps, batch, hidden[index], carried[index] if carried else ""
        )
        last.append(states[-1])
        last_carried.append(memory)
        ordered = states[::-1] if cell.reverse else states
        sequences.append(ordered)
    _outputs(
        build, node, sequences, last, last_carried, (steps, batch, cells[0].hidden), batch_first
    )


def _initial(
    graph: Graph,
    build: Builder,
    node: Node,
    index: int,
    cells: list[Cell],
    batch: int,
    batch_first: bool,
) -> list[str]:
    """State [B, H] of each direction before the first step."""
    name, hidden = node.input(index), cells[0].hidden
    kind = "state" if index == 5 else "memory"
    if not name:
        zero = np.zeros((batch, hidden), np.float32)
        return [graph.constant(f"{cell.prefix}.{kind}", zero) for cell in cells]
    if batch_first:
        name = build.add("Transpose", [name], f"{node.name}.{kind}", perm=[1, 0, 2])
    parts = build.split(name, [1] * len(cells), 0, [f"{cell.prefix}.{kind}" for cell in cells])
    return [build.reshape(part, [batch, hidden], f"{part}.first") for part in parts]


def _input_parts(
    graph: Graph,
    build: Builder,
    cell: Cell,
    rows: str,
    steps: int,
    batch: int,
    gates: slice,
    bias: Array,
    role: str,
) -> list[str]:
    """x W^T + bias of the gates `gates` for each step, in the order the cell runs through them."""
    weight = graph.constant(f"{cell.prefix}.{role}.weight", cell.weight[gates].copy())
    vector = graph.constant(f"{cell.prefix}.{role}.bias", bias.astype(np.float32))
    product = build.gemm(rows, weight, vector, f"{cell.prefix}.{role}")
    names = [f"{cell.prefix}.{role}.{step}" for step in range(steps)]
    parts = build.split(product, [batch] * steps, 0, names)
    return parts[::-1] if cell.reverse else parts


def _state_weights(
    graph: Graph, cell: Cell, gates: slice, bias: Array, role: str
) -> tuple[str, str]:
    weight = graph.constant(f"{cell.prefix}.{role}.recurrent", cell.recurrent[gates].copy())
    return weight, graph.constant(f"{cell.prefix}.{role}.recurrent_bias", bias.astype(np.float32))


def _run_gru(
    graph: Graph,
    build: Builder,
    cell: Cell,
    rows: str,
    steps: int,
    batch: int,
    state: str,
    memory: str,
) -> tuple[list[str], str]:
    gates, new = cell.rows(0, 2), cell.rows(2, 3)
    before_reset = bool(cell.node.get("linear_before_reset", 0))
    new_bias = cell.bias[new] if before_reset else cell.bias[new] + cell.recurrent_bias[new]
    both = cell.bias[gates] + cell.recurrent_bias[gates]
    x_gates = _input_parts(graph, build, cell, rows, steps, batch, gates, both, "gates")
    x_new = _input_parts(graph, build, cell, rows, steps, batch, new, new_bias, "new")
    zero = np.zeros(2 * cell.hidden)
    r_gates = _state_weights(graph, cell, gates, zero, "gates")
    inner = cell.recurrent_bias[new] if before_reset else np.zeros(cell.hidden)
    r_new = _state_weights(graph, cell, new, inner, "new")
    sizes, states = [cell.hidden] * 2, []
    for step in range(steps):
        p = f"{cell.prefix}.step{step}"
        total = build.add(
            "Add", [x_gates[step], build.gemm(state, *r_gates, f"{p}.gates")], f"{p}.gates_sum"
        )
        opened = build.add(cell.activations[0], [total], f"{p}.gates_open")
        update, reset = build.split(opened, sizes, 1, [f"{p}.update", f"{p}.reset"])
        if before_reset:
            kept = build.add(
                "Mul", [reset, build.gemm(state, *r_new, f"{p}.new")], f"{p}.new_reset"
            )
        else:
            kept = build.gemm(
                build.add("Mul", [reset, state], f"{p}.state_reset"), *r_new, f"{p}.new"
            )
        candidate = build.add(
            cell.activations[1],
            [build.add("Add", [x_new[step], kept], f"{p}.new_sum")],
            f"{p}.candidate",
        )
        change = build.add("Sub", [state, candidate], f"{p}.change")
        held = build.add("Mul", [update, change], f"{p}.held")
        state = build.add("Add", [candidate, held], f"{p}.state")
        states.append(state)
    return states, ""


def _run_lstm(
    graph: Graph,
    build: Builder,
    cell: Cell,
    rows: str,
    steps: int,
    batch: int,
    state: str,
    memory: str,
) -> tuple[list[str], str]:
    bias, zero = cell.bias + cell.recurrent_bias, np.zeros(4 * cell.hidden)
    gates, new = cell.rows(0, 3), cell.rows(3, 4)
    x_gates = _input_parts(graph, build, cell, rows, steps, batch, gates, bias[gates], "gates")
    x_new = _input_parts(graph, build, cell, rows, steps, batch, new, bias[new], "new")
    r_gates = _state_weights(graph, cell, gates, zero[gates], "gates")
    r_new = _state_weights(graph, cell, new, zero[new], "new")
    sizes, states = [cell.hidden] * 3, []
    for step in range(steps):
        p = f"{cell.prefix}.step{step}"
        total = build.add(
            "Add", [x_gates[step], build.gemm(state, *r_gates, f"{p}.gates")], f"{p}.gates_sum"
        )
        opened = build.add(cell.activations[0], [total], f"{p}.gates_open")
        names = [f"{p}.input", f"{p}.output", f"{p}.forget"]
        take, give, forget = build.split(opened, sizes, 1, names)
        summed = build.add(
            "Add", [x_new[step], build.gemm(state, *r_new, f"{p}.new")], f"{p}.new_sum"
        )
        candidate = build.add(cell.activations[1], [summed], f"{p}.candidate")
        old = build.add("Mul", [forget, memory], f"{p}.kept")
        fresh = build.add("Mul", [take, candidate], f"{p}.taken")
        memory = build.add("Add", [old, fresh], f"{p}.memory")
        state = build.add(
            "Mul", [give, build.add(cell.activations[2], [memory], f"{p}.squashed")], f"{p}.state"
        )
        states.append(state)
    return states, memory


def _run_rnn(
    graph: Graph,
    build: Builder,
    cell: Cell,
    rows: str,
    steps: int,
    batch: int,
    state: str,
    memory: str,
) -> tuple[list[str], str]:
    everything = cell.rows(0, 1)
    bias = cell.bias + cell.recurrent_bias
    x_new = _input_parts(graph, build, cell, rows, steps, batch, everything, bias, "new")
    recurrent = _state_weights(graph, cell, everything, np.zeros(cell.hidden), "new")
    states = []
    for step in range(steps):
        p = f"{cell.prefix}.step{step}"
        total = build.add(
            "Add", [x_new[step], build.gemm(state, *recurrent, f"{p}.new")], f"{p}.new_sum"
        )
        state = build.add(cell.activations[0], [total], f"{p}.state")
        states.append(state)
    return states, ""


_RUNS = {"GRU": _run_gru, "LSTM": _run_lstm, "RNN": _run_rnn}


def _outputs(
    build: Builder,
    node: Node,
    sequences: list[list[str]],
    last: list[str],
    memories: list[str],
    sizes: tuple[int, int, int],
    batch_first: bool,
) -> None:
    """Y [T, D, B, H], Y_h and Y_c [D, B, H] (batch first: [B, T, D, H] and [B, D, H]) as far as they are asked for."""
    steps, batch, hidden = sizes
    for index, pieces in enumerate([None, last, memories]):
        if index >= len(node.outputs) or not node.outputs[index]:
            continue
        target = node.outputs[index]
        if pieces is None:
            parts = [
                build.reshape(
                    _joined(build, states, f"{target}.rows"),
                    [steps, 1, batch, hidden],
                    f"{target}.part",
                )
                for states in sequences
            ]
            axis, perm = 1, [2, 0, 1, 3]
        else:
            parts = [build.reshape(piece, [1, batch, hidden], f"{target}.part") for piece in pieces]
            axis, perm = 0, [1, 0, 2]
        whole = (
            parts[0] if len(parts) == 1 else build.add("Concat", parts, f"{target}.all", axis=axis)
        )
        op, attributes = ("Transpose", {"perm": perm}) if batch_first else ("Identity", {})
        final = make_node(op, [whole], [target], "", node.scope, **attributes)
        build.graph.add(final)


def _joined(build: Builder, states: list[str], name: str) -> str:
    return states[0] if len(states) == 1 else build.add("Concat", states, name, axis=0)
