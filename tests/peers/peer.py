"""What the five dialects of the remote shell share: arguments, running a command, log, prompt and streams.

A dialect brings two functions, `serve(options)` and `connect(options)`, and ends with
`peer.main(__doc__, serve, connect)`. They raise `Broken` for whatever the other side does wrong: a server then ends
that one connection, a client the program.
"""

import argparse
import codecs
import os
import select
import socket
import subprocess
import sys
import threading

ONE_TAKE = 1024
PIECE = 8192
A_DAY = 86_400


class Broken(Exception):
    """The other side broke off, or sent what the dialect does not allow."""


def main(doc, serve, connect, stores=False):
    """Reads the arguments and does what they ask; `stores` adds the directory for uploads."""
    options = arguments(doc, serve, connect, stores)
    try:
        options.act(options)
    except KeyboardInterrupt:
        pass
    except TimeoutError:
        sys.exit(f"the server did not answer within {options.wait:g} seconds")
    except (Broken, OSError) as fault:
        sys.exit(str(fault))


def arguments(doc, serve, connect, stores):
    """The command line: `serve` or `connect`, each with its own options."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    actions = parser.add_subparsers(required=True)
    server = actions.add_parser("serve")
    server.add_argument("--listen", type=address, default=("127.0.0.1", 0), metavar="HOST:PORT")
    if stores:
        server.add_argument("--dir", default="file_upload")
    client = actions.add_parser("connect")
    client.add_argument("server", type=address, metavar="HOST:PORT")
    client.add_argument("--wait", type=seconds, default=10.0, metavar="SECONDS")
    for action, act in ((server, serve), (client, connect)):
        action.add_argument("--encoding", type=encoding, metavar="NAME")
        action.set_defaults(act=act)
    return parser.parse_args()


def address(text):
    """A host and a port out of HOST:PORT, where an IPv6 host stands in brackets."""
    host, _, port = text.rpartition(":")
    if not host or not 0 <= int(port) <= 65_535:
        raise ValueError
    return host.removeprefix("[").removesuffix("]"), int(port)


def seconds(text):
    """A time to wait: above nothing, at most a day."""
    if not 0 < float(text) <= A_DAY:
        raise ValueError
    return float(text)


def encoding(name):
    """The name of a text encoding that Python knows."""
    try:
        "x".encode(name)
    except LookupError as fault:
        raise argparse.ArgumentTypeError(str(fault)) from fault
    return name


def family(host):
    """The address family of a host as it was typed."""
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def log(text):
    """Writes one line to standard error, at once and in one piece."""
    line = text.replace("\n", "\\n") + "\n"
    # Past sys.stderr, whose lock a daemon thread could hold when the program ends.
    os.write(2, line.encode("utf-8", "backslashreplace"))


# The server's half.


def announce(listener):
    """Tells the address that the socket got."""
    host, port = listener.getsockname()[:2]
    print(f"listening on [{host}]:{port}" if ":" in host else f"listening on {host}:{port}", flush=True)


def serve_tcp(options, converse):
    """Accepts clients for ever and calls `converse(link, options)` for each, in a thread of its own."""
    with socket.create_server(options.listen, family=family(options.listen[0])) as listener:
        # Python sets this by itself, except on Windows, where it would let two servers share a port.
        if os.name == "posix":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        announce(listener)
        for _ in arrivals(listener):
            link, _ = listener.accept()
            threading.Thread(target=guarded, args=(link, options, converse), daemon=True).start()


def arrivals(listener):
    """Tells, for ever, that something waits in a socket."""
    while True:
        # An interrupt just before a system call is noticed only after it, so none may last for long.
        if select.select([listener], [], [], 0.5)[0]:
            yield


def guarded(link, options, converse):
    """One client's connection; whatever goes wrong in it ends nothing else."""
    with link:
        try:
            converse(link, options)
        except Broken as fault:
            log(f"refused: {fault}")
        except OSError as fault:
            log(f"broken off: {fault}")


def commands(link):
    """What each recv gives, taken for one command, until the stream ends."""
    while command := link.recv(ONE_TAKE):
        yield command


def run(command, encoding):
    """Runs a command by the shell; returns the bytes to send for its stderr and its stdout."""
    try:
        line = command.decode(encoding) if encoding else os.fsdecode(command)
        pipe = subprocess.PIPE
        shell = subprocess.Popen(line, shell=True, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe)
    except ValueError as fault:
        raise Broken(f"not a command: {fault}") from fault
    stdout, stderr = shell.communicate()
    return recoded(stderr, encoding), recoded(stdout, encoding)


def recoded(output, encoding):
    """Output in the encoding of the wire; what is no UTF-8 stays as it is."""
    if not encoding:
        return output
    try:
        return output.decode().encode(encoding, "replace")
    except UnicodeDecodeError:
        return output


def log_run(command, stderr, stdout):
    """Logs a command whose reply has been handed to the socket."""
    log(f"ran {len(command)} bytes: {len(stderr)} stderr, {len(stdout)} stdout")


# The client's half.


def connect_tcp(options):
    """A connection on which every wait has an end."""
    return socket.create_connection(options.server, timeout=options.wait)


def prompt(encoding=None, send_empty=False):
    """The lines of standard input up to `quit`, in the encoding of the wire."""
    while line := next_line():
        line = line.removesuffix(b"\n").removesuffix(b"\r")
        if line == b"quit":
            return
        if not line and not send_empty:
            continue
        try:
            yield line.decode().encode(encoding) if encoding else line
        except UnicodeError as fault:
            log(f"this line cannot be sent in {encoding}: {fault}")


def next_line():
    """The next line with its end, or nothing at the end of input."""
    if sys.stdin.isatty():
        sys.stdout.buffer.write(b">>: ")
        sys.stdout.buffer.flush()
    return sys.stdin.buffer.readline()


class Screen:
    """Standard output: replies exactly as received, or decoded from an encoding and written as UTF-8."""

    def __init__(self, encoding):
        self.decoder = codecs.getincrementaldecoder(encoding)("replace") if encoding else None

    def write(self, data):
        """Shows bytes; a character that they cut in two waits for its rest."""
        self._put(self.decoder.decode(data) if self.decoder else data)

    def finish(self):
        """Ends a reply: what waits for a rest is shown as it can be."""
        if self.decoder:
            self._put(self.decoder.decode(b"", True))
            self.decoder.reset()

    def _put(self, shown):
        sys.stdout.buffer.write(shown.encode("utf-8", "replace") if self.decoder else shown)
        sys.stdout.buffer.flush()


def show_reply(link, count, screen):
    """Shows a reply of exactly `count` bytes."""
    for piece in pieces(link, count):
        screen.write(piece)
    screen.finish()


# Both halves: a stream gives bytes in whatever portions it likes.


def pieces(link, count):
    """Exactly `count` bytes of the stream, piece by piece."""
    while count:
        piece = link.recv(min(count, PIECE))
        if not piece:
            raise Broken(f"the stream ended {count} bytes too early")
        count -= len(piece)
        yield piece


def read_exactly(link, count):
    """Exactly `count` bytes of the stream, for few bytes."""
    return b"".join(pieces(link, count))
