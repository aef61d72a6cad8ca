"""A session of SNMP v1 or v2c: GETs by our own codec on the client library's socket, walks by the library.

Rules
  - The library would believe what it must not: the values of an answer that says it failed, and an empty number as 0.
    ``wire.snmp_get`` reads the same datagrams strictly, in no more time.
  - The socket is connected: the kernel lets in nobody's datagrams but the agent's. Every request has an identifier that
    cannot be guessed, and only an answer that repeats it counts.
"""

import os
import secrets
from collections.abc import Iterable
from functools import lru_cache

from gufo.snmp import SnmpAuthError, SnmpVersion, ValueType

from envmon.drivers.snmp_socket import SnmpSocket
from envmon.wire.snmp import Version
from envmon.wire.snmp_get import LEAST_REQUEST, NotAllowedError, Question

_MOST_BYTES = 65_535  # of a datagram
_MOST_STRANGE = 50  # datagrams that are no answer to us, read in one go
_VERSIONS = {SnmpVersion.v1: Version.V1, SnmpVersion.v2c: Version.V2C}


class CommunitySocket(SnmpSocket):
    """One socket to one agent, one request at a time. ``version`` is v1 or v2c."""

    def __init__(self, addr: str, port: int, community: str, version: SnmpVersion) -> None:
        super().__init__(addr, port, community=community, version=version)
        self._version = _VERSIONS[version]
        self._community = community.encode()

    async def get_many(self, oids: Iterable[str]) -> dict[str, ValueType]:
        """Read ``oids`` in one request; those without a value are left out.

        Raises FrameError, SnmpAuthError, TimeoutError at once where nothing listens, and OSError.
        """
        question = _question(self._version, self._community, tuple(oids))
        number = LEAST_REQUEST | secrets.randbits(31)
        request = question.request(number)
        try:
            await self._send(lambda: _write(self._fd, request))
            return await self._recv(lambda: self._receive(question, number))
        except ConnectionRefusedError:
            raise TimeoutError from None  # as the library tells it
        except NotAllowedError as error:
            raise SnmpAuthError(str(error)) from None

    def _receive(self, question: Question, number: int) -> dict[str, ValueType]:
        for _ in range(_MOST_STRANGE):
            found = question.answer(os.read(self._fd, _MOST_BYTES), number)
            if found is not None:
                return found
        raise BlockingIOError


@lru_cache(maxsize=1 << 12)
def _question(version: Version, community: bytes, oids: tuple[str, ...]) -> Question:
    """Return what devices of one profile and one login share."""
    return Question(version, community, oids)


def _write(fd: int, request: bytes) -> None:
    os.write(fd, request)
