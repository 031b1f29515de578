"""The tools under test, each as the same four jobs: copy a file up, copy one down, replace one, run a command.

Every tool has a server of its own on a free loopback port, with throw-away keys, and a home of its own.
"""

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import time
from pathlib import Path

SSHD = """\
ListenAddress 127.0.0.1:{port}
HostKey {site}/host
AuthorizedKeysFile {site}/authorized_keys
PidFile none
StrictModes no
UsePAM no
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
PrintMotd no
Subsystem sftp internal-sftp
LogLevel ERROR
MaxStartups 200
SetEnv HOME={site}/home
"""

SSH = """\
Host faults
    HostName 127.0.0.1
    Port {port}
    User {user}
    IdentityFile {site}/user
    IdentitiesOnly yes
    IdentityAgent none
    UserKnownHostsFile {site}/known_hosts
    GlobalKnownHostsFile /dev/null
    StrictHostKeyChecking yes
    BatchMode yes
"""


def environment(site):
    kept = {key: os.environ[key] for key in ("USER", "LOGNAME", "SHELL") if key in os.environ}
    path = os.environ.get("PATH", "/usr/bin:/bin") + ":/usr/sbin:/sbin"
    return {**kept, "PATH": path, "HOME": str(site / "home"), "LANG": "C.UTF-8"}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def make_keys(site):
    for name in ("host", "user"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "faults", "-f", str(site / name)]
        subprocess.run(command, check=True, timeout=30)
    (site / "authorized_keys").write_text((site / "user.pub").read_text())
    (site / "authorized_keys").chmod(0o600)
    (site / "home").mkdir()
    (site / "known_hosts").touch()


def know(site, port):
    kind, key = (site / "host.pub").read_text().split()[:2]
    (site / "known_hosts").write_text(f"[127.0.0.1]:{port} {kind} {key}\n")


def stop(process, patience=12):
    """Ends a child of ours, and returns once it is gone."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Unglue:
    """`unglue serve` and `unglue exec`, `unglue cp`, `unglue sync`."""

    name = "unglue"

    def __init__(self, site, program):
        self.site, self.program = site, str(program)
        self.server = None
        self.port = None

    def start(self, *options, log=None, preexec=None):
        """Starts the server; raises if it doesn't come up."""
        state = self.site / "state"
        state.mkdir(mode=0o700, exist_ok=True)
        keys = ["--host-key", str(self.site / "host"), "--authorized-keys", str(self.site / "authorized_keys")]
        argv = [self.program, "serve", "--listen", "127.0.0.1:0", "--state", str(state), *keys, "--json", *options]
        stderr = log if log is not None else open(self.site / "server.log", "ab")
        self.server = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr,
            env=environment(self.site), cwd=self.site / "home", preexec_fn=preexec,
        )  # fmt: skip
        ready, _, _ = select.select([self.server.stdout], [], [], 15)
        line = self.server.stdout.readline() if ready else b""
        if not line:
            raise RuntimeError(f"unglue serve did not come up: {self.server.poll()}")
        self.port = int(json.loads(line)["address"].rsplit(":", 1)[1])
        know(self.site, self.port)

    def client(self, verb, *rest):
        known = ["--known-hosts", str(self.site / "known_hosts"), "--identity", str(self.site / "user")]
        return [self.program, verb, *known, "-P", str(self.port), *rest]

    def up(self, source, destination, *more):
        return self.client("cp", *more, str(source), f"127.0.0.1:{destination}")

    def down(self, source, destination, *more):
        return self.client("cp", *more, f"127.0.0.1:{source}", str(destination))

    def up_tree(self, source, destination, *more):
        return self.client("sync", "-a", "--delete", *more, f"{source}/", f"127.0.0.1:{destination}")

    def down_tree(self, source, destination, *more):
        return self.client("sync", "-a", "--delete", *more, f"127.0.0.1:{source}/", str(destination))

    def run(self, *command):
        return self.client("exec", "127.0.0.1", "--", *command)

    def server_pids(self):
        return [self.server.pid]

    def helper_pids(self):
        return descendants(self.server.pid)


class OpenSsh:
    """sshd, with ssh, scp (which speaks sftp), sftp itself or rsync as the client."""

    def __init__(self, site, name):
        self.site, self.name = site, name
        self.server = None
        self.config = site / "ssh_config"

    def start(self):
        port = free_port()
        (self.site / "sshd_config").write_text(SSHD.format(port=port, site=self.site))
        user = os.environ.get("USER") or "root"
        self.config.write_text(SSH.format(port=port, site=self.site, user=user))
        know(self.site, port)
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        log = open(self.site / "server.log", "ab")
        argv = ["/usr/sbin/sshd", "-D", "-e", "-f", str(self.site / "sshd_config")]
        self.server = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stderr=log, env=environment(self.site))
        until = time.monotonic() + 10
        while time.monotonic() < until:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1) as peer:
                if peer.recv(4) == b"SSH-":
                    return
            time.sleep(0.02)
        raise RuntimeError("sshd did not come up")

    def up(self, source, destination):
        if self.name == "rsync":
            return ["rsync", "-e", f"ssh -F {self.config}", "--whole-file", "-I", str(source), f"faults:{destination}"]
        if self.name == "sftp":
            return ["sh", "-c", f"echo put {source} {destination} | sftp -b - -F {self.config} faults"]
        return ["scp", "-q", "-F", str(self.config), str(source), f"faults:{destination}"]

    def down(self, source, destination):
        if self.name == "rsync":
            return ["rsync", "-e", f"ssh -F {self.config}", "--whole-file", "-I", f"faults:{source}", str(destination)]
        if self.name == "sftp":
            return ["sh", "-c", f"echo get {source} {destination} | sftp -b - -F {self.config} faults"]
        return ["scp", "-q", "-F", str(self.config), f"faults:{source}", str(destination)]

    def run(self, *command):
        return ["ssh", "-F", str(self.config), "faults", " ".join(quote(word) for word in command)]

    def server_pids(self):
        return [self.server.pid]

    def helper_pids(self):
        return []


def quote(word):
    return "'" + word.replace("'", "'\\''") + "'"


def children(pid):
    found = []
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(OSError):
                found += [int(child) for child in (task / "children").read_text().split()]
    return found


def descendants(pid):
    """All processes beneath this one."""
    found = children(pid)
    for child in found:
        found += [pid for pid in children(child) if pid not in found]
    return found


def marked(mark):
    """The processes that have this word in their environment: what a command left behind."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if mark.encode() in (entry / "environ").read_bytes() or mark.encode() in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
    return [pid for pid in found if pid != os.getpid()]


def end_marked(mark):
    """Ends what a rival left behind, so that the next case starts clean."""
    for pid in marked(mark):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
