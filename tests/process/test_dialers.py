"""Each destination is opened by the dialer of its kind."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bridgehead.core.organization import Listener, LocalDelivery, Security, SmartHostOrder, VirtualServer
from bridgehead.core.outcome import Failed
from bridgehead.core.reply import Reply
from bridgehead.outbound.contract import Destination, QueueKey, Unavailable
from bridgehead.process.dialers import Dialers

VIRTUAL_SERVER = VirtualServer("Default", "S", (Listener("127.0.0.1", 2525),), "mail.contoso.com")


class Named:
    """A dialer that says who it is."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def open(self, destination: Destination, closed: Callable[[], None]) -> Unavailable:
        return Unavailable(Failed(Reply(550, "5.4.4", self.name)), ())


def destination(local: LocalDelivery | None) -> Destination:
    key = QueueKey("", VIRTUAL_SERVER.key, str(local or "fabrikam.com"))
    return Destination(
        key,
        VIRTUAL_SERVER,
        None,
        (),
        SmartHostOrder.BALANCE,
        "" if local else "fabrikam.com",
        local,
        Security(),
        False,
        20,
    )


@pytest.mark.parametrize(
    ("local", "name"),
    [(None, "smtp"), (LocalDelivery("lmtp", "127.0.0.1:24"), "lmtp"), (LocalDelivery("maildir", "/srv"), "maildir")],
)
async def test_dialers_pass_a_destination_to_the_one_of_its_kind(local: LocalDelivery | None, name: str) -> None:
    dialers = Dialers(Named("smtp"), Named("lmtp"), Named("maildir"))
    opened = await dialers.open(destination(local), lambda: None)
    assert isinstance(opened, Unavailable)
    assert isinstance(opened.outcome, Failed)
    assert opened.outcome.reply.text == name
