"""Floods, and what a server does without descriptors, processes, memory, disk or a log: real logins are counted beside each.

Each test returns (what it was, None or what was wrong).
"""

import contextlib
import os
import resource
import signal
import socket
import subprocess
import time

from .cases import Command, Copy, Verdict, client
from .tools import Unglue, environment, stop

LOGINS = 20


def logins(tool, count=LOGINS, patience=15):
    """Real commands, one after the other: how many succeeded, and the slowest's seconds."""
    good, slowest = 0, 0.0
    for _ in range(count):
        started = time.monotonic()
        code, stdout, _ = client(tool.run("echo", "in"), tool.site, patience)
        good += code == 0 and stdout == b"in\n"
        slowest = max(slowest, time.monotonic() - started)
    return good, slowest


def all_in(tool, what):
    good, slowest = logins(tool)
    return (what, None if good == LOGINS else f"{good} of {LOGINS} logins succeeded, the slowest in {slowest:.1f} s")


@contextlib.contextmanager
def idle_connections(port, count, sources):
    """Connections that say nothing, from several addresses of loopback."""
    held = []
    for number in range(count):
        peer = socket.socket()
        peer.settimeout(5)
        source = number % sources
        peer.bind((f"127.9.{source // 250}.{source % 250 + 1}", 0))
        with contextlib.suppress(OSError):
            peer.connect(("127.0.0.1", port))
        held.append(peer)
    try:
        yield
    finally:
        for peer in held:
            peer.close()


def idle_from_one_address(tool):
    with idle_connections(tool.port, 700, 1):
        return all_in(tool, "700 silent connections from one address")


def idle_from_many(tool):
    with idle_connections(tool.port, 900, 150):
        return all_in(tool, "900 silent connections from 150 addresses")


def reconnecting(tool):
    """Connections that open, say garbage and close, as fast as one process can."""
    code = (
        "import socket,sys,time\n"
        "end=time.monotonic()+20\n"
        "while time.monotonic()<end:\n"
        "  try:\n"
        "    s=socket.create_connection(('127.0.0.1',int(sys.argv[1])),1); s.send(b'GET / HTTP/1.0\\r\\n\\r\\n'*50); s.close()\n"
        "  except OSError: pass\n"
    )
    flood = subprocess.Popen(["python3", "-c", code, str(tool.port)], stderr=subprocess.DEVNULL)
    try:
        return all_in(tool, "garbage on new connections without pause")
    finally:
        flood.kill()
        flood.wait()


def has_worked(pid):
    """Whether a client has moved more than what it needs to log in (proc_pid_io(5)), or has ended."""
    try:
        with open(f"/proc/{pid}/io", encoding="ascii") as file:
            moved = [int(line.split()[1]) for line in file if line.startswith(("rchar", "wchar"))]
    except OSError:
        return True
    return max(moved) > 1 << 20


@contextlib.contextmanager
def stopped_clients(tool, argv, count):
    """Clients that were stopped (SIGSTOP) in the middle of what they do."""
    started = []
    for _ in range(count):
        started.append(
            subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                env=environment(tool.site), cwd=tool.site / "home",
            )  # fmt: skip
        )
    until = time.monotonic() + 30
    while time.monotonic() < until and not all(has_worked(process.pid) for process in started):
        time.sleep(0.1)
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        for process in started:
            process.kill()
            process.wait()


def stalled_downloads(tool):
    big = tool.site / "home" / "big"
    with open(big, "wb") as file:
        file.truncate(4 << 30)
    argv = tool.down(big, tool.site / "home" / "never")
    with stopped_clients(tool, argv, 24):
        return all_in(tool, "24 downloads whose clients are stopped")


def stalled_commands(tool):
    with stopped_clients(tool, tool.run("cat", "/dev/zero"), 24):
        return all_in(tool, "24 commands with endless output whose clients are stopped")


FLOODS = (idle_from_one_address, idle_from_many, reconnecting, stalled_downloads, stalled_commands)


def floods(site, program, until):
    tool = Unglue(site, program)
    tool.start()
    try:
        for flood in FLOODS:
            if time.monotonic() < until:
                yield flood(tool)
        yield all_in(tool, "afterwards")
    finally:
        stop(tool.server)


def limited(which, soft):
    return lambda: resource.setrlimit(which, (soft, soft))


def judged(tool, what):
    """One copy each way and one command under this starvation: nothing torn, nothing false, no panic."""
    wrong = []
    for case in (Copy(tool, "up"), Copy(tool, "down"), Command(tool)):
        verdict = Verdict()
        case.prepare()
        case.judge(*client(case.argv(), tool.site), verdict)
        wrong += [f"{kind} ({detail})" for kind, detail in verdict.wrong]
    if tool.server.poll() is not None:
        wrong.append(f"the server ended with {tool.server.returncode}")
    return (what, "; ".join(wrong) or None)


def with_server(site, program, what, works, **options):
    """A server that starves, then the same one's verdict; `works`: everything must succeed all the same."""
    tool = Unglue(site, program)
    try:
        tool.start(**options)
    except RuntimeError as error:
        # Too little to start at all is an answer, if it is told.
        said = (site / "server.log").read_text(errors="replace")
        stop(tool.server)
        return (what, None if "unglue:" in said and tool.server.returncode != 101 else str(error))
    try:
        name, wrong = judged(tool, what)
        if wrong is None and works:
            _, wrong = all_in(tool, what)
        return (name, wrong)
    finally:
        stop(tool.server)


def starvation(site, program, until):
    for descriptors in (24, 32, 48, 64):
        if time.monotonic() < until:
            what = f"{descriptors} descriptors"
            yield with_server(site, program, what, False, preexec=limited(resource.RLIMIT_NOFILE, descriptors))
    for megabytes in (256, 512):
        if time.monotonic() < until:
            what = f"{megabytes} MB of address space"
            yield with_server(site, program, what, False, preexec=limited(resource.RLIMIT_AS, megabytes << 20))
    with open("/dev/full", "wb") as full:
        yield with_server(site, program, "a log on a full device", True, log=full)
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writer, bytes(4096))
    os.set_blocking(writer, True)
    yield with_server(site, program, "a log that nobody reads", True, log=writer)
    os.close(reader)
    yield with_server(site, program, "a log whose reader has gone", True, log=writer)
    os.close(writer)
    yield from without_processes(site, program)
    yield from full_disk(site, program)


def without_processes(site, program):
    """`ulimit -u` does not bind root, so this runs as a user of its own, below a small limit."""
    if os.geteuid() != 0:
        yield ("no more processes", "skipped: needs root to become another user")
        return
    tool = Unglue(site, program)
    tool.start()
    try:
        for processes in (1, 3, 8):
            argv = ["prlimit", f"--nproc={processes}", "setpriv", "--reuid=64999", "--clear-groups", *tool.run("true")]
            code, _, stderr = client(argv, site)
            wrong = "panic" if code == 101 or b"panicked" in stderr else None
            if code not in (0, 125, 126, 127):
                wrong = f"exit {code}: {stderr[-200:]!r}"
            yield (f"a client with {processes} processes", wrong)
    finally:
        stop(tool.server)


def unmount(mount):
    """The server has ended; keepers of its commands may use the file system for a moment more."""
    for _ in range(100):
        if subprocess.run(["umount", str(mount)], stderr=subprocess.DEVNULL, timeout=10).returncode == 0:
            return
        time.sleep(0.2)
    subprocess.run(["umount", "-l", str(mount)], check=True, timeout=10)


def full_disk(site, program):
    """The destination's file system, and then the state's, has no room."""
    if os.geteuid() != 0:
        yield ("a full disk", "skipped: needs root to mount one")
        return
    for what, where in (("a full destination", "home/place"), ("a full state directory", "state")):
        mount = site / where
        mount.mkdir(parents=True, exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(mount)], check=True, timeout=10)
        try:
            with contextlib.suppress(OSError), open(mount / "filler", "wb") as filler:
                while True:
                    filler.write(bytes(4096))
                    filler.flush()
            (mount / "filler").rename(mount / "file") if where == "home/place" else None
            yield with_server_on(site, program, what)
        finally:
            unmount(mount)


def with_server_on(site, program, what):
    tool = Unglue(site, program)
    try:
        tool.start()
    except RuntimeError:
        stop(tool.server)
        said = (site / "server.log").read_text(errors="replace")
        return (what, None if "unglue:" in said else "the server did not start, and did not say why")
    try:
        source = site / "home" / "source"
        source.write_bytes(bytes(300_000))
        before = (site / "home/place/file").read_bytes() if (site / "home/place/file").exists() else None
        code, _, stderr = client(tool.up(source, site / "home/place/file"), site)
        held = (site / "home/place/file").read_bytes() if (site / "home/place/file").exists() else None
        if code == 0 and held != source.read_bytes():
            return (what, "false success")
        if code != 0 and (held != before or not stderr.strip()):
            return (what, "a failed copy changed the file, or gave no reason")
        good, _ = logins(tool, 5)
        return (what, None if good == 5 else f"{good} of 5 commands ran")
    finally:
        stop(tool.server)
