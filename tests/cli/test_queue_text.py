"""How waiting mail looks."""

from __future__ import annotations

import msgspec
import pytest

from bridgehead.cli.queue_text import affected_text, list_text, place_text, sender_text, summary_text
from bridgehead.cli.waiting_mail import Listing
from bridgehead.outbound.listing import QueueState
from tests.cli.waiting import ARRIVED, FIRST, SECOND, row

NOW = ARRIVED + 60


@pytest.mark.parametrize(
    ("state", "next_attempt", "text"),
    [
        (QueueState.READY, 0, 'ready, goes as soon as there is room, by "ISP"'),
        (QueueState.ACTIVE, 0, 'is being sent, by "ISP"'),
        (QueueState.RETRY, NOW + 90, 'retry in 1 min 30 s, by "ISP"'),
        (QueueState.RETRY, 0, 'waits to be tried again, by "ISP"'),
        (
            QueueState.UNREACHABLE,
            NOW + 60,
            'unreachable, nothing that takes it is up, next attempt in 1 min, by "ISP"',
        ),
        (QueueState.CREDENTIAL, 0, 'held, the next hop refused our credentials, by "ISP"'),
        (QueueState.FROZEN, 0, 'frozen until it is released, by "ISP"'),
    ],
)
def test_place_reads(state: QueueState, next_attempt: float, text: str) -> None:
    assert place_text(row(state=state, next_attempt=next_attempt), NOW) == text


GONE = 'connector "ISP" is disabled'
BECAUSE = {
    QueueState.UNREACHABLE: f"unreachable, {GONE}",
    QueueState.FROZEN: f'frozen until it is released, by "Backup"; {GONE}',
    QueueState.READY: f'ready, goes as soon as there is room, by "Backup"; {GONE}',
}


@pytest.mark.parametrize(("state", "text"), BECAUSE.items(), ids=BECAUSE.keys())
def test_place_says_what_of_the_file_keeps_it(state: QueueState, text: str) -> None:
    found = row(state=state, next_attempt=0, connector="Backup")
    assert place_text(msgspec.structs.replace(found, because=GONE), NOW) == text


def test_every_state_has_words() -> None:
    for state in QueueState:
        assert place_text(row(state=state), NOW)


def test_recipients_of_a_row_are_bounded() -> None:
    many = [f"r{number}@fabrikam.com" for number in range(1_234)]
    lines = list_text([row(FIRST, *many)], NOW).splitlines()
    assert len(lines) == 13
    assert lines[-1] == "        … and 1,224 more"


def test_hostile_text_does_not_reach_the_terminal() -> None:
    hostile = "\x1b[2J\u202e"
    text = list_text([row(FIRST, f"b{hostile}@b", connector=hostile, sender=hostile, reason=hostile)], NOW)
    assert text.replace("\n", "").isprintable()


def test_null_sender_is_written_as_such() -> None:
    assert (sender_text(""), sender_text("a@b")) == ("<>", "a@b")


@pytest.mark.parametrize(
    ("listing", "text"),
    [
        (Listing((row(FIRST), row(SECOND)), 0, is_cut=False, is_live=True), "2 messages, 2 recipients\n"),
        (Listing((row(FIRST),), 1_500, is_cut=True, is_live=True), "… and 1,500 more: --limit shows more of them\n"),
        (
            Listing((row(FIRST),), 0, is_cut=True, is_live=True),
            "… and more recipients: --limit shows more of them\n",
        ),
    ],
)
def test_summary_reads(listing: Listing, text: str) -> None:
    assert summary_text(listing) == text


def test_what_was_left_alone_is_said() -> None:
    assert affected_text("Held", 1_000, 2_000, 0) == "Held 1,000 messages (2,000 recipients).\n"
    assert (
        affected_text("Held", 1, 1, 2).splitlines()[1] == "2 are being sent at this moment and left alone: try again."
    )
