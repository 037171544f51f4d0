"""What waits, as rows: of a spool without a server, and what a selection leaves in."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from bridgehead.core import queue_id
from bridgehead.core.envelope import MessageId
from bridgehead.core.recipient_state import Hold, RecipientState, Standing
from bridgehead.outbound.listing import (
    EVERYTHING,
    HELD_AS,
    QueueState,
    Row,
    Selection,
    Whereabouts,
    absence,
    row,
    rows_without_server,
    waiting,
    why_held,
    words_of,
)
from bridgehead.spool.contract import StoredEntry
from tests.outbound.back_room import NOW, message
from tests.outbound.post_office import connector, disabled, organization

LATER = RecipientState(
    attempts=2, next_attempt=NOW + 60, connector="ISP", code=451, enhanced="4.7.1", text="greylisted"
)
DUE = RecipientState(attempts=2, next_attempt=NOW - 60, connector="ISP")
DONE = RecipientState(Standing.DELIVERED)
FROZEN = RecipientState(hold=Hold.FROZEN, next_attempt=NOW + 60, connector="ISP", text="by an operator")


def entry(number: int, *addresses: str, states: Mapping[int, RecipientState] | None = None) -> StoredEntry:
    found = message(number, *addresses, states=states)
    return StoredEntry(found.message_id, found.envelope, found.states)


def rows(*entries: StoredEntry, selection: Selection = EVERYTHING) -> list[Row]:
    return list(rows_without_server(entries, selection, NOW))


STATES: dict[str, tuple[RecipientState, QueueState, float]] = {
    "fresh": (RecipientState(), QueueState.READY, 0),
    "due": (DUE, QueueState.READY, 0),
    "later": (LATER, QueueState.RETRY, NOW + 60),
    "frozen, whatever its time": (FROZEN, QueueState.FROZEN, 0),
    "credentials": (RecipientState(hold=Hold.CREDENTIAL), QueueState.CREDENTIAL, 0),
    "no route any more": (RecipientState(hold=Hold.CONFIGURATION), QueueState.UNREACHABLE, 0),
}


@pytest.mark.parametrize("name", STATES)
def test_the_state_of_a_recipient_without_a_server(name: str) -> None:
    state, word, due = STATES[name]
    (found,) = rows(entry(1, states={0: state}))
    assert (found.state, found.next_attempt, found.connector) == (word, due, state.connector)


def test_every_hold_has_its_word() -> None:
    assert HELD_AS.keys() == set(Hold) - {Hold.NONE}


def test_a_row_says_what_the_message_is() -> None:
    (found,) = rows(entry(7, "a@x.example", states={0: LATER}))
    assert found == Row(
        queue_id.write(7),
        NOW,
        "alice@contoso.com",
        message(7).envelope.size,
        "<1@x>",
        "ISP",
        "",
        QueueState.RETRY,
        NOW + 60,
        "451 4.7.1 greylisted",
        found.recipients,
    )
    (recipient,) = found.recipients
    assert (recipient.ordinal, recipient.address, recipient.attempts, recipient.reason) == (
        0,
        "a@x.example",
        2,
        "451 4.7.1 greylisted",
    )


def test_recipients_that_wait_together_are_one_row_and_settled_ones_are_none() -> None:
    states = {1: LATER, 2: DONE, 3: LATER, 4: FROZEN}
    found = rows(entry(1, *[f"u{number}@x.example" for number in range(6)], states=states))
    assert [(one.state, [who.ordinal for who in one.recipients]) for one in found] == [
        (QueueState.READY, [0, 5]),
        (QueueState.RETRY, [1, 3]),
        (QueueState.FROZEN, [4]),
    ]


def test_a_message_whose_recipients_are_settled_is_not_listed() -> None:
    assert rows(entry(1, states={0: DONE})) == []
    assert waiting(entry(1).envelope, {0: DONE}) == []


ENTRIES = (
    entry(1, "a@x.example", "b@y.example"),
    entry(2, "c@y.example", states={0: LATER}),
    entry(3, "d@x.example", states={0: FROZEN}),
)
SELECTIONS: dict[str, tuple[Selection, list[tuple[int, list[str]]]]] = {
    "everything": (EVERYTHING, [(1, ["a", "b"]), (2, ["c"]), (3, ["d"])]),
    "by id": (Selection(frozenset({MessageId(1), MessageId(3)})), [(1, ["a", "b"]), (3, ["d"])]),
    "by connector": (Selection(connector="ISP"), [(2, ["c"]), (3, ["d"])]),
    "by no connector": (Selection(connector=""), [(1, ["a", "b"])]),
    "by domain, others of a message left alone": (Selection(domain="y.example"), [(1, ["b"]), (2, ["c"])]),
    "by sender in another case": (Selection(sender="ALICE@contoso.com"), [(1, ["a", "b"]), (2, ["c"]), (3, ["d"])]),
    "by another sender": (Selection(sender="bob@contoso.com"), []),
    "by the null reverse path": (Selection(sender=""), []),
    "by two at once": (Selection(connector="ISP", domain="x.example"), [(3, ["d"])]),
}


@pytest.mark.parametrize("name", SELECTIONS)
def test_a_selection(name: str) -> None:
    selection, expected = SELECTIONS[name]
    found = rows(*ENTRIES, selection=selection)
    assert [
        (queue_id.read(one.queue_id), [who.address.partition("@")[0] for who in one.recipients]) for one in found
    ] == expected


def test_trouble_of_the_queue_comes_before_the_words_of_a_recipient() -> None:
    found = message(1, states={0: LATER})
    place = Whereabouts("ISP", "smart-hosts", QueueState.RETRY, 0.0, "connection refused")
    one = row(found.message_id, found.envelope, found.states, found.envelope.recipients, place)
    assert (one.reason, one.next_hop) == ("connection refused", "smart-hosts")
    assert one.recipients[0].reason == "451 4.7.1 greylisted"


WORDS = {
    (451, "4.7.1", "greylisted"): "451 4.7.1 greylisted",
    (0, "4.4.1", "connection refused"): "4.4.1 connection refused",
    (550, "", "no\nsuch\nuser"): "550 no such user",
    (0, "", ""): "",
}


@pytest.mark.parametrize("reply", WORDS)
def test_a_reply_on_one_line(reply: tuple[int, str, str]) -> None:
    assert words_of(*reply) == WORDS[reply]


# What of the file keeps mail

IN_USE = organization(connector("ISP", "*"), connector("Partner", "*.fabrikam.com"))
ABSENCES = {
    "in use": ("ISP", ""),
    "none is named": ("", ""),
    "disabled": ("Partner", 'connector "Partner" is disabled'),
    "removed": ("Old", 'connector "Old" is not in the file any more'),
}


@pytest.mark.parametrize(("name", "words"), ABSENCES.values(), ids=ABSENCES.keys())
def test_a_connector_that_takes_nothing_any_more_says_why(name: str, words: str) -> None:
    assert absence(name, disabled(IN_USE, "Partner")) == words


HOLDS = {
    "not held": (Hold.NONE, "Old", ""),
    "frozen, its connector in use": (Hold.FROZEN, "ISP", ""),
    "frozen, its connector gone": (Hold.FROZEN, "Old", 'connector "Old" is not in the file any more'),
    "credential, its connector gone": (Hold.CREDENTIAL, "Old", 'connector "Old" is not in the file any more'),
    "no route": (Hold.CONFIGURATION, "", "nothing serves it"),
    "no route, its connector gone": (
        Hold.CONFIGURATION,
        "Old",
        'connector "Old" is not in the file any more and nothing else serves it',
    ),
}


@pytest.mark.parametrize(("hold", "name", "words"), HOLDS.values(), ids=HOLDS.keys())
def test_held_mail_says_what_of_the_file_keeps_it(hold: Hold, name: str, words: str) -> None:
    assert why_held(hold, name, IN_USE) == words
    (found,) = rows_without_server(
        [entry(1, states={0: RecipientState(hold=hold, connector=name)})], EVERYTHING, NOW, IN_USE
    )
    assert found.because == words


def test_without_a_file_held_mail_says_what_is_certain() -> None:
    assert why_held(Hold.CONFIGURATION, "Old", None) == "nothing serves it"
    assert why_held(Hold.FROZEN, "Old", None) == ""
