"""What sessions get from their worker: values that are replaced whole, and doors that their implementations fit."""

from __future__ import annotations

import asyncio
import inspect
from dataclasses import FrozenInstanceError, replace

import pytest

from bridgehead.inbound.reception import SESSIONS_MAX, InForce, SessionLeases
from bridgehead.inbound.session_leases import LocalLeases
from bridgehead.process.lease_client import LeaseClient
from tests.inbound.receiving import KEY, dialogue, organization, receiving


def test_a_configuration_is_replaced_and_never_changed() -> None:
    in_force = InForce(organization())
    with pytest.raises(FrozenInstanceError):
        in_force.organization = organization()  # type: ignore[misc]  # what a frozen class refuses
    assert replace(in_force, organization=organization(accepted=())) != in_force


def test_two_configurations_without_tls_do_not_share_their_contexts() -> None:
    assert InForce(organization()).tls == {}
    assert InForce(organization()).tls is not InForce(organization()).tls


@pytest.mark.parametrize("implementation", [LocalLeases, LeaseClient])
def test_whoever_keeps_leases_takes_what_a_session_asks(implementation: type[object]) -> None:
    for name, asked in vars(SessionLeases).items():
        if name.startswith("_"):
            continue
        answered = getattr(implementation, name)
        assert list(inspect.signature(answered).parameters) == list(inspect.signature(asked).parameters)
        assert inspect.iscoroutinefunction(answered) == inspect.iscoroutinefunction(asked)


async def test_without_anything_said_there_is_room_and_clients_have_no_names() -> None:
    async with receiving() as found:
        said = {"has_room", "names", "sessions_max"}
        given = {name: getattr(found.reception, name) for name in found.reception.__slots__ if name not in said}
        plain = type(found.reception)(**given)
        assert plain.has_room()
        assert plain.names is None
        assert plain.sessions_max == SESSIONS_MAX


async def test_sessions_see_the_configuration_that_is_in_force_when_they_ask() -> None:
    async with receiving() as found, dialogue(found.port) as client:
        before = found.reception.current()
        found.apply(organization(accepted=()))
        assert found.reception.current() is not before
        assert KEY in {one.key for one in found.reception.current().organization.virtual_servers}
        await asyncio.sleep(0)
        await client.say(b"MAIL FROM:<a@example.org>")
        assert (await client.say(b"RCPT TO:<b@contoso.com>"))[:3] == "550"
