"""`bridgehead connector`: list, show and test connectors."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from bridgehead.cli.completion import connector_names
from bridgehead.cli.invocation import Exit, Invocation, fail, invocation, shared_options, write
from bridgehead.cli.text import count, duration, moment, paint, plain, table

if TYPE_CHECKING:
    from bridgehead.control.configuration.load import Configuration
    from bridgehead.control.connector_trial import Plan
    from bridgehead.control.trial_steps import Step
    from bridgehead.core.organization import Connector

ADVICE_MARK = "->"


@click.group(epilog="Example: bridgehead connector test 'Internet via ISP' --to bob@fabrikam.com")
@shared_options
@click.pass_context
def connector(context: click.Context, config: Path | None, json: bool) -> None:
    """List, show and test connectors."""
    context.obj = invocation(context, config, json=json)


# list and show


@connector.command("list", epilog="Example: bridgehead connector list --json | jq '.[] | select(.state == \"down\")'")
@shared_options
@click.pass_context
def list_connectors(context: click.Context, config: Path | None, json: bool) -> None:
    """List all connectors: state, hosts, address spaces with costs.

    The state is that of the running server; without one it is not known.
    """
    given = invocation(context, config, json=json)
    configuration = given.configuration()
    states = _states(given)
    rows = [_row(one, states.get(one.name)) for one in configuration.organization.connectors]
    if not rows:
        given.show(rows, f"no connectors: mail goes as no_match says ({configuration.organization.no_match})")
        return
    cells = [(row["name"], _state_words(row), row["route"], ", ".join(row["address_spaces"])) for row in rows]
    text = table(cells, ("CONNECTOR", "STATE", "ROUTE", "ADDRESS SPACES"))
    given.show(rows, text if states else f"{text}no server is running: which are up is not known\n")


@connector.command(
    "show",
    short_help="Show all settings of a connector, and whether it is up.",
    epilog="Example: bridgehead connector show 'Internet via ISP'",
)
@click.argument("name", shell_complete=connector_names)
@shared_options
@click.pass_context
def show_connector(context: click.Context, name: str, config: Path | None, json: bool) -> None:
    """Show all settings of a connector, defaults filled in, and whether it is up. Exits: 0, 1 no such connector."""
    from bridgehead.control.configuration.show import document_of

    given = invocation(context, config, json=json)
    configuration = given.configuration()
    found = _find(configuration, name)
    document = document_of(configuration.organization, configuration.node)
    settings = next(one for one in document["connector"] if one["name"] == name)
    row = _row(found, _states(given).get(name))
    if given.json:
        given.show({**settings, "state": row["state"], "since": row["since"]}, "")
        return
    import tomlkit

    state = "not known, no server is running" if row["state"] == "unknown" else _state_words(row)
    write(f"# State: {state}\n{tomlkit.dumps({'connector': [settings]})}")


def _states(given: Invocation) -> dict[str, dict[str, Any]]:
    """What the running server says of each connector; nothing without one."""
    from bridgehead.control.control_socket import NotRunningError

    try:
        return {one["name"]: one for one in given.call("links")["connectors"]}
    except NotRunningError:
        return {}


def _row(one: Connector, state: dict[str, Any] | None) -> dict[str, Any]:
    if not one.enabled:
        word = "disabled"
    elif state is None:
        word = "unknown"
    else:
        word = "suspect" if state["up"] and state["suspect"] else "up" if state["up"] else "down"
    return {
        "name": one.name,
        "state": word,
        "since": state["down_since"] if state and word == "down" else 0.0,
        "route": ", ".join(map(str, one.smart_hosts)) or "DNS",
        "address_spaces": [f"{space.pattern};{space.cost}" for space in one.address_spaces],
    }


def _state_words(row: dict[str, Any]) -> str:
    if row["state"] != "down":
        return "-" if row["state"] == "unknown" else str(row["state"])
    return paint("DOWN", "red") + f" for {duration(time.time() - row['since'])}, since {moment(row['since'])}"


def _find(configuration: Configuration, name: str) -> Connector:
    """The connector of this name, or an exit that names the one that was probably meant."""
    from bridgehead.control.configuration.report import nearest

    organization = configuration.organization
    found = organization.connector(name)
    if found is None:
        close = nearest(name, [one.name for one in organization.connectors])
        advice = f'did you mean "{close}"?' if close else "`bridgehead connector list` shows them all"
        fail(f'there is no connector "{name}"; {advice}', Exit.NOTHING)
    return found


# test


@connector.command(
    "test",
    short_help="Go the way of a connector step by step, with every host of it.",
    epilog="Example: bridgehead connector test 'Internet via ISP' --to bob@fabrikam.com --from app@contoso.com",
)
@click.argument("name", shell_complete=connector_names)
@click.option("--to", "recipient", metavar="ADDRESS", default="", help="Try MAIL and RCPT with this recipient.")
@click.option("--from", "sender", metavar="ADDRESS", default="", help="Envelope sender; without: the postmaster.")
@click.option(
    "--send", "sends", is_flag=True, help="Send a message to the recipient, through one host that takes it."
)
@shared_options
@click.pass_context
def test_connector(context: click.Context, /, name: str, config: Path | None, json: bool, **asked: Any) -> int:
    """Go the way of a connector step by step, with every one of its hosts: DNS, TCP, TLS, EHLO, AUTH, MAIL, RCPT.

    Needs no server, and works on a disabled connector too. Dials from this machine as delivery does; passwords are
    not shown. Exits: 0 every step passed, 1 some step failed, or no such connector.
    """
    from bridgehead.control.connector_trial import Trial

    given = invocation(context, config, json=json)
    configuration = given.configuration()
    plan = _plan(configuration, _find(configuration, name), **asked)
    steps: list[Step] = []
    shown = _Shown(steps) if given.json else _Shown(steps, _heading(plan, configuration))
    has_passed = asyncio.run(Trial(plan, configuration.node.server, shown.step).run())
    value = {"connector": name, "bridgehead": plan.bridgehead, "passed": has_passed, "steps": steps}
    given.show(msgspec.to_builtins(value), _conclusion(steps, plan))
    return Exit.OK if has_passed else Exit.NOTHING


def _plan(configuration: Configuration, found: Connector, *, recipient: str, sender: str, sends: bool) -> Plan:
    from bridgehead.control.connector_trial import Plan, bridgehead_of
    from bridgehead.core.address import parse_mailbox
    from bridgehead.core.envelope import Recipient

    organization = configuration.organization
    if sends and not recipient:
        raise click.UsageError("--send needs a recipient: --to ADDRESS")
    mailbox = parse_mailbox(recipient) if recipient else None
    for option, address in (("--to", recipient), ("--from", "" if sender == "<>" else sender)):
        if address and parse_mailbox(address) is None:
            raise click.UsageError(f"{option}: {address!r} is no address; expected NAME@DOMAIN")
    bridgehead = bridgehead_of(found, organization, configuration.node.server)
    default = organization.postmaster or f"postmaster@{organization.virtual_server(bridgehead).fqdn}"
    plan = Plan(organization, found, bridgehead, None, "" if sender == "<>" else sender or default, sends)
    if mailbox is not None:
        plan = replace(plan, recipient=Recipient(0, mailbox.address, mailbox.domain))
    if not found.smart_hosts and not plan.domain:
        raise click.UsageError(
            f'connector "{found.name}" finds hosts by the MX of the recipient: say whose with --to'
        )
    return plan


def _heading(plan: Plan, configuration: Configuration) -> str:
    security = plan.connector.security
    identity = f"{security.authentication}" + (f" as {security.username}" if security.username else "")
    tls = f"TLS {security.tls}" + (", from the first byte" if security.implicit_tls else "")
    text = f'Connector "{plan.connector.name}" ({tls}; {identity})\nas {plan.bridgehead} would send\n'
    if not plan.connector.enabled:
        text += "It is disabled: mail does not go this way.\n"
    if plan.organization.virtual_server(plan.bridgehead).server != configuration.node.server:
        text += "Its bridgeheads are all on other servers; this machine may be refused where they are not.\n"
    return text


class _Shown:
    """Shows steps as they end, and keeps them."""

    def __init__(self, steps: list[Step], heading: str | None = None) -> None:
        self._steps = steps
        self._is_silent = heading is None
        self._host = ""
        if heading:
            write(heading)

    def step(self, step: Step) -> None:
        """One more step has ended."""
        self._steps.append(step)
        if self._is_silent:
            return
        if step.host != self._host:
            self._host = step.host
            write(f"\n{paint(plain(step.host), 'bold')}")
        write(_step_text(step))


def _step_text(step: Step) -> str:
    colour = {"passed": "green", "warning": "yellow", "failed": "red"}[step.result]
    word = paint(f"{step.result:<8}", colour)  # type: ignore[arg-type]  # the values are colours
    text = f"  {word} {step.name:<11} {step.seconds:6.3f} s  {plain(step.words)}\n"
    return text + (f"  {'':<8} {'':<11} {'':8}  {ADVICE_MARK} {step.advice}\n" if step.advice else "")


def _conclusion(steps: list[Step], plan: Plan) -> str:
    """The last lines: how many hosts are well, and what was not tried."""
    hosts = list(dict.fromkeys(step.host for step in steps if step.name != "DNS" or step.result == "failed"))
    failed = list(dict.fromkeys(step.host for step in steps if step.result == "failed"))
    if failed:
        text = f"\n{len(failed)} of {count(len(hosts), 'host')} failed: {', '.join(map(plain, failed))}\n"
    else:
        text = f"\nEvery step passed ({count(len(hosts), 'host')}).\n"
    if plan.recipient is None:
        text += "MAIL and RCPT were not tried: give --to ADDRESS.\n"
    return text
