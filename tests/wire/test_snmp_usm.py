"""The user-based security model: the keys of the RFC, messages that open for who may, and for nobody else."""

from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envmon.wire.frame import FrameError
from envmon.wire.snmp import PduType, Tag
from envmon.wire.snmp_keys import Engine, Login, master_key
from envmon.wire.snmp_pdu import REPORT, Pdu, decode, encode
from envmon.wire.snmp_usm import Opener, open_, seal

ENGINE = Engine(bytes.fromhex("000000000000000000000002"), 7, 123_456)
SALT = b"12345678"
AUTH = ("md5", "sha", "sha224", "sha256", "sha384", "sha512")
PRIVACY = ("", "des", "aes128", "aes256")

KEYS = [  # RFC 3414 A.3.1 and A.3.2: password maplesyrup
    ("md5", "9faf3283884e92834ebc9847d8edd963", "526f5eed9fcce26f8964c2930787d82b"),
    ("sha", "9fb5cc0381497b3793528939ff788d5d79145211", "6695febc9288e36282235fc7151f128497b38f3f"),
]


@pytest.mark.parametrize(("auth", "master", "localized"), KEYS)
def test_the_keys_of_the_rfc(auth: str, master: str, localized: str):
    key = master_key(auth, b"maplesyrup")
    assert key.hex() == master
    assert Login(b"u", auth, key).at(ENGINE.identifier).auth_key.hex() == localized


def login(auth: str = "sha256", privacy: str = "aes128") -> Login:
    key = bytes(range(64))
    return Login(b"envmon", auth, key if auth else b"", privacy, key if privacy else b"").at(ENGINE.identifier)


def answer(number: int = 9) -> bytes:
    variables = (((1, 3, 6, 1), int(Tag.INTEGER), b"\x00\xd7"), ((1, 3, 6, 2), int(Tag.OCTET_STRING), b"x" * 200))
    return encode(Pdu(PduType.RESPONSE, number, variables))


LEVELS = [("", ""), *product(AUTH, PRIVACY)]


@pytest.mark.parametrize(("auth", "privacy"), LEVELS)
def test_what_is_sealed_opens_as_it_was(auth: str, privacy: str):
    message = seal(login(auth, privacy), ENGINE, b"crac_2", 5, answer(), SALT)
    assert (b"\x00\xd7" in message) is not bool(privacy)
    opened = open_(message, login(auth, privacy))
    assert (opened.number, opened.engine, opened.context, opened.pdu) == (5, ENGINE, b"crac_2", answer())
    assert decode(opened.pdu).number == 9
    assert opened.authentic is bool(auth)


@given(st.sampled_from(LEVELS[1:]), st.integers(0), st.integers(0, 7))
def test_a_single_flipped_bit_is_never_believed(level: tuple[str, str], place: int, bit: int):
    data = bytearray(seal(login(*level), ENGINE, b"crac_2", 5, answer(), SALT))
    data[place % len(data)] ^= 1 << bit
    with pytest.raises(FrameError):
        open_(bytes(data), login(*level))


def changed(**changes: object) -> Login:
    return replace(login(), **changes)  # type: ignore[arg-type]


STRANGERS = {
    "another password": changed(auth_key=bytes(32)),
    "another user": changed(user=b"somebody"),
    "another digest": login("sha512"),
    "no digest": login("", ""),
    "no privacy": login("sha256", ""),
    "another privacy password": changed(privacy_key=bytes(16)),
}


@pytest.mark.parametrize("stranger", STRANGERS.values(), ids=STRANGERS.keys())
def test_nobody_else_can_make_a_message_that_opens(stranger: Login):
    message = seal(stranger, ENGINE, b"", 5, answer(), SALT)
    with pytest.raises(FrameError):
        open_(message, login())


def test_an_answer_without_privacy_is_not_taken_from_an_agent_that_was_asked_with_it():
    with pytest.raises(FrameError, match="another security level"):
        open_(seal(login("sha256", ""), ENGINE, b"", 5, answer(), SALT), login())


def test_keys_are_not_printed():
    shown = repr(login())
    assert "envmon" in shown and "_key" not in shown


def test_a_report_is_told_apart_and_may_come_from_who_does_not_know_us():
    report = bytes((REPORT, *answer()[1:]))
    opened = open_(seal(login("", ""), ENGINE, b"", 5, report, SALT), login())
    assert opened.is_report and not opened.authentic
    assert not open_(seal(login(), ENGINE, b"", 5, answer(), SALT), login()).is_report


# --- messages known by the one before --------------------------------------------------------------------------------


def later(seconds: int, number: int = 9, boots: int = 7) -> bytes:
    at = replace(ENGINE, seconds=seconds, boots=boots)
    return seal(login(), at, b"crac_2", 1 << 24 | number, answer(number), seconds.to_bytes(8, "big"))


@pytest.mark.parametrize(("auth", "privacy"), LEVELS)
def test_what_is_known_by_the_one_before_opens_as_what_is_not(auth: str, privacy: str):
    opener = Opener(login(auth, privacy))
    for seconds in (5, 120, 127, 128, 130, 40_000, 40_001, 90_000, 90_001, 20_000_000, 20_000_001):
        at = replace(ENGINE, seconds=seconds)
        message = seal(login(auth, privacy), at, b"crac_2", 1 << 24, answer(seconds), SALT)
        assert opener.open(message) == open_(message, login(auth, privacy))
        assert (opener._pattern is not None) is bool(privacy)


@pytest.mark.parametrize("privacy", ["aes128", "aes256"])
def test_what_is_known_is_decrypted_to_its_last_byte_whatever_its_length(privacy: str):
    keys = login("sha256", privacy)
    for size in range(1, 50):
        opener, pdu = Opener(keys), encode(Pdu(PduType.RESPONSE, 9, (((1, 3, 6, 1), 4, bytes(range(size))),)))
        message = seal(keys, ENGINE, b"", 1 << 24, pdu, SALT)
        assert opener.open(message).pdu == opener.open(message).pdu == pdu


def test_a_message_that_looks_like_the_one_before_is_read_by_it():
    opener = Opener(login())
    opener.open(later(1000))
    assert opener._pattern is not None and opener._pattern.match(later(1001, 10, 8)) is not None
    opened = opener.open(later(1001, 10, 8))
    assert (opened.engine, opened.number, opened.pdu) == (
        replace(ENGINE, seconds=1001, boots=8),
        1 << 24 | 10,
        answer(10),
    )


@given(st.integers(0), st.integers(0, 7))
def test_a_single_flipped_bit_is_not_believed_for_looking_like_the_one_before(place: int, bit: int):
    opener = Opener(login())
    opener.open(later(1000))
    data = bytearray(later(1001))
    data[place % len(data)] ^= 1 << bit
    with pytest.raises(FrameError):
        opener.open(bytes(data))


@pytest.mark.parametrize("stranger", STRANGERS.values(), ids=STRANGERS.keys())
def test_nobody_else_is_believed_for_looking_like_the_one_before(stranger: Login):
    opener = Opener(login())
    opener.open(seal(login(), ENGINE, b"", 1 << 24, answer(), SALT))
    with pytest.raises(FrameError):
        opener.open(seal(stranger, ENGINE, b"", 1 << 24, answer(), SALT))


def test_another_context_that_looks_like_the_one_before_is_named():
    opener = Opener(login())
    for context in (b"crac_1", b"crac_2"):
        assert opener.open(seal(login(), ENGINE, context, 1 << 24, answer(), SALT)).context == context


def test_a_report_is_no_message_to_know_others_by():
    opener = Opener(login())
    assert opener.open(seal(login("", ""), ENGINE, b"", 5, bytes((REPORT, *answer()[1:])), SALT)).is_report
    assert opener._pattern is None
