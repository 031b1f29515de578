"""One run: what was asked for, both servers, the benchmarks in turn, the tables."""

import argparse
import contextlib
import functools
import json
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from . import by_ssh, congestion, file, forward, latency, openssh, product, report, stream, tree, trips
from .machine import Conditions
from .processes import Failed, Runner

ROOT = Path(__file__).resolve().parents[2]
BENCHMARKS = {
    "exec": latency.measure,
    "stream": stream.measure,
    "file": file.measure,
    "forward": forward.measure,
    "trips": trips.measure,
    "ssh": by_ssh.latency,
    "ssh-file": by_ssh.one_file,
    "tree": tree.small,
    "tree-disk": tree.disk,
    "tree-unchanged": tree.unchanged,
    "tree-distant": tree.distant,
    "tree-sparse": tree.sparse,
}
TREES = [name for name in BENCHMARKS if name.startswith("tree")]
UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


class Bench:
    """What a benchmark needs: both servers, a directory, and what was asked for."""

    def __init__(self, directory, sockets, ssh, unglue, asked):
        self.root, self.directory, self.sockets, self.ssh, self.unglue = ROOT, directory, sockets, ssh, unglue
        self.samples, self.size, self.chosen_cipher = asked.samples, asked.size, asked.cipher
        self.quick, self.disk = asked.quick, asked.disk
        self.runner = Runner(directory)

    @functools.lru_cache(maxsize=None)
    def cipher(self) -> str:
        """The cipher of OpenSSH's bulk transfers: its fastest here, probed once, unless one was named."""
        return self.chosen_cipher or self.ssh.fastest_cipher()


def main(names, about):
    """The whole script. Ends the process with 0, or 1 and one line that says what went wrong."""
    asked = arguments(names, about)
    if asked.congestion:
        congestion.enter(asked.congestion)
    # A terminated run cleans up as one that failed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        measure(names, asked)
    except KeyboardInterrupt:
        sys.exit(130)
    except Failed as failure:
        sys.exit(f"{Path(sys.argv[0]).name}: {failure}")


def arguments(names, about):
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--samples", type=int, help="rounds; default 40 for exec, 7 for stream, 5 for file")
    parser.add_argument("--size", type=size_of, help="bytes to move, e.g. 64M; default 1G for stream, 2G for file")
    parser.add_argument("--quick", action="store_true", help="5 rounds of 64M, not written: shows that it works")
    if len(names) > 1:
        parser.add_argument("--only", action="append", choices=names, help="of the benchmarks, this one; may be repeated")
    parser.add_argument("--cipher", help="OpenSSH's cipher for stream and file; default: its fastest, by a short probe")
    namespace = "as root: measure in a network namespace with this TCP congestion control, e.g. cubic"
    parser.add_argument("--congestion", metavar="NAME", help=namespace)
    disk = "where the image of the disk for trees lies; default /var/tmp. In /dev/shm, other programs' writes don't count"
    parser.add_argument("--disk", type=Path, default=Path("/var/tmp"), metavar="DIR", help=disk)
    parser.add_argument("--unglue", type=Path, default=ROOT / "target/release/unglue", help="the program to measure")
    parser.add_argument("--document", type=Path, default=ROOT / "docs/performance.md", help="where the tables go")
    parser.add_argument("--no-write", action="store_true", help="print the tables alone")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every sample to FILE")
    asked = parser.parse_args()
    if asked.quick:
        asked.samples, asked.size, asked.no_write = asked.samples or 5, asked.size or (64 << 20), True
    return asked


def size_of(text) -> int:
    number, unit = (text[:-1], text[-1].upper()) if text[-1:].isalpha() else (text, "")
    try:
        return int(number) * UNITS[unit]
    except (KeyError, ValueError):
        raise argparse.ArgumentTypeError(f"{text!r} is no size: give bytes, or a number with K, M or G") from None


def measure(names, asked):
    with servers(asked) as bench:
        conditions, results = Conditions(bench), []
        for name in getattr(asked, "only", None) or names:
            print(f"bench/{name}", file=sys.stderr)
            results.append(BENCHMARKS[name](bench))
        blocks = {result.name: f"{report.table(result)}\n\n{conditions.table()}" for result in results}
        goals = report.goals_table(results)
        print("\n\n".join([*(report.table(result) for result in results), conditions.table(), goals]))
        if asked.json:
            asked.json.write_text(json.dumps([samples(result) for result in results], indent=1))
        if bench.unglue and not asked.no_write:
            heading = "goals" if "exec" in names else "tree-goals" if names == TREES else None
            told = {heading: goals} if heading and len(names) > 1 else {}
            report.write(asked.document, {**blocks, **told})
            print(f"\nwritten to {asked.document}", file=sys.stderr)


def samples(result) -> dict:
    return {"bench": result.name, result.unit: {series.name: series.samples for series in result.series}}


@contextlib.contextmanager
def servers(asked):
    """Keys and both servers. The keys lie below target/, not /tmp: a directory that others can write admits nobody."""
    (ROOT / "target").mkdir(exist_ok=True)
    directory = Path(tempfile.mkdtemp(prefix="bench-", dir=ROOT / "target"))
    sockets = Path(tempfile.mkdtemp(prefix="ub-"))
    try:
        openssh.make_keys(directory)
        with openssh.running(directory) as ssh, product.running(asked.unglue.resolve(), directory) as unglue:
            yield Bench(directory, sockets, ssh, unglue, asked)
    finally:
        for made in (directory, sockets):
            shutil.rmtree(made, ignore_errors=True)
