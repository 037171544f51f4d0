"""Answers are values: equal when they say the same, usable as keys, never changed."""

from __future__ import annotations

import dataclasses

import pytest

from bridgehead.net.dns_answer import Addresses, DnsFault, MxHost, MxHosts, NoSuchName


def test_answers_that_say_the_same_are_equal() -> None:
    assert MxHosts((MxHost(10, "a"),)) == MxHosts((MxHost(10, "a"),))
    assert len({NoSuchName(), NoSuchName(), DnsFault("x"), DnsFault("y"), Addresses()}) == 4


def test_answers_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        MxHost(10, "a").name = "b"  # type: ignore[misc]  # that it is refused is what is tested
