"""How `queue show` looks: everything about one message. Pure functions.

What stands in a header was written by a stranger: it is decoded as far as it decodes and then made plain.
"""

from __future__ import annotations

from collections.abc import Iterator
from email.errors import MessageError
from email.header import decode_header, make_header
from typing import TYPE_CHECKING

from bridgehead.cli.queue_text import place_text, reason_text, sender_text
from bridgehead.cli.story_text import events_text
from bridgehead.cli.text import age, moment, plain, size, table
from bridgehead.core.recipient_state import FRESH, RecipientState
from bridgehead.outbound.listing import words_of

if TYPE_CHECKING:
    from bridgehead.cli.message_detail import Detail
    from bridgehead.core.envelope import Envelope, Recipient


def message_text(detail: Detail, now: float) -> str:
    """The whole of it, ended by a line end."""
    first = detail.rows[0]
    facts = [
        ("Arrived", f"{moment(first.arrived)}, {age(first.arrived, now)} ago"),
        ("Size", size(first.size)),
        ("Sender", sender_text(first.sender)),
        ("Message-ID", plain(first.message_id)),
    ]
    if detail.message is not None:
        facts += _envelope_facts(detail.message.envelope)
    facts += [(name, decoded(value)) for name, value in detail.header.items()]
    text = f"{detail.queue_id}\n" + table([fact for fact in facts if fact[1]], indent="  ")
    text += "  Recipients\n" + table(_recipients(detail, now), indent="    ")
    if detail.story is not None:
        text += "  Story\n" + events_text(detail.story.events, indent="    ")
    return text


def decoded(value: str) -> str:
    """A header's value for reading: encoded words (RFC 2047) decoded where they decode, nothing a terminal obeys."""
    try:
        return plain(str(make_header(decode_header(value))))
    except (MessageError, LookupError, ValueError):
        return plain(value)


def _envelope_facts(envelope: Envelope) -> list[tuple[str, str]]:
    client = " ".join(part for part in (envelope.helo, f"[{envelope.client}]" if envelope.client else "") if part)
    options = [envelope.body_type, "SMTPUTF8" if envelope.smtputf8 else ""]
    options += [f"{name}={value}" for name, value in (("RET", envelope.ret), ("ENVID", envelope.envid)) if value]
    return [
        ("Received by", f"{envelope.virtual_server} with {envelope.protocol}"),
        ("From client", plain(client)),
        ("Account", plain(envelope.user)),
        ("Options", plain(" ".join(option for option in options if option))),
    ]


def _recipients(detail: Detail, now: float) -> Iterator[tuple[str, str, str]]:
    """Address, where it stands, why; in the order of the envelope as far as it is known."""
    waiting = {
        one.ordinal: (plain(one.address), place_text(row, now) + _attempts(one.attempts), reason_text(row, one))
        for row in detail.rows
        for one in row.recipients
    }
    if detail.message is None:
        yield from (waiting[ordinal] for ordinal in sorted(waiting))
        return
    states = detail.message.states
    for recipient in detail.message.envelope.recipients:
        known = waiting.get(recipient.ordinal)
        yield known or _settled(recipient, states.get(recipient.ordinal, FRESH))


def _attempts(number: int) -> str:
    return f", {number} {'attempt' if number == 1 else 'attempts'} so far" if number else ""


def _settled(recipient: Recipient, state: RecipientState) -> tuple[str, str, str]:
    """A recipient that does not wait any more, or is not selected."""
    standing = state.standing.name.lower()
    host = f" at {state.host}" if state.host else ""
    return plain(recipient.address), plain(standing + host), plain(words_of(state.code, state.enhanced, state.text))
