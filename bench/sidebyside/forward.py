"""How fast bytes arrive through one forwarded connection: a server that sends SIZE bytes to each client, read here."""

import contextlib
import os
import signal
import socket
import time

from .openssh import free_port, wait_until
from .processes import Failed, spawn, stop
from .sampling import Contender, Goal, Result, in_turns, in_words, ratio

UNGLUE = "unglue forward -L"
DIRECT = "no forwarding"
PIECE = 1 << 20


def measure(bench) -> Result:
    """SIZE bytes through each, on connections that are made one after the other."""
    size = bench.size or (1 << 30)
    cipher = bench.cipher()
    ssh_name = f"ssh -L, {cipher}"
    with contextlib.ExitStack() as stack:
        target = stack.enter_context(source(size))
        ports = {ssh_name: free_port(), DIRECT: target}
        tunnel = f"127.0.0.1:{ports[ssh_name]}:127.0.0.1:{target}"
        command = bench.ssh.argv(cipher=cipher, options=["-N", "-L", tunnel])
        stack.enter_context(under_way(command, ports[ssh_name], bench))
        if bench.unglue:
            ports = {UNGLUE: free_port(), **ports}
            tunnel = f"127.0.0.1:{ports[UNGLUE]}:127.0.0.1:{target}"
            stack.enter_context(under_way(bench.unglue.forward("-L", tunnel), ports[UNGLUE], bench))
        contenders = [Contender(name, lambda port=port: receive(port, size)) for name, port in ports.items()]
        series = in_turns(contenders, bench.samples or 7)
    text = f"{in_words(size)} through one connection: ssh's time (its fastest cipher) by unglue's"
    goal = Goal(text, ratio(series, ssh_name, UNGLUE), 2)
    return Result("forward", "Throughput of a forwarded connection", series, [goal], bytes=size)


def receive(port, size) -> float:
    """Seconds from the connection to its end. It must bring all of it."""
    start, came, buffer = time.perf_counter(), 0, bytearray(PIECE)
    with socket.create_connection(("127.0.0.1", port)) as tcp:
        while read := tcp.recv_into(buffer):
            came += read
    if came != size:
        raise Failed(f"{came} of {size} bytes arrived")
    return time.perf_counter() - start


@contextlib.contextmanager
def source(size):
    """A process that sends so many bytes to each connection, one after the other; gives its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        child = os.fork()
        if child == 0:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            serve(listener, size)
        try:
            yield listener.getsockname()[1]
        finally:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


def serve(listener, size):
    piece = memoryview(bytes(PIECE))
    while True:
        with listener.accept()[0] as tcp, contextlib.suppress(OSError):
            left = size
            while left:
                left -= tcp.send(piece[: min(left, PIECE)])


@contextlib.contextmanager
def under_way(argv, port, bench):
    """The forwarding client, once its port is listened on."""
    log = bench.directory / f"forward-{port}.log"
    child = spawn(argv, stderr=log)
    try:
        wait_until(lambda: listens(port), argv[0], log)
        yield
    finally:
        stop(child)


def listens(port) -> bool:
    """Without connecting: a connection would be forwarded, too."""
    wanted = f"0100007F:{port:04X}"
    with open("/proc/net/tcp", encoding="ascii") as table:
        return any(line.split()[1] == wanted and line.split()[3] == "0A" for line in table)
