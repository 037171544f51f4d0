"""Which mail a `queue` command is about: its options, and the selection they mean.

What is given restricts together. A wrong id or domain is an error of usage, found before anybody is asked.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from bridgehead.cli.completion import connector_names
from bridgehead.core import queue_id
from bridgehead.core.address import normalise_domain

if TYPE_CHECKING:
    from bridgehead.outbound.listing import Selection

F = TypeVar("F", bound=Callable[..., Any])


def selecting(command: F) -> F:
    """Give a command the options that select mail; it gets `selection`, `None` where none of them was given."""

    @click.argument("ids", nargs=-1, metavar="[ID]...")
    @click.option(
        "--connector",
        metavar="NAME",
        shell_complete=connector_names,
        help='Mail that waits for this connector; "": for none.',
    )
    @click.option("--domain", metavar="DOMAIN", help="Recipients at this domain.")
    @click.option("--sender", metavar="ADDRESS", help='Mail of this envelope sender; "<>": the null one.')
    @click.option("--all", "everything", is_flag=True, help="All that waits.")
    @functools.wraps(command)
    def selected(*, everything: bool, **arguments: Any) -> Any:
        names = ("ids", "connector", "domain", "sender")
        ids, connector, domain, sender = (arguments.pop(name) for name in names)
        is_given = bool(ids) or not connector is domain is sender is None
        if everything and is_given:
            raise click.UsageError("--all takes everything: leave it or the other selections out")
        chosen = selection_of(ids, connector, domain, sender) if everything or is_given else None
        return command(selection=chosen, **arguments)

    return selected  # type: ignore[return-value]  # click makes a command of it, whatever its arguments were


def selection_of(
    ids: Iterable[str] = (), connector: str | None = None, domain: str | None = None, sender: str | None = None
) -> Selection:
    """The selection that was typed; `click.UsageError` where an id or domain is none."""
    from bridgehead.outbound.listing import Selection

    message_ids = set()
    for text in ids:
        message_id = queue_id.read(text)
        if message_id is None:
            raise click.UsageError(f'"{text}" is not a queue id: `bridgehead queue list` shows them')
        message_ids.add(message_id)
    normal = normalise_domain(domain.lstrip("@")) if domain is not None else ""
    if normal is None:
        raise click.UsageError(f'"{domain}" is not a domain')
    path = sender.strip().removeprefix("<").removesuffix(">") if sender is not None else None
    return Selection(frozenset(message_ids), connector, normal, path)


def arguments_of(selection: Selection) -> dict[str, Any]:
    """The selection as arguments of a `queue.*` verb on the control socket."""
    return {
        "ids": [queue_id.write(one) for one in sorted(selection.message_ids)],
        "connector": selection.connector,
        "domain": selection.domain,
        "sender": selection.sender,
    }
