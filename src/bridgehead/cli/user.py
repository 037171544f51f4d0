"""`bridgehead user`: accounts for SMTP AUTH (`--file users.txt`) and for the console (without a file).

Passwords are never arguments: those show in process lists and shell histories.
"""

from __future__ import annotations

import getpass
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bridgehead.cli.invocation import Exit, Invocation, fail, invocation, shared_options
from bridgehead.core.error import MachineError

if TYPE_CHECKING:
    from bridgehead.control.accounts import AccountsFile

LINE_MAX = 4096
"""Characters of standard input that are read for a password."""

file_option = click.option(
    "--file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Accounts for SMTP AUTH, as [virtual_server] authentication names them; without: those of the console.",
)


@click.group(epilog="Example: bridgehead user add app@contoso.com --file /etc/bridgehead/users.txt")
@shared_options
@click.pass_context
def user(context: click.Context, config: Path | None, json: bool) -> None:
    """Keep the accounts for SMTP AUTH and the console."""
    context.obj = invocation(context, config, json=json)


@user.command(
    short_help="Add an account; its password is asked for.",
    epilog="Example: bridgehead user add app --file users.txt < password.txt",
)
@click.argument("name")
@file_option
@shared_options
@click.pass_context
def add(context: click.Context, name: str, file: Path | None, config: Path | None, json: bool) -> None:
    """Add an account; its password is asked for, or is one line of standard input.

    Exits: 0 added, 1 there is one of this name (and nothing was changed).
    """
    given = invocation(context, config, json=json)
    path, accounts = _accounts(given, file)
    _check_name(name)
    known = f"{path} has an account {name!r} already: `bridgehead user passwd` changes its password"
    if any(account.name == name for account in accounts.read()):
        fail(known, Exit.NOTHING)
    if file is None:
        _make_state_folder(path.parent)
    if not accounts.add(name, _password(name)):
        fail(known, Exit.NOTHING)
    given.show({"name": name, "file": str(path), "done": "added"}, f"added {name} to {path}{_hint(file)}")


@user.command(epilog="Example: bridgehead user remove app --file users.txt")
@click.argument("name")
@file_option
@shared_options
@click.pass_context
def remove(context: click.Context, name: str, file: Path | None, config: Path | None, json: bool) -> None:
    """Remove an account. Exits: 0 removed, 1 there is none of this name."""
    given = invocation(context, config, json=json)
    path, accounts = _accounts(given, file)
    if name not in [account.name for account in accounts.read()] or not accounts.remove(name):
        _fail_unknown(path, name)
    given.show({"name": name, "file": str(path), "done": "removed"}, f"removed {name} from {path}{_hint(file)}")


@user.command(epilog="Example: bridgehead user passwd admin")
@click.argument("name")
@file_option
@shared_options
@click.pass_context
def passwd(context: click.Context, name: str, file: Path | None, config: Path | None, json: bool) -> None:
    """Give an account a new password, asked for or read as `add` does. Exits: 0 changed, 1 no such account."""
    given = invocation(context, config, json=json)
    path, accounts = _accounts(given, file)
    if name not in [account.name for account in accounts.read()] or not accounts.set_password(name, _password(name)):
        _fail_unknown(path, name)
    value = {"name": name, "file": str(path), "done": "changed"}
    given.show(value, f"changed the password of {name} in {path}{_hint(file)}")


@user.command("list", epilog="Example: bridgehead user list --file users.txt --json | jq -r '.[].name'")
@file_option
@shared_options
@click.pass_context
def list_accounts(context: click.Context, file: Path | None, config: Path | None, json: bool) -> int:
    """List the accounts, never their hashes. Exits: 0, or 1 where there are none."""
    given = invocation(context, config, json=json)
    path, accounts = _accounts(given, file)
    found = accounts.read()
    rows = [{"name": one.name, "scram": bool(one.scram)} for one in found]
    given.show(rows, "\n".join(one.name for one in found) or f"no accounts in {path}")
    return Exit.OK if rows else Exit.NOTHING


def _accounts(given: Invocation, file: Path | None) -> tuple[Path, AccountsFile]:
    from bridgehead.control.accounts import CONSOLE_ACCOUNTS, AccountsFile

    path = file or given.state_dir() / CONSOLE_ACCOUNTS
    return path, AccountsFile(path)


def _check_name(name: str) -> None:
    """Before a password is asked for."""
    from bridgehead.control.accounts import name_fault

    if fault := name_fault(name):
        raise click.UsageError(fault)


def _make_state_folder(folder: Path) -> None:
    """The first account may come before the first start."""
    try:
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    except OSError as error:
        raise MachineError(f"cannot make {folder}: {error.strerror}; set state_dir in [node]") from error


def _password(name: str) -> str:
    """From the terminal, twice and without echo; where standard input is none, its one line."""
    if not sys.stdin.isatty():
        line = sys.stdin.readline(LINE_MAX)
        if not line.strip("\r\n"):
            raise click.UsageError("standard input holds no password: it must be its first line")
        return line.rstrip("\r\n")
    try:
        password = getpass.getpass(f"Password for {name}: ")
        if getpass.getpass("The same again: ") != password:
            raise click.UsageError("the two passwords are not the same; nothing was changed")
    except EOFError:
        raise click.Abort from None
    if not password:
        raise click.UsageError("an empty password is none; nothing was changed")
    return password


def _fail_unknown(path: Path, name: str) -> None:
    fail(f"{path} has no account {name!r}: `bridgehead user list` shows them", Exit.NOTHING)


def _hint(file: Path | None) -> str:
    """The console looks at its accounts each time; SMTP AUTH takes its own with the configuration."""
    return "; a running server takes it at its next reload (SIGHUP)" if file is not None else ""
