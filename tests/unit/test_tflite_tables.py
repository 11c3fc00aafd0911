"""The declared TFLite tables against LiteRT's own schema bindings."""

from __future__ import annotations

import inspect
import re
from typing import Any

import pytest
from edgepress.runtime.tflite_operators import (
    OPERATOR_CODES,
    OPERATOR_NAMES,
    OPERATOR_OPTIONS,
    OPTIONS_UNION,
    OPTIONS_UNION_2,
)
from edgepress.runtime.tflite_tables import ENUMS, TABLES, UNIONS

bindings: Any = pytest.importorskip("ai_edge_litert.schema_py_generated")

ENUM_IN_BINDINGS = {
    "TensorType": "TensorType",
    "Activation": "ActivationFunctionType",
    "Padding": "Padding",
    "WeightsFormat": "FullyConnectedOptionsWeightsFormat",
    "LSTMKernel": "LSTMKernelType",
    "MirrorPadMode": "MirrorPadMode",
    "Combiner": "CombinerType",
    "LSHProjection": "LSHProjectionType",
    "CustomOptionsFormat": "CustomOptionsFormat",
    "DimensionType": "DimensionType",
    "ReduceWindow": "ReduceWindowFunction",
}
WIDTH = {"bool": "Bool", "int": "Int32", "uint": "Uint32", "long": "Int64", "ulong": "Uint64"}
WIDTH |= {"float": "Float32", "byte": "Int8", "union": "Uint8"}
NEWER_THAN_ANY_READER_NEEDS = {  # fields that our rooms neither read nor write
    "Model": {"external_buffer_groups", "external_buffers"},
    "SubGraph": {"debug_metadata_index"},
    "Tensor": {"variant_tensors", "external_buffer"},
    "Operator": {"debug_metadata_index"},
    "FullyConnectedOptions": {"quant_spec"},
    "DimensionMetadata": {
        "array_segments_type",
        "array_segments",
        "array_indices_type",
        "array_indices",
    },
}


def _members(name: str) -> tuple[str, ...]:
    values = {
        value: key
        for key, value in vars(getattr(bindings, name)).items()
        if not key.startswith("_") and isinstance(value, int)
    }
    assert sorted(values) == list(range(len(values)))
    return tuple(values[code] for code in range(len(values)))


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _declared_slots() -> dict[str, dict[int, tuple[str, str, str]]]:
    pattern = (
        r"^def (\w+?)Add(\w+)\(builder, (\w+)\):\n\s+builder\.Prepend(\w+)Slot\((\d+), .*, (.*)\)$"
    )
    found: dict[str, dict[int, tuple[str, str, str]]] = {}
    for table, _, field, kind, slot, default in re.findall(
        pattern, inspect.getsource(bindings), re.M
    ):
        found.setdefault(table, {})[int(slot)] = (_snake(field), kind, default)
    return found


@pytest.mark.parametrize("name", sorted(ENUMS))
def test_enumerations_have_the_schemas_members_in_order(name: str) -> None:
    assert ENUMS[name] == _members(ENUM_IN_BINDINGS[name])


def test_operator_codes_and_unions_are_the_schemas() -> None:
    assert _members("BuiltinOperator") == OPERATOR_NAMES
    assert _members("BuiltinOptions") == OPTIONS_UNION
    assert _members("BuiltinOptions2") == OPTIONS_UNION_2
    assert UNIONS["QuantizationParameters.details"] == _members("QuantizationDetails")
    assert OPERATOR_CODES["CONV_2D"] == 3
    assert OPERATOR_CODES["CUSTOM"] == 32


@pytest.mark.parametrize("table", sorted(TABLES))
def test_every_declared_table_has_the_schemas_slots_types_and_defaults(table: str) -> None:
    theirs = _declared_slots().get(table, {})
    known = NEWER_THAN_ANY_READER_NEEDS.get(table, set())
    ours = {field.slot: field for field in TABLES[table]}
    missing = {slot for slot, (name, _, _) in theirs.items() if name not in known}
    assert missing == set(ours)
    for slot, field in ours.items():
        name, kind, default = theirs[slot]
        assert field.name.replace("_", "") == name.replace("_", "")
        if field.type in ENUMS:
            assert kind == ("Int32" if field.type == "ReduceWindow" else "Int8")
            assert ENUMS[field.type].index(str(field.default)) == int(default)
        elif kind == "UOffsetTRelative":
            assert field.type in ("string", "table") or field.type in TABLES or "[" in field.type
        else:
            assert WIDTH[field.type] == kind
            assert float(field.default or 0) == float(default)


def test_all_options_tables_but_stablehlo_are_declared() -> None:
    undeclared = [name for name in OPTIONS_UNION[1:] + OPTIONS_UNION_2[1:] if name not in TABLES]
    assert all(name.lower().startswith("stablehlo") for name in undeclared)


@pytest.mark.parametrize(
    ("operator", "table"),
    [
        ("CONV_2D", "Conv2DOptions"),
        ("DEPTHWISE_CONV_2D", "DepthwiseConv2DOptions"),
        ("MEAN", "ReducerOptions"),
        ("MAX_POOL_2D", "Pool2DOptions"),
        ("BATCH_TO_SPACE_ND", "BatchToSpaceNDOptions"),
        ("MINIMUM", "MaximumMinimumOptions"),
        ("PADV2", "PadV2Options"),
        ("UNIDIRECTIONAL_SEQUENCE_RNN", "SequenceRNNOptions"),
        ("ATAN2", "ATan2Options"),
        ("DILATE", "DilateOptions"),
    ],
)
def test_operator_carries_its_options_table(operator: str, table: str) -> None:
    assert OPERATOR_OPTIONS[operator] == table


@pytest.mark.parametrize("operator", ["RELU", "TANH", "LOGISTIC", "PRELU", "CUSTOM", "FLOOR"])
def test_operators_without_options(operator: str) -> None:
    assert operator not in OPERATOR_OPTIONS
