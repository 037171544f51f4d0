"""The open sessions: counted by virtual server, bounded, and ended together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from bridgehead.inbound.sessions import Sessions


@dataclass(eq=False)
class Guest:
    """A session that does as its test says."""

    key: str
    heard: list[str] = field(default_factory=list)
    when_stopped: Callable[[Guest], None] = lambda _: None

    def stop(self) -> None:
        self.heard.append("stop")
        self.when_stopped(self)

    def close(self) -> None:
        self.heard.append("close")
        self.when_stopped(self)

    def abort(self) -> None:
        self.heard.append("abort")
        self.when_stopped(self)


def entered(sessions: Sessions, *keys: str) -> list[Guest]:
    guests = [Guest(key) for key in keys]
    for guest in guests:
        sessions.enter(guest)
    return guests


def test_sessions_are_counted_by_virtual_server_and_none_is_no_entry() -> None:
    sessions = Sessions(10)
    a, _, b = entered(sessions, "A", "A", "B")
    assert sessions.counts() == {"A": 2, "B": 1}
    sessions.leave(b)
    sessions.leave(a)
    assert sessions.counts() == {"A": 1}
    assert len(sessions) == 1


def test_who_left_already_is_not_counted_down_again() -> None:
    sessions = Sessions(10)
    a, _ = entered(sessions, "A", "A")
    sessions.leave(a)
    sessions.leave(a)
    assert sessions.counts() == {"A": 1}


def test_a_count_that_was_taken_does_not_change() -> None:
    sessions = Sessions(10)
    entered(sessions, "A")
    counts = sessions.counts()
    entered(sessions, "A")
    assert counts == {"A": 1}


def test_the_session_over_the_bound_is_too_many_and_the_last_within_is_not() -> None:
    sessions = Sessions(2)
    guests, seen = [Guest("A") for _ in range(3)], list[bool]()
    for guest in guests:
        sessions.enter(guest)
        seen.append(sessions.is_full)
    sessions.leave(guests[0])
    assert [*seen, sessions.is_full] == [False, False, True, False]


def test_room_is_for_those_arriving_together() -> None:
    sessions = Sessions(3)
    entered(sessions, "A")
    assert [sessions.has_room_for(arriving) for arriving in (0, 1, 2, 3)] == [True, True, True, False]


def test_stopping_asks_each_once_and_tells_when_the_last_has_left() -> None:
    sessions, told = Sessions(10), list[str]()
    a, b = entered(sessions, "A", "B")
    sessions.stop(lambda: told.append("empty"))
    assert (a.heard, b.heard, told) == (["stop"], ["stop"], [])
    sessions.leave(a)
    assert told == []
    sessions.leave(b)
    assert told == ["empty"]


def test_stopping_without_sessions_tells_at_once() -> None:
    told: list[str] = []
    Sessions(10).stop(lambda: told.append("empty"))
    assert told == ["empty"]


def test_sessions_may_leave_while_they_are_asked() -> None:
    """An idle session ends within `stop`; the others must still be asked, and emptiness told."""
    for end in (Sessions.close, Sessions.abort, lambda sessions: sessions.stop(lambda: None)):
        sessions, told = Sessions(10), list[str]()
        sessions.stop(lambda told=told: told.append("empty"))  # type: ignore[misc]  # bound now, on purpose
        told.clear()
        guests = [Guest("A", when_stopped=sessions.leave) for _ in range(3)]
        for guest in guests:
            sessions.enter(guest)
        end(sessions)
        assert [len(guest.heard) for guest in guests] == [1, 1, 1]
        assert len(sessions) == 0
        assert sessions.counts() == {}


def test_each_way_to_end_is_passed_on_to_all() -> None:
    sessions = Sessions(10)
    guests = entered(sessions, "A", "B")
    sessions.close()
    sessions.abort()
    assert [guest.heard for guest in guests] == [["close", "abort"]] * 2


@given(st.lists(st.tuples(st.sampled_from("ABC"), st.booleans()), max_size=40))
def test_counts_are_those_of_a_plain_list(steps: list[tuple[str, bool]]) -> None:
    sessions, here = Sessions(5), list[Guest]()
    for key, is_arriving in steps:
        if is_arriving:
            here += entered(sessions, key)
        elif here:
            sessions.leave(here.pop(0))
        keys = [guest.key for guest in here]
        assert sessions.counts() == {key: keys.count(key) for key in keys}
        assert len(sessions) == len(keys)
        assert sessions.is_full is (len(keys) > 5)


def test_who_comes_when_all_were_asked_to_finish_can_see_it() -> None:
    sessions = Sessions(10)
    assert not sessions.is_stopping
    sessions.stop(lambda: None)
    assert sessions.is_stopping
