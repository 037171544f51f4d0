"""Routing against its own rules written plainly, and how evenly and how steadily ties are broken."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridgehead.core.envelope import MessageId
from bridgehead.core.link_state import ALL_UP, LinkState
from bridgehead.core.organization import (
    Connector,
    Organization,
    Restrictions,
    Scope,
)
from bridgehead.core.pattern import covers, specificity
from bridgehead.core.queue_id import QueueIds
from bridgehead.core.routing import (
    NO_ROUTE,
    SMART_HOSTS,
    MessageProperties,
    Route,
    Routed,
    Unreachable,
    Unroutable,
    choose,
    here_at,
    route,
)
from tests.core.organizations import (
    REMOTE,
    VIRTUAL_SERVER,
    Way,
    connector,
    decide,
    down,
    mailbox,
    names,
    organization,
    rules,
)

TraceFunction: TypeAlias = Callable[[FrameType, str, Any], Any]
THREE = tuple(Route(name, VIRTUAL_SERVER, SMART_HOSTS, 1) for name in ("North", "South", "West"))


def _message_ids(count: int) -> Iterator[MessageId]:
    ids = QueueIds(partition=0)
    return (ids.next(1_700_000_000.0 + number // 3 / 1000) for number in range(count))


def test_choice_is_even_over_messages() -> None:
    chosen = Counter(choose(THREE, message_id).connector for message_id in _message_ids(6000))

    assert sum(chosen.values()) == 6000
    assert all(1850 < count < 2150 for count in chosen.values()), chosen


def test_choice_of_a_message_is_always_the_same_whatever_the_order() -> None:
    for message_id in _message_ids(50):
        assert choose(THREE, message_id) == choose(THREE[::-1], message_id)


def test_choice_changes_only_for_messages_whose_route_went_away() -> None:
    for message_id in _message_ids(200):
        before = choose(THREE, message_id)
        remaining = tuple(found for found in THREE if found is not THREE[0])

        assert before is THREE[0] or choose(remaining, message_id) == before


# The rules once more, as plainly as they can be written, for Hypothesis to compare with.
def naive(organization: Organization, domain: str, message: MessageProperties, links: LinkState) -> object:
    served = []
    refused = False
    for found in organization.connectors:
        spaces = [space for space in found.address_spaces if covers(space.pattern, domain)]
        if not spaces or not found.enabled or (found.scope is Scope.ROUTING_GROUP and found.routing_group != "Tokyo"):
            continue
        limits = found.restrictions
        too_large = 0 < limits.size_less_than <= message.size
        rejected = message.sender in limits.reject_from
        not_accepted = bool(limits.accept_from) and message.sender not in limits.accept_from
        if too_large or rejected or not_accepted:
            refused = True
            continue
        top = max(specificity(space.pattern) for space in spaces)
        served.append((found, top, min(space.cost for space in spaces if specificity(space.pattern) == top)))
    if not served:
        return "refused" if refused else "no match"
    top = max(specific for _, specific, _ in served)
    pool = [
        (found, cost) for found, specific, cost in served if specific == top and VIRTUAL_SERVER in found.bridgeheads
    ]
    if not pool:
        return "no route"
    up = [(found, cost) for found, cost in pool if links.is_up(found.name)]
    suspect = [(found, cost) for found, cost in pool if found.name in links.suspect and found.name not in links.down]
    alive = up or suspect or pool
    best = min(cost for _, cost in alive)
    return [found.name for found, cost in alive if cost == best], not (up or suspect)


_names = ("A", "B", "C", "D", "E")
_spaces = st.builds(
    "{};{}".format, st.sampled_from(("*", "*.org", "*.x.org", "x.org", "a.x.org", "*.com")), st.integers(1, 3)
)
_restrictions = st.builds(
    Restrictions,
    st.sampled_from((0, 0, 0, 100)),
    st.sampled_from(((), (), (), ("s@x.org",))),
    st.sampled_from(((), (), (), ("s@x.org",))),
)
_ways = st.builds(
    Way,
    bridgeheads=st.sampled_from(((VIRTUAL_SERVER,), (VIRTUAL_SERVER, REMOTE), (REMOTE,))),
    restrictions=_restrictions,
    scope=st.sampled_from(Scope),
    routing_group=st.sampled_from(("Tokyo", "Tokyo", "Osaka")),
    enabled=st.sampled_from((True, True, True, False)),
)
_connectors: st.SearchStrategy[tuple[Connector, ...]] = st.lists(
    st.tuples(st.lists(_spaces, min_size=1, max_size=3), _ways), max_size=5
).map(
    lambda drawn: tuple(connector(name, *spaces, way=way) for name, (spaces, way) in zip(_names, drawn, strict=False))
)
_links = st.builds(
    lambda gone, shaky: down(*gone, suspect=tuple(shaky)),
    st.sets(st.sampled_from(_names)),
    st.sets(st.sampled_from(_names)),
)


@given(_connectors, st.sampled_from(("x.org", "a.x.org", "b.org", "com", "net")), st.sampled_from((0, 200)), _links)
def test_routing_agrees_with_its_rules_written_plainly(
    connectors: tuple[Connector, ...], domain: str, size: int, links: LinkState
) -> None:
    for sender in ("s@x.org", "t@x.org"):
        expected = naive(organization(*connectors), domain, MessageProperties(sender, size), links)
        decision = decide(organization(*connectors), f"u@{domain}", sender=sender, size=size, links=links)

        match decision.result:
            case Unroutable(reply):
                assert expected in ({"no match", "no route"} if reply == NO_ROUTE else {"refused"})
            case Routed() | Unreachable():
                assert (names(decision), isinstance(decision.result, Unreachable)) == expected
            case _:
                raise AssertionError(decision)
        assert len(rules(decision)) == len(decision.considered)
        assert all(covers(record.pattern, domain) for record in decision.considered)


def _with_spaces(count: int) -> Organization:
    spaces = [f"{'*.' if number % 2 else ''}d{number}.partner.example;{1 + number % 100}" for number in range(count)]
    return organization(*(connector(f"C{first}", *spaces[first::5]) for first in range(5)), connector("ISP", "*"))


def _steps(contoso: Organization, domain: str) -> int:
    """Instructions of the interpreter for one decision: the same each time, however busy the machine is."""
    here, message = here_at(contoso, VIRTUAL_SERVER), MessageProperties("app@contoso.com", 5000)
    recipient = mailbox(f"u@{domain}")
    steps = 0

    def trace(frame: FrameType, event: str, argument: object) -> TraceFunction:
        nonlocal steps
        frame.f_trace_opcodes = True
        steps += event == "opcode"
        return trace

    former = sys.gettrace()
    sys.settrace(trace)
    try:
        route(recipient, message, here, contoso, ALL_UP)
    finally:
        sys.settrace(former)
    return steps


@pytest.mark.slow
def test_a_hundred_thousand_address_spaces_cost_no_more_than_ten() -> None:
    few, many = _with_spaces(10), _with_spaces(100_000)
    steps_of_few = {_steps(few, f"d{number}.partner.example") for number in range(10)}
    steps_of_many = {_steps(many, f"d{number * 499}.partner.example") for number in range(200)}

    assert 100 < max(steps_of_many) <= 1.1 * max(steps_of_few)
