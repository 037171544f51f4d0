"""The live picture of the demo, drawn on a terminal that is a string."""

from __future__ import annotations

import io

from rich.console import Console

from bridgehead.cli.demo_figures import Figures, Line
from bridgehead.cli.demo_journal import Told
from bridgehead.cli.demo_picture import EVENTS, Picture

LOOK = Figures(1.0, (Line("ISP", True, 1, 1_234, 2, 3), Line("Backup", False, 0, 0, 0, 0)), 1_300, 7)


def drawn(*told: Told, width: int = 100) -> str:
    """The last picture as text."""
    output = io.StringIO()
    picture = Picture(Console(file=output, width=width, height=40, force_terminal=True, color_system=None))
    picture.open()
    for one in told:
        picture.tell(one)
    picture.show(LOOK)
    picture.close()
    return output.getvalue()


def test_the_picture_shows_links_figures_and_events() -> None:
    text = drawn(Told("failed", "09:30:00", "b@b.example: 550 5.1.1 no [bold]such[/bold] user"))
    assert "1,300 received" in text
    assert [line.split() for line in text.splitlines() if line.lstrip().startswith(("ISP", "Backup"))][-2:] == [
        ["ISP", "up", "1", "1,234", "0.0", "2", "3"],
        ["Backup", "DOWN", "0", "0", "0.0", "0", "0"],
    ]
    assert "09:30:00  failed     b@b.example: 550 5.1.1 no [bold]such[/bold] user" in text


def test_only_the_last_events_are_shown_and_none_takes_two_lines() -> None:
    told = [Told("failed", "09:30:00", f"event {number}. {'x' * 200}") for number in range(EVENTS + 1)]
    # What stands below the last heading is the picture that stays.
    lines = [line for line in drawn(*told, width=80).rpartition("Bridgehead demo")[2].splitlines() if "09:30" in line]
    assert [line.split()[3] for line in lines] == [f"{number}." for number in range(1, EVENTS + 1)]
    assert all(len(line) <= 80 for line in lines)
