"""Our own replies keep the grammar, their enhanced status agrees with their code, and none tells too much."""

from __future__ import annotations

import re

import pytest

from bridgehead.core.reply import Reply
from bridgehead.smtp import replies
from bridgehead.smtp.server_state import QUESTIONS, State

OURS = {name: value for name, value in vars(replies).items() if isinstance(value, Reply)}
CODES = {
    "RFC 5321 4.2.3": {214, 220, 221, 250, 252, 354, 421, 500, 501, 502, 503, 504, 550, 552, 554, 555},
    "RFC 4954 6": {235, 538},
}
WITHOUT_ENHANCED_STATUS = {"START_DATA"}
"""RFC 2034 4: none in 3yz replies."""
CLOSING = {"TOO_MANY_ERRORS", "TOO_MANY_IDLE", "BUFFER_FULL"}


def test_there_are_replies_to_look_at() -> None:
    assert len(OURS) > 30


@pytest.mark.parametrize("name", OURS)
def test_a_code_is_one_that_a_standard_has(name: str) -> None:
    assert OURS[name].code in set.union(*CODES.values())


@pytest.mark.parametrize("name", OURS)
def test_an_enhanced_status_agrees_with_its_code(name: str) -> None:
    reply = OURS[name]
    if name in WITHOUT_ENHANCED_STATUS:
        assert reply.enhanced == ""
        assert 300 <= reply.code < 400
        return
    assert re.fullmatch(r"[245]\.[0-7]\.(0|[1-9][0-9]?)", reply.enhanced)
    assert reply.enhanced[0] == str(reply.code)[0]


@pytest.mark.parametrize("name", OURS)
def test_a_text_is_one_short_printable_line(name: str) -> None:
    text = OURS[name].text
    assert text
    assert text.isascii()
    assert text.isprintable()
    assert len(OURS[name].encode()) <= 512, "RFC 5321 4.5.3.1.5"


@pytest.mark.parametrize("name", OURS)
def test_421_is_for_what_closes_the_session(name: str) -> None:
    assert (OURS[name].code == 421) == (name in CLOSING)


def test_what_the_driver_compares_by_identity_is_one_value() -> None:
    assert replies.BARE_CONTENT != replies.TOO_LARGE
    assert replies.BARE_CONTENT.code == 550
    assert (replies.TOO_LARGE.code, replies.TOO_LARGE.enhanced) == (552, "5.3.4")


def test_every_question_has_its_acceptance_and_nothing_else_has() -> None:
    assert replies.ACCEPTANCE.keys() == QUESTIONS


def test_acceptances_say_what_was_asked() -> None:
    assert {state: octets[:9] for state, octets in replies.ACCEPTANCE.items()} == {
        State.MAIL_ASKED: b"250 2.1.0",
        State.FIRST_RCPT_ASKED: b"250 2.1.5",
        State.RCPT_ASKED: b"250 2.1.5",
        State.DATA_ASKED: b"354 Send ",
        State.CHUNK_ASKED: b"",
        State.LAST_CHUNK_ASKED: b"",
        State.END_ASKED: b"250 2.0.0",
        State.CREDENTIALS_ASKED: b"235 2.7.0",
    }
    assert all(octets.endswith(b"\r\n") for octets in replies.ACCEPTANCE.values() if octets)
