"""`bridgehead spool`: is all that waits whole on the disk, and set aside what is not."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from bridgehead.cli.invocation import Exit, Invocation, fail, invocation, shared_options
from bridgehead.cli.text import count, plain, size
from bridgehead.core.error import MachineError

if TYPE_CHECKING:
    from bridgehead.spool.verify import Findings

SHOWN_MAX: Final = 20
"""Damaged messages of a partition that the text names; JSON has all."""


@click.group(epilog="Example: bridgehead spool verify && echo whole")
@shared_options
@click.pass_context
def spool(context: click.Context, config: Path | None, json: bool) -> None:
    """Verify and salvage the mail on the disk."""
    context.obj = invocation(context, config, json=json)


@spool.command(epilog="Example: bridgehead spool verify --json | jq '.partitions[].damaged'")
@shared_options
@click.pass_context
def verify(context: click.Context, config: Path | None, json: bool) -> int:
    """Read every message, bodies too, and say what is damaged. Changes nothing; a server may run meanwhile.

    Exits: 0 all is whole, 1 something is damaged, 69 the spool cannot be read.
    """
    from bridgehead.spool.verify import verify as read_all

    given = invocation(context, config, json=json)
    state_dir = given.state_dir()
    with _disk_faults_told(state_dir):
        findings = [read_all(state_dir, number) for number in _numbers(state_dir)]
    _show(given, findings, set_aside=None)
    return Exit.OK if all(found.is_whole for found in findings) else Exit.NOTHING


@spool.command(
    short_help="Set aside what is damaged, and keep the rest.",
    epilog="Example: systemctl stop bridgehead && bridgehead spool salvage && systemctl start bridgehead",
)
@shared_options
@click.pass_context
def salvage(context: click.Context, config: Path | None, json: bool) -> int:
    """Set aside what is damaged in state_dir/damaged, and keep the rest. No server may run meanwhile.

    A server does the same by itself when it meets damage; this finds all of it at once.

    Exits: 0 nothing had to be set aside, 1 something was, 69 a server runs, or the spool cannot be used.
    """
    from bridgehead.control.control_socket import is_running
    from bridgehead.spool.verify import salvage as set_aside_damage

    given = invocation(context, config, json=json)
    state_dir = given.state_dir()
    if is_running(state_dir):
        fail(f"a server runs on {state_dir}: stop it first", Exit.UNAVAILABLE)
    _become_owner(state_dir)
    with _disk_faults_told(state_dir):
        done = [set_aside_damage(state_dir, number) for number in _numbers(state_dir)]
    total = sum(moved for _, moved in done)
    _show(given, [found for found, _ in done], set_aside=total)
    return Exit.NOTHING if total else Exit.OK


def _numbers(state_dir: Path) -> list[int]:
    from bridgehead.spool.partition import partitions

    if not (state_dir / "spool").is_dir():
        raise MachineError(f"there is no spool in {state_dir}: no server has run on it yet")
    return partitions(state_dir)


@contextmanager
def _disk_faults_told(state_dir: Path) -> Iterator[None]:
    try:
        yield
    except PermissionError as error:
        message = f"this account may not read {state_dir}: try again as root, or as the user that serves"
        raise MachineError(message) from error
    except (OSError, sqlite3.OperationalError) as error:
        raise MachineError(f"the spool in {state_dir} cannot be read: {error}") from error


def _become_owner(state_dir: Path) -> None:
    """Act as the user that serves: what root makes here, the server could not write."""
    if os.geteuid() != 0 or not state_dir.exists():
        return
    owner = state_dir.stat()
    os.setegid(owner.st_gid)
    os.seteuid(owner.st_uid)
    os.umask(0o077)


def _show(given: Invocation, findings: Sequence[Findings], *, set_aside: int | None) -> None:
    """`set_aside`: `None` where nothing was changed."""
    value: dict[str, object] = {"whole": all(found.is_whole for found in findings)}
    if set_aside is not None:
        value["set_aside"] = set_aside
    value["partitions"] = [_value_of(found) for found in findings]
    given.show(value, "\n".join(_lines(findings, set_aside)))


def _value_of(found: Findings) -> dict[str, object]:
    from bridgehead.core import queue_id

    return {
        "path": str(found.path),
        "messages": found.messages,
        "octets": found.octets,
        "faults": found.faults,
        "damaged": [{"queue_id": queue_id.write(one.message_id), "reason": one.reason} for one in found.damaged],
    }


def _lines(findings: Sequence[Findings], set_aside: int | None) -> Iterator[str]:
    from bridgehead.core import queue_id

    for found in findings:
        state = "whole" if found.is_whole else "DAMAGED"
        yield f"{found.path}: {state}, {count(found.messages, 'message')}, {size(found.octets)}"
        yield from (f"  the database: {plain(fault)}" for fault in found.faults)
        yield from (f"  {queue_id.write(one.message_id)}: {one.reason}" for one in found.damaged[:SHOWN_MAX])
        if len(found.damaged) > SHOWN_MAX:
            yield f"  and {count(len(found.damaged) - SHOWN_MAX, 'more damaged message')}"
    if set_aside:
        yield f"set aside in state_dir/damaged: {count(set_aside, 'entry', 'entries')}, each with a note.json"
    elif set_aside is None and not all(found.is_whole for found in findings):
        yield "`bridgehead spool salvage` sets this aside while no server runs; a server does so when it meets it"
