"""The record of who sent what to whom: what a recipient wants, and records that outlive a change of version."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridgehead.core.envelope import NOTIFY_DEFAULT, NULL_PATH, BodyType, Envelope, Notify, Recipient
from bridgehead.smtp.parameters import parse_notify

WANTED: dict[int, Notify] = {
    -1: Notify.FAILURE | Notify.DELAY,
    0: Notify.NEVER,
    1: Notify.SUCCESS,
    2: Notify.FAILURE,
    4: Notify.DELAY,
    7: Notify.SUCCESS | Notify.FAILURE | Notify.DELAY,
}

OLDEST_RECIPIENT = [0, "b@example.org", "example.org"]
OLDEST_ENVELOPE = ["a@example.org", [OLDEST_RECIPIENT], 5, 1.5, "A/B"]
"""As the first version wrote them: fields by place, so their order is for ever."""


@pytest.mark.parametrize("notify", WANTED)
def test_a_recipient_wants_what_it_said_and_else_failure_and_delay(notify: int) -> None:
    assert Recipient(0, "b@example.org", "example.org", notify).wants == WANTED[notify]


def test_never_is_told_from_nothing_said() -> None:
    assert Recipient(0, "b@example.org", "example.org", notify=0).wants != NOTIFY_DEFAULT


def test_the_words_of_rcpt_and_the_flags_stored_are_the_same() -> None:
    for flag in (Notify.NEVER, Notify.SUCCESS, Notify.FAILURE, Notify.DELAY):
        assert parse_notify(str(flag.name)) == flag


def test_records_of_the_first_version_are_read() -> None:
    envelope = msgspec.msgpack.decode(msgspec.msgpack.encode(OLDEST_ENVELOPE), type=Envelope)
    assert envelope == Envelope("a@example.org", (Recipient(0, "b@example.org", "example.org"),), 5, 1.5, "A/B")
    assert (envelope.protocol, envelope.body_type, envelope.smtputf8) == ("ESMTP", "7BIT", False)
    assert not envelope.is_dsn


def test_records_of_a_later_version_are_read_without_what_is_new() -> None:
    written = msgspec.to_builtins(Envelope("a@example.org", (), 5, 1.5, "A/B"))
    assert isinstance(written, list)
    later = msgspec.msgpack.encode([*written, "a field of tomorrow"])
    assert msgspec.msgpack.decode(later, type=Envelope) == Envelope("a@example.org", (), 5, 1.5, "A/B")


def test_the_order_of_stored_fields_stays() -> None:
    assert Recipient.__struct_fields__[:5] == ("ordinal", "address", "domain", "notify", "original")
    assert Envelope.__struct_fields__[:14] == (
        "reverse_path",
        "recipients",
        "size",
        "received_at",
        "virtual_server",
        "client",
        "helo",
        "protocol",
        "user",
        "body_type",
        "smtputf8",
        "ret",
        "envid",
        "message_id",
    )


TEXT = st.text(max_size=20)
RECIPIENTS = st.builds(Recipient, st.integers(0, 999), TEXT, TEXT, st.integers(-1, 7), TEXT)
ENVELOPES = st.builds(
    Envelope,
    TEXT,
    st.lists(RECIPIENTS, max_size=3).map(tuple),
    st.integers(0, 10**12),
    st.floats(0, 1e10),
    TEXT,
    body_type=st.sampled_from([str(one) for one in BodyType]),
    smtputf8=st.booleans(),
    is_dsn=st.booleans(),
)


@given(ENVELOPES)
def test_what_is_written_is_read(envelope: Envelope) -> None:
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(envelope), type=Envelope) == envelope


def test_an_envelope_is_never_edited() -> None:
    envelope = Envelope(NULL_PATH, (), 0, 0.0, "A/B")
    with pytest.raises(AttributeError, match="immutable"):
        envelope.size = 1  # type: ignore[misc]  # what a frozen record refuses
