"""Which clients a list names."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from bridgehead.core.client import STRANGER, client_at, includes, is_granted, needs_names
from bridgehead.core.organization import ClientList, ListMode

LIST = ClientList(
    tuple(ip_network(text) for text in ("127.0.0.0/8", "::1/128", "192.0.2.0/24", "2001:db8::/32")),
    ("app.contoso.com", "*.fabrikam.com"),
)
CASES = {
    "loopback": ("127.0.0.1", None, True),
    "IPv6 loopback": ("::1", None, True),
    "in the network": ("192.0.2.255", None, True),
    "beside the network": ("192.0.3.0", None, False),
    "mapped": ("::ffff:192.0.2.7", None, True),
    "mapped, beside the network": ("::ffff:192.0.3.7", None, False),
    "IPv6 in the network": ("2001:db8:1::7", None, True),
    "IPv6 of the same number": ("::192.0.2.7", None, False),
    "link-local with a zone": ("fe80::1%eth0", None, False),
    "listed name": ("198.51.100.1", ("app.contoso.com",), True),
    "name below a listed name": ("198.51.100.1", ("a.app.contoso.com",), False),
    "name below a wildcard": ("198.51.100.1", ("a.fabrikam.com",), True),
    "name of the wildcard": ("198.51.100.1", ("fabrikam.com",), True),
    "name that ends alike": ("198.51.100.1", ("badfabrikam.com",), False),
    "second of two names": ("198.51.100.1", ("x.org", "a.fabrikam.com"), True),
    "no name": ("198.51.100.1", (), False),
    "name not looked up": ("198.51.100.1", None, False),
}


@pytest.mark.parametrize(("address", "names", "expected"), CASES.values(), ids=CASES)
def test_list_names_a_client_by_network_or_verified_name(
    address: str, names: tuple[str, ...] | None, expected: bool
) -> None:
    client = client_at(address, names=names)

    assert includes(LIST, client) is expected
    assert is_granted(ListMode.ONLY_LIST, LIST, client) is expected
    assert is_granted(ListMode.ALL_EXCEPT, LIST, client) is not expected


def test_stranger_is_on_no_list() -> None:
    everyone = ClientList((ip_network("0.0.0.0/0"), ip_network("::/0")), ("*",))

    assert not includes(everyone, STRANGER)
    assert includes(everyone, client_at("198.51.100.1"))


def test_names_are_needed_only_where_a_list_has_some() -> None:
    assert needs_names(LIST)
    assert not needs_names(ClientList(LIST.networks))


def test_mapped_address_is_the_address_it_means() -> None:
    assert client_at("::ffff:192.0.2.7") == client_at("192.0.2.7")
    assert client_at("::ffff:192.0.2.7").text == "192.0.2.7"


def test_loopback_is_told_from_the_outside() -> None:
    assert [client_at(a).is_loopback for a in ("127.9.9.9", "::1", "::ffff:127.0.0.1", "192.0.2.1")] == [
        True,
        True,
        True,
        False,
    ]
    assert not STRANGER.is_loopback


@pytest.mark.parametrize("text", ["", "mail.contoso.com", "192.0.2", "192.0.2.1:25", "[::1]"])
def test_what_is_no_address_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError, match="does not appear to be"):
        client_at(text)
