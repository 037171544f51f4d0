"""`/metrics`: every series is there from the start, nothing private is in a label."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from bridgehead.admin.metrics import render
from bridgehead.core.statistics import DeliveryCount, QueueCount, Statistics
from bridgehead.spool.contract import COMMIT_BUCKETS_SECONDS

SERVER = {
    "ready": False,
    "workers": [{"fault": ""}, {"fault": "disk I/O error"}],
    "disk": {"free_bytes": 100, "reserve_bytes": 200, "has_room": False},
    "connectors": [
        {"name": "Internet via ISP", "enabled": True, "up": True},
        {"name": "Partner", "enabled": True, "up": False},
    ],
}


def samples(statistics: Statistics, now: float = 1000.0) -> dict[str, float]:
    """`name{label="value"}` -> value, as a scraper reads them."""
    text = render(SERVER, statistics, now).decode()
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f'{key}="{value}"' for key, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


def test_metrics_show_zero_for_a_connector_without_mail() -> None:
    found = samples(Statistics())
    assert found['bridgehead_queue_messages{connector="Partner",state="retry"}'] == 0
    assert found['bridgehead_queue_oldest_seconds{connector="Internet via ISP"}'] == 0
    assert found['bridgehead_deliveries_total{connector="native",result="failed"}'] == 0
    assert found["bridgehead_received_total"] == 0
    assert found["bridgehead_commit_seconds_count"] == 0


def test_metrics_tell_which_connector_is_up() -> None:
    found = samples(Statistics())
    assert found['bridgehead_connector_up{connector="Internet via ISP"}'] == 1
    assert found['bridgehead_connector_up{connector="Partner"}'] == 0


def test_metrics_tell_of_the_disk_and_the_spool() -> None:
    found = samples(Statistics(spool_faults=3))
    assert found["bridgehead_ready"] == 0
    assert (found["bridgehead_disk_free_bytes"], found["bridgehead_disk_reserve_bytes"]) == (100, 200)
    assert (found["bridgehead_spool_writable"], found["bridgehead_spool_faults_total"]) == (0, 3)


def test_metrics_count_messages_deliveries_and_sessions() -> None:
    found = samples(
        Statistics(
            received=12,
            sessions={"S/Default": 3},
            queues=(QueueCount("Partner", "retry", 4, oldest=400.0), QueueCount("", "ready", 1, oldest=990.0)),
            deliveries=(DeliveryCount("Partner", "deferred", 9),),
        )
    )
    assert found['bridgehead_queue_messages{connector="Partner",state="retry"}'] == 4
    assert found['bridgehead_queue_oldest_seconds{connector="Partner"}'] == 600
    assert found['bridgehead_queue_messages{connector="native",state="ready"}'] == 1
    assert found['bridgehead_deliveries_total{connector="Partner",result="deferred"}'] == 9
    assert found['bridgehead_sessions{virtual_server="S/Default"}'] == 3
    assert found["bridgehead_received_total"] == 12


def test_metrics_tell_why_recipients_failed_where_it_was_no_answer_of_the_next_hop() -> None:
    deliveries = (
        DeliveryCount("", "expired", 2),
        DeliveryCount("", "failed", 2),
        DeliveryCount("Partner", "failed", 1),
    )
    found = samples(Statistics(deliveries=deliveries))
    assert found['bridgehead_deliveries_total{connector="native",result="failed"}'] == 2
    assert found['bridgehead_expired_total{connector="native"}'] == 2
    assert found['bridgehead_expired_total{connector="Partner"}'] == 0
    assert found['bridgehead_bounced_total{connector="Internet via ISP"}'] == 0
    assert not [name for name in found if 'result="expired"' in name]


def test_metrics_keep_a_connector_that_left_the_file_while_mail_waits_for_it() -> None:
    found = samples(Statistics(queues=(QueueCount("Old", "frozen", 2),)))
    assert found['bridgehead_queue_messages{connector="Old",state="frozen"}'] == 2


def test_metrics_give_commit_times_as_a_cumulative_histogram() -> None:
    buckets = (5, 3, *(0 for _ in COMMIT_BUCKETS_SECONDS[2:]), 1)
    found = samples(Statistics(commits=9, commit_seconds=3.5, commit_buckets=buckets))
    assert found['bridgehead_commit_seconds_bucket{le="0.001"}'] == 5
    assert found['bridgehead_commit_seconds_bucket{le="2.5"}'] == 8
    assert found['bridgehead_commit_seconds_bucket{le="+Inf"}'] == 9
    assert found["bridgehead_commit_seconds_sum"] == 3.5
