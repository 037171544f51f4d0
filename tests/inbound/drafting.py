"""Messages that are being received, in the hands of a test."""

from __future__ import annotations

from bridgehead.core.address import Mailbox
from bridgehead.core.client import Client, client_at
from bridgehead.core.envelope import MessageId
from bridgehead.core.header import Hop
from bridgehead.core.organization import (
    Organization,
    VirtualServer,
)
from bridgehead.core.reply import Reply
from bridgehead.core.routing import here_at
from bridgehead.inbound.draft import Draft, Origin
from bridgehead.inbound.draft_memory import DraftMemory
from bridgehead.smtp.event import ContentEnd, MailFrom, RcptTo
from bridgehead.spool.contract import Insert
from bridgehead.spool.memory import MemoryBodyWriter
from tests.inbound.receiving import KEY, SlowSpool, organization, without_received

NOW = 1_790_000_000.0
NUMBER = MessageId(1 << 62)
CLIENT = client_at("198.51.100.7")
USER = client_at("198.51.100.7", "user")
HEADER = b"From: a@example.org\r\nDate: now\r\nMessage-ID: <1@x>\r\n"


class NotedBody(MemoryBodyWriter):
    """A body that knows whether it was dropped."""

    is_discarded = False

    def discard(self) -> None:
        self.is_discarded = True
        super().discard()


class NotedSpool(SlowSpool):
    """A spool that shows its bodies."""

    def __init__(self) -> None:
        super().__init__()
        self.bodies: list[NotedBody] = []

    def new_body(self) -> NotedBody:
        self.bodies.append(NotedBody())
        return self.bodies[-1]


def origin(
    client: Client = CLIENT,
    *,
    server: VirtualServer | None = None,
    protocol: str = "ESMTP",
    configuration: Organization | None = None,
) -> Origin:
    found = configuration or organization(virtual_server=server)
    hop = Hop("mail.contoso.com", protocol, "client.example", client.text)
    return Origin(found, found.virtual_server(KEY), here_at(found, KEY), client, hop, "trace")


def recipient(address: str, notify: int = -1, original: str = "") -> RcptTo:
    local_part, _, domain = address.partition("@")
    return RcptTo(Mailbox(address, local_part, domain), notify, original)


def draft(
    where: Origin | None = None, *addresses: str, mail: MailFrom | None = None, spool: SlowSpool | None = None
) -> Draft:
    """A message whose content may begin."""
    found = Draft(where or origin(), mail or MailFrom("a@example.org"), DraftMemory())
    for address in addresses or ("b@contoso.com",):
        assert found.admit(recipient(address)) is None
    found.open(spool or SlowSpool(), NUMBER, NOW)
    return found


def finished(found: Draft, *content: bytes, octets_left: int = -1) -> Insert | Reply:
    for piece in content:
        found.write(piece)
    joined = b"".join(content)
    return found.finish(ContentEnd(len(joined), has_eight_bit=not joined.isascii()), octets_left)


def stored(found: Draft, *content: bytes) -> bytes:
    """What goes into the spool behind the Received line."""
    insert = finished(found, *content)
    assert isinstance(insert, Insert)
    return without_received(insert.body.content or b"")
