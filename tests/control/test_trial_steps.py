"""What a trace comes to: steps with their times, and refusals told as what they turned out to be."""

from __future__ import annotations

import pytest

from bridgehead.control.trial_steps import Step, Watch
from bridgehead.smtp.client_event import TraceKind

DIAL, CONNECTED, TLS = TraceKind.DIAL, TraceKind.CONNECTED, TraceKind.TLS
SENT, RECEIVED = TraceKind.SENT, TraceKind.RECEIVED


class Clock:
    """Moves on by a second each time it is read."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1.0
        return self.now


def steps_of(*lines: tuple[TraceKind, str], end: str = "", name: str = "AUTH") -> list[str]:
    """`"EHLO passed 250 mx.test"` for each step; `end` is the failure that the conversation ended with."""
    told: list[Step] = []
    watch = Watch("mx", Clock(), told.append)
    for kind, text in lines:
        watch.trace(kind, text)
    if end:
        watch.failed(name, end)
    else:
        watch.settle()
    assert all(step.host == "mx" and step.seconds > 0 for step in told)
    return [f"{step.name} {step.result} {step.words}" for step in told]


OPENED = ((DIAL, "mx[192.0.2.7]:25"), (CONNECTED, ""), (RECEIVED, "220 mx.test"))
GREETED = ["TCP passed connected", "greeting passed 220 mx.test"]


def test_a_conversation_that_goes_well_is_a_step_for_each_answer() -> None:
    lines = (*OPENED, (SENT, "EHLO us"), (RECEIVED, "250 mx.test SIZE"), (SENT, "MAIL FROM:<>"), (RECEIVED, "250 OK"))
    assert steps_of(*lines) == [*GREETED, "EHLO passed 250 mx.test SIZE", "MAIL passed 250 OK"]


def test_tls_stands_between_starttls_and_the_second_ehlo() -> None:
    # The second EHLO is sent as soon as the handshake is over, and traced before it.
    lines = (
        *OPENED,
        (SENT, "STARTTLS"),
        (RECEIVED, "220 go"),
        (SENT, "EHLO us"),
        (TLS, "TLSv1.3 TLS_AES_256_GCM_SHA384"),
        (RECEIVED, "250 mx.test"),
    )
    expected = ["STARTTLS passed 220 go", "TLS passed TLSv1.3 TLS_AES_256_GCM_SHA384", "EHLO passed 250 mx.test"]
    assert steps_of(*lines) == [*GREETED, *expected]


def test_all_lines_of_auth_are_one_step() -> None:
    lines = (
        (SENT, "AUTH LOGIN"),
        (RECEIVED, "334 VXNlcm5hbWU6"),
        (SENT, "<hidden>"),
        (RECEIVED, "334 UGFzc3dvcmQ6"),
        (SENT, "<hidden>"),
        (RECEIVED, "235 welcome"),
    )
    assert steps_of(*lines) == ["AUTH passed 235 welcome"]


def test_a_refusal_that_ends_the_conversation_is_the_failure_in_the_words_of_the_server() -> None:
    lines = ((SENT, "AUTH PLAIN <hidden>"), (RECEIVED, "535 5.7.8 no"))
    assert steps_of(*lines, end="5.7.8 no") == ["AUTH failed 535 5.7.8 no"]


def test_a_refusal_that_the_conversation_survives_is_a_warning() -> None:
    lines = (*OPENED, (SENT, "EHLO us"), (RECEIVED, "502 what"), (SENT, "HELO us"), (RECEIVED, "250 mx.test"))
    assert steps_of(*lines) == [*GREETED, "EHLO warning 502 what", "HELO passed 250 mx.test"]


def test_a_last_refusal_that_did_no_harm_is_a_warning() -> None:
    assert steps_of((SENT, "STARTTLS"), (RECEIVED, "454 not now")) == ["STARTTLS warning 454 not now"]


def test_going_on_in_the_clear_is_a_warning_and_begins_anew() -> None:
    lines = (
        *OPENED,
        (TLS, "mx: TLS handshake: wrong version number; again in the clear"),
        *OPENED,
    )
    warning = "TLS warning mx: TLS handshake: wrong version number; again in the clear"
    assert steps_of(*lines) == [*GREETED, warning, *GREETED]


def test_what_ends_without_an_answer_is_a_failure_in_our_words() -> None:
    assert steps_of((DIAL, "mx"), end="connection refused", name="TCP") == ["TCP failed connection refused"]


@pytest.mark.parametrize("command", ["QUIT", "RSET"])
def test_goodbyes_are_no_steps(command: str) -> None:
    assert steps_of((SENT, command), (RECEIVED, "250 OK")) == []


def test_nothing_is_told_of_what_happens_while_muted() -> None:
    told: list[Step] = []
    watch = Watch("mx", Clock(), told.append)
    watch.mute()
    watch.trace(SENT, "MAIL FROM:<>")
    watch.trace(RECEIVED, "250 OK")
    watch.passed("message", "250 queued")
    assert [step.name for step in told] == ["message"]


def test_words_of_a_server_are_made_safe() -> None:
    assert steps_of((SENT, "EHLO us"), (RECEIVED, "250 a\x1b[2J\nb")) == ["EHLO passed 250 a?[2J b"]


def test_times_are_of_the_step_alone() -> None:
    now = [10.0]
    told: list[Step] = []
    watch = Watch("mx", lambda: now[0], told.append)
    for kind, text, seconds in (
        (DIAL, "mx", 0.5),
        (CONNECTED, "", 1.0),
        (RECEIVED, "220 mx", 0.0),
        (SENT, "STARTTLS", 0.25),
        (RECEIVED, "220 go", 4.0),
        (SENT, "EHLO us", 0.0),
        (TLS, "TLSv1.3", 2.0),
        (RECEIVED, "250 mx", 0.0),
    ):
        watch.trace(kind, text)
        now[0] += seconds
    assert [(step.name, step.seconds) for step in told] == [
        ("TCP", 0.5),
        ("greeting", 1.0),
        ("STARTTLS", 0.25),
        ("TLS", 4.0),
        ("EHLO", 2.0),
    ]
