"""The options of sendmail(8), as programs give them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridgehead.cli.sendmail_arguments import Mode, SendmailArguments, SendmailUsageError, parse

A = ("a@x.example",)
CASES: dict[str, tuple[str, SendmailArguments]] = {
    "one recipient": ("a@x.example", SendmailArguments(recipients=A)),
    "PHP": ("-t -i", SendmailArguments(takes_header=True, ends_at_dot=False)),
    "cron of Debian": ("-i -FCronDaemon -B8BITMIME -oem a@x.example", SendmailArguments(
        recipients=A, ends_at_dot=False, full_name="CronDaemon")),
    "mailx": ("-i -r b@y.example -- a@x.example", SendmailArguments(
        recipients=A, ends_at_dot=False, sender="b@y.example")),
    "git send-email": ("-i a@x.example b@y.example", SendmailArguments(
        recipients=("a@x.example", "b@y.example"), ends_at_dot=False)),
    "mutt": ("-oem -oi -f b@y.example -N failure,delay -R hdrs -- a@x.example", SendmailArguments(
        recipients=A, ends_at_dot=False, sender="b@y.example", notify=6, ret="HDRS")),
    "sender attached, in brackets": ("-f<b@y.example> a@x.example", SendmailArguments(
        recipients=A, sender="b@y.example")),
    "null sender": ("-f <> a@x.example", SendmailArguments(recipients=A, sender="")),
    "options behind recipients": ("a@x.example -fb@y.example", SendmailArguments(recipients=A, sender="b@y.example")),
    "letters together": ("-tiv", SendmailArguments(takes_header=True, ends_at_dot=False, is_verbose=True)),
    "letters and a value together": ("-tifb@y.example", SendmailArguments(
        takes_header=True, ends_at_dot=False, sender="b@y.example")),
    "dash behind two dashes": ("-- -a@x.example", SendmailArguments(recipients=("-a@x.example",))),
    "ignored": (("-Am -C/etc/mail/sendmail.cf -G -U -m -n -L tag -O Timeout=1m -o7 -odb -e m -h 3 -p x -X l -d0.1 "
                 "a@x.example"), SendmailArguments(recipients=A)),
    "never notify": ("-N never a@x.example", SendmailArguments(recipients=A, notify=0)),
    "envelope id": ("-V QQ+1=2 a@x.example", SendmailArguments(recipients=A, envid="QQ+2B1+3D2")),
    "deliver mode": ("-bm a@x.example", SendmailArguments(recipients=A)),
    "mailq": ("-bp", SendmailArguments(mode=Mode.LIST)),
    "mailq, value apart": ("-b p", SendmailArguments(mode=Mode.LIST)),
    "newaliases": ("-bi", SendmailArguments(mode=Mode.NOTHING)),
    "newaliases, old": ("-I", SendmailArguments(mode=Mode.NOTHING)),
    "queue run": ("-q", SendmailArguments(mode=Mode.NOTHING)),
    "queue run with interval": ("-q15m", SendmailArguments(mode=Mode.NOTHING)),
    "our own options": ("--config /etc/b.toml --json a@x.example", SendmailArguments(
        recipients=A, config=Path("/etc/b.toml"), json=True)),
    "our own option, value attached": ("--config=b.toml -t", SendmailArguments(
        takes_header=True, config=Path("b.toml"))),
    "help": ("--help", SendmailArguments(mode=Mode.HELP)),
}  # fmt: skip
FAULTS = {
    "": "no recipients: name them, or give -t to take them from the message",
    "-i": "no recipients: name them, or give -t to take them from the message",
    "-f": "-f needs a value",
    "a@x.example -F": "-F needs a value",
    "--config": "--config needs a value",
    "-k a@x.example": "-k is no option of sendmail",
    "--verbose a@x.example": "--verbose is no option of sendmail",
    "-bs": "SMTP on standard input is not offered: connect to the port of a virtual server",
    "-bd -q1h": "the server is started by `bridgehead serve`",
    "-bv a@x.example": "verifying is `bridgehead explain RECIPIENT`",
    "-bz": "-bz is no mode of sendmail",
    "-B binary a@x.example": "-B binary is not known: give 7BIT or 8BITMIME",
    "-N often a@x.example": "-N often is not known: give never, or some of success,failure,delay",
    "-N never,delay a@x.example": "-N never,delay is not known: give never, or some of success,failure,delay",
    "-R all a@x.example": "-R all is not known: give full or hdrs",
    f"-V {'x' * 101} a@x.example": "-V takes 1 to 100 printable ASCII characters",
}


@pytest.mark.parametrize(("typed", "meant"), CASES.values(), ids=CASES.keys())
def test_arguments_mean(typed: str, meant: SendmailArguments) -> None:
    assert parse(typed.split()) == meant


def test_empty_sender_is_the_null_reverse_path() -> None:
    assert parse(["-f", "", "a@x.example"]).sender == ""


@pytest.mark.parametrize(("typed", "words"), FAULTS.items())
def test_arguments_are_refused(typed: str, words: str) -> None:
    with pytest.raises(SendmailUsageError) as refusal:
        parse(typed.split())
    assert (str(refusal.value), refusal.value.exit_code) == (words, 64)


WORDS = st.one_of(
    st.text(max_size=8), st.sampled_from([typed for case in CASES.values() for typed in case[0].split()])
)


@given(st.lists(WORDS, max_size=8))
def test_whatever_is_typed_is_understood_or_refused(arguments: list[str]) -> None:
    try:
        found = parse(arguments)
    except SendmailUsageError:
        return
    assert found.recipients or found.takes_header or found.mode is not Mode.SUBMIT
    assert set(found.recipients) <= set(arguments)


@given(st.lists(st.text(), min_size=1))
def test_everything_behind_two_dashes_is_a_recipient(recipients: list[str]) -> None:
    assert parse(["-i", "--", *recipients]).recipients == tuple(recipients)
