"""`bridgehead completion`: the script that makes a shell complete commands and options, and what it completes.

Names are read from the configuration, with errors or without: a shell that completes must never print one.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.shell_completion import get_completion_class

from bridgehead.cli.invocation import Invocation, invocation, shared_options

if TYPE_CHECKING:
    from bridgehead.core.organization import Organization


@click.command(epilog="Example: bridgehead completion bash > /etc/bash_completion.d/bridgehead")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@shared_options
@click.pass_context
def completion(context: click.Context, shell: str, config: Path | None, json: bool) -> None:
    """Print the completion script of SHELL."""
    found = get_completion_class(shell)
    assert found is not None, "the choice above names shells that click knows"
    script = found(context.find_root().command, {}, "bridgehead", "_BRIDGEHEAD_COMPLETE").source()
    invocation(context, config, json=json).show({"shell": shell, "script": script}, script)


def connector_names(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """The connectors of the configuration that begin like this; for `shell_complete`."""
    organization = _organization(context)
    names = [connector.name for connector in organization.connectors] if organization else []
    return [name for name in names if name.startswith(incomplete)]


def virtual_server_names(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
    """The same for virtual servers."""
    organization = _organization(context)
    names = [virtual_server.name for virtual_server in organization.virtual_servers] if organization else []
    return [name for name in dict.fromkeys(names) if name.startswith(incomplete)]


def _organization(context: click.Context) -> Organization | None:
    """The organization of the file that the command line names so far."""
    config: Path | None = None
    place: click.Context | None = context
    while config is None and place is not None:
        config, place = place.params.get("config"), place.parent
    loaded = Invocation(config).load()
    return loaded.configuration.organization if loaded.configuration else None
