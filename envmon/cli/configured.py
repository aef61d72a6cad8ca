"""Reads a configuration with all it names: every profile of its devices, and their records of commissioning."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from envmon.config import load
from envmon.config.settings import DeviceSettings, Settings
from envmon.profiles.bind import Compared, Place, place
from envmon.profiles.loader import load_builtin, load_directory
from envmon.profiles.record import Record, RecordError, Verdict, load_record
from envmon.profiles.schema import Evidence, Profile


@dataclass(frozen=True, slots=True)
class Configured:
    """A whole, valid configuration and the profiles it uses by name; ``notes`` are no faults, but should be known."""

    settings: Settings
    profiles: Mapping[str, Profile]
    notes: tuple[str, ...] = ()


def configured(config: Path) -> Configured:
    """Read ``config`` and all it names. Raises ConfigError with every fault."""
    profiles: dict[str, Profile] = {}
    builtin = load_builtin()
    notes: list[str] = []

    def known(device: DeviceSettings) -> Profile:
        return builtin[device.profile] if device.profile in builtin else profiles[device.profile]

    def shelf(directory: Path) -> tuple[Mapping[str, Profile], Sequence[str]]:
        own, faults = load_directory(directory)
        profiles.update(own)
        return own, faults

    def records(device: DeviceSettings) -> tuple[DeviceSettings, Sequence[str]]:
        profile = known(device)
        try:
            record = record_of(device)
        except RecordError as error:
            return device, (str(error),)
        if record.digest != profile.digest:
            notes.append(_outdated(device, record))
            return device, ()
        return _compared(device, record), ()

    settings = load(config, profiles=builtin, shelf=shelf, records=records)
    notes += [note for device in settings.devices for note in _unconfirmed(device, known(device))]
    return Configured(settings, {device.profile: known(device) for device in settings.devices}, tuple(notes))


def place_of(settings: Settings, device: DeviceSettings, profile: Profile) -> Place:
    """Return where a configured device stands."""
    return place(
        profile,
        site=settings.policy.site,
        device=device.id,
        path=device.path,
        zone=device.zone,
        serves=device.serves,
        units={number: (zone, unit) for number, zone, unit in device.fronts},
        commissioned=device.commissioned,
        roles=dict(device.roles),
        compared=Compared(device.confirmed, device.differing, dict(device.sentinels)),
    )


def record_of(device: DeviceSettings) -> Record:
    """Read the record that a device names. Raises RecordError, also for another device's or profile's record."""
    if device.record is None:
        raise RecordError(f"device {device.id} names no record of commissioning")
    record = load_record(device.record)
    if (record.device, record.profile) != (device.id, device.profile):
        text = f"is of device {record.device} with profile {record.profile}, not of {device.id} with {device.profile}"
        raise RecordError(f"{device.record}: {text}")
    return record


def _compared(device: DeviceSettings, record: Record) -> DeviceSettings:
    return replace(
        device,
        confirmed=record.having(Verdict.CONFIRMED),
        differing=record.having(Verdict.DIFFERS),
        sentinels=tuple(record.sentinels.items()),
    )


def _outdated(device: DeviceSettings, record: Record) -> str:
    return (
        f"device {device.id} does not vote by its record: profile {device.profile} changed since {record.by} signed it "
        f"on {record.at[:10]}; run envmon commission {device.id} again"
    )


def _unconfirmed(device: DeviceSettings, profile: Profile) -> Sequence[str]:
    """Say what of a device does not vote for want of a comparison."""
    if profile.evidence is Evidence.EXCERPT and not device.commissioned and device.record is None:
        text = (
            f"device {device.id} is published but does not vote: profile {device.profile} was made of excerpts; "
            f"run envmon commission {device.id} beside its panel, then name the record it writes under commissioned"
        )
        return [text]
    if device.differing:
        points = ", ".join(sorted(point.rpartition(".")[2] for point in device.differing))
        return [f"device {device.id}: {points} read otherwise than the panel showed, and do not vote"]
    return []
