"""`bridgehead sendmail`: hands a message to the running server, compatible with sendmail(8).

Any account may use it: `submit.sock` is found through `$BRIDGEHEAD_SUBMIT` (a path), else in the state folder. Exits
are those of sysexits; with 75 nothing was accepted and the program may try again.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

import click

from bridgehead.cli.invocation import Invocation, invocation
from bridgehead.cli.sysexits import Sysexit, failed
from bridgehead.core.error import BridgeheadError, ConfigurationError, MachineError

if TYPE_CHECKING:
    from bridgehead.cli.sendmail_arguments import SendmailArguments
    from bridgehead.inbound.submission_client import Answer, Submission

NAME: Final = "sendmail"
SUBMIT_VARIABLE: Final = "BRIDGEHEAD_SUBMIT"
SOCKET: Final = "submit.sock"


class Unparsed(click.Command):
    """Leaves its arguments as they are: they follow a grammar that is older than ours."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Keep all of them, `--` included."""
        ctx.params = {"arguments": tuple(args)}
        return []

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The options stand in the text."""
        formatter.write_usage(ctx.command_path, "[OPTION]... [RECIPIENT]... < MESSAGE")


@click.command(
    cls=Unparsed,
    add_help_option=False,
    epilog="Example: printf 'Subject: hello\\n\\nIt works.\\n' | bridgehead sendmail bob@fabrikam.com",
)
@click.pass_context
def sendmail(context: click.Context, /, arguments: tuple[str, ...]) -> int:
    """Submit the message on standard input, as sendmail(8) does.

    \b
    -t            recipients from To, Cc and Bcc too; Bcc is always removed
    -i, -oi       a line with a dot alone does not end the message
    -f, -r ADDR   envelope sender; "" or "<>": the null one
    -F NAME       full name, for a From that is missing
    -N WHEN       notify: never, or some of success,failure,delay
    -R full|hdrs  how much of the message a notification returns
    -V ID         envelope id
    -v            say the queue id
    -bp           list the queue, as mailq(1) does
    -q, -bi       nothing to do, exit 0
    --config FILE, --json, --help

    -A -B -C -D -G -I -L -O -U -X -c -d -e -h -m -n -o -p -s -x are taken and ignored.

    The server is found through $BRIDGEHEAD_SUBMIT (the path of its submit.sock), else through `state_dir` of the
    configuration, else in $STATE_DIRECTORY, ~/.local/state/bridgehead and /var/lib/bridgehead.

    Exits (sysexits): 0 accepted, 64 usage, 65 message or address, 67 no such user, 75 no server or not now,
    77 not permitted, 78 configuration.
    """
    from bridgehead.cli.sendmail_arguments import Mode, SendmailUsageError, parse

    try:
        wanted = parse(arguments)
        match wanted.mode:
            case Mode.HELP:
                click.echo(context.get_help())
                return Sysexit.OK
            case Mode.NOTHING:
                return Sysexit.OK
            case Mode.LIST:
                from bridgehead.cli.mailq import print_queue

                return print_queue(invocation(context, wanted.config, json=wanted.json))
            case Mode.SUBMIT:
                return _submit(wanted, invocation(context, wanted.config, json=wanted.json))
    except SendmailUsageError as error:
        return failed(NAME, str(error), Sysexit.USAGE)
    except ConfigurationError as error:
        return failed(NAME, str(error), Sysexit.CONFIGURATION)


def submit_path(config: Path | None, environ: Mapping[str, str], *, uid: int) -> Path:
    """Where the server takes messages; `ConfigurationError` where that cannot be found out."""
    from bridgehead.cli.state_folder import state_folder

    named = environ.get(SUBMIT_VARIABLE)
    return Path(named) if named else state_folder(config, environ, uid=uid, holds=(SOCKET,)) / SOCKET


def read_submission(wanted: SendmailArguments, stream: BinaryIO) -> tuple[Submission, Iterator[bytes]]:
    """Who sends what to whom; the content is read while it is sent. `BridgeheadError` says what is wrong with it."""
    from bridgehead.cli.address_list import addresses_of
    from bridgehead.cli.message_input import MessageError, MessageInput
    from bridgehead.inbound.submission_client import Submission

    message = MessageInput(stream, ends_at_dot=wanted.ends_at_dot)
    recipients = [address for text in wanted.recipients for address in addresses_of(text)]
    header = message.header()
    if wanted.takes_header:
        recipients += header.recipients()
    if not recipients:
        raise MessageError("the message names no recipients in To, Cc or Bcc")
    for text in (*recipients, wanted.sender or "", wanted.full_name):
        if any("\ud800" <= one <= "\udfff" for one in text):
            raise MessageError(f"{text!r} is neither ASCII nor UTF-8")
    submission = Submission(
        recipients=tuple(dict.fromkeys(recipients)),
        sender=wanted.sender,
        full_name=wanted.full_name,
        notify=wanted.notify,
        ret=wanted.ret,
        envid=wanted.envid,
    )
    return submission, chain((header.encode(),), message.body())


def _submit(wanted: SendmailArguments, given: Invocation) -> int:
    from bridgehead.inbound.submission_client import submit

    path = submit_path(given.config, os.environ, uid=os.geteuid())
    try:
        answer = submit(path, *read_submission(wanted, sys.stdin.buffer))
    except MachineError as error:
        is_forbidden = isinstance(error.__cause__, PermissionError)
        return failed(NAME, str(error), Sysexit.NO_PERMISSION if is_forbidden else Sysexit.TEMPORARY)
    except BridgeheadError as error:
        return failed(NAME, str(error), Sysexit.DATA)
    return _report(answer, wanted, given)


def _report(answer: Answer, wanted: SendmailArguments, given: Invocation) -> int:
    if given.json:
        given.show(answer, "")
    elif wanted.is_verbose and answer.queue_id:
        given.show(answer, f"queued as {answer.queue_id}")
    if answer.queue_id:
        return Sysexit.OK
    return failed(NAME, answer.error or "the server did not accept the message", answer.status or Sysexit.TEMPORARY)
