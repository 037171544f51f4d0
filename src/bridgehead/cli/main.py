"""The `bridgehead` command: one file a noun, imported only when it is needed.

Every command shows an example in its `--help`. What a command can do, `control` can do; nothing is decided here.
"""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from pathlib import Path
from typing import Final

import click

from bridgehead import __version__
from bridgehead.cli.invocation import Exit, Invocation, exit_code, shared_options
from bridgehead.core.error import BridgeheadError

COMMANDS: Final = {
    "serve": "Run the server in the foreground.",
    "demo": "Show a whole organization at work on this machine.",
    "check": "Find every error in a configuration file.",
    "explain": "Say who may send to a recipient, and which way it goes.",
    "queue": "List and operate the mail that waits.",
    "connector": "List, show and test connectors.",
    "config": "Show the configuration and its schema.",
    "trace": "Tell what became of a message.",
    "status": "Show how the server is.",
    "spool": "Verify and salvage the mail on the disk.",
    "user": "Keep the accounts for SMTP AUTH and the console.",
    "completion": "Print the completion script of a shell.",
    "sendmail": "Submit a message, as sendmail(8) does.",
    "mailq": "List the queue, as mailq(1) does.",
}
"""Name -> its line in the list. Each is the click command `NAME` of the module `cli.NAME`."""


class LazyCommands(click.Group):
    """Imports the module of a command when it is called, not to show the list."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All commands, in the order in which a new user needs them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, imported now; `None` where there is none of this name."""
        if cmd_name not in COMMANDS:
            return None
        command = getattr(importlib.import_module(f"bridgehead.cli.{cmd_name}"), cmd_name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing one of them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=LazyCommands,
    epilog="Example: bridgehead check bridgehead.toml && bridgehead serve --config bridgehead.toml",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@shared_options
@click.version_option(__version__, prog_name="bridgehead", message="%(prog)s %(version)s")
@click.pass_context
def bridgehead(context: click.Context, config: Path | None, json: bool) -> None:
    """The SMTP connector, without Exchange: a mail router with a durable queue."""
    context.obj = Invocation(config, json)


def run(arguments: list[str] | None = None) -> None:
    """Entry of the command line: runs a command and ends the process with its exit code."""
    called_as = Path(sys.argv[0]).name
    given = sys.argv[1:] if arguments is None else arguments
    if called_as in {"sendmail", "mailq"}:  # as a link with the name of the old command
        given = [called_as, *given]
    if "_BRIDGEHEAD_COMPLETE" in os.environ:  # a shell asks what may come next
        bridgehead.main(given, prog_name="bridgehead")
    sys.exit(_invoke(given))


def _invoke(arguments: list[str]) -> int:
    try:
        result = bridgehead.main(arguments, prog_name="bridgehead", standalone_mode=False)
    except click.exceptions.Exit as ended:
        return ended.exit_code
    except click.Abort:
        return 130
    except click.ClickException as error:
        error.show()
        return Exit.USAGE
    except BridgeheadError as error:
        sys.stderr.write(f"bridgehead: {error}\n")
        return exit_code(error)
    except Exception:  # noqa: BLE001  the root of a command: whatever comes here is a defect of ours
        traceback.print_exc()
        return Exit.INTERNAL
    return result if isinstance(result, int) else Exit.OK


if __name__ == "__main__":
    run()
