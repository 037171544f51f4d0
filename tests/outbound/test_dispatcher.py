"""The queue as a whole: from acceptance until every recipient is settled."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from bridgehead.core.envelope import Recipient
from bridgehead.core.organization import NoMatch
from bridgehead.core.tracking import Step
from bridgehead.outbound.contract import Attempted, Destination, Transaction
from bridgehead.spool.contract import Body, Insert
from tests.outbound.fake_channel import CLOSING, LATER, LOGIN, LOST, NO_SUCH_DOMAIN, NO_SUCH_USER, OK, REFUSED
from tests.outbound.post_office import DAY, HOUR, MINUTE, TEXT, PostOffice, connector, disabled, organization, without

NATIVE = organization()
ISP = organization(connector("ISP", "*"))


async def test_a_message_is_routed_delivered_and_leaves_the_spool(tmp_path: Path) -> None:
    async with PostOffice(tmp_path, NATIVE).open() as office:
        await office.accept("bob@fabrikam.com")
        assert office.dialer.ways() == ["fabrikam.com"]
        assert office.steps() == [Step.ROUTED, Step.DELIVERED]
        assert office.count() == 0


async def test_recipients_of_one_way_share_a_transaction(tmp_path: Path) -> None:
    async with PostOffice(tmp_path, NATIVE).open() as office:
        await office.accept("a@one.example", "b@two.example", "c@one.example")
        sent = [[one.ordinal for one in transaction.recipients] for _, transaction in office.dialer.transactions]
        assert sorted(sent) == [[0, 2], [1]]
        assert office.count() == 0


async def test_a_thousand_recipients_in_fifty_domains_are_each_delivered_once(tmp_path: Path) -> None:
    async with PostOffice(tmp_path, NATIVE).open() as office:
        message_id = await office.accept(*[f"u{n}@d{n % 50}.example" for n in range(1000)])
        await office.passes(10)
        assert sorted(office.dialer.delivered) == [(message_id, ordinal) for ordinal in range(1000)]
        assert len(office.dialer.transactions) == 50
        assert office.count() == 0
        assert not office.dispatcher.index.messages


async def test_a_thousand_recipients_of_one_domain_go_in_transactions_of_a_hundred(tmp_path: Path) -> None:
    async with PostOffice(tmp_path, NATIVE).open() as office:
        message_id = await office.accept(*[f"u{n}@one.example" for n in range(1000)])
        await office.passes(10)
        assert sorted(office.dialer.delivered) == [(message_id, ordinal) for ordinal in range(1000)]
        assert [len(one.recipients) for _, one in office.dialer.transactions] == [100] * 10
        assert office.count() == 0


async def test_a_dead_host_backs_off_the_queue_and_nothing_is_lost(tmp_path: Path) -> None:
    async with PostOffice(tmp_path, NATIVE).open() as office:
        office.dialer.hosts["dead.example"] = REFUSED
        for number in range(5):
            await office.accept(f"u{number}@dead.example")
        await office.passes(63 * MINUTE, step=10)
        assert len(office.dialer.dialled) == 1 + 3 + 3 + 2
        del office.dialer.hosts["dead.example"]
        await office.passes(15 * MINUTE)
        assert len(office.dialer.delivered) == 5
        assert office.count() == 0


async def test_a_host_that_is_dead_is_told_of_the_recipients_that_wait_for_it(tmp_path: Path) -> None:
    async with PostOffice(tmp_path, NATIVE).open() as office:
        office.dialer.hosts["dead.example"] = REFUSED
        await office.accept("a@dead.example", "b@one.example")
        told = [(one.recipient, one.recipients) for one in office.events_of(Step.DEFERRED) if one.queue_id]
        assert told == [("a@dead.example", 0)]


async def test_message_trouble_backs_off_that_recipient_alone(tmp_path: Path) -> None:
    async with PostOffice(tmp_path, NATIVE).open() as office:
        office.dialer.recipients["grey@one.example"] = [LATER, LATER, OK]
        message_id = await office.accept("grey@one.example", "fine@one.example")
        await office.accept("other@one.example")
        assert len(office.dialer.delivered) == 2
        states = await office.states(message_id)
        assert states is not None
        assert states[0].next_attempt == office.clock.now + 10 * MINUTE
        await office.passes(9 * MINUTE)
        assert len(office.dialer.transactions) == 2
        await office.passes(12 * MINUTE)
        assert office.count() == 0
        assert [event.attempt for event in office.events_of(Step.DEFERRED)] == [1, 2]


async def test_a_refused_recipient_comes_back_as_one_dsn(tmp_path: Path) -> None:
    async with PostOffice(tmp_path, NATIVE).open() as office:
        office.dialer.recipients["a@one.example"] = [NO_SUCH_USER]
        office.dialer.recipients["b@one.example"] = [NO_SUCH_USER]
        await office.accept("a@one.example", "b@one.example", "c@one.example")
        assert office.dialer.ways() == ["one.example", "contoso.com"]
        dsn = office.dialer.transactions[1][1]
        assert dsn.envelope.reverse_path == ""
        assert dsn.recipients[0].address == "alice@contoso.com"
        content = dsn.body.content or b""
        assert content.count(b"Final-Recipient") == 2
        assert office.count() == 0
        assert office.steps().count(Step.DSN) == 1


async def test_a_dsn_never_answers_the_null_reverse_path_but_becomes_badmail(tmp_path: Path) -> None:
    async with PostOffice(tmp_path, NATIVE).open() as office:
        office.dialer.recipients["a@one.example"] = [NO_SUCH_USER]
        office.dialer.recipients["alice@contoso.com"] = [NO_SUCH_USER]
        await office.accept("a@one.example")
        assert office.count() == 0
        assert [entry.envelope.is_dsn for entry in office.badmail.entries()] == [True]
        assert office.steps().count(Step.BADMAIL) == 1
        assert office.badmail.count() == 1


async def test_a_domain_that_takes_no_mail_fails_all_that_waits_for_it(tmp_path: Path) -> None:
    async with PostOffice(tmp_path, NATIVE).open() as office:
        office.dialer.hosts["gone.example"] = NO_SUCH_DOMAIN
        for number in range(10):
            await office.accept(f"u{number}@gone.example")
        await office.passes(10)
        assert office.count() == 0
        assert office.dialer.ways() == ["contoso.com"] * 10


async def test_refused_credentials_hold_the_mail_and_are_not_tried_again_by_themselves(tmp_path: Path) -> None:
    async with PostOffice(tmp_path, ISP).open() as office:
        office.dialer.hosts["ISP"] = LOGIN
        await office.accept("a@one.example")
        await office.accept("b@one.example")
        await office.passes(5 * DAY, step=HOUR)
        assert len(office.dialer.dialled) == 1
        assert office.count() == 2
        assert office.liveness.state.is_up("ISP")


async def test_a_421_on_a_new_connection_backs_off_the_queue(tmp_path: Path) -> None:
    async with PostOffice(tmp_path, NATIVE).open() as office:
        office.dialer.recipients["a@one.example"] = [CLOSING, OK]
        await office.accept("a@one.example")
        await office.accept("b@one.example")
        assert len(office.dialer.transactions) == 1
        await office.passes(MINUTE)
        assert len(office.dialer.delivered) == 2


async def test_a_kept_connection_that_was_lost_is_forgiven_once(tmp_path: Path) -> None:
    async with PostOffice(tmp_path, NATIVE).open() as office:
        await office.accept("a@one.example")
        office.dialer.recipients["b@one.example"] = [LOST, OK]
        await office.accept("b@one.example")
        assert len(office.dialer.delivered) == 2
        assert len(office.dialer.dialled) == 2
        assert Step.DEFERRED not in office.steps()


async def test_a_new_connection_that_was_lost_ends_the_attempt_and_stops_nothing_else(tmp_path: Path) -> None:
    async with PostOffice(tmp_path, NATIVE).open() as office:
        office.dialer.recipients["b@one.example"] = [LOST]
        await office.accept("b@one.example")
        await office.accept("c@one.example")
        assert len(office.dialer.delivered) == 1
        assert office.events_of(Step.DEFERRED)[0].next_attempt == office.clock.now + 10 * MINUTE


async def test_mail_moves_to_an_equal_connector_at_the_first_failure_and_back_when_it_is_up(tmp_path: Path) -> None:
    both = organization(connector("A", "*;1"), connector("B", "*;5"))
    async with PostOffice(tmp_path, both).open() as office:
        office.dialer.hosts["A"] = REFUSED
        await office.accept("bob@fabrikam.com")
        assert office.dialer.ways() == ["B"]
        assert office.steps() == [Step.ROUTED, Step.DEFERRED, Step.DEFERRED, Step.REROUTED, Step.DELIVERED]
        del office.dialer.hosts["A"]
        await office.passes(2 * MINUTE)
        assert office.reports == [("A", False), ("A", True)]
        await office.accept("bob@fabrikam.com")
        assert office.dialer.ways() == ["B", "A"]


async def test_mail_never_moves_to_a_less_specific_connector(tmp_path: Path) -> None:
    both = organization(connector("Partner", "fabrikam.com"), connector("Internet", "*"))
    async with PostOffice(tmp_path, both).open() as office:
        office.dialer.hosts["Partner"] = REFUSED
        await office.accept("bob@fabrikam.com")
        await office.passes(HOUR)
        assert office.dialer.ways() == []
        assert "Partner" in office.liveness.state.down
        del office.dialer.hosts["Partner"]
        await office.passes(15 * MINUTE)
        assert office.dialer.ways() == ["Partner"]


async def test_a_connector_without_mail_is_probed_once_a_minute(tmp_path: Path) -> None:
    both = organization(connector("A", "*;1"), connector("B", "*;5"))
    async with PostOffice(tmp_path, both).open() as office:
        office.dialer.hosts["A"] = REFUSED
        await office.accept("bob@fabrikam.com")
        await office.passes(10 * MINUTE, step=5)
        probes = [one for one in office.dialer.dialled if one.key.connector == "A"]
        assert 10 <= len(probes) <= 12
        assert "A" in office.liveness.state.down


async def test_mail_of_a_removed_connector_takes_an_equal_way_but_a_weaker_one_only_by_order(tmp_path: Path) -> None:
    both = organization(connector("Partner", "fabrikam.com"), connector("Internet", "*"))
    async with PostOffice(tmp_path, both).open() as office:
        office.dialer.hosts["Partner"] = REFUSED
        await office.accept("bob@fabrikam.com")
        await office.apply(without(both, "Partner"))
        await office.passes(HOUR)
        assert office.dialer.ways() == []
        assert office.events_of(Step.HELD)[0].reason.startswith(
            'connector "Partner" is not in the file any more; the way'
        )


async def test_a_disabled_connector_gives_its_mail_to_an_equal_one(tmp_path: Path) -> None:
    both = organization(connector("A", "*;1"), connector("B", "*;5"))
    async with PostOffice(tmp_path, both).open() as office:
        office.dialer.recipients["bob@fabrikam.com"] = [LATER, OK]
        await office.accept("bob@fabrikam.com")
        await office.apply(disabled(both, "A"))
        await office.passes(HOUR)
        assert office.dialer.ways() == ["A", "B"]


async def test_mail_that_loses_its_route_is_held_and_heals_with_the_configuration(tmp_path: Path) -> None:
    before = organization(connector("ISP", "*"), no_match=NoMatch.NDR)
    async with PostOffice(tmp_path, before).open() as office:
        office.dialer.hosts["ISP"] = REFUSED
        message_id = await office.accept("bob@fabrikam.com")
        await office.apply(organization(connector("Other", "example.org"), no_match=NoMatch.NDR))
        await office.passes(10 * DAY, step=HOUR)
        assert office.count() == 1
        assert [event.level for event in office.events_of(Step.HELD)] == ["info", "error"]
        states = await office.states(message_id)
        assert states is not None
        assert states[0].hold.name == "CONFIGURATION"
        office.dialer.hosts.clear()
        await office.apply(before)
        await office.passes(MINUTE)
        assert office.dialer.ways() == ["ISP"]
        assert office.count() == 0


async def test_the_sender_is_told_once_of_a_delay_and_of_the_expiry(tmp_path: Path) -> None:
    async with PostOffice(tmp_path, NATIVE).open() as office:
        office.dialer.hosts["dead.example"] = REFUSED
        await office.accept("bob@dead.example")
        await office.passes(12 * HOUR - 5 * MINUTE)
        assert office.dialer.ways() == []
        await office.passes(10 * MINUTE)
        assert office.dialer.ways() == ["contoso.com"]
        await office.passes(35 * HOUR)
        assert office.dialer.ways() == ["contoso.com"]
        await office.passes(2 * HOUR)
        assert office.dialer.ways() == ["contoso.com", "contoso.com"]
        assert b"4.4.7" in (office.dialer.transactions[1][1].body.content or b"")
        assert office.count() == 0
        assert office.events_of(Step.FAILED)[0].reason == "expired"


async def test_a_recipient_that_nothing_takes_fails_alone_and_the_others_are_sent(tmp_path: Path) -> None:
    only_two = organization(connector("Two", "two.example"), no_match=NoMatch.NDR)
    async with PostOffice(tmp_path, only_two).open() as office:
        message_id = await office.accept("a@one.example", "a@two.example")
        assert office.dialer.delivered == [(message_id, 1)]
        assert office.events_of(Step.FAILED)[0].recipient == "a@one.example"
        assert office.count() == 0


async def test_a_change_of_configuration_reroutes_a_part_into_the_transaction_of_another(tmp_path: Path) -> None:
    async with PostOffice(tmp_path, NATIVE).open() as office:
        office.dialer.hosts.update({"one.example": REFUSED, "two.example": REFUSED, "ISP": REFUSED})
        await office.accept("a@one.example", "b@two.example")
        await office.apply(ISP)
        office.dialer.hosts.clear()
        await office.passes(2 * MINUTE)
        assert [len(one.recipients) for _, one in office.dialer.transactions] == [2]


async def test_what_the_peer_takes_no_more_of_goes_at_once_in_a_further_transaction(tmp_path: Path) -> None:
    async with PostOffice(tmp_path, NATIVE).open() as office:

        def two_at_a_time(_: Destination, transaction: Transaction) -> Attempted:
            taken, rest = transaction.recipients[:2], transaction.recipients[2:]
            return Attempted({one.ordinal: OK for one in taken}, rest)

        office.dialer.answer = two_at_a_time
        await office.accept(*[f"u{n}@one.example" for n in range(5)])
        assert [len(one.recipients) for _, one in office.dialer.transactions] == [5, 3, 1]
        assert office.count() == 0


async def test_a_peer_that_takes_no_recipient_at_all_is_not_asked_for_ever(tmp_path: Path) -> None:
    async with PostOffice(tmp_path, NATIVE).open() as office:
        office.dialer.answer = lambda _, transaction: Attempted({}, transaction.recipients)
        await office.accept("a@one.example")
        await office.passes(MINUTE)
        assert len(office.dialer.transactions) == 1
        assert office.count() == 1


async def test_a_connection_carries_as_many_messages_as_the_connector_allows(tmp_path: Path) -> None:
    async with PostOffice(tmp_path, NATIVE).open() as office:
        for _ in range(45):
            await office.accept("a@one.example")
        assert [len(channel.sent) for channel in office.dialer.channels] == [20, 20, 5]
        await office.passes(10)
        assert all(channel.is_ended for channel in office.dialer.channels)


async def test_connections_stay_within_the_smaller_limit(tmp_path: Path) -> None:
    async with PostOffice(tmp_path, ISP).open() as office:
        office.dialer.is_slow = True
        for _ in range(100):
            await office.accept("a@one.example")
        assert len(office.dialer.channels) == 20
        office.dialer.is_slow = False
        for channel in list(office.dialer.channels):
            channel.answer()
        await office.passes(10)
        assert office.count() == 0


async def test_one_queue_does_not_wait_for_another(tmp_path: Path) -> None:
    async with PostOffice(tmp_path, NATIVE).open() as office:
        office.dialer.hosts["dead.example"] = REFUSED
        for number in range(300):
            await office.accept("a@dead.example", "a@one.example" if number % 2 else "a@two.example")
        assert len(office.dialer.delivered) == 300


async def test_what_a_peer_limits_does_not_stop_the_connections_that_work(tmp_path: Path) -> None:
    async with PostOffice(tmp_path, ISP).open() as office:
        office.dialer.is_slow = True
        await office.accept("a@one.example")
        office.dialer.hosts["ISP"] = REFUSED
        await office.accept("b@one.example")
        assert office.reports == []
        office.dialer.is_slow = False
        office.dialer.channels[0].answer()
        await office.settle()
        assert len(office.dialer.delivered) == 2


@pytest.mark.parametrize("is_restarted", [False, True])
async def test_a_recipient_that_may_not_be_relayed_to_comes_back_though_a_route_takes_it(
    tmp_path: Path, is_restarted: bool
) -> None:
    refused = Recipient(0, "x@elsewhere.example", "elsewhere.example", is_refused=True)
    office = PostOffice(tmp_path, ISP)
    envelope = office.envelope(["", "b@fabrikam.com"])
    envelope = msgspec.structs.replace(envelope, recipients=(refused, envelope.recipients[1]))
    if is_restarted:
        await office.commit(Insert(office.ids.next(office.clock.now), envelope, Body(len(TEXT), TEXT)))
        office.restart()
    async with office.open():
        if not is_restarted:
            await office.accept(envelope=envelope)
        await office.passes(10)
        assert sorted(one.address for _, sent in office.dialer.transactions for one in sent.recipients) == [
            "alice@contoso.com",
            "b@fabrikam.com",
        ]
        assert [(one.recipient, one.enhanced) for one in office.events_of(Step.FAILED)] == [
            (refused.address, "5.7.1")
        ]
        assert office.count() == 0
