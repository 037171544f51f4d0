"""The server's side of SASL exchanges: PLAIN (RFC 4616) and LOGIN (as Outlook and others speak it).

Rules of this file: no I/O, no verification, no secret in any error. A response is strict base64 of bounded length;
what it decodes to is UTF-8 without controls, brought into the form of RFC 8265. Each step gives a challenge, the
credentials, or `None`: malformed.
"""

from __future__ import annotations

import binascii
from collections.abc import Callable, Mapping
from typing import Final, Protocol, TypeAlias

from bridgehead.core.prepared import prepared_name, prepared_password
from bridgehead.smtp.event import Credentials

FIELD_MAX: Final = 255
"""Octets of an account name or password (RFC 4616 2 sets 255 as what must be taken)."""

Step: TypeAlias = bytes | Credentials | None
"""A challenge (not yet base64), the end, or malformed."""


class Exchange(Protocol):
    """One authentication in progress."""

    def begin(self) -> bytes:
        """The challenge for a client that gave no initial response."""
        ...

    def step(self, response: bytes) -> Step:
        """Take a decoded response of the client."""
        ...


class Plain:
    """PLAIN: one response holds it all. Another identity to act as is refused: nobody may act for others."""

    __slots__ = ()

    def begin(self) -> bytes:
        """PLAIN has an empty challenge."""
        return b""

    def step(self, response: bytes) -> Step:
        """`b"\\0user\\0password"`, or with the same user in front."""
        parts = response.split(b"\0")
        if len(parts) != 3:
            return None
        authorization, user, password = parts
        if authorization not in {b"", user}:
            return None
        return _credentials(user, password)


class Login:
    """LOGIN: asks for name and password, one at a time."""

    __slots__ = ("_user",)

    def __init__(self) -> None:
        self._user: bytes | None = None

    def begin(self) -> bytes:
        """The words that clients wait for."""
        return b"Username:"

    def step(self, response: bytes) -> Step:
        """First the name, then the password."""
        if self._user is None:
            if not response or len(response) > FIELD_MAX:
                return None
            self._user = response
            return b"Password:"
        return _credentials(self._user, response)


MECHANISMS: Final[Mapping[str, Callable[[], Exchange]]] = {"PLAIN": Plain, "LOGIN": Login}
"""By name, in upper case."""


def decode_response(line: bytes) -> bytes | None:
    """A line of the client as octets, or `None`: strict base64, padded, without line ends or other characters."""
    if line == b"=":
        # An initial response of no octets (RFC 4954 4).
        return b""
    try:
        decoded = binascii.a2b_base64(line, strict_mode=True)
    except binascii.Error:
        return None
    # Even in strict mode surplus padding and stray bits at the end pass; there is one way to write a response.
    return decoded if binascii.b2a_base64(decoded, newline=False) == line else None


def encode_challenge(challenge: bytes) -> bytes:
    """A challenge as a reply line: `b"334 VXNlcm5hbWU6\\r\\n"`."""
    return b"334 %b\r\n" % binascii.b2a_base64(challenge, newline=False)


def _credentials(user: bytes, password: bytes) -> Credentials | None:
    if not 0 < len(user) <= FIELD_MAX or not 0 < len(password) <= FIELD_MAX:
        return None
    try:
        name, secret = prepared_name(user.decode("utf-8")), prepared_password(password.decode("utf-8"))
    except UnicodeDecodeError:
        return None
    if name is None or secret is None or not name.isprintable():
        return None
    return Credentials(name, secret)
