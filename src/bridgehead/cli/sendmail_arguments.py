"""The grammar of sendmail(8), as programs have used it for forty years. Pure; raises its own error alone.

Options of one letter, together or apart, their value attached or next; recipients anywhere, and behind `--` whatever
they look like. Options that steer what we do not have (aliases, queue runs, error mail, sendmail.cf) are taken and
ignored: a program that gives them means no harm.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Final

from bridgehead.cli.invocation import Exit
from bridgehead.core.envelope import Notify
from bridgehead.core.error import ConfigurationError

ENVID_MAX: Final = 100
"""Characters of an envelope id (RFC 3461 4.4)."""
VALUED: Final = frozenset("ABCDFLNORVXbefhopr")
"""Options with a value, attached or in the next argument."""
ATTACHED: Final = frozenset("dq")
"""Options whose value, if any, is attached: `-q30m`."""
FLAGS: Final = frozenset("GIUcimnstvx")
_NOTIFY: Final = {"success": Notify.SUCCESS, "failure": Notify.FAILURE, "delay": Notify.DELAY}
_BODIES: Final = ("7bit", "8bitmime")
_REFUSED_MODES: Final = {
    "s": "SMTP on standard input is not offered: connect to the port of a virtual server",
    "v": "verifying is `bridgehead explain RECIPIENT`",
    "t": "address tests are `bridgehead explain RECIPIENT`",
    "d": "the server is started by `bridgehead serve`",
    "D": "the server is started by `bridgehead serve`",
}


class Mode(StrEnum):
    """What `sendmail` is to do."""

    SUBMIT = "submit"
    LIST = "list"
    """`-bp`: as mailq(1)."""
    NOTHING = "nothing"
    """`-q`, `-bi`, `-I`: what they ask for the server does by itself, or has no need of."""
    HELP = "help"


@dataclass(frozen=True, slots=True)
class SendmailArguments:
    """What was asked for."""

    mode: Mode = Mode.SUBMIT
    recipients: tuple[str, ...] = ()
    """As typed: each may hold several, with names and commas."""
    sender: str | None = None
    """Without `<>`; empty: the null reverse path; `None`: the account itself."""
    full_name: str = ""
    takes_header: bool = False
    """`-t`: recipients from To, Cc and Bcc too."""
    ends_at_dot: bool = True
    """A line with a dot alone ends the message (not with `-i`)."""
    is_verbose: bool = False
    notify: int = -1
    ret: str = ""
    envid: str = ""
    """As xtext (RFC 3461 4)."""
    config: Path | None = None
    json: bool = False


class SendmailUsageError(ConfigurationError):
    """The arguments are wrong: EX_USAGE of sysexits."""

    exit_code = int(Exit.USAGE)


def parse(arguments: Sequence[str]) -> SendmailArguments:
    """Read the arguments; `SendmailUsageError` says what is wrong with them."""
    found = SendmailArguments()
    recipients: list[str] = []
    waiting = deque(arguments)
    while waiting:
        argument = waiting.popleft()
        if argument == "--":
            recipients += waiting
            break
        if argument.startswith("--"):
            found = _long(found, argument, waiting)
        elif argument.startswith("-") and argument != "-":
            found = _cluster(found, argument[1:], waiting)
        else:
            recipients.append(argument)
    if found.mode is Mode.SUBMIT and not recipients and not found.takes_header:
        raise SendmailUsageError("no recipients: name them, or give -t to take them from the message")
    return replace(found, recipients=tuple(recipients))


def _long(found: SendmailArguments, argument: str, waiting: deque[str]) -> SendmailArguments:
    """The options that every command of ours has."""
    name, equals, value = argument.partition("=")
    match name, equals:
        case "--help", "":
            return replace(found, mode=Mode.HELP)
        case "--json", "":
            return replace(found, json=True)
        case "--config", _:
            return replace(found, config=Path(value if equals else _next("--config", waiting)))
        case _:
            raise SendmailUsageError(f"{argument} is no option of sendmail")


def _cluster(found: SendmailArguments, letters: str, waiting: deque[str]) -> SendmailArguments:
    """Options of one letter: `-ti`, `-fADDRESS`, `-f ADDRESS`."""
    for position, letter in enumerate(letters):
        attached = letters[position + 1 :]
        if letter in ATTACHED:
            return replace(found, mode=Mode.NOTHING) if letter == "q" else found
        if letter in VALUED:
            return _with_value(found, letter, attached or _next(f"-{letter}", waiting))
        if letter not in FLAGS:
            raise SendmailUsageError(f"-{letter} is no option of sendmail")
        found = _with_flag(found, letter)
    return found


def _next(option: str, waiting: deque[str]) -> str:
    if not waiting:
        raise SendmailUsageError(f"{option} needs a value")
    return waiting.popleft()


def _with_flag(found: SendmailArguments, letter: str) -> SendmailArguments:
    match letter:
        case "i":
            return replace(found, ends_at_dot=False)
        case "t":
            return replace(found, takes_header=True)
        case "v":
            return replace(found, is_verbose=True)
        case "I":
            return replace(found, mode=Mode.NOTHING)
        case _:
            return found


def _with_value(found: SendmailArguments, letter: str, value: str) -> SendmailArguments:
    match letter:
        case "f" | "r":
            return replace(found, sender=value.strip().removeprefix("<").removesuffix(">"))
        case "F":
            return replace(found, full_name=value)
        case "o" if value == "i":
            return replace(found, ends_at_dot=False)
        case "b":
            return _with_mode(found, value)
        case "B" if value.lower() not in _BODIES:
            raise SendmailUsageError(f"-B {value} is not known: give 7BIT or 8BITMIME")
        case "N":
            return replace(found, notify=_notify(value))
        case "R":
            return replace(found, ret=_ret(value))
        case "V":
            return replace(found, envid=_envid(value))
        case _:
            return found


def _with_mode(found: SendmailArguments, value: str) -> SendmailArguments:
    match value:
        case "m":
            return found
        case "p":
            return replace(found, mode=Mode.LIST)
        case "i":
            return replace(found, mode=Mode.NOTHING)
        case _:
            raise SendmailUsageError(_REFUSED_MODES.get(value) or f"-b{value} is no mode of sendmail")


def _notify(value: str) -> int:
    words = value.lower().split(",")
    if words == ["never"]:
        return int(Notify.NEVER)
    flags = Notify.NEVER
    for word in words:
        if word not in _NOTIFY:
            raise SendmailUsageError(f"-N {value} is not known: give never, or some of success,failure,delay")
        flags |= _NOTIFY[word]
    return int(flags)


def _ret(value: str) -> str:
    word = value.upper()
    if word not in {"FULL", "HDRS"}:
        raise SendmailUsageError(f"-R {value} is not known: give full or hdrs")
    return word


def _envid(value: str) -> str:
    if not value or len(value) > ENVID_MAX or not value.isascii() or not value.isprintable():
        raise SendmailUsageError(f"-V takes 1 to {ENVID_MAX} printable ASCII characters")
    return "".join(f"+{ord(one):02X}" if one in "+= " else one for one in value)
