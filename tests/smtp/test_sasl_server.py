"""SASL exchanges: what is malformed never succeeds and never raises."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridgehead.smtp.event import Authenticate, Credentials
from bridgehead.smtp.sasl_server import FIELD_MAX, Login, Plain, decode_response, encode_challenge
from tests.smtp.dialogue import codes, ready


def encoded(response: bytes) -> bytes:
    return base64.b64encode(response)


MALFORMED_PLAIN: dict[str, bytes] = {
    "no base64": b"!!!!",
    "no padding": b"AHVzZXIAc2VjcmV",
    "too much padding": b"AHVzZXIAc2VjcmV0==",
    "padding in the middle": b"AHVz=ZXIAc2VjcmV0",
    "space in the middle": b"AHVzZXIA c2VjcmV0",
    "URL alphabet": b"AHVz-XIAc2Vjc_V0",
    "eight-bit octets": b"\xff\xfe\xfd\xfc",
    "one character": b"A",
    "nothing": b"=",
    "no NUL": encoded(b"usersecret"),
    "one NUL": encoded(b"user\0secret"),
    "three NULs": encoded(b"\0user\0sec\0ret"),
    "only NULs": encoded(b"\0\0"),
    "no user": encoded(b"\0\0secret"),
    "no password": encoded(b"\0user\0"),
    "another identity": encoded(b"admin\0user\0secret"),
    "identity in another case": encoded(b"USER\0user\0secret"),
    "user too long": encoded(b"\0" + b"u" * 256 + b"\0secret"),
    "password too long": encoded(b"\0user\0" + b"p" * 256),
    "user no UTF-8": encoded(b"\0\xff\xfe\0secret"),
    "password no UTF-8": encoded(b"\0user\0\xff\xfe"),
    "line end in the user": encoded(b"\0us\r\ner\0secret"),
    "escape in the user": encoded(b"\0us\x1ber\0secret"),
    "trailing line end": encoded(b"\0user\0secret") + b"\n",
}


@pytest.mark.parametrize("name", MALFORMED_PLAIN)
def test_malformed_plain_never_asks_for_a_check(name: str) -> None:
    for before, command in ((b"", b"AUTH PLAIN "), (b"AUTH PLAIN\r\n", b"")):
        server = ready()
        server.say(before)
        assert codes(server.say(command + MALFORMED_PLAIN[name] + b"\r\n"))[0][:3] in {"501", "500"}
        assert not any(isinstance(event, Authenticate) for event in server.events)
        assert codes(server.say(b"NOOP\r\n")) == ["250 2.0.0"]


def test_there_are_enough_blobs() -> None:
    assert len(MALFORMED_PLAIN) >= 21


@pytest.mark.parametrize("lines", [[b"!"], [b""], [b"dXNlcg==", b"!"], [b"dXNlcg==", b""], [b"dXNl" * 200]])
def test_malformed_login_never_asks_for_a_check(lines: list[bytes]) -> None:
    server = ready()
    server.say(b"AUTH LOGIN\r\n")
    replies = [codes(server.say(line + b"\r\n")) for line in lines]
    assert replies[-1] == ["501 5.5.2"]
    assert not any(isinstance(event, Authenticate) for event in server.events)


def test_a_line_beyond_12288_octets_is_refused() -> None:
    server = ready()
    server.say(b"AUTH PLAIN\r\n")
    assert codes(server.say(b"A" * 13_000 + b"\r\n")) == ["500 5.5.6"]
    assert codes(server.say(b"NOOP\r\n")) == ["250 2.0.0"]


def test_plain_may_name_the_same_identity() -> None:
    assert Plain().step(b"user\0user\0secret") == Credentials("user", "secret")


def test_the_longest_fields_are_taken() -> None:
    long = "x" * FIELD_MAX
    assert Plain().step(f"\0{long}\0{long}".encode()) == Credentials(long, long)


def test_names_and_passwords_come_in_one_form() -> None:
    credentials = Credentials("App", "päss wort")
    assert Plain().step("\0\uff21pp\0pa\u0308ss\u00a0wort".encode()) == credentials
    login = Login()
    login.step("\uff21pp".encode())
    assert login.step("pa\u0308ss\u00a0wort".encode()) == credentials


@pytest.mark.parametrize("fields", ["\0app\0a\tb", "\0app\0\x85ä", "\0a\x7fpp\0x", "\0ä\u00a0b\0x"])
def test_controls_in_name_or_password_are_malformed(fields: str) -> None:
    assert Plain().step(fields.encode()) is None


def test_login_asks_for_name_and_password() -> None:
    login = Login()
    assert encode_challenge(login.begin()) == b"334 VXNlcm5hbWU6\r\n"
    assert login.step(b"user") == b"Password:"
    assert login.step("pässword".encode()) == Credentials("user", "pässword")


@given(st.binary(max_size=80))
def test_any_octets_never_raise(response: bytes) -> None:
    for exchange in (Plain(), Login()):
        step = exchange.step(response)
        if isinstance(step, bytes):
            exchange.step(response)


@given(st.binary(max_size=80))
def test_decoding_reverses_encoding(response: bytes) -> None:
    assert decode_response(encoded(response)) == response


@given(st.binary(max_size=80))
def test_any_line_decodes_or_not(line: bytes) -> None:
    decoded = decode_response(line)
    assert decoded is None or line == b"=" or encoded(decoded) == line
