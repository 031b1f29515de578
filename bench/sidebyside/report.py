"""Results as tables, on the terminal and between the markers of docs/performance.md."""

import re
from pathlib import Path

SKELETON = """\
# Performance

Measured by `bench/all`, which anyone can run. Text between the markers is written by it; text outside of them is kept.

## Goals

<!-- bench:goals -->
<!-- /bench:goals -->

## Latency

<!-- bench:exec -->
<!-- /bench:exec -->

## A command's output

<!-- bench:stream -->
<!-- /bench:stream -->

## One large file

<!-- bench:file -->
<!-- /bench:file -->
"""


def table(result) -> str:
    """One line for each contender: least, median, most; the rate where bytes flow; the median by unglue's."""
    head = ["contender", "samples", "least", "median", "most"]
    head += ["MB/s"] if result.bytes else []
    lines = [row(head), row(["---"] + ["---:"] * (len(head) - 1))]
    shown = duration if result.unit == "seconds" else lambda value: f"{value:.2f} {result.unit}"
    for series in result.series:
        cells = [series.name, str(len(series.samples)), *(shown(value) for value in series.spread())]
        cells += [f"{result.bytes / series.median / 1e6:,.0f}"] if result.bytes else []
        lines.append(row(cells))
    size = f", {result.bytes:,} bytes" if result.bytes else ""
    return "\n".join([f"**{result.title}**{size}", "", *lines, *(f"\n{note}" for note in result.notes)])


def goals_table(results) -> str:
    """The ratios against the goals. Ratios are medians of the rounds' own ratios, not ratios of medians."""
    lines = [row(["goal", "wanted", "measured", ""]), row(["---", "---:", "---:", "---"])]
    for goal in (goal for result in results for goal in result.goals):
        wanted = f"{'≤' if goal.at_most else '≥'} {goal.bound:g}" + (f" (stretch {goal.stretch:g})" if goal.stretch else "")
        measured = "–" if goal.value is None else f"{goal.value:.2f}"
        lines.append(row([goal.text, wanted, measured, goal.verdict()]))
    return "\n".join(lines)


def row(cells) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def duration(seconds) -> str:
    """Three digits or so, in the unit that suits."""
    if seconds < 0.001:
        return f"{seconds * 1e6:.0f} µs"
    return f"{seconds * 1e3:.2f} ms" if seconds < 0.1 else f"{seconds:.3f} s"


def write(document: Path, blocks: dict):
    """Puts each block between its markers. Markers that the document lacks are added at its end."""
    text = document.read_text() if document.exists() else SKELETON
    for name, block in blocks.items():
        opening, closing = f"<!-- bench:{name} -->", f"<!-- /bench:{name} -->"
        if opening not in text or closing not in text:
            text = f"{text.rstrip()}\n\n{opening}\n{closing}\n"
        between = re.compile(re.escape(opening) + ".*?" + re.escape(closing), re.DOTALL)
        text = between.sub(lambda _: f"{opening}\n\n{block}\n\n{closing}", text, count=1)
    document.parent.mkdir(parents=True, exist_ok=True)
    document.write_text(text)
