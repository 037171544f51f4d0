"""Events are values, and those of a transaction name every recipient once."""

from __future__ import annotations

from bridgehead.core.reply import Reply
from bridgehead.smtp.client_event import Closed, ContentWanted, Phase, Refused, TraceKind


def test_events_that_say_the_same_are_equal() -> None:
    assert ContentWanted() == ContentWanted()
    assert Closed(Reply(221, "", "Bye")) == Closed(Reply(221, "", "Bye"))
    assert Refused(Phase.HELLO, Reply(550, "", "")) != Refused(Phase.STARTTLS, Reply(550, "", ""))


def test_phases_and_trace_lines_are_named_as_people_read_them() -> None:
    assert [str(phase) for phase in Phase] == ["greeting", "EHLO", "STARTTLS", "AUTH"]
    assert {"dial", "tls", "sent", "received"} <= {str(kind) for kind in TraceKind}
