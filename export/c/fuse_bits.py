"""What stands around convolutions of packed signs becomes part of them: pads, slices, quantization.

    PAD of words 0 (that is +1), LceBconv2d VALID      -> borders of +1
    PAD behind, LceBconv2d SAME with 0, SLICE          -> borders of 0, fewer outputs: those that see no pad
    LceBconv2d SAME with 0, STRIDED_SLICE              -> a larger stride
    LceBconv2d to float, QUANTIZE                      -> to int8

A fused operator has the options "pads" (above, left) and "rounding" ("even": as QUANTIZE rounds).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from ..tflite.ir import LiteModel, LiteOperator
from ..tflite.window import same_pads

CONVOLUTION = "LceBconv2d"
SAME, VALID = 0, 1


def fuse(model: LiteModel) -> LiteModel:
    """`model` with fewer operators; itself where it has no packed convolutions."""
    if not any(op.custom_code == CONVOLUTION for op in model.operators):
        return model
    return _Fuser(model).run()


@dataclass
class _Fuser:
    model: LiteModel

    def run(self) -> LiteModel:
        self.kept: list[LiteOperator | None] = list(self.model.operators)
        for number, operator in enumerate(self.model.operators):
            if operator.custom_code == CONVOLUTION:
                self._fuse(number, operator)
        return replace(self.model, operators=[op for op in self.kept if op is not None])

    def _fuse(self, number: int, operator: LiteOperator) -> None:
        maker = self._maker(operator.inputs[0])
        reader = self._reader(operator.outputs[0])
        gone: list[int] = []
        pads = None if maker is None else self._pads(self.kept[maker])
        cut = None if reader is None else self.kept[reader]
        if pads is not None and maker is not None and operator.options["padding"] == VALID:
            operator = self._with(operator, x=self._source(maker), pads=pads[:2], pad_values=1)
            gone.append(maker)
        elif cut is not None and reader is not None and self._zero_borders(operator):
            made = self._cut(operator, pads, maker, cut)
            if made is not None:
                operator = made
                gone += [reader, *([maker] if pads is not None and maker is not None else [])]
        reader = self._reader(operator.outputs[0])
        last = None if reader is None else self.kept[reader]
        if last is not None and reader is not None and self._quantizes(operator, last):
            options = {**operator.options, "rounding": "even"}
            operator = replace(operator, outputs=last.outputs, options=options)
            gone.append(reader)
        if gone:
            for index in gone:
                self.kept[index] = None
            self.kept[number] = operator

    # --- neighbours ------------------------------------------------------------------------------

    def _maker(self, index: int) -> int | None:
        """The operator that makes a tensor nobody else reads."""
        makers = [n for n, op in enumerate(self.kept) if op is not None and index in op.outputs]
        return makers[0] if len(makers) == 1 and len(self._readers(index)) == 1 else None

    def _reader(self, index: int) -> int | None:
        """The only operator that reads a tensor."""
        readers = self._readers(index)
        return readers[0] if len(readers) == 1 and index not in self.model.outputs else None

    def _readers(self, index: int) -> list[int]:
        return [n for n, op in enumerate(self.kept) if op is not None and index in op.inputs]

    def _source(self, number: int) -> int:
        maker = self.kept[number]
        assert maker is not None  # noqa: S101
        return maker.inputs[0]

    def _shape(self, index: int) -> tuple[int, ...]:
        return tuple(self.model.tensors[index].shape)

    def _numbers(self, index: int) -> list[int] | None:
        data = self.model.tensors[index].data
        return None if data is None else [int(n) for n in data.reshape(-1)]

    # --- pads and slices -------------------------------------------------------------------------

    def _pads(self, operator: LiteOperator | None) -> tuple[int, int, int, int] | None:
        """(above, left, below, right) of a PAD of images with words 0; None for anything else."""
        if operator is None or operator.code != "PAD":
            return None
        numbers = self._numbers(operator.inputs[1])
        if numbers is None or len(numbers) != 8 or numbers[:2] != [0, 0] or numbers[6:] != [0, 0]:
            return None
        return numbers[2], numbers[4], numbers[3], numbers[5]

    def _zero_borders(self, operator: LiteOperator) -> bool:
        return operator.options["padding"] == SAME and not operator.options["pad_values"]

    def _cut(
        self, operator: LiteOperator, pads: Any, maker: int | None, cut: LiteOperator
    ) -> LiteOperator | None:
        """The convolution of the outputs that a slice keeps; None where it keeps others."""
        every = self._steps(cut)
        if every is None or (pads is not None and any(pads[:2])):
            return None
        image, filters = self._shape(operator.inputs[0]), self._shape(operator.inputs[1])
        stride = [int(operator.options[f"stride_{axis}"]) for axis in ("height", "width")]
        dilation = [
            int(operator.options[f"dilation_{axis}_factor"]) for axis in ("height", "width")
        ]
        reach = [(filters[1 + i] - 1) * dilation[i] + 1 for i in (0, 1)]
        above, left = (same_pads(image[1 + i], reach[i], stride[i])[0] for i in (0, 1))
        x = operator.inputs[0] if pads is None or maker is None else self._source(maker)
        made = self._with(operator, x=x, pads=(above, left), pad_values=0)
        options = {
            **made.options,
            "stride_height": stride[0] * every[0],
            "stride_width": stride[1] * every[1],
        }
        return replace(made, outputs=cut.outputs, options=options)

    def _steps(self, operator: LiteOperator) -> tuple[int, int] | None:
        """Every how many rows and columns a slice from the first on keeps."""
        if operator.code not in ("SLICE", "STRIDED_SLICE"):
            return None
        begin = self._numbers(operator.inputs[1])
        before, after = self._shape(operator.inputs[0]), self._shape(operator.outputs[0])
        whole = len(before) == len(after) == 4 and (before[0], before[3]) == (after[0], after[3])
        if begin is None or any(begin) or not whole:
            return None
        if operator.code == "SLICE":
            return 1, 1
        strides = self._numbers(operator.inputs[3])
        if strides is None or (strides[0], strides[3]) != (1, 1) or min(strides) < 1:
            return None
        return strides[1], strides[2]

    def _with(
        self, operator: LiteOperator, *, x: int, pads: tuple[int, int], pad_values: int
    ) -> LiteOperator:
        options = {**operator.options, "pads": pads, "pad_values": pad_values}
        return replace(operator, inputs=(x, *operator.inputs[1:]), options=options)

    def _quantizes(self, operator: LiteOperator, reader: LiteOperator) -> bool:
        real, stored = (self.model.tensors[o.outputs[0]].dtype for o in (operator, reader))
        return reader.code == "QUANTIZE" and real == "float32" and stored == "int8"
