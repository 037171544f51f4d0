"""What a changed file changes: for the log of a reload, and for those who bind and close listeners."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Final

from bridgehead.control.configuration.load import Configuration
from bridgehead.control.configuration.report import quoted
from bridgehead.core.organization import Listener, Node

CHANGES_MAX: Final = 50
"""Lines a reload writes at most; one more says how many are left out."""
RESTART_KEYS: Final = ("server", "state_dir", "workers", "user")
"""Keys of [node] that take effect at the next start only."""


@dataclass(frozen=True, slots=True)
class Difference:
    """From the configuration in force to a new one."""

    needs_restart: tuple[str, ...]
    """Keys of [node] whose new values wait for a restart: `("workers",)`."""
    node: Node
    """The new node, with the values in force for the keys that need a restart."""
    opened: tuple[tuple[str, Listener], ...]
    """Listeners of this server that came, each with the key of its virtual server."""
    closed: tuple[tuple[str, Listener], ...]
    """Listeners of this server that went: stop accepting, sessions finish."""
    changes: tuple[str, ...]
    """For the log: `'connector "Partner" added'`, `'connector "Internet": smart_hosts, security.tls changed'`."""


def difference(old: Configuration, new: Configuration) -> Difference:
    """What has to be done, and said, when `new` takes the place of `old`."""
    needs_restart = tuple(key for key in RESTART_KEYS if getattr(old.node, key) != getattr(new.node, key))
    node = replace(
        new.node,
        server=old.node.server,
        state_dir=old.node.state_dir,
        workers=old.node.workers,
        user=old.node.user,
    )
    before, after = _listeners(old, node.server), _listeners(new, node.server)
    return Difference(
        needs_restart,
        node,
        opened=tuple(entry for entry in after if entry not in before),
        closed=tuple(entry for entry in before if entry not in after),
        changes=_shortened(_changes(old, new)),
    )


def _listeners(configuration: Configuration, server: str) -> list[tuple[str, Listener]]:
    return [
        (virtual_server.key, listener)
        for virtual_server in configuration.organization.virtual_servers
        if virtual_server.server == server
        for listener in virtual_server.listeners
    ]


def _changes(old: Configuration, new: Configuration) -> Iterator[str]:
    yield from _changed("node", old.node, new.node)
    before, after = old.organization, new.organization
    plain = ("name", "postmaster", "no_match", "display_routing_groups", "display_administrative_groups")
    changed = [key for key in plain if getattr(before, key) != getattr(after, key)]
    if changed:
        yield f"organization: {', '.join(changed)} changed"
    kinds = ("server", "accepted domain", "virtual server", "connector")
    for kind, befores, afters in zip(kinds, _tables(old), _tables(new), strict=True):
        for name in befores:
            if name not in afters:
                yield f"{kind} {quoted(name)} removed"
        for name, table in afters.items():
            if name not in befores:
                yield f"{kind} {quoted(name)} added"
            else:
                yield from _changed(f"{kind} {quoted(name)}", befores[name], table)


def _tables(configuration: Configuration) -> tuple[Mapping[str, object], ...]:
    organization = configuration.organization
    return (
        {server.name: server for server in organization.servers},
        {domain.pattern: domain for domain in organization.accepted_domains},
        {virtual_server.key: virtual_server for virtual_server in organization.virtual_servers},
        {connector.name: connector for connector in organization.connectors},
    )


def _changed(subject: str, old: object, new: object) -> Iterator[str]:
    names = list(_changed_fields(old, new))
    if names:
        yield f"{subject}: {', '.join(names)} changed"


def _changed_fields(old: object, new: object, prefix: str = "") -> Iterator[str]:
    """Names of the fields that differ, `"security.tls"`; values are not told, some are secrets."""
    if not is_dataclass(old) or type(old) is not type(new):
        return
    for field in fields(old):
        before, after = getattr(old, field.name), getattr(new, field.name)
        if not field.compare or before == after:
            continue
        inner = list(_changed_fields(before, after, f"{prefix}{field.name}."))
        yield from inner or [f"{prefix}{field.name}"]


def _shortened(changes: Iterable[str]) -> tuple[str, ...]:
    listed = tuple(changes)
    if len(listed) <= CHANGES_MAX:
        return listed
    more = len(listed) - CHANGES_MAX
    return (*listed[:CHANGES_MAX], f"and {more} more {'change' if more == 1 else 'changes'}")
