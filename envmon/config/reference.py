"""The reference of every configuration key, made from the models: ``python -m envmon.config.reference`` prints it.

Rules
  - Nothing is written by hand here but the words for kinds; meanings and defaults are the models' own.
"""

import sys
from collections.abc import Iterator
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import AfterValidator, BaseModel, PlainValidator
from pydantic.fields import FieldInfo

from envmon.config import shape_rest, values
from envmon.config.explain import in_quotes, is_mapping_of, models_in
from envmon.config.shape import SiteFile

_HEAD = """# Configuration reference

Generated from the models by `python -m envmon.config.reference`; do not edit.

`NAME` stands for a name you choose: lower-case letters, digits and `_`, starting with a letter, at most 48.
A duration carries its unit: `500ms`, `5s`, `4min`, `2h`. A secret is `credential:NAME` (a systemd credential) or
`file:/PATH`; the secret itself never stands in the file. A place is a room that is not judged.
`conf.d/*.yaml` beside the file are merged into it in the order of their names; a value, or a device, zone, edge,
route or pager, is set in one file only. YAML aliases are allowed, merge keys (`<<`) and tags are not, and words
that YAML 1.1 misreads (`NO`, `010`, `12:30:45`, `1_000`, `1e3`) must be written plainly or in quotes.
"""
_KINDS: dict[object, str] = {
    values.seconds: "duration",
    values.secret: "secret",
    values.address: "host or host:port",
    values.endpoint: "host, host:port or path",
    values.host: "host",
    values.listen: "host:port",
    values.listen_at: "address:port",
    values.url: "URL",
    values.absolute: "absolute path",
    values.proof: "true, false or absolute path",
    values.domain: "domain name",
    values.sip_uri: "SIP URI",
    values.window: "part of the day",
    shape_rest.scalar: "text, whole number, true or false",
}
_LISTED: dict[object, str] = {
    values.Name: "names",
    values.Host: "hosts",
    values.HostPort: "hosts, or host:port",
    values.SipUri: "SIP URIs",
    values.Text: "texts",
    values.AbsolutePath: "absolute paths",
    values.Percent: "percentages",
}
_BOUNDS = {"ge": "from", "gt": "above", "le": "to", "lt": "below"}


def reference_text() -> str:
    """Return the whole reference as Markdown."""
    return "\n".join([_HEAD, *_section(SiteFile, "", "The file")])


def _section(model: type[BaseModel], prefix: str, title: str) -> Iterator[str]:
    yield f"## {title}\n"
    yield f"{model.__doc__}\n"
    yield "| key | kind | default | meaning |"
    yield "| --- | --- | --- | --- |"
    inner: list[tuple[type[BaseModel], str]] = []
    for name, field in model.model_fields.items():
        yield f"| `{prefix}{name}` | {_kind(field)} | {_default(field)} | {field.description} |"
        below = models_in(field.annotation)
        if below:
            inner.append((below, f"{prefix}{name}.NAME" if is_mapping_of(field.annotation) else f"{prefix}{name}"))
    yield ""
    for below, path in inner:
        yield from _section(below, f"{path}.", path)


def _kind(field: FieldInfo) -> str:
    """Say in words what a key holds, with its bounds."""
    word, _ = _word(field.annotation)
    bounds = []
    for note in _notes(field):
        if isinstance(note, PlainValidator):
            word = _KINDS[note.func]
        elif getattr(note, "pattern", "") == values.NAME:
            word = "name"
        elif isinstance(note, AfterValidator) and isinstance(note.func, values.Between | values.OneOf):
            bounds.append(str(note.func))
        bounds += [f"{name} {getattr(note, at):.9g}" for at, name in _BOUNDS.items() if hasattr(note, at)]
    return f"{word}, {' '.join(bounds)}" if bounds else word


def _notes(field: FieldInfo) -> Iterator[Any]:
    """Yield every annotation of a field, wherever it stands in its type."""
    for note in [*_word(field.annotation)[1], *field.metadata]:
        yield from note.metadata if isinstance(note, FieldInfo) else [note]


def _word(annotation: Any) -> tuple[str, list[Any]]:
    """Return the word for an annotation, and the notes it carries."""
    if get_origin(annotation) is Annotated:
        inner, *notes = get_args(annotation)
        word, more = _word(inner)
        return word, [*more, *notes]
    if get_origin(annotation) in {Union, UnionType}:
        return _word(next(part for part in get_args(annotation) if part is not type(None)))
    if get_origin(annotation) is Literal:
        return " or ".join(f"`{in_quotes(choice)}`" for choice in get_args(annotation)), []
    if get_origin(annotation) is list:
        return f"list of {_LISTED[get_args(annotation)[0]]}", []
    if get_origin(annotation) is dict:
        return "mapping of NAME", []
    words = {str: "text", int: "whole number", float: "number"}
    return words.get(annotation, "mapping"), []


def _default(field: FieldInfo) -> str:
    match field.default:
        case _ if field.is_required():
            return "required"
        case None | BaseModel():
            return ""
        case str() as text:
            return f"`{in_quotes(text)}`"
        case float() as number if any(isinstance(note, PlainValidator) for note in _notes(field)):
            return f"`{values.duration_text(number)}`"
        case bool() as flag:
            return f"`{str(flag).lower()}`"
        case int() | float() as number:
            return f"`{number:.9g}`"
        case empty:
            return f"`{empty}`"


if __name__ == "__main__":
    sys.stdout.write(reference_text())
