"""Starting processes as cheaply as Python can, and ending all of them by their own pid.

A sample's time runs from just before posix_spawn to just after the wait, so that what Python adds (about 0.3 ms) is
the same for every contender.
"""

import contextlib
import os
import signal
import time
from pathlib import Path

# The contenders' environment: no agent, no forwarded settings, no colours.
ENVIRONMENT = {key: os.environ[key] for key in ("HOME", "USER", "LOGNAME", "PATH", "SHELL") if key in os.environ}
ENVIRONMENT["PATH"] = ENVIRONMENT.get("PATH", "/usr/bin:/bin") + ":/usr/sbin:/sbin"
ENVIRONMENT["LANG"] = "C.UTF-8"


INSTALL = "Install the rivals with: apt-get install openssh-server openssh-client rsync netcat-openbsd"


class Failed(Exception):
    """A contender, or something that it needs, didn't do its work: there is no sample then, and no table."""


@contextlib.contextmanager
def deadline(seconds, what):
    """Raises Failed in the body after so many seconds."""

    def expired(_signal, _frame):
        raise Failed(f"{what} took longer than {seconds} s")

    before = signal.signal(signal.SIGALRM, expired)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def spawn(argv, stdin=None, stdout=None, stderr=None):
    """Starts argv and gives its pid. stdin and stdout are file descriptors or None for /dev/null, stderr a path."""
    actions = []
    for number, given, flags in ((0, stdin, os.O_RDONLY), (1, stdout, os.O_WRONLY)):
        if given is None:
            actions.append((os.POSIX_SPAWN_OPEN, number, "/dev/null", flags, 0))
        else:
            actions.append((os.POSIX_SPAWN_DUP2, given, number))
    error_flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    actions.append((os.POSIX_SPAWN_OPEN, 2, str(stderr or "/dev/null"), error_flags, 0o600))
    try:
        return os.posix_spawnp(argv[0], argv, ENVIRONMENT, file_actions=actions)
    except FileNotFoundError:
        raise Failed(f"{argv[0]} isn't there. {INSTALL}") from None


def stop(pid, patience=12.0):
    """Asks a child to end, then makes it. Its own pid only."""
    with contextlib.suppress(ProcessLookupError, ChildProcessError):
        os.kill(pid, signal.SIGTERM)
        until = time.monotonic() + patience
        while time.monotonic() < until:
            if os.waitpid(pid, os.WNOHANG)[0]:
                return
            time.sleep(0.005)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


class Runner:
    """Runs and times commands; a failure shows what they wrote to stderr."""

    def __init__(self, directory: Path, patience: float = 180.0):
        self.errors = directory / "stderr"
        self.patience = patience

    def time(self, argv, stdin=None, stdout=None) -> float:
        """Runs one command to its end: the seconds that it took."""
        with deadline(self.patience, argv[0]):
            started = time.perf_counter()
            pid = spawn(argv, stdin, stdout, self.errors)
            self.wait({pid: argv}, self.errors)
            return time.perf_counter() - started

    def time_into(self, argv, sink) -> float:
        """Runs `argv | sink`, from the start of the first to the end of both."""
        with deadline(self.patience, argv[0]):
            reader, writer = os.pipe()
            started = time.perf_counter()
            producer = spawn(argv, None, writer, self.errors)
            consumer = spawn(sink, reader, None)
            os.close(writer)
            os.close(reader)
            self.wait({producer: argv, consumer: sink}, self.errors)
            return time.perf_counter() - started

    def output(self, argv, stdin=None) -> str:
        """What one command prints on stdout, which must be short."""
        with deadline(self.patience, argv[0]):
            reader, writer = os.pipe()
            pid = spawn(argv, stdin, writer, self.errors)
            os.close(writer)
            with os.fdopen(reader, encoding="utf-8", errors="replace") as pipe:
                said = pipe.read()
            self.wait({pid: argv}, self.errors)
            return said

    @staticmethod
    def wait(children, errors=None):
        """Waits for all of {pid: argv}. If one fails, or the deadline passes, the rest are stopped."""
        left = dict(children)
        try:
            while left:
                pid, status = os.waitpid(next(iter(left)), 0)
                argv, code = left.pop(pid), os.waitstatus_to_exitcode(status)
                if code != 0:
                    said = errors.read_text(errors="replace").strip() if errors and errors.exists() else ""
                    raise Failed(f"{' '.join(argv)} ended with {code}: {said[-2000:]}")
        except BaseException:
            for pid in left:
                stop(pid, patience=1.0)
            raise
