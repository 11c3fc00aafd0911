"""Feed a session real numbers in ONNX's axis order, whatever dtype and axes its file has.

`real = scale * (stored - zero_point)`. Storing rounds half to even and clips, as QuantizeLinear
does. Channels move from axis 1 to the end where the file's layout says so ("NHWC", "NLC").
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, List, Optional, Sequence

import numpy as np

from .artifact import TensorSpec
from .errors import InputError

if TYPE_CHECKING:
    from .session import Session

    Array = np.ndarray[Any, Any]


def run_real(
    session: Session,
    values: Sequence[Array],
    run: Optional[Callable[[Sequence[Array]], List[Array]]] = None,
) -> List[Array]:
    """Real outputs for real inputs, both in ONNX's axis order (batch first, channels on axis 1).

    A file without our metadata names no layouts: its axes are taken as they are. Integer values
    for an integer input are taken as stored already. `run` computes in place of `session.run`:
    `NativeSession.step` goes on with a stream.

    Raises:
        InputError: wrong number of inputs or shape, NaN for an integer input, or the engine fails.
    """
    specs, where = session.artifact.inputs, str(session.artifact.path)
    if len(values) != len(specs):
        raise InputError(f"takes {len(specs)} inputs, got {len(values)}", where=where)
    stored = [to_stored(spec, np.asarray(v), where) for spec, v in zip(specs, values)]
    found = (run or session.run)(stored)
    return [to_real(spec, value) for spec, value in zip(session.artifact.outputs, found)]


def to_stored(spec: TensorSpec, value: Array, where: str = "") -> Array:
    """A real value in ONNX's axis order as the file's input holds it."""
    if channels_last(spec) and value.ndim == len(spec.shape):
        value = np.moveaxis(value, 1, -1)
    dtype = np.dtype(spec.dtype)
    if value.dtype == dtype or dtype.kind not in "iu":
        return np.ascontiguousarray(value, dtype)
    if value.dtype.kind in "iub" and spec.scale is None:
        return _as_integers(spec, value, dtype, where)
    if not np.isfinite(value).all():
        raise InputError(f"input '{spec.name}' holds NaN or infinity", where=where)
    if spec.scale is None:
        return _as_integers(spec, value, dtype, where)
    return quantize(value, spec.scale, spec.zero_point or 0, dtype)


def quantize(value: Array, scale: float, zero_point: int, dtype: Any) -> Array:
    """`clip(round(value / scale) + zero_point)`, float32 arithmetic, halves to even."""
    limits = np.iinfo(dtype)
    steps = np.rint(value.astype(np.float32) / np.float32(scale)) + np.float32(zero_point)
    result: Array = np.clip(steps, limits.min, limits.max).astype(dtype)
    return result


def _as_integers(spec: TensorSpec, value: Array, dtype: Any, where: str) -> Array:
    """Whole numbers as they are: the input has no scale."""
    with np.errstate(invalid="ignore"):
        cast: Array = value.astype(dtype)
    if not np.array_equal(cast, value):
        raise InputError(
            f"input '{spec.name}' takes {spec.dtype} and has no scale; "
            "the values are not whole numbers in its range",
            where=where,
        )
    return cast


def to_real(spec: TensorSpec, value: Array) -> Array:
    """An output as the file holds it as real numbers in ONNX's axis order.

    Quantized integers and float16 become float32; other types stay.
    """
    if spec.scale is not None and value.dtype.kind in "iu":
        zero_point = np.float32(spec.zero_point or 0)
        value = (value.astype(np.float32) - zero_point) * np.float32(spec.scale)
    elif value.dtype == np.float16:
        value = value.astype(np.float32)
    if channels_last(spec) and value.ndim == len(spec.shape):
        value = np.moveaxis(value, -1, 1)
    return np.ascontiguousarray(value).reshape(value.shape)


def channels_last(spec: TensorSpec) -> bool:
    """True if the layout says that channels, which ONNX has on axis 1, lie last."""
    return len(spec.layout) >= 3 and spec.layout.startswith("N") and spec.layout.endswith("C")
