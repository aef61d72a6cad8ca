"""The epochs of one edge that keeps none itself: compared and stored beside the loop, one change after the other.

Rules
  - An epoch older than the stored one is refused, and changes nothing.
  - ``admit`` returns when the change is on disk; what is stored already is not written again.
  - A change whose caller was cancelled ends before the next one begins: an older epoch never lands on a newer one, and
    a disk that hangs holds one thread of this edge's.
"""

import asyncio
from collections.abc import Mapping
from pathlib import Path

from envmon.actuators.epoch_file import Epochs, load, store
from envmon.actuators.told import Voice
from envmon.host.threads import aside


class EpochMemory:
    """The file of one edge's epochs."""

    def __init__(self, path: Path, voice: Voice) -> None:
        self._path = path
        self._voice = voice
        self._turn = asyncio.Lock()

    async def read(self) -> Epochs:
        """Read what is stored. Raises EdgeError."""
        return await aside(self._load)

    async def admit(self, epoch: int, routes: Mapping[str, tuple[int, int]] | None = None) -> None:
        """Store ``epoch``, and the epoch and life of ``routes``; refuse an old one. Raises Fenced, EdgeError."""
        await self._turn.acquire()
        changing = asyncio.ensure_future(aside(self._change, epoch, routes or {}))
        changing.add_done_callback(self._changed)
        await asyncio.shield(changing)

    def _changed(self, changing: asyncio.Future[None]) -> None:
        self._turn.release()
        if not changing.cancelled():
            changing.exception()  # looked at: whoever asked may be gone

    def _change(self, epoch: int, routes: Mapping[str, tuple[int, int]]) -> None:
        before = self._load()
        if epoch < before.fence:
            raise self._voice.fenced(epoch, before.fence)
        after = Epochs(epoch, {**before.routes, **routes})
        if after == before:
            return
        try:
            store(self._path, after)
        except OSError as error:
            raise self._voice.error(f"{self._path} cannot be written: {error.strerror}; check the disk") from None

    def _load(self) -> Epochs:
        try:
            return load(self._path)
        except (OSError, ValueError) as error:
            text = f"{self._path} cannot be read: {error}; write the greatest epoch the journal shows"
            raise self._voice.error(f'{text} as {{"fence": N, "routes": {{}}}}') from None
