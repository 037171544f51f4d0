"""Which mail is meant."""

from __future__ import annotations

from typing import Any

import click
import pytest

from bridgehead.cli.selection import arguments_of, selection_of
from bridgehead.core import queue_id
from bridgehead.outbound.listing import EVERYTHING, Selection
from bridgehead.process.worker_requests import Chosen
from tests.cli.waiting import FIRST, SECOND

ONE, TWO = queue_id.write(FIRST), queue_id.write(SECOND)


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ({}, EVERYTHING),
        ({"ids": [TWO, ONE.lower(), ONE]}, Selection(frozenset({FIRST, SECOND}))),
        ({"connector": "ISP"}, Selection(connector="ISP")),
        ({"connector": ""}, Selection(connector="")),
        ({"domain": "@Fabrikam.COM."}, Selection(domain="fabrikam.com")),
        ({"domain": "例え.jp"}, Selection(domain="xn--r8jz45g.jp")),
        ({"sender": "<A@contoso.com>"}, Selection(sender="A@contoso.com")),
        ({"sender": "<>"}, Selection(sender="")),
    ],
)
def test_selection_means(given: dict[str, Any], meant: Selection) -> None:
    assert selection_of(**given) == meant


def test_worker_understands_the_same() -> None:
    meant = selection_of([ONE, TWO], "ISP", "fabrikam.com", "a@contoso.com")
    arguments = arguments_of(meant)
    assert Chosen(**{**arguments, "ids": tuple(arguments["ids"])}).selection() == meant


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"ids": ["nonsense"]}, '"nonsense" is not a queue id: `bridgehead queue list` shows them'),
        ({"domain": "a b"}, '"a b" is not a domain'),
        ({"domain": ""}, '"" is not a domain'),
    ],
)
def test_selection_is_refused(given: dict[str, Any], words: str) -> None:
    with pytest.raises(click.UsageError) as refusal:
        selection_of(**given)
    assert str(refusal.value) == words
