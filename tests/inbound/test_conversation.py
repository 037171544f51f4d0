"""What a session answers: policy, limits, and the configuration in force."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import replace

import pytest

from bridgehead.core.organization import (
    ClientList,
    ConnectionControl,
    ListMode,
    MessageLimits,
    RelayRestrictions,
    ServerAuthentication,
    ServerTls,
)
from bridgehead.core.tracking import Step
from tests.inbound.receiving import HASHER, LOOPBACK, USERS, dialogue, organization, receiving
from tests.inbound.saying import ENVELOPE, MAIL, RCPT, certificate, changed, until

# Policy and limits


async def test_recipients_are_asked_of_policy_and_refusals_are_tracked() -> None:
    configuration = organization(virtual_server=changed(relay=RelayRestrictions()))
    async with receiving(configuration) as found, dialogue(found.port) as client:
        await client.say(MAIL)
        assert (await client.say(b"RCPT TO:<x@elsewhere.example>"))[:9] == "550 5.7.1"
        assert (await client.say(RCPT))[:9] == "250 2.1.5"
        (event,) = found.events
        assert (event.step, event.recipient, event.code) == (Step.REFUSED, "x@elsewhere.example", 550)


async def test_whoever_authenticates_may_relay() -> None:
    async with receiving() as found, dialogue(found.port) as client:
        await client.say(b"AUTH PLAIN AHVzZXIAc2VjcmV0")
        await client.say(MAIL)
        assert (await client.say(b"RCPT TO:<x@elsewhere.example>"))[:9] == "250 2.1.5"


async def test_wrong_credentials_and_unknown_accounts_get_the_same_answer() -> None:
    async with receiving() as found, dialogue(found.port) as client:
        wrong = await client.say(b"AUTH PLAIN AHVzZXIAd3Jvbmc=")
        unknown = await client.say(b"AUTH PLAIN AG5vYm9keQB3cm9uZw==")
        assert wrong == unknown == "535 5.7.8 Authentication credentials invalid"
        assert (await client.say(b"AUTH PLAIN AHVzZXIAd3Jvbmc="))[:9] == "421 4.7.0"
        assert await client.rest() == b""


async def test_authentication_in_the_clear_is_refused_unless_allowed(server_tls: ssl.SSLContext) -> None:
    authentication = ServerAuthentication(users=USERS)
    configuration = organization(virtual_server=changed(authentication=authentication))
    async with receiving(configuration, tls=server_tls) as found, dialogue(found.port) as client:
        assert "AUTH" not in await client.say(b"EHLO c.example")
        assert (await client.say(b"AUTH PLAIN AHVzZXIAc2VjcmV0"))[:10] == "538 5.7.11"


async def test_what_is_required_comes_before_mail(server_tls: ssl.SSLContext) -> None:
    tls = ServerTls(certificate(), required=True)
    configuration = organization(virtual_server=changed(tls=tls))
    async with receiving(configuration, tls=server_tls) as found, dialogue(found.port) as client:
        assert (await client.say(MAIL))[:9] == "530 5.7.0"
    authentication = ServerAuthentication(users=USERS, without_tls=True, required=True)
    configuration = organization(virtual_server=changed(authentication=authentication))
    async with receiving(configuration) as found, dialogue(found.port) as client:
        assert (await client.say(MAIL))[:9] == "530 5.7.0"
        await client.say(b"AUTH PLAIN AHVzZXIAc2VjcmV0")
        assert (await client.say(MAIL))[:9] == "250 2.1.0"


async def test_sizes_and_recipients_are_bounded() -> None:
    limits = MessageLimits(size_max=100, recipients_max=1)
    async with (
        receiving(organization(virtual_server=changed(messages=limits))) as found,
        dialogue(found.port) as client,
    ):
        assert (await client.say(MAIL + b" SIZE=101"))[:9] == "552 5.3.4"
        assert (await client.say(MAIL + b" SIZE=100"))[:9] == "250 2.1.0"
        await client.say(RCPT)
        assert (await client.say(RCPT))[:9] == "452 4.5.3"
        await client.say(b"DATA")
        assert (await client.say(b"x" * 99 + b"\r\n."))[:9] == "552 5.3.4"
        assert found.messages == []


async def test_a_session_may_send_only_so_much() -> None:
    limits = MessageLimits(session_size_max=100)
    async with (
        receiving(organization(virtual_server=changed(messages=limits))) as found,
        dialogue(found.port) as client,
    ):
        await client.send(ENVELOPE + b"\r\n")
        for _ in range(3):
            await client.reply()
        assert (await client.say(b"x" * 60 + b"\r\n."))[:3] == "250"
        assert (await client.say(MAIL + b" SIZE=60"))[:9] == "421 4.7.0"
        assert len(found.messages) == 1


async def test_a_client_that_may_not_connect_gets_554() -> None:
    control = ConnectionControl(clients=LOOPBACK)
    configuration = organization(virtual_server=changed(connection=control))
    async with receiving(configuration) as found, dialogue(found.port, greeted=False) as client:
        assert (await client.rest()).startswith(b"554 5.7.1 ")


async def test_sessions_over_the_limit_get_421_and_leaving_makes_room() -> None:
    control = ConnectionControl(limit=2, limit_per_client=1)
    async with receiving(organization(virtual_server=changed(connection=control))) as found:
        async with dialogue(found.port), dialogue(found.port, greeted=False) as second:
            assert (await second.rest()).startswith(b"421 4.3.2 ")
        await until(lambda: not found.server.session_counts())
        async with dialogue(found.port):
            pass


async def test_more_sessions_than_descriptors_get_421() -> None:
    async with (
        receiving(sessions_max=1) as found,
        dialogue(found.port),
        dialogue(found.port, greeted=False) as second,
    ):
        assert (await second.rest()).startswith(b"421 4.3.2 ")


class Names:
    """Answers every look-up with one name."""

    async def verified_names(self, address: str) -> tuple[str, ...]:
        return ("client.trusted.example",)


async def test_a_client_may_be_named_by_domain() -> None:
    relay = RelayRestrictions(clients=ClientList(domains=("*.trusted.example",)))
    configuration = organization(virtual_server=changed(relay=relay))
    async with receiving(configuration, names=Names()) as found, dialogue(found.port) as client:
        await client.say(MAIL)
        assert (await client.say(b"RCPT TO:<x@elsewhere.example>"))[:9] == "250 2.1.5"
        await client.say(b"DATA")
        await client.say(b"x: y\r\n.")
        assert b"(client.trusted.example [127.0.0.1])" in (found.messages[0].body.content or b"")


# A changed configuration


async def test_a_transaction_ends_with_the_configuration_it_began_with() -> None:
    async with receiving() as found, dialogue(found.port) as client:
        await client.say(MAIL)
        found.apply(organization(accepted=()))
        assert (await client.say(RCPT))[:9] == "250 2.1.5"
        await client.say(b"DATA")
        assert (await client.say(b"x: y\r\n."))[:3] == "250"
        await client.say(MAIL)
        assert (await client.say(RCPT))[:9] == "550 5.7.1"


async def test_each_mail_looks_at_the_client_anew() -> None:
    async with receiving() as found, dialogue(found.port) as client:
        control = ConnectionControl(mode=ListMode.ONLY_LIST)
        found.apply(organization(virtual_server=changed(connection=control)))
        assert (await client.say(MAIL))[:9] == "554 5.7.1"
        assert await client.rest() == b""


CHANGED_ACCOUNTS = {
    "removed": ServerAuthentication(users={}, without_tls=True),
    "with another password": ServerAuthentication(users={"user": HASHER.hash("other")}, without_tls=True),
    "none are taken any more": None,
}


@pytest.mark.parametrize("name", CHANGED_ACCOUNTS)
async def test_a_session_does_not_outlive_its_account(name: str) -> None:
    async with receiving() as found, dialogue(found.port) as client:
        await client.say(b"AUTH PLAIN AHVzZXIAc2VjcmV0")
        found.apply(organization(virtual_server=changed(authentication=CHANGED_ACCOUNTS[name])))
        await client.say(MAIL)
        assert (await client.say(b"RCPT TO:<x@elsewhere.example>"))[:9] == "550 5.7.1"
        await client.say(b"RSET")
        assert (await client.say(b"AUTH PLAIN AHVzZXIAc2VjcmV0"))[:3] in {"535", "502"}, "it may log in anew"


async def test_a_session_whose_account_stays_goes_on_after_a_reload() -> None:
    async with receiving() as found, dialogue(found.port) as client:
        await client.say(b"AUTH PLAIN AHVzZXIAc2VjcmV0")
        found.apply(organization(virtual_server=changed(fqdn="other.contoso.com")))
        await client.say(MAIL)
        assert (await client.say(b"RCPT TO:<x@elsewhere.example>"))[:9] == "250 2.1.5"


async def test_a_connection_to_a_virtual_server_that_is_gone_is_cut() -> None:
    async with receiving() as found:
        found.apply(replace(organization(), virtual_servers=()))
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            async with dialogue(found.port):
                pass
        assert not found.server.session_counts()


async def test_sessions_of_a_virtual_server_that_is_gone_finish() -> None:
    async with receiving() as found, dialogue(found.port) as client:
        found.apply(replace(organization(), virtual_servers=()))
        await client.send(ENVELOPE + b"\r\n")
        for _ in range(3):
            await client.reply()
        assert (await client.say(b"x: y\r\n."))[:3] == "250"


async def test_what_all_sessions_hold_together_is_bounded_and_comes_back() -> None:
    async with (
        receiving(draft_memory_max=5_000) as found,
        dialogue(found.port) as first,
        dialogue(found.port) as second,
    ):
        await first.say(MAIL)
        while (reply := await first.say(RCPT))[:3] == "250":
            pass
        assert reply[:9] == "452 4.3.1"
        await second.say(MAIL)
        assert (await second.say(RCPT))[:9] == "452 4.3.1"
        assert (await first.say(b"RSET"))[:3] == "250"
        assert (await second.say(RCPT))[:3] == "250"
        await second.say(b"DATA")
        assert (await second.say(b"x" * 998 + b"\r\n."))[:3] == "250"
        assert len(found.messages) == 1
        assert found.reception.draft_memory.held == 0


async def test_content_over_what_all_sessions_may_hold_is_put_off() -> None:
    async with receiving(draft_memory_max=5_000) as found, dialogue(found.port) as client:
        for lines, code in ((100, "452 4.3.1"), (10, "250 2.0.0")):
            await client.say(MAIL)
            await client.say(RCPT)
            await client.say(b"DATA")
            assert (await client.say((b"x" * 78 + b"\r\n") * lines + b"."))[:9] == code
        assert len(found.messages) == 1
