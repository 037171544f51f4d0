"""What waits, as rows for `queue list` and `queue show`: of a running queue, or of a spool without a server."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import msgspec

from bridgehead.core import queue_id
from bridgehead.core.envelope import Envelope, MessageId, Recipient
from bridgehead.core.organization import Organization
from bridgehead.core.recipient_state import FRESH, Hold, RecipientState
from bridgehead.spool.contract import StoredEntry


class QueueState(StrEnum):
    """Why mail is where it is (console and Exchange: the state of a queue)."""

    READY = "ready"
    ACTIVE = "active"
    RETRY = "retry"
    UNREACHABLE = "unreachable"
    """No link of its connectors is up; or, held: nothing serves it any more."""
    CREDENTIAL = "credential"
    FROZEN = "frozen"


HELD_AS: Final = {
    Hold.FROZEN: QueueState.FROZEN,
    Hold.CREDENTIAL: QueueState.CREDENTIAL,
    Hold.CONFIGURATION: QueueState.UNREACHABLE,
}


class RecipientRow(msgspec.Struct, frozen=True):
    """One waiting recipient."""

    ordinal: int
    address: str
    attempts: int
    reason: str
    """The last words on it: `"451 4.7.1 greylisted"`."""


class Row(msgspec.Struct, frozen=True):
    """Recipients of a message that wait together."""

    queue_id: str
    arrived: float
    sender: str
    size: int
    message_id: str
    connector: str
    next_hop: str
    """Empty without a server: it is decided at the attempt."""
    state: QueueState
    next_attempt: float
    """Seconds since the epoch; 0: as soon as possible, or not before an operator acts."""
    reason: str
    recipients: tuple[RecipientRow, ...]
    because: str = ""
    """What of the configuration keeps it: `'connector "ISP" is disabled'`; empty: nothing, the state says all."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Which mail a command is about. What is left empty does not restrict; all that is given must hold."""

    message_ids: frozenset[MessageId] = frozenset()
    connector: str | None = None
    domain: str = ""
    """Normal form; of recipients: of a message with several, the others are left alone."""
    sender: str | None = None
    """Reverse path, compared without case; `""` is the null reverse path."""

    def includes(self, envelope: Envelope) -> bool:
        """Whether the sender is the one."""
        return self.sender is None or envelope.reverse_path.lower() == self.sender.lower()

    def includes_recipient(self, recipient: Recipient) -> bool:
        """Whether the recipient's domain is the one."""
        return not self.domain or recipient.domain == self.domain


EVERYTHING: Final = Selection()


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """Where recipients wait."""

    connector: str
    next_hop: str
    state: QueueState
    next_attempt: float = 0.0
    reason: str = ""
    """Trouble of the whole queue; empty: the recipients' own reasons tell."""
    because: str = ""
    """As in `Row`."""


def absence(connector: str, organization: Organization) -> str:
    """`'connector "ISP" is disabled'`, `'… is not in the file any more'`; empty: it is in use, or none is named."""
    found = organization.connector(connector) if connector else None
    if not connector or (found is not None and found.enabled):
        return ""
    return f'connector "{connector}" is {"disabled" if found is not None else "not in the file any more"}'


def why_held(hold: Hold, connector: str, organization: Organization | None) -> str:
    """What of the configuration keeps mail that is held and waited for `connector`; `None`: it is not known."""
    gone = absence(connector, organization) if organization is not None else ""
    match hold:
        case Hold.CONFIGURATION:
            return f"{gone} and nothing else serves it" if gone else "nothing serves it"
        case Hold.NONE:
            return ""
        case _:
            return gone


def rows_without_server(
    entries: Iterable[StoredEntry], selection: Selection, now: float, organization: Organization | None = None
) -> Iterator[Row]:
    """The rows of a spool that no server has open; what is only known while running is left out.

    `organization`: of the file, to say what of it keeps mail.
    """
    for entry in entries:
        if selection.message_ids and entry.message_id not in selection.message_ids:
            continue
        groups: dict[tuple[str, Hold, QueueState, float], list[Recipient]] = {}
        for recipient in waiting(entry.envelope, entry.states):
            state = entry.states.get(recipient.ordinal, FRESH)
            due = state.next_attempt if state.next_attempt > now and state.hold is Hold.NONE else 0.0
            word = HELD_AS.get(state.hold) or (QueueState.RETRY if due else QueueState.READY)
            groups.setdefault((state.connector, state.hold, word, due), []).append(recipient)
        for (connector, hold, word, due), recipients in groups.items():
            place = Whereabouts(connector, "", word, due, because=why_held(hold, connector, organization))
            if selection.connector in (None, connector) and selection.includes(entry.envelope):
                chosen = [one for one in recipients if selection.includes_recipient(one)]
                if chosen:
                    yield row(entry.message_id, entry.envelope, entry.states, chosen, place)


def row(
    message_id: MessageId,
    envelope: Envelope,
    states: Mapping[int, RecipientState],
    recipients: Iterable[Recipient],
    place: Whereabouts,
) -> Row:
    """Recipients that wait in one place."""
    rows = tuple(_recipient_row(one, states.get(one.ordinal, FRESH)) for one in recipients)
    return Row(
        queue_id.write(message_id),
        envelope.received_at,
        envelope.reverse_path,
        envelope.size,
        envelope.message_id,
        place.connector,
        place.next_hop,
        place.state,
        place.next_attempt,
        place.reason or next((one.reason for one in rows if one.reason), ""),
        rows,
        place.because,
    )


def waiting(envelope: Envelope, states: Mapping[int, RecipientState]) -> list[Recipient]:
    """The recipients of a message that are not settled."""
    return [one for one in envelope.recipients if not states.get(one.ordinal, FRESH).standing.is_settled]


def words_of(code: int, enhanced: str, text: str) -> str:
    """A reply on one line: `"451 4.7.1 greylisted"`."""
    return " ".join(part for part in (str(code) if code else "", enhanced, text.replace("\n", " ")) if part)


def _recipient_row(recipient: Recipient, state: RecipientState) -> RecipientRow:
    reason = words_of(state.code, state.enhanced, state.text)
    return RecipientRow(recipient.ordinal, recipient.address, state.attempts, reason)
