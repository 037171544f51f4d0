"""`bridgehead serve`: the server in the foreground."""

from __future__ import annotations

from pathlib import Path

import click

from bridgehead.cli.invocation import invocation, shared_options


@click.command(epilog="Example: bridgehead serve --config /etc/bridgehead/bridgehead.toml")
@shared_options
@click.pass_context
def serve(context: click.Context, config: Path | None, json: bool) -> int:
    """Run until SIGTERM or SIGINT; SIGHUP applies the configuration file again.

    SIGTERM lets what is in flight finish (`drain`); a second one ends at once.

    Exits: 0 stopped, 2 wrong configuration, 69 cannot listen, 73 state folder not usable.
    """
    from bridgehead.process.service import serve as run

    given = invocation(context, config, json=json)
    return run(given.config, json_logs=given.json)
