"""`bridgehead explain` reads well and says whose link state it went by."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from bridgehead.control.configuration.load import load
from bridgehead.control.control_socket import ControlError, Request
from bridgehead.core.explanation import Question, explain
from bridgehead.core.link_state import LinkState
from bridgehead.core.organization import Organization
from tests.cli.calling import beside, called
from tests.cli.contoso import HEAD, ISP, PARTNER, TWINS, write_file

SINCE = 1_790_000_000.0


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TWIN_PASSWORD", "open sesame")
    return write_file(tmp_path, HEAD, ISP, PARTNER, TWINS)


def organization(path: Path) -> Organization:
    """What the file comes to."""
    configuration = load(path).configuration
    assert configuration is not None
    return configuration.organization


def answering(serving: Organization, links: LinkState) -> Callable[[Request], Awaitable[Any]]:
    """A server that answers as the real one does."""

    async def respond(request: Request) -> Any:
        match request.verb:
            case "server":
                connectors = [
                    {
                        "name": one.name,
                        "up": one.name not in links.down,
                        "suspect": one.name in links.suspect,
                        "down_since": links.down.get(one.name, 0.0),
                    }
                    for one in serving.connectors
                ]
                return {"generation": serving.generation, "connectors": connectors}
            case "explain":
                return explain(msgspec.convert(request.arguments, Question), serving, links)
            case _:
                raise ControlError(f"not asked for here: {request.verb}")

    return respond


def test_explain_shows_the_verdict_first_and_then_every_reason(path: Path) -> None:
    came = called("explain", "bob@fabrikam.com", "--config", path, "--from", "app@contoso.com")
    assert came.out == (
        "ROUTED  bob@fabrikam.com\n"
        "Would be sent at once.\n"
        "  from   <app@contoso.com>\n"
        f"  at     LOCAL/Default, generation {organization(path).generation}\n"
        "  links  every link taken as up: no server is running\n"
        "\n"
        "May this client send to it? yes: The connector that takes it allows messages to be relayed to its domains.\n"
        "  client   on no list, not authenticated\n"
        "  rule     connector\n"
        "  who may  everyone\n"
        "\n"
        "Which connector takes it?\n"
        "           CONNECTOR  SPACE           COST  RULE\n"
        "  kept     Partner    *.fabrikam.com    10                 Takes it.\n"
        "  dropped  ISP        *                  1  less-specific  A more specific address space decides.\n"
        "  dropped  Twin A     -                  -  not-covered    None of its address spaces covers the domain.\n"
        "  dropped  Twin B     -                  -  not-covered    None of its address spaces covers the domain.\n"
        "\n"
        "Where does it go?\n"
        "  Partner, cost 10\n"
        "    host        MX of fabrikam.com\n"
        "    TLS         opportunistic\n"
        "    identity    anonymous\n"
        "    bridgehead  LOCAL/Default\n"
    )
    assert came.code == 0


def test_explain_shows_all_that_tie_and_how_one_of_them_is_chosen(path: Path) -> None:
    came = called("explain", "x@twins.example", "--config", path)
    _, _, routes = came.out.partition("Where does it go? ")
    assert routes == (
        "1 of 2, evenly\n"
        "  Twin A, cost 1\n"
        "    host        [192.0.2.21]:26\n"
        "    TLS         opportunistic\n"
        "    identity    anonymous\n"
        "    bridgehead  LOCAL/Default\n"
        "  Twin B, cost 1\n"
        "    host        relay.twin.example\n"
        "    TLS         verify\n"
        "    identity    basic as contoso\n"
        "    bridgehead  LOCAL/Default\n"
    )
    assert "sesame" not in came.out


def test_explain_says_who_may_where_the_client_may_not(path: Path) -> None:
    came = called("explain", "bob@elsewhere.example", "--config", path)
    assert came.code == 2
    assert came.out.startswith("REFUSED  bob@elsewhere.example\nRefused at RCPT: 550 5.7.1 Unable to relay")
    assert "May this client send to it? no: The domain is none of ours, and the client may not relay.\n" in came.out
    assert "  who may  authenticated clients; clients of 127.0.0.0/8, ::1/128\n" in came.out


def test_explain_says_what_would_wait_and_for_what(path: Path) -> None:
    came = called("explain", "bob@elsewhere.example", "--config", path, "--client", "127.0.0.1", "--down", "ISP")
    assert came.code == 1
    assert came.out.startswith("WOULD WAIT  bob@elsewhere.example\nEvery connector that serves it is down;")
    assert "  kept     ISP        *         1               It would take it, but is down.\n" in came.out
    assert "no server is running; taken as down: ISP\n" in came.out
    assert "Where would it go?\n" in came.out


@pytest.mark.parametrize(("number", "words"), [(30, "21 more that do"), (10, "1 more that does")])
def test_explain_shows_only_some_of_many_that_do_not_cover_the_domain(
    tmp_path: Path, number: int, words: str
) -> None:
    many = "".join(
        f'[[connector]]\nname = "Number {one}"\naddress_spaces = ["n{one}.example"]\n' for one in range(number)
    )
    came = called("explain", "x@n3.example", "--config", write_file(tmp_path, HEAD, many), "--auth", "app")
    assert came.out.count("not-covered") == 8
    assert f"  and {words} not cover the domain (all of them: --json)\n" in came.out


def test_explain_makes_an_address_safe_to_show(path: Path) -> None:
    came = called("explain", "bob\x1b[2J@x", "--config", path)
    assert came.code == 2
    assert "\x1b" not in came.out


async def test_explain_goes_by_the_link_state_of_a_running_server(path: Path) -> None:
    links = LinkState({"ISP": SINCE})
    respond = answering(organization(path), links)
    came = await beside(
        path.parent / "state", respond, "explain", "bob@x.org", "--client", "127.0.0.1", "--config", path
    )
    assert came.code == 1
    assert "  links  as the running server sees them\n" in came.out
    assert "It would take it, but is down since 2026-09-2" in came.out


async def test_explain_can_take_what_is_down_as_up(path: Path) -> None:
    respond = answering(organization(path), LinkState({"ISP": SINCE}))
    asked = ("explain", "bob@x.org", "--client", "127.0.0.1", "--assume-up", "--config", path)
    came = await beside(path.parent / "state", respond, *asked)
    assert came.code == 0
    assert "as the running server sees them; all others as up\n" in came.out


async def test_explain_answers_about_a_file_that_is_not_in_force_with_the_links_of_the_server(path: Path) -> None:
    in_force = organization(path)
    write_file(path.parent, HEAD, ISP)
    respond = answering(in_force, LinkState({"ISP": SINCE}))
    came = await beside(path.parent / "state", respond, "explain", "bob@fabrikam.com", "--config", path)
    assert came.code == 2, "the file has no connector any more that allows relaying"
    assert f"the file is not in force, that is {in_force.generation}\n" in came.out
    assert f"generation {organization(path).generation}\n" in came.out


async def test_explain_answers_by_the_running_server_while_its_file_has_errors(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    respond = answering(organization(path), LinkState())
    path.write_text(path.read_text() + "colour = 1\n")
    monkeypatch.setenv("BRIDGEHEAD_CONFIG", str(path))
    came = await beside(path.parent / "state", respond, "explain", "bob@fabrikam.com")
    assert (came.code, came.err) == (0, "")


def test_explain_writes_json(path: Path) -> None:
    answer = json.loads(called("explain", "bob@fabrikam.com", "--config", path, "--json").out)
    assert set(answer) == {
        "recipient", "address", "domain", "virtual_server", "client", "generation", "verdict", "reason", "admission",
        "accepted_domain", "routes", "choice", "connectors", "links",
    }  # fmt: skip
    assert (answer["verdict"], answer["routes"][0]["connector"]) == ("routed", "Partner")


MISTAKES = [
    (("--down", "Nowhere"), 'there is no connector "Nowhere"'),
    (("--client", "300.0.0.1"), '"300.0.0.1" is no IP address'),
    (("--virtual-server", "Other"), 'there is no virtual server "LOCAL/Other"; there is "LOCAL/Default"'),
    (("--server", "TOKYO"), 'there is no virtual server "TOKYO"; there is "LOCAL/Default"'),
    (("--size", "-1"), "Invalid value for '--size': -1 is not in the range x>=0."),
    (("--priority", "top"), "Invalid value for '--priority': 'top' is not one of 'high', 'normal', 'low'."),
]


@pytest.mark.parametrize(("options", "expected"), MISTAKES, ids=[mistake[0][0] for mistake in MISTAKES])
def test_explain_tells_mistakes_from_refusals(path: Path, options: tuple[str, ...], expected: str) -> None:
    came = called("explain", "bob@fabrikam.com", "--config", path, *options)
    assert (came.code, came.out) == (64, "")
    assert expected in came.err


async def test_explain_tells_mistakes_that_the_server_found_from_refusals(path: Path) -> None:
    respond = answering(organization(path), LinkState())
    asked = ("explain", "bob@fabrikam.com", "--config", path, "--down", "Nowhere")
    came = await beside(path.parent / "state", respond, *asked)
    assert came.code == 64
    assert 'there is no connector "Nowhere"' in came.err
