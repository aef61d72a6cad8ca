"""XML from strangers: no document type, no entities of its own, bounded depth and size.

Rules
  - A document type declaration ends the reading: what it could define (entities that expand without end, files and
    addresses to fetch) has no place in a warning, and neither CAP nor Atom nor RSS needs one.
  - Elements are looked up by their local name: services use CAP 1.1 and 1.2, with and without a prefix.
"""

from collections.abc import Iterator
from typing import Never
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from envmon.weather.message import MessageError

DEPTH = 32
ELEMENTS = 200_000


def read(body: bytes) -> Element:
    """Read a document. Raises MessageError."""
    builder = TreeBuilder()
    reader = expat.ParserCreate(namespace_separator="}")
    depth = count = 0

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal depth, count
        depth, count = depth + 1, count + 1
        if depth > DEPTH or count > ELEMENTS:
            raise MessageError(f"the XML is deeper than {DEPTH} or has more than {ELEMENTS} elements")
        builder.start(name, attributes)

    def end(name: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(name)

    reader.StartElementHandler = start
    reader.EndElementHandler = end
    reader.CharacterDataHandler = builder.data
    reader.StartDoctypeDeclHandler = _refuse
    reader.buffer_text = True
    try:
        reader.Parse(body, True)
        return builder.close()
    except (expat.ExpatError, ValueError, LookupError, AssertionError):
        raise MessageError("the answer is not XML") from None


def _refuse(*_: object) -> Never:
    raise MessageError("the XML declares a document type, which a warning never needs: refused")


def local(element: Element) -> str:
    """The name of an element without its namespace."""
    return element.tag.rpartition("}")[2]


def children(element: Element, name: str) -> Iterator[Element]:
    """The children of this local name."""
    return (child for child in element if local(child) == name)


def text(element: Element, name: str) -> str:
    """The text of the first child of this local name, "" where there is none."""
    child = next(children(element, name), None)
    return "" if child is None else (child.text or "").strip()
