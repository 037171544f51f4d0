"""`/metrics`: the counters of a server in Prometheus' text form.

No addresses in labels, and series that are zero are there: a connector without mail shows 0, so that an alert on
it can be written. Names are a contract (see `docs/monitoring.md`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from prometheus_client import generate_latest
from prometheus_client.core import (
    CollectorRegistry,
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from bridgehead.core.statistics import Statistics
from bridgehead.spool.contract import COMMIT_BUCKETS_SECONDS

NATIVE: Final = "native"
"""Label of mail that no connector takes."""
STATES: Final = ("ready", "active", "retry", "unreachable", "credential", "frozen", "configuration")
RESULTS: Final = ("delivered", "deferred", "failed")
WHY_FAILED: Final = {
    "expired": "Recipients that failed because they waited too long.",
    "bounced": "Recipients that failed because an operator returned them.",
}
"""Results that are among the failed, each a metric of its own, so that results add up."""


def render(server: Mapping[str, Any], statistics: Statistics, now: float) -> bytes:
    """The exposition text from the answers to `server` and `statistics` of the control socket."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Scrape(server, statistics, now))
    return generate_latest(registry)


class _Scrape(Collector):
    """One picture of the counters."""

    def __init__(self, server: Mapping[str, Any], statistics: Statistics, now: float) -> None:
        self._connectors = [str(connector["name"]) for connector in server["connectors"]]
        self._server = server
        self._statistics = statistics
        self._now = now

    def collect(self) -> Iterator[Metric]:
        """Every metric; called by the registry."""
        yield from self._queues()
        yield from self._deliveries()
        yield from self._connector_states()
        yield from self._health()
        yield from self._counters()
        yield self._commits()

    def _labels(self) -> list[str]:
        return [*self._connectors, NATIVE]

    def _queues(self) -> Iterator[Metric]:
        messages = GaugeMetricFamily(
            "bridgehead_queue_messages", "Messages waiting, by connector and state.", labels=["connector", "state"]
        )
        oldest = GaugeMetricFamily(
            "bridgehead_queue_oldest_seconds", "Age of the oldest waiting message.", labels=["connector"]
        )
        counts = {(one.connector or NATIVE, one.state): one for one in self._statistics.queues}
        names = dict.fromkeys([*self._labels(), *(name for name, _ in counts)])
        for name in names:
            for state in dict.fromkeys([*STATES, *(state for found, state in counts if found == name)]):
                count = counts.get((name, state))
                messages.add_metric([name, state], count.messages if count else 0)
            arrivals = [one.oldest for key, one in counts.items() if key[0] == name and one.oldest]
            oldest.add_metric([name], self._now - min(arrivals) if arrivals else 0)
        yield messages
        yield oldest

    def _deliveries(self) -> Iterator[Metric]:
        deliveries = CounterMetricFamily(
            "bridgehead_deliveries", "Recipients by what became of them.", labels=["connector", "result"]
        )
        counts = {(one.connector or NATIVE, one.result): one.count for one in self._statistics.deliveries}
        names = dict.fromkeys([*self._labels(), *(name for name, _ in counts)])
        for name in names:
            for result in RESULTS:
                deliveries.add_metric([name, result], counts.get((name, result), 0))
        yield deliveries
        for result, text in WHY_FAILED.items():
            metric = CounterMetricFamily(f"bridgehead_{result}", text, labels=["connector"])
            for name in names:
                metric.add_metric([name], counts.get((name, result), 0))
            yield metric

    def _connector_states(self) -> Iterator[Metric]:
        up = GaugeMetricFamily("bridgehead_connector_up", "1 where the connector is up.", labels=["connector"])
        for connector in self._server["connectors"]:
            up.add_metric([connector["name"]], int(connector["up"] and connector["enabled"]))
        yield up
        sessions = GaugeMetricFamily(
            "bridgehead_sessions", "SMTP sessions open now, by virtual server.", labels=["virtual_server"]
        )
        for key, count in self._statistics.sessions.items():
            sessions.add_metric([key], count)
        yield sessions

    def _health(self) -> Iterator[Metric]:
        server, disk = self._server, self._server["disk"]
        can_write = not any(worker["fault"] for worker in server["workers"])
        for name, text, value in (
            ("ready", "1 where every worker accepts mail, as /healthz/ready says.", server["ready"]),
            ("disk_free_bytes", "Free on the disk of state_dir.", disk["free_bytes"]),
            ("disk_reserve_bytes", "With less free than this, new mail is refused.", disk["reserve_bytes"]),
            ("spool_writable", "1 where every worker can write its spool.", can_write),
        ):
            yield GaugeMetricFamily(f"bridgehead_{name}", text, value=int(value))
        faults = self._statistics.spool_faults
        yield CounterMetricFamily(
            "bridgehead_spool_faults", "Writes of the spool that the disk refused.", value=faults
        )

    def _counters(self) -> Iterator[Metric]:
        statistics = self._statistics
        yield CounterMetricFamily("bridgehead_received", "Messages accepted.", value=statistics.received)
        yield CounterMetricFamily("bridgehead_refused", "Recipients and messages refused.", value=statistics.refused)
        yield GaugeMetricFamily("bridgehead_spool_messages", "Messages in the spool.", value=statistics.spooled)
        yield GaugeMetricFamily("bridgehead_spool_damaged", "Entries set aside as damaged.", value=statistics.damaged)
        yield GaugeMetricFamily("bridgehead_badmail", "DSNs that could not be delivered.", value=statistics.badmail)
        yield CounterMetricFamily(
            "bridgehead_unconfirmed",
            "Transactions whose final reply was lost.",
            value=statistics.unconfirmed,
        )
        yield CounterMetricFamily(
            "bridgehead_events_dropped", "Tracking events that were lost.", value=statistics.events_dropped
        )
        yield GaugeMetricFamily(
            "bridgehead_memory_bytes", "Resident memory of all workers.", value=statistics.memory_bytes
        )

    def _commits(self) -> Metric:
        buckets: list[tuple[str, float]] = []
        total = 0
        counts = self._statistics.commit_buckets or (0,) * (len(COMMIT_BUCKETS_SECONDS) + 1)
        for bound, count in zip([*map(str, COMMIT_BUCKETS_SECONDS), "+Inf"], counts, strict=True):
            total += count
            buckets.append((bound, total))
        histogram = HistogramMetricFamily("bridgehead_commit_seconds", "Time of one commit of the spool.")
        histogram.add_metric([], buckets, self._statistics.commit_seconds)
        return histogram
