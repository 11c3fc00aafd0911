"""Grouped convolutions: `fuse_groups` made them one operator, one kernel call gathers and multiplies group by group."""

from __future__ import annotations

import numpy as np

from ..tflite.ir import LiteOperator
from .builder import Builder, size_of
from .fuse_groups import GROUPED_CONV
from .ops_layers import product, weights_of, window_fields
from .program import Fields


def grouped_conv(builder: Builder, operator: LiteOperator) -> None:
    """Lower EpGroupedConv, weights [O, H, W, C / groups]: one group's outputs behind the other's."""
    x, y = operator.inputs[0], operator.outputs[0]
    groups, layout = int(operator.options["groups"]), builder.layout
    weights = weights_of(builder, operator)
    window = window_fields(builder, operator, x, y, (weights.shape[1], weights.shape[2]))
    window["channels"] //= groups
    if weights.shape[3] != window["channels"]:
        raise builder.unsupported(operator, "weights of other channels")
    matrix = weights.reshape(len(weights), -1)
    suffix, gemm = product(builder, operator, matrix, groups=groups)
    steps = {"weights_step": matrix.size // groups, "outputs_step": gemm["outputs"]}
    arguments: Fields = {"window": window, "gemm": gemm}
    most, width = layout.float_rows, 4
    if suffix == "s8":
        arguments["pad_value"] = builder.zero(x)
        one = np.zeros((gemm["outputs"], gemm["depth"]), np.int8)
        steps = {
            "weights_step": layout.matrix(one).size,
            "outputs_step": layout.vector(one[:, 0]).size,
        }
        most, width = layout.rows, 1
    row = gemm["depth"] + gemm["outputs"]
    rows = _rows(size_of(builder.tensor(x).shape), size_of(builder.tensor(y).shape), row)
    rows = min(rows, most, window["out_w"])
    arguments |= {"groups": groups, "rows": rows, **steps}
    builder.call(
        operator,
        f"ep_grouped_conv_{suffix}",
        f"ep_grouped_conv_{suffix}.h",
        f"ep_grouped_conv_{suffix}_args",
        arguments,
        [builder.read(x)],
        [builder.write(y)],
        scratch=rows * row * width,
        scratch_type="int8_t" if suffix == "s8" else "float",
    )


def _rows(read: int, written: int, row: int) -> int:
    """Rows to gather at once: with them, what is read and what is written should need no more than parts would.

    Copied parts need twice the larger of both. Where both are the same, rows are a sixteenth of them.
    """
    return int(max(max(abs(read - written), (read + written) // 16) // row, 1))


LOWERINGS = {GROUPED_CONV: grouped_conv}
