"""What several workers count, added up."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bridgehead.core.statistics import DeliveryCount, QueueCount, Statistics, add


def test_statistics_add_what_two_workers_count() -> None:
    left = Statistics(
        received=2,
        sessions={"S/Default": 1},
        queues=(QueueCount("ISP", "retry", 4, oldest=50.0), QueueCount("", "ready", 1)),
        deliveries=(DeliveryCount("ISP", "delivered", 7),),
        commit_buckets=(1, 0, 2),
        badmail=3,
        spool_faults=1,
    )
    right = Statistics(
        received=3,
        sessions={"S/Default": 2, "S/Second": 1},
        queues=(QueueCount("ISP", "retry", 6, oldest=20.0),),
        deliveries=(DeliveryCount("ISP", "delivered", 1), DeliveryCount("ISP", "failed", 1)),
        commit_buckets=(0, 1, 1),
        badmail=3,
        spool_faults=4,
    )
    assert add([left, right]) == Statistics(
        received=5,
        sessions={"S/Default": 3, "S/Second": 1},
        queues=(QueueCount("", "ready", 1), QueueCount("ISP", "retry", 10, oldest=20.0)),
        deliveries=(DeliveryCount("ISP", "delivered", 8), DeliveryCount("ISP", "failed", 1)),
        commit_buckets=(1, 1, 3),
        badmail=3,
        spool_faults=5,
    )


def test_statistics_of_no_worker_are_zero() -> None:
    assert add([]) == Statistics()


counts = st.builds(
    Statistics,
    received=st.integers(0, 9),
    queues=st.lists(
        st.builds(QueueCount, st.sampled_from(["", "A"]), st.sampled_from(["ready", "retry"]), st.integers(0, 9)),
        max_size=4,
        unique_by=lambda one: (one.connector, one.state),
    ).map(lambda rows: tuple(sorted(rows))),
)


@given(st.lists(counts, max_size=4))
def test_statistics_add_up_the_same_in_any_order(parts: list[Statistics]) -> None:
    assert add(parts) == add(parts[::-1])
