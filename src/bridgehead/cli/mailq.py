"""`bridgehead mailq`: the queue as mailq(1) shows it, in the shape that scripts know from Postfix."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from bridgehead.cli.invocation import Invocation, invocation, shared_options
from bridgehead.cli.sysexits import Sysexit, failed
from bridgehead.cli.text import plain

if TYPE_CHECKING:
    from bridgehead.outbound.listing import Row

HEAD: Final = "----Queue ID----- --Size-- ---Arrival Time---- --Sender/Recipient------"
EMPTY: Final = "Mail queue is empty"
NULL_SENDER: Final = "MAILER-DAEMON"
REASON_COLUMN: Final = 76
"""Reasons end here, if they are shorter."""


@click.command(epilog="Example: mailq | grep -c fabrikam.com", context_settings={"ignore_unknown_options": True})
@click.argument("ignored", nargs=-1, type=click.UNPROCESSED, metavar="")
@shared_options
@click.pass_context
def mailq(context: click.Context, /, ignored: tuple[str, ...], config: Path | None, *, json: bool) -> int:
    """List the queue as mailq(1) does: id, size, arrival, sender, reason and recipients.

    Behind an id: * is being sent, ! is held. Works without a server too, for accounts that may read the spool.

    Exits: 0 listed, 75 no server and no spool, 77 not permitted, 78 configuration.
    """
    return print_queue(invocation(context, config, json=json))


def print_queue(given: Invocation) -> int:
    """List all that waits; returns the exit code."""
    from bridgehead.cli.state_folder import state_folder
    from bridgehead.cli.waiting_mail import ROWS_MAX, UnreadableError, list_mail
    from bridgehead.core.error import ConfigurationError, MachineError
    from bridgehead.outbound.listing import EVERYTHING

    try:
        folder = state_folder(given.config, os.environ, uid=os.geteuid(), holds=("control.sock", "spool"))
        found = list_mail(folder, EVERYTHING, ROWS_MAX)
    except UnreadableError as error:
        return failed("mailq", str(error), Sysexit.NO_PERMISSION)
    except MachineError as error:
        return failed("mailq", str(error), Sysexit.TEMPORARY)
    except ConfigurationError as error:
        return failed("mailq", str(error), Sysexit.CONFIGURATION)
    given.show({"live": found.is_live, "rows": found.rows, "more": found.more}, mailq_text(found.rows))
    return Sysexit.OK


def mailq_text(rows: Iterable[Row]) -> str:
    """The whole listing; rows of a message follow each other."""
    blocks: list[str] = []
    size = 0
    for _, group in groupby(rows, lambda row: row.queue_id):
        together = tuple(group)
        size += together[0].size
        blocks.append("\n".join(_message_lines(together)) + "\n")
    if not blocks:
        return f"{EMPTY}\n"
    requests = f"{len(blocks)} Request{'' if len(blocks) == 1 else 's'}"
    return f"{HEAD}\n" + "\n".join(blocks) + f"\n-- {size // 1024} Kbytes in {requests}.\n"


def _message_lines(rows: tuple[Row, ...]) -> Iterator[str]:
    first = rows[0]
    arrived = time.strftime("%a %b %e %H:%M:%S", time.localtime(first.arrived))
    written = f"{first.queue_id}{_mark(rows)}"
    yield f"{written:<17} {first.size:>8} {arrived:>19} {plain(first.sender) or NULL_SENDER}"
    by_reason: dict[str, list[str]] = {}
    for row in rows:
        for one in row.recipients:
            by_reason.setdefault(plain(row.because or one.reason or row.reason), []).append(plain(one.address))
    for reason, recipients in by_reason.items():
        if reason:
            yield f"({reason})".rjust(REASON_COLUMN)
        yield from (" " * 47 + address for address in recipients)


def _mark(rows: tuple[Row, ...]) -> str:
    """What stands behind the id."""
    states = {str(row.state) for row in rows}
    if "active" in states:
        return "*"
    return "!" if states <= {"frozen", "credential"} else ""
