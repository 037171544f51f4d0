"""`bridgehead explain`: who may send to a recipient, and which way it goes; `core.explanation` laid out to be read.

Which organization and link state answer: those of the running server; where none runs, the file's with every link
up. A file that was named with `--config` and is not the one in force is what is asked about, with the link state of
the running server. The first lines of the answer say which it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
import msgspec

from bridgehead.cli.completion import connector_names, virtual_server_names
from bridgehead.cli.invocation import Exit, Invocation, invocation, shared_options
from bridgehead.cli.text import moment, paint, plain, table

if TYPE_CHECKING:
    from bridgehead.core.explanation import ConnectorExplanation, Explanation, NextHop, Question
    from bridgehead.core.organization import Organization

REFUSED_EXIT: Final = 2
NOT_COVERING_MAX: Final = 8
"""Connectors listed though none of their address spaces covers the domain; `--json` has all of them."""
_COLOURS: Final = {"routed": "green", "would wait": "yellow", "refused": "red"}
_EXITS: Final = {"routed": Exit.OK, "would wait": Exit.NOTHING, "refused": REFUSED_EXIT}


@click.command(
    epilog="Example: bridgehead explain bob@fabrikam.com --from app@contoso.com --client 10.1.2.3 --down Partner"
)
@click.argument("recipient")
@click.option("--from", "sender", metavar="ADDRESS", default="", help="Envelope sender; without: the null sender <>.")
@click.option("--client", metavar="IP", default="", help="Address of the client; without: one that is on no list.")
@click.option("--auth", "user", metavar="USER", default="", help="The account that the client authenticated as.")
@click.option("--size", type=click.IntRange(min=0), default=0, metavar="BYTES", help="Size of the message.")
@click.option("--priority", type=click.Choice(["high", "normal", "low"]), default="normal", show_default=True)
@click.option("--server", metavar="NAME", default="", help="Where it arrives; without: this server.")
@click.option(
    "--virtual-server",
    metavar="NAME",
    default="",
    shell_complete=virtual_server_names,
    help="Where it arrives; without: the server's first one.",
)
@click.option(
    "--down",
    multiple=True,
    metavar="NAME",
    shell_complete=connector_names,
    help="Take this connector as down; may be given more than once.",
)
@click.option("--assume-up", is_flag=True, help="Take every other connector as up.")
@shared_options
@click.pass_context
def explain(context: click.Context, /, config: Path | None, json: bool, recipient: str, **asked: Any) -> int:
    """Say who may send to RECIPIENT, and which way it goes.

    Shows every connector that was kept or dropped, by which rule and at which cost, and of those that take it the
    hosts, TLS level and identity. Nothing is sent and no mail is touched.

    Exits: 0 would be sent, 1 would wait, 2 would be refused.
    """
    from bridgehead.core.explanation import Question

    given = invocation(context, config, json=json)
    asked["sender"] = "" if asked["sender"] == "<>" else asked["sender"]
    question = Question(recipient, **asked)
    explanation, links = _ask(given, question)
    links += _assumed(question)
    value = {**msgspec.to_builtins(explanation), "links": links}
    given.show(value, "\n".join(_sections(explanation, links, question.sender)))
    return _EXITS[explanation.verdict]


# Who answers


def _ask(given: Invocation, question: Question) -> tuple[Explanation, str]:
    """The answer, and in words whose link state it is of. What the question names wrongly is an error of usage."""
    from bridgehead.control.control_socket import ControlError, NotRunningError
    from bridgehead.core.error import ConfigurationError
    from bridgehead.core.explanation import explain
    from bridgehead.core.link_state import ALL_UP

    loaded = given.load()
    if loaded.configuration is None and given.config is not None:
        given.configuration()  # says what is wrong with the file that was asked about
    organization = loaded.configuration.organization if loaded.configuration else None
    question = _complete(question, loaded.configuration.node.server if loaded.configuration else "", organization)
    try:
        try:
            return _ask_server(given, question, organization)
        except NotRunningError:
            assert organization is not None, "`call` does not look for a server where the file has errors"
            return explain(question, organization, ALL_UP), "every link taken as up: no server is running"
    except (ConfigurationError, ControlError) as error:
        raise click.UsageError(str(error)) from error  # 64, since 1 and 2 are answers


def _ask_server(given: Invocation, question: Question, organization: Organization | None) -> tuple[Explanation, str]:
    from bridgehead.core.explanation import Explanation, explain

    server = given.call("server")
    if organization is None or given.config is None or organization.generation == server["generation"]:
        answer = given.call("explain", **msgspec.to_builtins(question))
        return msgspec.convert(answer, Explanation), "as the running server sees them"
    words = f"as the running server sees them; the file is not in force, that is {server['generation']}"
    return explain(question, organization, _link_state(server)), words


def _complete(question: Question, server: str, organization: Organization | None) -> Question:
    """The question with what goes without saying: this server, and the client's names where a list wants names."""
    if not question.server and "/" not in question.virtual_server:  # a key names its server
        question = msgspec.structs.replace(question, server=server)
    if not question.client or organization is None:
        return question
    if not any(one.relay.clients.domains or one.connection.clients.domains for one in organization.virtual_servers):
        return question
    return msgspec.structs.replace(question, names=_verified_names(question.client))


def _assumed(question: Question) -> str:
    """What the question itself says of links: `"; taken as down: Partner; all others as up"`."""
    words = f"; taken as down: {', '.join(question.down)}" if question.down else ""
    return f"{words}; all others as up" if question.assume_up else words


def _verified_names(client: str) -> tuple[str, ...]:
    """The names of an address that resolve back to it; none where DNS cannot say, as at RCPT."""
    import asyncio
    import ipaddress
    import time

    from bridgehead.net.resolver import Resolvers

    try:
        ipaddress.ip_address(client)
    except ValueError:
        return ()  # `explain` says that it is no address
    names = asyncio.run(Resolvers(time.monotonic).resolver(()).ptr(client))
    return names if isinstance(names, tuple) else ()


def _link_state(server: dict[str, Any]) -> Any:
    from bridgehead.core.link_state import LinkState

    connectors = server["connectors"]
    return LinkState(
        {one["name"]: one["down_since"] for one in connectors if not one["up"]},
        frozenset(one["name"] for one in connectors if one["suspect"]),
    )


# How it looks


def _sections(explanation: Explanation, links: str, sender: str) -> list[str]:
    """The answer from its end: the verdict first, then the reasons."""
    sections = [_verdict(explanation, links, sender), _admission(explanation)]
    if explanation.connectors:
        sections.append(_connectors(explanation.connectors, is_waiting=explanation.verdict == "would wait"))
    if explanation.routes:
        sections.append(_routes(explanation))
    return sections


def _verdict(explanation: Explanation, links: str, sender: str) -> str:
    verdict = explanation.verdict
    rows = [
        ("from", f"<{plain(sender)}>"),
        ("at", f"{explanation.virtual_server}, generation {explanation.generation}"),
    ]
    if explanation.address and explanation.address != explanation.recipient:
        rows.insert(0, ("goes to", plain(explanation.address)))
    if explanation.accepted_domain:
        rows.append(("domain", f"accepted: {explanation.accepted_domain}"))
    rows.append(("links", links))
    word = paint(verdict.upper(), _COLOURS[verdict])  # type: ignore[arg-type]  # the values are colours
    return f"{word}  {plain(explanation.recipient)}\n{plain(explanation.reason)}\n{table(rows, indent='  ')}"


def _admission(explanation: Explanation) -> str:
    admission = explanation.admission
    rows = [("client", explanation.client or "on no list, not authenticated"), ("rule", admission.rule)]
    if admission.may_relay:
        rows.append(("who may", "; ".join(admission.may_relay)))
    if admission.reply:
        rows.append(("reply", admission.reply))
    word = paint("yes", "green") if admission.is_admitted else paint("no", "red")
    return f"May this client send to it? {word}: {admission.reason}\n{table(rows, indent='  ')}"


def _connectors(connectors: Sequence[ConnectorExplanation], *, is_waiting: bool) -> str:
    """Every connector that was looked at; of the others as many as one can read."""
    looked_at = sorted((one for one in connectors if one.pattern), key=lambda one: not one.is_kept)
    others = [one for one in connectors if not one.pattern]
    rows = [_connector_row(one, is_waiting=is_waiting) for one in (*looked_at, *others[:NOT_COVERING_MAX])]
    head = ("", "CONNECTOR", "SPACE", "COST", "RULE", "")
    text = f"Which connector takes it?\n{table(rows, head, numbers=[3], indent='  ')}"
    if len(others) > NOT_COVERING_MAX:
        more = len(others) - NOT_COVERING_MAX
        text += f"  and {more} more that {'does' if more == 1 else 'do'} not cover the domain (all of them: --json)\n"
    return text


def _connector_row(one: ConnectorExplanation, *, is_waiting: bool) -> tuple[str, ...]:
    # Mail waits for a connector only where all that would take it are down.
    reason = "It would take it, but is down." if one.is_kept and is_waiting else one.reason
    if one.down_since and reason.endswith("down."):
        reason = f"{reason[:-1]} since {moment(one.down_since)}."
    word = paint("kept", "green") if one.is_kept else "dropped"
    rule = "" if one.is_kept else one.rule
    return word, one.name, one.pattern or "-", str(one.cost) if one.cost else "-", rule, reason


def _routes(explanation: Explanation) -> str:
    """Where it is handed over: the choice, and each route that ties."""
    question = "Where does it go?" if explanation.verdict == "routed" else "Where would it go?"
    text = f"{question} {explanation.choice}".rstrip() + "\n"
    for found in explanation.routes:
        name = found.connector or "no connector: the virtual server delivers by itself"
        cost = f", cost {found.total_cost}" if found.total_cost else ""
        text += f"  {paint(name, 'bold')}{cost}\n"
        text += table(_next_hop_rows(found.next_hop, found.bridgehead), indent="    ")
    return text


def _next_hop_rows(next_hop: NextHop, bridgehead: str) -> list[tuple[str, str]]:
    rows = [("host", ", ".join(next_hop.hosts)), ("TLS", next_hop.tls), ("identity", next_hop.identity)]
    return [(name, value) for name, value in (*rows, ("bridgehead", bridgehead)) if value]
