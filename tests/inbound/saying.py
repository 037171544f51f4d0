"""What the tests of sessions say and ask for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

from bridgehead.core.organization import (
    Certificate,
    VirtualServer,
)
from tests.inbound.receiving import server

MESSAGE = b"Subject: hello\r\nMessage-ID: <1@example.org>\r\n\r\nline\r\n.dot\r\n"
MAIL = b"MAIL FROM:<a@example.org>"
RCPT = b"RCPT TO:<b@contoso.com>"
ENVELOPE = MAIL + b"\r\n" + RCPT + b"\r\nDATA"


async def until(condition: Callable[[], bool]) -> None:
    """Wait, with a limit, until something is so."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - what is waited for has no event of its own
            await asyncio.sleep(0.001)


def changed(**fields: object) -> VirtualServer:
    return replace(server(), **fields)  # type: ignore[arg-type]  # the fields of the dataclass, by name


def certificate() -> Certificate:
    return Certificate("cert.pem", "key.pem", b"", b"")
