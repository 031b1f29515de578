#!/usr/bin/env python3
"""Puts faults into unglue and its rivals, and counts what goes wrong.

    scripts/faults                    # bounded: a spread of the faults, under six minutes
    scripts/faults --whole            # every fault at every place: hours
    scripts/faults --whole --table    # the same for ssh, scp, sftp and rsync, into docs/reliability.md
    scripts/faults --only 'exec'      # the sweeps whose name holds this

The last line is `N passed, N failed, N skipped`: each run under one fault is one.
"""

import argparse
import contextlib
import os
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from faults import inject, pressure, table  # noqa: E402
from faults.cases import AtomicTree, Command, Copy, Resumed, Tree  # noqa: E402
from faults.sweep import Sweep  # noqa: E402
from faults.tools import OpenSsh, Unglue, make_keys, stop  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", type=Path, default=ROOT / "target/debug/unglue", help="the unglue to test")
    parser.add_argument("--whole", action="store_true", help="every fault, without a bound")
    parser.add_argument("--table", action="store_true", help="the rivals too, and docs/reliability.md")
    parser.add_argument("--most", type=int, help="at most so many faults a sweep [bounded: 12]")
    parser.add_argument("--seconds", type=float, help="at most so long [bounded: 300]")
    parser.add_argument("--only", default="", help="only what has this in its name")
    return parser.parse_args()


def sweeps_of(tool):
    """Every job, side and kind of fault of this tool."""
    jobs = [Command(tool)] if tool.name == "ssh" else [Copy(tool, "up"), Copy(tool, "down")]
    if tool.name == "unglue":
        jobs += [Resumed(tool, "up"), Resumed(tool, "down"), Tree(tool, "down"), AtomicTree(tool, "up"), AtomicTree(tool, "down"), Command(tool)]
    for job in jobs:
        for kind in ("kills", "errors"):
            yield Sweep(tool, job, "client", kind)
            yield Sweep(tool, job, "server", kind)
            if tool.name == "unglue" and isinstance(job, Command):
                yield Sweep(tool, job, "helper", kind)


@contextlib.contextmanager
def site():
    with tempfile.TemporaryDirectory(prefix="unglue-faults-") as directory:
        path = Path(directory)
        path.chmod(0o755)
        make_keys(path)
        yield path


class Count:
    """What was tried, and what went wrong."""

    def __init__(self, shown):
        self.passed = self.failed = self.skipped = 0
        self.shown = shown
        self.rows = []

    def sweep(self, sweep, there, tried, wrong):
        bad = {name for name, _, _ in wrong}
        self.rows.append((sweep.tool.name, sweep.name, there, tried, Counter(kind for _, kind, _ in wrong)))
        told = "" if not bad else ": " + ", ".join(f"{count} {kind}" for kind, count in self.rows[-1][4].items())
        print(f"{sweep.name}: {tried} of {there} faults{told}", flush=True)
        if sweep.tool.name == "unglue":
            self.passed += tried - len(bad)
            self.failed += len(bad)
            for name, kind, detail in wrong[: self.shown]:
                print(f"  FAILED {name}: {kind} {detail}", flush=True)

    def pressure(self, what, wrong):
        if wrong and wrong.startswith("skipped"):
            self.skipped += 1
            print(f"skipped: {what}: {wrong}")
        elif wrong:
            self.failed += 1
            print(f"FAILED {what}: {wrong}", flush=True)
        else:
            self.passed += 1
            print(f"ok: {what}", flush=True)


def run_sweeps(tool, options, until, count):
    tool.start()
    try:
        todo = [sweep for sweep in sweeps_of(tool) if options.only in sweep.name]
        for position, sweep in enumerate(todo):
            share = (until - time.monotonic()) / (len(todo) - position)
            count.sweep(sweep, *sweep.run(options.most, 3 if options.whole else 1, time.monotonic() + share, options.whole))
    finally:
        stop(tool.server)


def main():
    options = arguments()
    if not options.whole:
        options.most = options.most or 12
    seconds = options.seconds or (86_400 if options.whole else 300)
    began, count = time.monotonic(), Count(shown=10)
    options.program = options.program.resolve()
    if not options.program.exists():
        sys.exit(f"{options.program} isn't there: cargo build -p unglue-cli")
    with site() as path:
        for part, name, until in ((pressure.floods, "floods", 0.3), (pressure.starvation, "starvation", 0.5)):
            if options.only in name:
                for result in part(path, options.program, began + seconds * until):
                    count.pressure(*result)
    if not inject.present():
        count.skipped += 1
        print("skipped: strace is not installed, or may not trace here: no faults in system calls")
    else:
        with site() as path:
            share = seconds * (0.25 if options.table else 1)
            run_sweeps(Unglue(path, options.program), options, began + share, count)
        for rival in ("ssh", "scp", "sftp", "rsync") if options.table else ():
            with site() as path:
                left = began + seconds - time.monotonic()
                run_sweeps(OpenSsh(path, rival), options, time.monotonic() + max(left, 60) / 4, count)
    if options.table:
        table.write(ROOT / "docs/reliability.md", count.rows, options, os.uname())
    print(f"{count.passed} passed, {count.failed} failed, {count.skipped} skipped")
    return count.failed != 0


if __name__ == "__main__":
    sys.exit(main())
