"""Contenders in turns, and what their samples say."""

import statistics
import sys
from dataclasses import dataclass, field
from typing import Callable, Optional


@dataclass
class Contender:
    """Something to measure: `run` does it once and gives the seconds. `before` and `after` are outside of the time."""

    name: str
    run: Callable[[], float]
    before: Callable[[], None] = lambda: None
    after: Callable[[], None] = lambda: None


@dataclass
class Series:
    """One contender's samples, in the order of the rounds."""

    name: str
    samples: list

    @property
    def median(self) -> float:
        return statistics.median(self.samples)

    def spread(self) -> tuple:
        """Least, median, most."""
        return min(self.samples), self.median, max(self.samples)


@dataclass
class Goal:
    """A promise in numbers. `value` is None where unglue wasn't measured."""

    text: str
    value: Optional[float]
    bound: float
    at_most: bool = False
    stretch: Optional[float] = None

    def verdict(self) -> str:
        if self.value is None:
            return "not measured"
        met = self.value <= self.bound if self.at_most else self.value >= self.bound
        if met and self.stretch is not None and self.value >= self.stretch:
            return "met, and the stretch"
        return "met" if met else "missed"


@dataclass
class Result:
    """What one benchmark found."""

    name: str
    title: str
    series: list
    goals: list = field(default_factory=list)
    notes: list = field(default_factory=list)
    bytes: Optional[int] = None
    unit: str = "seconds"


def in_turns(contenders, rounds, warm_ups=1) -> list:
    """Each round runs every contender once, and each round starts with another one: what the machine does meanwhile
    befalls all of them alike."""
    series = {contender.name: [] for contender in contenders}
    for turn in range(-warm_ups, rounds):
        first = turn % len(contenders)
        for contender in contenders[first:] + contenders[:first]:
            contender.before()
            took = contender.run()
            contender.after()
            if turn >= 0:
                series[contender.name].append(took)
        print(f"\r  round {turn + 1} of {rounds}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return [Series(name, samples) for name, samples in series.items()]


def in_words(size) -> str:
    """A size in the largest unit that fits it."""
    for unit, name in ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
        if size >= unit:
            return f"{size / unit:g} {name}"
    return f"{size} bytes"


def ratio(series, over, under) -> Optional[float]:
    """The median over the rounds of over's sample by under's of the same round; None if one wasn't measured."""
    found = {one.name: one.samples for one in series}
    if over not in found or under not in found:
        return None
    return statistics.median(a / b for a, b in zip(found[over], found[under]))
