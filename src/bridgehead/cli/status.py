"""`bridgehead status`: how the server is, with what needs a person at the end; without one, what the disk says."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
import msgspec

from bridgehead.cli.invocation import Exit, Invocation, invocation, shared_options
from bridgehead.cli.text import age, amount, count, duration, moment, paint, plain, size, table

if TYPE_CHECKING:
    from bridgehead.core.statistics import QueueCount, Statistics

ENTRIES_MAX: Final = 200_000
"""Messages counted on disk without a server: a few seconds."""
NO_ROUTE: Final = "nothing serves that mail since the file was changed; `bridgehead queue list` says what is missing"
NO_CONNECTOR: Final = "(no connector)"
STUCK_STATES: Final = {
    "credential": "the next hop refused our credentials; mend them, then `bridgehead queue retry`",
    "frozen": "frozen; `bridgehead queue release` lets it go",
}
"""States that wait for an operator, and for what."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known of the server, running or not."""

    now: float
    queues: tuple[QueueCount, ...]
    badmail: int
    damaged: int


@click.command(epilog="Example: bridgehead status --json | jq '.warnings'")
@shared_options
@click.pass_context
def status(context: click.Context, config: Path | None, json: bool) -> int:
    """Show how the server is: workers, connectors up and down, queues, rates, warnings.

    Without a running server the waiting mail is counted on disk.

    Exits: 0 the server runs (look at the warnings), 69 it does not.
    """
    from bridgehead.control.control_socket import NotRunningError

    given = invocation(context, config, json=json)
    try:
        server = given.call("server")
    except NotRunningError as absence:
        _show_disk(given)
        sys.stderr.write(f"bridgehead: {absence}\n")
        return Exit.UNAVAILABLE
    _show_server(given, server)
    return Exit.OK


# With a server


def _show_server(given: Invocation, server: dict[str, Any]) -> None:
    statistics, trouble = _statistics(given)
    seen = Seen(time.time(), statistics.queues, statistics.badmail, statistics.damaged)
    warnings = [
        *_server_warnings(server, statistics),
        *_file_warnings(given, server),
        *trouble,
        *_mail_warnings(seen),
    ]
    value = {"running": True, **server, "statistics": msgspec.to_builtins(statistics), "warnings": warnings}
    text = (
        _heading(server, warnings)
        + table(_facts(server, statistics, seen.now), indent="  ")
        + "\n"
        + _connectors(server, statistics, seen)
        + _warnings(warnings)
    )
    given.show(value, text)


def _statistics(given: Invocation) -> tuple[Statistics, list[str]]:
    """What the workers count; where none can answer, nothing and why."""
    from bridgehead.control.control_socket import ControlError
    from bridgehead.core.statistics import Statistics

    try:
        return msgspec.convert(given.call("statistics"), Statistics), []
    except ControlError as error:
        return Statistics(), [f"nothing is known of the mail: {error}"]


def _heading(server: dict[str, Any], warnings: list[str]) -> str:
    if not server["ready"]:
        word = paint("not ready", "red")
    else:
        word = paint(count(len(warnings), "warning"), "yellow") if warnings else paint("healthy", "green")
    return f'Bridgehead "{server["organization"]}" on {server["server"]}: {word}\n'


def _facts(server: dict[str, Any], statistics: Statistics, now: float) -> Iterator[tuple[str, str]]:
    seconds = max(now - server["started"], 1.0)
    workers = server["workers"]
    pids = ", ".join(str(worker["pid"]) for worker in workers if worker["pid"])
    sessions = ", ".join(f"{key} {number}" for key, number in sorted(statistics.sessions.items()) if number)
    settled = Counter[str]()
    for one in statistics.deliveries:
        settled[one.result] += one.count
    yield "generation", server["generation"]
    yield "running", f"for {duration(seconds)}, since {moment(server['started'])}"
    ready = sum(worker["ready"] for worker in workers)
    yield "workers", f"{ready} of {len(workers)} ready (pid {pids}), {size(statistics.memory_bytes)}"
    yield "received", f"{count(statistics.received, 'message')}, {_rate(statistics.received, seconds)}"
    yield "refused", amount(statistics.refused)
    yield "delivered", f"{count(settled['delivered'], 'recipient')}, {_rate(settled['delivered'], seconds)}"
    yield "failed", _failed(settled)
    yield "sessions", sessions or "none open"
    average = statistics.commit_seconds / statistics.commits * 1000 if statistics.commits else 0.0
    disk = server["disk"]
    yield "disk", f"{size(disk['free_bytes'])} free, new mail is taken above {size(disk['reserve_bytes'])}"
    yield "spool", f"{count(statistics.spooled, 'message')}, {average:.1f} ms a commit"


def _failed(settled: Counter[str]) -> str:
    """`"5 recipients: 2 expired, 1 returned by an operator, 2 refused"`."""
    refused = settled["failed"] - settled["expired"] - settled["bounced"]
    reasons = (
        (settled["expired"], "expired"),
        (settled["bounced"], "returned by an operator"),
        (refused, "refused"),
    )
    told = ", ".join(f"{amount(number)} {words}" for number, words in reasons if number)
    return count(settled["failed"], "recipient") + (f": {told}" if told else "")


def _rate(number: int, seconds: float) -> str:
    """`"0.42 a second since the start"`."""
    return f"{number / seconds:.2f} a second since the start"


def _connectors(server: dict[str, Any], statistics: Statistics, seen: Seen) -> str:
    """A line for each connector, and one more for each further state that mail of it waits in."""
    results = {(one.connector, one.result): one.count for one in statistics.deliveries}
    known = {one["name"]: one for one in server["connectors"]}
    mentioned = {one.connector for one in seen.queues} | {one.connector for one in statistics.deliveries}
    names = [*known, *sorted(mentioned - known.keys())]
    rows: list[tuple[str, ...]] = []
    for name in names:
        waiting = [one for one in seen.queues if one.connector == name and one.messages]
        totals = [amount(results.get((name, result), 0)) for result in ("delivered", "deferred", "failed")]
        first, *further = [_waiting_cells(one, seen.now) for one in waiting] or [("-", "", "")]
        rows.append((name or NO_CONNECTOR, _state(known.get(name), seen.now), *first, *totals))
        rows.extend(("", "", *cells, "", "", "") for cells in further)
    head = ("CONNECTOR", "STATE", "WAITING", "MESSAGES", "OLDEST", "DELIVERED", "DEFERRED", "FAILED")
    return table(rows, head, numbers=(3, 5, 6, 7))


def _waiting_cells(one: QueueCount, now: float) -> tuple[str, str, str]:
    return one.state, amount(one.messages), age(one.oldest, now)


def _state(connector: dict[str, Any] | None, now: float) -> str:
    if connector is None:
        return ""
    if not connector["enabled"]:
        return "disabled"
    if not connector["up"]:
        return f"{paint('DOWN', 'red')} for {age(connector['down_since'], now)}"
    return "suspect" if connector["suspect"] else "up"


def _server_warnings(server: dict[str, Any], statistics: Statistics) -> Iterator[str]:
    """What an operator should look at, apart from mail."""
    yield from map(plain, server["troubles"])
    if server["refusals"]:
        refusals = [plain(refusal) for refusal in server["refusals"]]
        yield "the changed configuration file was not taken, the old one stays: " + "; ".join(refusals)
    for connector in server["connectors"]:
        if connector["enabled"] and not connector["up"]:
            test = f'`bridgehead connector test "{connector["name"]}"`'
            yield f'connector "{connector["name"]}" is down since {moment(connector["down_since"])}: {test}'
    if statistics.events_dropped:
        yield f"{count(statistics.events_dropped, 'tracking event')} lost: the disk could not keep up"
    if statistics.unconfirmed:
        times = count(statistics.unconfirmed, "final reply was", "final replies were")
        yield f"{times} lost on the way: those messages were sent again, so a duplicate is possible"


def _file_warnings(given: Invocation, server: dict[str, Any]) -> Iterator[str]:
    """A file that was changed and not applied; one that was refused is told by the server."""
    configuration = given.load().configuration
    if configuration is not None and configuration.organization.generation != server["generation"]:
        generation = configuration.organization.generation
        yield f"the configuration file is not in force: it has generation {generation}; a reload (SIGHUP) applies it"


# Without one


def _show_disk(given: Invocation) -> None:
    state_dir = given.state_dir()
    seen, notes = _seen_on_disk(state_dir)
    warnings = [*notes, *_mail_warnings(seen)]
    value = {
        "running": False,
        "state_dir": str(state_dir),
        "queues": msgspec.to_builtins(seen.queues),
        "badmail": seen.badmail,
        "damaged": seen.damaged,
        "warnings": warnings,
    }
    rows = [(one.connector or NO_CONNECTOR, *_waiting_cells(one, seen.now)) for one in seen.queues]
    waiting = table(rows, ("CONNECTOR", "WAITING", "MESSAGES", "OLDEST"), numbers=(2,))
    heading = f"{paint('No server is running.', 'red')} In {state_dir}:\n\n"
    given.show(value, heading + (waiting or "no mail waits\n") + _warnings(warnings))


def _seen_on_disk(state_dir: Path) -> tuple[Seen, list[str]]:
    """What waits in the spool, and what cannot be said of it."""
    import sqlite3

    from bridgehead.core.statistics import QueueCount
    from bridgehead.outbound.hand_back import Badmail
    from bridgehead.outbound.listing import EVERYTHING, rows_without_server
    from bridgehead.spool.read_only import ReadOnlySpool

    now = time.time()
    spool = ReadOnlySpool(state_dir)
    found: dict[tuple[str, str], tuple[int, float]] = {}
    notes: list[str] = []
    try:
        counted = 0
        for row in islice(rows_without_server(spool.entries(), EVERYTHING, now), ENTRIES_MAX):
            messages, oldest = found.get((row.connector, row.state), (0, row.arrived))
            found[row.connector, row.state] = (messages + 1, min(oldest, row.arrived))
            counted += 1
        if counted == ENTRIES_MAX:
            notes.append(f"there is more: only the first {amount(ENTRIES_MAX)} were counted")
        badmail = Badmail(state_dir / "badmail").count()
        damaged = state_dir / "damaged"
        set_aside = len(list(damaged.iterdir())) if damaged.is_dir() else 0
    except (OSError, sqlite3.Error) as error:
        notes.append(f"{state_dir} cannot be read: {error}; be the user who serves, or root")
        badmail, set_aside = 0, 0
    queues = tuple(QueueCount(connector, state, *counts) for (connector, state), counts in sorted(found.items()))
    return Seen(now, queues, badmail, spool.damaged + set_aside), notes


# With and without


def _mail_warnings(seen: Seen) -> Iterator[str]:
    """Mail that waits for an operator."""
    for one in seen.queues:
        if one.messages and one.state in STUCK_STATES:
            where = f'connector "{one.connector}"' if one.connector else "no connector"
            yield f"{count(one.messages, 'message')} of {where}: {STUCK_STATES[one.state]}"
        elif one.messages and one.state == "unreachable" and not one.connector:
            yield f"{count(one.messages, 'message')}: {NO_ROUTE}"
    if seen.damaged:
        yield f"{count(seen.damaged, 'damaged entry', 'damaged entries')} set aside in state_dir/damaged"
    if seen.badmail:
        yield f"{count(seen.badmail, 'undeliverable DSN')} kept in state_dir/badmail for 7 days"


def _warnings(warnings: list[str]) -> str:
    if not warnings:
        return ""
    return "\nWarnings\n" + "".join(f"  {paint('!', 'yellow')} {warning}\n" for warning in warnings)
