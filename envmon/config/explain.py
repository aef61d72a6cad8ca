"""Turn pydantic's findings into faults a person can act on.

Rules
  - A fault says what the value must be, never what it was: it may be a secret.
  - An unknown key that looks like a missing one is told once, as the unknown key.
"""

import re
from collections.abc import Iterable, Mapping
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from envmon.config.document import Document
from envmon.config.fault import Fault, Path, as_name, did_you_mean, nearest
from envmon.config.shape import SiteFile

_BOUNDS = {
    "greater_than": "must be more than {gt:g}",
    "greater_than_equal": "must be at least {ge:g}",
    "less_than": "must be less than {lt:g}",
    "less_than_equal": "must be at most {le:g}",
    "string_too_long": "must be at most {max_length} characters long",
    "string_too_short": "must not be empty",
    "too_short": "needs at least {min_length} entry",
}
_MUST_BE = {
    "string_type": "must be text",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "bool_type": "must be true or false",
    "list_type": "must be a list",
    "dict_type": "must be a mapping (key: value)",
    "model_type": "must be a mapping (key: value)",
    "model_attributes_type": "must be a mapping (key: value)",
}
_NAME = "a name is lower-case letters, digits and _, and starts with a letter"


def shape_faults(document: Document) -> list[Fault]:
    """Every way in which the document is not a ``SiteFile``."""
    try:
        SiteFile.model_validate(document.data)
    except ValidationError as error:
        details = error.errors(include_url=False)
    else:
        return []
    guessed = {_guess(detail["loc"]) for detail in details if detail["type"] == "extra_forbidden"}
    return [_fault(document, detail) for detail in details if _path(detail["loc"]) not in guessed]


def models_in(annotation: Any) -> type[BaseModel] | None:
    """Return the model an annotation holds, directly, as an option or as the values of a mapping."""
    if get_origin(annotation) is Annotated:
        return models_in(get_args(annotation)[0])
    if get_origin(annotation) in {Union, UnionType, dict}:
        return next((model for part in get_args(annotation) if (model := models_in(part))), None)
    return annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None


def is_mapping_of(annotation: Any) -> bool:
    """Whether an annotation is a mapping of the operator's own names."""
    return get_origin(get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation) is dict


def _fault(document: Document, detail: Any) -> Fault:
    loc, kind = detail["loc"], detail["type"]
    path = _path(loc)
    if loc[-1:] == ("[key]",):
        given = str(path[-1])
        text = _pattern(path, given) if kind == "string_pattern_mismatch" else _name_text(given, kind)
        return document.fault(path, text, key=True)
    if kind == "extra_forbidden":
        return document.fault(path, f"unknown key{did_you_mean(str(path[-1]), _known(path[:-1]))}", key=True)
    return document.fault(path, _text(path, kind, detail.get("ctx", {}), detail["input"]))


def _text(path: Path, kind: str, ctx: Mapping[str, Any], given: object) -> str:
    if kind == "missing":
        field = _field(path)
        return f"is missing: {_lower(field.description or '').rstrip('.')}" if field else "is missing"
    if given is None:
        return "has no value; write one, or leave the key out"
    if kind == "envmon":
        return str(ctx["text"])
    if kind == "literal_error":
        return _literal(re.findall(r"'([^']*)'", str(ctx["expected"])), given)
    if kind == "string_pattern_mismatch":
        return _pattern(path, str(given))
    if kind in _MUST_BE:
        fraction = isinstance(given, float) and kind.startswith("int_")
        return f"{_MUST_BE[kind]}, not {'a fraction' if fraction else _kind(given)}{_quote(kind, given)}"
    return _BOUNDS.get(kind, "is not what belongs here").format(**ctx)


def _literal(known: list[str], given: object) -> str:
    *most, last = (in_quotes(each) for each in known)
    text = f"must be {', '.join(most)} or {last}" if most else f"must be {last}"
    near = nearest(str(given), known)
    return f"{text}; did you mean {in_quotes(near)}?" if near and most else text


def in_quotes(text: str) -> str:
    """Show a text as the file must hold it: in quotes where YAML would read a number."""
    return f'"{text}"' if text[:1].isdigit() else text


def _pattern(path: Path, given: str) -> str:
    match path:
        case ("devices", _, "serves"):
            return "must be zone.unit, such as hall_a.crac_1"
        case ("publish", "mqtt", "prefix"):
            return "must be topic levels such as envmon/v1: no $ at the start, no # or +, no / at either end"
        case ("web", "orders", "people", _, "user"):
            return "must be a user name of this host: lower-case letters, digits, _ . or -, such as ann"
        case ("web", "orders", "people", *_):
            return "must say what the certificate says, as email:ann@example.com, cn:, dns:, uri: or sha256:FINGERPRINT"
        case (*_, "mqtt", "topic"):
            return "must be one topic such as envmon/v1/houston/state, without # or + and without spaces"
        case ("edges", _, "rest", "routes", _, "read" | "expect", *_):
            return "must be a JSON pointer such as /data/percent"
        case ("edges", _, "rest", "username" | "header"):
            return "must be plain ASCII without spaces: a user without a colon, a header of letters, digits and -"
        case ("edges", _, "probe_user") | (*_, "call"):
            return "must be letters, digits or . _ + -, at most 64"
        case _:
            return _name_text(given, "string_pattern_mismatch")


def _name_text(given: str, kind: str) -> str:
    if kind == "string_too_long":
        return "a name is at most 48 characters long"
    better = as_name(given)
    return f"{_NAME}; did you mean {better}?" if better else _NAME


def _kind(given: object) -> str:
    match given:
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "text"
        case list():
            return "a list"
        case _:
            return "a mapping"


def _quote(kind: str, given: object) -> str:
    return "; write it in quotes" if kind == "string_type" and isinstance(given, int | float) else ""


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:] if text[1:2].islower() else text


def _path(loc: Iterable[str | int]) -> Path:
    return tuple(part for part in loc if part != "[key]")


def _guess(loc: Iterable[str | int]) -> Path:
    path = _path(loc)
    near = nearest(str(path[-1]), _known(path[:-1]))
    return (*path[:-1], near) if near else ()


def _known(path: Path) -> list[str]:
    model = _model(path)
    return list(model.model_fields) if model else []


def _field(path: Path) -> FieldInfo | None:
    model = _model(path[:-1])
    return model.model_fields.get(str(path[-1])) if model else None


def _model(path: Path) -> type[BaseModel] | None:
    """Return the model that describes the mapping at ``path``."""
    model: type[BaseModel] | None = SiteFile
    names_follow = False
    for part in path:
        if names_follow:
            names_follow = False
            continue
        field = model.model_fields.get(str(part)) if model else None
        if field is None:
            return None
        model, names_follow = models_in(field.annotation), is_mapping_of(field.annotation)
    return None if names_follow else model
