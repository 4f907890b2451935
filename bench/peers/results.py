"""Rows of a comparison with a peer: ratios round by round, goals, the table and the JSON of `./x bench`."""

import dataclasses
import statistics


def summary(values):
    return {"median": statistics.median(values), "low": min(values), "high": max(values)}


@dataclasses.dataclass
class Row:
    name: str
    unit: str
    medium: str
    reference_name: str
    # The least ratio that is asked for; none where the row is only printed.
    goal: float | None = None
    cenote: list = dataclasses.field(default_factory=list)
    reference: list = dataclasses.field(default_factory=list)
    details: dict = dataclasses.field(default_factory=dict)

    def add(self, side, value, **details):
        """What one side reached in the next round."""
        (self.cenote if side == "cenote" else self.reference).append(value)
        for name, number in details.items():
            self.details.setdefault(f"{side}.{name}", []).append(number)

    def ratios(self):
        return [ours / theirs for ours, theirs in zip(self.cenote, self.reference)]

    def passes(self):
        return None if self.goal is None else statistics.median(self.ratios()) >= self.goal

    def document(self, disturbance):
        """The keys of a row in results.json."""
        summaries = {name: summary(values) for name, values in
                     (("cenote", self.cenote), ("reference", self.reference), ("ratio", self.ratios()))}
        return {"name": self.name, "unit": self.unit, "medium": self.medium, "reference_name": self.reference_name,
                **{name: found["median"] for name, found in summaries.items()},
                "goal": None if self.goal is None else f">= {self.goal:g}", "pass": self.passes(),
                "rounds": len(self.cenote), **disturbance, "summary": summaries,
                "details": {name: statistics.median(values) for name, values in self.details.items()}}


def number(value):
    """Four significant digits, with a letter for large ones."""
    for factor, letter in ((1e6, "M"), (1e3, "k")):
        if value >= factor * (10 if letter == "k" else 1):
            return f"{value / factor:.4g}{letter}"
    return f"{value:.4g}"


def with_spread(values):
    """The median, and how far the rounds lie apart, in percent of it, to either side."""
    found = summary(values)
    return f"{number(found['median'])} ±{(found['high'] - found['low']) / found['median'] * 50:.0f}%"


def cells_of(row):
    ratio = summary(row.ratios())
    return [row.name, row.unit, with_spread(row.cenote), with_spread(row.reference), row.reference_name,
            f"{ratio['median']:.2f} ({ratio['low']:.2f}-{ratio['high']:.2f})",
            "" if row.goal is None else f">= {row.goal:g}", {None: "", True: "pass", False: "MISS"}[row.passes()]]


def table_of(rows, details=False):
    lines = [["name", "unit", "cenote", "reference", "of", "ratio (low-high)", "goal", "pass"], *map(cells_of, rows)]
    widths = [max(map(len, column)) for column in zip(*lines)]
    text = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in lines]
    if details:
        for place, row in reversed(list(enumerate(rows, 1))):
            found = " ".join(f"{name}={number(statistics.median(values))}" for name, values in row.details.items())
            text.insert(place + 1, "    " + found)
    return "\n".join(text)
