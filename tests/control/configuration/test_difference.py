"""What a reload has to do, and what it says."""

from __future__ import annotations

import pytest

from bridgehead.control.configuration.difference import CHANGES_MAX, difference
from bridgehead.core.organization import Listener
from tests.control.configuration.examples import CONNECTOR, PARTNER, SMTP_CONNECTOR, VIRTUAL_SERVER, configuration

KEY = "LOCAL/Default SMTP Virtual Server"


def test_the_same_file_changes_nothing() -> None:
    found = difference(configuration(SMTP_CONNECTOR), configuration(SMTP_CONNECTOR + "\n# a comment\n"))
    assert (found.needs_restart, found.opened, found.closed, found.changes) == ((), (), (), ())


def test_listeners_come_and_go() -> None:
    old = configuration(VIRTUAL_SERVER)
    new = configuration(VIRTUAL_SERVER.replace("192.0.2.1:25", '192.0.2.1:587", "[::1]:25'))
    found = difference(old, new)
    assert found.opened == ((KEY, Listener("192.0.2.1", 587)), (KEY, Listener("::1", 25)))
    assert found.closed == ((KEY, Listener("192.0.2.1", 25)),)
    assert found.changes == (f'virtual server "{KEY}": listeners changed',)


def test_keys_that_need_a_restart_keep_their_values() -> None:
    old = configuration('[node]\nstate_dir = "/a"\nworkers = 1\n')
    new = configuration('[node]\nstate_dir = "/b"\nworkers = 2\nuser = "mail"\ndrain = "1m"\n')
    found = difference(old, new)
    assert found.needs_restart == ("state_dir", "workers", "user")
    assert (found.node.state_dir, found.node.workers, found.node.user) == ("/a", 1, "")
    assert found.node.drain_seconds == 60.0
    assert found.changes == ("node: state_dir, workers, user, drain_seconds changed",)


def test_changes_are_told_by_name_and_field() -> None:
    old = configuration(VIRTUAL_SERVER + CONNECTOR + PARTNER)
    new = configuration(
        VIRTUAL_SERVER
        + CONNECTOR
        + 'advanced.helo = true\nsecurity.tls = "none"\n'
        + PARTNER.replace("Partner", "Other")
        + '[organization]\nno_match = "hold"'
    )
    assert difference(old, new).changes == (
        "organization: no_match changed",
        'connector "Partner" removed',
        'connector "Internet": helo, security.tls changed',
        'connector "Other" added',
    )


@pytest.mark.parametrize(("more", "words"), [(1, "and 1 more change"), (3, "and 3 more changes")])
def test_many_changes_are_cut_short(more: int, words: str) -> None:
    many = "".join(PARTNER.replace("Partner", f"P{n}").replace("*.f", f"{n}.f") for n in range(CHANGES_MAX + more))
    changes = difference(
        configuration(VIRTUAL_SERVER + CONNECTOR), configuration(VIRTUAL_SERVER + CONNECTOR + many)
    ).changes
    assert len(changes) == CHANGES_MAX + 1
    assert changes[-1] == words
