"""Load a configuration: files, shape, entries, references, the whole site; then compile it.

Rules
  - Every fault of a stage is told at once, and so are those of the stages that do not need it to be clean: only a
    file that is not YAML, and the questions about the whole site, stand alone.
  - One place and one key is told once, by the first stage that objects; a secret in the file speaks before all.
  - An operator's own profiles are read before the references: a device may name one. None replaces another.
  - What a record of commissioning says enters the settings of its device; one that cannot be used is a fault.
  - With ``mode: automatic`` a misplaced lever is a fault; otherwise it is kept in the policy, and arming is refused.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from envmon.config.compile import compile_settings
from envmon.config.document import Document
from envmon.config.entries import entry_faults
from envmon.config.explain import shape_faults
from envmon.config.fault import ConfigError, Fault, shown
from envmon.config.files import read_files
from envmon.config.placement import placement
from envmon.config.profiles_known import KnownProfiles, Profile, Profiles, Shelf
from envmon.config.references import reference_faults
from envmon.config.settings import DeviceSettings, Settings
from envmon.config.shape import SiteFile
from envmon.config.values import INLINE
from envmon.config.whole import whole_faults

Records = Callable[[DeviceSettings], tuple[DeviceSettings, Sequence[str]]]
"""Adds to a device what its record of commissioning says; and every fault of the record, a line each."""


def no_records(device: DeviceSettings) -> tuple[DeviceSettings, Sequence[str]]:
    """Leave a device as it is: whoever loads reads no records, and their points do not vote."""
    return device, ()


def no_shelf(directory: Path) -> tuple[Mapping[str, Profile], Sequence[str]]:
    """Refuse to look: whoever loads knows no profiles but those it names."""
    return {}, [f"{directory}: own profiles are not read here"]


def load(path: Path, *, profiles: Profiles, shelf: Shelf = no_shelf, records: Records = no_records) -> Settings:
    """Read ``path`` and the ``conf.d/*.yaml`` beside it, and with ``shelf`` the directories of own profiles it names.

    ``records`` reads the records of commissioning that devices name.

    Raises ConfigError with every fault, by file and line.
    """
    known = KnownProfiles(profiles)
    document, written = read_files(path)
    shape = shape_faults(document)
    own = _own_profiles(document, known, shelf)
    faults = _told_once(written, shape, [*own, *entry_faults(document), *reference_faults(document, known)])
    if faults:
        raise ConfigError(faults)
    site = SiteFile.model_validate(document.data)
    misplaced = placement(site)
    settings = compile_settings(site, document.text, tuple(each.text for each in misplaced))
    faults = whole_faults(document, settings.policy, settings.devices, known)
    settings, wrong = _compared(document, settings, records)
    faults += wrong
    if site.mode == "automatic":
        faults += [document.fault(each.path, f"automatic is refused: {each.text}") for each in misplaced]
    if faults:
        raise ConfigError(faults)
    return settings


def _own_profiles(document: Document, known: KnownProfiles, shelf: Shelf) -> list[Fault]:
    """Add the operator's own profiles to those known; every fault in them."""
    faults: list[Fault] = []
    for at, directory in document.words("profiles"):
        if not Path(directory).is_absolute():
            continue  # told as a fault of shape
        path = ("profiles", at)
        own, wrong = shelf(Path(directory))
        faults += [document.fault(path, text) for text in wrong]
        taken = [name for name in own if name in known]
        faults += [document.fault(path, f"a profile is called {shown(name)} already; rename yours") for name in taken]
        known.add(own)
    return faults


def _compared(document: Document, settings: Settings, records: Records) -> tuple[Settings, list[Fault]]:
    """Add what the records of commissioning say."""
    devices: list[DeviceSettings] = []
    faults: list[Fault] = []
    for device in settings.devices:
        known, wrong = records(device) if device.record else (device, ())
        devices.append(known)
        faults += [document.fault(("devices", device.id, "commissioned"), text) for text in wrong]
    return replace(settings, devices=tuple(devices)), faults


def _told_once(written: list[Fault], shape: list[Fault], later: list[Fault]) -> list[Fault]:
    """Drop what an earlier stage said of the same key, and what stands inside a value of the wrong shape."""
    wrong = tuple(f"{fault.path}." for fault in shape if fault.path)
    inline = [fault for fault in shape if fault.text == INLINE]
    told: list[Fault] = []
    for stage in (inline, [fault for fault in written if not fault.path.startswith(wrong)], shape, later):
        spoken = {_key(fault) for fault in told}
        told += [fault for fault in stage if _key(fault) not in spoken]
    return told


def _key(fault: Fault) -> tuple[str, int, int, str]:
    return fault.file, fault.line, fault.col, fault.path
