"""The conditions of a run: what a reader needs to judge the figures, or to repeat them."""

import contextlib
import datetime
import os
import platform
import subprocess
from pathlib import Path

from . import congestion


def said(*argv) -> str:
    """The first line that a command prints, on either stream; `?` if it isn't there."""
    with contextlib.suppress(OSError):
        streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        done = subprocess.run(argv, **streams, timeout=20, check=False)
        lines = done.stdout.decode(errors="replace").strip().splitlines()
        return lines[0].strip() if lines else "?"
    return "?"


def field(path, key, separator=":") -> str:
    """The value of the first `key` in a file of lines."""
    with contextlib.suppress(OSError):
        for line in Path(path).read_text().splitlines():
            name, _, value = line.partition(separator)
            if name.strip() == key:
                return value.strip().strip('"')
    return "?"


class Conditions:
    """Taken at the start; `table` adds what changed until the end."""

    def __init__(self, bench):
        self.load = os.getloadavg()[0]
        self.ticks = cpu_ticks()
        memory = int(field("/proc/meminfo", "MemTotal").split()[0]) / (1 << 20)
        self.rows = {
            "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
            "machine": f"{field('/proc/cpuinfo', 'model name')}, {os.cpu_count()} cores, {memory:.1f} GiB",
            "system": f"{field('/etc/os-release', 'PRETTY_NAME', '=')}, Linux {platform.release()}",
            "TCP": f"{congestion.in_use()}, loopback",
            "unglue": version_of(bench),
            "rivals": rivals(),
            "run as": "root" if os.geteuid() == 0 else "an ordinary user",
        }

    def table(self) -> str:
        idle, stolen, total = (now - then for now, then in zip(cpu_ticks(), self.ticks))
        stolen_share = 100 * stolen / total if total else 0.0
        rows = dict(self.rows)
        busy = " (busy: the figures say little)" if self.load > 0.5 else ""
        stolen_words = f"{stolen_share:.1f} % of the processors' time stolen by the host during the run"
        rows["load"] = f"{self.load:.2f} before{busy}; {stolen_words}"
        return "\n".join(["| condition | |", "|---|---|", *(f"| {key} | {value} |" for key, value in rows.items())])


def cpu_ticks() -> tuple:
    """Idle, stolen and all ticks since boot (proc(5), /proc/stat)."""
    ticks = [int(word) for word in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return ticks[3] + ticks[4], ticks[7], sum(ticks)


def version_of(bench) -> str:
    if not bench.unglue:
        return "not built"
    commit = said("git", "-C", str(bench.root), "rev-parse", "--short", "HEAD")
    asks = ["git", "-C", str(bench.root), "diff", "--quiet", "HEAD", "--", "crates"]
    changed = " with changes" if subprocess.run(asks, check=False).returncode else ""
    return f"{said(str(bench.unglue.program), '--version')}, commit {commit}{changed}"


def rivals() -> str:
    ssh = said("ssh", "-V").split(",")[0]
    rsync = " ".join(said("rsync", "--version").split()[:3])
    return f"{ssh}; {rsync}; netcat-openbsd {said('dpkg-query', '-W', '-f=${Version}', 'netcat-openbsd')}"
