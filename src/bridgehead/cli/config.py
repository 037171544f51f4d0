"""`bridgehead config`: the configuration in force, and the schema of the file."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from bridgehead.cli.invocation import invocation, shared_options, write


@click.group(epilog="Example: bridgehead config show --config bridgehead.toml")
@shared_options
@click.pass_context
def config(context: click.Context, config: Path | None, json: bool) -> None:
    """Show the configuration and its schema."""
    context.obj = invocation(context, config, json=json)


@config.command(epilog="Example: bridgehead config schema > bridgehead.schema.json")
@shared_options
@click.pass_context
def schema(context: click.Context, config: Path | None, json: bool) -> None:
    """Print the JSON Schema of the configuration file.

    A first line `#:schema bridgehead.schema.json` in the file makes editors check and complete it.
    """
    from bridgehead.control.configuration.schema import schema as schema_of_file

    write(msgspec.json.format(msgspec.json.encode(schema_of_file()), indent=2).decode())


@config.command(
    short_help="Print the configuration with every default filled in.",
    epilog="Example: bridgehead config show --json | jq .connector",
)
@shared_options
@click.pass_context
def show(context: click.Context, config: Path | None, json: bool) -> None:
    """Print the configuration with every default filled in and every path absolute; secrets stay references.

    What is printed can be used as a file again. Exits: 0, or 2 where the file has errors.
    """
    from bridgehead.control.configuration.show import document_of, show

    given = invocation(context, config, json=json)
    loaded = given.configuration()
    if given.json:
        given.show(document_of(loaded.organization, loaded.node), "")
    else:
        write(show(loaded.organization, loaded.node))
