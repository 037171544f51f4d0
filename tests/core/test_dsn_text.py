"""The words of a DSN: a person without knowledge of mail understands what happened, and lines stay short."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridgehead.core.dsn_text import Action, Report, address_text, explain, fold, host_name, reply_text
from bridgehead.core.envelope import Recipient
from bridgehead.core.reply import Reply

MX = "mx1.fabrikam.com[192.0.2.7]:25"


def report(action: Action, status: str, text: str = "", host: str = MX, address: str = "b@f.example") -> Report:
    code = {Action.FAILED: 550, Action.DELAYED: 450}.get(action, 250)
    return Report(Recipient(0, address, "f.example"), action, status, Reply(code, status, text), host)


def test_explanation_groups_recipients_by_what_became_of_them() -> None:
    reports = (
        report(Action.DELAYED, "4.4.1", "timed out", host=""),
        report(Action.FAILED, "5.2.2", "over quota", address="c@f.example"),
        report(Action.RELAYED, "2.0.0", "queued", address="d@f.example"),
        report(Action.DELIVERED, "2.0.0", "stored", host="maildir", address="e@f.example"),
    )
    assert explain(reports, "mail.contoso.com", "").split("\r\n") == [
        "This is the mail system at mail.contoso.com.",
        "",
        "Your message could not be delivered to:",
        "",
        "  c@f.example",
        "    The mailbox is full.",
        "    mx1.fabrikam.com answered:",
        "      550 5.2.2 over quota",
        "",
        "Your message has not been delivered yet to:",
        "",
        "  b@f.example",
        "    The mail system of the recipient could not be reached.",
        "    The reason:",
        "      450 4.4.1 timed out",
        "",
        "Your message was delivered to:",
        "",
        "  e@f.example",
        "    The mail system there answered:",
        "      250 2.0.0 stored",
        "",
        "Your message was handed on, to a system that sends no further reports, for:",
        "",
        "  d@f.example",
        "    mx1.fabrikam.com answered:",
        "      250 2.0.0 queued",
        "",
        "It will not be tried again for a recipient that it could not be delivered",
        "to. If it still matters, mend what is said above and send the message once",
        "more, or ask your postmaster for help.",
        "",
        "You need not send it again: delivery is still being tried.",
        "",
    ]


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ("5.1.1", "no such mailbox"),
        ("5.1.6", "not valid there"),
        ("5.1.10", "does not accept any mail"),
        ("4.4.7", "tried again and again"),
        ("5.7.26", "refused the message"),
        ("5.6.7", "SMTPUTF8"),
        ("5.0.0", "No more is known"),
        ("9", "No more is known"),
        ("", "No more is known"),
    ],
)
def test_explanation_says_what_a_status_means(status: str, words: str) -> None:
    assert words in explain((report(Action.FAILED, status),), "mail.contoso.com", "").replace("\r\n    ", " ")


def test_explanation_of_a_fault_of_ours_shows_no_code_that_there_is_not() -> None:
    words = explain(
        (Report(Recipient(0, "b@f.example", ""), Action.FAILED, "5.4.4", Reply(0, "", "no route")),), "m", ""
    )
    assert "    The reason:\r\n      no route\r\n" in words


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("mx1.fabrikam.com[192.0.2.7]:25", "mx1.fabrikam.com"),
        ("[192.0.2.10]:25", "[192.0.2.10]"),
        ("[2001:db8::1]:25", "[2001:db8::1]"),
        ("localhost[127.0.0.1]:24", "[127.0.0.1]"),
        ("maildir", ""),
        ("lmtp:/run/lmtp.sock", ""),
        ("a\r\nX: b.c[x\r\n]", ""),
        ("", ""),
    ],
)
def test_remote_mta_is_a_name_or_an_address(host: str, name: str) -> None:
    assert host_name(host) == name


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        pytest.param("a b", ["> a b"], id="short"),
        pytest.param("", ["> -"], id="never a blank line"),
        pytest.param("a\n\nb \t c", ["> a b c"], id="any white space"),
        pytest.param("x" * 80 + " y", ["> " + "x" * 80, "> y"], id="a long word stays whole"),
        pytest.param("x" * 500, ["> " + "x" * 200, "> " + "x" * 200, "> " + "x" * 100], id="but not for ever"),
        pytest.param("word " * 20, ["> " + "word " * 14 + "word", "> word word word word word"], id="at 76"),
    ],
)
def test_fold_breaks_lines_at_spaces(text: str, lines: list[str]) -> None:
    assert fold(text, "> ") == lines


@given(st.text(max_size=500))
def test_fold_keeps_all_words(text: str) -> None:
    lines = fold(text)
    assert "".join("".join(lines).split()) == ("".join(text.split()) or "-")
    assert all(line.strip() and len(line) <= 200 for line in lines)


@given(st.text(max_size=2000))
def test_addresses_and_replies_become_one_line(text: str) -> None:
    for line in (address_text(text), reply_text(Reply(550, "", text)), reply_text(Reply(0, "", text))):
        assert len(line.splitlines()) <= 1
        assert not set(line) & set("\r\n\0\x1b")
    assert len(address_text(text).encode()) <= 900


def test_addresses_keep_the_joiners_of_their_script() -> None:
    assert (
        address_text("\u0646\u0627\u0645\u0647\u200c\u0627\u06cc@a\u202eb")
        == "\u0646\u0627\u0645\u0647\u200c\u0627\u06cc@a?b"
    )


def test_words_of_ours_are_not_put_into_the_mouth_of_a_host() -> None:
    """A lost connection has a host, and no code: nobody there said anything."""
    recipient = Recipient(0, "bob@fabrikam.com", "fabrikam.com")
    lost = Reply(0, "4.4.2", "mx1.fabrikam.com[192.0.2.7]:25 closed the connection")
    text = explain([Report(recipient, Action.DELAYED, "4.4.2", lost, lost.text.split()[0])], "mail.contoso.com", "")
    assert "    The reason:\r\n      mx1.fabrikam.com[192.0.2.7]:25 closed the connection\r\n" in text
    assert "answered" not in text
