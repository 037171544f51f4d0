"""The figures of the demo: put together from two answers of its server."""

from __future__ import annotations

import pytest

from bridgehead.cli.demo_figures import NO_CONNECTOR, Figures, Line, Rates, figures
from bridgehead.core.statistics import DeliveryCount, QueueCount, Statistics

STATISTICS = Statistics(
    received=9,
    refused=2,
    queues=(QueueCount("ISP", "ready", 1), QueueCount("ISP", "retry", 2)),
    deliveries=(
        DeliveryCount("", "delivered", 3),
        DeliveryCount("ISP", "deferred", 4),
        DeliveryCount("ISP", "delivered", 5),
        DeliveryCount("ISP", "failed", 1),
    ),
)


def test_each_connector_has_a_line_and_so_have_the_mailboxes() -> None:
    look = figures({"ISP": False, "Backup": True}, STATISTICS, 1.0)
    assert look.lines == (
        Line("ISP", is_up=False, waiting=3, delivered=5, deferred=4, failed=1),
        Line("Backup", is_up=True, waiting=0, delivered=0, deferred=0, failed=0),
        Line(NO_CONNECTOR, is_up=True, waiting=0, delivered=3, deferred=0, failed=0),
    )
    assert (look.received, look.refused) == (9, 2)
    assert (look.waiting, look.delivered, look.deferred, look.failed) == (3, 8, 4, 1)
    assert look.down == ("ISP",)


def test_a_rate_is_what_grew_over_the_last_looks() -> None:
    rates = Rates()
    for second in range(30):
        assert rates.received == pytest.approx(10.0 if second > 1 else 0.0)
        rates.add(Figures(second, (Line("ISP", True, 0, 3 * second, 0, 0),), 10 * second, 0))
    assert rates.delivered("ISP") == pytest.approx(3.0)
    assert rates.delivered("other") == 0.0
