"""What a plain YAML word means here, and the words that do not mean what they seem to.

Rules
  - YAML 1.1 turns NO into false, 010 into 8 and 12:30:45 into 45045. Such words are faults, wherever they stand:
    the reader should not have to know which version of YAML reads the file.
  - What is left: true, false, whole numbers, numbers with digits on both sides of a point, nothing, and text.
  - The text of a fault never repeats the word: it may stand where a secret should.
"""

import re

from yaml import ScalarNode
from yaml.resolver import Resolver

_INT = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(0|[1-9][0-9]*)\.[0-9]+")
_EXPONENT = re.compile(r"[-+]?[0-9][0-9_]*(\.[0-9_]*)?[eE][-+]?[0-9]+")
_LEADING_ZERO = re.compile(r"[-+]?0o?[0-9]+")
_LONGEST_NUMBER = 18
_RESOLVER = Resolver()


class Surprise(Exception):  # noqa: N818  # it names what it is: YAML's surprise, turned into a Fault at once
    """The word means something else to YAML than to a reader; the text says what to write."""


def plain(word: str) -> str | int | float | bool | None:
    """Return the value of a word without quotes. Raises Surprise."""
    match str(_RESOLVER.resolve(ScalarNode, word, (True, False))).rpartition(":")[2]:  # type: ignore[no-untyped-call]
        case "null":
            return None
        case "bool":
            return _bool(word)
        case "int":
            return _int(word)
        case "float":
            return _float(word)
        case "timestamp":
            raise Surprise("YAML reads this as a date; write it in quotes if it is text")
        case _:
            return _text(word)


def _bool(word: str) -> bool:
    if word.lower() not in {"true", "false"}:
        raise Surprise(
            "YAML 1.1 reads this word as true or false; write it in quotes if it is text, else true or false"
        )
    return word.lower() == "true"


def _int(word: str) -> int:
    if ":" in word:
        raise Surprise("YAML 1.1 reads this as a base-60 number; write it in quotes if it is text")
    if "_" in word:
        raise Surprise("YAML 1.1 ignores the _ in this number; write the digits only, or quotes if it is text")
    if not _INT.fullmatch(word):
        raise Surprise(
            "this is a number in base 2, 8 or 16 to YAML 1.1; write it in base 10, or in quotes if it is text"
        )
    return int(_short(word))


def _float(word: str) -> float:
    if ":" in word:
        raise Surprise("YAML 1.1 reads this as a base-60 number; write it in quotes if it is text")
    if "n" in word.lower():
        raise Surprise("infinity and not-a-number have no meaning here; write a number")
    if not _FLOAT.fullmatch(word):
        raise Surprise(
            "write the number with plain digits on both sides of the point, as in 0.5, or quotes if it is text"
        )
    return float(_short(word))


def _text(word: str) -> str:
    if _EXPONENT.fullmatch(word):
        raise Surprise("YAML 1.1 reads this as text, YAML 1.2 as a number; write plain digits, or quotes if it is text")
    if _LEADING_ZERO.fullmatch(word):
        raise Surprise("a number does not start with 0 here; write it in base 10, or in quotes if it is text")
    return word


def _short(word: str) -> str:
    if len(word) > _LONGEST_NUMBER:
        raise Surprise(f"a number has at most {_LONGEST_NUMBER} characters; write it in quotes if it is text")
    return word
