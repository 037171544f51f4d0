"""Sessions over real sockets: with independent clients, and with octets written by hand."""

from __future__ import annotations

import asyncio
import smtplib
from collections.abc import Callable
from dataclasses import replace

import aiosmtplib
import pytest
import uvloop

from bridgehead.core.tracking import Step
from tests.inbound.receiving import KEY, Receiving, dialogue, organization, receiving, server

MESSAGE = b"Subject: hello\r\nMessage-ID: <1@example.org>\r\n\r\nline\r\n.dot\r\n"


async def test_smtplib_delivers_a_message() -> None:
    async with receiving() as found:

        def send() -> None:
            with smtplib.SMTP("127.0.0.1", found.port, timeout=10) as client:
                client.sendmail("a@example.org", ["b@contoso.com", "c@contoso.com"], MESSAGE)

        await asyncio.to_thread(send)
        (message,) = found.messages
        assert found.bodies == [MESSAGE]
        assert message.envelope.reverse_path == "a@example.org"
        assert [recipient.address for recipient in message.envelope.recipients] == ["b@contoso.com", "c@contoso.com"]
        assert message.envelope.size == len(MESSAGE)
        assert message.envelope.message_id == "<1@example.org>"
        assert [event.step for event in found.events] == [Step.RECEIVED]
