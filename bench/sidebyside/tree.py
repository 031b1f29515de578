"""Many small files, unchanged files, sparse files, and a long way: unglue beside what people take for trees."""

import contextlib
import os
import shutil
import sys
import tempfile
from pathlib import Path

from . import product, relay, trees
from .file import memory_directory
from .processes import Runner
from .sampling import Contender, Goal, Result, Series, in_turns, in_words, ratio

SYNC = "unglue sync -a (encrypted, verified, synced)"
COPY = "unglue cp -r (encrypted, verified, synced)"
TAR = "tar | unglue exec tar (encrypted, not synced)"
TAR_SSH = "tar | ssh tar (encrypted, not synced)"
DAEMON = "rsync daemon (plain, not synced)"
SCP = "scp -r (encrypted, not synced)"
LOCAL = "cp -r, local (not synced)"
UNSYNCED = "the same without any sync"
DELAY = 0.05


def rsync_name(bench) -> str:
    return f"rsync -a over ssh -c {bench.cipher()} (not synced)"


def commands(bench, source: Path, target: Path, port=None) -> dict:
    """Command lines that put what is in `source` into the directory `target`; two of them for a pipe."""
    cipher = bench.cipher()
    ssh = ["-o", f"HostKeyAlias=[127.0.0.1]:{bench.ssh.port}", "-o", f"Port={port}"] if port else []
    shell = " ".join([bench.ssh.remote_shell(cipher), *ssh])
    pack, unpack = ["tar", "-C", str(source), "-cf", "-", "."], ["tar", "-C", str(target), "-xf", "-"]
    found = {
        rsync_name(bench): ["rsync", "-a", "-e", shell, f"{source}/", f"bench:{target}/"],
        TAR_SSH: (pack, bench.ssh.argv(*unpack, cipher=cipher, options=ssh)),
    }
    if bench.unglue:
        unglue = bench.unglue.through(port) if port else bench.unglue
        found[SYNC] = unglue.tree("sync", "-a", f"{source}/", f"{unglue.host}:{target}/")
        found[COPY] = unglue.tree("cp", "-r", f"{source}/.", f"{unglue.host}:{target}")
        found[TAR] = (pack, unglue.exec_with_input(*unpack))
    return found


def contender(bench, name, argv, source, target, keep=False) -> Contender:
    def run():
        return trees.piped(bench.runner, *argv) if isinstance(argv, tuple) else bench.runner.time(argv)

    def before():
        if not keep:
            trees.empty(target)

    return Contender(name, run, before, lambda: trees.same(source, target))


def small(bench) -> Result:
    """20,000 files of 1 to 8 KiB, tmpfs to tmpfs."""
    files = 1_000 if bench.quick else 20_000
    with memory_directory(files * 16 * 1024) as directory:
        source, target = planted(directory, files, 1024, 8192)
        with trees.rsync_daemon(bench.directory, target) as url:
            found = commands(bench, source, target)
            found[DAEMON] = ["rsync", "-a", f"{source}/", url]
            found[LOCAL] = ["cp", "-r", f"{source}/.", str(target)]
            order = [name for name in (SYNC, COPY, TAR, DAEMON, TAR_SSH, rsync_name(bench), LOCAL) if name in found]
            every = [contender(bench, name, found[name], source, target) for name in order]
            series = in_turns(every, bench.samples or 7)
        scp = ["scp", "-q", "-r", "-F", str(bench.ssh.config), "-c", bench.cipher(), f"{source}/.", f"bench:{target}"]
        once = contender(bench, SCP, scp, source, target)
        once.before()
        series.append(Series(SCP, [once.run()]))
        once.after()
    goal = Goal(f"{files:,} files: unglue sync's time by `tar`'s through unglue exec", ratio(series, SYNC, TAR), 1, at_most=True)
    notes = ["Contents are compared by `diff -r` after each sample. Syncing a tmpfs costs nothing. `scp -r` has one sample."]
    return Result("tree", f"{files:,} files of 1 to 8 KiB, tmpfs to tmpfs, upload", series, [goal], notes)


def disk(bench) -> Result:
    """The same to ext4, synced and not."""
    files = 1_000 if bench.quick else 20_000
    if os.geteuid() != 0 or not bench.unglue:
        return Result("tree-disk", "20,000 files to ext4: not measured, since that takes root", [])
    with memory_directory(files * 16 * 1024) as directory, trees.ext4_disk(2 << 30, bench.disk) as mounted:
        source, _ = planted(directory, files, 1024, 8192)
        target = mounted / "target"
        target.mkdir()
        found = commands(bench, source, target)
        order = [SYNC, TAR, rsync_name(bench)]
        every = [contender(bench, name, found[name], source, target) for name in order]
        other = bench.directory / "unsynced"
        other.mkdir()
        for name in ("host", "host.pub", "user", "user.pub", "authorized_keys"):
            shutil.copy(bench.directory / name, other / name)
        wrapper = [sys.executable, "-B", str(Path(__file__).with_name("unsynced.py"))]
        with product.running(bench.unglue.program, other, wrapper) as unsynced:
            argv = unsynced.tree("sync", "-a", f"{source}/", f"{unsynced.host}:{target}/")
            every.insert(1, contender(bench, UNSYNCED, argv, source, target))
            series = in_turns(every, bench.samples or 5)
    bound = Goal(f"{files:,} files to ext4: time with every sync by time without", ratio(series, SYNC, UNSYNCED), 1.5, at_most=True)
    notes = [f"ext4 on a loop device, fresh for the run, its image in {bench.disk}. In the second row a seccomp filter answers the server's syncs at once."]
    return Result("tree-disk", f"{files:,} files of 1 to 8 KiB, tmpfs to ext4, upload", series, [bound], notes)


def unchanged(bench) -> Result:
    """100,000 files that are there already."""
    files = 2_000 if bench.quick else 100_000
    with memory_directory(files * 16 * 1024) as directory:
        source, target = planted(directory, files, 1, 64)
        bench.runner.time(["cp", "-a", f"{source}/.", str(target)])
        shell = bench.ssh.remote_shell(bench.cipher())
        plain, whole = "unglue sync", "unglue sync -a"
        rsyncs = {flags: f"rsync {flags} over ssh -c {bench.cipher()}" for flags in ("-rlt", "-a", "-aHAXS")}
        found = {name: ["rsync", flags, "-e", shell, f"{source}/", f"bench:{target}/"] for flags, name in rsyncs.items()}
        if bench.unglue:
            ends = [f"{source}/", f"{bench.unglue.host}:{target}/"]
            found = {whole: bench.unglue.tree("sync", "-a", *ends), plain: bench.unglue.tree("sync", *ends), **found}
        every = [contender(bench, name, argv, source, target, keep=True) for name, argv in found.items()]
        series = in_turns(every, bench.samples or 5)
    goals = [
        Goal(f"{files:,} unchanged files: `{ours}`'s time by `{theirs}`'s", ratio(series, ours, theirs), 0.3, at_most=True)
        for ours, theirs in ((whole, rsyncs["-aHAXS"]), (plain, rsyncs["-rlt"]))
    ]
    notes = ["`unglue sync -a` compares what `rsync -aHAXS` does; `rsync -a` looks at no attributes, lists or hard links."]
    return Result("tree-unchanged", f"{files:,} files that are there already, tmpfs", series, goals, notes)


def distant(bench) -> Result:
    """2,000 files of 4 KiB over a link with a round trip of 100 ms."""
    files = 200 if bench.quick else 2_000
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(memory_directory(files * 32 * 1024))
        source, target = planted(directory, files, 4096, 4096)
        ssh_port, _ = stack.enter_context(relay.running(bench.ssh.port, DELAY, bench.directory))
        found = {name: argv for name, argv in commands(bench, source, target, ssh_port).items() if name in (TAR_SSH, rsync_name(bench))}
        if bench.unglue:
            port, _ = stack.enter_context(relay.running(int(bench.unglue.port), DELAY, bench.directory))
            through = commands(bench, source, target, port)
            found = {SYNC: through[SYNC], COPY: through[COPY], **found}
            near = bench.runner.time(bench.unglue.tree("sync", "-a", f"{source}/", f"{bench.unglue.host}:{target}/"))
        every = [contender(bench, name, argv, source, target) for name, argv in found.items()]
        series = in_turns(every, bench.samples or 3)
    goals, notes = [], ["Every client starts cold: its time has the turns of TCP, TLS or SSH, and of the login in it."]
    if bench.unglue:
        goals = [Goal(f"{files:,} files, 100 ms: unglue sync's time by `tar | ssh tar`'s", ratio(series, SYNC, TAR_SSH), 1, at_most=True)]
        turns = (series[0].median - near) / (2 * DELAY)
        notes.append(f"Without the delay, unglue sync takes {near:.3f} s: {turns:.1f} turns of 100 ms lie between the two.")
    return Result("tree-distant", f"{files:,} files of 4 KiB, a round trip of 100 ms", series, goals, notes)


def sparse(bench) -> Result:
    """A sparse file: what goes over the wire."""
    size, data = (1 << 30, 10 << 20) if bench.quick else (10 << 30, 100 << 20)
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(memory_directory(4 * data))
        source, target = directory / "source", directory / "target"
        source.mkdir()
        target.mkdir()
        trees.plant_sparse(source / "sparse", size, data)
        if not bench.unglue:
            return Result("tree-sparse", "A sparse file: not measured", [])
        port, read = stack.enter_context(relay.running(int(bench.unglue.port), 0, bench.directory))
        argv = commands(bench, source, target, port)[SYNC]
        took = bench.runner.time(argv)
        bench.runner.time(["cmp", str(source / "sparse"), str(target / "sparse")])
        up, down = read()
        taken = (target / "sparse").stat().st_blocks * 512
    goal = Goal(f"{in_words(size)} sparse with {in_words(data)} of data: bytes on the wire by data", (up + down) / data, 1.05, at_most=True)
    notes = [f"{up:,} bytes there and {down:,} back. The copy takes {taken:,} bytes on its disk."]
    return Result("tree-sparse", f"A file of {in_words(size)} with {in_words(data)} of data", [Series(SYNC, [took])], [goal], notes)


def planted(directory: Path, files, least, most):
    source, target = directory / "source", directory / "target"
    trees.plant(source, files, least, most)
    target.mkdir()
    return source, target
