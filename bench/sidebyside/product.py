"""unglue itself: a server of our own on a free loopback port, with the same throw-away keys as sshd."""

import contextlib
import json
import os
import select
import sys
import time
from pathlib import Path

from .openssh import known_hosts_line
from .processes import Failed, Runner, spawn, stop

MISSING = """\
unglue: {path} isn't there, so its rivals are measured alone and nothing is written to the document.
Build it first: cargo build --release -p unglue-cli && cargo build --release -p unglue --example warm_exec"""


class Unglue:
    """A running `unglue serve`, and how to reach it."""

    def __init__(self, program: Path, directory: Path, address: str, pid: int):
        self.program, self.pid = program, pid
        self.directory = directory
        self.address = address
        self.host, self.port = address.rsplit(":", 1)
        self.runner = Runner(directory)

    def _argv(self, verb, *rest) -> list:
        known = ["--known-hosts", str(self.directory / "known_hosts_unglue")]
        identity = ["--identity", str(self.directory / "user")]
        return [str(self.program), verb, *identity, *known, "-P", self.port, *rest]

    def exec(self, *command) -> list:
        """`unglue exec HOST -- COMMAND…`"""
        return self._argv("exec", self.host, "--", *command)

    def forward(self, *what) -> list:
        """`unglue forward -L … HOST`"""
        return self._argv("forward", *what, self.host)

    def cp(self, source: Path, destination: Path) -> list:
        """`unglue cp SOURCE HOST:DESTINATION`"""
        return self._argv("cp", str(source), f"{self.host}:{destination}")

    def detach(self, *command) -> list:
        """`unglue exec --detach HOST -- COMMAND…`, which prints the id"""
        return self._argv("exec", "--detach", self.host, "--", *command)

    def logs(self, job) -> list:
        """`unglue logs HOST ID`"""
        return self._argv("logs", self.host, job)

    def signal(self, job, name) -> list:
        """`unglue signal HOST ID NAME`"""
        return self._argv("signal", self.host, job, name)

    def run(self, *options) -> list:
        """`unglue run HOST --file -`"""
        return self._argv("run", *options, self.host, "--file", "-")

    def exec_with_input(self, *command) -> list:
        """`unglue exec -i HOST -- COMMAND…`"""
        return self._argv("exec", "-i", self.host, "--", *command)

    def tree(self, verb, *rest) -> list:
        """`unglue sync …` or `unglue cp -r …`"""
        return self._argv(verb, *rest)

    def through(self, port):
        """The same server, reached by another port."""
        known = self.directory / "known_hosts_unglue"
        if f":{port} " not in known.read_text():
            with open(known, "a") as file:
                file.write(known_hosts_line(self.directory, port))
        return Unglue(self.program, self.directory, f"{self.host}:{port}", self.pid)

    def warm(self) -> dict:
        """What one connection does when it is warm, told by the library's own example; None if that isn't built."""
        example = self.program.parent / "examples" / "warm_exec"
        if not example.exists():
            return None
        known = ["--known-hosts", str(self.directory / "known_hosts_unglue")]
        identity = ["--identity", str(self.directory / "user")]
        return json.loads(self.runner.output([str(example), "--address", self.address, *identity, *known]))


@contextlib.contextmanager
def running(program: Path, directory: Path, wrapper=(), place="127.0.0.1"):
    """Starts the server, as an argument of `wrapper` if there is one, and gives it; or None where the program isn't built."""
    if not program.exists():
        print(MISSING.format(path=program), file=sys.stderr)
        yield None
        return
    state = directory / "state"
    state.mkdir(mode=0o700, exist_ok=True)
    reader, writer = os.pipe()
    log = directory / "unglue.log"
    keys = ["--host-key", str(directory / "host"), "--authorized-keys", str(directory / "authorized_keys")]
    serve = [*wrapper, str(program), "serve", "--listen", f"{place}:0", "--state", str(state), *keys, "--json"]
    daemon = spawn(serve, None, writer, log)
    os.close(writer)
    try:
        address = announced(reader, log)
        _, port = address.rsplit(":", 1)
        (directory / "known_hosts_unglue").write_text(known_hosts_line(directory, int(port), place))
        server = Unglue(program, directory, address, daemon)
        server.runner.time(server.exec("true"))
        yield server
    finally:
        stop(daemon)
        os.close(reader)


def announced(reader, log: Path, seconds=10.0) -> str:
    """The address in the object that the server prints once it accepts connections."""
    until, said = time.monotonic() + seconds, b""
    while b"\n" not in said:
        ready, _, _ = select.select([reader], [], [], max(0.0, until - time.monotonic()))
        piece = os.read(reader, 4096) if ready else b""
        if not piece:
            raise Failed(f"unglue serve didn't come up: {said!r} {log.read_text(errors='replace').strip()}")
        said += piece
    return json.loads(said.split(b"\n", 1)[0])["address"]
