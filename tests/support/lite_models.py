"""Small LiteModels that several tests write, judge and run."""

from __future__ import annotations

import numpy as np
from edgepress.export.tflite.ir import LiteModel, LiteOperator, LiteQuantization, LiteTensor


def conv_model(channels: int = 5, seed: int = 0) -> LiteModel:
    """int8 CONV_2D 3x3 + RELU with per-channel weights, then RESHAPE: constants of three types."""
    rng = np.random.default_rng(seed)
    model = LiteModel(metadata={"edgepress": b'{"a":1}'})
    scales = tuple(rng.uniform(0.01, 0.1, channels).astype(np.float32).tolist())
    zeros = (0,) * channels
    q_in, q_out = LiteQuantization((0.5,), (-3,)), LiteQuantization((2.5,), (-50,))
    bias_scale = tuple(float(np.float32(np.float32(0.5) * np.float32(s))) for s in scales)
    weights = rng.integers(-127, 128, (channels, 3, 3, 2), dtype=np.int8)
    bias = rng.integers(-500, 500, channels, dtype=np.int32)
    x = model.add_tensor(LiteTensor("x", (1, 6, 6, 2), "int8", quantization=q_in))
    w = model.add_tensor(LiteTensor("w", (), "int8", weights, LiteQuantization(scales, zeros, 0)))
    b = model.add_tensor(LiteTensor("b", (), "int32", bias, LiteQuantization(bias_scale, zeros, 0)))
    y = model.add_tensor(LiteTensor("y", (1, 6, 6, channels), "int8", quantization=q_out))
    to = np.array([1, 36 * channels], np.int32)
    shape = model.add_tensor(LiteTensor("to", (), "int32", to))
    z = model.add_tensor(LiteTensor("z", (1, 36 * channels), "int8", quantization=q_out))
    conv = {"padding": "SAME", "stride_w": 1, "stride_h": 1, "fused_activation_function": "RELU"}
    model.operators += [
        LiteOperator("CONV_2D", (x, w, b), (y,), conv, 3),
        LiteOperator("RESHAPE", (y, shape), (z,), {"new_shape": (1, 36 * channels)}),
    ]
    model.inputs, model.outputs = [x], [z]
    model.input_names, model.output_names = ["image"], ["scores"]
    return model
