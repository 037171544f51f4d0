"""The live picture of the demo: connectors with their links and figures, and the last events in words.

Only built where standard output is a terminal; the one module of the demo that loads `rich`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Final

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group
from rich.control import Control
from rich.live import Live
from rich.table import Table
from rich.text import Text

from bridgehead.cli.demo_figures import Figures, Rates
from bridgehead.cli.demo_journal import DOWN, UP, Told
from bridgehead.cli.text import width
from bridgehead.core.tracking import Step

EVENTS_MAX: Final = 50
"""Events that the largest terminal shows."""
EVENTS_MIN: Final = 6
"""Events that are worth the picture: the invitation scrolls away where there is no room for them below it."""
CHROME: Final = 5
"""Lines of a picture beside connectors and events: heading, two of the table, an empty one, and the cursor's."""

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
    """Redraws itself in place at each `show`, between `open` and `close`."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console()
        self._size = self._console.size
        self._live = self._new_live()
        self._invitation = ""
        self._told: deque[Told] = deque(maxlen=EVENTS_MAX)
        self._rates = Rates()

    def open(self, invitation: str) -> None:
        """Take the terminal; the invitation stands above the picture."""
        self._invitation = invitation
        self._invite()
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
        if self._console.size != self._size:
            self._begin_anew()
        events = list(self._told)[-self._room(len(look.lines)) :]
        self._live.update(picture(look, self._rates, events, self._size.width), refresh=True)

    def _new_live(self) -> Live:
        return Live(console=self._console, auto_refresh=False, vertical_overflow="crop")

    def _begin_anew(self) -> None:
        """The terminal has another size: nobody knows where it moved our lines to."""
        self._live.stop()
        self._size = self._console.size
        self._console.control(Control.home(), Control.clear())
        self._invite()
        self._live = self._new_live()
        self._live.start()

    def _invite(self) -> None:
        # As it is, so that commands stay whole lines for whoever copies them.
        self._console.file.write(self._invitation)

    def _room(self, connectors: int) -> int:
        """How many events can be shown: beside the invitation if there is room for both."""
        room = self._size.height - CHROME - connectors
        taken = sum(-(-width(line) // self._size.width) or 1 for line in self._invitation.splitlines())
        return max(room - taken if room - taken >= EVENTS_MIN else room, 1)


def picture(look: Figures, rates: Rates, told: Iterable[Told], columns: int) -> Group:
    """All of it as one value."""
    received = f"{look.received:,} received ({rates.received:.1f}/s)"
    heading = Text.assemble(
        ("Bridgehead demo", "bold"),
        f"  {received}, {look.refused:,} refused, {look.waiting:,} waiting  ",
        ("^C ends it", "dim"),
        no_wrap=True,
        overflow="ellipsis",
    )
    return Group(heading, _table(look, rates), "", *(_event(one, columns) for one in told))


def _table(look: Figures, rates: Rates) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    table.add_column("connector", no_wrap=True)
    table.add_column("link", no_wrap=True)
    for name in ("waiting", "delivered", "a second", "deferred", "failed"):
        table.add_column(name, justify="right", no_wrap=True)
    for line in look.lines:
        numbers = (line.waiting, line.delivered, rates.delivered(line.name), line.deferred, line.failed)
        shown = [f"{number:,.1f}" if isinstance(number, float) else f"{number:,}" for number in numbers]
        table.add_row(line.name, Text("up", "green") if line.is_up else Text("DOWN", "bold red"), *shown)
    return table


def _event(told: Told, columns: int) -> Text:
    # Never parsed as markup: the words hold what peers said.
    return Text(told.line(columns), _COLOURS.get(told.kind, ""), no_wrap=True, overflow="ellipsis")
