"""How single values are written, and that writing and reading are each other's inverse."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridgehead.control.configuration import notation
from bridgehead.control.configuration.issue import NotationError
from bridgehead.core.organization import ClientList, LocalDelivery, SmartHost, SmartHostKind

NAME, HOST, ADDRESS = SmartHostKind.NAME, SmartHostKind.HOST, SmartHostKind.ADDRESS


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0s", 0),
        ("90s", 90),
        ("15m", 900),
        ("12h", 43_200),
        ("2d", 172_800),
        ("1d12h", 129_600),
        ("1d2h3m4s", 93_784),
    ],
)
def test_duration_counts_days_hours_minutes_and_seconds(text: str, seconds: int) -> None:
    assert notation.duration_seconds(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "5", "s", "-5s", "1.5h", "5 m", "5M", "3s2m", "1h1h", "１m", "1w", "5m\n", "9" * 9 + "d"]
)
def test_other_durations_are_refused(text: str) -> None:
    with pytest.raises(NotationError):
        notation.duration_seconds(text)


@given(st.integers(0, notation.DURATION_DAYS_MAX * 86_400))
def test_duration_is_read_back_as_written(seconds: int) -> None:
    assert notation.duration_seconds(notation.write_duration(seconds)) == seconds


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mail.isp.example", [SmartHost("mail.isp.example", NAME)]),
        ("Mail.ISP.example.", [SmartHost("mail.isp.example", NAME)]),
        ("bücher.example", [SmartHost("xn--bcher-kva.example", NAME)]),
        ("relay", [SmartHost("relay", NAME)]),
        ("[relay]", [SmartHost("relay", HOST)]),
        ("relay:2525", [SmartHost("relay", HOST, 2525)]),
        ("[relay]:2525", [SmartHost("relay", HOST, 2525)]),
        (
            "[192.0.2.10];[192.0.2.11]:2525",
            [SmartHost("192.0.2.10", ADDRESS), SmartHost("192.0.2.11", ADDRESS, 2525)],
        ),
        ("[192.0.2.10] , relay ;", [SmartHost("192.0.2.10", ADDRESS), SmartHost("relay", NAME)]),
        ("[2001:DB8::1]", [SmartHost("2001:db8::1", ADDRESS)]),
        ("[2001:db8::1]:25", [SmartHost("2001:db8::1", ADDRESS, 25)]),
        ("", []),
    ],
)
def test_smart_hosts_are_read_as_exchange_wrote_them(text: str, expected: list[SmartHost]) -> None:
    assert notation.smart_hosts(text) == tuple(expected)


@pytest.mark.parametrize(
    ("text", "suggestion"),
    [
        ("192.0.2.10", "[192.0.2.10]"),
        ("192.0.2.10:25", "[192.0.2.10]:25"),
        ("2001:db8::1", "[2001:db8::1]"),
        ("[192.0.2.10", "[192.0.2.10]"),
        ("[192.0.2.10]25", ""),
        ("[192.0.2.10]:", ""),
        ("relay:0", ""),
        ("relay:65536", ""),
        ("relay:smtp", ""),
        ("re lay", ""),
        ("[]", ""),
        ("http://relay", ""),
        ("[fe80::1%eth0]", ""),
        ("-relay", ""),
    ],
)
def test_other_smart_hosts_are_refused(text: str, suggestion: str) -> None:
    with pytest.raises(NotationError) as refusal:
        notation.smart_hosts(text)
    assert refusal.value.suggestion == suggestion


def test_an_empty_entry_of_a_list_is_no_smart_host() -> None:
    with pytest.raises(NotationError):
        notation.smart_hosts(["[192.0.2.10]", ""])


names = st.lists(st.from_regex(r"\A[a-z]([a-z0-9-]{0,8}[a-z0-9])?\Z"), min_size=1, max_size=4).map(".".join)
ports = st.none() | st.integers(1, 65_535)
any_smart_host = st.one_of(
    st.builds(SmartHost, names, st.just(NAME)),
    st.builds(SmartHost, names, st.just(HOST), ports),
    st.builds(SmartHost, (st.ip_addresses(v=4) | st.ip_addresses(v=6)).map(str), st.just(ADDRESS), ports),
)


@given(st.lists(any_smart_host, max_size=5))
def test_smart_hosts_are_read_back_as_written(hosts: list[SmartHost]) -> None:
    assert notation.smart_hosts(";".join(map(str, hosts))) == tuple(hosts)
    assert notation.smart_hosts([str(host) for host in hosts]) == tuple(hosts)


@given(st.ip_addresses(), st.integers(1, 65_535))
def test_endpoint_is_read_back_as_written(address: IPv4Address | IPv6Address, port: int) -> None:
    text = f"{notation.in_brackets(str(address))}:{port}"
    assert notation.endpoint(text) == (str(address), port)
    assert notation.host_and_port(text) == (str(address), port)
    assert notation.name_server(text) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("192.0.2.1", ("192.0.2.1", 25)),
        ("2001:db8::1", ("2001:db8::1", 25)),
        ("[2001:db8::1]", ("2001:db8::1", 25)),
        ("[2001:db8::1]:26", ("2001:db8::1", 26)),
        ("192.0.2.1:26", ("192.0.2.1", 26)),
        ("Mail2.contoso.com", ("mail2.contoso.com", 25)),
        ("mail2.contoso.com:26", ("mail2.contoso.com", 26)),
    ],
)
def test_server_address_has_port_25_where_it_names_none(text: str, expected: tuple[str, int]) -> None:
    assert notation.server_address(text) == expected


def test_clients_are_sorted_into_networks_and_domains() -> None:
    assert notation.client_list(
        ["::1", "*.Contoso.com", "10.0.0.0/8", "::ffff:192.0.2.0/120", "a.example"]
    ) == ClientList(
        (ip_network("::1/128"), ip_network("10.0.0.0/8"), ip_network("192.0.2.0/24")), ("*.contoso.com", "a.example")
    )


@pytest.mark.parametrize("text", ["*", "", "10.0.0.0/33", "10.0.0", "a b", "user@a.example", "*.*.example"])
def test_other_clients_are_refused(text: str) -> None:
    with pytest.raises(NotationError):
        notation.client(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("lmtp:127.0.0.1:24", LocalDelivery("lmtp", "127.0.0.1:24")),
        ("lmtp:[::1]:24", LocalDelivery("lmtp", "[::1]:24")),
        ("lmtp:mail:24", LocalDelivery("lmtp", "mail:24")),
        ("lmtp:/run/lmtp.sock", LocalDelivery("lmtp", "/run/lmtp.sock")),
        ("maildir:/srv/{domain}/{local}", LocalDelivery("maildir", "/srv/{domain}/{local}")),
    ],
)
def test_local_delivery_names_kind_and_target(text: str, expected: LocalDelivery) -> None:
    assert notation.local_delivery(text) == expected


@pytest.mark.parametrize("text", ["lmtp", "lmtp:", "smtp:127.0.0.1:24", "lmtp:127.0.0.1", "lmtp:mail", "maildir:{x}"])
def test_other_local_delivery_is_refused(text: str) -> None:
    with pytest.raises(NotationError):
        notation.local_delivery(text)


PARSERS: list[Callable[[str], object]] = [
    notation.duration_seconds,
    notation.endpoint,
    notation.server_address,
    notation.host_and_port,
    notation.client,
    notation.smart_hosts,
    notation.local_delivery,
    notation.name_server,
]


@given(st.text(max_size=40), st.sampled_from(range(len(PARSERS))))
def test_no_text_makes_a_parser_fail_otherwise_than_by_refusing_it(text: str, number: int) -> None:
    with contextlib.suppress(NotationError):
        PARSERS[number](text)
