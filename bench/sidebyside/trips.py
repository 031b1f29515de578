"""How many round trips a command waits for, on a link where one takes 200 ms: the time by the link's, so that the machine's own
speed hardly counts. The link is a relay on loopback that answers a connection at once; the trip of TCP's handshake is added."""

import contextlib
import json
import os
import subprocess
import time

from . import relay
from .openssh import known_hosts_line
from .processes import ENVIRONMENT, Failed
from .sampling import Contender, Goal, Result, in_turns

ONE_WAY = 0.1
TRIP = 2 * ONE_WAY
LOGS = "unglue logs of a command that runs, cold"
COLD, SSH_COLD = "unglue exec, cold", "ssh, cold, its defaults"
WARM, SSH_WARM = "unglue, on one warm connection", "ssh, through a warm ControlMaster"
MANY = "unglue, a thousand at once on the connection, beyond what one takes"
CHAIN = 5
THOUSAND = 1000


def measure(bench) -> Result:
    """Each contender's time on the slow link, in round trips."""
    with relay.running(bench.ssh.port, ONE_WAY, bench.directory) as (ssh_port, _):
        hosts = bench.directory / "known_hosts_relay"
        hosts.write_text(known_hosts_line(bench.directory, ssh_port))
        distant = ["-p", str(ssh_port), "-o", f"UserKnownHostsFile={hosts}"]
        cold = lambda: first_byte(bench.ssh.argv("echo", "x", options=distant))
        with bench.ssh.master(bench.sockets, distant) as through:
            warm = lambda: first_byte(bench.ssh.argv("echo", "x", options=[*distant, *through]))
            contenders = [Contender(SSH_COLD, trips(cold, 1)), Contender(SSH_WARM, trips(warm))]
            if not bench.unglue:
                return result_of(in_turns(contenders, bench.samples or 5))
            port = int(bench.unglue.port)
            with relay.running(port, ONE_WAY, bench.directory) as (far, _), relay.running(port, 0, bench.directory) as (near, _):
                far, near = bench.unglue.through(far), bench.unglue.through(near)
                with kept(near) as job:
                    return result_of(in_turns([*ours(far, near, job), *contenders], bench.samples or 5))


@contextlib.contextmanager
def kept(server):
    """A command that outlives its link and has printed a line; gives its id."""
    job = server.runner.output(server.detach("sh", "-c", "echo x; exec sleep 3600")).strip()
    try:
        yield job
    finally:
        server.runner.time(server.signal(job, "KILL"))


def ours(far, near, job) -> list:
    """A thousand commands take their time without a link, too: what the link adds counts, less what it adds to one command."""
    one, chain, thousand = jobs(1), jobs(CHAIN, chained=True), jobs(THOUSAND)
    added = lambda lines: run(far, lines) - run(near, lines)
    return [
        Contender(COLD, trips(lambda: first_byte(far.exec("echo", "x")), 1)),
        Contender(LOGS, trips(lambda: first_byte(far.logs(job)), 1)),
        Contender(WARM, trips(lambda: (run(far, chain) - run(far, one)) / (CHAIN - 1))),
        Contender(MANY, trips(lambda: added(thousand) - added(one))),
    ]


def first_byte(argv) -> float:
    """Seconds to the first byte of the output."""
    began = time.perf_counter()
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=ENVIRONMENT) as client:
        came = client.stdout.read(1)
        took = time.perf_counter() - began
        client.stdout.read()
    if came != b"x" or client.returncode:
        raise Failed(f"{argv[0]}: {client.returncode}, {came!r}")
    return took


def trips(measured, handshake=0):
    """Seconds as round trips."""
    return lambda: measured() / TRIP + handshake


def jobs(count, chained=False) -> bytes:
    """Lines for `unglue run`; each waits for the one before, where they are chained."""
    lines = []
    for number in range(count):
        job = {"argv": ["true"]}
        if chained:
            job |= {"id": f"{os.urandom(8).hex()}-{number}"}
            if lines:
                job["needs"] = [lines[-1]["id"]]
        lines.append(job)
    return "".join(json.dumps(line) + "\n" for line in lines).encode()


def run(server, lines) -> float:
    """Seconds of one `unglue run` of these lines under new ids. Every command must succeed."""
    fresh = os.urandom(4).hex()
    lines = lines.replace(b'"id": "', b'"id": "' + fresh.encode()).replace(b'"needs": ["', b'"needs": ["' + fresh.encode())
    began = time.perf_counter()
    done = subprocess.run(server.run("--at-once", str(THOUSAND)), input=lines, capture_output=True, env=ENVIRONMENT, timeout=120, check=False)
    took = time.perf_counter() - began
    if done.returncode or done.stdout.count(b"\n") != lines.count(b"\n"):
        raise Failed(f"unglue run: {done.returncode}, {done.stderr[-300:]!r}")
    return took


def result_of(series) -> Result:
    told = {one.name: one.median for one in series}
    goals = [
        Goal("cold: round trips to the first byte", told.get(COLD), 3.5, at_most=True),
        Goal("the output of a command that runs: round trips to the first byte", told.get(LOGS), 3.5, at_most=True),
        Goal("warm: round trips of a command that waits for the one before", told.get(WARM), 1.5, at_most=True),
        Goal("a thousand at once: round trips beyond those of one", told.get(MANY), 3, at_most=True),
    ]
    return Result("trips", f"Round trips to a command's first byte, each {TRIP * 1000:.0f} ms long", series, goals, unit="trips")
