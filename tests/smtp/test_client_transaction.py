"""Transactions: what the server says to MAIL, RCPT, DATA and the content, and what comes of it."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridgehead.core.envelope import Envelope, Recipient
from bridgehead.core.error import ProtocolError
from bridgehead.core.outcome import Deferred, Delivered, Failed, Scope
from bridgehead.core.reply import TEXT_MAX, Reply
from bridgehead.smtp.client_event import (
    ContentWanted,
    TransactionEnded,
)
from tests.smtp.talk import CONTENT, GO, HOST, LOST, OK, SKIP, STUFFED, envelope, greeted, recipients

# One transaction


def test_commands_are_pipelined_where_the_server_takes_it() -> None:
    talk = greeted("PIPELINING", "SIZE 100")
    assert talk.begin(2) == (
        f"MAIL FROM:<a@c.com> SIZE={len(CONTENT)}\r\nRCPT TO:<r0@f.com>\r\nRCPT TO:<r1@f.com>\r\nDATA\r\n"
    )
    assert talk.server("250 2.1.0 Ok", "250 2.1.5 Ok", "250 2.1.5 Ok", "354 Go") == ""
    assert talk.event() == ContentWanted()
    talk.client.send_content(CONTENT)
    assert talk.says() == STUFFED
    talk.server("250 2.0.0 Queued")
    delivered = Delivered(Reply(250, "2.0.0", "Queued"), HOST)
    assert talk.ended() == TransactionEnded({0: delivered, 1: delivered}, ())
    assert talk.client.is_reusable
    assert talk.begin().startswith("MAIL"), "no RSET is needed after a message"


def test_commands_go_step_by_step_without_pipelining() -> None:
    talk = greeted()
    assert talk.begin(2) == "MAIL FROM:<a@c.com>\r\n"
    assert talk.server("250 Ok") == "RCPT TO:<r0@f.com>\r\n"
    assert talk.server("250 Ok") == "RCPT TO:<r1@f.com>\r\n"
    assert talk.server("250 Ok") == "DATA\r\n"
    assert talk.server("354 Go") == ""
    assert talk.event() == ContentWanted()
    talk.client.send_block(b"x\r\n")
    assert talk.says() == "x\r\n"
    talk.client.end_content(b".\r\n")
    assert talk.says() == ".\r\n"
    talk.server("250 Queued")
    assert len(talk.ended().outcomes) == 2


DELIVERED = Delivered(Reply(250, "", "Ok"), HOST)
LATER = Deferred(Reply(450, "4.2.1", "Later"), Scope.MESSAGE, HOST)
NEVER = Failed(Reply(550, "5.1.1", "No"), HOST)
BUSY = Deferred(Reply(421, "4.3.2", "Bye"), Scope.HOST, HOST)
LOGIN = Deferred(Reply(530, "5.7.0", "Login"), Scope.CREDENTIAL, HOST)

# name: replies to MAIL, each RCPT, DATA and the end of the content; outcomes by ordinal; ordinals that remain
OUTCOMES = {
    "all is well": ([OK, OK, OK, GO, OK], {0: DELIVERED, 1: DELIVERED}, []),
    "251 is acceptance": ([OK, "251 Forwards", "252 Maybe", GO, OK], {0: DELIVERED, 1: DELIVERED}, []),
    "one recipient unknown": ([OK, "550 5.1.1 No", OK, GO, OK], {0: NEVER, 1: DELIVERED}, []),
    "one recipient later": ([OK, OK, "450 4.2.1 Later", GO, OK], {0: DELIVERED, 1: LATER}, []),
    "no recipient": ([OK, "550 5.1.1 No", "450 4.2.1 Later", SKIP], {0: NEVER, 1: LATER}, []),
    "no recipient, yet 354": ([OK, "550 5.1.1 No", "550 5.1.1 No", GO, OK], {0: NEVER, 1: NEVER}, []),
    "MAIL later": (["450 4.2.1 Later", SKIP, SKIP, SKIP], {0: LATER, 1: LATER}, []),
    "MAIL never": (["550 5.1.1 No", SKIP, SKIP, SKIP], {0: NEVER, 1: NEVER}, []),
    "MAIL refused, the rest taken": (["550 5.1.1 No", OK, OK, GO, OK], {0: NEVER, 1: NEVER}, []),
    "MAIL needs login": (["530 5.7.0 Login", SKIP, SKIP, SKIP], {0: LOGIN, 1: LOGIN}, []),
    "RCPT needs login": ([OK, "530 5.7.0 Login", "530 5.7.0 Login", SKIP], {0: LOGIN, 1: LOGIN}, []),
    "DATA later": ([OK, OK, OK, "450 4.2.1 Later"], {0: LATER, 1: LATER}, []),
    "DATA never": ([OK, OK, "450 4.2.1 Later", "550 5.1.1 No"], {0: NEVER, 1: LATER}, []),
    "content later": ([OK, OK, OK, GO, "450 4.2.1 Later"], {0: LATER, 1: LATER}, []),
    "content never": ([OK, OK, "550 5.1.1 No", GO, "450 4.2.1 Later"], {0: LATER, 1: NEVER}, []),
    "421 to MAIL": (["421 4.3.2 Bye"], {0: BUSY, 1: BUSY}, []),
    "421 to RCPT": ([OK, "550 5.1.1 No", "421 4.3.2 Bye"], {0: NEVER, 1: BUSY}, []),
    "421 to DATA": ([OK, OK, "550 5.1.1 No", "421 4.3.2 Bye"], {0: BUSY, 1: NEVER}, []),
    "421 to the content": ([OK, OK, OK, GO, "421 4.3.2 Bye"], {0: BUSY, 1: BUSY}, []),
    "too many recipients": ([OK, OK, "452 4.5.3 Enough", GO, OK], {0: DELIVERED}, [1]),
    "too many, without status": ([OK, OK, "452 Enough", GO, OK], {0: DELIVERED}, [1]),
    "too many, as RFC 821 had it": ([OK, OK, "552 Enough", GO, OK], {0: DELIVERED}, [1]),
    "mailbox full is not too many": (
        [OK, OK, "552 5.2.2 Full", GO, OK],
        {0: DELIVERED, 1: Failed(Reply(552, "5.2.2", "Full"), HOST)},
        [],
    ),
    "no space is not too many": (
        [OK, OK, "452 4.3.1 Full", GO, OK],
        {0: DELIVERED, 1: Deferred(Reply(452, "4.3.1", "Full"), Scope.MESSAGE, HOST)},
        [],
    ),
    "too many for the first one": (
        [OK, "452 4.5.3 Enough", OK, GO, OK],
        {0: Deferred(Reply(452, "4.5.3", "Enough"), Scope.MESSAGE, HOST), 1: DELIVERED},
        [],
    ),
    "too many, then 421": ([OK, OK, "452 4.5.3 Enough", "421 4.3.2 Bye"], {0: BUSY, 1: BUSY}, []),
}
STEPWISE_ENDS = {"no recipient": 3, "no recipient, yet 354": 3, "RCPT needs login": 3}
"""Replies that come at all where DATA is not sent without a recipient; after a refused MAIL it is one."""


@pytest.mark.parametrize("extension", ["PIPELINING", "HELP"])
@pytest.mark.parametrize("name", OUTCOMES)
def test_replies_become_outcomes(name: str, extension: str) -> None:
    replies, outcomes, remaining = OUTCOMES[name]
    if extension == "HELP":
        replies = replies[: 1 if name.startswith("MAIL") else STEPWISE_ENDS.get(name)]
    talk = greeted(extension)
    talk.begin(2)
    ended: TransactionEnded | None = None
    for reply in replies:
        assert ended is None, "no reply is due after the end"
        says = talk.server(reply)
        while (event := talk.event()) is not None:
            if isinstance(event, ContentWanted):
                talk.client.send_content(CONTENT)
                assert talk.says() == STUFFED
            elif isinstance(event, TransactionEnded):
                ended = event
        if reply == GO and "yet" in name:
            assert says == ".\r\n", "a lone dot ends the message for no one"
    assert ended is not None
    assert ended.outcomes == outcomes
    assert [recipient.ordinal for recipient in ended.remaining] == remaining
    assert talk.client.is_reusable is not any(reply.startswith("421") for reply in replies)


def test_rset_goes_before_the_next_message_where_the_last_one_did_not_end() -> None:
    talk = greeted("PIPELINING")
    talk.begin()
    talk.server(OK, "550 5.1.1 No", SKIP)
    assert talk.ended().outcomes == {0: NEVER}
    assert talk.begin() == "RSET\r\nMAIL FROM:<a@c.com>\r\nRCPT TO:<r0@f.com>\r\nDATA\r\n"
    talk.server(OK, OK, OK, GO)
    assert talk.event() == ContentWanted()


def test_refused_rset_breaks_the_conversation() -> None:
    talk = greeted("PIPELINING")
    talk.begin()
    talk.server(OK, "550 5.1.1 No", SKIP)
    talk.ended()
    talk.begin()
    with pytest.raises(ProtocolError):
        talk.server("500 What?")


NONSENSE = {
    "354 to MAIL": [GO],
    "354 to RCPT": [OK, GO],
    "250 to DATA": [OK, OK, OK],
    "354 to the content": [OK, OK, GO, GO],
}


@pytest.mark.parametrize("replies", NONSENSE.values(), ids=NONSENSE.keys())
def test_reply_of_the_wrong_kind_breaks_the_conversation(replies: list[str]) -> None:
    talk = greeted("PIPELINING")
    talk.begin()
    for reply in replies[:-1]:
        talk.server(reply)
    if isinstance(talk.event(), ContentWanted):
        talk.client.send_content(CONTENT)
    with pytest.raises(ProtocolError):
        talk.server(replies[-1])


def test_long_reply_is_cut() -> None:
    talk = greeted("PIPELINING")
    talk.begin()
    talk.server("550 " + "x" * 4000, SKIP, SKIP)
    [outcome] = talk.ended().outcomes.values()
    assert len(outcome.reply.text) == TEXT_MAX


# What this server can never take


def test_message_larger_than_the_server_takes_fails_without_a_word() -> None:
    talk = greeted("SIZE 10")
    assert talk.begin() == ""
    [outcome] = talk.ended().outcomes.values()
    assert isinstance(outcome, Failed)
    assert outcome.reply.enhanced == "5.3.4"
    assert talk.client.is_reusable


def test_smtputf8_message_to_a_server_without_it_fails() -> None:
    talk = greeted("PIPELINING")
    message = envelope(smtputf8=True)
    talk.client.begin(message, message.recipients, 10)
    [outcome] = talk.ended().outcomes.values()
    assert isinstance(outcome, Failed)
    assert outcome.reply.enhanced == "5.6.7"


def test_smtputf8_message_says_so() -> None:
    talk = greeted("SMTPUTF8", "PIPELINING")
    message = envelope(reverse_path="あ@c.jp")
    talk.client.begin(message, message.recipients, 10)
    assert talk.says().startswith("MAIL FROM:<あ@c.jp> SMTPUTF8\r\n")


def test_line_end_in_a_sender_sends_nothing() -> None:
    talk = greeted("PIPELINING")
    message = envelope(reverse_path="a@c.com>\r\nRSET")
    talk.client.begin(message, message.recipients, 10)
    assert talk.says() == ""
    [outcome] = talk.ended().outcomes.values()
    assert isinstance(outcome, Failed)


def test_line_end_in_a_recipient_fails_that_one_alone() -> None:
    talk = greeted("PIPELINING")
    bad = Recipient(7, "x@f.com>\r\nDATA", "f.com")
    talk.client.begin(envelope(), (bad, *recipients(1)), 10)
    assert talk.says() == "MAIL FROM:<a@c.com>\r\nRCPT TO:<r0@f.com>\r\nDATA\r\n"
    talk.server(OK, OK, GO)
    talk.event()
    talk.client.send_content(CONTENT)
    talk.server(OK)
    outcomes = talk.ended().outcomes
    assert outcomes[0] == DELIVERED
    assert isinstance(outcomes[7], Failed)


def test_rcptmax_leaves_the_rest_for_the_next_transaction() -> None:
    talk = greeted("PIPELINING", "LIMITS RCPTMAX=2 MAILMAX=1")
    assert talk.begin(3).count("RCPT") == 2
    talk.server(OK, OK, OK, GO)
    talk.event()
    talk.client.send_content(CONTENT)
    talk.server(OK)
    ended = talk.ended()
    assert sorted(ended.outcomes) == [0, 1]
    assert [recipient.ordinal for recipient in ended.remaining] == [2]
    assert not talk.client.is_reusable, "MAILMAX is reached"


def to_domains(*domains: str) -> Envelope:
    named = tuple(Recipient(number, f"r@{domain}", domain) for number, domain in enumerate(domains))
    return msgspec.structs.replace(envelope(), recipients=named)


# name: RCPTDOMAINMAX and RCPTMAX; domains of the recipients; ordinals named, ordinals that remain, is it reusable
DOMAINS: dict[str, tuple[str, str, list[int], list[int], bool]] = {
    "fewer than the limit": ("RCPTDOMAINMAX=3", "a b", [0, 1], [], True),
    "as many as the limit": ("RCPTDOMAINMAX=2", "a b a", [0, 1, 2], [], False),
    "more than the limit": ("RCPTDOMAINMAX=1", "a b a c", [0, 2], [1, 3], False),
    "both limits": ("RCPTDOMAINMAX=1 RCPTMAX=1", "a b a", [0], [1, 2], False),
    "RCPTMAX leaves the domain out": ("RCPTDOMAINMAX=2 RCPTMAX=1", "a b", [0], [1], True),
}


@pytest.mark.parametrize("name", DOMAINS)
def test_rcptdomainmax_bounds_the_domains_of_a_session(name: str) -> None:
    """RFC 9422 4.3; what does not fit goes next, over another connection."""
    limits, domains, named, remaining, is_reusable = DOMAINS[name]
    talk = greeted("PIPELINING", f"LIMITS {limits}")
    message = to_domains(*domains.split())
    talk.client.begin(message, message.recipients, len(CONTENT))
    assert talk.says().count("RCPT") == len(named)
    talk.server(*[OK] * (1 + len(named)), GO)
    talk.event()
    talk.client.send_content(CONTENT)
    talk.server(OK)
    ended = talk.ended()
    assert sorted(ended.outcomes) == named
    assert [recipient.ordinal for recipient in ended.remaining] == remaining
    assert talk.client.is_reusable is is_reusable


def test_session_that_took_all_its_domains_takes_no_other() -> None:
    """Nobody should ask it to; the message is not at fault, and goes over another connection."""
    talk = greeted("PIPELINING", "LIMITS RCPTDOMAINMAX=1")
    for domain in ("a", "b"):
        message = to_domains(domain)
        talk.client.begin(message, message.recipients, len(CONTENT))
        if domain == "a":
            talk.server(OK, OK, GO)
            talk.event()
            talk.client.send_content(CONTENT)
            talk.server(OK)
            talk.ended()
    assert talk.says() == ""
    (outcome,) = talk.ended().outcomes.values()
    assert isinstance(outcome, Deferred)
    assert (outcome.scope, outcome.reply.code, outcome.reply.enhanced) == (Scope.HOST, 0, "4.5.3")


# Broken connections

SENT = "(the content and its end)"
"""Not a reply: at this point the whole message goes out."""

BREAKS = {
    "before any answer": ([], {0: Deferred(LOST, Scope.HOST, HOST), 1: Deferred(LOST, Scope.HOST, HOST)}),
    "after MAIL": ([OK], {0: Deferred(LOST, Scope.MESSAGE, HOST), 1: Deferred(LOST, Scope.MESSAGE, HOST)}),
    "after RCPT": ([OK, "550 5.1.1 No", OK], {0: NEVER, 1: Deferred(LOST, Scope.MESSAGE, HOST)}),
    "after the whole message": (
        [OK, OK, "550 5.1.1 No", GO, SENT],
        {0: Deferred(LOST, Scope.MESSAGE, HOST, is_unconfirmed=True), 1: NEVER},
    ),
    "with some remaining": (
        [OK, OK, "452 4.5.3 Enough"],
        {0: Deferred(LOST, Scope.MESSAGE, HOST), 1: Deferred(LOST, Scope.MESSAGE, HOST)},
    ),
}


@pytest.mark.parametrize(("replies", "outcomes"), BREAKS.values(), ids=BREAKS.keys())
def test_lost_connection_defers_who_has_no_outcome(replies: list[str], outcomes: dict[int, object]) -> None:
    talk = greeted("PIPELINING")
    talk.begin(2)
    for reply in replies:
        if reply is SENT:
            assert isinstance(talk.event(), ContentWanted)
            talk.client.send_content(CONTENT)
        else:
            talk.server(reply)
    talk.client.fail(LOST)
    assert talk.ended() == TransactionEnded(outcomes, ())  # type: ignore[arg-type]  # the table holds plain objects
    assert talk.event() is None
    assert not talk.client.is_reusable


REPLIES = st.sampled_from(
    [
        OK,
        GO,
        SKIP,
        "421 4.3.2 Bye",
        "452 4.5.3 Enough",
        "450 4.2.1 Later",
        "550 5.1.1 No",
        "530 5.7.0 Login",
        "nonsense",
    ]
)


@given(st.lists(REPLIES, max_size=8), st.sampled_from(["PIPELINING", "HELP"]), st.booleans())
def test_every_recipient_has_one_outcome_or_remains_whatever_the_server_says(
    replies: list[str], extension: str, sends_content: bool
) -> None:
    talk = greeted(extension)
    talk.begin(3)
    ended: list[TransactionEnded] = []
    accepted_end = False
    for reply in replies:
        try:
            talk.server(reply)
            while (event := talk.event()) is not None:
                if isinstance(event, ContentWanted) and sends_content:
                    talk.client.send_content(CONTENT)
                    accepted_end = True
                elif isinstance(event, TransactionEnded):
                    ended.append(event)
        except ProtocolError:
            break
    talk.client.fail(LOST)
    while (event := talk.event()) is not None:
        if isinstance(event, TransactionEnded):
            ended.append(event)
    [one] = ended
    remaining = {recipient.ordinal for recipient in one.remaining}
    assert one.outcomes.keys() | remaining == {0, 1, 2}
    assert not one.outcomes.keys() & remaining
    if not accepted_end:
        assert not any(isinstance(outcome, Delivered) for outcome in one.outcomes.values())
