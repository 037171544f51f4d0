"""DSNs: who gets one, what it says, and that every reader can read it whatever peers and clients said."""

from __future__ import annotations

import base64
import email
import email.policy
from email.message import Message

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridgehead.core.dsn import (
    REPORTS_MAX,
    RETURN_FULL_MAX,
    RETURN_HEADER_MAX,
    Dsn,
    ReportingMta,
    compose,
    delay_report,
    expired_report,
    is_wanted,
    octets_wanted,
    reports_for,
)
from bridgehead.core.dsn_text import Action, Report
from bridgehead.core.eight_bit import to_seven_bit
from bridgehead.core.envelope import Envelope, MessageId, Notify, Recipient
from bridgehead.core.outcome import Deferred, Delivered, Failed, Outcome, Scope
from bridgehead.core.recipient_state import RecipientState
from bridgehead.core.reply import Reply

NOW = 1_795_508_492.0
MX = "mx1.fabrikam.com[192.0.2.7]:25"
REPORTING = ReportingMta("mail.contoso.com", "postmaster@contoso.com", "BRIDGE01/Default SMTP Virtual Server")
ORIGINAL = (
    b"Received: from a ([192.0.2.1])\r\n\tby b; x\r\nFrom: alice@contoso.com\r\nSubject: Lunch\r\n"
    b"Message-ID: <1@contoso.com>\r\n\r\nShall we?\r\n"
)
SMITH = Recipient(0, "Smith.J@Fabrikam.com", "fabrikam.com", original="rfc822;smith+2Bj@fabrikam.com")
NO_SUCH_USER = Failed(Reply(550, "5.1.1", "No such user here"), MX)


def envelope_of(*recipients: Recipient, **fields: object) -> Envelope:
    plain: dict[str, object] = {"size": 100, "received_at": NOW - 60, "virtual_server": "B/V"}
    return Envelope(**{"reverse_path": "alice@contoso.com", "recipients": recipients, **plain, **fields})  # type: ignore[arg-type]  # a table of fields


def failure(envelope: Envelope, original: bytes = ORIGINAL, outcome: Outcome = NO_SUCH_USER) -> Dsn:
    reports = reports_for(envelope, dict.fromkeys(range(len(envelope.recipients)), outcome), NOW)
    return compose(REPORTING, MessageId(1 << 50), envelope, reports, original=original, now=NOW)


def children(message: Message) -> list[Message]:
    payload = message.get_payload()
    assert isinstance(payload, list)
    return [part for part in payload if isinstance(part, Message)]


def parts_of(dsn: Dsn) -> tuple[Message, str, Message, Message]:
    """The whole, the words, the status part and the returned part, read by the standard library."""
    whole = email.message_from_bytes(dsn.content, policy=email.policy.compat32)
    text, status, returned = children(whole)
    assert [part.defects for part in (whole, text, status)] == [[], [], []]
    words = text.get_payload(decode=True)
    assert isinstance(words, bytes)
    return whole, words.decode(text.get_content_charset("?")), status, returned


def test_dsn_of_a_failure_word_for_word() -> None:
    dsn = failure(envelope_of(SMITH, envid="QQ+2B314"))
    assert dsn.content.decode("ascii").split("\r\n") == [
        "From: Mail Delivery System <postmaster@contoso.com>",
        "To: <alice@contoso.com>",
        "Subject: Delivery Status Notification (Failure)",
        "Auto-Submitted: auto-replied",
        "In-Reply-To: <1@contoso.com>",
        "Date: Tue, 24 Nov 2026 08:21:32 +0000",
        "Message-ID: <0010000000000@mail.contoso.com>",
        "MIME-Version: 1.0",
        "Content-Type: multipart/report; report-type=delivery-status;",
        '\tboundary="dsn-0010000000000-0"',
        "Content-Transfer-Encoding: 7bit",
        "",
        "This is a delivery status notification in MIME format.",
        "--dsn-0010000000000-0",
        "Content-Type: text/plain; charset=us-ascii",
        "",
        "This is the mail system at mail.contoso.com.",
        "",
        "Subject of your message: Lunch",
        "",
        "Your message could not be delivered to:",
        "",
        "  Smith.J@Fabrikam.com",
        "    There is no such mailbox. Please check the spelling of the address.",
        "    mx1.fabrikam.com answered:",
        "      550 5.1.1 No such user here",
        "",
        "It will not be tried again for a recipient that it could not be delivered",
        "to. If it still matters, mend what is said above and send the message once",
        "more, or ask your postmaster for help.",
        "",
        "--dsn-0010000000000-0",
        "Content-Type: message/delivery-status",
        "",
        "Reporting-MTA: dns; mail.contoso.com",
        "Original-Envelope-Id: QQ+314",
        "Arrival-Date: Tue, 24 Nov 2026 08:20:32 +0000",
        "",
        "Original-Recipient: rfc822; smith+j@fabrikam.com",
        "Final-Recipient: rfc822; Smith.J@Fabrikam.com",
        "Action: failed",
        "Status: 5.1.1",
        "Remote-MTA: dns; mx1.fabrikam.com",
        "Diagnostic-Code: smtp; 550 5.1.1 No such user here",
        "Last-Attempt-Date: Tue, 24 Nov 2026 08:21:32 +0000",
        "",
        "--dsn-0010000000000-0",
        "Content-Type: text/rfc822-headers",
        "",
        "Received: from a ([192.0.2.1])",
        "\tby b; x",
        "From: alice@contoso.com",
        "Subject: Lunch",
        "Message-ID: <1@contoso.com>",
        "",
        "--dsn-0010000000000-0--",
        "",
    ]


def test_dsn_goes_from_the_null_reverse_path_to_the_sender() -> None:
    envelope = failure(envelope_of(SMITH, reverse_path="Alice@B\u00fcro.example", trace_id="t1")).envelope
    assert envelope.reverse_path == ""
    assert envelope.recipients == (Recipient(0, "Alice@B\u00fcro.example", "xn--bro-hoa.example"),)
    assert (envelope.is_dsn, envelope.smtputf8, envelope.body_type) == (True, True, "8BITMIME")
    assert (envelope.virtual_server, envelope.trace_id, envelope.received_at) == (REPORTING.virtual_server, "t1", NOW)


@pytest.mark.parametrize(
    ("postmaster", "sender"),
    [
        pytest.param("pm@contoso.com", "pm@contoso.com", id="the organization's"),
        pytest.param("", "postmaster@mail.contoso.com", id="none"),
        pytest.param("b\u00fcro@contoso.com", "postmaster@mail.contoso.com", id="one that this DSN cannot write"),
    ],
)
def test_dsn_comes_from_a_postmaster(postmaster: str, sender: str) -> None:
    reports = (Report(SMITH, Action.FAILED, "5.1.1", NO_SUCH_USER.reply),)
    reporting = ReportingMta("mail.contoso.com", postmaster, "B/V")
    dsn = compose(reporting, MessageId(1), envelope_of(SMITH), reports, original=ORIGINAL, now=NOW)
    assert parts_of(dsn)[0]["From"] == f"Mail Delivery System <{sender}>"


DELIVERED = Delivered(Reply(250, "2.0.0", "Ok"), MX)
IN_THE_MAILBOX = Delivered(Reply(250, "2.0.0", "stored"), "maildir", is_final=True)
PASSED_ON = Delivered(Reply(250, "2.0.0", "Ok"), MX, relays_dsn=True)
LATER = Deferred(Reply(451, "4.3.0", "later"), Scope.MESSAGE)
DELIVERY_DEFAULT = -1


@pytest.mark.parametrize(
    ("notify", "outcome", "action"),
    [
        pytest.param(DELIVERY_DEFAULT, NO_SUCH_USER, Action.FAILED, id="nothing said: failures"),
        pytest.param(DELIVERY_DEFAULT, DELIVERED, None, id="nothing said: no success"),
        pytest.param(Notify.NEVER, NO_SUCH_USER, None, id="NEVER"),
        pytest.param(Notify.SUCCESS, NO_SUCH_USER, None, id="SUCCESS alone: no failure"),
        pytest.param(Notify.FAILURE, NO_SUCH_USER, Action.FAILED, id="FAILURE"),
        pytest.param(Notify.SUCCESS, DELIVERED, Action.RELAYED, id="SUCCESS at a host without DSN: relayed"),
        pytest.param(Notify.SUCCESS, PASSED_ON, None, id="SUCCESS at a host with DSN: its duty"),
        pytest.param(Notify.SUCCESS, IN_THE_MAILBOX, Action.DELIVERED, id="SUCCESS in the mailbox: delivered"),
        pytest.param(Notify.SUCCESS | Notify.FAILURE, LATER, None, id="what waits is not reported"),
    ],
)
def test_reports_follow_what_the_sender_asked_for(notify: int, outcome: Outcome, action: Action | None) -> None:
    envelope = envelope_of(Recipient(0, "b@f.example", "f.example", notify))
    assert [report.action for report in reports_for(envelope, {0: outcome}, NOW)] == ([action] if action else [])


def test_nobody_is_told_anything_about_a_dsn() -> None:
    recipient = Recipient(0, "b@f.example", "f.example", Notify.SUCCESS | Notify.FAILURE | Notify.DELAY)
    for envelope in (envelope_of(recipient, reverse_path=""), envelope_of(recipient, is_dsn=True)):
        assert reports_for(envelope, {0: NO_SUCH_USER}, NOW) == ()
        assert not any(is_wanted(envelope, recipient, action) for action in Action)
    with pytest.raises(AssertionError):
        compose(
            REPORTING,
            MessageId(1),
            envelope_of(recipient, reverse_path=""),
            (Report(recipient, Action.FAILED, "5.1.1", NO_SUCH_USER.reply),),
            original=ORIGINAL,
            now=NOW,
        )


def test_delay_notice_says_until_when_it_will_be_tried() -> None:
    state = RecipientState(attempts=3, host=MX, code=450, enhanced="4.2.0", text="greylisted")
    envelope = envelope_of(SMITH)
    dsn = compose(
        REPORTING,
        MessageId(1),
        envelope,
        (delay_report(SMITH, state, NOW + 86_400),),
        original=ORIGINAL,
        now=NOW,
    )
    whole, words, status, _ = parts_of(dsn)
    assert whole["Subject"] == "Delivery Status Notification (Delay)"
    assert "It will be tried until Wed, 25 Nov 2026 08:21:32 +0000." in words
    assert "You need not send it again" in words
    fields = children(status)[1]
    assert (fields["Action"], fields["Status"]) == ("delayed", "4.2.0")
    assert fields["Will-Retry-Until"] == "Wed, 25 Nov 2026 08:21:32 +0000"


def test_delay_for_a_reason_of_ours_keeps_its_status_and_is_no_answer_of_the_host() -> None:
    state = RecipientState(attempts=3, host=MX, code=0, enhanced="4.4.2", text="closed the connection")
    fields = status_of(delay_report(SMITH, state, NOW + 86_400))
    assert (fields["Status"], fields["Diagnostic-Code"]) == ("4.4.2", "X-Bridgehead; closed the connection")
    assert fields["Remote-MTA"] == "dns; mx1.fabrikam.com"


def test_expiry_is_a_failure_with_the_last_words_of_the_peer() -> None:
    state = RecipientState(attempts=9, host=MX, code=450, enhanced="4.2.0", text="greylisted")
    fields = status_of(expired_report(SMITH, state))
    assert (fields["Action"], fields["Status"]) == ("failed", "4.4.7")
    assert fields["Diagnostic-Code"] == "smtp; 450 4.2.0 greylisted"


def test_expiry_without_any_attempt_says_so() -> None:
    fields = status_of(expired_report(SMITH, RecipientState()))
    assert fields["Diagnostic-Code"] == "X-Bridgehead; no attempt at delivery has been possible"
    assert "Remote-MTA" not in fields


def status_of(report: Report) -> Message:
    """The group of fields of one recipient."""
    envelope = envelope_of(report.recipient)
    dsn = compose(REPORTING, MessageId(1), envelope, (report,), original=ORIGINAL, now=NOW)
    return children(parts_of(dsn)[2])[1]


def test_one_dsn_reports_on_several_recipients() -> None:
    recipients = tuple(Recipient(n, f"user{n}@f.example", "f.example") for n in range(3))
    groups = children(parts_of(failure(envelope_of(*recipients)))[2])
    assert [group["Final-Recipient"] for group in groups] == [None, *(f"rfc822; {r.address}" for r in recipients)]


@pytest.mark.parametrize(
    ("ret", "size", "given", "media_type"),
    [
        pytest.param("FULL", 100, ORIGINAL, "message/rfc822", id="FULL"),
        pytest.param("HDRS", 100, ORIGINAL, "text/rfc822-headers", id="HDRS"),
        pytest.param("", 100, ORIGINAL, "text/rfc822-headers", id="nothing said"),
        pytest.param("FULL", RETURN_FULL_MAX + 1, ORIGINAL, "text/rfc822-headers", id="FULL of too much"),
        pytest.param("FULL", 100, ORIGINAL[:99], "text/rfc822-headers", id="FULL, but only a part was given"),
    ],
)
def test_dsn_returns_the_message_or_its_header(ret: str, size: int, given: bytes, media_type: str) -> None:
    dsn = failure(envelope_of(SMITH, ret=ret, size=size), given)
    assert parts_of(dsn)[3].get_content_type() == media_type
    assert (b"Shall we?" in dsn.content) == (media_type == "message/rfc822")


def test_whole_message_is_returned_for_failures_only() -> None:
    envelope = envelope_of(Recipient(0, "b@f.example", "f.example", Notify.SUCCESS), ret="FULL")
    assert parts_of(failure(envelope, outcome=DELIVERED))[3].get_content_type() == "text/rfc822-headers"


def test_octets_wanted_are_what_compose_may_return() -> None:
    assert octets_wanted(envelope_of(SMITH, ret="FULL", size=900_000), 900_100) == 900_100
    assert octets_wanted(envelope_of(SMITH, size=900_000), 900_100) == RETURN_HEADER_MAX
    assert octets_wanted(envelope_of(SMITH, size=100), 200) == 200


@pytest.mark.parametrize(
    ("header", "returned"),
    [
        pytest.param(b"A: 1\r\n" * 50_000, b"A: 1\r\n" * (RETURN_HEADER_MAX // 6), id="too long"),
        pytest.param((b"A: 1\r\n" * 50_000)[:RETURN_HEADER_MAX], b"A: 1\r\n" * (RETURN_HEADER_MAX // 6), id="a part"),
        pytest.param(b"x" * 100_000, b"", id="no line end"),
    ],
)
def test_returned_header_is_cut_at_a_line_end(header: bytes, returned: bytes) -> None:
    dsn = failure(envelope_of(SMITH), header)
    assert dsn.content.endswith(
        b"Content-Type: text/rfc822-headers\r\n\r\n" + returned + b"\r\n--dsn-0010000000000-0--\r\n"
    )


def test_dsn_can_go_to_a_host_that_takes_seven_bits_only() -> None:
    dsn = failure(envelope_of(SMITH, ret="FULL"), ORIGINAL + b"caf\xe9\r\n")
    converted = to_seven_bit(dsn.content)
    assert converted is not None
    assert b"caf=E9" in converted


def test_eight_bit_originals_are_declared() -> None:
    dsn = failure(envelope_of(SMITH, ret="FULL"), ORIGINAL + b"caf\xe9\r\n")
    whole, _, status, returned = parts_of(dsn)
    encodings = [part["Content-Transfer-Encoding"] for part in (whole, status, returned)]
    assert encodings == ["8bit", None, "8bit"]
    assert (dsn.envelope.body_type, dsn.envelope.smtputf8) == ("8BITMIME", False)


INTERNATIONAL = Recipient(0, "\u7528\u6237@\u4f8b\u5b50.example", "xn--fsqu00a.example")
ITS_ORIGINAL = (
    "From: \u0430@c.example\r\nSubject: \u041f\u0440\u0438\u0432\u0435\u0442\r\n\r\n\u0434\u0430\r\n".encode()
)


def test_dsn_to_an_international_address_uses_the_global_forms() -> None:
    envelope = envelope_of(INTERNATIONAL, smtputf8=True, ret="FULL", reverse_path="\u0430@c.example")
    dsn = failure(envelope, ITS_ORIGINAL + b" " * 100)
    _, words, status, returned = parts_of(dsn)
    assert dsn.envelope.smtputf8
    assert INTERNATIONAL.address in words
    assert status.get_content_type() == "message/global-delivery-status"
    assert returned.get_content_type() == "message/global"
    assert f"Final-Recipient: utf-8; {INTERNATIONAL.address}\r\n".encode() in dsn.content
    assert ITS_ORIGINAL in dsn.content


@pytest.mark.parametrize(("ret", "media_type"), [("FULL", "message/global"), ("HDRS", "message/global-headers")])
def test_dsn_about_an_international_message_to_an_ascii_address_needs_no_smtputf8(ret: str, media_type: str) -> None:
    """RFC 6533 3 and 6.3: one that needed it might find no way back."""
    original = "utf-8;\\x{7528}+\u6237@\u4f8b\u5b50.example".replace("+", "\\x{2B}")
    recipient = Recipient(0, INTERNATIONAL.address, INTERNATIONAL.domain, original=original)
    dsn = failure(envelope_of(recipient, smtputf8=True, ret=ret, size=10), ITS_ORIGINAL)
    whole, words, status, returned = parts_of(dsn)
    assert not dsn.envelope.smtputf8
    assert INTERNATIONAL.address in words, "a person reads it as it is"
    assert str(whole).isascii()
    fields = children(status)[1]
    assert status.get_content_type() == "message/delivery-status"
    assert fields["Final-Recipient"] == "utf-8; \\x{7528}\\x{6237}@\\x{4F8B}\\x{5B50}.example"
    assert fields["Original-Recipient"] == "utf-8; \\x{7528}\\x{2B}\\x{6237}@\\x{4F8B}\\x{5B50}.example"
    assert (returned.get_content_type(), returned["Content-Transfer-Encoding"]) == (media_type, "base64")
    encoded = dsn.content.partition(b"Transfer-Encoding: base64\r\n\r\n")[2].partition(b"\r\n--")[0]
    header = ITS_ORIGINAL.partition(b"\r\n\r\n")[0] + b"\r\n"
    assert base64.b64decode(encoded) == (ITS_ORIGINAL if ret == "FULL" else header)


def test_dsn_about_an_international_message_can_go_to_a_host_that_takes_seven_bits_only() -> None:
    dsn = failure(envelope_of(INTERNATIONAL, smtputf8=True, ret="FULL", size=10), ITS_ORIGINAL)
    converted = to_seven_bit(dsn.content)
    assert converted is not None
    text = children(email.message_from_bytes(converted))[0].get_payload(decode=True)
    assert isinstance(text, bytes)
    assert INTERNATIONAL.address in text.decode()


def test_address_too_long_for_a_line_in_ascii_is_cut_there() -> None:
    recipient = Recipient(0, "\u0430" * 127 + "@" + "\u0431" * 60 + ".example", "f.example")
    dsn = failure(envelope_of(recipient, smtputf8=True))
    assert max(map(len, dsn.content.split(b"\r\n"))) <= 998
    assert children(parts_of(dsn)[2])[1]["Final-Recipient"].endswith("@\\x{431}")


def test_dsn_about_an_ascii_address_needs_no_smtputf8() -> None:
    dsn = failure(envelope_of(SMITH, smtputf8=True))
    assert not dsn.envelope.smtputf8
    assert parts_of(dsn)[2].get_content_type() == "message/delivery-status"


def test_boundary_occurs_in_no_part() -> None:
    original = ORIGINAL + b"--dsn-0010000000000-0\r\n--dsn-0010000000000-1--\r\n"
    dsn = failure(envelope_of(SMITH, ret="FULL"), original)
    assert email.message_from_bytes(dsn.content).get_boundary() == "dsn-0010000000000-2"
    assert children(parts_of(dsn)[3])[0].get_payload(decode=True) == original.partition(b"\r\n\r\n")[2]


@pytest.mark.parametrize(("envid", "shown"), [("a+2Bb", "a+b"), ("plain", "plain"), ("a+2b+2B", "a+2b+2B")])
def test_envelope_id_is_decoded_and_what_is_no_xtext_stays(envid: str, shown: str) -> None:
    fields = children(parts_of(failure(envelope_of(SMITH, envid=envid)))[2])[0]
    assert fields["Original-Envelope-Id"] == shown


LINES = st.text(max_size=300) | st.sampled_from(
    ["a\r\nX-Evil: 1", "\r\n\r\n--dsn", "\x00", "x" * 3000, "\u3042" * 900, "\ud800", "a \x85 b", "\u2028"]
)
MOST_ENVELOPES = st.builds(
    envelope_of,
    st.builds(Recipient, st.just(0), LINES, st.just("f.example"), st.just(-1), LINES),
    envid=LINES,
    reverse_path=LINES.filter(bool),
    ret=st.sampled_from(["", "FULL", "HDRS"]),
    size=st.integers(0, 200),
    smtputf8=st.booleans(),
)


@given(MOST_ENVELOPES, LINES, LINES, LINES)
def test_every_reader_can_read_a_dsn_whatever_peers_and_clients_say(
    envelope: Envelope, text: str, enhanced: str, host: str
) -> None:
    dsn = failure(envelope, b"Subject: x\r\n\r\n", Failed(Reply(550, enhanced, text), host))
    whole, _, status, _ = parts_of(dsn)
    assert set(whole.keys()) == {
        *("From", "To", "Subject", "Auto-Submitted", "Date", "Message-ID", "MIME-Version"),
        *("Content-Type", "Content-Transfer-Encoding"),
    }
    lines = dsn.content.split(b"\r\n")
    assert all(len(line) <= 998 and b"\n" not in line and b"\r" not in line for line in lines)
    assert not any(line.startswith(b"X-Evil") for line in lines)
    assert status.get_content_type() == "message/delivery-status" or dsn.envelope.smtputf8
    header, *parts = dsn.content.split(b"\r\n--dsn-")
    assert dsn.envelope.smtputf8 or (header + parts[1]).isascii(), "only words for a person may need more"
    if status.get_content_type() == "message/delivery-status":
        _, fields = children(status)
        assert fields["Action"] == "failed"
        assert fields["Status"].count(".") == 2


@given(
    st.binary(max_size=400) | st.lists(st.sampled_from([b"--dsn-0010000000000-", b"0", b"\r\n", b"A:"])).map(b"".join)
)
def test_dsn_returns_any_original_octet_by_octet(original: bytes) -> None:
    dsn = failure(envelope_of(SMITH, ret="FULL", size=0), original)
    *_, returned = parts_of(dsn)
    assert returned.get_content_type() == "message/rfc822"
    assert dsn.content.count(b"\r\n\r\n" + original + b"\r\n--dsn-") == 1
    assert dsn.envelope.size == len(dsn.content)


def test_dsn_of_the_most_recipients_stays_small() -> None:
    recipients = tuple(Recipient(n, f"user{n}@f.example", "f.example") for n in range(REPORTS_MAX))
    assert len(failure(envelope_of(*recipients)).content) < 1024 * 1024
