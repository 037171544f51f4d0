"""No limit is below what the standards let a client rely on, and none is without bound."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields

import pytest

from bridgehead.core import address
from bridgehead.smtp.limits import DIGITS_MAX, LIMITS

# RFC 3461 5 adds these octets to the lines of MAIL and RCPT, RFC 1870 3, RFC 6152 and RFC 6531 theirs to MAIL's.
MAIL_EXTENSIONS = len(" SIZE=") + DIGITS_MAX + 17 + 10 + len(" RET=FULL ENVID=") + 100 + len(" AUTH=") + 500
RCPT_EXTENSIONS = 500 + len(" NOTIFY=SUCCESS,FAILURE,DELAY")

MINIMUMS = {
    "command_line_max": (512 + max(MAIL_EXTENSIONS, RCPT_EXTENSIONS), "RFC 5321 4.5.3.1.4 and the extensions"),
    "authentication_line_max": (12_288, "RFC 4954 4"),
    "domain_max": (255, "RFC 5321 4.5.3.1.2"),
    "envelope_id_max": (100, "RFC 3461 4.4"),
    "original_recipient_max": (500, "RFC 3461 4.2"),
    "errors_max": (100, "a message with 100 wrong recipients, RFC 5321 4.5.3.1.8"),
    "idle_commands_max": (20, "some EHLO, RSET and NOOP before and between messages"),
    "buffer_max": (256 * 1024, "one read of the event loop"),
}
GENEROSITY_MAX = 10
"""Whoever raises a limit beyond this must think of memory for each session."""


def test_every_limit_has_its_minimum_here() -> None:
    assert {field.name for field in fields(LIMITS)} == MINIMUMS.keys()


@pytest.mark.parametrize("name", MINIMUMS)
def test_a_limit_lies_between_what_is_promised_and_what_is_safe(name: str) -> None:
    minimum, source = MINIMUMS[name]
    assert minimum <= getattr(LIMITS, name) <= GENEROSITY_MAX * minimum, source


def test_a_line_holds_the_longest_path_that_is_taken() -> None:
    assert LIMITS.command_line_max >= len("RCPT TO:<>\r\n") + address.PATH_OCTETS_MAX + RCPT_EXTENSIONS


def test_the_buffer_holds_the_longest_line() -> None:
    assert LIMITS.buffer_max > max(LIMITS.command_line_max, LIMITS.authentication_line_max)


def test_a_number_may_have_as_many_digits_as_rfc_1870_says() -> None:
    assert DIGITS_MAX == 20


def test_limits_are_never_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        LIMITS.errors_max = 0  # type: ignore[misc]  # what a frozen class refuses
