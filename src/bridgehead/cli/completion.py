"""`bridgehead completion`: the script that makes a shell complete commands and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command(epilog="Example: bridgehead completion bash > /etc/bash_completion.d/bridgehead")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the completion script of SHELL."""
    found = get_completion_class(shell)
    assert found is not None, "the choice above names shells that click knows"
    script = found(context.find_root().command, {}, "bridgehead", "_BRIDGEHEAD_COMPLETE").source()
    click.echo(script)
