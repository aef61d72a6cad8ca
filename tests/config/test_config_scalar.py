"""What a word without quotes means, and which words are refused because YAML versions disagree."""

import pytest

from envmon.config.scalar import Surprise, plain


@pytest.mark.parametrize(
    ("word", "value"),
    [
        *(("", None), ("~", None), ("null", None), ("true", True), ("False", False)),
        *(("0", 0), ("42", 42), ("-7", -7), ("+5", 5), ("0.5", 0.5), ("-1.25", -1.25), ("9" * 18, 10**18 - 1)),
        *(("2c", "2c"), ("3.1.1", "3.1.1"), ("192.0.2.31", "192.0.2.31"), ("192.0.2.31:502", "192.0.2.31:502")),
        *(("2001:db8::1", "2001:db8::1"), ("5s", "5s"), ("noon", "noon"), ("crac_1", "crac_1"), ("é", "é")),
        *(("-", "-"), ("=", "="), ("e3", "e3"), ("1e", "1e"), ("0.5s", "0.5s")),
    ],
)
def test_plain_words_mean_what_they_seem_to(word, value):
    assert plain(word) == value
    assert type(plain(word)) is type(value)


@pytest.mark.parametrize(
    ("word", "says"),
    [
        *((word, "true or false") for word in ("NO", "no", "Yes", "on", "OFF", "off")),
        *((word, "base-60") for word in ("12:30", "12:30:45", "1:30.5", "-3:20")),
        *((word, "ignores the _") for word in ("1_000", "-2_5")),
        *((word, "base 2, 8 or 16") for word in ("010", "-017", "0x1F", "0b101")),
        *((word, "does not start with 0") for word in ("089", "0o17", "-09")),
        *((word, "infinity") for word in (".inf", "-.INF", ".NaN")),
        *((word, "both sides of the point") for word in (".5", "5.", "1_0.5", "1.5e+3", "00.5")),
        *((word, "YAML 1.2 as a number") for word in ("1e3", "12e03", "1.5E3")),
        *((word, "at most 18 characters") for word in ("9" * 19, "9" * 5000, "0." + "1" * 400)),
        *((word, "date") for word in ("2026-11-22", "2026-11-22T10:00:00Z")),
    ],
)
def test_words_that_mean_something_else_are_refused_without_being_repeated(word, says):
    with pytest.raises(Surprise) as caught:
        plain(word)
    assert says in str(caught.value)
    assert word not in str(caught.value) or word in {"no", "on", "off", ".5"}
