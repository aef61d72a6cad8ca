"""The shape of a profile file: which keys exist and what type each has. What they mean together is ``check``'s.

Rules
  - An unknown key is a fault, never ignored: a misspelt ``invalid`` would let a sentinel through as a temperature.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt

from envmon.model.reading import Role
from envmon.profiles.schema import Evidence, Kind
from envmon.profiles.schema_point import Order, RegisterType

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=60)]
NamePattern = Annotated[
    str, Field(pattern=r"^([a-z]|\{key\}|\{row\})([a-z0-9_]|\{key\}|\{row\}|\{[1-9]\})*$", max_length=60)
]
ProfileName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=60)]
Text = Annotated[str, Field(min_length=1)]
Raw = StrictInt | str
Number = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Port = Annotated[StrictInt, Field(ge=1, le=65535)]
Pause = Annotated[StrictInt, Field(ge=0, le=10_000)]
StateSeverity = Literal["ok", "warning", "critical", "unknown"]
Part = Annotated[StrictInt, Field(ge=1, le=20)]
Interval = Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)?(s|min|h)$")]
Index = Annotated[str, Field(pattern=r"^\d+(\.\d+)*$")]


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
    max_requests_per_s: Annotated[float, Field(ge=0, le=1000, allow_inf_nan=False)] = 0.0
    word_order: Order = Order.HIGH_FIRST
    byte_order: Order = Order.HIGH_FIRST


class SnmpShape(_Shape):
    """Limits of an SNMP agent; ``base`` replaces ``{base}`` in the OIDs."""

    port: Port = 161
    max_oids: Annotated[StrictInt, Field(ge=1, le=100)] = 20
    bulk: StrictBool = False
    max_repetitions: Annotated[StrictInt, Field(ge=1, le=100)] = 10
    rediscover_s: Annotated[StrictInt, Field(ge=10, le=86_400)] = 300
    base: str = ""


class ConditionShape(_Shape):
    """What a row must show in a column, or in a part of its index."""

    column: Name | None = None
    index: Part | None = None
    equals: Raw | list[Raw] | None = None
    matches: Text | None = None


class ScalingBody(_Shape):
    """What a number is worth."""

    unit: str = ""
    scale: Number = 1.0
    offset: Number = 0.0


class RegisterShape(_Shape):
    """Where a Modbus value lives."""

    function: Annotated[StrictInt, Field(ge=1, le=4)]
    address: Annotated[StrictInt, Field(ge=0, le=65535)]
    type: RegisterType
    registers: Annotated[StrictInt, Field(ge=1, le=125)] | None = None
    word_order: Order | None = None
    byte_order: Order | None = None
    bit: Annotated[StrictInt, Field(ge=0, le=15)] | None = None


class OidShape(_Shape):
    """Where an SNMP value lives."""

    oid: Text


class SnmpCrossCheckShape(OidShape, ScalingBody):
    """The same quantity at a second OID."""

    tolerance: Positive


class ModbusCrossCheckShape(RegisterShape, ScalingBody):
    """The same quantity at a second register."""

    tolerance: Positive


class _UnitFromShape(_Shape):
    map: Annotated[dict[Raw, str], Field(min_length=1)]
    absent: str | None = None


class SnmpUnitFromShape(_UnitFromShape, OidShape):
    """The OID that says which unit is set on the device."""


class ModbusUnitFromShape(_UnitFromShape, RegisterShape):
    """The register that says which unit is set on the device."""


class _ValidFromShape(_Shape):
    equals: Raw | Annotated[list[Raw], Field(min_length=1)]


class SnmpValidFromShape(_ValidFromShape, OidShape):
    """The OID that says whether the value means something."""


class ModbusValidFromShape(_ValidFromShape, RegisterShape):
    """The register that says whether the value means something."""


class _PointShape(ScalingBody):
    name: Name
    role: Role | None = None
    difference: StrictBool = False
    map: dict[Raw, tuple[Name, StateSeverity]] = {}
    invalid: list[Number] = []
    invalid_text: list[Text] = []
    valid_range: tuple[Number, Number] | None = None
    bits: tuple[Annotated[StrictInt, Field(ge=0, le=63)], Annotated[StrictInt, Field(ge=0, le=63)]] | None = None
    interval: Interval | None = None


class _SnmpPointBody(OidShape, _PointShape):
    text: StrictBool = False
    cross_check: SnmpCrossCheckShape | None = None
    unit_from: SnmpUnitFromShape | None = None
    valid_from: SnmpValidFromShape | None = None
    enum_from: OidShape | None = None


class SnmpPointShape(_SnmpPointBody):
    """One point of an SNMP device."""


class FromColumnShape(_Shape):
    """What the texts or numbers of a column stand for."""

    column: Name
    map: Annotated[dict[Raw, Role], Field(min_length=1)]


class SeverityFromShape(_Shape):
    """How bad what a column shows is."""

    column: Name
    map: Annotated[dict[Raw, StateSeverity], Field(min_length=1)]


class LabelFromShape(_Shape):
    """What to call what a column shows; without a map, or where it lists nothing, by the column's own text."""

    column: Name
    map: dict[Raw, Name] = {}


class ScaleFromShape(_Shape):
    """A factor told by a column."""

    column: Name
    map: dict[Raw, Number] | None = None
    how: Literal["decimals", "factor"] | None = None


class RowPointShape(_SnmpPointBody):
    """One point of every row of a table; its ``oid`` is a column."""

    name: NamePattern
    when: list[ConditionShape] = []
    role_from: FromColumnShape | None = None
    scale_from: ScaleFromShape | list[ScaleFromShape] = []


class TableShape(_Shape):
    """Rows that become points."""

    walk: Text | Annotated[list[Text], Field(min_length=1)] | None = None
    rows: Annotated[list[Index], Field(min_length=1)] | None = None
    columns: dict[Name, Text] = {}
    select: list[ConditionShape] = []
    key: Name | LabelFromShape | None = None
    serves: Part | Annotated[list[Part], Field(min_length=1)] | None = None
    points: Annotated[list[RowPointShape], Field(min_length=1)]


class ConditionsShape(_Shape):
    """A table of what is wrong now."""

    name: Name
    count: Name | None = None
    role: Literal[Role.ALARM] | None = None
    walk: Text
    columns: dict[Name, Text] = {}
    active: list[ConditionShape] = []
    label_from: LabelFromShape
    severity_from: SeverityFromShape | None = None
    settle_s: Annotated[StrictInt, Field(ge=0, le=86_400)] = 300


class ModbusPointShape(RegisterShape, _PointShape):
    """One point of a Modbus device."""

    cross_check: ModbusCrossCheckShape | None = None
    unit_from: ModbusUnitFromShape | None = None
    valid_from: ModbusValidFromShape | None = None


class RepeatShape(_Shape):
    """Points that stand several times in one device."""

    count: Annotated[StrictInt, Field(ge=1, le=64)]
    step: Annotated[StrictInt, Field(ge=0, le=32_768)] = 0
    unit_step: Annotated[StrictInt, Field(ge=0, le=64)] = 0
    serves: StrictBool = False
    points: Annotated[list[ModbusPointShape], Field(min_length=1)]


class SnmpIdentifyShape(_Shape):
    """How an SNMP agent shows what it is. Everything given must hold."""

    sys_object_id: list[Text] = []
    sys_descr: str = ""
    probe: list[Text] = []
    absent: list[Text] = []


class RegisterProbeShape(RegisterShape):
    """A register that tells the model."""

    equals: Raw | list[Raw] | None = None
    matches: Text | None = None


class ModbusIdentifyShape(_Shape):
    """How a Modbus device shows what it is."""

    registers: Annotated[list[RegisterProbeShape], Field(min_length=1)]


class _ProfileShape(_Shape):
    profile: ProfileName
    vendor: Text
    kind: Kind
    sources: Annotated[list[SourceShape], Field(min_length=1)]
    evidence: Evidence
    include: list[ProfileName] = []


class SnmpProfileShape(_ProfileShape):
    """A profile with ``protocol: snmp``."""

    protocol: Literal["snmp"]
    snmp: SnmpShape = SnmpShape()
    identify: SnmpIdentifyShape | None = None
    points: list[SnmpPointShape] = []
    tables: list[TableShape] = []
    conditions: list[ConditionsShape] = []


class ModbusProfileShape(_ProfileShape):
    """A profile with ``protocol: modbus``."""

    protocol: Literal["modbus"]
    modbus: ModbusShape = ModbusShape()
    identify: ModbusIdentifyShape | None = None
    points: list[ModbusPointShape] = []
    repeat: list[RepeatShape] = []


ProfileShape = SnmpProfileShape | ModbusProfileShape
PointShape = SnmpPointShape | RowPointShape | ModbusPointShape
AddressShape = OidShape | RegisterShape
