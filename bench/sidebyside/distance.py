"""Two hosts with a long way between them: the lab's example `distant`, a program of its own that carries packets between two network
namespaces. The script enters the near one; servers are started in the far one."""

import contextlib
import ctypes
import json
import os
import select
import subprocess
from pathlib import Path

from .processes import Failed

CLONE_NEWNS = 0x20000
CLONE_NEWNET = 0x40000000
WMEM_MAX = "/proc/sys/net/core/wmem_max"


class Distance:
    """What lies between the hosts, and how to start a program in the far one."""

    def __init__(self, process, near, far):
        self.process, self.near, self.far = process, near, far
        self.address = far["address"]
        self.wrapper = ["nsenter", f"--net={far['namespace']}", "--"]

    def use(self, congestion):
        """New connections of both hosts use this congestion control."""
        for host in (self.near, self.far):
            route = ["10.7.0.0/24", "dev", "wire", "proto", "kernel", "scope", "link", "src", host["address"]]
            inside = ["nsenter", f"--net={host['namespace']}", "ip", "route", "replace", *route, "congctl", congestion]
            subprocess.run(inside, check=True)

    def receive_at_most(self, size):
        """Receive buffers of both hosts grow up to this size by themselves."""
        for host in (self.near, self.far):
            setting = f"net.ipv4.tcp_rmem=4096 131072 {size}"
            subprocess.run(["nsenter", f"--net={host['namespace']}", "sysctl", "-q", "-w", setting], check=True)

    def say_wmem_max(self, size, directory):
        """Programs of both hosts read this `wmem_max`, which is the whole machine's: a file that only this script and its children see
        lies over it. What the kernel allows is unchanged, so it is for programs that then ask for nothing, or by SO_SNDBUFFORCE."""
        said = directory / "wmem_max"
        said.write_text(f"{size}\n")
        libc("unshare", CLONE_NEWNS)
        subprocess.run(["mount", "--make-rprivate", "/"], check=True)
        for host in (self.near, self.far):
            subprocess.run(["nsenter", f"--net={host['namespace']}", "mount", "--bind", str(said), WMEM_MAX], check=True)

    def processor_seconds(self) -> float:
        """What the wire itself has used."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def over(program: Path, round_trip, rate, loss, queue, seed=1):
    """Makes the hosts, and enters the near one; milliseconds, Mbit/s and percent. At the end both are gone."""
    if not program.exists():
        raise Failed(f"{program} isn't there. Build it first: cargo build --release -p unglue-lab --example distant")
    options = {"--round-trip": round_trip, "--rate": rate, "--loss": loss, "--queue": queue, "--seed": seed}
    argv = [str(program), *(str(word) for option in options.items() for word in option)]
    home = os.open("/proc/self/ns/net", os.O_RDONLY)
    wire = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        ready, _, _ = select.select([wire.stdout], [], [], 10)
        line = wire.stdout.readline() if ready else b""
        if not line:
            raise Failed("the wire didn't come up: it takes root, or `unshare --user --map-root-user`")
        hosts = json.loads(line)
        enter(hosts["near"]["namespace"])
        yield Distance(wire, hosts["near"], hosts["far"])
    finally:
        libc("setns", home, CLONE_NEWNET)
        os.close(home)
        with contextlib.suppress(BrokenPipeError):
            wire.stdin.close()
        wire.wait(10)


def enter(namespace):
    descriptor = os.open(namespace, os.O_RDONLY)
    libc("setns", descriptor, CLONE_NEWNET)
    os.close(descriptor)


def libc(name, *arguments):
    """setns(2) and unshare(2); Python has them from 3.12 on."""
    if getattr(ctypes.CDLL(None, use_errno=True), name)(*arguments) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
