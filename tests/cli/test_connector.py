"""`bridgehead connector`: what there is, whether it is up, and whether it works."""

from __future__ import annotations

import json
import re
import socket
import tomllib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.cli.calling import called, called_beside
from tests.cli.contoso import HEAD, ISP, PARTNER, TWINS, write_file
from tests.control.smart_host import SmartHostServer, smart_host

SINCE = 1_790_000_000.0
LINKS = {
    "connectors": [
        {"name": "ISP", "enabled": True, "up": False, "down_since": SINCE, "suspect": False},
        {"name": "Partner", "enabled": True, "up": True, "down_since": 0.0, "suspect": True},
    ]
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_file(
        tmp_path, HEAD, ISP, PARTNER, '[[connector]]\nname="Old"\nenabled=false\naddress_spaces=["x"]\n'
    )


def test_list_says_that_the_state_is_not_known_without_a_server(path: Path) -> None:
    came = called("connector", "list", "--config", path)
    assert came.out == (
        "CONNECTOR  STATE     ROUTE                       ADDRESS SPACES\n"
        "ISP        -         [192.0.2.10], [192.0.2.11]  *;1\n"
        "Partner    -         DNS                         *.fabrikam.com;10\n"
        "Old        disabled  DNS                         x;1\n"
        "no server is running: which are up is not known\n"
    )
    assert came.code == 0


async def test_list_shows_what_is_down_and_since_when(path: Path) -> None:
    came, _ = await called_beside(path.parent / "state", {"links": LINKS}, "connector", "list", "--config", path)
    _, isp, partner, old = came.out.splitlines()
    assert re.match(r"ISP +DOWN for \d+ d.*, since 2026-09-2\d \d\d:\d\d:20 ", isp)
    assert partner.startswith("Partner    suspect ")
    assert old.startswith("Old        disabled ")


async def test_list_writes_json(path: Path) -> None:
    came, _ = await called_beside(
        path.parent / "state", {"links": LINKS}, "connector", "list", "--json", "--config", path
    )
    assert json.loads(came.out)[0] == {
        "name": "ISP",
        "state": "down",
        "since": SINCE,
        "route": "[192.0.2.10], [192.0.2.11]",
        "address_spaces": ["*;1"],
    }


def test_list_says_what_happens_without_connectors(tmp_path: Path) -> None:
    came = called("connector", "list", "--config", write_file(tmp_path, HEAD))
    assert (came.code, came.out) == (0, "no connectors: mail goes as no_match says (native-dns)\n")


def test_show_prints_the_table_of_the_connector(path: Path) -> None:
    came = called("connector", "show", "Partner", "--config", path)
    assert came.out.startswith("# State: not known, no server is running\n[[connector]]\n")
    (shown,) = tomllib.loads(came.out)["connector"]
    assert (shown["name"], shown["allow_relay"], shown["security"]["tls"]) == ("Partner", True, "opportunistic")


async def test_show_writes_json_with_the_state(path: Path) -> None:
    came, _ = await called_beside(
        path.parent / "state", {"links": LINKS}, "connector", "show", "ISP", "--json", "--config", path
    )
    shown = json.loads(came.out)
    assert (shown["state"], shown["since"], shown["smart_hosts"]) == ("down", SINCE, ["[192.0.2.10]", "[192.0.2.11]"])


def test_show_never_prints_a_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TWIN_PASSWORD", "open sesame")
    came = called("connector", "show", "Twin B", "--config", write_file(tmp_path, HEAD, TWINS))
    assert 'env = "TWIN_PASSWORD"' in came.out
    assert "sesame" not in came.out


@pytest.mark.parametrize("verb", ["show", "test"])
@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("Partnr", 'there is no connector "Partnr"; did you mean "Partner"?'),
        ("Tokyo", 'there is no connector "Tokyo"; `bridgehead connector list` shows them all'),
    ],
)
def test_a_name_that_is_none_ends_with_1_and_the_nearest_name(path: Path, verb: str, name: str, advice: str) -> None:
    came = called("connector", verb, name, "--config", path)
    assert (came.code, came.out, came.err) == (1, "", f"bridgehead: {advice}\n")


MISTAKES = [
    (("ISP", "--send"), "--send needs a recipient: --to ADDRESS"),
    (("ISP", "--to", "bob"), "--to: 'bob' is no address; expected NAME@DOMAIN"),
    (("ISP", "--to", "bob@x.org", "--from", "a b@"), "--from: 'a b@' is no address; expected NAME@DOMAIN"),
    (("Rest",), 'connector "Rest" finds hosts by the MX of the recipient: say whose with --to'),
]


@pytest.mark.parametrize(("arguments", "expected"), MISTAKES, ids=[" ".join(mistake[0]) for mistake in MISTAKES])
def test_test_refuses_what_makes_no_sense(tmp_path: Path, arguments: tuple[str, ...], expected: str) -> None:
    path = write_file(tmp_path, HEAD, ISP, '[[connector]]\nname = "Rest"\naddress_spaces = ["*"]\n')
    came = called("connector", "test", *arguments, "--config", path)
    assert (came.code, came.out) == (64, "")
    assert came.err.endswith(f"Error: {expected}\n")


@pytest.fixture
async def server() -> AsyncIterator[SmartHostServer]:
    async with smart_host() as started:
        yield started


def dead_port() -> int:
    """A loopback port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.2", 0))
        port = probe.getsockname()[1]
    assert isinstance(port, int)
    return port


def shown(out: str) -> str:
    """What was printed, with every time the same."""
    return re.sub(r"\d+\.\d{3} s", "0.000 s", out)


async def test_test_goes_step_by_step_through_every_host(tmp_path: Path, server: SmartHostServer) -> None:
    dead = dead_port()
    hosts = f'smart_hosts = "[127.0.0.2]:{dead};[127.0.0.2]:{server.port}"'
    path = write_file(tmp_path, HEAD, re.sub("smart_hosts = .*", hosts, ISP))
    came, _ = await called_beside(
        tmp_path / "state", {}, "connector", "test", "ISP", "--to", "bob@fabrikam.com", "--config", path
    )
    assert shown(came.out) == (
        'Connector "ISP" (TLS opportunistic; anonymous)\n'
        "as LOCAL/Default would send\n"
        "\n"
        f"[127.0.0.2]:{dead}\n"
        "  passed   DNS          0.000 s  an address: nothing to look up\n"
        "  failed   TCP          0.000 s  connection refused\n"
        "                                 -> Nothing listens there. Check host and port;"
        " submission hosts often want :587 or :465.\n"
        "\n"
        f"[127.0.0.2]:{server.port}\n"
        "  passed   DNS          0.000 s  an address: nothing to look up\n"
        "  passed   TCP          0.000 s  connected\n"
        "  passed   greeting     0.000 s  220 mx.test ready\n"
        "  passed   EHLO         0.000 s  250 mx.test SIZE 33554432 8BITMIME HELP\n"
        "  passed   MAIL         0.000 s  250 OK\n"
        "  passed   RCPT         0.000 s  250 2.1.5 OK\n"
        "\n"
        f"1 of 2 hosts failed: [127.0.0.2]:{dead}\n"
    )
    assert came.code == 1


async def test_test_writes_json_with_every_step(tmp_path: Path, server: SmartHostServer) -> None:
    hosts = f'smart_hosts = "[127.0.0.2]:{server.port}"'
    path = write_file(tmp_path, HEAD, re.sub("smart_hosts = .*", hosts, ISP))
    came, _ = await called_beside(tmp_path / "state", {}, "connector", "test", "ISP", "--json", "--config", path)
    answer = json.loads(came.out)
    assert (came.code, answer["connector"], answer["bridgehead"], answer["passed"]) == (
        0,
        "ISP",
        "LOCAL/Default",
        True,
    )
    assert [step["name"] for step in answer["steps"]] == ["DNS", "TCP", "greeting", "EHLO"]
    assert set(answer["steps"][0]) == {"host", "name", "result", "seconds", "words", "advice"}


async def test_test_says_what_it_left_out(tmp_path: Path, server: SmartHostServer) -> None:
    hosts = f'smart_hosts = "[127.0.0.2]:{server.port}"\nenabled = false'
    path = write_file(tmp_path, HEAD, re.sub("smart_hosts = .*", hosts, ISP))
    came, _ = await called_beside(tmp_path / "state", {}, "connector", "test", "ISP", "--config", path)
    assert "It is disabled: mail does not go this way.\n" in came.out
    assert came.out.endswith("Every step passed (1 host).\nMAIL and RCPT were not tried: give --to ADDRESS.\n")
    assert came.code == 0


async def test_test_sends_a_message_where_it_is_told_to(tmp_path: Path, server: SmartHostServer) -> None:
    hosts = f'smart_hosts = "[127.0.0.2]:{server.port}"'
    path = write_file(tmp_path, HEAD, re.sub("smart_hosts = .*", hosts, ISP))
    asked = ("connector", "test", "ISP", "--to", "bob@fabrikam.com", "--from", "<>", "--send", "--config", path)
    came, _ = await called_beside(tmp_path / "state", {}, *asked)
    assert came.code == 0
    assert "  passed   message      0.000 s  250 2.0.0 queued\n" in shown(came.out)
    ((sender, recipients, _content),) = server.messages
    assert (sender, recipients) == ("<>", ["bob@fabrikam.com"])
