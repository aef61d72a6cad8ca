"""The shape of a profile file: which keys exist and what type each has. What they mean together is ``loader``'s.

Rules
  - An unknown key is a fault, never ignored: a misspelt ``invalid`` would let a sentinel through as a temperature.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt

from envmon.model.reading import Role
from envmon.profiles.schema import Evidence, Kind, RegisterType, WordOrder

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=60)]
ProfileName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=60)]
Text = Annotated[str, Field(min_length=1)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Port = Annotated[StrictInt, Field(ge=1, le=65535)]
Pause = Annotated[StrictInt, Field(ge=0, le=10_000)]
StateSeverity = Literal["ok", "warning", "critical", "unknown"]


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SourceShape(_Shape):
    """One document the numbers come from."""

    document: Text
    revision: Text
    where: str = ""


class ModbusShape(_Shape):
    """Limits and defaults of a Modbus device."""

    port: Port = 502
    max_read: Annotated[StrictInt, Field(ge=1, le=125)] = 125
    max_gap_fill: Annotated[StrictInt, Field(ge=0, le=124)] = 0
    pause_ms: Pause = 0
    pause_after_connect_ms: Pause = 0
    word_order: WordOrder = WordOrder.HIGH_FIRST


class SnmpShape(_Shape):
    """Limits of an SNMP agent; ``base`` replaces ``{base}`` in the OIDs."""

    port: Port = 161
    max_oids: Annotated[StrictInt, Field(ge=1, le=100)] = 20
    bulk: StrictBool = False
    max_repetitions: Annotated[StrictInt, Field(ge=1, le=100)] = 10
    base: str = ""


class _ScalingShape(_Shape):
    unit: str = ""
    scale: Number = 1.0
    offset: Number = 0.0


class _RegisterShape(_Shape):
    function: Annotated[StrictInt, Field(ge=1, le=4)]
    address: Annotated[StrictInt, Field(ge=0, le=65535)]
    type: RegisterType
    registers: Annotated[StrictInt, Field(ge=1, le=125)] | None = None
    word_order: WordOrder | None = None
    bit: Annotated[StrictInt, Field(ge=0, le=15)] | None = None


class _OidShape(_Shape):
    oid: Text


class SnmpCrossCheckShape(_OidShape, _ScalingShape):
    """The same quantity at a second OID."""

    tolerance: Positive


class ModbusCrossCheckShape(_RegisterShape, _ScalingShape):
    """The same quantity at a second register."""

    tolerance: Positive


class _PointShape(_ScalingShape):
    name: Name
    role: Role | None = None
    difference: StrictBool = False
    map: dict[StrictInt | str, tuple[Name, StateSeverity]] = {}
    invalid: list[Number] = []
    invalid_text: list[Text] = []
    valid_range: tuple[Number, Number] | None = None


class SnmpPointShape(_OidShape, _PointShape):
    """One point of an SNMP device."""

    text: StrictBool = False
    cross_check: SnmpCrossCheckShape | None = None


class ModbusPointShape(_RegisterShape, _PointShape):
    """One point of a Modbus device."""

    cross_check: ModbusCrossCheckShape | None = None


class _ProfileShape(_Shape):
    profile: ProfileName
    vendor: Text
    kind: Kind
    sources: Annotated[list[SourceShape], Field(min_length=1)]
    evidence: Evidence


class SnmpProfileShape(_ProfileShape):
    """A profile with ``protocol: snmp``."""

    protocol: Literal["snmp"]
    snmp: SnmpShape = SnmpShape()
    points: Annotated[list[SnmpPointShape], Field(min_length=1)]


class ModbusProfileShape(_ProfileShape):
    """A profile with ``protocol: modbus``."""

    protocol: Literal["modbus"]
    modbus: ModbusShape = ModbusShape()
    points: Annotated[list[ModbusPointShape], Field(min_length=1)]


ProfileShape = SnmpProfileShape | ModbusProfileShape
PointShape = SnmpPointShape | ModbusPointShape
CrossCheckShape = SnmpCrossCheckShape | ModbusCrossCheckShape
