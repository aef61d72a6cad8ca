"""A small document, written as Markdown or as one HTML file that needs nothing else. Pure.

Rules
  - Nothing in a text can end its place: Markdown's marks and HTML's are escaped, line ends become spaces.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

_MARKS = re.compile(r"([\\`*_\[\]<>|#])")
_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:70em;margin:2em auto;padding:0 1em}"
    "table{border-collapse:collapse;font-size:14px}td,th{border:1px solid #bbb;padding:.2em .5em;text-align:left;"
    "vertical-align:top}th{background:#eee}"
)


@dataclass(frozen=True, slots=True)
class Heading:
    """A title; ``level`` from 1."""

    level: int
    text: str


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Running text."""

    text: str


@dataclass(frozen=True, slots=True)
class Items:
    """A list."""

    texts: Sequence[str]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under named columns."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


Block = Heading | Paragraph | Items | Table


def markdown(blocks: Iterable[Block]) -> str:
    """The document as Markdown."""
    return "\n\n".join(_markdown(block) for block in blocks if _says_something(block)) + "\n"


def html(blocks: Sequence[Block], title: str) -> str:
    """The document as one HTML file."""
    body = "\n".join(_html(block) for block in blocks if _says_something(block))
    head = f'<meta charset="utf-8"><title>{escape(title)}</title><style>{_STYLE}</style>'
    return f'<!doctype html>\n<html lang="en"><head>{head}</head>\n<body>\n{body}\n</body></html>\n'


def _says_something(block: Block) -> bool:
    return not isinstance(block, Items) or bool(block.texts)


def _markdown(block: Block) -> str:
    match block:
        case Heading(level=level, text=text):
            return f"{'#' * level} {_plain(text)}"
        case Paragraph(text=text):
            return _plain(text)
        case Items(texts=texts):
            return "\n".join(f"- {_plain(text)}" for text in texts)
        case Table(columns=columns, rows=rows):
            lines = [columns, ["---"] * len(columns), *rows]
            return "\n".join(
                f"| {' | '.join(cell if cell == '---' else _plain(cell) for cell in line)} |" for line in lines
            )


def _html(block: Block) -> str:
    match block:
        case Heading(level=level, text=text):
            return f"<h{level}>{_safe(text)}</h{level}>"
        case Paragraph(text=text):
            return f"<p>{_safe(text)}</p>"
        case Items(texts=texts):
            return "<ul>" + "".join(f"<li>{_safe(text)}</li>" for text in texts) + "</ul>"
        case Table(columns=columns, rows=rows):
            head = "".join(f"<th>{_safe(column)}</th>" for column in columns)
            body = "\n".join("<tr>" + "".join(f"<td>{_safe(cell)}</td>" for cell in row) + "</tr>" for row in rows)
            return f"<table><tr>{head}</tr>\n{body}</table>"


def _plain(text: str) -> str:
    return _MARKS.sub(r"\\\1", _one_line(text))


def _safe(text: str) -> str:
    return escape(_one_line(text))


def _one_line(text: str) -> str:
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())
