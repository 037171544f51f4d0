"""The live picture of the demo, drawn on a small terminal."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest
from rich.console import Console

from bridgehead.cli.demo_figures import NO_CONNECTOR, Figures, Line
from bridgehead.cli.demo_journal import Told
from bridgehead.cli.demo_picture import EVENTS_MIN, Picture
from tests.cli.terminal import Terminal

NAMES = ("Internet via ISP", "Partner Fabrikam", "Wingtip by HELO", "Northwind main line", "Northwind backup line")
LINES = (
    Line(NAMES[0], True, 1, 1_234, 2, 3),
    *(Line(name, False, 0, 0, 0, 0) for name in NAMES[1:]),
    Line(NO_CONNECTOR, True, 0, 123_456, 0, 0),
)
LOOK = Figures(1.0, LINES, 11_300, 712)
FILE = "--config /tmp/bridgehead-demo-a1b2c3d4/bridgehead.toml"
COMMANDS = (
    f"  /opt/bridgehead/bin/bridgehead explain amy@northwind.example --client 127.0.0.1 {FILE}",
    f"  /opt/bridgehead/bin/bridgehead queue list {FILE}",
    f"  /opt/bridgehead/bin/bridgehead trace --recipient northwind.example --limit 3 {FILE}",
)
FIRST_LINE = "Try in another terminal, while it runs:"
INVITATION = "\n".join(("", FIRST_LINE, *COMMANDS, "  http://127.0.0.1:8025/metrics", "", ""))
SIZES = [(80, 24), (100, 30), (130, 40), (200, 60)]


class Stage:
    """A picture and the terminal it is drawn on."""

    def __init__(self, columns: int, lines: int) -> None:
        self.terminal = Terminal(columns, lines)
        self._output = io.StringIO()
        self._console = Console(
            file=self._output, width=columns, height=lines, force_terminal=True, color_system=None
        )
        self.picture = Picture(self._console)

    def resize(self, columns: int, lines: int) -> None:
        self.terminal.resize(columns, lines)
        self._console.size = (columns, lines)

    def look(self) -> list[str]:
        """What the terminal shows by now."""
        self.terminal.feed(self._output.getvalue())
        self._output.seek(0)
        self._output.truncate()
        return self.terminal.screen

    def draw(self, count: int = 0, words: str = "") -> list[str]:
        """So many more events, and a look."""
        for number in range(count):
            self.picture.tell(Told("failed", "09:30:00", f"event {number}. {words}"))
        self.picture.show(LOOK)
        return self.look()


@pytest.fixture
def small() -> Iterator[Stage]:
    stage = Stage(80, 24)
    stage.picture.open(INVITATION)
    yield stage
    stage.picture.close()


def events(screen: list[str]) -> list[str]:
    return [line for line in screen if line.startswith("09:30:00")]


def test_the_picture_shows_links_figures_and_events(small: Stage) -> None:
    small.picture.tell(Told("failed", "09:30:00", "b@b.example: 550 5.1.1 no [bold]such[/bold] user"))
    screen = small.draw()
    assert any("11,300 received" in line for line in screen)
    assert [line.split()[-6:] for line in screen if line.startswith(("Internet via", "Partner"))] == [
        ["up", "1", "1,234", "0.0", "2", "3"],
        ["DOWN", "0", "0", "0.0", "0", "0"],
    ]
    assert "09:30:00  failed     b@b.example: 550 5.1.1 no [bold]such[/bold] user" in screen


@pytest.mark.parametrize(("columns", "lines"), SIZES)
def test_nothing_but_a_command_wraps_and_no_figure_is_cut_at_any_size(columns: int, lines: int) -> None:
    stage = Stage(columns, lines)
    stage.picture.open(INVITATION)
    for _ in range(4):
        stage.draw(20, "x" * 300)
    screen = stage.draw()
    assert set(stage.terminal.wraps) <= set(COMMANDS)
    heading = next(number for number, line in enumerate(screen) if line.startswith("Bridgehead demo"))
    table = screen[heading : heading + 9]
    assert "…" not in "".join(table)
    assert table[0].endswith("^C ends it")
    assert table[1].split() == ["connector", "link", "waiting", "delivered", "a", "second", "deferred", "failed"]
    assert [line.split("  ")[0] for line in table[3:]] == [*NAMES, NO_CONNECTOR]
    assert sum(line.startswith("Bridgehead demo") for line in screen) == 1
    stage.picture.close()


@pytest.mark.parametrize(("columns", "lines"), SIZES)
def test_the_invitation_stays_in_sight_where_there_is_room_for_both(columns: int, lines: int) -> None:
    stage = Stage(columns, lines)
    stage.picture.open(INVITATION)
    screen = stage.draw(100)
    shown = [int(line.split()[3].rstrip(".")) for line in events(screen)]
    assert shown == list(range(100 - len(shown), 100)), "the last ones, in their order"
    assert len(shown) >= EVENTS_MIN
    assert (FIRST_LINE in screen) is (lines > 24)
    stage.picture.close()


def test_an_event_takes_one_line_and_keeps_what_matters_of_it(small: Stage) -> None:
    small.picture.tell(Told("failed", "09:30:00", "b@b.example" + " and more" * 20, "b@b.example: 550 no such user"))
    small.picture.tell(Told("failed", "09:30:00", "x" * 200, "y" * 200))
    assert events(small.draw()) == [
        "09:30:00  failed     b@b.example: 550 no such user",
        "09:30:00  failed     " + "y" * 58 + "…",
    ]


@pytest.mark.parametrize("sizes", [[(130, 40), (80, 24), (100, 30)], [(60, 15), (200, 60)]])
def test_a_terminal_of_another_size_gets_a_whole_new_picture(small: Stage, sizes: list[tuple[int, int]]) -> None:
    small.draw(50, "x" * 30)
    for columns, lines in sizes:
        small.resize(columns, lines)
        for _ in range(3):
            small.draw(1)
        screen = small.draw()
        assert sum(line.startswith("Bridgehead demo") for line in screen) == 1
        assert len([line for line in screen if line.startswith("Northwind")]) == 2
        assert events(screen)[-1] == "09:30:00  failed     event 0."
        assert set(small.terminal.wraps) <= set(COMMANDS)


@pytest.mark.parametrize("piece", [1, 2, 3, 7])
def test_the_tests_terminal_shows_the_same_whatever_pieces_it_reads(piece: int) -> None:
    output = io.StringIO()
    drawn = Picture(Console(file=output, width=80, height=24, force_terminal=True, color_system=None))
    drawn.open(INVITATION)
    for number in range(20):
        drawn.tell(Told("failed", "09:30:00", f"event {number}."))
        drawn.show(LOOK)
    drawn.close()
    written = output.getvalue()
    at_once, in_pieces = Terminal(80, 24), Terminal(80, 24)
    at_once.feed(written)
    for start in range(0, len(written), piece):
        in_pieces.feed(written[start : start + piece])
    assert in_pieces.screen == at_once.screen
