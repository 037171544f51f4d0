"""`bridgehead demo`: a whole organization at work on this machine, for a first look.

What plays is in `process.demo`; here is what is shown of it: a live picture on a terminal, else plain lines.
"""

from __future__ import annotations

import asyncio
import shlex
import shutil
import sys
import textwrap
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

import click

from bridgehead.cli.invocation import Exit, Invocation, invocation, shared_options, write

if TYPE_CHECKING:
    from bridgehead.cli.demo_figures import Figures
    from bridgehead.cli.demo_journal import Told
    from bridgehead.process.demo.stage import Stage

LOOK_SECONDS: Final = 0.5
"""Between two looks at the figures."""
PLAIN_SECONDS: Final = 2.0
"""Between two lines of figures."""
COLUMNS: Final = 79
"""Of what is written: nothing breaks on the smallest terminal but what is to be copied."""
INTRODUCTION: Final = """\
A demo: one organization, five connectors and the hosts they lead to, all of it
on loopback; mail never leaves this machine. One line to Northwind fails now
and then: see what becomes of its mail.
"""


@click.command(epilog="Example: bridgehead demo --seconds 60 --keep ./demo")
@click.option(
    "--seconds",
    type=click.FloatRange(0, min_open=True),
    metavar="N",
    help="End by itself after so long; without: at ^C.",
)
@click.option("--plain", is_flag=True, help="Lines instead of a live picture, also on a terminal.")
@click.option(
    "--keep",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Put configuration, state and mail into this new or empty folder, and leave them there.",
)
@shared_options
@click.pass_context
def demo(
    context: click.Context,
    /,
    config: Path | None,
    *,
    json: bool,
    seconds: float | None,
    keep: Path | None,
    plain: bool,
) -> int:
    """Show a whole organization at work: connectors up and down, mail routed, deferred, rerouted, returned.

    A real server runs on free loopback ports, among senders and a receiving Internet of the demo's own. It says
    which commands to try on it from another terminal. All is gone at the end, unless --keep is given.

    With --json only the counts of what was seen are written, at the end.

    Exits: 0 ended, 64 the folder of --keep is not empty, 69 the demo cannot run here.
    """
    from bridgehead.process.demo.stage import folder, perform

    given = invocation(context, config, json=json)
    if given.config is not None:
        raise click.UsageError("the demo writes its own configuration: leave --config out")
    if keep is not None and _holds_something(keep):
        raise click.UsageError(f"{keep} is not empty: give a new folder")
    if not given.json:
        write(INTRODUCTION)
    onlooker = Onlooker(_screen(given, plain=plain))
    with folder(keep) as place:
        asyncio.run(perform(place, onlooker, seconds))
        seen = dict(sorted(onlooker.journal.seen.items()))
        given.show({"seen": seen, "kept": str(place) if keep else ""}, _conclusion(seen, place if keep else None))
    return Exit.OK


def _holds_something(keep: Path) -> bool:
    try:
        return any(keep.iterdir())
    except OSError:
        return False  # it is not there, or cannot be used at all, which `folder` says


class Screen(Protocol):
    """Where events and figures are shown."""

    def open(self, invitation: str) -> None:
        """Begin, by saying what there is to try."""
        ...

    def tell(self, told: Told) -> None:
        """One event."""
        ...

    def show(self, look: Figures) -> None:
        """The figures of now."""
        ...

    def close(self) -> None:
        """No more is shown."""
        ...


def _screen(given: Invocation, *, plain: bool) -> Screen:
    if given.json:
        return Nothing()
    if plain or not sys.stdout.isatty():
        return Lines()
    from bridgehead.cli.demo_picture import Picture

    return Picture()


class Onlooker:
    """The demo's audience: keeps the journal, and shows it."""

    def __init__(self, screen: Screen) -> None:
        from bridgehead.cli.demo_journal import Journal

        self.journal = Journal()
        self._screen = screen

    def hear(self, line: bytes) -> bool:
        """Take a log line; whether the server is ready."""
        told = self.journal.take(line)
        if told is not None:
            self._screen.tell(told)
        return self.journal.is_ready

    async def watch(self, stage: Stage) -> None:
        """Say what to try, then show the figures again and again."""
        from bridgehead.cli.demo_figures import ask
        from bridgehead.core.error import BridgeheadError

        self._screen.open(invitation(stage))
        try:
            while True:
                await asyncio.sleep(LOOK_SECONDS)
                try:
                    look = await asyncio.to_thread(ask, stage.state_dir)
                except BridgeheadError:
                    continue  # a worker is being started again
                self._screen.show(look)
        finally:
            self._screen.close()


def invitation(stage: Stage) -> str:
    """What to try while it runs: three commands, each a line that can be copied, and an address."""
    program = shlex.quote(_program())
    file = shlex.quote(str(stage.configuration))
    return (
        "\nTry in another terminal, while it runs:\n"
        f"  {program} explain amy@northwind.example --client 127.0.0.1 --config {file}\n"
        f"  {program} queue list --config {file}\n"
        f"  {program} trace --recipient northwind.example --limit 3 --config {file}\n"
        f"  http://{stage.console}/metrics\n\n"
    )


def _program() -> str:
    """What to type for this very program: its name where that finds it, else its path."""
    called = Path(sys.argv[0])
    found = shutil.which(called.name)
    is_found = found is not None and called.exists() and Path(found).samefile(called)
    return called.name if is_found else str(called.absolute())


class Lines:
    """Plain lines: every event that is told, and the figures now and then."""

    def __init__(self) -> None:
        self._next_figures = 0.0

    def open(self, invitation: str) -> None:
        """The invitation as it is."""
        write(invitation)

    def tell(self, told: Told) -> None:
        """One line."""
        write(str(told))

    def show(self, look: Figures) -> None:
        """One line each `PLAIN_SECONDS`."""
        if look.at < self._next_figures:
            return
        self._next_figures = look.at + PLAIN_SECONDS
        down = f"; down: {', '.join(look.down)}" if look.down else ""
        clock = time.strftime("%H:%M:%S")
        write(
            f"{clock}  figures    {look.received} received, {look.waiting} waiting, {look.delivered} delivered,"
            f" {look.deferred} deferred, {look.failed} failed, {look.refused} refused{down}"
        )

    def close(self) -> None:
        """Nothing to give back."""


class Nothing:
    """Shows nothing."""

    def open(self, invitation: str) -> None:
        """Nothing."""

    def tell(self, told: Told) -> None:
        """Nothing."""

    def show(self, look: Figures) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


def _conclusion(seen: dict[str, int], kept: Path | None) -> str:
    from bridgehead.cli.text import amount

    # A number stays on the line of what it counts.
    listed = ", ".join(f"{amount(number)}\xa0{kind}" for kind, number in seen.items()) or "nothing yet"
    ended = textwrap.fill(f"The demo has ended. Seen: {listed}.", COLUMNS, break_on_hyphens=False)
    where = f"Everything is still in {kept}." if kept else "Nothing of it is left on this machine."
    return f"\n{ended}\n{where}\n".replace("\xa0", " ")
