"""The live picture of the demo: connectors with their links and figures, and the last events in words.

Only built where standard output is a terminal; the one module of the demo that loads `rich`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Final

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from bridgehead.cli.demo_figures import Figures, Rates
from bridgehead.cli.demo_journal import DOWN, UP, Told
from bridgehead.core.tracking import Step

EVENTS: Final = 12
"""Events that are shown: with the table, less than the 24 lines of a small terminal."""

_COLOURS: Final = {
    DOWN: "bold red",
    UP: "bold green",
    Step.FAILED: "red",
    Step.REFUSED: "red",
    Step.DEFERRED: "yellow",
    Step.REROUTED: "magenta",
    Step.DSN: "cyan",
    Step.DELIVERED: "green",
}


class Picture:
    """Redraws itself in place at each `show`; use it as a context manager."""

    def __init__(self, console: Console | None = None) -> None:
        self._live = Live(console=console, auto_refresh=False, vertical_overflow="crop")
        self._told: deque[Told] = deque(maxlen=EVENTS)
        self._rates = Rates()

    def open(self) -> None:
        """Take the terminal."""
        self._live.start()

    def close(self) -> None:
        """Give it back; the last picture stays."""
        self._live.stop()

    def tell(self, told: Told) -> None:
        """One more event, for the next drawing."""
        self._told.append(told)

    def show(self, look: Figures) -> None:
        """Draw."""
        self._rates.add(look)
        self._live.update(picture(look, self._rates, self._told), refresh=True)


def picture(look: Figures, rates: Rates, told: Iterable[Told]) -> Group:
    """All of it as one value."""
    heading = Text.assemble(
        ("Bridgehead demo", "bold"),
        f"   {look.received:,} received ({rates.received:.1f} a second), {look.refused:,} refused,"
        f" {look.waiting:,} waiting   ",
        ("^C ends it", "dim"),
    )
    return Group(heading, _table(look, rates), *map(_event, told))


def _table(look: Figures, rates: Rates) -> Table:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("connector", no_wrap=True)
    table.add_column("link")
    for name in ("waiting", "delivered", "a second", "deferred", "failed"):
        table.add_column(name, justify="right")
    for line in look.lines:
        numbers = (line.waiting, line.delivered, rates.delivered(line.name), line.deferred, line.failed)
        shown = [f"{number:,.1f}" if isinstance(number, float) else f"{number:,}" for number in numbers]
        table.add_row(line.name, Text("up", "green") if line.is_up else Text("DOWN", "bold red"), *shown)
    return table


def _event(told: Told) -> Text:
    # Never parsed as markup: the words hold what peers said.
    return Text(str(told), _COLOURS.get(told.kind, ""), no_wrap=True, overflow="ellipsis")
