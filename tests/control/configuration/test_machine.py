"""What is read of the machine we run on."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from bridgehead.control.configuration import machine as module
from bridgehead.control.configuration.machine import LOOPBACK, this_machine


def test_this_machine_has_cores_loopback_and_a_name() -> None:
    machine = this_machine()
    assert machine.cores >= 1
    assert machine.addresses >= LOOPBACK
    assert machine.host_name
    assert machine.now > 1_700_000_000


def test_environment_does_not_show() -> None:
    assert "PATH" not in repr(this_machine())


FIB_TRIE = """Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 0.0.0.0
        /0 universe UNICAST
Local:
     |-- 127.0.0.0
        /8 host LOCAL
     |-- 127.0.0.1
        /32 host LOCAL
     |-- 192.0.2.2
        /32 host LOCAL
     |-- 192.0.2.255
        /32 link BROADCAST
"""
FILES = {
    "/proc/net/fib_trie": FIB_TRIE,
    "/proc/net/if_inet6": "20010db8000000000000000000000002 02 40 00 80 eth0\n",
    "/etc/hosts": "127.0.0.1 localhost\n# 192.0.2.2 no.contoso.com mail\n192.0.2.2 mail.contoso.com mail # ours\n",
}


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine called `mail` whose system files are those above."""
    monkeypatch.setattr(module, "_lines", lambda path: FILES.get(path, "").splitlines())
    monkeypatch.setattr("socket.gethostname", lambda: "mail")


def test_addresses_are_those_of_the_interfaces(system: None) -> None:
    assert this_machine().addresses == LOOPBACK | {ip_address("192.0.2.2"), ip_address("2001:db8::2")}


def test_name_is_completed_from_the_hosts_file(system: None) -> None:
    assert this_machine().host_name == "mail.contoso.com"


def test_name_stays_short_where_nothing_completes_it(system: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "other")
    assert this_machine().host_name == "other"
