"""The table of states: whatever comes, the session stays in a known state."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bridgehead.smtp.server_state import COMMANDS, QUESTIONS, TABLE, Input, State

INPUTS = st.lists(st.sampled_from(list(Input)), max_size=60)


def walk(inputs: list[Input]) -> State:
    """The state after these inputs; what the table does not have changes nothing."""
    state = State.CONNECTED
    for step in inputs:
        state = TABLE[state].get(step, state)
    return state


def test_every_state_has_a_row() -> None:
    assert set(TABLE) == set(State)


def test_every_state_can_be_reached() -> None:
    found, waiting = {State.CONNECTED}, [State.CONNECTED]
    while waiting:
        for state in TABLE[waiting.pop()].values():
            if state not in found:
                found.add(state)
                waiting.append(state)
    assert found == set(State)


def test_closed_is_final() -> None:
    assert set(TABLE[State.CLOSED].values()) == {State.CLOSED}


def test_a_question_takes_answers_alone() -> None:
    for state in QUESTIONS:
        assert set(TABLE[state]) == {Input.ACCEPTED, Input.REFUSED, Input.CLOSE}
    assert not QUESTIONS & COMMANDS


@given(INPUTS)
def test_any_inputs_end_in_a_known_state(inputs: list[Input]) -> None:
    assert walk(inputs) in State


@given(INPUTS)
def test_content_never_flows_without_an_accepted_recipient(inputs: list[Input]) -> None:
    """Every way into DATA or a chunk has MAIL accepted and RCPT accepted behind the latest EHLO or RSET."""
    state, mail, rcpt = State.CONNECTED, False, False
    for step in inputs:
        after = TABLE[state].get(step, state)
        if step is Input.ACCEPTED and state is State.MAIL_ASKED:
            mail = True
        if step is Input.ACCEPTED and state in {State.FIRST_RCPT_ASKED, State.RCPT_ASKED}:
            rcpt = True
        if after in {State.READY, State.STRANGER}:
            mail = rcpt = False
        state = after
        if state in {State.DATA, State.CHUNK, State.LAST_CHUNK, State.BETWEEN_CHUNKS}:
            assert mail
            assert rcpt


@given(INPUTS)
def test_nothing_but_the_handshake_leads_out_of_starttls(inputs: list[Input]) -> None:
    state = State.TLS
    for step in inputs:
        state = TABLE[state].get(step, state)
        if step in {Input.TLS_STARTED, Input.CLOSE}:
            return
        assert state is State.TLS
