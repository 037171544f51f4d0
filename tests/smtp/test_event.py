"""Events of the server half are values that nobody changes, and a password shows in none of them."""

from __future__ import annotations

from typing import get_args

import msgspec
import pytest

from bridgehead.core.address import Mailbox
from bridgehead.smtp import event
from bridgehead.smtp.event import Authenticate, Content, ContentEnd, Credentials, MailFrom, RcptTo

EVENTS: tuple[type[msgspec.Struct], ...] = get_args(event.Event)


def test_every_event_of_the_module_is_in_the_union() -> None:
    defined = {
        value for value in vars(event).values() if isinstance(value, type) and value.__module__ == event.__name__
    }
    assert set(EVENTS) == defined - {Credentials}


@pytest.mark.parametrize("kind", EVENTS, ids=lambda kind: kind.__name__)
def test_events_are_frozen(kind: type[msgspec.Struct]) -> None:
    assert kind.__struct_config__.frozen


def test_events_that_say_the_same_are_equal_and_others_are_not() -> None:
    assert MailFrom("a@example.org") == MailFrom("a@example.org", 0, "7BIT", False, "", "")
    assert MailFrom("a@example.org") != MailFrom("A@example.org")
    assert Content(b"x") != Content(b"y")


def test_what_a_client_does_not_say_is_told_from_what_it_says() -> None:
    recipient = RcptTo(Mailbox("b@example.org", "b", "example.org"))
    assert recipient.notify == -1
    assert recipient.original == ""
    assert ContentEnd(1, has_eight_bit=False).fault is None


def test_a_password_shows_in_no_text_of_an_event() -> None:
    credentials = Credentials("user", "secret")
    asked = Authenticate("PLAIN", credentials)
    for text in (repr(credentials), str(credentials), f"{credentials}", repr(asked), str(asked), f"{[asked]}"):
        assert "secret" not in text
        assert "user" in text
    assert credentials.password == "secret"
