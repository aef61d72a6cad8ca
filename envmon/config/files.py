"""Read the main file and the ``conf.d/*.yaml`` beside it into one document.

Rules
  - Fragments are read in the order of their names; mappings merge, at any depth.
  - A value is set in one file only: a second one is a fault that names the place of the first. A device, a zone, an
    edge, a route or a pager is described in one file only, whole.
  - A file that is not YAML ends the reading; the faults found so far are told without their paths, because nobody
    could say yet which keys are keys.
  - An empty fragment adds nothing; an empty main file is a fault.
"""

from dataclasses import replace
from pathlib import Path

from envmon.config.document import Branch, Document, Leaf, Node, document
from envmon.config.fault import ConfigError, Fault, Place, fault_at
from envmon.config.fault import Path as Spot
from envmon.config.yaml_text import place_of, read_yaml

FRAGMENTS = "conf.d"
_LARGEST = 8 << 20  # bytes; a configuration of 2,000 devices has half a megabyte
_WHOLE = {"devices": "device", "zones": "zone", "edges": "edge", "routes": "route", "pagers": "pager"}


def read_files(path: Path) -> tuple[Document, list[Fault]]:
    """Read everything; returns the document and its faults so far. Raises ConfigError when a file is not YAML."""
    main, text, faults = _read(path)
    if main is None and not faults:
        faults.append(fault_at(Place(str(path)), (), "is empty; start from the example, envmon.example.yaml"))
    broken = main is None
    parts = []
    names, unusable = _fragments(path.parent / FRAGMENTS)
    faults += unusable
    for name in names:
        part, part_text, part_faults = _read(name)
        faults += part_faults
        broken = broken or (part is None and bool(part_faults))
        text += f"\n# {FRAGMENTS}/{name.name}\n{part_text}"
        parts += [part] if part else []
    if main is None or broken:
        raise ConfigError(replace(fault, path="") for fault in faults)  # a key could be a secret in the wrong shape
    for part in parts:
        main = _merge(main, part, (), faults)
    return document(main, text), faults


def _read(path: Path) -> tuple[Branch | None, str, list[Fault]]:
    """Read one file: its mapping, its text, its faults; no mapping and no fault is an empty file."""
    top = Place(str(path))
    try:
        with path.open("rb") as file:
            raw = file.read(_LARGEST + 1)
    except FileNotFoundError:
        return None, "", [fault_at(top, (), "there is no such file")]
    except IsADirectoryError:
        return None, "", [fault_at(top, (), "this is a directory; name the file in it")]
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not a file name"
        return None, "", [fault_at(top, (), f"cannot be read: {reason}")]
    if len(raw) > _LARGEST:
        return None, "", [fault_at(top, (), f"is larger than {_LARGEST >> 20} MiB; this is not a configuration")]
    try:
        text = raw.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        before = raw[: error.start].decode("utf-8")
        return None, "", [fault_at(place_of(before, len(before), str(path)), (), "not UTF-8; save the file as UTF-8")]
    root, faults = read_yaml(text, str(path))
    if faults and root is None:
        return None, text, faults
    if isinstance(root, Branch):
        return root, text, faults
    if root is None or (isinstance(root, Leaf) and root.value is None):
        return None, text, faults
    return None, text, [*faults, fault_at(root.place, (), "the file must be a mapping (key: value) at its top")]


def _fragments(directory: Path) -> tuple[list[Path], list[Fault]]:
    """List the files to merge, and those somebody may believe are merged."""
    try:
        if not directory.is_dir():
            return [], []
        visible = sorted(entry for entry in directory.iterdir() if not entry.name.startswith("."))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not a file name"
        return [], [fault_at(Place(str(directory)), (), f"cannot be listed: {reason}")]
    renamed = [
        fault_at(Place(str(entry)), (), f"only *.yaml is read here; rename it to {entry.stem}.yaml")
        for entry in visible
        if entry.suffix in {".yml", ".YAML", ".YML"}
    ]
    return [entry for entry in visible if entry.suffix == ".yaml"], renamed


def _merge(first: Branch, second: Branch, path: Spot, faults: list[Fault]) -> Branch:
    keys = dict(first.keys)
    for name, (place, node) in second.keys.items():
        if name not in keys:
            keys[name] = (place, node)
            continue
        there, old = keys[name]
        match old, node:
            case Branch(), Branch() if path not in {(section,) for section in _WHOLE}:
                keys[name] = (there, _merge(old, node, (*path, name), faults))
            case _:
                faults.append(fault_at(place, (*path, name), _twice(path, there, old)))
    return Branch(first.place, keys)


def _twice(path: Spot, there: Place, old: Node) -> str:
    if len(path) == 1 and path[0] in _WHOLE:
        what = _WHOLE[str(path[0])]
        return f"this {what} is already described at {there.file}:{there.line}; describe a {what} in one file"
    what = "mapping" if isinstance(old, Branch) else "value"
    return f"this {what} is already set at {there.file}:{there.line}; set it in one file"
