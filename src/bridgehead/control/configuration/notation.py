"""How single values are written in the file: durations, addresses, networks, smart hosts, address spaces.

Pure functions from text to values and back. What does not fit raises `NotationError`, which says what was expected
and, where it can be guessed, what to write instead.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from bridgehead.control.configuration import domains
from bridgehead.control.configuration.issue import NotationError
from bridgehead.core.organization import ClientList, LocalDelivery, Network, SmartHost, SmartHostKind

DURATION_DAYS_MAX: Final = 3650
"""Ten years: longer is a slip of the finger."""
SMTP_PORT: Final = 25
PORT_MAX: Final = 65_535

_DURATION: Final = re.compile(r"(?:([0-9]{1,9})d)?(?:([0-9]{1,9})h)?(?:([0-9]{1,9})m)?(?:([0-9]{1,9})s)?", re.ASCII)
_UNIT_SECONDS: Final = (86_400, 3_600, 60, 1)
_SMART_HOST_EXPECTED: Final = 'a smart host: "name", "[name]", "name:port" or "[192.0.2.10]:port"'
_PLACEHOLDERS: Final = re.compile(r"\{[^{}]*\}")


def duration_seconds(text: str) -> float:
    """Seconds of `"90s"`, `"15m"`, `"1d12h"` (days, hours, minutes, seconds in this order)."""
    match = _DURATION.fullmatch(text)
    expected = 'a duration such as "30s", "10m", "12h" or "1d12h"'
    if match is None or not text:
        number = text.strip()
        raise NotationError(text, expected, f"{number}s" if number.isascii() and number.isdigit() else "")
    seconds = sum(int(digits or 0) * unit for digits, unit in zip(match.groups(), _UNIT_SECONDS, strict=True))
    if seconds > DURATION_DAYS_MAX * 86_400:
        raise NotationError(text, f"at most {DURATION_DAYS_MAX}d")
    return float(seconds)


def write_duration(seconds: float) -> str:
    """The shortest text that `duration_seconds` reads back; whole seconds only."""
    rest = round(seconds)
    text = ""
    for unit, letter in zip(_UNIT_SECONDS, "dhms", strict=True):
        count, rest = divmod(rest, unit)
        text += f"{count}{letter}" if count else ""
    return text or "0s"


def ip(text: str) -> IPv4Address | IPv6Address | None:
    """The IP address written here, without brackets; `None` where it is none."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return None if getattr(address, "scope_id", None) else address


def endpoint(text: str, *, port_min: int = 1) -> tuple[str, int]:
    """Address and port of `"192.0.2.1:25"` or `"[2001:db8::1]:25"`; names are refused."""
    expected = '"ADDRESS:PORT", such as "192.0.2.1:25" or "[::]:25"'
    host, colon, port_text = text.rpartition(":")
    if ip(text) is not None:
        raise NotationError(text, expected, f"{in_brackets(text)}:{SMTP_PORT}")
    address = ip(host.removeprefix("[").removesuffix("]"))
    if not colon or address is None or (address.version == 6) != host.startswith("["):
        meant = {"": "0.0.0.0", "*": "0.0.0.0", "localhost": "127.0.0.1"}.get(host)
        raise NotationError(text, expected, f"{meant}:{port_text}" if meant and port_text.isdigit() else "")
    return str(address), port(port_text, text, port_min=port_min)


def server_address(text: str) -> tuple[str, int]:
    """Host and port of `"192.0.2.1"`, `"mail2.contoso.com:2525"`, `"[2001:db8::1]:25"`; the port defaults to 25."""
    address = ip(text) or ip(text.removeprefix("[").removesuffix("]"))
    if address is not None:
        return str(address), SMTP_PORT
    return host_and_port(text) if ":" in text else (domains.host_name(text), SMTP_PORT)


def host_and_port(text: str) -> tuple[str, int]:
    """Host and port of `"192.0.2.1:24"`, `"[::1]:24"`, `"mail.contoso.com:24"`."""
    host, _, port_text = text.rpartition(":")
    address = ip(host.removeprefix("[").removesuffix("]"))
    if address is not None and (address.version == 6) == host.startswith("["):
        return str(address), port(port_text, text)
    return domains.host_name(host), port(port_text, text)


def port(text: str, whole: str, *, port_min: int = 1) -> int:
    """A port number; `whole` is the text that errors show."""
    if text.isascii() and text.isdigit() and len(text) <= 5 and port_min <= int(text) <= PORT_MAX:
        return int(text)
    raise NotationError(whole, f"a port between {port_min} and {PORT_MAX} after the colon")


def in_brackets(host: str) -> str:
    """A host as it stands before a colon and a port: IPv6 addresses get brackets."""
    return f"[{host}]" if ":" in host else host


def network(text: str) -> Network | None:
    """The network or single address written here; IPv4-mapped IPv6 is taken as the IPv4 it means."""
    try:
        parsed = ip_network(text)
    except ValueError:
        return None
    if isinstance(parsed, IPv6Network) and parsed.prefixlen >= 96 and parsed.network_address.ipv4_mapped is not None:
        return ip_network(f"{parsed.network_address.ipv4_mapped}/{parsed.prefixlen - 96}")
    return parsed


def client(text: str) -> Network | str:
    """An entry of a list of clients: address, network or domain pattern."""
    expected = 'an address, a network such as "192.0.2.0/24", or a domain such as "*.contoso.com"'
    parsed = network(text)
    if parsed is not None:
        return parsed
    if "/" in text:
        raise NotationError(text, expected, _network_meant(text))
    return domains.pattern(text, expected)


def client_list(texts: Iterable[str]) -> ClientList:
    """Entries sorted into networks and domains."""
    entries = [client(text) for text in texts]
    return ClientList(
        tuple(entry for entry in entries if not isinstance(entry, str)),
        tuple(entry for entry in entries if isinstance(entry, str)),
    )


def smart_hosts(value: str | Sequence[str]) -> tuple[SmartHost, ...]:
    """All entries of `"[192.0.2.10];[192.0.2.11]:2525"` or of a list; nothing between two separators is no entry."""
    texts = value.replace(",", ";").split(";") if isinstance(value, str) else value
    return tuple(smart_host(text.strip()) for text in texts if text.strip() or not isinstance(value, str))


def smart_host(text: str) -> SmartHost:
    """One entry: `name`, `[name]`, `name:port`, `[192.0.2.10]`, `[2001:db8::1]:2525`."""
    if ip(text) is not None:
        raise NotationError(text, f"{_SMART_HOST_EXPECTED}; an IP address stands in brackets", f"[{text}]")
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise NotationError(text, _SMART_HOST_EXPECTED, f"[{host.strip()}]" if not bracket else "")
        number = port(rest[1:], text) if rest else None
        address = ip(host)
        if address is not None:
            return SmartHost(str(address), SmartHostKind.ADDRESS, number)
        return SmartHost(_smart_host_name(host, text), SmartHostKind.HOST, number)
    host, colon, port_text = text.partition(":")
    if not colon:
        return SmartHost(_smart_host_name(host, text), SmartHostKind.NAME)
    if ip(host) is not None:
        raise NotationError(
            text, f"{_SMART_HOST_EXPECTED}; an IP address stands in brackets", f"[{host}]:{port_text}"
        )
    return SmartHost(_smart_host_name(host, text), SmartHostKind.HOST, port(port_text, text))


def ip_text(text: str) -> str:
    """An IP address without brackets and port."""
    address = ip(text)
    if address is None:
        raise NotationError(text, 'an IP address such as "192.0.2.1"')
    return str(address)


def name_server(text: str) -> str:
    """`"ADDRESS"` or `"ADDRESS:PORT"` of a DNS server."""
    return ip_text(text) if ip(text) is not None else "{}:{}".format(*_written(endpoint(text)))


def local_delivery(text: str) -> LocalDelivery:
    """`"lmtp:HOST:PORT"`, `"lmtp:/path"` or `"maildir:/path/{domain}/{local}"`; paths are not yet made absolute."""
    expected = '"lmtp:HOST:PORT", "lmtp:/path/of/socket" or "maildir:/srv/mail/{domain}/{local}"'
    kind, colon, target = text.partition(":")
    if not colon or kind not in {"lmtp", "maildir"} or not target:
        raise NotationError(text, expected)
    if kind == "maildir":
        for placeholder in _PLACEHOLDERS.findall(target):
            if placeholder not in {"{domain}", "{local}"}:
                raise NotationError(placeholder, "the placeholders {domain} and {local} only")
    if "\0" in target:
        raise NotationError(text, expected)
    if kind == "lmtp" and "/" not in target:
        try:
            host_and_port(target)
        except NotationError:
            raise NotationError(text, expected) from None
    return LocalDelivery(kind, target)


def _smart_host_name(host: str, text: str) -> str:
    try:
        return domains.host_name(host)
    except NotationError:
        raise NotationError(text, _SMART_HOST_EXPECTED) from None


def _written(address_and_port: tuple[str, int]) -> tuple[str, int]:
    return in_brackets(address_and_port[0]), address_and_port[1]


def _network_meant(text: str) -> str:
    """The network with its host bits cleared, where that is what is wrong: `192.0.2.1/24` -> `192.0.2.0/24`."""
    try:
        return str(ip_network(text, strict=False))
    except ValueError:
        return ""
