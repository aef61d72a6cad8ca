"""Numbers as text, each written once: a plant repeats its numbers, within a device and across devices."""

from collections.abc import Callable

_MOST = 1 << 14  # beyond it all are forgotten and written anew


class Texts(dict[float, str]):
    """What ``write`` makes of finite numbers. Zero has no sign here."""

    __slots__ = ("_write",)

    def __init__(self, write: Callable[[float], str]) -> None:
        super().__init__()
        self._write = write

    def __missing__(self, number: float) -> str:
        """Write a number that was not asked for before."""
        if len(self) >= _MOST:
            self.clear()
        text = self[number] = self._write(number + 0.0)
        return text
