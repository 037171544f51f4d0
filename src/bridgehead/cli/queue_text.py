"""How waiting mail looks on a terminal. Pure functions: what is shown, and `now`, are arguments."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Final

from bridgehead.cli.text import GAP, age, amount, count, duration, plain, size, table
from bridgehead.core.routing import SMART_HOSTS
from bridgehead.outbound.listing import QueueState

if TYPE_CHECKING:
    from bridgehead.cli.waiting_mail import Listing
    from bridgehead.outbound.listing import RecipientRow, Row

RECIPIENTS_MAX: Final = 10
"""Recipients shown of one row; `show` tells of all."""
_STATES: Final = {
    QueueState.READY: "ready, goes as soon as there is room",
    QueueState.ACTIVE: "is being sent",
    QueueState.RETRY: "waits to be tried again",
    QueueState.UNREACHABLE: "unreachable, nothing that takes it is up",
    QueueState.CREDENTIAL: "held, the next hop refused our credentials",
    QueueState.FROZEN: "frozen until it is released",
}


def list_text(rows: Sequence[Row], now: float) -> str:
    """Messages with what waits of each: one line for the message, one for each place, one for each recipient."""
    lines: list[str] = []
    for written_id, group in groupby(rows, key=lambda row: row.queue_id):
        together = tuple(group)
        first = together[0]
        facts = (written_id, age(first.arrived, now), size(first.size), f"from {sender_text(first.sender)}")
        lines.append(GAP.join(facts))
        for row in together:
            lines.append(f"    {place_text(row, now)}")
            lines += _recipient_lines(row)
    return "\n".join(lines) + "\n" if lines else ""


def summary_text(listing: Listing) -> str:
    """`"2 messages, 3 recipients"`, or how much is not shown."""
    if listing.more:
        return f"… and {amount(listing.more)} more: --limit shows more of them\n"
    if listing.is_cut:
        return "… and more recipients: --limit shows more of them\n"
    messages = len({row.queue_id for row in listing.rows})
    recipients = sum(len(row.recipients) for row in listing.rows)
    return f"{count(messages, 'message')}, {count(recipients, 'recipient')}\n"


def place_text(row: Row, now: float) -> str:
    """Where it waits, and until when: `'retry in 8 min, by "ISP"'`, `"ready, …, to fabrikam.com"`."""
    if row.state is QueueState.UNREACHABLE and row.because:
        return f"unreachable, {plain(row.because)}"  # by the file; else its link is down
    words = state_text(row.state, row.next_attempt, now)
    by = f', by "{plain(row.connector)}"' if row.connector else ""
    hop = f", to {plain(row.next_hop)}" if row.next_hop not in {"", SMART_HOSTS} else ""
    because = f"; {plain(row.because)}" if row.because else ""
    return f"{words}{by}{hop}{because}"


def state_text(state: QueueState, next_attempt: float, now: float) -> str:
    """`"retry in 8 min 20 s"`, or the state in words."""
    words = _STATES[state]
    if not next_attempt:
        return words
    due = duration(next_attempt - now)
    return f"retry in {due}" if state is QueueState.RETRY else f"{words}, next attempt in {due}"


def sender_text(sender: str) -> str:
    """An envelope sender as people write it: the null one is `<>`."""
    return plain(sender) or "<>"


def reason_text(row: Row, recipient: RecipientRow) -> str:
    """Why a recipient waits: its own reason, else the whole queue's."""
    return plain(recipient.reason or row.reason)


def affected_text(past: str, messages: int, recipients: int, busy: int) -> str:
    """`"Held 3 messages (5 recipients).\\n"`, and what was left alone."""
    text = f"{past} {count(messages, 'message')} ({count(recipients, 'recipient')}).\n"
    if busy:
        verb = "is" if busy == 1 else "are"
        text += f"{amount(busy)} {verb} being sent at this moment and left alone: try again.\n"
    return text


def _recipient_lines(row: Row) -> Iterable[str]:
    shown = row.recipients[:RECIPIENTS_MAX]
    yield from table(
        [(plain(one.address), reason_text(row, one) or "not tried yet") for one in shown], indent=" " * 8
    ).splitlines()
    if len(row.recipients) > len(shown):
        yield f"        … and {amount(len(row.recipients) - len(shown))} more"
