"""`bridgehead trace`: what became of a message, event by event. Reads the tracking stores; needs no server."""

from __future__ import annotations

import os
import sqlite3
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from bridgehead.cli.instant import read_instant
from bridgehead.cli.invocation import Exit, invocation, shared_options
from bridgehead.core.error import MachineError

if TYPE_CHECKING:
    from bridgehead.control.trace import Search, Story

STORIES: Final = 100


@click.command(epilog="Example: bridgehead trace --recipient bob@fabrikam.com --since 2h")
@click.option("--sender", default="", metavar="ADDRESS", help='Envelope sender, or a part of it; "<>": the null one.')
@click.option("--recipient", default="", metavar="ADDRESS", help="Recipient, or a part of it.")
@click.option("--message-id", default="", metavar="ID", help="Queue id, or a part of the Message-ID header.")
@click.option("--since", metavar="TIME", help='"2h", "1d12h", "08:30", "2026-11-24" or "2026-11-24 08:30".')
@click.option(
    "--limit", type=click.IntRange(1, 10_000), default=STORIES, show_default=True, metavar="N", help="The newest N."
)
@click.argument("text", default="", required=False)
@shared_options
@click.pass_context
def trace(context: click.Context, /, since: str | None, config: Path | None, json: bool, **wanted: object) -> int:
    """Tell the story of messages: received, routed (with every connector kept or dropped), tried, delivered.

    TEXT is searched for in everything that is known of a message; it may be a queue id. Works without a server too.

    Exits: 0 found, 1 none.
    """
    from bridgehead.cli.story_text import story_text

    given = invocation(context, config, json=json)
    search = _search(wanted, since)
    stories = _find(given.state_dir(), search)
    given.show({"stories": stories}, "\n".join(map(story_text, stories)))
    if not stories:
        sys.stderr.write("bridgehead: nothing is known of such a message\n")
    elif len(stories) == search.limit:
        sys.stderr.write(f"bridgehead: these are the newest {search.limit}: --limit or --since changes that\n")
    return Exit.OK if stories else Exit.NOTHING


def _search(wanted: dict[str, object], since: str | None) -> Search:
    from bridgehead.control.trace import Search
    from bridgehead.core import queue_id

    begin = read_instant(since, time.time()) if since is not None else 0.0
    if begin is None:
        raise click.UsageError(f'--since "{since}" is no time: give "2h", "1d", "08:30", "2026-11-24" or so')
    search = Search(**wanted, since=begin)  # type: ignore[arg-type]  # click gives each its type
    if not search.message_id and queue_id.read(search.text) is not None:
        return Search(message_id=search.text, since=begin, limit=search.limit)
    return search


def _find(state_dir: Path, wanted: Search) -> list[Story]:
    from bridgehead.control.trace import search

    folder = state_dir / "tracking"
    if folder.is_dir() and not os.access(folder, os.R_OK | os.X_OK):
        raise MachineError(f"this account may not read {folder}: try again as root, or as the user that serves")
    try:
        return list(search(state_dir, wanted))
    except sqlite3.Error as error:
        raise MachineError(f"cannot read the tracking stores in {folder}: {error}") from error
