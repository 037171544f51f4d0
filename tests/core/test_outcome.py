"""What one attempt came to: three kinds that exclude each other, and nothing implied that was not said."""

from __future__ import annotations

from typing import get_args

import pytest

from bridgehead.core.outcome import Deferred, Delivered, Failed, Outcome, Scope
from bridgehead.core.reply import Reply

OK, LATER, NEVER = Reply(250, "2.0.0", "Ok"), Reply(451, "4.7.1", "later"), Reply(550, "5.1.1", "no")
KINDS: tuple[type[object], ...] = get_args(Outcome)


def test_there_are_three_kinds_and_none_is_another() -> None:
    assert set(KINDS) == {Delivered, Deferred, Failed}
    for outcome in (Delivered(OK, "mx"), Deferred(LATER, Scope.MESSAGE), Failed(NEVER)):
        assert sum(isinstance(outcome, kind) for kind in KINDS) == 1


def test_a_delivery_claims_no_tls_no_dsn_and_no_mailbox_by_itself() -> None:
    """Each of these, if it were assumed, would keep a report from a sender who asked for one, or make a wrong one."""
    delivered = Delivered(OK, "mx")
    assert (delivered.tls, delivered.relays_dsn, delivered.is_final) == ("", False, False)


def test_a_deferral_speaks_against_the_connector_only_where_it_says_so() -> None:
    deferred = Deferred(LATER, Scope.HOST)
    assert not deferred.is_connect_failure
    assert not deferred.is_unconfirmed


@pytest.mark.parametrize("scope", Scope)
def test_the_scope_is_part_of_what_happened(scope: Scope) -> None:
    same = [other for other in Scope if Deferred(LATER, other) == Deferred(LATER, scope)]
    assert same == [scope]


def test_outcomes_are_values() -> None:
    assert Failed(NEVER) == Failed(NEVER, "")
    assert Failed(NEVER) != Failed(NEVER, "mx")
    with pytest.raises(AttributeError):
        Failed(NEVER).host = "mx"  # type: ignore[misc]  # what a frozen record refuses
