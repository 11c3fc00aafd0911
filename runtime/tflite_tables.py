"""TFLite's flatbuffer tables, declared once as data: the parser reads by them, the writer writes by them.

Names, order and defaults are those of the public TFLite schema (tensorflow/lite/schema/schema.fbs).
A field's position is its vtable slot; "-" holds the slot of a retired field. `a:int=1` is field a
of type int with default 1. Types: bool, int (32 bit), uint, long (64 bit), ulong, float, string,
the name of an enumeration (ENUMS), the name of a table, [T] for a vector of T. A field called
`x_type` of type `union` selects the table that field `x` points to.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict, Tuple, Union

from .tflite_operators import OPTIONS_UNION, OPTIONS_UNION_2

FILE_IDENTIFIER = b"TFL3"
SCHEMA_VERSION = 3


def _words(text: str) -> Tuple[str, ...]:
    return tuple(text.split())


ENUMS: Dict[str, Tuple[str, ...]] = {
    "TensorType": _words(
        """FLOAT32 FLOAT16 INT32 UINT8 INT64 STRING BOOL INT16 COMPLEX64 INT8 FLOAT64 COMPLEX128
        UINT64 RESOURCE VARIANT UINT32 UINT16 INT4 BFLOAT16 INT2 UINT4 FLOAT8_E4M3FN
        FLOAT8_E5M2"""
    ),
    "Activation": ("NONE", "RELU", "RELU_N1_TO_1", "RELU6", "TANH", "SIGN_BIT"),
    "Padding": ("SAME", "VALID"),
    "WeightsFormat": ("DEFAULT", "SHUFFLED4x16INT8"),
    "LSTMKernel": ("FULL", "BASIC"),
    "MirrorPadMode": ("REFLECT", "SYMMETRIC"),
    "Combiner": ("SUM", "MEAN", "SQRTN"),
    "LSHProjection": ("UNKNOWN", "SPARSE", "DENSE"),
    "CustomOptionsFormat": ("FLEXBUFFERS",),
    "DimensionType": ("DENSE", "SPARSE_CSR"),
    "ReduceWindow": ("UNSUPPORTED", "ADD", "MUL", "MINIMUM", "MAXIMUM", "ALL", "ANY"),
}
"""Member names by value; all are stored in 8 bits except ReduceWindow (32)."""

WIDE_ENUMS = ("ReduceWindow",)

UNIONS: Dict[str, Tuple[str, ...]] = {
    "Operator.builtin_options": OPTIONS_UNION,
    "Operator.builtin_options_2": OPTIONS_UNION_2,
    "QuantizationParameters.details": (
        "NONE",
        "CustomQuantization",
        "BlockwiseQuantization",
        "MultiAxisQuantization",
    ),
}
"""Table selected by the value of a union's `_type` field."""

_TEXT: Dict[str, str] = {
    # structure of a file
    "Model": "version:uint operator_codes:[OperatorCode] subgraphs:[SubGraph] description:string"
    " buffers:[Buffer] metadata_buffer:[int] metadata:[Metadata] signature_defs:[SignatureDef]",
    "OperatorCode": "deprecated_builtin_code:byte custom_code:string version:int=1 builtin_code:int",
    "SubGraph": "tensors:[Tensor] inputs:[int] outputs:[int] operators:[Operator] name:string",
    "Tensor": "shape:[int] type:TensorType buffer:uint name:string"
    " quantization:QuantizationParameters is_variable:bool sparsity:SparsityParameters"
    " shape_signature:[int] has_rank:bool",
    "QuantizationParameters": "min:[float] max:[float] scale:[float] zero_point:[long]"
    " details_type:union details:table quantized_dimension:int",
    "BlockwiseQuantization": "scales:int zero_points:int block_size:int block_shape:[int]",
    "SparsityParameters": "traversal_order:[int] block_map:[int] dim_metadata:[DimensionMetadata]",
    "DimensionMetadata": "format:DimensionType dense_size:int",
    "Operator": "opcode_index:uint inputs:[int] outputs:[int] builtin_options_type:union"
    " builtin_options:table custom_options:[ubyte] custom_options_format:CustomOptionsFormat"
    " mutating_variable_inputs:[bool] intermediates:[int] large_custom_options_offset:ulong"
    " large_custom_options_size:ulong builtin_options_2_type:union builtin_options_2:table",
    "Buffer": "data:[ubyte] offset:ulong size:ulong",
    "Metadata": "name:string buffer:uint",
    "TensorMap": "name:string tensor_index:uint",
    "SignatureDef": "inputs:[TensorMap] outputs:[TensorMap] signature_key:string - subgraph_index:uint",
    # options of operators
    "AddOptions": "fused_activation_function:Activation pot_scale_int16:bool=1",
    "ArgMaxOptions": "output_type:TensorType",
    "ArgMinOptions": "output_type:TensorType",
    "BatchMatMulOptions": "adj_x:bool adj_y:bool asymmetric_quantize_inputs:bool",
    "BidirectionalSequenceLSTMOptions": "fused_activation_function:Activation cell_clip:float"
    " proj_clip:float merge_outputs:bool time_major:bool=1 asymmetric_quantize_inputs:bool",
    "BidirectionalSequenceRNNOptions": "time_major:bool fused_activation_function:Activation"
    " merge_outputs:bool asymmetric_quantize_inputs:bool",
    "BucketizeOptions": "boundaries:[float]",
    "CallOnceOptions": "init_subgraph_index:int",
    "CallOptions": "subgraph:uint",
    "CastOptions": "in_data_type:TensorType out_data_type:TensorType",
    "ConcatEmbeddingsOptions": "num_channels:int num_columns_per_channel:[int]"
    " embedding_dim_per_channel:[int]",
    "ConcatenationOptions": "axis:int fused_activation_function:Activation",
    "Conv2DOptions": "padding:Padding stride_w:int stride_h:int"
    " fused_activation_function:Activation dilation_w_factor:int=1 dilation_h_factor:int=1"
    " quantized_bias_type:TensorType",
    "Conv3DOptions": "padding:Padding stride_d:int stride_w:int stride_h:int"
    " fused_activation_function:Activation dilation_d_factor:int=1 dilation_w_factor:int=1"
    " dilation_h_factor:int=1",
    "CumsumOptions": "exclusive:bool reverse:bool",
    "DepthToSpaceOptions": "block_size:int",
    "DepthwiseConv2DOptions": "padding:Padding stride_w:int stride_h:int depth_multiplier:int"
    " fused_activation_function:Activation dilation_w_factor:int=1 dilation_h_factor:int=1",
    "DivOptions": "fused_activation_function:Activation",
    "EmbeddingLookupSparseOptions": "combiner:Combiner",
    "FakeQuantOptions": "min:float max:float num_bits:int narrow_range:bool",
    "FullyConnectedOptions": "fused_activation_function:Activation weights_format:WeightsFormat"
    " keep_num_dims:bool asymmetric_quantize_inputs:bool quantized_bias_type:TensorType",
    "GatherOptions": "axis:int batch_dims:int",
    "GeluOptions": "approximate:bool",
    "HashtableOptions": "table_id:int key_dtype:TensorType value_dtype:TensorType",
    "IfOptions": "then_subgraph_index:int else_subgraph_index:int",
    "L2NormOptions": "fused_activation_function:Activation",
    "LSHProjectionOptions": "type:LSHProjection",
    "LSTMOptions": "fused_activation_function:Activation cell_clip:float proj_clip:float"
    " kernel_type:LSTMKernel asymmetric_quantize_inputs:bool",
    "LeakyReluOptions": "alpha:float",
    "LocalResponseNormalizationOptions": "radius:int bias:float alpha:float beta:float",
    "MirrorPadOptions": "mode:MirrorPadMode",
    "MulOptions": "fused_activation_function:Activation",
    "OneHotOptions": "axis:int",
    "PackOptions": "values_count:int axis:int",
    "Pool2DOptions": "padding:Padding stride_w:int stride_h:int filter_width:int"
    " filter_height:int fused_activation_function:Activation",
    "RNNOptions": "fused_activation_function:Activation asymmetric_quantize_inputs:bool",
    "RandomOptions": "seed:long seed2:long",
    "ReduceWindowOptions": "reduce_function:ReduceWindow",
    "ReducerOptions": "keep_dims:bool",
    "ReshapeOptions": "new_shape:[int]",
    "ResizeBilinearOptions": "- - align_corners:bool half_pixel_centers:bool",
    "ResizeNearestNeighborOptions": "align_corners:bool half_pixel_centers:bool",
    "ReverseSequenceOptions": "seq_dim:int batch_dim:int",
    "SVDFOptions": "rank:int fused_activation_function:Activation asymmetric_quantize_inputs:bool",
    "SequenceRNNOptions": "time_major:bool fused_activation_function:Activation"
    " asymmetric_quantize_inputs:bool",
    "ShapeOptions": "out_type:TensorType",
    "SkipGramOptions": "ngram_size:int max_skip_size:int include_all_ngrams:bool",
    "SoftmaxOptions": "beta:float",
    "SpaceToDepthOptions": "block_size:int",
    "SparseToDenseOptions": "validate_indices:bool",
    "SplitOptions": "num_splits:int",
    "SplitVOptions": "num_splits:int",
    "SqueezeOptions": "squeeze_dims:[int]",
    "StridedSliceOptions": "begin_mask:int end_mask:int ellipsis_mask:int new_axis_mask:int"
    " shrink_axis_mask:int offset:bool",
    "SubOptions": "fused_activation_function:Activation pot_scale_int16:bool=1",
    "TransposeConvOptions": "padding:Padding stride_w:int stride_h:int"
    " fused_activation_function:Activation quantized_bias_type:TensorType",
    "UnidirectionalSequenceLSTMOptions": "fused_activation_function:Activation cell_clip:float"
    " proj_clip:float time_major:bool asymmetric_quantize_inputs:bool"
    " diagonal_recurrent_tensors:bool",
    "UniqueOptions": "idx_out_type:TensorType=INT32",
    "UnpackOptions": "num:int axis:int",
    "VarHandleOptions": "container:string shared_name:string",
    "WhileOptions": "cond_subgraph_index:int body_subgraph_index:int",
}


@dataclass(frozen=True)
class Field:
    """One field of a table. `slot` is its vtable index; enumerations have their default by name."""

    name: str
    type: str
    default: Union[bool, int, float, str, None]
    slot: int


def _default(kind: str, text: str) -> Union[bool, int, float, str, None]:
    if kind in ENUMS:
        return text or ENUMS[kind][0]
    if kind == "bool":
        return text == "1"
    if kind == "float":
        return float(text or 0)
    if kind in ("byte", "int", "uint", "long", "ulong", "union"):
        return int(text or 0)
    return None


def _fields(text: str) -> Tuple[Field, ...]:
    fields = []
    for slot, word in enumerate(text.split()):
        if word != "-":
            name, _, declared = word.partition(":")
            kind, _, default = declared.partition("=")
            fields.append(Field(name, kind, _default(kind, default), slot))
    return tuple(fields)


def _declare() -> Dict[str, Tuple[Field, ...]]:
    tables = {name: _fields(text) for name, text in _TEXT.items()}
    for name in OPTIONS_UNION[1:] + ("DilateOptions",):
        tables.setdefault(name, ())  # a table without fields
    return tables


TABLES: Dict[str, Tuple[Field, ...]] = _declare()
"""Fields of every declared table in slot order. StableHLO options and rare details are not declared."""
