"""`TensorSpec`s and metadata of a file: TFLite by our own parser, ONNX by onnxruntime's session."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Dict, List, Optional, Sequence, Tuple

from .artifact import METADATA_KEY, FileMetadata, TensorSpec
from .errors import InputError
from .onnx_wire import border_quantization
from .tflite_model import TfliteModel, TfliteTensor

OUTPUT_LAYOUTS = "output_layouts"
"""Key of `FileMetadata.extra` that holds the layouts of the outputs, separated by commas."""

_ONNX_DTYPES = {
    "float": "float32",
    "double": "float64",
    "float16": "float16",
    "bfloat16": "bfloat16",
    "bool": "bool",
    "string": "string",
}


def tflite_specs(model: TfliteModel) -> Dict[str, Any]:
    """`inputs`, `outputs`, `metadata` of a parsed file, as `artifact.describe` takes them."""
    text = model.metadata.get(METADATA_KEY)
    metadata = FileMetadata()
    if text is not None:
        metadata = FileMetadata.loads(text.rstrip(b"\0").decode("utf-8", errors="replace"))
    tensors = model.main.tensors
    names = _signature_names(model)
    inputs = [_tflite_spec(tensors[index], names) for index in model.main.inputs]
    outputs = [_tflite_spec(tensors[index], names) for index in model.main.outputs]
    return _with_layouts(inputs, outputs, metadata)


def _signature_names(model: TfliteModel) -> Dict[int, str]:
    """Tensor index -> the name that callers use, where exactly one signature names it."""
    names: Dict[int, str] = {}
    signatures = [s for s in model.signatures if s.subgraph == 0]
    if len(signatures) == 1:
        for group in (signatures[0].inputs, signatures[0].outputs):
            for name, index in group.items():
                names.setdefault(index, name)
    return names


def _tflite_spec(tensor: TfliteTensor, names: Dict[int, str]) -> TensorSpec:
    scale: Optional[float] = None
    zero_point: Optional[int] = None
    quantization = tensor.quantization
    if quantization is not None and len(quantization.scale) == 1 and quantization.scale[0] > 0:
        scale, zero_point = quantization.scale[0], quantization.zero_point[0]
    name = names.get(tensor.index) or tensor.name
    return TensorSpec(name, tensor.shape_signature, tensor.dtype, scale, zero_point)


def onnx_specs(session: Any, data: bytes) -> Dict[str, Any]:
    """`inputs`, `outputs`, `metadata` of the model in an onnxruntime session; `data` is the file."""
    text = session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
    metadata = FileMetadata.loads(text) if text else FileMetadata()
    scales = border_quantization(data)
    inputs = [_onnx_spec(node, scales) for node in session.get_inputs()]
    outputs = [_onnx_spec(node, scales) for node in session.get_outputs()]
    return _with_layouts(inputs, outputs, metadata)


def _onnx_spec(node: Any, scales: Dict[str, Tuple[float, int]]) -> TensorSpec:
    if not node.type.startswith("tensor("):
        raise InputError(
            f"'{node.name}' is a {node.type}, not a tensor",
            hint="export the model with tensors only",
        )
    kind = node.type[len("tensor(") : -1]
    shape = tuple(n if isinstance(n, int) and n >= 0 else -1 for n in node.shape)
    scale, zero_point = scales.get(node.name, (None, None))
    return TensorSpec(node.name, shape, _ONNX_DTYPES.get(kind, kind), scale, zero_point)


def _with_layouts(
    inputs: List[TensorSpec], outputs: List[TensorSpec], metadata: FileMetadata
) -> Dict[str, Any]:
    stored = metadata.extra.get(OUTPUT_LAYOUTS, "")
    return {
        "inputs": _add_layouts(inputs, metadata.input_layouts),
        "outputs": _add_layouts(outputs, stored.split(",") if stored else ()),
        "metadata": metadata,
    }


def _add_layouts(specs: List[TensorSpec], layouts: Sequence[str]) -> List[TensorSpec]:
    """Layout names by position; one that does not fit the rank says nothing about the axes."""
    found = []
    for position, spec in enumerate(specs):
        layout = layouts[position] if position < len(layouts) else ""
        found.append(replace(spec, layout=layout if len(layout) == len(spec.shape) else ""))
    return found
