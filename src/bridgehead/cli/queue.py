"""`bridgehead queue`: what waits, and what an operator can do about it.

`list` and `show` read the spool where no server runs. All else is asked of the server: one process owns the queue.
"""

from __future__ import annotations

import functools
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from bridgehead.cli.invocation import Exit, Invocation, invocation, shared_options
from bridgehead.cli.selection import arguments_of, selecting

if TYPE_CHECKING:
    from bridgehead.cli.waiting_mail import Listing
    from bridgehead.outbound.listing import Selection

LIST_ROWS: Final = 100
SHOWN_MAX: Final = 1000
"""Rows that one `show` tells of."""
NOTHING_GIVEN: Final = "say which mail: queue ids, --connector, --domain, --sender or --all"
NOTHING_MATCHED: Final = "no waiting mail matches"
NOTHING_DONE: Final = {"messages": 0, "recipients": 0, "busy": 0}


@click.group(epilog='Example: bridgehead queue list --connector "Internet via ISP"')
@shared_options
@click.pass_context
def queue(context: click.Context, config: Path | None, json: bool) -> None:
    """List and operate the mail that waits.

    Mail is selected by queue ids (ID), --connector, --domain, --sender, or --all; what is given restricts together.

    Exits: 0 done, 1 nothing matched, 64 nothing selected, 69 no server answers.
    """
    context.obj = invocation(context, config, json=json)


@queue.command(
    "list",
    short_help="List what waits, where, and why.",
    epilog="Example: bridgehead queue list --domain fabrikam.com --limit 20 || echo nothing waits for it",
)
@selecting
@click.option(
    "--limit", type=click.IntRange(1), default=LIST_ROWS, show_default=True, metavar="N", help="Rows at most."
)
@shared_options
@click.pass_context
def list_(context: click.Context, selection: Selection | None, limit: int, config: Path | None, json: bool) -> int:
    """List what waits: age, size, sender, state, next attempt, connector, and each recipient's reason.

    Without a selection: everything. Works without a server too.
    """
    from bridgehead.cli.queue_text import list_text, summary_text
    from bridgehead.outbound.listing import EVERYTHING

    given = invocation(context, config, json=json)
    found = _listing(given, selection or EVERYTHING, limit)
    text = list_text(found.rows, time.time()) + summary_text(found)
    empty = "The queue is empty.\n" if selection is None else ""
    given.show({"live": found.is_live, "rows": found.rows, "more": found.more}, text if found.rows else empty)
    if not found.rows and selection is not None:
        _advise(NOTHING_MATCHED)
    return Exit.OK if found.rows else Exit.NOTHING


@queue.command(
    "show", short_help="Show all that is known of a message.", epilog="Example: bridgehead queue show 01M3KQZ8V0000"
)
@selecting
@shared_options
@click.pass_context
def show(context: click.Context, selection: Selection | None, config: Path | None, json: bool) -> int:
    """Show all that is known of messages: envelope, header, every recipient's state, and the story so far.

    Works without a server too.
    """
    from bridgehead.cli.message_detail import details_of
    from bridgehead.cli.message_text import message_text

    given = invocation(context, config, json=json)
    found = _listing(given, _required(selection), SHOWN_MAX)
    details = details_of(given.state_dir(), found.rows)
    now = time.time()
    given.show(
        {"messages": [one.as_values() for one in details]}, "\n".join(message_text(one, now) for one in details)
    )
    if not details:
        _advise(f"{NOTHING_MATCHED}; `bridgehead trace` tells what became of mail that is gone")
    elif any(one.message is None for one in details):
        _advise("envelope and header are left out: this account may not read the spool")
    if found.is_cut:
        _advise(f"only the first {SHOWN_MAX} places are shown: select less")
    return Exit.OK if details else Exit.NOTHING


@dataclass(frozen=True, slots=True)
class Operation:
    """One verb: its name on the control socket, and what it did in words."""

    verb: str
    past: str
    would: str
    needs_consent: bool = False
    """More than one message only with --yes: there is no way back."""


@dataclass(frozen=True, slots=True)
class Order:
    """What was typed behind a verb that changes something."""

    given: Invocation
    selection: Selection | None
    yes: bool
    dry_run: bool


def operating(command: Callable[[Order], int]) -> Callable[..., int]:
    """The options of the verbs that change something; the command gets them as one `Order`."""

    @selecting
    @click.option("--yes", is_flag=True, help="Go on, however much it concerns.")
    @click.option("--dry-run", is_flag=True, help="Only count what would be changed.")
    @shared_options
    @click.pass_context
    @functools.wraps(command)
    def ordered(context: click.Context, /, config: Path | None, *, json: bool, **order: Any) -> int:
        return command(Order(invocation(context, config, json=json), **order))

    return ordered


@queue.command("retry", epilog='Example: bridgehead queue retry --connector "Internet via ISP"')
@operating
def retry(order: Order) -> int:
    """Try again now, whatever the retry times and the link say."""
    return _operate(order, Operation("retry", "Set going", "Would set going"))


@queue.command("hold", epilog="Example: bridgehead queue hold --domain fabrikam.com")
@operating
def hold(order: Order) -> int:
    """Freeze mail: it neither moves nor expires until `release`."""
    return _operate(order, Operation("hold", "Held", "Would hold"))


@queue.command("release", epilog="Example: bridgehead queue release --domain fabrikam.com")
@operating
def release(order: Order) -> int:
    """End a hold of any kind; the mail takes the way there is now."""
    return _operate(order, Operation("release", "Released", "Would release"))


@queue.command("delete", epilog="Example: bridgehead queue delete --sender spammer@example.com --yes")
@operating
def delete(order: Order) -> int:
    """Delete mail without telling anybody. More than one message only with --yes."""
    return _operate(order, Operation("delete", "Deleted", "Would delete", needs_consent=True))


@queue.command("bounce", epilog="Example: bridgehead queue bounce 01M3KQZ8V0000")
@operating
def bounce(order: Order) -> int:
    """Return mail to its sender with a delivery status notification. More than one message only with --yes."""
    return _operate(order, Operation("bounce", "Returned", "Would return", needs_consent=True))


@queue.command(
    "reroute",
    short_help="Decide the way anew and take it now.",
    epilog='Example: bridgehead queue reroute --connector "Old ISP"',
)
@operating
def reroute(order: Order) -> int:
    """Decide the way anew and take it now, also where it is a weaker one; ends holds too."""
    return _operate(order, Operation("reroute", "Rerouted", "Would reroute"))


def _operate(order: Order, operation: Operation) -> int:
    from bridgehead.cli.queue_text import affected_text

    given = order.given
    arguments: dict[str, Any] | None = arguments_of(_required(order.selection))
    if operation.needs_consent and not order.yes and not order.dry_run:
        arguments = _narrowed(given, operation, arguments_of(_required(order.selection)))
    done = NOTHING_DONE
    if arguments is not None:
        done = given.call(f"queue.{operation.verb}", **arguments, dry_run=order.dry_run)
    if not done["messages"] and not done["busy"]:
        given.show(done, "")
        _advise(NOTHING_MATCHED)
        return Exit.NOTHING
    past = operation.would if order.dry_run else operation.past
    given.show(done, affected_text(past, done["messages"], done["recipients"], done["busy"]))
    return Exit.OK if done["messages"] else Exit.NOTHING


def _narrowed(given: Invocation, operation: Operation, arguments: dict[str, Any]) -> dict[str, Any] | None:
    """The arguments narrowed to the one message they mean now; `None`: they mean none.

    Refused where they mean several. Narrowed, because more may arrive between the count and the deed.
    """
    if len(arguments["ids"]) == 1:
        return arguments
    counted = given.call(f"queue.{operation.verb}", **arguments, dry_run=True)
    if counted["messages"] + counted["busy"] > 1:
        raise click.UsageError(
            f"{operation.verb} would concern {counted['messages'] + counted['busy']} messages:"
            " add --yes if that is meant, or select less"
        )
    rows = given.call("queue.list", **arguments, limit=1)
    return {**arguments, "ids": [rows[0]["queue_id"]]} if rows else None


def _listing(given: Invocation, selection: Selection, limit: int) -> Listing:
    from bridgehead.cli.text import count
    from bridgehead.cli.waiting_mail import OFFLINE, list_mail

    folder = given.state_dir()
    configuration = given.load().configuration
    found = list_mail(folder, selection, limit, configuration.organization if configuration is not None else None)
    if not found.is_live:
        _advise(OFFLINE.format(folder=folder))
    if found.damaged:
        left_out = count(found.damaged, "entry of the spool is", "entries of the spool are")
        _advise(f"{left_out} left out: not readable")
    return found


def _required(selection: Selection | None) -> Selection:
    if selection is None:
        raise click.UsageError(NOTHING_GIVEN)
    return selection


def _advise(text: str) -> None:
    sys.stderr.write(f"bridgehead: {text}\n")
