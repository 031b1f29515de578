"""Faults by strace(1): a SIGKILL, or an error number, at the nth call of a system call.

strace counts the calls of each system call by thread. A first run without faults says which there are.
"""

import collections
import os
import random
import re
import signal
import subprocess
import time

# Calls whose failure the kernel never reports this way, or that strace itself needs to be whole.
NOT_INJECTED = {"execve", "exit", "exit_group", "rt_sigreturn", "vfork", "restart_syscall", "set_robust_list", "rseq"}
ERRNOS = ("EIO", "ENOSPC", "EDQUOT", "EMFILE", "EINTR", "EROFS", "EACCES", "ENOMEM", "EAGAIN")
# Calls for which an error number is tried: those that a disk, a limit or the network makes fail.
FAILING = (
    "openat openat2 read write pread64 pwrite64 writev readv sendto recvfrom sendmsg recvmsg fsync fdatasync renameat renameat2 "
    "rename unlinkat linkat ftruncate fallocate fchmod fchmodat fchown fstat newfstatat statx getdents64 mkdirat utimensat "
    "socket connect accept4 pipe2 dup3 eventfd2 epoll_create1 epoll_ctl mmap clone clone3 socketpair memfd_create fcntl ioctl "
    "getrandom fgetxattr fsetxattr flistxattr copy_file_range splice"
).split()

# Calls that change what is outside of the process.
VISIBLE = set(
    "openat openat2 write pwrite64 writev sendto sendmsg fsync fdatasync renameat renameat2 rename unlinkat unlink linkat "
    "ftruncate fallocate fchmod fchmodat fchown utimensat mkdirat mkdir close shutdown kill clone clone3 copy_file_range splice "
    "fsetxattr symlink chmod dup2 dup3 pipe2 socketpair connect accept4".split()
)

CALL = re.compile(r"^(?:\[pid +\d+\] |\d+ +)?([a-z0-9_]+)\(")


def present():
    try:
        return subprocess.run(["strace", "-qq", "-o", "/dev/null", "true"], timeout=20).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def count(log):
    """How often each system call was made by the thread that made it most often."""
    calls = collections.Counter()
    for line in log.read_text(errors="replace").splitlines():
        pid, _, rest = line.partition(" ")
        found = CALL.match(rest.strip())
        if found and pid.isdigit():
            calls[(found.group(1), pid)] += 1
    most = collections.Counter()
    for (call, _), times in calls.items():
        most[call] = max(most[call], times)
    return most


def kills(calls, every):
    """A kill at each call, in a fixed order; unless `every` is set, at those calls only by which others can see a difference:
    between two of them a kill leaves the same behind wherever it strikes."""
    return [
        (f"{call}:signal=SIGKILL:when={nth}", f"SIGKILL at {call} {nth}")
        for call, times in sorted(calls.items())
        if call not in NOT_INJECTED and (every or call in VISIBLE)
        for nth in range(1, times + 1)
    ]


def errors(calls, occurrences):
    """Each error number at the first calls of each system call that may fail so."""
    return [
        (f"{call}:error={errno}:when={nth}", f"{errno} at {call} {nth}")
        for call in FAILING
        if call in calls
        for errno in ERRNOS
        for nth in range(1, min(calls[call], occurrences) + 1)
    ]


def spread(cases, most):
    """At most so many of the cases, evenly spread; in an order of no meaning, the same each time, so that a run which ends early
    has tried a fair part of them."""
    if most is not None and len(cases) > most:
        cases = [cases[index * len(cases) // most] for index in range(most)]
    return random.Random(1).sample(cases, len(cases))


class Tracer:
    """strace attached to processes that run, with all their threads; and with those that come later, if `follow` says so,
    which is also the processes that they start."""

    def __init__(self, pids, expression=None, log=None, follow=True):
        argv = ["strace", *(["-f"] if follow else []), "-qq", "-o", str(log or "/dev/null")]
        if expression:
            argv += ["-e", "trace=" + expression.split(":", 1)[0], "-e", "inject=" + expression]
        for pid in pids:
            argv += ["-p", str(pid)]
        self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.attached = wait_attached(pids, self.process)

    def detach(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def wait_attached(pids, tracer, seconds=5):
    until = time.monotonic() + seconds
    while time.monotonic() < until and tracer.poll() is None:
        if all(traced(pid) for pid in pids):
            return True
        time.sleep(0.005)
    return False


def traced(pid):
    """Whether every thread of the process has a tracer; one that is gone needs none."""
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/status", encoding="ascii", errors="replace") as status:
                if "\nTracerPid:\t0\n" in status.read():
                    return False
    except OSError:
        pass
    return True


def under(argv, expression=None, log=None):
    """A command line under strace."""
    head = ["strace", "-f", "-qq", "-o", str(log or "/dev/null")]
    if expression:
        head += ["-e", "trace=" + expression.split(":", 1)[0], "-e", "inject=" + expression]
    return [*head, *argv]
