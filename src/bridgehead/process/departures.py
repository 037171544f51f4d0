"""What a reload says of the mail that waits for connectors which it takes out of routing.

The workers are asked before the change, while the mail still waits there. Whether they answer or not, the change is
made: saying what becomes of mail must not keep an operator from changing something.
"""

from __future__ import annotations

import asyncio
from typing import Final

from bridgehead.control.control_socket import Request
from bridgehead.core.error import BridgeheadError
from bridgehead.core.organization import Organization
from bridgehead.outbound.departure import departures, leaving, sentences
from bridgehead.outbound.router import Router
from bridgehead.process.requests import Requests

ASK_SECONDS: Final = 5.0
"""How long a reload waits for the workers' answers."""


async def departures_in_words(requests: Requests, old: Organization, router: Router) -> tuple[str, ...]:
    """A sentence for each connector that leaves when the router's organization takes the place of `old`."""
    names = leaving([(one.name, one.enabled) for one in old.connectors], router.organization)
    if not names:
        return ()
    try:
        async with asyncio.timeout(ASK_SECONDS):
            found = await requests.respond(Request("queue.waiting_for", {"connectors": names}))
    except (BridgeheadError, TimeoutError) as error:
        reason = str(error) or f"no answer within {ASK_SECONDS:g} s"
        return (f"what waits for the connectors that leave is not known: {reason}",)
    return tuple("; ".join((heading, *details)) for heading, details in sentences(departures(names, found, router)))
