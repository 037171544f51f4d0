"""From the identity of a queue to what the wire must know."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bridgehead.core.organization import ConnectorLimits, LocalDelivery, TlsLevel
from bridgehead.core.routing import SMART_HOSTS
from bridgehead.outbound.contract import QueueKey
from bridgehead.outbound.destination import destination_of
from tests.outbound.post_office import HERE, connector, disabled, organization, without

ISP = organization(connector("ISP", "*", tls=TlsLevel.VERIFY))


def test_a_connector_with_smart_hosts_is_dialled_there_with_its_own_security() -> None:
    destination = destination_of(QueueKey("ISP", HERE, SMART_HOSTS), ISP)
    assert destination is not None
    assert (destination.domain, [str(host) for host in destination.smart_hosts]) == ("", ["[192.0.2.10]"])
    assert destination.security.tls is TlsLevel.VERIFY


def test_without_a_connector_mail_goes_by_mx_with_opportunistic_tls() -> None:
    destination = destination_of(QueueKey("", HERE, "fabrikam.com"), ISP)
    assert destination is not None
    assert (destination.domain, destination.smart_hosts, destination.connector) == ("fabrikam.com", (), None)
    assert destination.security.tls is TlsLevel.OPPORTUNISTIC


@pytest.mark.parametrize(
    ("next_hop", "local"),
    [
        ("lmtp:127.0.0.1:24", LocalDelivery("lmtp", "127.0.0.1:24")),
        ("maildir:/srv/{domain}/{local}", LocalDelivery("maildir", "/srv/{domain}/{local}")),
    ],
)
def test_local_delivery_is_named_by_the_next_hop(next_hop: str, local: LocalDelivery) -> None:
    destination = destination_of(QueueKey("", HERE, next_hop), ISP)
    assert destination is not None
    assert (destination.local, destination.domain) == (local, "")


@pytest.mark.parametrize(
    ("key", "changed"),
    [
        (QueueKey("ISP", HERE, SMART_HOSTS), without(ISP, "ISP")),
        (QueueKey("ISP", HERE, SMART_HOSTS), disabled(ISP, "ISP")),
        (QueueKey("ISP", HERE, SMART_HOSTS), organization(connector("ISP", "*", dns=True))),
        (QueueKey("ISP", "BRIDGE02/Default", SMART_HOSTS), ISP),
        (QueueKey("", HERE, SMART_HOSTS), ISP),
    ],
)
def test_a_way_that_the_organization_has_no_more_is_no_destination(key: QueueKey, changed: object) -> None:
    assert destination_of(key, changed) is None  # type: ignore[arg-type]  # pytest erases the table's types


@pytest.mark.parametrize(("limit", "both"), [(5, 5), (50, 20), (0, 20)])
def test_the_smaller_number_of_messages_a_connection_wins(limit: int, both: int) -> None:
    isp = replace(connector("ISP", "*"), limits=ConnectorLimits(messages_per_connection=limit))
    destination = destination_of(QueueKey("ISP", HERE, SMART_HOSTS), organization(isp))
    assert destination is not None
    assert destination.messages_per_connection == both
