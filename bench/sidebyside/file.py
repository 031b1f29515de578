"""How long one large file of random bytes takes from memory to memory, its copy compared byte by byte."""

import contextlib
import os
import shutil
import tempfile
import time
from pathlib import Path

from .machine import field
from .openssh import free_port, wait_until
from .processes import Failed, deadline, spawn
from .sampling import Contender, Goal, Result, in_turns, in_words, ratio

UNGLUE = "unglue cp (encrypted, digest compared)"
NETCAT = "nc | nc (plain)"
LOCAL = "cp, local"
BLOCK = 1 << 20


def measure(bench) -> Result:
    """Uploads of one file by each contender, into a directory of our own in /dev/shm."""
    size = bench.size or (2 << 30)
    cipher = bench.cipher()
    scp, rsync = f"scp -c {cipher}", f"rsync over ssh -c {cipher}"
    with memory_directory(size) as directory:
        source, copy = directory / "source", directory / "copy"
        fill(source, size)
        commands = {
            scp: ["scp", "-q", "-F", str(bench.ssh.config), "-c", cipher, str(source), f"bench:{copy}"],
            rsync: ["rsync", "-e", bench.ssh.remote_shell(cipher), str(source), f"bench:{copy}"],
            LOCAL: ["cp", str(source), str(copy)],
        }
        if bench.unglue:
            commands = {UNGLUE: bench.unglue.cp(source, copy), **commands}
        runs = {name: lambda argv=argv: bench.runner.time(argv) for name, argv in commands.items()}
        runs[NETCAT] = lambda: netcat(bench, source, copy)
        contenders = [contender(bench, name, run, source, copy) for name, run in runs.items()]
        series = in_turns(contenders, bench.samples or 5)
    what = f"{in_words(size)} file"
    by_scp = Goal(f"{what}: scp's time (its fastest cipher) by unglue's", ratio(series, scp, UNGLUE), 2, stretch=2.5)
    by_rsync = Goal(f"{what}: rsync's time (the same cipher) by unglue's", ratio(series, rsync, UNGLUE), 3)
    by_netcat = Goal(f"{what}: `nc | nc`'s time by unglue's", ratio(series, NETCAT, UNGLUE), 0.8)
    notes = ["Syncing a tmpfs costs nothing: what durability costs on a disk is the disk's."]
    title = "One file of random bytes, tmpfs to tmpfs, upload"
    return Result("file", title, series, [by_scp, by_rsync, by_netcat], notes, size)


def contender(bench, name, run, source, copy) -> Contender:
    """Warms the destination's memory before each sample, and compares the copy after it, both outside of the time."""

    def before():
        warm(copy.with_name("warm"), source.stat().st_size)

    def after():
        bench.runner.time(["cmp", str(source), str(copy)])
        copy.unlink()

    return Contender(name, run, before, after)


def netcat(bench, source, copy) -> float:
    """`nc -l > copy` and `nc -N < source`: no encryption, no check, the floor for anything through a socket."""
    port, log = free_port(), bench.directory / "nc.log"
    with open(copy, "wb") as destination:
        listener = spawn(["nc", "-l", "127.0.0.1", str(port)], None, destination.fileno(), log)
    wait_until(lambda: listens(port), "nc", log)
    with open(source, "rb") as origin, deadline(bench.runner.patience, "nc"):
        return both(bench, listener, ["nc", "-N", "127.0.0.1", str(port)], origin.fileno())


def both(bench, listener, sender, stdin) -> float:
    started = time.perf_counter()
    pid = spawn(sender, stdin, None, bench.runner.errors)
    bench.runner.wait({pid: sender, listener: ["nc", "-l"]}, bench.runner.errors)
    return time.perf_counter() - started


def listens(port) -> bool:
    """Asks the kernel's table, since a connection would be nc's only one."""
    wanted = f":{port:04X}"
    rows = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
    return any(row[1].endswith(wanted) and row[3] == "0A" for row in rows)


@contextlib.contextmanager
def memory_directory(size):
    """A directory of our own in /dev/shm with room for the source and the copy."""
    memory = Path("/dev/shm")
    needed = 2 * size + (256 << 20)
    available = int(field("/proc/meminfo", "MemAvailable").split()[0]) * 1024
    room = min(shutil.disk_usage(memory).free, available)
    if room < needed:
        raise Failed(f"the file needs {needed} bytes of memory in {memory}, and {room} are free: give a smaller --size")
    directory = Path(tempfile.mkdtemp(prefix="unglue-bench-", dir=memory))
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def fill(path, size):
    """Random bytes: nothing to compress, nothing to find again."""
    with open(path, "wb") as file:
        for start in range(0, size, BLOCK):
            file.write(os.urandom(min(BLOCK, size - start)))


def warm(path, size):
    """Touches as much memory as the copy will take: a virtual machine's first touch of a page is ten times slower."""
    block = b"\1" * BLOCK
    with open(path, "wb") as file:
        for start in range(0, size, BLOCK):
            file.write(block[: size - start])
    path.unlink()
