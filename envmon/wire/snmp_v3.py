"""The one thing envmon reads of an SNMPv3 message by itself: which engine is the authority for it.

Rules
  - Pure bytes in; every malformed message raises ``FrameError``.
  - Nothing read here is authenticated; it only says for which engine a key must be tried.

Sources: RFC 3412 section 6 (message), RFC 3414 section 2.4 (security parameters), RFC 3411 section 5 (SnmpEngineID).
"""

from envmon.wire import ber
from envmon.wire.ber import Reader
from envmon.wire.frame import FrameError

_SEQUENCE, _INTEGER, _OCTETS = 0x30, 0x02, 0x04
_V3 = 3
_USER_BASED = 3
_ENGINE_BYTES = range(5, 33)
_INT32 = 2**31 - 1


def authority_of(data: bytes) -> bytes | None:
    """Return the engine identifier of a v3 message; None for v1 and v2c, and for a sender that asks who we are.

    Raises FrameError.
    """
    outer = Reader(data)
    message = Reader(outer.expect(_SEQUENCE))
    version = ber.decode_integer(message.expect(_INTEGER), 0, _INT32)
    if version != _V3:
        return None
    header = Reader(message.expect(_SEQUENCE))
    for tag in (_INTEGER, _INTEGER, _OCTETS):  # identifier, largest message, flags
        header.expect(tag)
    model = ber.decode_integer(header.expect(_INTEGER), 0, _INT32)
    if model != _USER_BASED:
        raise FrameError(f"security model {model} is not the user-based one ({_USER_BASED})")
    parameters = Reader(Reader(message.expect(_OCTETS)).expect(_SEQUENCE))
    engine = parameters.expect(_OCTETS)
    return engine if len(engine) in _ENGINE_BYTES else None
