"""The table of `benchmarks/run`: medians of the samples, the ratio to Postfix, the verdict on each target. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

BRIDGEHEAD = "bridgehead"
POSTFIX = "postfix"

HEADINGS = ("#", "measured", BRIDGEHEAD, POSTFIX, "ratio", "rounds", "target", "verdict")
NOTHING = "-"


@dataclass(frozen=True, slots=True)
class Target:
    """What a figure has to be: at least, or at most, `bound`; a ratio to Postfix or Bridgehead's own figure."""

    bound: float
    at_most: bool = False
    is_ratio: bool = False
    defect: float | None = None
    """Beyond this a missed target is a defect."""

    def met(self, value: float) -> bool:
        """Whether a value reaches it."""
        return value <= self.bound if self.at_most else value >= self.bound

    def missed_by(self, value: float) -> float:
        """How far off, as a part of the bound (of 1 where that is 0); 0 where it is met."""
        return 0.0 if self.met(value) else abs(value - self.bound) / (self.bound or 1.0)

    def is_defect(self, value: float) -> bool:
        """Whether the value lies beyond what may pass as a missed target."""
        if self.defect is None:
            return False
        return value > self.defect if self.at_most else value < self.defect

    def __str__(self) -> str:
        """`">= 8 x"`."""
        return f"{'<=' if self.at_most else '>='} {self.bound:g}{' x' if self.is_ratio else ''}"


def times_postfix(bound: float, defect: float | None = None) -> Target:
    """At least so many times Postfix's figure."""
    return Target(bound, is_ratio=True, defect=defect)


NOT_MORE_THAN_POSTFIX = Target(1.0, at_most=True, is_ratio=True)
NOT_SLOWER = times_postfix(1.0)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    number: str
    """`"P1"`."""
    key: str
    """What of it; with `number` it is unique."""
    label: str
    """In words, with the unit."""
    target: Target | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """One figure of one relay in one round."""

    number: str
    key: str
    relay: str
    value: float


@dataclass(frozen=True, slots=True)
class Line:
    """What a row came to."""

    row: Row
    medians: Mapping[str, float]
    """By relay."""
    spread: tuple[float, float] | None
    """Smallest and largest of what is judged, over the rounds; `None` with fewer than two."""
    rounds: int

    @property
    def ratio(self) -> float | None:
        """Bridgehead's median, divided by Postfix's."""
        return ratio(self.medians.get(BRIDGEHEAD), self.medians.get(POSTFIX))

    @property
    def judged(self) -> float | None:
        """What the target is about: the ratio, or Bridgehead's median."""
        is_ratio = self.row.target is not None and self.row.target.is_ratio
        return self.ratio if is_ratio else self.medians.get(BRIDGEHEAD)

    @property
    def verdict(self) -> str:
        """`"met"`, `"MISSED by 12 %"`, `"DEFECT: missed by 30 %"`, or nothing where nothing can be said."""
        target, value = self.row.target, self.judged
        if target is None:
            return ""
        if value is None:
            return "not measured"
        if target.met(value):
            return "met"
        missed = f"{target.missed_by(value):.0%}".replace("%", " %")
        return f"DEFECT: missed by {missed}" if target.is_defect(value) else f"MISSED by {missed}"


def ratio(one: float | None, other: float | None) -> float | None:
    """Their quotient, where there is one."""
    return one / other if one is not None and other else None


def line(row: Row, samples: Iterable[Sample]) -> Line:
    """Medians over the rounds of each relay; samples of other rows are passed over."""
    values: dict[str, list[float]] = {}
    for sample in samples:
        if (sample.number, sample.key) == (row.number, row.key):
            values.setdefault(sample.relay, []).append(sample.value)
    medians = {relay: median(found) for relay, found in values.items()}
    own, other = values.get(BRIDGEHEAD, []), values.get(POSTFIX, [])
    is_ratio = row.target is not None and row.target.is_ratio
    judged = [a / b for a, b in zip(own, other, strict=False) if b] if is_ratio else own
    spread = (min(judged), max(judged)) if len(judged) > 1 else None
    return Line(row, medians, spread, len(own))


def figure(value: float | None) -> str:
    """Three digits that count: `"3,480"`, `"63.8"`, `"0.152"`."""
    if value is None:
        return NOTHING
    if abs(value) >= 100 or value == 0:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}" if abs(value) >= 1 else f"{value:.3f}"


def cells(found: Line, others: Sequence[str]) -> list[str]:
    """A line of the table, as text; `others` are relays beside the two, each with its ratio to Postfix."""
    postfix = found.medians.get(POSTFIX)
    beside = []
    for name in others:
        value = found.medians.get(name)
        quotient = ratio(value, postfix)
        beside.append(figure(value) + (f" ({quotient:.2f} x)" if quotient is not None else ""))
    spread = f" ({figure(found.spread[0])}..{figure(found.spread[1])})" if found.spread else ""
    return [
        found.row.number,
        found.row.label,
        figure(found.medians.get(BRIDGEHEAD)),
        figure(postfix),
        NOTHING if found.ratio is None else f"{found.ratio:.2f} x",
        f"{found.rounds}{spread}",
        str(found.row.target or ""),
        found.verdict,
        *beside,
    ]


def table(lines: Sequence[Line], others: Sequence[str] = ()) -> str:
    """All lines as a Markdown table, in columns that are readable as they are."""
    written = [[*HEADINGS, *others], *(cells(found, others) for found in lines)]
    widths = [max(len(row[column]) for row in written) for column in range(len(written[0]))]
    written.insert(1, ["-" * width for width in widths])
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in written
    )


def missed(lines: Iterable[Line]) -> list[Line]:
    """Lines whose target was measured and not reached."""
    return [found for found in lines if found.judged is not None and found.verdict not in {"", "met"}]
