"""Waiting mail for the tests of `queue` and `mailq`: rows as a server gives them, and a spool on disk."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from bridgehead.core import queue_id
from bridgehead.core.envelope import Envelope, MessageId, Recipient
from bridgehead.core.recipient_state import RecipientState
from bridgehead.outbound.listing import QueueState, RecipientRow, Row
from bridgehead.spool.contract import Body, Insert, Update
from bridgehead.spool.sqlite import SqliteSpool

ARRIVED = 1_790_000_000.0
FIRST = queue_id.earliest_at(ARRIVED)
SECOND = MessageId(FIRST + 1)
THIRD = MessageId(FIRST + 2)
HEADER = (
    b"Received: by mail.contoso.com\r\nFrom: Alice <alice@contoso.com>\r\nTo: bob@fabrikam.com\r\n"
    b"Subject: =?utf-8?B?5Lu25ZCN?= \x1b[2J\r\nDate: Tue, 24 Nov 2026 08:00:00 +0000\r\n\r\n"
)


def row(
    message_id: MessageId = FIRST,
    *addresses: str,
    state: QueueState = QueueState.RETRY,
    next_attempt: float = ARRIVED + 600,
    connector: str = "ISP",
    sender: str = "alice@contoso.com",
    reason: str = "451 4.7.1 greylisted",
) -> Row:
    """Recipients that wait together."""
    return Row(
        queue_id.write(message_id),
        ARRIVED,
        sender,
        12_288,
        "<1@contoso.com>",
        connector,
        "smart-hosts",
        state,
        next_attempt,
        reason,
        tuple(
            RecipientRow(ordinal, address, 3, reason)
            for ordinal, address in enumerate(addresses or ("bob@fabrikam.com",))
        ),
    )


def envelope(*addresses: str, sender: str = "alice@contoso.com") -> Envelope:
    """An envelope to these recipients."""
    recipients = tuple(
        Recipient(ordinal, address, address.partition("@")[2]) for ordinal, address in enumerate(addresses)
    )
    return Envelope(
        sender,
        recipients,
        12_288,
        ARRIVED,
        "BRIDGE01/Default",
        client="192.0.2.7",
        helo="client.test",
        message_id="<1@contoso.com>",
    )


def fill_spool(
    state_dir: Path, messages: Sequence[tuple[MessageId, Envelope, dict[int, RecipientState]]], partition: int = 0
) -> None:
    """Write a spool as a worker leaves it when it stops."""

    async def write() -> None:
        spool = SqliteSpool(state_dir, partition)
        list(spool.recover())
        for message_id, made, states in messages:
            content = HEADER + b"body\r\n"
            spool.submit([Insert(message_id, made, Body(len(content), content))])
            if states:
                spool.submit([Update(message_id, states)])
        await spool.close()

    asyncio.run(write())
