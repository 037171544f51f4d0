"""Which addresses are ours."""

from __future__ import annotations

import pytest

from bridgehead.net.interfaces import is_own_address

CASES = {
    "127.0.0.1": True,
    "::1": True,
    "127.0.0.2": False,
    "192.0.2.1": False,
    "2001:db8::1": False,
    "0.0.0.0": False,
    "224.0.0.1": False,
}


@pytest.mark.parametrize(("address", "is_own"), CASES.items(), ids=CASES.keys())
def test_address_is_own(address: str, is_own: bool) -> None:
    assert is_own_address(address) is is_own
