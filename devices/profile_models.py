"""What a device profile may say, as pydantic models. Import this module inside functions."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictFloat, StrictInt, StrictStr

_Number = Annotated[StrictInt | StrictFloat, Field(ge=0, allow_inf_nan=False)]
_Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.+_-]*$")]
_Pair = Annotated[list[_Number], Field(min_length=2, max_length=2)]
_Words = Annotated[list[StrictStr], Field(min_length=1)]


class RecordModel(BaseModel):
    """Unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class FactModel(RecordModel):
    """One value: `{value, source, confirmed}`."""

    value: StrictBool | StrictInt | StrictFloat | StrictStr | _Pair | _Words
    source: StrictStr
    confirmed: StrictBool


class NumberFactModel(FactModel):
    """A number or a range."""

    value: _Number | _Pair


class TextFactModel(FactModel):
    """A text."""

    value: StrictStr


class WordsFactModel(FactModel):
    """A list of words."""

    value: _Words


class YesFactModel(FactModel):
    """Yes or no."""

    value: StrictBool


class CoreModel(RecordModel):
    """One kind of core."""

    name: _Name
    role: Literal["application", "always-on", "network"] = "application"
    count: NumberFactModel
    clock_mhz: NumberFactModel | None = None
    isa: WordsFactModel | None = None
    issue_width: NumberFactModel | None = None
    peak_macs_per_cycle: dict[Literal["int8", "float32", "float16"], NumberFactModel] = {}


class MemoryModel(RecordModel):
    """One memory."""

    name: _Name
    bytes: NumberFactModel | None = None
    kind: TextFactModel | None = None


class CpuInfoModel(RecordModel):
    """What Linux tells of the core."""

    implementer: TextFactModel
    part: TextFactModel
    variant: TextFactModel
    revision: NumberFactModel
    features: WordsFactModel
    max_khz: NumberFactModel
    min_khz: NumberFactModel


class EmulationModel(RecordModel):
    """How QEMU stands in for the device."""

    user_cpu: TextFactModel | None = None
    machine: TextFactModel | None = None
    gcc_flags: WordsFactModel | None = None
    stand_in: YesFactModel | None = None
    cpuinfo: CpuInfoModel | None = None


class ProfileModel(RecordModel):
    """The whole file."""

    name: _Name
    title: StrictStr
    aliases: list[_Name] = []
    device_class: Literal["linux", "mcu"] = Field(alias="class")
    sources: dict[str, Annotated[StrictStr, Field(min_length=1)]]
    soc: TextFactModel
    cores: Annotated[list[CoreModel], Field(min_length=1)]
    caches: dict[str, NumberFactModel] = {}
    memories: list[MemoryModel] = []
    accelerators: dict[str, FactModel] = {}
    bandwidth_mb_per_s: dict[Literal["memcpy", "memset"], NumberFactModel] = {}
    power_mw: dict[str, NumberFactModel] = {}
    round_to: dict[Literal["tflite", "litert", "onnxruntime", "native"], NumberFactModel] = {}
    emulation: EmulationModel | None = None
    notes: list[StrictStr] = []
