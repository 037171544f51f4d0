"""What is up: neither down nor suspect; what was never heard of is up."""

from __future__ import annotations

from types import MappingProxyType

import pytest

from bridgehead.core.link_state import ALL_UP, LinkState

STATE = LinkState(MappingProxyType({"dead": 1000.0, "both": 1000.0}), frozenset({"shaky", "both"}), 7)

CASES = {"dead": False, "shaky": False, "both": False, "fine": True, "never heard of": True, "": True}


@pytest.mark.parametrize("connector", CASES)
def test_a_connector_is_up_unless_it_is_down_or_suspect(connector: str) -> None:
    assert STATE.is_up(connector) is CASES[connector]


def test_without_a_server_everything_is_up() -> None:
    assert LinkState() == ALL_UP
    assert not ALL_UP.down
    assert not ALL_UP.suspect
    assert ALL_UP.version == 0
    assert all(ALL_UP.is_up(name) for name in CASES)


def test_a_state_is_replaced_never_changed() -> None:
    with pytest.raises(TypeError):
        LinkState().down["x"] = 1.0  # type: ignore[index]  # what a read-only mapping refuses
    with pytest.raises(AttributeError):
        STATE.version = 8  # type: ignore[misc]  # what a frozen class refuses


def test_another_version_is_another_state() -> None:
    assert LinkState(version=1) != LinkState(version=2)
