"""What every command has in common: `--config`, `--json`, exit codes, and how errors are shown.

Both options may stand before or after the verb. Texts go to standard output, errors and advice to standard error.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click
import msgspec

from bridgehead.core.error import BridgeheadError, ConfigurationError, MachineError

if TYPE_CHECKING:
    from bridgehead.control.configuration.load import Configuration, Loaded


F = TypeVar("F", bound=Callable[..., Any])


class Exit(IntEnum):
    """Exit codes that all commands share; each command documents its own 0, 1 and 2."""

    OK = 0
    NOTHING = 1
    CONFIGURATION = 2
    USAGE = 64
    UNAVAILABLE = 69
    INTERNAL = 70
    STATE = 73
    TEMPORARY = 75


def shared_options(command: F) -> F:
    """Give a command `--config` and `--json`, so that they may also stand after the verb."""
    command = click.option("--json", "json", is_flag=True, help="Write JSON instead of text.")(command)
    return click.option(
        "--config", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="The configuration file."
    )(command)


@dataclass(slots=True)
class Invocation:
    """The options that stood before the verb; a command merges its own into it. Made anew for each call."""

    config: Path | None = None
    json: bool = False
    _loaded: Loaded | None = field(default=None, init=False)

    def with_options(self, config: Path | None, *, json: bool) -> Invocation:
        """The options of a command over those before the verb."""
        return Invocation(config or self.config, json or self.json)

    def load(self) -> Loaded:
        """The configuration with all its issues; also where it has errors. Read once."""
        if self._loaded is None:
            from bridgehead.control.configuration.find import find
            from bridgehead.control.configuration.load import load

            self._loaded = load(find(str(self.config or ""), os.environ, uid=os.geteuid()))
        return self._loaded

    def configuration(self) -> Configuration:
        """The configuration, or an exit with code 2 and every error of the file on standard error."""
        loaded = self.load()
        if loaded.configuration is None:
            raise _refused(loaded)
        return loaded.configuration

    def state_dir(self) -> Path:
        """The state folder that the configuration names.

        A file with errors still leads to a server that runs: it goes on with what it had, and is asked just then.
        """
        loaded = self.load()
        if loaded.configuration is not None:
            return Path(loaded.configuration.node.state_dir)
        from bridgehead.cli.state_folder import state_folder
        from bridgehead.control.control_socket import NAME, is_running

        with suppress(ConfigurationError):  # those of `load` say more
            folder = state_folder(self.config, os.environ, uid=os.geteuid(), holds=(NAME,))
            if is_running(folder):
                return folder
        raise _refused(loaded)

    def call(self, verb: str, **arguments: Any) -> Any:
        """Ask the running server; `NotRunningError` where there is none."""
        from bridgehead.control.control_socket import call

        return call(self.state_dir(), verb, **arguments)

    def show(self, value: Any, text: str) -> None:
        """Write the answer: `value` as JSON, or `text`."""
        if self.json:
            write(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())
        else:
            write(text)


def invocation(context: click.Context, config: Path | None, *, json: bool) -> Invocation:
    """What this call of a command was given, before and after the verb."""
    before = context.find_object(Invocation) or Invocation()
    return before.with_options(config, json=json)


def _refused(loaded: Loaded) -> ConfigurationError:
    from bridgehead.control.configuration.issue import render_text

    return ConfigurationError(f"the configuration cannot be used\n{render_text(loaded.errors).rstrip()}")


def write(text: str) -> None:
    """Write a text and a line end to standard output; a reader that went away ends the command quietly."""
    try:
        sys.stdout.write(text if text.endswith("\n") or not text else text + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        sys.stderr.close()
        raise SystemExit(0) from None


def fail(message: str, code: int) -> NoReturn:
    """Write an error and end with this exit code."""
    sys.stderr.write(f"bridgehead: {message}\n")
    raise SystemExit(code)


def exit_code(error: BridgeheadError) -> int:
    """The exit code that goes with an error: its own, else by its kind."""
    own = getattr(error, "exit_code", None)
    if isinstance(own, int):
        return own
    match error:
        case ConfigurationError():
            return Exit.CONFIGURATION
        case MachineError():
            return Exit.UNAVAILABLE
        case _:
            return Exit.INTERNAL
