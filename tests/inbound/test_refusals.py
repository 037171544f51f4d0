"""What a session refuses with: codes that agree with their class, and texts that tell a stranger nothing."""

from __future__ import annotations

import errno
import re
import sqlite3
from pathlib import Path

import pytest

from bridgehead.core.reply import Reply
from bridgehead.inbound import refusals
from bridgehead.spool.contract import SpoolLostError

OURS = {name: value for name, value in vars(refusals).items() if isinstance(value, Reply)}

CODES = {
    "NOT_ALLOWED": "554 5.7.1",
    "TOO_MANY_SESSIONS": "421 4.3.2",
    "STOPPING": "421 4.3.2",
    "TIMED_OUT": "421 4.4.2",
    "NEEDS_TLS": "530 5.7.0",
    "NEEDS_AUTHENTICATION": "530 5.7.0",
    "NO_STORAGE": "452 4.3.1",
    "SESSION_FULL": "421 4.7.0",
    "TOO_MANY_RECIPIENTS": "452 4.5.3",
    "TOO_MANY_HOPS": "554 5.4.6",
    "OUR_FAULT": "451 4.3.0",
    "BAD_CREDENTIALS": "535 5.7.8",
    "CREDENTIALS_LATER": "454 4.7.0",
    "TOO_MANY_FAILURES": "421 4.7.0",
}
"""RFC 5321 4.2.3 and 4.5.3.1.10, RFC 3463, RFC 3207 4, RFC 4954 6."""
REVEALING = re.compile(
    r"[/\\@0-9]|disk|spool|sqlite|python|argon|exception|bridgehead|password|unknown user", re.IGNORECASE
)


def test_every_refusal_has_its_code_here() -> None:
    assert {name: f"{reply.code} {reply.enhanced}" for name, reply in OURS.items()} == CODES


@pytest.mark.parametrize("name", OURS)
def test_an_enhanced_status_agrees_with_its_code_and_none_accepts(name: str) -> None:
    reply = OURS[name]
    assert reply.enhanced[0] == str(reply.code)[0]
    assert not reply.is_positive


@pytest.mark.parametrize("name", OURS)
def test_a_text_is_one_plain_line_without_details_of_ours(name: str) -> None:
    text = OURS[name].text
    assert text
    assert text.isascii()
    assert text.isprintable()
    assert not REVEALING.search(text)
    assert len(OURS[name].encode()) <= 512


@pytest.mark.parametrize("name", ["NO_STORAGE", "OUR_FAULT", "STOPPING", "TIMED_OUT", "CREDENTIALS_LATER"])
def test_troubles_of_ours_never_bounce_mail(name: str) -> None:
    assert OURS[name].is_temporary


@pytest.mark.parametrize(
    ("error", "reply"),
    [
        (OSError(errno.ENOSPC, "full"), refusals.NO_STORAGE),
        (sqlite3.OperationalError("disk I/O error"), refusals.NO_STORAGE),
        (SpoolLostError(Path("p0.db"), KeyError("a defect")), refusals.OUR_FAULT),
    ],
)
def test_what_was_not_stored_is_the_disks_fault_unless_it_is_ours(error: Exception, reply: Reply) -> None:
    assert refusals.not_stored(error) is reply
