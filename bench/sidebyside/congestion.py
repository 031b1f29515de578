"""A network namespace of our own, with a congestion control of our choice.

Some machines use bbr, whose pacing makes loopback two to three times slower than cubic, Debian's default. The default
for new sockets can't be changed freely in a namespace, but a route names its own: so nothing changes on the machine.
"""

import os
import sys
from pathlib import Path

INSIDE = "UNGLUE_BENCH_CONGESTION"
ROUTE = "ip route replace local {to} dev lo table local proto kernel scope host src 127.0.0.1 congctl"
PREPARE = " && ".join([
    "ip link set lo up",
    *(f'{ROUTE.format(to=to)} "$1"' for to in ("127.0.0.1", "127.0.0.0/8")),
    'shift && exec "$@"',
])


def enter(name):
    """Starts this very script again inside the namespace; returns there."""
    if os.environ.get(INSIDE) == name:
        return
    if os.geteuid() != 0:
        sys.exit("--congestion needs root, which may make a network namespace: leave it out, or use sudo")
    os.environ[INSIDE] = name
    os.execvp("unshare", ["unshare", "--net", "--", "sh", "-c", PREPARE, "sh", name, sys.executable, *sys.argv])


def in_use() -> str:
    """What the connections of this run use."""
    machine = Path("/proc/sys/net/ipv4/tcp_congestion_control").read_text().strip()
    chosen = os.environ.get(INSIDE)
    return f"{chosen} (in a network namespace; the machine's default is {machine})" if chosen else machine
