"""`bridgehead check`: everything that is wrong with a configuration file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bridgehead.cli.invocation import Exit, invocation, shared_options
from bridgehead.cli.text import count, plain

if TYPE_CHECKING:
    from bridgehead.cli.waiting_mail import Foresight
    from bridgehead.control.configuration.load import Loaded

WARNINGS_EXIT = 1


@click.command(epilog="Example: bridgehead check /etc/bridgehead/bridgehead.toml && systemctl reload bridgehead")
@click.argument("file", required=False, type=click.Path(path_type=Path, dir_okay=False))
@shared_options
@click.pass_context
def check(context: click.Context, file: Path | None, config: Path | None, json: bool) -> int:
    """Find every error and warning in FILE, or in the file that the server would take.

    List files, secrets and certificates are read too; no DNS is asked, and nothing is changed. Where a server runs,
    or mail lies in the spool, it says what becomes of mail that waits for a connector which FILE disables or removes.

    Exits: 0 nothing to say, 1 warnings, 2 errors (`serve` and a reload refuse such a file).
    """
    import msgspec

    from bridgehead.cli.waiting_mail import foresee
    from bridgehead.control.configuration.issue import render_json, render_text

    given = invocation(context, file or config, json=json)
    loaded = given.load()
    value: dict[str, Any] = {
        "file": str(loaded.path) if loaded.path else None,
        "errors": len(loaded.errors),
        "warnings": len(loaded.warnings),
        "generation": loaded.configuration.organization.generation if loaded.configuration else None,
        "issues": render_json(loaded.issues),
        "waiting": None,
    }
    text = render_text(loaded.issues) + _summary(loaded)
    if loaded.configuration is not None:
        foresight = foresee(loaded.configuration)
        value["waiting"] = msgspec.to_builtins(foresight)
        text += _departures(foresight)
    given.show(value, text)
    if loaded.errors:
        return Exit.CONFIGURATION
    return WARNINGS_EXIT if loaded.warnings else Exit.OK


def _departures(foresight: Foresight) -> str:
    """What waits for connectors that are not used any more, and where it goes."""
    from bridgehead.outbound.departure import sentences

    if foresight.trouble:
        return f"what waits for connectors that this file does not use is not known: {foresight.trouble}\n"
    lines = []
    for heading, details in sentences(foresight.departures):
        lines += [heading, *(f"    {detail}" for detail in details)]
    if lines and foresight.source == "spool":
        lines.append("no server runs: this is what its spool says of mail that was tried before")
    return "".join(f"{plain(line)}\n" for line in lines)


def _summary(loaded: Loaded) -> str:
    """`"bridgehead.toml: 1 error, 2 warnings"`, and what a file without errors comes to."""
    name = str(loaded.path) if loaded.path else "no file, built-in defaults"
    found = f"{name}: {count(len(loaded.errors), 'error')}, {count(len(loaded.warnings), 'warning')}\n"
    if loaded.configuration is None:
        return found
    organization = loaded.configuration.organization
    parts = (
        count(len(organization.virtual_servers), "virtual server"),
        count(len(organization.connectors), "connector"),
        count(len(organization.accepted_domains), "accepted domain"),
    )
    return f"{found}generation {organization.generation}: {', '.join(parts)}\n"
